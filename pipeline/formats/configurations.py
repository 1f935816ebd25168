"""An energy minimum as every reader hands it out: energy, positions, what its particles are, and where it stands."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glass.arrays import ROUNDED, Array, box_of, difference_of_cells, vectors_of
from pipeline.workspace import AS_USUAL, Reading, minimum_name

FARTHEST = 1e6  # box lengths; a position further out has lost the decimals that tell where in the box it is


class MinimumError(Exception):
    """Why one file or frame can't be used."""


class Place(NamedTuple):
    """Where a minimum stands: a file, or a frame of one, counted from 0."""

    path: Path
    frame: int | None = None
    reading: Reading = AS_USUAL

    @property
    def name(self) -> str:
        """As in lists: ``0.2.conf``, ``many.extxyz#3``, ``min_0001/OUTCAR#0``."""
        name = minimum_name(self.path)
        return name if self.frame is None else f"{name}#{self.frame}"


class System(NamedTuple):
    """Cell and particles, in order of id: common to all minima of a glass."""

    cell: Array  # vectors as rows in σ; shape (3, 3)
    pbc: NDArray[np.bool_]  # true where they repeat; shape (3,)
    diameters: Array  # in σ; shape (N,), as all that follow
    types: NDArray[np.int32]  # as in the file; 1 where nothing tells one particle from another
    numbers: NDArray[np.int32]  # atomic numbers; 0 where no element is known
    masses: Array  # in units of m; 1 where none are known
    charges: Array  # for the calculator; 0 where none are known
    ids: NDArray[np.int64]  # from the file; 0 where it has none

    @property
    def particle_ids(self) -> NDArray[np.int64]:
        """The ids by which results name particles: those of the file, else from 1 in its order; shape (N,)."""
        return self.ids if self.ids.any() else np.arange(1, len(self.ids) + 1)

    def difference(self, other: "System") -> str:
        """In what two systems differ, in words, apart from what formats round; empty where they are the same."""
        if len(self.diameters) != len(other.diameters):
            return f"count of particles ({len(other.diameters)}, not {len(self.diameters)})"

        def alike(one: Array, two: Array) -> bool:  # apart from what formats round of the largest number
            return bool(np.abs(one - two).max() <= ROUNDED * max(np.abs(one).max(), np.abs(two).max()))

        kinds = np.array_equal(self.types, other.types) and np.array_equal(self.numbers, other.numbers)
        same = {
            "species or order of species": kinds,
            "diameters": alike(self.diameters, other.diameters),
            "masses": alike(self.masses, other.masses),
            "charges": alike(self.charges, other.charges),
            "ids of particles": np.array_equal(self.ids, other.ids) or not (self.ids.any() and other.ids.any()),
            "periodic directions": self.pbc.sum() == other.pbc.sum(),
        }
        first = next((name for name, equal in same.items() if not equal), "")
        if first:
            return first
        if np.array_equal(self.cell, other.cell) and np.array_equal(self.pbc, other.pbc):
            return ""
        by = difference_of_cells(*(vectors_of(box_of(one.cell, one.pbc)) for one in (self, other)))
        return f"box (by {by:.2g} of its size; quench all minima of a glass in one box)" if by > ROUNDED else ""


class Minimum(NamedTuple):
    """One inherent structure, positions in order of id."""

    energy: float  # per particle, in ε
    positions: Array  # in σ; shape (N, 3)
    system: System
    place: Place

    @property
    def name(self) -> str:
        """Name of its place."""
        return self.place.name

    @property
    def box(self) -> Array:
        """Box of its cell, see :func:`glass.arrays.box_of`."""
        return box_of(self.system.cell, self.system.pbc)

    @property
    def diameters(self) -> Array:
        """In σ; shape (N,)."""
        return self.system.diameters


FrameContent = tuple[dict[str, Any], float | None, list[str]]
"""Arguments of :func:`make_minimum` but place and energy; total energy if the frame tells it; names of what may be."""

Frame = Callable[[], FrameContent]
"""Reads a frame; raises MinimumError where something in it is wrong."""


class Unusable(NamedTuple):
    """A file or frame that gives no minimum."""

    place: Place
    reason: str
    try_again: bool = False  # whether the system failed to read it, which may pass, or be mended, without a trace on it

    @property
    def name(self) -> str:
        """Name of its place."""
        return self.place.name


def make_minimum(
    place: Place,
    energy: float,
    positions: Array,
    cell: Array,
    diameters: ArrayLike = 1.0,
    types: ArrayLike = 1,
    numbers: ArrayLike = 0,
    masses: ArrayLike = 1.0,
    charges: ArrayLike = 0.0,
    ids: ArrayLike | None = None,
    pbc: ArrayLike = True,
) -> Minimum:
    """Minimum of what a file holds, in order of id; MinimumError where impossible. ``cell`` may be lengths."""
    n = len(positions)
    if n == 0:
        raise MinimumError("no atom in it")
    cell = np.diag(cell) if np.ndim(cell) == 1 else np.array(cell, float)
    periodic = np.full(3, pbc, bool)
    diameters, masses, charges = (np.full(n, values, float) for values in (diameters, masses, charges))
    types, numbers = (np.full(n, values, np.int32) for values in (types, numbers))
    if not all(np.isfinite(values).all() for values in (energy, positions, cell, diameters, masses, charges)):
        raise MinimumError("a number in it is not finite")
    try:
        box_of(cell, periodic)
    except ValueError:
        raise MinimumError("a box length is not above zero, or the cell is flat") from None
    if not (masses > 0).all():
        raise MinimumError("a mass is not above zero")
    if not (np.abs(positions) <= FARTHEST * np.abs(cell).max() + FARTHEST * ~periodic.all()).all():
        raise MinimumError(f"a position is more than {FARTHEST:g} box lengths out")
    if np.ptp(types) == 0 and not numbers.any() and (masses == 1).all():
        types = np.ones(n, np.int32)  # a type on its own tells nothing
    ids = np.zeros(n, np.int64) if ids is None else np.asarray(ids, np.int64)
    order = np.argsort(ids, kind="stable")
    if ids.any() and (np.diff(ids[order]) == 0).any():
        raise MinimumError("an id of a particle stands there twice")
    arrays: list[Any] = [values[order] for values in (diameters, types, numbers, masses, charges, ids)]
    return Minimum(float(energy), np.asarray(positions, float)[order], System(cell, periodic, *arrays), place)


def share_systems(minima: Iterable[Minimum | Unusable]) -> list[Minimum | Unusable]:
    """Minima as they are; those of one system in a row share its arrays, which saves memory."""
    shared: list[Minimum | Unusable] = []
    last: System | None = None
    for one in minima:
        if isinstance(one, Minimum):
            last = last if last and all(map(np.array_equal, last, one.system)) else one.system
            one = one._replace(system=last)
        shared.append(one)
    return shared
