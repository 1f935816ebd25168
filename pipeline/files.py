"""Files that appear whole or not at all, and of which one process at a time writes a set."""

import errno
import glob
import hashlib
import json
import os
import platform
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import messages
from pipeline.errors import HeldError

if TYPE_CHECKING:
    from filelock import BaseFileLock

_HOST = re.sub(r"\W", "-", platform.node())
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # of file systems that can't write to disk at once
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # errors of a file system that has no locks
_LOOK_EVERY = 0.5  # seconds between looks whether a lock is free


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Name to write to; it becomes ``path`` when the block ends well and is removed when it does not.

    It is an empty file of this process's own with a hidden name in the same folder, which is made. What was written
    is on disk before it is renamed, and the name before the block is left. What a killed writer left is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    part = path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.{secrets.token_hex(8)}.part")
    try:
        with file_named(path, part):
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))
            yield part
            sync(part)
            os.replace(part, path)
            sync(path.parent)
            messages.wrote(path)
    finally:
        with suppress(OSError):  # such as one that has become read-only
            part.unlink(missing_ok=True)


@contextmanager
def file_named(path: Path, part: Path | None = None) -> Iterator[None]:
    """Failures of the system in this block name a file, where they name none or only the part of it."""
    try:
        yield
    except OSError as error:
        if error.errno is None and (number := re.search(r"\(os error (\d+)\)", str(error))):  # as Polars tells it
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
        if error.filename is None or str(error.filename) == str(part):
            error.filename, error.filename2 = str(path), None
        raise


def sync(path: Path) -> None:
    """Have a file or the names in a folder written to disk, where the file system can."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(file)


def _sweep(path: Path) -> None:
    """Remove what killed writers of a file left beside it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.{_HOST}.*.part"):
        import psutil  # here, as most leave nothing

        writer = left.name.split(".")[-3]
        if writer.isdecimal() and int(writer) < 2**31 and not psutil.pid_exists(int(writer)):
            left.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file in one write, on a line of its own; what could be written in part is taken back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    messages.wrote(path)
    content = line.encode()
    with file_named(path):
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                content = b"\n" + content
            if os.write(file, content) < len(content):
                os.ftruncate(file, size)
                raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            os.close(file)
        sync(path)
        if not size:
            sync(path.parent)


def content_of(path: Path, last: int | None = None) -> bytes:
    """All bytes of a file, or so many at its end; OSError where it can't be read, as a named pipe, which would wait."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Not a file", str(path))
    with path.open("rb") as file:
        if last is not None:
            file.seek(max(path.stat().st_size - last, 0))
        return file.read()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty where the file holds none."""
    try:
        content = json.loads(content_of(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


@contextmanager
def only_writer(path: Path, script: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock that the system releases however the process ends; ``wait`` until another has, else HeldError.

    Where the file system has none, a file beside stands for it: removed when the block ends, and taken over by the
    next where its process was one of this machine and is gone.
    """
    from filelock import FileLock, SoftFileLock, Timeout  # not needed by --help

    path.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    lock: BaseFileLock = FileLock(path, fallback_to_soft=False)
    remedy = ""
    with file_named(path):
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                holder = " ".join(path.read_text(encoding="utf-8", errors="replace").split()) or "another process"
                if not wait:
                    workspace = path.parents[2]  # of output_ML/.locks/… and MLmodel/.locks/…
                    said = f"writes the same files; wait until it ends, or use --wait{remedy}"
                    raise HeldError(f"{workspace}: {holder} {said}") from None
                messages.note(f"waiting for {holder}")
                lock.acquire(poll_interval=_LOOK_EVERY)
            except OSError as error:
                if error.errno not in _NO_LOCKS or remedy:
                    raise
                messages.note_once(f"{path.parent}: this file system has no locks; a file stands for each")
                lock = SoftFileLock(path.with_suffix(".held"))
                remedy = f"; if it has ended, remove {lock.lock_file}"
    try:
        with file_named(path):
            path.write_text(f"{script} (process {os.getpid()} on {platform.node()}, since {now})\n", encoding="utf-8")
        yield
    finally:
        lock.release()
