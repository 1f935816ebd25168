"""Records of double wells calculated here, levels and profile as a line of neb_paths.jsonl, and images of their paths.

The images, as extended XYZ, are opened by ASE and OVITO.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from glass.arrays import Array, box_of, without_drift
from pipeline import __version__
from pipeline.errors import UserError
from pipeline.formats.configurations import Minimum, MinimumError, Place, make_minimum
from pipeline.formats.frames import read_frames, write_frames
from pipeline.formats.keys import Pair
from pipeline.formats.results import add_line, read_lines
from pipeline.units import OF_RESULTS, Units, check_same_units
from pipeline.workspace import StatePoint

if TYPE_CHECKING:
    from glass.path import Band
    from glass.tunnelling import Profile
    from glass.two_level import TwoLevel

_PROFILE = ("lengths", "energies", "slopes")
_BEYOND = ("distances", "energies")
WAYS = {"line": "straight line", "parabola": "parabola and walls"}  # ``beyond_ends`` by ``neb.continuation``
_LARGEST = 1e15  # above any number of a record
ROUNDED = 1e-6  # σ; images are rounded to eight decimals
SETTINGS = ("calculator", "hbar", "images", "force_tolerance", "beyond_ends")  # of a record: how it was made


def _is_record(record: Any) -> bool:
    """Whether a line holds what :func:`add_record` writes, all of it possible."""
    before, after = record["before"], record["after"]
    curves = [np.array([record[name] for name in _PROFILE], float)]
    curves += [np.array([one[name] for name in _BEYOND], float) for one in (before, after) if one]
    numbers = [record[name] for name in ("i", "j", "hbar", "path_length", "force")]
    numbers += [record.get("force_tolerance", 0), *record["levels"], *(record.get("properties") or {}).values()]
    return (
        type(record["conf"]) is int
        and 0 <= record["conf"] < 10**18
        and all(type(one) in (int, float) for one in numbers)
        and bool((np.abs(np.array(numbers, float)) < _LARGEST).all())
        and min(record["path_length"], record["force"]) >= 0 < record["hbar"]
        and len(record["levels"]) == 2
        and record["levels"][0] < record["levels"][1]
        and all(x.ndim == 2 and x.shape[1] > 2 and (np.diff(x[0]) > 0).all() for x in curves)
        and all((np.abs(x) < _LARGEST).all() for x in curves)
        and (before is None) == (after is None)
        and np.array(record["symmetrised"], float).shape == (4,)
        and isinstance(record["fidelity"], str)
        and isinstance(record["units"], str)
    )


def add_record(
    at: StatePoint, pair: Pair, levels: tuple[float, float], profile: Profile, settings: dict[str, Any]
) -> None:
    """Add the record of a double well: its two lowest levels and V(x) in the units that ``settings`` names.

    ``settings``: the ``SETTINGS``; ``fidelity``, ``units``, ``force``, ``path_length``, ``properties``; ``record_of``.
    """
    record = {**pair._asdict(), "levels": levels}
    record |= {name: getattr(profile, name).tolist() for name in _PROFILE}
    for side in ("before", "after"):  # parabolas follow from the profile itself
        record[side] = (
            None if profile.has_walls else {name: getattr(getattr(profile, side), name).tolist() for name in _BEYOND}
        )
    line = json.dumps({**record, **settings, "program": __version__})
    add_line(at.neb_paths("jsonl"), line + "\n")


def add_again(at: StatePoint, record: dict[str, Any], properties: dict[str, float]) -> None:
    """Add a record once more with further ``properties``: the last of a pair counts."""
    more = {**record.get("properties", {}), **properties}
    add_line(at.neb_paths("jsonl"), json.dumps({**record, "properties": more}) + "\n")


def profile_of_record(record: dict[str, Any]) -> Profile:
    """V(x)."""
    from glass.tunnelling import Continuation, Profile, parabolas

    lengths, energies, slopes = (np.array(record[name], float) for name in _PROFILE)
    if record["before"] is None or record["after"] is None:
        return Profile(lengths, energies, slopes, *parabolas(lengths, energies, slopes))
    before, after = (
        Continuation(*(np.array(record[side][name], float) for name in _BEYOND)) for side in ("before", "after")
    )
    return Profile(lengths, energies, slopes, before, after)


def record_of(system: TwoLevel) -> dict[str, Any]:
    """A two-level system as entries of a record; JSON has no NaN, so that null stands for it."""
    return {"symmetrised": [None if np.isnan(value) else value for value in (*system[:2], *system.in_first)]}


def two_level_of_record(record: dict[str, Any]) -> TwoLevel:
    """The two-level system as it was stored."""
    from glass.two_level import TwoLevel

    amplitude, asymmetry, first, second = np.array(record["symmetrised"], float).tolist()
    return TwoLevel(amplitude, asymmetry, (first, second))


def read_records(at: StatePoint) -> Iterator[dict[str, Any]]:
    """Records in the order of the calculations, first those of shares; raises UserError where a line is damaged."""
    for path in filter(Path.exists, [one.neb_paths("jsonl") for one in (*at.shares, at)]):
        for number, line in enumerate(read_lines(path), 1):
            try:
                record = json.loads(line)
                good = _is_record(record)
            except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
                good = False
            if not good:
                said = "is damaged or of an earlier version; remove it and run run_neb.py --refine"
                raise UserError(f"{path}: line {number} {said}")
            yield record


def check_records(at: StatePoint, units: Units) -> None:
    """Raise UserError if the record of an exact result says other units."""
    path = at.neb_paths("jsonl")
    for record in read_records(at):
        check_same_units(path, record["units"], units, OF_RESULTS)


def changed_settings(records: Iterable[dict[str, Any]], settings: dict[str, Any]) -> dict[str, list[Any]]:
    """Settings of earlier results that are not those of now: name to the values then."""
    then: dict[str, list[Any]] = {}
    for record in records:
        for name in SETTINGS:
            value = record.get(name)
            if value not in (None, settings[name], *then.get(name, [])):
                then.setdefault(name, []).append(value)
    return then


def path_file(at: StatePoint, pair: Pair) -> Path:
    """Where the images of a pair are, if they are kept."""
    return at.path(pair.text(at.decimals).replace(" ", "_"))


def write_path(at: StatePoint, pair: Pair, band: Band, minimum: Atoms, units: str = "reduced") -> None:
    """Write all images of a path with energy, forces, displacement from the first image and path length.

    ``minimum``: the pair's first, with the arrays of every image.
    """
    from ase.calculators.singlepoint import SinglePointCalculator

    images = []
    for number, (positions, x) in enumerate(zip(band.positions, band.lengths, strict=True)):
        image = minimum.copy()
        image.positions = positions
        image.set_array("displacement", positions - band.positions[0])
        image.info |= {**pair._asdict(), "image": number, "path_coordinate": float(x), "units": units}
        image.calc = SinglePointCalculator(
            image, energy=float(band.energies[number]), forces=band.forces[number].copy()
        )
        images.append(image)
    write_frames(path_file(at, pair), images)


def read_images(file: Path) -> list[Minimum]:
    """The images that a file holds; raises MinimumError naming it where it can't be read."""
    try:
        images = [make_minimum(Place(file, k), 0.0, **frame()[0]) for k, frame in enumerate(read_frames(file))]
    except MinimumError as error:
        raise MinimumError(f"{file}: {error}") from error
    if len({len(one.positions) for one in images}) != 1:
        raise MinimumError(f"{file}: no images, or not of the same number of particles")
    return images


def read_path(file: Path, start: Atoms, end: Atoms, unit: float = 1.0) -> Array | None:
    """Positions (n_images, N, 3) of the images that a file holds, in another unit of length, to begin with.

    None where it can't be read, an image is there twice in a row, or it does not lead from one of these minima, in the
    units of the file, to the other.
    """
    try:
        images = np.array([image.positions for image in read_images(file)])
    except MinimumError:
        return None
    box = box_of(start.cell.array, start.pbc)
    ends = ((images[0], start), (images[-1], end)) if images.shape[1:] == start.positions.shape else ()
    fits = [np.abs(without_drift(one, atoms.positions, box)).max() < ROUNDED for one, atoms in ends]
    moves = np.diff(images, axis=0).any(axis=(1, 2))
    return images / unit if len(fits) == 2 and all(fits) and len(images) >= 3 and moves.all() else None
