"""The minima of one glass, and the checks that they must pass together."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from glass.arrays import Array
from glass.features import largest_displacement
from pipeline.formats.frames import minimum_of, read_frame, read_frames
from pipeline.formats.glass_files import minimum_paths
from pipeline.formats.keys import can_be_key, minimum_keys
from pipeline.formats.lammps import OF_ONE, Minimum, MinimumError, energy_in_name, read_minimum
from pipeline.formats.relaxed import superseded

REPEATED = 1e-10
"""σ; a minimum is a repetition of another if no particle is displaced by as much."""


@dataclass(frozen=True)
class Glass:
    """The usable minima of one glass, lowest energy first.

    Attributes
    ----------
    files : list of str, n_minima
        The names of their places (:class:`Place`).
    energies : ndarray of shape (n_minima,)
        Energy per particle in ε, as in the files' names or frames.
    keys : ndarray of int64, shape (n_minima,)
        The same in units of 10^-ij_decimals.
    positions : ndarray of shape (n_minima, 3, N)
        In σ, wrapped into the box.
    box : ndarray of shape (3,)
        Box lengths in σ.
    """

    files: list[str]
    energies: Array
    keys: NDArray[np.int64]
    positions: Array
    box: Array

    @property
    def n_particles(self) -> int:
        """N."""
        return int(self.positions.shape[2])


class Place(NamedTuple):
    """Where a minimum stands: a file, or a frame of one, counted from 0."""

    path: Path
    frame: int | None = None

    @property
    def name(self) -> str:
        """As in lists: ``0.2.conf``, ``many.extxyz#3``."""
        return self.path.name if self.frame is None else f"{self.path.name}#{self.frame}"


def file_of(name: str) -> str:
    """Name of the file in the name of a place."""
    return name.rpartition("#")[0] or name


class ReadMinimum(NamedTuple):
    """What was read at a place: a minimum and its energy per particle in ε, or the reason why there is none."""

    name: str
    energy: float
    minimum: Minimum | None
    reason: str
    try_again: bool = False
    """Whether the system failed to read it, which may pass, or be mended, with no trace on the file."""


def places_by_key(folder: Path, decimals: int) -> dict[int, Place]:
    """Places of a glass's minima by their keys; empty where there is no such glass."""
    places: dict[int, Place] = {}
    for place, energy in places_with_energies(folder) if folder.is_dir() else []:
        if can_be_key(energy, decimals):
            places.setdefault(int(minimum_keys(energy, decimals)), place)
    return places


def places_with_energies(folder: Path) -> list[tuple[Place, float]]:
    """Places and energies per particle of a glass's minima, without those that relax_minima.py found to be none."""
    gone = superseded(folder)
    return [
        (place, energy)
        for path in minimum_paths(folder)
        for place, energy in _energies(path)
        if place.name not in gone or gone[place.name].energy != energy
    ]


def without_superseded(read: Iterable[ReadMinimum], folder: Path) -> list[ReadMinimum]:
    """Minima as they were read, those that relax_minima.py found to be none with the reason in place of the minimum."""
    gone = superseded(folder)
    return [
        one._replace(minimum=None, reason=gone[one.name].reason)
        if one.name in gone and gone[one.name].energy == one.energy
        else one
        for one in read
    ]


def read_place(place: Place) -> Minimum:
    """The minimum at a place; raises MinimumError where there is no usable one."""
    return read_minimum(place.path) if place.frame is None else read_frame(place.path, place.frame)


def _energies(path: Path) -> list[tuple[Place, float]]:
    """Places in a file, with the energy per particle in ε that its name or its frames tell."""
    if path.name.endswith(OF_ONE):
        try:
            return [(Place(path), energy_in_name(path))]
        except MinimumError:
            return []
    if not path.is_file():
        return []
    status = path.stat()
    energies = _frame_energies(path, status.st_size, status.st_mtime_ns)
    return [(Place(path, frame), energy) for frame, energy in energies]


@lru_cache
def _frame_energies(path: Path, size: int, changed: int) -> list[tuple[int, float]]:
    """Number and energy of the usable frames of a file as it is now, which is read once."""
    frames = enumerate(_try_frames(path))
    return [(frame, one.energy) for frame, one in frames if one.minimum is not None]


def read_minima(paths: Sequence[Path]) -> list[ReadMinimum]:
    """Read some files of a glass, each on its own; a job for a worker."""
    return [one for path in paths for one in _try_file(path)]


def any_minimum(folder: Path) -> Minimum | None:
    """The first usable minimum of a glass, for what all of them share; None where there is none."""
    read = (one.minimum for path in minimum_paths(folder) for one in _try_file(path))
    return next((minimum for minimum in read if minimum is not None), None)


def _try_file(path: Path) -> Iterable[ReadMinimum]:
    return [_try_minimum(path)] if path.name.endswith(OF_ONE) else _try_frames(path)


def _try_minimum(path: Path) -> ReadMinimum:
    try:
        return ReadMinimum(path.name, energy_in_name(path), read_minimum(path), "")
    except MinimumError as error:
        return ReadMinimum(path.name, np.nan, None, str(error), _system_failed(path, error))


