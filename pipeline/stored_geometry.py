"""Geometry of the pairs of one glass, block by block: what the table there holds is taken over, the rest computed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from glass.arrays import Array, Index
from glass.features import geometry_columns, pair_geometry
from glass.features_rounded import box_fractions
from pipeline.formats.keys import find_keys, minimum_keys, minimum_names
from pipeline.formats.minima import file_of
from pipeline.formats.pair_tables import BATCH, record_batches
from pipeline.formats.table_record import USED
from pipeline.glasses import Glass
from pipeline.stamps import Inputs, stamp_of_unchanged, unchanged_inputs
from pipeline.workspace import minimum_name

TILE = 8
"""The pairs of so many minima with one other are computed together: their coordinates stay in the processor's cache."""


@dataclass(frozen=True)
class Block:
    """All pairs of the minima ``start`` to ``stop`` with those above them, in order."""

    start: int
    stop: int
    row_of: Index
    """Row of the pair (start + k, start + k + 1) within the block, for each k; and one more, the number of pairs."""

    @property
    def size(self) -> int:
        """Number of pairs."""
        return int(self.row_of[-1])

    def pairs(self) -> tuple[Index, Index]:
        """Indices of the two minima of each pair."""
        count = np.diff(self.row_of)
        first = np.repeat(np.arange(self.start, self.stop), count)
        return first, np.arange(self.size) - np.repeat(self.row_of[:-1], count) + first + 1


def cut_into_blocks(last: Index) -> Iterator[Block]:
    """Cut the pairs i < j < last[i] into blocks of about BATCH pairs."""
    partners = last - np.arange(len(last)) - 1
    start = 0
    while start < len(last):
        ends = np.cumsum(partners[start:])
        stop = start + max(1, int(np.searchsorted(ends, BATCH, side="right")))
        yield Block(start, stop, np.concatenate(([0], ends[: stop - start])))
        start = stop


class StoredGeometry:
    """Geometry that the table of a glass, if there is one, holds already of the minima as they are now."""

    def __init__(self, table: Path, glass: Glass, made_of: Inputs) -> None:
        self._glass, self._particles = glass, made_of.other["particles"]
        self._fractions = box_fractions(glass.positions, glass.box) if glass.box.ndim == 1 else None
        self._columns = geometry_columns(self._particles)
        self._decimals = made_of.other["ij_decimals"]
        self._batches: list[tuple[int, int, pa.RecordBatch]] = []
        self._index: Index = np.empty(0, np.int64)
        self._keys: Index = np.empty(0, np.int64)
        old = stamp_of_unchanged(table)
        result, minima = old.get("result") or {}, old.get("minima") or {}
        alike = all(old.get(name) == made_of.other[name] for name in ("format", "ij_decimals", "particles"))
        alike &= (result.get("n_particles"), result.get("box")) == (glass.n_particles, glass.box.tolist())
        # Matched particles are in the order of the lowest minimum, which may be another now.
        if not alike or minima.get("match_atoms") or made_of.other["minima"]["match_atoms"]:
            return
        same = {minimum_name(path) for path in unchanged_inputs(old, table, made_of)}
        was = {name: label for name, (status, label, _) in result["fates"].items() if status == USED}
        labels = enumerate(minimum_names(glass.keys, self._decimals).tolist())  # energies.csv may tell others now
        kept = [k for k, label in labels if was.get(name := glass.files[k]) == label and file_of(name) in same]
        self._index = np.array(kept, np.int64)
        self._keys = glass.keys[self._index]
        if kept:
            for batch in record_batches(table, ["i", "j", *self._columns], mapped=True):
                if batch.num_rows:
                    ends = minimum_keys([batch["i"][0].as_py(), batch["i"][batch.num_rows - 1].as_py()], self._decimals)
                    self._batches.append((int(ends[0]), int(ends[1]), batch))

    def of_block(self, block: Block) -> tuple[Array, int]:
        """Geometry of a block's pairs, shape (n_pairs, 2 M + 1), and how many of them had to be computed."""
        geometry, missing = self._take(block)
        if len(missing):
            first, second = block.pairs()
            missing = missing[np.lexsort((second[missing], first[missing] // TILE))]
            glass, pairs = self._glass, (first[missing], second[missing])
            geometry[missing] = pair_geometry(
                glass.positions, self._fractions, glass.box, *pairs, self._particles, glass.drift > 0
            )
        return geometry, len(missing)

    def _take(self, block: Block) -> tuple[Array, Index]:
        """Geometry that is there, and the rows of the pairs whose is not."""
        out = np.empty((block.size, len(self._columns)))
        missing = np.ones(block.size, dtype=bool)
        inside = self._keys[(self._index >= block.start) & (self._index < block.stop)]
        for begin, end, batch in self._batches if len(inside) else ():
            if begin <= inside[-1] and end >= inside[0]:
                rows, known = self._match(batch, block)
                out[rows] = np.column_stack([batch[name].to_numpy()[known] for name in self._columns])
                missing[rows] = False
        return out, np.flatnonzero(missing)

    def _match(self, batch: pa.RecordBatch, block: Block) -> tuple[Index, Index]:
        """Rows of the block that stand in an old batch, and theirs in that."""
        places = (find_keys(self._keys, minimum_keys(batch[name].to_numpy(), self._decimals)) for name in ("i", "j"))
        first, second = (np.where(place >= 0, self._index[place], -1) for place in places)
        known = np.flatnonzero((first >= block.start) & (first < block.stop) & (second > first))
        offset, distance = first[known] - block.start, second[known] - first[known]
        stored = distance <= np.diff(block.row_of)[offset]
        return block.row_of[offset[stored]] + distance[stored] - 1, known[stored]
