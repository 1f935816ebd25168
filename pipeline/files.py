"""Files that appear whole or not at all."""

import errno
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import UserError, short

_HOST = re.sub(r"\W", "-", platform.node())


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Name to write to; it becomes ``path`` when the block ends well and is removed when it does not.

    Parameters
    ----------
    path : Path
        The file wanted. Its folder is made.

    Yields
    ------
    Path
        A hidden name in the same folder, so that the final rename is atomic. It is this process's own: of two that
        write one file, the later to finish replaces the other's, whole. What a killed writer left is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{_escaped(path.name)}.{_HOST}.*.part"):
        if not _is_running(int(left.name.split(".")[-2])):
            left.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _escaped(name: str) -> str:
    """A file's name as a pattern that matches only itself."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file in one write, on a line of its own; what could be written only in part is taken back.

    Raises
    ------
    OSError
        If there is no space left for the whole line.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = line.encode()
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            content = b"\n" + content
        if os.write(file, content) < len(content):
            os.ftruncate(file, size)
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        os.fsync(file)
    finally:
        os.close(file)


def content_of(path: Path) -> bytes:
    """All bytes of a file; OSError where there is none that can be read, as of a named pipe, which would wait."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Not a file", str(path))
    return path.read_bytes()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    UserError
        If the file is not one.
    """
    try:
        content = json.loads(content_of(path))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: not readable as JSON ({short(error)}); remove it and run the step that made it"
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no JSON object; remove it and run the step that made it")
    return content


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
