"""Files that appear whole or not at all, and the stamps that tell whether an output is up to date."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import UserError


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
        A hidden name in the same folder, so that the final rename is atomic.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


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
            raise OSError(28, "No space left on device", str(path))
        os.fsync(file)
    finally:
        os.close(file)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    UserError
        If the file is not one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not readable as JSON ({error}); remove it and run the step that made it") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no JSON object; remove it and run the step that made it")
    return content


def fingerprint(path: Path) -> list[int]:
    """Size in bytes and time of change in ns: equal as long as nobody wrote to the file."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def made_from(inputs: Iterable[Path], **other: Any) -> dict[str, Any]:
    """Record of all an output depends on: the files' fingerprints and whatever else is given.

    Parameters
    ----------
    inputs : iterable of Path
        Files that are read; one that is missing is recorded as missing.
    **other
        Anything JSON can hold, such as the settings that matter.
    """
    files = {path.name: fingerprint(path) if path.exists() else None for path in inputs}
    return {"files": files, **other}


def _stamp(output: Path) -> Path:
    return output.with_name(f".{output.name}.made-from.json")


def up_to_date(outputs: Iterable[Path], record: dict[str, Any]) -> bool:
    """Whether every output is there, untouched since it was made, and made from just this record."""
    for output in outputs:
        stamp = _stamp(output)
        if not output.exists() or not stamp.exists():
            return False
        if read_json(stamp) != json.loads(json.dumps({"output": fingerprint(output), **record})):
            return False
    return True


def mark_made(outputs: Iterable[Path], record: dict[str, Any]) -> None:
    """Leave a stamp beside every output that says what it was made from."""
    for output in outputs:
        write_text(_stamp(output), json.dumps({"output": fingerprint(output), **record}))