def _try_frames(path: Path) -> Iterator[ReadMinimum]:
    """Each frame, and what ends the file where it can't be read whole; under the file's own name if nothing can."""
    frame = 0
    try:
        for atoms in read_frames(path):
            name = Place(path, frame).name
            try:
                yield ReadMinimum(name, *minimum_of(atoms), "")
            except MinimumError as error:
                yield ReadMinimum(name, np.nan, None, str(error))
            frame += 1
    except MinimumError as error:
        yield ReadMinimum(Place(path, frame or None).name, np.nan, None, str(error), _system_failed(path, error))
    else:
        if frame == 0:
            yield ReadMinimum(path.name, np.nan, None, "no frame in it")


def _system_failed(path: Path, error: MinimumError) -> bool:
    return path.is_file() and getattr(error.__cause__, "errno", None) is not None


def load_glass(files: Iterable[ReadMinimum], decimals: int) -> tuple[Glass | None, dict[str, str]]:
    """Bring together the minima of one glass and leave out those that can't be used.

    Parameters
    ----------
    files : iterable of ReadMinimum
        As :func:`read_minima` gives them.
    decimals : int
        Two minima are told apart by their energy per particle, rounded so.

    Returns
    -------
    glass : Glass or None
        None where no file is usable.
    rejected : dict of str to str
        Name of the place to reason.
    """
    rejected: dict[str, str] = {}
    read: list[tuple[float, str, Minimum]] = []
    for name, energy, minimum, reason, _ in files:
        if minimum is None:
            rejected[name] = reason
        elif not can_be_key(energy, decimals):
            rejected[name] = f"its energy {energy:g} is too large to have {decimals} decimals (ij_decimals)"
        else:
            read.append((energy, name, minimum))
    read.sort(key=lambda one: one[:2])
    read = _of_one_system(read, rejected)
    read = _with_own_label(read, decimals, rejected)
    if not read:
        return None, rejected
    box = read[0][2].box
    positions = np.empty((len(read), 3, len(read[0][2].diameters)))
    for k, (_, _, minimum) in enumerate(read):
        positions[k] = np.mod(minimum.positions, box).T
    keep = _at_own_place(positions, box, [name for _, name, _ in read], rejected)
    energies = np.array([read[k][0] for k in keep])
    glass = Glass(
        files=[read[k][1] for k in keep],
        energies=energies,
        keys=minimum_keys(energies, decimals),
        positions=positions if len(keep) == len(read) else positions[keep],
        box=box,
    )
    return glass, rejected


_SYSTEM = ("count of particles", "box", "diameters", "species or order of species", "masses")
_Read = list[tuple[float, str, Minimum]]


def _of_one_system(read: _Read, rejected: dict[str, str]) -> _Read:
    """Keep the minima with the count of particles, box, diameters and species that most of them have."""

    def system(minimum: Minimum) -> tuple[int, bytes, bytes, bytes, bytes]:
        box, diameters = np.round(minimum.box, 8).tobytes(), np.round(minimum.diameters, 8).tobytes()
        if minimum.species is None:
            return len(minimum.diameters), box, diameters, b"", b""
        types, numbers, masses = minimum.species
        kinds = np.stack([types, numbers]).tobytes()
        return len(minimum.diameters), box, diameters, kinds, np.round(masses, 8).tobytes()

    if not read:
        return read
    systems = [system(minimum) for _, _, minimum in read]
    usual = Counter(systems).most_common(1)[0][0]
    for (_, name, _), found in zip(read, systems, strict=True):
        if found != usual:
            differs = _SYSTEM[[a == b for a, b in zip(found, usual, strict=True)].index(False)]
            rejected[name] = f"another {differs} than most minima of this glass"
    return [one for one in read if one[1] not in rejected]


def _with_own_label(read: _Read, decimals: int, rejected: dict[str, str]) -> _Read:
    owner: dict[int, str] = {}
    for energy, name, _ in read:
        key = int(minimum_keys(energy, decimals))
        if key in owner:
            rejected[name] = f"the same energy to {decimals} decimals as {owner[key]}"
        else:
            owner[key] = name
    return [one for one in read if one[1] not in rejected]


def _at_own_place(positions: Array, box: Array, names: list[str], rejected: dict[str, str]) -> list[int]:
    """Indices of the minima that are not a repetition of one with lower energy.

    Minima at the same place share the place of their first particle; a k-d tree finds those candidates without
    looking at all pairs.
    """
    first = positions[:, :, 0].copy()
    first[first >= box] = 0.0
    pairs = cKDTree(first, boxsize=box).query_pairs(REPEATED, output_type="ndarray")
    pairs = pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]
    same = pairs[largest_displacement(positions, box, pairs[:, 0], pairs[:, 1]) < REPEATED]
    for one, other in same:
        if names[one] not in rejected:
            rejected.setdefault(names[other], f"the same place as {names[one]}")
    return [k for k, name in enumerate(names) if name not in rejected]
