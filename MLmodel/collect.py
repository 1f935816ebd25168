"""From the minima of one glass to its pair table, computing only the pairs that the table does not hold yet."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from glass.features import geometry_columns, pair_geometry
from MLmodel.table_record import TableRecord, new_record, read_record
from MLmodel.tables import BATCH, open_table, stored_pairs
from pipeline.errors import UserError
from pipeline.files import atomic_write
from pipeline.keys import find_keys, minimum_keys, minimum_names
from pipeline.minima import Glass, load_glass, read_minima
from pipeline.progress import progress
from pipeline.settings import Settings
from pipeline.stamps import have_same_content
from pipeline.transitions import read_transitions
from pipeline.workers import Workers

TILE = 8
"""The pairs of so many minima with one other are computed together: their coordinates stay in the processor's cache."""

_FILES_PER_JOB = 8
"""A worker reads so many minima at a time."""

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Collected:
    """How a table came about: pairs stored, those among them that had to be computed, files left out and why."""

    pairs: int
    computed: int
    rejected: dict[str, str] = field(default_factory=dict)


def update_table(
    table: Path, files: list[Path], transitions: Path, settings: Settings, workers: Workers, name: str
) -> Collected:
    """Bring the pair table of one glass up to date; the table goes where no minimum is usable.

    Parameters
    ----------
    table : Path
        Where it stands or shall stand.
    files : list of Path
        The glass's minima, as :func:`pipeline.minima.minimum_paths` gives them.
    transitions : Path
        Its transitions, which may be missing.
    settings : Settings
        What is stored.
    workers : Workers
        Read the files.
    name : str
        Of the glass, for what is printed.

    Raises
    ------
    UserError
        If the transitions can't be read, or ``particles`` is more than there are.
    """
    old = read_record(table)
    if old is not None and old.is_current(files, transitions, settings):
        return Collected(stored_pairs(table), 0, old.rejected)
    record = new_record(files, transitions, settings)
    counts = read_transitions(transitions) if transitions.exists() else None
    jobs = [files[start : start + _FILES_PER_JOB] for start in range(0, len(files), _FILES_PER_JOB)]
    with progress(total=len(files), desc=f"{name}: reading", unit="file") as bar:
        read = []
        for some in workers.results(read_minima, jobs, in_order=True):
            read += some
            bar.update(len(some))
    glass, rejected = load_glass(read, settings.ij_decimals)
    if glass is None:
        print(f"{name}: no usable minimum" + (f"; its table is taken away: {table}" if table.exists() else ""))
        table.unlink(missing_ok=True)
        return Collected(0, 0, rejected)
    if settings.particles > glass.n_particles:
        raise UserError(
            f"config.yaml: particles = {settings.particles} is more than the {glass.n_particles} in "
            f"{files[0].parent}; lower it"
        )
    record = replace(record, rejected=rejected, n_particles=glass.n_particles, box=tuple(glass.box.tolist()))
    result = write_pairs(glass, record, counts, table)
    above = len(glass.files) * (len(glass.files) - 1) // 2 - result.pairs
    print(
        f"{name}: {len(glass.files)} minima, {result.pairs} pairs, {result.computed} computed, "
        f"{above} above pairs.max_delta_E left out: {table}"
    )
    return result


