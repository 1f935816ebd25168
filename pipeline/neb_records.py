"""neb_paths.jsonl: a line for each double well that was calculated here, with its levels and its path's profile."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.files import append_line
from pipeline.keys import Pair
from pipeline.version import __version__
from pipeline.workspace import Workspace

_PROFILE = ("lengths", "energies", "slopes")

SETTINGS = ("calculator", "hbar", "images", "force_tolerance")
"""What of a record tells how the result was made."""


def add_record(workspace: Workspace, temperature: str, record: dict[str, Any]) -> None:
    """Add the record of a double well.

    Parameters
    ----------
    workspace, temperature
        Where.
    record : dict
        ``conf``, ``i``, ``j``; ``levels``, the two lowest in ε; ``lengths`` in σ, ``energies`` in ε and ``slopes`` in
        ε/σ of each image; and the ``SETTINGS``: calculator, ħ̃, images, force tolerance in ε/σ. The program's version is
        added.
    """
    line = json.dumps({**record, "program": __version__})
    append_line(workspace.neb_paths(temperature, "jsonl"), line + "\n")


def read_records(workspace: Workspace, temperature: str) -> Iterator[dict[str, Any]]:
    """Records as :func:`add_record` takes them, in the order of the calculations.

    Raises
    ------
    UserError
        If a line is damaged.
    """
    path = workspace.neb_paths(temperature, "jsonl")
    if not path.exists():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                complete = _is_complete(record)
            except (ValueError, TypeError, KeyError):
                complete = False
            if not complete:
                raise UserError(f"{path}: line {number} is damaged; remove the line or the file")
            yield record


def changed_settings(records: Iterable[dict[str, Any]], settings: dict[str, Any]) -> dict[str, list[Any]]:
    """Settings of earlier results that are not those of now: name to the values then; older records do not tell."""
    then: dict[str, list[Any]] = {}
    for record in records:
        for name in SETTINGS:
            if name in record and record[name] != settings[name] and record[name] not in then.get(name, []):
                then.setdefault(name, []).append(record[name])
    return then


def _is_complete(record: dict[str, Any]) -> bool:
    low, high = map(float, record["levels"])
    images = np.array([record[name] for name in _PROFILE], float)
    return low < high and images.ndim == 2 and images.shape[1] >= 3 and {*Pair._fields} <= {*record}
