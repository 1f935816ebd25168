"""Displacement fields of pairs of one glass, from its minima as they stand on disk."""

from typing import NamedTuple

import numpy as np

from glass.arrays import Index
from glass.overlap import Displacements
from pipeline.formats.configurations import Minimum, System
from pipeline.formats.keys import find_keys, minimum_keys
from pipeline.formats.minima import places_by_key, read_minima
from pipeline.glasses import order_of
from pipeline.workspace import StatePoint


class Known(NamedTuple):
    """Those of some pairs of a glass whose two minima are there."""

    rows: Index
    """Which they are."""
    displacements: Displacements
    system: System
    """Box and particles."""


def read_displacements(at: StatePoint, conf: int, low: Index, high: Index) -> Known | None:
    """Read the minima of some pairs of one glass, by the keys of their two minima; None where no pair has both."""
    reading, needed = at.workspace.reading, np.unique(np.concatenate([low, high]))
    places = places_by_key(at.glass(conf), at.decimals, reading)
    if not places:
        return None
    there = {places[key] for key in needed.tolist() if key in places}
    read = [one for one in read_minima(sorted({place.path for place in there}), reading) if isinstance(one, Minimum)]
    found: dict[int, Minimum] = {int(minimum_keys(one.energy, at.decimals)): one for one in read if one.place in there}
    size = max((one.positions.size for one in found.values()), default=0)
    minima = {key: one for key, one in sorted(found.items()) if one.positions.size == size}
    if not minima:
        return None
    keys = np.array(list(minima))
    first, second = find_keys(keys, low), find_keys(keys, high)
    rows = np.flatnonzero((first >= 0) & (second >= 0))
    if not len(rows):
        return None
    reference = next(iter(minima.values()))
    positions = [one.positions[order_of(reference, one)] for one in minima.values()]
    return Known(rows, Displacements(positions, reference.box, first[rows], second[rows]), reference.system)