def write_pairs(glass: Glass, record: TableRecord, transitions: pd.DataFrame | None, target: Path) -> Collected:
    """Write the pair table of a glass; rows of an older table for the same minima are taken over.

    Parameters
    ----------
    glass : Glass
        The usable minima.
    record : TableRecord
        Goes into the table; says which files and settings it is made from.
    transitions : DataFrame or None
        ``i, j, count`` as :func:`pipeline.transitions.read_transitions` gives it; adds the columns Tij and Tji.
    target : Path
        The table; replaced whole once the new one is complete.
    """
    columns = ["conf", "i", "j", "Delta_E", *geometry_columns(record.particles)]
    conf = int(target.stem.removeprefix("Cnf-"))
    counts = None if transitions is None else _counts(transitions, glass, record.ij_decimals)
    if counts is not None:
        columns += ["Tij", "Tji"]
    schema = pa.schema([(name, pa.int64() if name == "conf" else pa.float64()) for name in columns])
    schema = schema.with_metadata(record.metadata)
    old = _OldRows(target, glass, record)
    names = minimum_names(glass.keys, record.ij_decimals)
    last = np.searchsorted(glass.energies, glass.energies + record.max_delta_E / glass.n_particles, side="right")
    total = int((last - np.arange(len(last)) - 1).sum())
    computed = 0
    bar = progress(total=total, desc=f"Cnf-{conf}", unit="pair")
    with atomic_write(target) as part, bar, pa.ipc.new_file(str(part), schema) as writer:
        for block in _blocks(last):
            geometry, missing = old.take(block)
            computed += len(missing)
            if len(missing):
                order = missing[np.lexsort((block.second[missing], block.first[missing] // TILE))]
                geometry[order] = pair_geometry(
                    glass.positions, glass.box, block.first[order], block.second[order], record.particles
                )
            delta_e = glass.n_particles * (glass.energies[block.second] - glass.energies[block.first])
            values = [np.full(block.size, conf), names[block.first], names[block.second], delta_e, *geometry.T]
            if counts is not None:
                for one, other in ((block.first, block.second), (block.second, block.first)):
                    code = one * len(glass.keys) + other
                    values.append(counts.reindex(code, fill_value=0.0).to_numpy())
            writer.write_batch(pa.record_batch([pa.array(v) for v in values], schema=schema))
            bar.update(block.size)
    return Collected(total, computed, record.rejected)


@dataclass(frozen=True)
class _Block:
    """All pairs (first, second) of the minima ``start`` to ``stop`` with those above them, in order."""

    start: int
    stop: int
    first: Index
    second: Index
    row_of: Index
    """Row of the pair (start + k, start + k + 1) for each k."""

    @property
    def size(self) -> int:
        return len(self.first)


def _blocks(last: Index) -> Iterator[_Block]:
    """Cut the pairs i < j < last[i] into blocks of about BATCH pairs."""
    n = len(last)
    partners = last - np.arange(n) - 1
    start = 0
    while start < n:
        ends = np.cumsum(partners[start:])
        stop = start + max(1, int(np.searchsorted(ends, BATCH, side="right")))
        count = partners[start:stop]
        row_of = np.concatenate(([0], np.cumsum(count)[:-1]))
        first = np.repeat(np.arange(start, stop), count)
        second = np.arange(len(first)) - np.repeat(row_of, count) + first + 1
        yield _Block(start, stop, first, second, row_of)
        start = stop


class _OldRows:
    """Geometry that an older table of the same glass holds."""

    def __init__(self, table: Path, glass: Glass, record: TableRecord) -> None:
        self.width = 2 * record.particles + 1
        self.columns = ["i", "j", *geometry_columns(record.particles)]
        self.decimals = record.ij_decimals
        self.new_index: Index = np.empty(0, np.int64)
        self.keys: Index = np.empty(0, np.int64)
        self.batches: list[tuple[int, int, pa.RecordBatch]] = []
        old = read_record(table)
        if old is None or not old.has_comparable_geometry(record):
            return
        kept = [
            k
            for k, name in enumerate(glass.files)
            if name not in old.rejected and have_same_content(old.files.get(name), record.files[name])
        ]
        self.new_index = np.array(kept, dtype=np.int64)
        self.keys = glass.keys[self.new_index]
        reader = open_table(table, mapped=True)
        for k in range(reader.num_record_batches):
            batch = reader.get_batch(k)
            if batch.num_rows:
                ends = minimum_keys([batch["i"][0].as_py(), batch["i"][batch.num_rows - 1].as_py()], self.decimals)
                self.batches.append((int(ends[0]), int(ends[1]), batch))

    def take(self, block: _Block) -> tuple[NDArray[np.float64], Index]:
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

    def _match(self, batch: pa.RecordBatch, block: _Block) -> tuple[Index, NDArray[np.float64]]:
        """Rows of the block that stand in an old batch, and their values."""
        first, second = (self._index_of(minimum_keys(batch[name].to_numpy(), self.decimals)) for name in ("i", "j"))
        known = (first >= block.start) & (first < block.stop) & (second >= 0)
        first, second = first[known], second[known]
        rows = block.row_of[first - block.start] + second - first - 1
        partners = np.diff(np.append(block.row_of, block.size))
        stored = second - first <= partners[first - block.start]
        values = np.column_stack([batch[name].to_numpy()[known] for name in self.columns[2:]])
        return rows[stored], values[stored]

    def _index_of(self, keys: Index) -> Index:
        """Index of each minimum in the glass as it is now; −1 where it is gone or its file changed."""
        place = find_keys(self.keys, keys)
        return np.where(place >= 0, self.new_index[place], -1)


def _counts(transitions: pd.DataFrame, glass: Glass, decimals: int) -> "pd.Series[float]":
    """Counts by i · n_minima + j, the indices of the two minima; those of other minima are left out."""
    one, other = (find_keys(glass.keys, minimum_keys(transitions[name], decimals)) for name in ("i", "j"))
    known = (one >= 0) & (other >= 0)
    code = one * len(glass.keys) + other
    return transitions["count"].astype(float)[known].groupby(code[known]).sum()
