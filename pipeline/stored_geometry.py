"""Geometry of the pairs of one glass, block by block: what an older table holds is taken over, the rest computed."""

import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import pyarrow as pa
from numba import set_num_threads
from numpy.typing import NDArray

from glass.arrays import Array
from glass.features import geometry_columns, pair_geometry
from glass.features_rounded import box_fractions
from pipeline.errors import UserError
from pipeline.files import read_into
from pipeline.formats.keys import can_be_key, find_keys, minimum_keys
from pipeline.formats.minima import REPEATED, Glass, file_of
from pipeline.formats.pair_tables import BATCH, record_batches
from pipeline.formats.possible import LARGEST
from pipeline.formats.table_record import TableRecord, read_whole_record
from pipeline.stamps import have_same_content
from pipeline.workers.pool import Workers

TILE = 8
"""The pairs of so many minima with one other are computed together: their coordinates stay in the processor's cache."""

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """All pairs of the minima ``start`` to ``stop`` with those above them, in order."""

    start: int
    stop: int
    row: int
    """Row of its first pair in the table."""
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
    n = len(last)
    partners = last - np.arange(n) - 1
    start = row = 0
    while start < n:
        ends = np.cumsum(partners[start:])
        stop = start + max(1, int(np.searchsorted(ends, BATCH, side="right")))
        block = Block(start, stop, row, np.concatenate(([0], ends[: stop - start])))
        yield block
        start, row = stop, row + block.size


