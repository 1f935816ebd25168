"""From the minima of one glass to its pair table, computing only the pairs that the table does not hold yet."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from glass.features import geometry_columns, pair_geometry
from MLmodel.tables import BATCH, open_table
from pipeline.errors import UserError
from pipeline.files import atomic_write, fingerprint
from pipeline.keys import find_keys, minimum_keys, minimum_names
from pipeline.minima import Glass
from pipeline.settings import Settings

RECORD = b"step0_collect"
"""Where a table's own record stands in its schema metadata; a table without one is ready-made."""

_FORMAT = 1
"""Raised whenever the meaning of a stored column changes, so that old tables are computed anew."""

TILE = 8
"""Minima whose pairs with one other are computed together; their coordinates stay in the processor's cache."""

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Record:
    """What a pair table was made from.

    ``files`` holds the fingerprint of each file in the glass's folder; ``rejected`` the reason for those left out.
    """

    ij_decimals: int
    particles: int
    max_delta_E: float
    files: dict[str, list[int]]
    rejected: dict[str, str]
    transitions: list[int] | None
    n_particles: int = 0
    box: tuple[float, ...] = ()
    format: int = _FORMAT

    def same_inputs(self, other: "Record") -> bool:
        """Whether both come from the same files under the same settings."""
        results = ("rejected", "n_particles", "box")
        mine, others = asdict(self), asdict(other)
        return all(mine[name] == others[name] for name in mine if name not in results)


def record_of(paths: list[Path], transitions: Path, settings: Settings) -> Record:
    """The record a table made now from these files would carry, before they are read."""
    return Record(
        ij_decimals=settings.ij_decimals,
        particles=settings.particles,
        max_delta_E=settings.pairs.max_delta_E,
        files={path.name: fingerprint(path) if path.exists() else [] for path in paths},
        rejected={},
        transitions=fingerprint(transitions) if transitions.exists() else None,
    )


def read_record(table: Path) -> Record | None:
    """The record in a table that step 0 made; None where there is none, or one of another version."""
    content: dict[str, Any] = json.loads((open_table(table).schema.metadata or {}).get(RECORD, "{}"))
    if content.get("format") != _FORMAT:
        return None
    return Record(**{**content, "box": tuple(content["box"])})


def is_ready_made(table: Path) -> bool:
    """Whether a pair table was put there by the user."""
    return RECORD not in (open_table(table).schema.metadata or {})


@dataclass(frozen=True)
class Collected:
    """How a table came about: pairs stored, and those among them that had to be computed."""

    pairs: int
    computed: int


def collect(glass: Glass, record: Record, transitions: pd.DataFrame | None, target: Path) -> Collected:
    """Write the pair table of a glass; rows of an older table for the same minima are taken over.

    Parameters
    ----------
    glass : Glass
        The usable minima.
    record : Record
        Goes into the table; says which files and settings it is made from.
    transitions : DataFrame or None
        ``i, j, count`` as :func:`read_transitions` gives it; adds the columns Tij and Tji.
    target : Path
        The table; replaced whole once the new one is complete.
    """
    columns = ["conf", "i", "j", "Delta_E", *geometry_columns(record.particles)]
    conf = int(target.stem.removeprefix("Cnf-"))
    counts = None if transitions is None else _counts(transitions, glass, record.ij_decimals)
    if counts is not None:
        columns += ["Tij", "Tji"]
    schema = pa.schema([(name, pa.int64() if name == "conf" else pa.float64()) for name in columns])
    schema = schema.with_metadata({RECORD: json.dumps(asdict(record))})
    old = _OldRows(target, glass, record)
    labels = minimum_names(glass.keys, record.ij_decimals)
    last = np.searchsorted(glass.energies, glass.energies + record.max_delta_E / glass.n_particles, side="right")
    total = int((last - np.arange(len(last)) - 1).sum())
    computed = 0
    bar = tqdm(total=total, desc=f"Cnf-{conf}", unit="pair", unit_scale=True, delay=2, disable=None, leave=False)
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
            values = [np.full(block.size, conf), labels[block.first], labels[block.second], delta_e, *geometry.T]
            if counts is not None:
                for one, other in ((block.first, block.second), (block.second, block.first)):
                    code = one * len(glass.keys) + other
                    values.append(counts.reindex(code, fill_value=0.0).to_numpy())
            writer.write_batch(pa.record_batch([pa.array(v) for v in values], schema=schema))
            bar.update(block.size)
    return Collected(total, computed)


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

    def __init__(self, table: Path, glass: Glass, record: Record) -> None:
        self.width = 2 * record.particles + 1
        self.columns = ["i", "j", *geometry_columns(record.particles)]
        self.decimals = record.ij_decimals
        self.new_index: Index = np.empty(0, np.int64)
        self.keys: Index = np.empty(0, np.int64)
        self.batches: list[tuple[int, int, pa.RecordBatch]] = []
        old = read_record(table) if table.exists() else None
        if old is None or not _comparable(old, record):
            return
        kept = [
            k
            for k, name in enumerate(glass.files)
            if name not in old.rejected and old.files.get(name) == record.files[name]
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


def _comparable(old: Record, new: Record) -> bool:
    """Whether stored geometry means the same under both records."""
    return all(getattr(old, name) == getattr(new, name) for name in ("ij_decimals", "particles", "n_particles", "box"))


def read_transitions(path: Path) -> pd.DataFrame:
    """Read how often the trajectory went straight from one minimum to another.

    Returns
    -------
    DataFrame
        Columns ``i``, ``j`` (labels) and ``count``.

    Raises
    ------
    UserError
        If a column is missing or a row is not two labels and a count of zero or more.
    """
    try:
        table = pd.read_csv(path, float_precision="round_trip")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as CSV ({error}); it needs the header i,j,count") from None
    missing = [name for name in ("i", "j", "count") if name not in table]
    if missing:
        raise UserError(f"{path}: missing column {', '.join(missing)}; it needs the header i,j,count")
    numbers = table[["i", "j", "count"]].apply(pd.to_numeric, errors="coerce")
    bad = ~np.isfinite(numbers).all(axis=1) | (numbers["count"] < 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(f"{path}: line {row + 2}: not two labels and a count: {table.iloc[row].to_list()}; mend it")
    return numbers


def _counts(transitions: pd.DataFrame, glass: Glass, decimals: int) -> "pd.Series[float]":
    """Counts by i · n_minima + j, the indices of the two minima; those of other minima are left out."""
    one, other = (find_keys(glass.keys, minimum_keys(transitions[name], decimals)) for name in ("i", "j"))
    known = (one >= 0) & (other >= 0)
    code = one * len(glass.keys) + other
    return transitions["count"].astype(float)[known].groupby(code[known]).sum()
