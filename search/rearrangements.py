"""Which pairs are one rearrangement, and which particles move."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from ase.data import chemical_symbols
from numpy.typing import NDArray

from glass.overlap import EDGES, displacement_field, find_rearrangements, most_displaced, participation
from pipeline.formats.configurations import MinimumError
from pipeline.formats.keys import by_pair
from pipeline.formats.minima import places_by_key, read_place
from pipeline.settings import Settings
from pipeline.workspace import StatePoint

REARRANGEMENT = "rearrangement"
"""Column that numbers the rearrangements of each glass from 1; 0 where the minima are not there."""


class Grouped(NamedTuple):
    """Pairs with the number of their rearrangement."""

    numbers: NDArray[np.int64]
    """As in the column REARRANGEMENT; shape (n_pairs,)."""
    overlaps: NDArray[np.int64]
    """How many pairs of pairs overlap so much, between the EDGES of :mod:`glass.overlap`, all glasses."""
    participation: NDArray[np.float64]
    """Participation ratio of the displacement; NaN where the minima are not there; shape (n_pairs,)."""
    most_displaced: NDArray[np.int64]
    """Ids of the ``particles`` that move most, from 1, 0 where unknown; shape (n_pairs, particles)."""
    species: NDArray[np.object_]
    """What they are, as :func:`species_names` says; empty where unknown; shape (n_pairs, particles)."""


def group_pairs(at: StatePoint, pairs: pd.DataFrame, settings: Settings) -> Grouped:
    """Number the rearrangements of each glass in the order of their first pairs.

    Parameters
    ----------
    workspace, temperature
        Where the minima are.
    pairs : DataFrame
        By :func:`pipeline.formats.keys.pair_index`.
    settings : Settings
        ``ij_decimals``, ``particles`` and ``rearrangements.overlap``.
    """
    numbers = np.zeros(len(pairs), np.int64)
    overlaps = np.zeros(len(EDGES) - 1, np.int64)
    ratios = np.full(len(pairs), np.nan)
    movers = np.zeros((len(pairs), settings.particles), np.int64)
    kinds = np.full(movers.shape, "", object)
    for conf, rows in pairs.index.to_frame(index=False).groupby("glass"):
        fields, known, names = _fields(at, int(conf), rows)
        if known.any():
            found = find_rearrangements(fields[known], settings.rearrangements.overlap)
            there = rows.index[known]
            numbers[there] = found.labels + 1
            overlaps += found.overlaps
            ratios[there] = participation(fields[known])
            first = most_displaced(fields[known], settings.particles)
            movers[there, : first.shape[1]] = first + 1
            kinds[there, : first.shape[1]] = names[first]
    return Grouped(numbers, overlaps, ratios, movers, kinds)


def species_names(types: NDArray[np.int32], numbers: NDArray[np.int32]) -> NDArray[np.object_]:
    """Chemical symbols, or types where no element is known; shape (N,), as both."""
    found = [
        chemical_symbols[number] if number else f"type {kind}" for kind, number in zip(types, numbers, strict=True)
    ]
    return np.array(found, object)


def _fields(
    at: StatePoint, conf: int, rows: pd.DataFrame
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.object_]]:
    """Displacement fields of some pairs of one glass, shape (n_pairs, 3N), which of them are known, and the species."""
    places = places_by_key(at.glass(conf), at.decimals)
    minima = {}
    for key in np.unique(rows[["low", "high"]]):
        try:
            minima[key] = read_place(places[key])
        except (KeyError, OSError, MinimumError):
            continue  # step 0 and run_neb.py say what is wrong with it
    known = np.array([low in minima and high in minima for low, high in zip(rows["low"], rows["high"], strict=True)])
    size = max((one.positions.size for one in minima.values()), default=0)
    fields = np.zeros((len(rows), size), np.float32)
    for row in np.flatnonzero(known):
        low, high = (minima[rows[name].iloc[row]] for name in ("low", "high"))
        known[row] = low.positions.size == high.positions.size == size
        if known[row]:
            fields[row] = displacement_field(low.positions, high.positions, low.box)
    species = next((one.system for one in minima.values() if one.positions.size == size), None)
    return fields, known, np.empty(0, object) if species is None else species_names(species.types, species.numbers)


def each_once(at: StatePoint, listed: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The rows of a list in an order in which the first pair of each rearrangement stands before all others."""
    numbers = group_pairs(at, by_pair(listed, at.decimals), settings).numbers
    names = pd.DataFrame({"conf": listed["conf"].to_numpy(), REARRANGEMENT: numbers})
    again = names.duplicated().to_numpy() & (numbers > 0)
    return pd.concat([listed[~again], listed[again]])
