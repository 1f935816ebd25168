"""An energy minimum as every reader hands it out: energy, positions, what its particles are, and where it stands."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glass.arrays import Array

FARTHEST = 1e6
"""Box lengths; a position further out has lost the decimals that tell where in the box it is."""


class MinimumError(Exception):
    """Why one file or frame can't be used."""


class Place(NamedTuple):
    """Where a minimum stands: a file, or a frame of one, counted from 0."""

    path: Path
    frame: int | None = None

    @property
    def name(self) -> str:
        """As in lists: ``0.2.conf``, ``many.extxyz#3``."""
        return self.path.name if self.frame is None else f"{self.path.name}#{self.frame}"


class System(NamedTuple):
    """What all minima of a glass have in common: box and particles, in order of id."""

    box: Array
    """Box lengths in σ; shape (3,)."""
    diameters: Array
    """In σ; shape (N,), as all that follow."""
    types: NDArray[np.int32]
    """As in the file; 1 where nothing tells one particle from another."""
    numbers: NDArray[np.int32]
    """Atomic numbers; 0 where no element is known."""
    masses: Array
    """In units of m; 1 where none are known."""

    def is_exactly(self, other: "System") -> bool:
        """Whether two systems are the same to the last bit."""
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in self._fields)

    def difference(self, other: "System") -> str:
        """In what two systems differ, to eight decimals; empty where they are the same."""
        if len(self.diameters) != len(other.diameters):
            return "count of particles"
        kinds = np.array_equal(self.types, other.types) and np.array_equal(self.numbers, other.numbers)
        same = {
            "box": _alike(self.box, other.box),
            "diameters": _alike(self.diameters, other.diameters),
            "species or order of species": kinds,
            "masses": _alike(self.masses, other.masses),
        }
        return next((name for name, equal in same.items() if not equal), "")

    def rounded(self) -> tuple[bytes, ...]:
        """Equal for systems between which :meth:`difference` finds none."""
        kinds = np.stack([self.types, self.numbers]).tobytes()
        return (*(np.round(one, 8).tobytes() for one in (self.box, self.diameters, self.masses)), kinds)


def _alike(one: Array, other: Array) -> bool:
    return np.array_equal(np.round(one, 8), np.round(other, 8))


class Minimum(NamedTuple):
    """One inherent structure, positions in order of id."""

    energy: float
    """Per particle, in ε."""
    positions: Array
    """In σ; shape (N, 3)."""
    system: System
    place: Place

    @property
    def name(self) -> str:
        """Of its place."""
        return self.place.name

    @property
    def box(self) -> Array:
        """Box lengths in σ; shape (3,)."""
        return self.system.box

    @property
    def diameters(self) -> Array:
        """In σ; shape (N,)."""
        return self.system.diameters


class Unusable(NamedTuple):
    """What stands in the place of a minimum where a file or frame gives none."""

    name: str
    reason: str
    try_again: bool = False
    """Whether the system failed to read it, which may pass, or be mended, with no trace on the file."""


def make_minimum(
    place: Place,
    energy: float,
    positions: Array,
    box: Array,
    diameters: Array,
    types: ArrayLike = 1,
    numbers: ArrayLike = 0,
    masses: ArrayLike = 1.0,
) -> Minimum:
    """Minimum of what a file holds, checked; arguments as the attributes of :class:`Minimum` and :class:`System`.

    Raises
    ------
    MinimumError
        If a number is not finite, a box length or a mass not above zero, or a position more than FARTHEST out.
    """
    n = len(positions)
    types, numbers, masses = np.full(n, types, np.int32), np.full(n, numbers, np.int32), np.full(n, masses, float)
    if not all(np.isfinite(values).all() for values in (diameters, positions, box, masses)):
        raise MinimumError("a number in it is not finite")
    if not (box > 0).all():
        raise MinimumError("a box length is not above zero")
    if not (masses > 0).all():
        raise MinimumError("a mass is not above zero")
    if not (np.abs(positions) <= FARTHEST * box).all():
        raise MinimumError(f"a position is more than {FARTHEST:g} box lengths out")
    if np.ptp(types) == 0 and not numbers.any() and (masses == 1).all():
        types = np.ones(n, np.int32)  # a type on its own tells nothing
    return Minimum(energy, positions, System(box, diameters, types, numbers, masses), place)


def share_systems(minima: Iterable[Minimum | Unusable]) -> list[Minimum | Unusable]:
    """Minima as they are; those of one system in a row share its arrays, which saves memory."""
    shared: list[Minimum | Unusable] = []
    last: System | None = None
    for one in minima:
        if isinstance(one, Minimum):
            if last is not None and last.is_exactly(one.system):
                one = one._replace(system=last)
            last = one.system
        shared.append(one)
    return shared
