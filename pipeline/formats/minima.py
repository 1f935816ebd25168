"""The minima of one glass, and the checks that they must pass together."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from glass.arrays import Array
from glass.features import largest_displacement
from pipeline.formats.configurations import Minimum, MinimumError, Place, Unusable, share_systems
from pipeline.formats.frames import minimum_of, read_frame, read_frames, to_atoms
from pipeline.formats.keys import can_be_key, minimum_keys
from pipeline.formats.lammps import OF_ONE, energy_in_name, read_minimum
from pipeline.formats.relaxed import Superseded, as_written, superseded
from pipeline.workspace import minimum_paths

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


def file_of(name: str) -> str:
    """Name of the file in the name of a place."""
    return name.rpartition("#")[0] or name


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
    found = [one for path in minimum_paths(folder) for one in _energies(path)]
    return [(place, energy) for place, energy in found if _superseded_by(gone, place.name, energy) is None]


def without_superseded(read: Iterable[Minimum | Unusable], folder: Path) -> list[Minimum | Unusable]:
    """Minima as they were read, those that relax_minima.py found to be none with the reason in their place."""
    gone = superseded(folder)

    def kept(one: Minimum | Unusable) -> Minimum | Unusable:
        known = _superseded_by(gone, one.name, one.energy) if isinstance(one, Minimum) else None
        return one if known is None else Unusable(one.name, known.reason)

    return [kept(one) for one in read]


def _superseded_by(gone: dict[str, Superseded], name: str, energy: float) -> Superseded | None:
    known = gone.get(as_written(name))
    return known if known is not None and known.energy == energy else None


def read_place(place: Place) -> Minimum:
    """The minimum at a place; raises MinimumError where there is no usable one."""
    return read_minimum(place.path) if place.frame is None else read_frame(place)


def read_atoms(place: Place) -> Atoms:
    """A minimum as :func:`pipeline.formats.frames.to_atoms` makes it; raises MinimumError naming the place."""
    try:
        return to_atoms(read_place(place))
    except MinimumError as error:
        raise MinimumError(f"{place.name}: {error}") from None


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
    return [(one.place.frame or 0, one.energy) for one in _try_frames(path) if isinstance(one, Minimum)]


def read_minima(paths: Sequence[Path]) -> list[Minimum | Unusable]:
    """Read some files of a glass, each on its own; a job for a worker."""
    return share_systems(one for path in paths for one in _try_file(path))


def any_minimum(folder: Path) -> Minimum | None:
    """The first usable minimum of a glass, for what all of them share; None where there is none."""
    read = (one for path in minimum_paths(folder) for one in _try_file(path))
    return next((one for one in read if isinstance(one, Minimum)), None)


def _try_file(path: Path) -> Iterable[Minimum | Unusable]:
    return [_try_minimum(path)] if path.name.endswith(OF_ONE) else _try_frames(path)


def _try_minimum(path: Path) -> Minimum | Unusable:
    try:
        return read_minimum(path)
    except MinimumError as error:
        return Unusable(path.name, str(error), _system_failed(path, error))


def _try_frames(path: Path) -> Iterator[Minimum | Unusable]:
    """Each frame, and what ends the file where it can't be read whole; under the file's own name if nothing can."""
    frame = 0
    try:
        for atoms in read_frames(path):
            place = Place(path, frame)
            try:
                yield minimum_of(atoms, place)
            except MinimumError as error:
                yield Unusable(place.name, str(error))
            frame += 1
    except MinimumError as error:
        yield Unusable(Place(path, frame or None).name, str(error), _system_failed(path, error))
    else:
        if frame == 0:
            yield Unusable(path.name, "no frame in it")


def _system_failed(path: Path, error: MinimumError) -> bool:
    return path.is_file() and getattr(error.__cause__, "errno", None) is not None


def load_glass(found: Iterable[Minimum | Unusable], decimals: int) -> tuple[Glass | None, dict[str, str]]:
    """Bring together the minima of one glass and leave out those that can't be used.

    Parameters
    ----------
    found : iterable of Minimum or Unusable
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
    minima: list[Minimum] = []
    for one in found:
        if isinstance(one, Unusable):
            rejected[one.name] = one.reason
        elif not can_be_key(one.energy, decimals):
            rejected[one.name] = f"its energy {one.energy:g} is too large to have {decimals} decimals (ij_decimals)"
        else:
            minima.append(one)
    minima.sort(key=lambda one: (one.energy, one.name))
    minima = _of_one_system(minima, rejected)
    minima = _with_own_label(minima, decimals, rejected)
    if not minima:
        return None, rejected
    box = minima[0].box
    positions = np.empty((len(minima), 3, len(minima[0].positions)))
    for k, one in enumerate(minima):
        positions[k] = np.mod(one.positions, box).T
    keep = _at_own_place(positions, box, [one.name for one in minima], rejected)
    energies = np.array([minima[k].energy for k in keep])
    glass = Glass(
        files=[minima[k].name for k in keep],
        energies=energies,
        keys=minimum_keys(energies, decimals),
        positions=positions if len(keep) == len(minima) else positions[keep],
        box=box,
    )
    return glass, rejected


def _of_one_system(minima: list[Minimum], rejected: dict[str, str]) -> list[Minimum]:
    """Keep the minima with the count of particles, box, diameters and species that most of them have."""
    kinds = [one.system.rounded() for one in minima]
    counts = Counter(kinds)
    if len(counts) < 2:
        return minima
    most = counts.most_common(1)[0][0]
    usual = minima[kinds.index(most)].system
    for one, kind in zip(minima, kinds, strict=True):
        if kind != most:
            rejected[one.name] = f"another {usual.difference(one.system)} than most minima of this glass"
    return [one for one in minima if one.name not in rejected]


def _with_own_label(minima: list[Minimum], decimals: int, rejected: dict[str, str]) -> list[Minimum]:
    owner: dict[int, str] = {}
    for one in minima:
        first = owner.setdefault(int(minimum_keys(one.energy, decimals)), one.name)
        if first != one.name:
            rejected[one.name] = f"the same energy to {decimals} decimals as {first}"
    return [one for one in minima if one.name not in rejected]


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
