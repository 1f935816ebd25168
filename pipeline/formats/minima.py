"""Where the minima of a glass stand, what is read there, and which of them relax_minima.py found to be none.

What was relaxed stays where it is, but no step takes it for a minimum any more: ``relaxed.csv`` beside it says what it
relaxes to, ``relaxed.extxyz`` holds what was found.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms

from pipeline.errors import UserError, short
from pipeline.files import atomic_write
from pipeline.formats.configurations import Frame, Minimum, MinimumError, Place, Unusable, make_minimum, share_systems
from pipeline.formats.csv_files import Range, line_of, read_user_csv, with_numbers
from pipeline.formats.frames import read_frames, to_atoms
from pipeline.formats.keys import largest_name, minimum_keys
from pipeline.formats.lammps import energy_in_name, is_of_one
from pipeline.stamps import status
from pipeline.workspace import AS_USUAL, ENERGIES, RELAXED, Reading, glass_of, minimum_name, minimum_paths

LARGEST_NAMED = 50.0  # energy per particle, in eV or ε, above which no material is: a larger one in a name is a total
_SAME_ENERGY = 1e-6  # relative difference up to which the energies that two places tell of a minimum are the same
FRAMES = "relaxed.extxyz"  # a frame for each minimum found: read like every other file of minima

_COLUMNS = ["name", "energy", "max_force", "became", "displacement"]
"""Columns of RELAXED: place; energy per particle by which it is known; largest force on a particle; where the minimum
is to which it relaxes, empty if it is one itself; and the total displacement between the two."""


def place_of(folder: Path, name: str, reading: Reading = AS_USUAL) -> Place:
    """The place of this name in the folder of a glass."""
    frame = re.fullmatch(r"(.+)#(\d+)", name)
    return Place(folder / frame[1], int(frame[2]), reading) if frame else Place(folder / name, None, reading)


def file_of(name: str) -> str:
    """Name of the file in the name of a place."""
    return place_of(Path(), name).path.as_posix()


def places_by_key(
    folder: Path, decimals: int, reading: Reading = AS_USUAL, used: Collection[str] = ()
) -> dict[int, Place]:
    """Places of a glass's minima by their keys; empty where there is no such glass.

    Of several with one key it is that whose name is among ``used``, those of which step 0 made the table; else, as
    there, the lowest.
    """
    found = places_with_energies(folder, reading) if folder.is_dir() else []
    ranked = sorted(((name := place.name) not in used, energy, name, place) for place, energy in found)
    good = [(energy, place) for _, energy, _, place in reversed(ranked) if abs(energy) <= largest_name(decimals)]
    keys = minimum_keys([energy for energy, _ in good], decimals).tolist()
    return dict(zip(keys, (place for _, place in good), strict=True))  # the last of a key counts


def places_with_energies(folder: Path, reading: Reading = AS_USUAL) -> list[tuple[Place, float]]:
    """Places and energies per particle of a glass's minima, without those that relax_minima.py found to be none.

    Energies of files of one minimum are those in their names, unless energies.csv tells any; no such file is read.
    """
    gone, found = superseded(folder), list[tuple[Place, float]]()
    for path in minimum_paths(folder):
        told = _energy_files(path)
        if is_of_one(path) and not told:
            named = energy_in_name(path)
            found += [] if named is None else [(Place(path, None, reading), named)]
        elif path.is_file():
            found += _frame_energies(path, reading, *(number for one in (path, *told) for number in status(one)))
    return [(place, energy) for place, energy in found if not is_superseded(gone, place.name, energy)]


@lru_cache
def _frame_energies(path: Path, reading: Reading, *changed: int) -> list[tuple[Place, float]]:
    """The usable frames of a file as it is now, which is read once, and their energies."""
    return [(one.place, one.energy) for one in _try_file(path, reading) if isinstance(one, Minimum)]


def read_place(place: Place) -> Minimum:
    """The minimum at a place, whatever its energy; raises MinimumError naming the place where there is none."""
    try:
        found, energy, _ = next(islice(read_frames(place.path, place.reading), place.frame or 0, None))()
        return make_minimum(place, (energy or 0.0) / len(found["positions"]), **found)
    except StopIteration:
        raise MinimumError(f"{place.name}: there is no such frame") from None
    except MinimumError as error:
        raise MinimumError(f"{place.name}: {error}") from None


def read_atoms(place: Place) -> Atoms:
    """A minimum as :func:`pipeline.formats.frames.to_atoms` makes it; raises MinimumError naming the place."""
    return to_atoms(read_place(place))


def read_minima(paths: Sequence[Path], reading: Reading = AS_USUAL) -> list[Minimum | Unusable]:
    """Read some files of a glass, each on its own; a job for a worker."""
    return share_systems(one for path in paths for one in _try_file(path, reading))


def _try_file(path: Path, reading: Reading) -> Iterator[Minimum | Unusable]:
    """Each frame, and what ends the file where it can't be read whole; under the file's own name if nothing can."""
    count = 0
    try:
        told: dict[int | None, float] = {}
        for file in _energy_files(path):
            told |= _read_energies(file, *status(file)).get(path.relative_to(file.parent).as_posix(), {})
        frames = read_frames(path, reading)
        some = list(islice(frames, 2))
        named = energy_in_name(path) if len(some) == 1 else None
        for frame in chain(some, frames):
            place = Place(path, None if is_of_one(path) else count, reading)
            try:
                yield _minimum(frame, place, told, named)
            except MinimumError as error:
                yield Unusable(place, str(error))
            count += 1
    except MinimumError as error:
        may_pass = path.is_file() and getattr(error.__cause__, "errno", None) is not None
        yield Unusable(Place(path, count or None), str(error), may_pass)
    else:
        if count == 0:
            yield Unusable(Place(path), "the file is empty" if not path.stat().st_size else "no minimum in it")


def _minimum(frame: Frame, place: Place, told: dict[int | None, float], named: float | None) -> Minimum:
    """The minimum of a frame with the energy that energies.csv tells, else the frame itself, else the file's name."""
    found, own, keys = frame()
    n, key = len(found["positions"]), place.reading.energy_key
    if own is not None and re.search(r"(?i)per_?(atom|particle)", key):
        own *= n
    energy = told.get(place.frame, told.get(None) if not place.frame else None)
    if energy is not None and own is not None and abs(energy - own) > _SAME_ENERGY * max(abs(energy), abs(own)):
        raise MinimumError(f"{ENERGIES} says the energy {energy:.10g}, the frame {own:.10g}: take one out")
    energy = own if energy is None else energy
    per_particle = named if energy is None else energy / n
    if per_particle is None and is_of_one(place.path):
        said = f"'{place.name}' is no number; name it {{energy}}.data, or give the total in {ENERGIES}"
        raise MinimumError(f"the name gives no energy: {said}")
    if per_particle is None:
        others = ", ".join([short(name) for name in keys if name != key][:10])
        remedy = f"name it as minima.energy_key in config.yaml: it has {others}" if others else f"give it in {ENERGIES}"
        raise MinimumError(f"the frame has no energy{f' {key}' if key else ''}; {remedy}")
    if energy is None and abs(per_particle) > LARGEST_NAMED and n > 1:
        said = f"its name says {per_particle:g} per particle, a total? Divide it by {n}; or put it into {ENERGIES}"
        raise MinimumError(said)
    if not np.isfinite(per_particle):
        raise MinimumError("the frame has no energy: it is not finite")
    return make_minimum(place, per_particle, **found)


