"""How a step knows that nothing is new: fingerprints of files, and stamps beside outputs that say what made them."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.files import file_digest, read_json, write_text

Fingerprint = list[Any]
"""Size in bytes, time of change in ns and the SHA-256 of the content, which is looked at only where the times differ,
as in a copy of a workspace."""


def fingerprint(path: Path) -> Fingerprint:
    """Size and time of change of what stands at a path, and the digest of a file that can be read."""
    readable = path.is_file() and os.access(path, os.R_OK)
    return [*status(path), file_digest(path)] if readable else status(path)


def is_unchanged(path: Path, recorded: Fingerprint | None) -> bool:
    """Whether a file is there and has the content it had when its fingerprint was taken."""
    if not isinstance(recorded, list) or not path.exists():
        return recorded is None and not path.exists()
    now = status(path)
    if now == recorded[:2]:
        return True
    return len(recorded) == 3 and now[0] == recorded[0] and file_digest(path) == recorded[2]


def status(path: Path) -> list[int]:
    """Size and time of change of a file."""
    now = path.stat()
    return [now.st_size, now.st_mtime_ns]


class Inputs(NamedTuple):
    """All that an output depends on, as it was when the work began."""

    files: dict[Path, list[int] | None]  # size and time of change of each file; None where it is missing
    other: dict[str, Any]  # anything JSON can hold, such as the settings that matter


def made_from(files: Iterable[Path], **other: Any) -> Inputs:
    """Note files, there or missing, and settings (anything JSON can hold) that an output is about to be made from."""
    return Inputs({path: status(path) if path.exists() else None for path in files}, other)


def up_to_date(outputs: Iterable[Path], inputs: Inputs) -> bool:
    """Whether every output is there, untouched since it was made, and made from just these inputs."""
    other = json.loads(json.dumps(inputs.other))
    for output in outputs:
        stamp, now = stamp_of_unchanged(output), {_key(path, output): path for path in inputs.files}
        files = stamp.get("files")
        if (
            not isinstance(files, dict)
            or {name: value for name, value in stamp.items() if name not in ("output", "files", "result")} != other
            or set(files) != set(now)
            or not all(is_unchanged(path, files[name]) for name, path in now.items())
        ):
            return False
    return True


def unchanged_inputs(stamp: dict[str, Any], output: Path, inputs: Inputs) -> set[Path]:
    """Files that are as they were when an output was made."""
    return {path for path in inputs.files if is_unchanged(path, stamp["files"].get(_key(path, output)))}


def _key(path: Path, output: Path) -> str:
    """A file as the stamp of an output names it."""
    return os.path.relpath(path, output.parent)


def read_stamp(output: Path) -> dict[str, Any]:
    """Content of the stamp beside an output; empty where there is none, or a damaged one."""
    return read_json(_stamp(output))


def stamp_of_unchanged(output: Path) -> dict[str, Any]:
    """The stamp of a file that is as it was when it was stamped; empty where it is not."""
    stamp = read_stamp(output)
    return stamp if "output" in stamp and output.exists() and is_unchanged(output, stamp["output"]) else {}


def mark_made(outputs: Iterable[Path], inputs: Inputs, result: Any = None) -> None:
    """Leave a stamp beside every output that says what it was made from, and ``result``, what the step tells of it."""
    found: dict[Path, Fingerprint | None] = dict(inputs.files)  # of those changed since, the old time: they count so
    for path, before in inputs.files.items():
        if before and path.exists() and status(path) == before:
            found[path] = fingerprint(path)
    for output in outputs:
        files = {_key(path, output): one for path, one in found.items()}
        record = {"output": fingerprint(output), "files": files, "result": result, **inputs.other}
        write_text(_stamp(output), json.dumps(record))


def _stamp(output: Path) -> Path:
    return output.with_name(f".{output.name}.made-from.json")
