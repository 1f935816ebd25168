"""Writing the results of exact calculations: a line at a time, whole or not at all, each pair once."""

import csv
import fcntl
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from MLmodel.errors import UserError
from MLmodel.keys import Pair
from MLmodel.workspace import Workspace


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock that the system takes back however the process ends; UserError if another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which, unlike flock, no worker inherits
        except (BlockingIOError, PermissionError):
            raise UserError(f"{path.parent}: another run_neb.py writes there; wait until it ends or stop it") from None
        yield


def add_non_dw(workspace: Workspace, temperature: str, pair: Pair) -> None:
    """Write that a pair is no double well."""
    _append(workspace.non_dw(temperature), f"{pair}\n")


def add_double_well(
    workspace: Workspace, temperature: str, pair: Pair, levels: tuple[float, float], profile: dict[str, Any]
) -> None:
    """Write the splitting of a double well, and first its profile: what has a verdict is not calculated again.

    Parameters
    ----------
    workspace, temperature, pair
        Where, and of which pair.
    levels : tuple of float
        The two lowest in ε.
    profile : dict of str to list of float
        ``lengths`` in σ, ``energies`` in ε and ``slopes`` in ε/σ, of each image.
    """
    record = {**pair._asdict(), "levels": levels, **profile}
    _append(workspace.neb_paths(temperature, "jsonl"), json.dumps(record) + "\n")
    _append(workspace.new_splittings(temperature), f"{pair} {levels[1] - levels[0]!r}\n")


def add_unfinished(workspace: Workspace, temperature: str, pair: Pair, reason: str) -> None:
    """Write why the exact calculation of a pair told nothing."""
    path = workspace.unfinished(temperature)
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        writer.writerow([*Pair._fields, "reason"])
    writer.writerow([pair.conf, float(pair.i), float(pair.j), reason])
    _append(path, line.getvalue())


def read_profiles(workspace: Workspace, temperature: str) -> Iterator[dict[str, Any]]:
    """Pair, levels and profile of the double wells that were calculated here, in the order of the calculations."""
    path = workspace.neb_paths(temperature, "jsonl")
    if not path.exists():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                whole = _is_whole(record)
            except (ValueError, TypeError, KeyError):
                whole = False
            if not whole:
                raise UserError(f"{path}: line {number} is damaged; remove the line or the file")
            yield record


def _is_whole(record: dict[str, Any]) -> bool:
    low, high = map(float, record["levels"])
    images = np.array([record[name] for name in ("lengths", "energies", "slopes")], float)
    return low < high and images.ndim == 2 and images.shape[1] >= 3 and {*Pair._fields} <= {*record}


def _append(path: Path, line: str) -> None:
    """Add a line in one write, on a line of its own; what could be written only in part is taken back."""
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
