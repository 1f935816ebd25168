"""Minima of one glass compared: particles in one order, the two minima of a pair, displacement fields of many."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

from glass.arrays import Array, Index, common_shift, minimum_image, vectors_of
from glass.overlap import Displacements
from pipeline.formats.configurations import Minimum, MinimumError, Place, System
from pipeline.formats.keys import minimum_keys
from pipeline.formats.minima import place_of, places_by_key, read_minima, read_place
from pipeline.stamps import minima_in_table
from pipeline.workspace import StatePoint

_MOVED = 0.4  # displacement, in distances between particles, from which a particle may have the place of another


def nearest_order(reference: Array, places: Array, kinds: Index, box: Array, apart: float) -> Index:
    """Order in which the particles of a minimum lie nearest to those of another, each among its equals; shape (N,)."""
    order = np.arange(len(places))

    def far(shift: Array) -> Index:
        steps = minimum_image(places - reference - shift, box)
        return np.flatnonzero(np.linalg.norm(steps, axis=1) > _MOVED * apart)

    moved = far(shift := common_shift(places - reference, box))
    if 2 * len(moved) > len(places):
        moved = far(shift := _shift_of_unordered(reference, places, kinds, box, apart))
    for kind in np.unique(kinds[moved]):
        some = moved[kinds[moved] == kind]
        if len(some) > 1:
            steps = minimum_image(places[some][None] - shift - reference[some][:, None], box)
            order[some] = some[linear_sum_assignment((steps**2).sum(2))[1]]
    return order


def _shift_of_unordered(reference: Array, places: Array, kinds: Index, box: Array, apart: float) -> Array:
    """The shift, of those that bring one particle to an equal one, after which most lie on equal ones."""
    rarest, reach = int(np.bincount(kinds)[kinds].argmin()), _MOVED * apart
    shifts = minimum_image(places[rarest] - reference[kinds == kinds[rarest]], box)
    images = np.array([*product((-1, 0, 1), repeat=3)]) @ vectors_of(box)
    near = np.zeros(len(shifts), np.int64)
    for k in np.linspace(0, len(places) - 1, min(len(places), 20)).astype(int):
        steps = (minimum_image(places[k] - reference[kinds == kinds[k]], box)[:, None] + images).reshape(-1, 3)
        some = ((steps >= shifts.min(0) - reach) & (steps <= shifts.max(0) + reach)).all(1)
        near += KDTree(steps[some]).query(shifts, distance_upper_bound=reach)[0] < np.inf
    return np.asarray(shifts[near.argmax()])


def order_of(one: Minimum, other: Minimum) -> Index:
    """Order of the particles of a minimum of the same glass, where minima.match_atoms asks for one; shape (N,)."""
    if not one.place.reading.match_atoms or one.positions.shape != other.positions.shape:
        return np.arange(len(other.positions))
    return nearest_order(one.positions, other.positions, equal_particles(one.system), one.box, spacing(one))


def read_pair(places: Sequence[Place]) -> tuple[Minimum, Minimum]:
    """The two minima of a pair, particles in one order; MinimumError names the place, or in what two systems differ."""
    start, end = (read_place(place) for place in places)
    if differs := start.system.difference(end.system):
        raise MinimumError(f"{start.name} and {end.name} differ in {differs}")
    return start, end._replace(positions=end.positions[order_of(start, end)])


def spacing(minimum: Minimum) -> float:
    """Distance between particles, the edge of the cube that each has to itself; in σ."""
    cell, n = minimum.system.cell.copy(), len(minimum.positions)
    for axis in np.flatnonzero(~minimum.system.pbc):
        others = np.delete(np.arange(3), axis)
        normal = np.cross(*cell[others]) if minimum.system.pbc[others].all() else np.eye(3)[axis]
        normal = normal / np.linalg.norm(normal)
        cell[axis] = normal * max(float(np.ptp(minimum.positions @ normal)), 1e-3 * np.abs(minimum.system.cell).max())
    return float((abs(np.linalg.det(cell)) / n) ** (1 / 3))


def equal_particles(system: System) -> Index:
    """Number of the kind of each particle; those of one kind can't be told apart."""
    columns = (system.types, system.numbers, system.diameters, system.masses, system.charges)
    return np.asarray(np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1]).ravel()


def minima_of(at: StatePoint, conf: int) -> dict[int, Place]:
    """Places of a glass's minima by their keys; empty where there is no such glass."""
    return places_by_key(at.glass(conf), at.decimals, at.workspace.reading, minima_in_table(at, conf))


def lowest_minimum(at: StatePoint, conf: int) -> Minimum | None:
    """The lowest of a glass's minima that step 0 used and that can be read, else of all; None where there is none."""
    used = minima_in_table(at, conf)
    for name in sorted(used, key=used.__getitem__):
        with suppress(MinimumError):
            return read_place(place_of(at.glass(conf), name, at.workspace.reading))
    for _, place in sorted(minima_of(at, conf).items()):  # reads every frame for its energy
        with suppress(MinimumError):
            return read_place(place)
    return None


class Known(NamedTuple):
    """Those of some pairs of a glass whose two minima are there."""

    rows: Index  # their rows
    displacements: Displacements
    system: System  # box and particles


def rows_with_minima(at: StatePoint, conf: Index) -> Index:
    """Rows of pairs of the glasses whose minima are there; ``conf``, shape (n_pairs,), holds their numbers."""
    return np.flatnonzero(np.isin(conf, list(at.glasses)))


def read_displacements(at: StatePoint, conf: int, low: Index, high: Index) -> Known | None:
    """Read the minima of some pairs of one glass, by the keys of their two minima; None where no pair has both."""
    reading, needed = at.workspace.reading, np.unique(np.concatenate([low, high]))
    places = minima_of(at, conf)
    there = {places[key] for key in needed.tolist() if key in places}
    read = [one for one in read_minima(sorted({place.path for place in there}), reading) if isinstance(one, Minimum)]
    found: dict[int, Minimum] = {int(minimum_keys(one.energy, at.decimals)): one for one in read if one.place in there}
    size = max((one.positions.size for one in found.values()), default=0)
    minima = {key: one for key, one in sorted(found.items()) if one.positions.size == size}
    first, second = (pd.Index(list(minima)).get_indexer(keys) for keys in (low, high))
    rows = np.flatnonzero((first >= 0) & (second >= 0))
    if not len(rows):
        return None
    reference = next(iter(minima.values()))
    positions = [one.positions[order_of(reference, one)] for one in minima.values()]
    return Known(rows, Displacements(positions, reference.box, first[rows], second[rows]), reference.system)
