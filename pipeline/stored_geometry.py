"""Geometry of the pairs of one glass, block by block: what the table there holds is taken over, the rest computed."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numba import set_num_threads
from numpy.typing import NDArray

from glass.arrays import Array
from glass.features import geometry_columns, pair_geometry
from glass.features_rounded import box_fractions
from pipeline.files import read_into
from pipeline.formats.keys import find_keys, minimum_keys
from pipeline.formats.minima import file_of
from pipeline.formats.pair_tables import BATCH, record_batches
from pipeline.formats.table_record import USED, TableRecord, read_record
from pipeline.glasses import Glass
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


def find_geometry(
    glass: Glass, blocks: Sequence[Block], stored: "StoredGeometry", spool: Path, workers: Workers | None = None
) -> Iterator[tuple[Array, int]]:
    """Geometry of all blocks, in their order, and how many pairs of each had to be computed.

    Parameters
    ----------
    glass : Glass
        The usable minima.
    blocks : sequence of Block
        All of the glass.
    stored : StoredGeometry
        What is there.
    spool : Path
        A folder that the workers see too.
    workers : Workers, optional
        Compute what is missing, a block a job; default: all cores of this machine.
    """
    taken: deque[tuple[Array, Index]] = deque()

    def jobs() -> Iterator[tuple[Index, Index]]:
        for block in blocks:
            geometry, missing = stored.take(block)
            first, second = block.pairs()
            missing = missing[np.lexsort((second[missing], first[missing] // TILE))]
            taken.append((geometry, missing))
            yield first[missing], second[missing]

    if workers is None:
        drifts = glass.drift > 0
        here = partial(_compute, glass.positions, _fractions(glass.positions, glass.box), glass.box, drifts)
        computed: Iterator[Array] = map(partial(here, stored.particles), jobs())
    else:
        (spool / "positions").write_bytes(glass.positions.data)
        place = spool / "positions", glass.positions.shape, glass.box.shape, tuple(glass.box.ravel().tolist())
        job = partial(compute_from_file, place, glass.drift > 0, stored.particles)
        computed = workers.results(job, jobs(), in_order=True)
    for found in computed:
        geometry, missing = taken.popleft()
        geometry[missing] = found
        yield geometry, len(missing)


def _fractions(positions: Array, box: Array) -> NDArray[np.uint32] | None:
    """Positions as fractions of an orthogonal box."""
    return box_fractions(positions, box) if box.ndim == 1 else None


def _compute(
    positions: Array,
    fractions: NDArray[np.uint32] | None,
    box: Array,
    drifts: bool,
    particles: int,
    job: tuple[Index, Index],
) -> Array:
    if not len(job[0]):
        return np.empty((0, len(geometry_columns(particles))))
    return pair_geometry(positions, fractions, box, *job, particles, drifts)


_Stored = tuple[Path, tuple[int, ...], tuple[int, ...], tuple[float, ...]]
"""A file of positions, their shape, and shape and values of the box."""


def compute_from_file(place: _Stored, drifts: bool, particles: int, job: tuple[Index, Index]) -> Array:
    """Geometry of some pairs of a glass whose positions stand in a file; a job."""
    set_num_threads(1)
    return _compute(*_loaded(*place), drifts, particles, job)


@lru_cache(maxsize=1)
def _loaded(
    path: Path, shape: tuple[int, ...], of_box: tuple[int, ...], values: tuple[float, ...]
) -> tuple[Array, NDArray[np.uint32] | None, Array]:
    """Positions, the same as fractions of the box, and the box; those of one glass are kept."""
    positions = np.empty(shape)
    with path.open("rb") as file:
        read_into(file, positions.data)
    box = np.reshape(values, of_box)
    return positions, _fractions(positions, box), box


class StoredGeometry:
    """Geometry that the table of a glass holds already.

    Parameters
    ----------
    table : Path
        Where it stands, if there is one.
    glass : Glass
        The usable minima as they are now.
    record : TableRecord
        Of the table to be written.
    """

    def __init__(self, table: Path, glass: Glass, record: TableRecord) -> None:
        self.particles = record.particles
        self._columns = geometry_columns(record.particles)
        self._decimals = record.ij_decimals
        self._batches: list[tuple[int, int, pa.RecordBatch]] = []
        self._index: Index = np.empty(0, np.int64)
        self._keys: Index = np.empty(0, np.int64)
        old = read_record(table)
        if old is None or not old.has_comparable_geometry(record):
            return
        same = {name for name in record.files if have_same_content(old.files.get(name), record.files[name])}
        was = {name for name, fate in old.fates.items() if fate.status == USED}
        kept = [k for k, name in enumerate(glass.files) if name in was and file_of(name) in same]
        self._index = np.array(kept, np.int64)
        self._keys = glass.keys[self._index]
        if kept:
            for batch in record_batches(table, ["i", "j", *self._columns], mapped=True):
                if batch.num_rows:
                    ends = minimum_keys([batch["i"][0].as_py(), batch["i"][batch.num_rows - 1].as_py()], self._decimals)
                    self._batches.append((int(ends[0]), int(ends[1]), batch))

    def take(self, block: Block) -> tuple[Array, Index]:
        """Geometry of a block's pairs, shape (n_pairs, 2 M + 1), and the rows of those not known yet."""
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