def _energy_files(path: Path) -> list[Path]:
    """The files of energies that tell of a file: that of its glass and the one beside it, which counts."""
    both = dict.fromkeys([glass_of(path) / ENERGIES, path.with_name(ENERGIES)])
    return [file for file in both if file.exists()]


@lru_cache(maxsize=16)
def _read_energies(path: Path, *changed: int) -> dict[str, dict[int | None, float]]:
    """Total energies of a file of energies as it is now, by file and frame; it is read once."""
    table = read_user_csv(path, ["file", "energy"])
    table = table if "frame" in table else table.assign(frame=np.nan)
    table = with_numbers(path, table, {"energy": Range(), "frame": Range(0, 1e9, True, True)})
    repeated = table.duplicated(["file", "frame"])
    if repeated.any():
        raise UserError(f"{path}: line {line_of(path, int(np.argmax(repeated)))}: stands there twice; remove the line")
    found: dict[str, dict[int | None, float]] = {}
    for name, frame, energy in zip(table["file"].astype(str), table["frame"], table["energy"], strict=True):
        found.setdefault(name, {})[None if np.isnan(frame) else int(frame)] = float(energy)
    return found


def unknown_energies(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """Rows of the files of energies of a glass that name none of these places, in words."""
    there = set(names)
    for path in sorted({file for one in minimum_paths(folder) for file in _energy_files(one)}):
        for file, frames in _read_energies(path, *status(path)).items():
            name = (path.parent.relative_to(folder) / file).as_posix()
            for frame in frames:
                if not {name, f"{name}#{frame or 0}"} & there:
                    yield f"{minimum_name(path)}: {file}{'' if frame is None else f', frame {frame},'} is not there"


def as_written(name: str) -> str:
    """Name of a place as files hold it: bytes that are no UTF-8 become question marks."""
    return name.encode(errors="replace").decode()


def read_relaxed(folder: Path) -> pd.DataFrame:
    """The rows of RELAXED, every place that was looked at; none where there is no such file."""
    path = folder / RELAXED
    if not path.exists():
        return pd.DataFrame(columns=_COLUMNS)
    table = read_user_csv(path, _COLUMNS)[_COLUMNS].fillna({"became": ""}).astype({"name": str, "became": str})
    return with_numbers(path, table, {"energy": Range(), "max_force": Range()})


def add_relaxed(folder: Path, rows: Sequence[tuple[str, float, float, str | int, float]], new: Sequence[Atoms]) -> None:
    """Put minima behind those in FRAMES and rows behind those in RELAXED; each file appears whole.

    A row holds _COLUMNS; ``became`` may be a number in ``new``.
    """
    import ase.io

    path, before = folder / FRAMES, read_relaxed(folder)
    count = 0
    if new:
        frames = ase.io.read(path, ":") if path.exists() else []
        count = len(frames)
        with atomic_write(path) as part:
            ase.io.write(part, [*frames, *new], format="extxyz")
    added = pd.DataFrame(list(rows), columns=_COLUMNS)
    added["became"] = [f"{FRAMES}#{count + one}" if isinstance(one, int) else one for one in added["became"]]
    added[["name", "became"]] = added[["name", "became"]].map(as_written)
    with atomic_write(folder / RELAXED) as part:
        (pd.concat([before, added]) if len(before) else added).to_csv(part, index=False)


def superseded(folder: Path) -> dict[str, Any]:
    """Rows of RELAXED of the places that are no minima, by the name that stands there."""
    return {row.name: row for row in read_relaxed(folder).itertuples(index=False) if row.became}


def is_superseded(gone: Mapping[str, Any], name: str, energy: float) -> bool:
    """Whether a place is passed over, as it is now: its energy is that of the configuration that was relaxed."""
    known = gone.get(as_written(name))
    return known is not None and known.energy == energy
