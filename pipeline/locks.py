"""One process at a time writes a set of files."""

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import HeldError
from pipeline.files import file_named
from pipeline.messages import note, note_once

if TYPE_CHECKING:
    from filelock import BaseFileLock

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # errors of a file system that has no locks
_LOOK_EVERY = 0.5  # seconds between looks whether a lock is free


@contextmanager
def only_writer(path: Path, script: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock that the system releases however the process ends; ``wait`` until another has, else HeldError.

    Where the file system has none, a file beside stands for it: removed when the block ends, and taken over by the
    next where its process was one of this machine and is gone.
    """
    from filelock import FileLock, SoftFileLock  # not needed by --help

    path.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    lock: BaseFileLock = FileLock(path, fallback_to_soft=False)
    with file_named(path):
        try:
            _acquire(lock, path, wait)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            note_once(f"{path.parent}: this file system has no locks; a file stands for each")
            lock = SoftFileLock(path.with_suffix(".held"))
            _acquire(lock, path, wait, f"; if it has ended, remove {lock.lock_file}")
    try:
        with file_named(path):
            path.write_text(f"{script} (process {os.getpid()} on {platform.node()}, since {now})\n", encoding="utf-8")
        yield
    finally:
        lock.release()


def _acquire(lock: "BaseFileLock", path: Path, wait: bool, remedy: str = "") -> None:
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = " ".join(path.read_text(encoding="utf-8", errors="replace").split()) or "another process"
        if not wait:
            workspace = path.parents[2]  # of output_ML/.locks/… and MLmodel/.locks/…
            raise HeldError(
                f"{workspace}: {holder} writes the same files; wait until it ends, or use --wait{remedy}"
            ) from None
        note(f"waiting for {holder}")
        lock.acquire(poll_interval=_LOOK_EVERY)
