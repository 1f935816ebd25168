"""neb_paths.jsonl: a line for each double well that was calculated here, with its levels and its path's profile."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.files import append_line
from pipeline.formats.keys import Pair
from pipeline.units import REDUCED, Units, check_same_units
from pipeline.version import __version__
from pipeline.workspace import StatePoint

if TYPE_CHECKING:
    from glass.tunnelling import Profile
    from glass.two_level import TwoLevel

_PROFILE = ("lengths", "energies", "slopes")
_BEYOND = ("distances", "energies")
_POSITIVE = ("hbar", "path_length", "force")

_LARGEST = 1e15
"""No number of a record is larger, in any unit."""

SETTINGS = {"calculator": None, "hbar": None, "images": None, "force_tolerance": None, "beyond_ends": "parabola"}
"""What of a record tells how the result was made, and what it was where a record does not tell (None: unknown)."""


def add_record(
    at: StatePoint, pair: Pair, levels: tuple[float, float], profile: Profile, settings: dict[str, Any]
) -> None:
    """Add the record of a double well; the program's version is added.

    Parameters
    ----------
    workspace, temperature, pair
        Of what.
    levels : tuple of float
        The two lowest, in the unit of energy of the settings, like all that follows.
    profile : Profile
        V(x).
    settings : dict
        The ``SETTINGS`` and what else is to be known.
    """
    record = {**pair._asdict(), "levels": levels}
    record |= {name: getattr(profile, name).tolist() for name in _PROFILE}
    for side in ("before", "after"):
        record[side] = {name: getattr(getattr(profile, side), name).tolist() for name in _BEYOND}
    line = json.dumps({**record, **settings, "program": __version__})
    append_line(at.neb_paths("jsonl"), line + "\n")


def profile_of_record(record: dict[str, Any]) -> Profile | None:
    """V(x); None for a record of 0.1, which does not tell how V went on beyond the ends."""
    from glass.tunnelling import Continuation, Profile

    if "before" not in record:
        return None
    before, after = (Continuation(*_numbers(record[side], _BEYOND)) for side in ("before", "after"))
    lengths, energies, slopes = _numbers(record, _PROFILE)
    return Profile(lengths, energies, slopes, before, after)


def record_of(system: TwoLevel) -> dict[str, Any]:
    """A two-level system as entries of a record; JSON has no NaN, so that null stands for it."""
    return {"symmetrised": [None if np.isnan(value) else value for value in (*system[:2], *system.in_first)]}


def two_level_of_record(record: dict[str, Any], hbar: float) -> TwoLevel | None:
    """Stored with the record, else calculated from it with its own ħ̃ or the one given; None for a record of 0.1.

    Some records hold ``two_level`` instead, whose Δ₀ is that of the well as it is; it is calculated anew.
    """
    from glass.two_level import TwoLevel, two_level

    if "symmetrised" in record:
        amplitude, asymmetry, first, second = np.array(record["symmetrised"], float).tolist()
        return TwoLevel(amplitude, asymmetry, (first, second))
    profile = profile_of_record(record)
    if profile is None:
        return None
    return two_level(profile, (record["levels"][0], record["levels"][1]), record.get("hbar") or hbar)


def read_records(at: StatePoint) -> Iterator[dict[str, Any]]:
    """Records as :func:`add_record` takes them, in the order of the calculations; first those of shares.

    Raises
    ------
    UserError
        If a line is damaged.
    """
    for share in at.shares:
        yield from _read_own_records(share.neb_paths("jsonl"))
    yield from _read_own_records(at.neb_paths("jsonl"))


def _read_own_records(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    if not path.is_file():
        raise UserError(f"{path}: not a file; remove it")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                complete = _is_complete(record)
            except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
                complete = False
            if not complete:
                raise UserError(f"{path}: line {number} is damaged; remove the line or the file")
            yield record


def check_records(at: StatePoint, units: Units) -> None:
    """Raise UserError if the record of an exact result says other units; those of 0.1 say nothing: reduced."""
    path = at.neb_paths("jsonl")
    for record in read_records(at):
        remedy = "put these units there, or begin in another workspace"
        check_same_units(path, record.get("units", REDUCED.name), units, remedy)


def changed_settings(records: Iterable[dict[str, Any]], settings: dict[str, Any]) -> dict[str, list[Any]]:
    """Settings of earlier results that are not those of now: name to the values then; older records do not tell."""
    then: dict[str, list[Any]] = {}
    for record in records:
        for name, otherwise in SETTINGS.items():
            value = record.get(name, otherwise)
            if value not in (None, settings[name], *then.get(name, [])):
                then.setdefault(name, []).append(value)
    return then


def _is_complete(record: dict[str, Any]) -> bool:
    """Whether a record holds all that is read from it, in numbers that it can have."""
    low, high = map(float, record["levels"])
    parts = [_numbers(record, _PROFILE)]
    if "before" in record:
        parts += [_numbers(record[side], _BEYOND) for side in ("before", "after")]
    told = np.array(record.get("symmetrised", [None] * 4), float)
    pair = Pair(*(record[name] for name in Pair._fields))
    alone = [pair.i, pair.j, low, high, *(float(record[name]) for name in _POSITIVE if record.get(name) is not None)]
    return (
        type(pair.conf) is int
        and 0 <= pair.conf < 10**18
        and low < high
        and record.get("hbar") != 0
        and told.shape == (4,)
        and all(part.ndim == 2 and part.shape[1] >= 3 for part in parts)
        and all((np.abs(part) < _LARGEST).all() and (np.diff(part[0]) > 0).all() for part in parts)
        and bool((np.abs(alone) < _LARGEST).all() and (np.array(alone[4:]) >= 0).all())
        and all(isinstance(record.get(name, ""), str) for name in ("fidelity", "units"))
    )


def _numbers(record: dict[str, Any], names: tuple[str, ...]) -> NDArray[np.float64]:
    """Some entries of a record, one a row."""
    return np.array([record[name] for name in names], float)
