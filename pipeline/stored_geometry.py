"""Geometry of the pairs of one glass, block by block: what the table there holds is taken over, the rest computed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from glass.arrays import Array, Index
from glass.features import geometry_columns, pair_geometry
from glass.features_rounded import box_fractions
from pipeline.formats.keys import minimum_names
from pipeline.formats.minima import file_of
from pipeline.formats.pair_tables import BATCH, record_batches
from pipeline.formats.table_record import USED
from pipeline.glasses import Glass
from pipeline.stamps import Inputs, stamp_of_unchanged, unchanged_inputs
from pipeline.workspace import minimum_name

TILE = 8  # minima whose pairs with another are computed together: their coordinates stay in the cache


def cut_into_blocks(partners: Index) -> Iterator[tuple[int, int]]:
    """Minima whose pairs with those above them are about BATCH; ``partners``: number of pairs of each."""
    start = 0
    while start < len(partners):
        stop = start + max(1, int(np.searchsorted(np.cumsum(partners[start:]), BATCH, side="right")))
        yield start, stop
        start = stop


def pairs_of(partners: Index, start: int, stop: int) -> tuple[Index, Index]:
    """Indices of the two minima of each pair of a block, in order."""
    count = partners[start:stop]
    first = np.repeat(np.arange(start, stop), count)
    return first, np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count) + first + 1


class StoredGeometry:
    """Geometry that the table of a glass, if there is one, holds already of the minima as they are now."""

    def __init__(self, table: Path, glass: Glass, made_of: Inputs) -> None:
        self._glass, self._particles = glass, made_of.other["particles"]
        self._fractions = box_fractions(glass.positions, glass.box) if glass.box.ndim == 1 else None
        self._columns = geometry_columns(self._particles)
        self._batches: list[pa.RecordBatch] = []
        self._place: Index = np.full(len(glass.files), -1)
        self._partners: Index = np.zeros(1, np.int64)
        self._begin = self._partners
        old = stamp_of_unchanged(table)
        result, minima = old.get("result") or {}, old.get("minima") or {}
        alike = all(old.get(name) == made_of.other[name] for name in ("format", "ij_decimals", "particles"))
        alike &= (result.get("n_particles"), result.get("box")) == (glass.n_particles, glass.box.tolist())
        # Matched particles are in the order of the lowest minimum, which may be another now.
        if not alike or minima.get("match_atoms") or made_of.other["minima"]["match_atoms"]:
            return
        same = {minimum_name(path) for path in unchanged_inputs(old, table, made_of)}
        was = {name: label for name, (status, label, _) in result["fates"].items() if status == USED}
        place = {label: k for k, label in enumerate(sorted(was.values()))}
        for k, label in enumerate(minimum_names(glass.keys, made_of.other["ij_decimals"]).tolist()):
            name = glass.files[k]
            if was.get(name) == label and file_of(name) in same:  # energies.csv may tell another
                self._place[k] = place[label]
        self._partners = np.array(result["partners"], np.int64)
        self._begin = np.cumsum(self._partners) - self._partners
        self._batches = list(record_batches(table, self._columns, mapped=True))

    def of_pairs(self, first: Index, second: Index) -> tuple[Array, int]:
        """Geometry of pairs, shape (n_pairs, 2 M + 1), and how many of them had to be computed."""
        geometry = np.empty((len(first), len(self._columns)))
        one, other = self._place[first], self._place[second]
        known = (one >= 0) & (other - one <= self._partners[one]) & (other > one)
        rows, place = (self._begin[one] + other - one - 1)[known], np.flatnonzero(known)
        begin = 0
        for batch in self._batches if len(rows) else ():
            end = begin + batch.num_rows
            part = slice(*np.searchsorted(rows, (begin, end)))
            geometry[place[part]] = np.column_stack(
                [batch[name].to_numpy()[rows[part] - begin] for name in self._columns]
            )
            begin = end
        missing = np.flatnonzero(~known)
        if len(missing):
            missing = missing[np.lexsort((second[missing], first[missing] // TILE))]
            glass, pairs = self._glass, (first[missing], second[missing])
            geometry[missing] = pair_geometry(
                glass.positions, self._fractions, glass.box, *pairs, self._particles, glass.drift > 0
            )
        return geometry, len(missing)