class Geometry:
    """Geometry of all pairs of a glass, taken from an older table or computed; it waits in a file while the block runs.

    Parameters
    ----------
    target : Path
        The table to be written; an older one may stand there.
    glass : Glass
        The usable minima.
    record : TableRecord
        Of the table to be written.

    Attributes
    ----------
    squares : ndarray of float32, shape (n_minima, n_minima)
        d² between all minima found so far, as :func:`glass.neighbourhood.pair_neighbourhood` takes it.
    computed : int
        Pairs that had to be computed.
    """

    def __init__(self, target: Path, glass: Glass, record: TableRecord) -> None:
        self.squares = np.full((len(glass.keys), len(glass.keys)), np.inf, np.float32)
        self.computed = 0
        self._glass = glass
        self._fractions = box_fractions(glass.positions, glass.box)
        self._particles = record.particles
        self._width = len(geometry_columns(record.particles))
        self._old = _OldRows(target, glass, record)
        self._folder = target.parent

    def __enter__(self) -> "Geometry":
        self._file = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def find(self, blocks: Sequence[Block], workers: Workers | None = None) -> Iterator[Block]:
        """Find the geometry of all blocks, in their order; each as it is found.

        Parameters
        ----------
        blocks : sequence of Block
            All of the glass.
        workers : Workers, optional
            Compute what is missing, a block a job; default: all cores of this machine.
        """
        if workers is None:
            for block in blocks:
                geometry, first, second, order = self._take(block)
                if len(order):
                    geometry[order] = pair_geometry(
                        self._glass.positions, self._fractions, self._glass.box, first, second, self._particles
                    )
                self._keep(block, geometry)
                yield block
            return
        taken: deque[tuple[Block, Array, Index]] = deque()

        def jobs() -> Iterator[tuple[Index, Index]]:
            for block in blocks:
                geometry, first, second, order = self._take(block)
                taken.append((block, geometry, order))
                yield first, second

        positions = self._glass.positions
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".positions-", suffix=".part") as file:
            file.write(positions.data)
            file.flush()
            compute = partial(_computed, Path(file.name), positions.shape, self._glass.box, self._particles)
            for found in workers.results(compute, jobs(), in_order=True):
                block, geometry, order = taken.popleft()
                geometry[order] = found
                self._keep(block, geometry)
                yield block

    def _take(self, block: Block) -> tuple[Array, Index, Index, Index]:
        """What is known of a block; the minima of the other pairs, in the order to compute them in; and their rows."""
        geometry, missing = self._old.take(block)
        first, second = block.pairs()
        order = missing[np.lexsort((second[missing], first[missing] // TILE))]
        self.computed += len(order)
        return geometry, first[order], second[order], order

    def _keep(self, block: Block, geometry: Array) -> None:
        first, second = block.pairs()
        self.squares[first, second] = self.squares[second, first] = geometry[:, -2] ** 2
        self._file.write(geometry.data)  # not tofile, which does not tell why it fails

    def of(self, block: Block) -> NDArray[np.float64]:
        """The geometry of a block that was found, shape (n_pairs, 2 M + 1)."""
        self._file.seek(8 * self._width * block.row)
        return _read(self._file, (block.size, self._width))


def _read(file: BufferedIOBase, shape: tuple[int, ...]) -> Array:
    """Floats from a file."""
    values = np.empty(shape)
    read_into(file, values.data)
    return values


def _computed(file: Path, shape: tuple[int, ...], box: Array, particles: int, job: tuple[Index, Index]) -> Array:
    """Geometry of some pairs of a glass whose positions stand in a file; a job for a worker."""
    set_num_threads(1)
    positions, fractions = _loaded(file, shape, tuple(box.tolist()))
    return pair_geometry(positions, fractions, box, *job, particles)


@lru_cache(maxsize=1)
def _loaded(file: Path, shape: tuple[int, ...], box: tuple[float, ...]) -> tuple[Array, NDArray[np.uint32]]:
    """Positions, and the same as fractions of the box; those of one glass are kept."""
    with file.open("rb") as opened:
        positions = _read(opened, shape)
    return positions, box_fractions(positions, np.array(box))


class _OldRows:
    """Geometry that an older table of the same glass holds."""

    def __init__(self, table: Path, glass: Glass, record: TableRecord) -> None:
        self.width = 2 * record.particles + 1
        self.columns = ["i", "j", *geometry_columns(record.particles)]
        self.decimals = record.ij_decimals
        self.new_index: Index = np.empty(0, np.int64)
        self.keys: Index = np.empty(0, np.int64)
        self.batches: list[tuple[int, int, pa.RecordBatch]] = []
        old = read_whole_record(table)
        if old is None or not old.has_comparable_geometry(record):
            return
        kept = [
            k
            for k, name in enumerate(glass.files)
            if name not in old.rejected and have_same_content(old.files.get(file_of(name)), record.files[file_of(name)])
        ]
        self.new_index = np.array(kept, dtype=np.int64)
        self.keys = glass.keys[self.new_index]
        try:
            for batch in record_batches(table, self.columns, mapped=True):
                if batch.num_rows:
                    ends = minimum_keys([batch["i"][0].as_py(), batch["i"][batch.num_rows - 1].as_py()], self.decimals)
                    self.batches.append((int(ends[0]), int(ends[1]), batch))
        except UserError:
            self.batches = []  # a damaged table: all is computed anew

    def take(self, block: Block) -> tuple[NDArray[np.float64], Index]:
        """Geometry of a block's pairs, shape (n_pairs, 2 M + 1), and the rows of those not known yet."""
        out = np.empty((block.size, self.width))
        missing = np.ones(block.size, dtype=bool)
        inside = (self.new_index >= block.start) & (self.new_index < block.stop)
        if inside.any():
            low, high = self.keys[inside][[0, -1]]
            for begin, end, batch in self.batches:
                if begin <= high and end >= low:
                    rows, values = self._match(batch, block)
                    out[rows] = values
                    missing[rows] = False
        return out, np.flatnonzero(missing)

    def _match(self, batch: pa.RecordBatch, block: Block) -> tuple[Index, NDArray[np.float64]]:
        """Rows of the block that stand in an old batch, and their values."""
        i, j = batch["i"].to_numpy(), batch["j"].to_numpy()
        named = can_be_key(i, self.decimals) & can_be_key(j, self.decimals)  # all are, unless the table is damaged
        first, second = (self._index_of(minimum_keys(np.where(named, of, 0.0), self.decimals)) for of in (i, j))
        known = named & (first >= block.start) & (first < block.stop) & (second > first)
        first, second = first[known], second[known]
        rows = block.row_of[first - block.start] + second - first - 1
        partners = np.diff(block.row_of)
        values = np.column_stack([batch[name].to_numpy()[known] for name in self.columns[2:]])
        stored = (second - first <= partners[first - block.start]) & _is_possible(values)
        return rows[stored], values[stored]

    def _index_of(self, keys: Index) -> Index:
        """Index of each minimum in the glass as it is now; −1 where it is gone or its file changed."""
        place = find_keys(self.keys, keys)
        return np.where(place >= 0, self.new_index[place], -1)


def _is_possible(geometry: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows can be those of two different minima; of a damaged table some are not."""
    largest, total = geometry[:, 0], geometry[:, -2]
    return ((geometry >= 0) & (geometry <= LARGEST)).all(axis=1) & (largest >= REPEATED) & (total >= 0.999 * largest)
