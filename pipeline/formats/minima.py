"""Where the minima of a glass stand, and what is read there."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

import numpy as np
from ase import Atoms

from pipeline.errors import UserError, short
from pipeline.formats.configurations import Frame, Minimum, MinimumError, Place, Unusable, make_minimum, share_systems
from pipeline.formats.csv_files import Range, line_of, read_user_csv, with_numbers
from pipeline.formats.frames import read_frames, to_atoms
from pipeline.formats.keys import largest_name, minimum_keys
from pipeline.formats.lammps import energy_in_name, is_of_one
from pipeline.formats.relaxed import is_superseded, superseded
from pipeline.stamps import status
from pipeline.workspace import AS_USUAL, ENERGIES, Reading, glass_of, minimum_name, minimum_paths

LARGEST_NAMED = 50.0  # energy per particle, in eV or ε, above which no material is: a larger one in a name is a total
_SAME_ENERGY = 1e-6  # relative difference up to which the energies that two places tell of a minimum are the same


def file_of(name: str) -> str:
    """Name of the file in the name of a place."""
    return name.rpartition("#")[0] or name


def place_of(folder: Path, name: str, reading: Reading = AS_USUAL) -> Place:
    """The place of this name in the folder of a glass."""
    frame = re.fullmatch(r"(.+)#(\d+)", name)
    return Place(folder / frame[1], int(frame[2]), reading) if frame else Place(folder / name, None, reading)


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
    """Places and energies per particle of a glass's minima, without those that relax_minima.py found to be none."""
    gone = superseded(folder)
    found = [one for path in minimum_paths(folder) for one in _energies(path, reading)]
    return [(place, energy) for place, energy in found if not is_superseded(gone, place.name, energy)]


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


def _state(path: Path) -> tuple[object, ...]:
    """A file, and the files of energies that tell of it, as they are now."""
    energies = (path.with_name(ENERGIES), glass_of(path) / ENERGIES)
    return tuple(tuple(status(one)) for one in (path, *energies) if one.exists())


def _energies(path: Path, reading: Reading) -> list[tuple[Place, float]]:
    """Places in a file with their energies per particle, from names without reading the file."""
    if is_of_one(path) and not path.with_name(ENERGIES).exists() and not (glass_of(path) / ENERGIES).exists():
        named = energy_in_name(path)
        return [] if named is None else [(Place(path, None, reading), named)]
    if not path.is_file():
        return []
    return [(Place(path, frame, reading), energy) for frame, energy in _frame_energies(path, reading, _state(path))]


@lru_cache
def _frame_energies(path: Path, reading: Reading, changed: object) -> list[tuple[int | None, float]]:
    """Number and energy of the usable frames of a file as it is now, which is read once."""
    return [(one.place.frame, one.energy) for one in _try_file(path, reading) if isinstance(one, Minimum)]


def _try_file(path: Path, reading: Reading) -> Iterator[Minimum | Unusable]:
    """Each frame, and what ends the file where it can't be read whole; under the file's own name if nothing can."""
    count, of_one = 0, is_of_one(path)

    def unusable(name: str, error: MinimumError) -> Unusable:
        return Unusable(name, str(error), path.is_file() and getattr(error.__cause__, "errno", None) is not None)

    try:
        told = _told_energies(path)
        frames = read_frames(path, reading)
        some = list(islice(frames, 2))
        named = energy_in_name(path) if len(some) == 1 else None
        for frame in chain(some, frames):
            place = Place(path, None if of_one else count, reading)
            try:
                yield _minimum(frame, place, told, named)
            except MinimumError as error:
                yield unusable(place.name, error)
            count += 1
    except MinimumError as error:
        yield unusable(Place(path, count or None).name, error)
    else:
        if count == 0:
            yield Unusable(minimum_name(path), "the file is empty" if not path.stat().st_size else "no minimum in it")


def _minimum(frame: Frame, place: Place, told: dict[int | None, float], named: float | None) -> Minimum:
    """The minimum of a frame with the energy that energies.csv tells, else the frame itself, else the file's name."""
    found, own, keys = frame()
    n = len(found["positions"])
    if own is not None and re.search(r"(?i)per_?(atom|particle)", place.reading.energy_key):
        own *= n
    energy = told.get(place.frame, told.get(None) if not place.frame else None)
    if energy is not None and own is not None and abs(energy - own) > _SAME_ENERGY * max(abs(energy), abs(own)):
        raise MinimumError(f"{ENERGIES} says the energy {energy:.10g}, the frame {own:.10g}: take one out")
    energy = own if energy is None else energy
    per_particle = named if energy is None else energy / n
    if per_particle is None:
        raise MinimumError(_without_energy(place, keys))
    if energy is None and abs(per_particle) > LARGEST_NAMED and n > 1:
        said = f"its name says {per_particle:g} per particle, a total? Divide it by {n}; or put it into {ENERGIES}"
        raise MinimumError(said)
    if not np.isfinite(per_particle):
        raise MinimumError("the frame has no energy: it is not finite")
    return make_minimum(place, per_particle, **found)


def _without_energy(place: Place, keys: list[str]) -> str:
    """Why nothing tells the energy, and what to do; ``keys`` may be names of it."""
    if is_of_one(place.path):
        name = minimum_name(place.path)
        return (
            f"the name gives no energy: '{name}' is no number; name it {{energy}}.data, or give the total in {ENERGIES}"
        )
    key = place.reading.energy_key
    others = [name for name in keys if name != key]
    remedy = f"give it in {ENERGIES}"
    if others:
        remedy = f"name it as minima.energy_key in config.yaml: it has {', '.join(map(short, others[:10]))}"
    return f"the frame has no energy{f' {key}' if key else ''}; {remedy}"


def _told_energies(path: Path) -> dict[int | None, float]:
    """Total energies of the frames of a file by their numbers, from energies.csv beside it, or beside its folder."""
    told: dict[int | None, float] = {}
    for file in dict.fromkeys([glass_of(path) / ENERGIES, path.with_name(ENERGIES)]):  # the latter counts
        if file.exists():
            told |= _energies_in(file).get(path.relative_to(file.parent).as_posix(), {})
    return told


def _energies_in(path: Path) -> dict[str, dict[int | None, float]]:
    """Total energies of a file of energies as it is now, by file and frame; it is read once."""
    return _read_energies(path, tuple(status(path)))


@lru_cache(maxsize=16)
def _read_energies(path: Path, changed: object) -> dict[str, dict[int | None, float]]:
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
    for path in sorted({folder / ENERGIES, *(one.with_name(ENERGIES) for one in minimum_paths(folder))}):
        for file, frames in _energies_in(path).items() if path.exists() else ():
            name = (path.parent.relative_to(folder) / file).as_posix()
            for frame in frames:
                if not {name, f"{name}#{frame or 0}"} & there:
                    yield f"{minimum_name(path)}: {file}{'' if frame is None else f', frame {frame},'} is not there"
