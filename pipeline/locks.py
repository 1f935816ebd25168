"""One process at a time writes a set of files."""

import errno
import fcntl
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files import file_named, is_running

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system says that has no locks."""

LOOK_EVERY = 1.0
"""s, between looks whether a file is gone that stands for a lock."""


@contextmanager
def only_writer(path: Path, script: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock that the system releases however the process ends.

    Where the file system has none, a file beside stands for it: made by one process at a time, removed when the block
    ends, and taken away by the next where its process was one of this machine and is gone.

    Parameters
    ----------
    path : Path
        The lock's file; it names who holds it.
    script : str
        Who is at work, for others to read.
    wait : bool
        Wait until another process has released it.

    Raises
    ------
    UserError
        If another process holds it and ``wait`` is not set.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    owner = f"{script} (process {os.getpid()} on {platform.node()}, since {now})"
    with path.open("a+", encoding="utf-8") as file:
        with file_named(path):
            has_locks = _lock(file.fileno(), path, wait)
        if not has_locks:
            with _held(path.with_suffix(".held"), owner, wait):
                yield
            return
        with file_named(path):
            file.truncate(0)
            file.write(f"{owner}\n")
            file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _lock(file: int, path: Path, wait: bool) -> bool:
    """Whether the file could be locked; not where there are no locks."""
    # lockf, unlike flock, is not inherited by workers.
    try:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            holder = " ".join(path.read_text(encoding="utf-8", errors="replace").split()) or "another process"
            _refuse_or_say(path, holder, wait)
            fcntl.lockf(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


@contextmanager
def _held(path: Path, owner: str, wait: bool) -> Iterator[None]:
    """The same by a file that is there while the block runs."""
    said = False
    while not _made(path, owner):
        try:
            holder = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            continue
        if _is_gone(holder):
            _take_away(path, holder)
            continue
        if not said:
            _refuse_or_say(path, holder or "another process", wait, f"; if it has ended, remove {path}")
            said = True
        time.sleep(LOOK_EVERY)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _made(path: Path, owner: str) -> bool:
    """Make a file that says who holds it, unless another process has."""
    with file_named(path):
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        except FileExistsError:
            return False
        try:
            os.write(file, owner.encode())
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(file)
    return True


def _is_gone(holder: str) -> bool:
    """Whether a process of this machine that held a file has ended."""
    process = re.search(rf"\(process (\d+) on {re.escape(platform.node())}, ", holder)
    return process is not None and not is_running(int(process[1]))


def _take_away(path: Path, holder: str) -> None:
    """Remove what a process that is gone has left, and never what another has made in the meantime."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.gone")
    with suppress(FileNotFoundError):
        path.rename(aside)
        taken = aside.read_text(encoding="utf-8", errors="replace")
        aside.unlink()
        if taken != holder:
            _made(path, taken)


def _refuse_or_say(path: Path, holder: str, wait: bool, remedy: str = "") -> None:
    if not wait:
        workspace = path.parents[2]  # of output_ML/.locks/… and MLmodel/.locks/…
        raise UserError(f"{workspace}: {holder} writes the same files; wait until it ends, or use --wait{remedy}")
    print(f"waiting for {holder}", flush=True)
