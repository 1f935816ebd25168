"""Pair tables on disk: opening, checking and reading them a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import UserError, short
from pipeline.formats.keys import PAIR_COLUMNS, Pair, minimum_keys, pair_index, rows_in
from pipeline.formats.possible import FROM_ARROW, PROBABILITY, TLS_PROBABILITY, check_numbers
from pipeline.settings import ClassifySettings
from pipeline.workspace import DW, QS, StatePoint

if TYPE_CHECKING:
    import pandas as pd

BATCH = 262_144
"""So many pairs are read, computed and written at a time: the memory of a step follows from it, not from the table."""

UNITS = "units"
"""Column of text that names the units in which a row is; the last one of a CSV."""

OUT_OF_FOLD = "out_of_fold"
"""Column of the pairs used for training: what a model says of them that saw no pair of their glass."""

NEEDED = [*PAIR_COLUMNS, "Delta_E", "total_displacement"]
"""Columns that every pair table must have: the names of the pair, and what step 2 cuts at."""

_NEVER_FEATURES = {*PAIR_COLUMNS, "T", "i2", "j2", "index", DW, QS, PROBABILITY, TLS_PROBABILITY, OUT_OF_FOLD, UNITS}

RECORD = b"step0_collect"
"""The key in a table's metadata under which step 0 tells from what it made the table; a ready-made one has none."""

_PANDAS_INDEX = "__index_level_"
"""How pyarrow names an index that pandas had."""


def open_table(path: Path, columns: Sequence[str] | None = None, mapped: bool = False) -> pa.ipc.RecordBatchFileReader:
    """Open a feather file without reading its rows.

    Parameters
    ----------
    path : Path
        The file.
    columns : sequence of str, optional
        Those to read when rows are asked for; default: all.
    mapped : bool
        Map the file into memory instead of reading: for rows that are looked up here and there.

    Raises
    ------
    UserError
        If it is no feather (Arrow) file, or damaged.
    """
    if not path.is_file():
        raise UserError(f"{path}: not a file; remove it")
    try:
        file = pa.memory_map(str(path)) if mapped else pa.OSFile(str(path))
        reader = pa.ipc.open_file(file)
        names = reader.schema.names  # may be no text
        if columns is None:
            return reader
        fields = [reader.schema.get_field_index(name) for name in columns]
        if min(fields, default=0) < 0:
            raise pa.ArrowKeyError(f"no column {', '.join(set(columns) - set(names))}")
        return pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=fields))
    except PermissionError as error:
        raise UserError(f"{path}: can't be opened ({error}); remove it, or allow that") from None
    except FROM_ARROW as error:
        raise UserError(
            f"{path}: not a feather file, truncated or damaged ({short(error)}); write it again "
            "(pandas: table.to_feather)"
        ) from None


def check_columns(path: Path, schema: pa.Schema, needed: Sequence[str]) -> None:
    """Raise UserError unless the table has the columns named, all numeric."""
    missing = [name for name in needed if name not in schema.names]
    if missing:
        raise UserError(f"{path}: missing column {', '.join(missing)}; add it (README: the pair table)")
    twice = [name for name in needed if schema.names.count(name) > 1]
    if twice:
        raise UserError(f"{path}: column {short(twice[0])} stands there twice; keep one")
    for name in needed:
        kind = schema.field(name).type
        if not _is_numeric(kind):
            raise UserError(
                f"{path}: column {short(name)} holds {short(schema.field(name).type)}, not numbers; convert it"
            )


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def under_ceilings(rows: pd.DataFrame, ceilings: ClassifySettings) -> NDArray[np.bool_]:
    """Which pairs step 2 looks at."""
    low = (rows["Delta_E"].abs() <= ceilings.max_delta_E) & (rows["total_displacement"] <= ceilings.max_distance)
    return np.asarray(low)


def feature_columns(schema: pa.Schema) -> list[str]:
    """The columns a model may learn from: every numeric one that is neither a name nor a target."""
    numeric = [field.name for field in schema if _is_numeric(field.type)]
    return [name for name in numeric if name not in _NEVER_FEATURES and not name.startswith(_PANDAS_INDEX)]


def feature_names(table: pd.DataFrame, *others: str) -> list[str]:
    """Features among the columns of a table in memory, less ``others``."""
    return [name for name in table if name not in (*_NEVER_FEATURES, *others)]


def common_features(paths: Sequence[Path]) -> list[str]:
    """Features that all the pair tables have, in the order of the first."""
    columns = [feature_columns(open_table(path).schema) for path in paths]
    return [name for name in columns[0] if all(name in others for others in columns)]


def read_batches(
    path: Path, columns: Sequence[str] | None = None, chosen: range | None = None, row: int = 0
) -> Iterator[pd.DataFrame]:
    """Rows of a pair table, at most BATCH at a time.

    Parameters
    ----------
    path : Path
        A pair table.
    columns : sequence of str, optional
        Those to read; default: the names of the pair and all features.
    chosen : range, optional
        Of the batches in the file those to read; default: all.
    row : int
        Number of their first row.

    Yields
    ------
    DataFrame
        As it stands in the file.

    Raises
    ------
    UserError
        If a column is missing or not numeric, the file can't be read, a number is not finite (those of
        ``MAY_BE_UNKNOWN`` may be NaN) or impossible.
    """
    reader = open_table(path)
    if columns is None:
        columns = [*PAIR_COLUMNS, *feature_columns(reader.schema)]
    check_columns(path, reader.schema, columns)
    for batch in record_batches(path, columns, chosen=chosen):
        for start in range(0, max(batch.num_rows, 1), BATCH):
            rows = batch.slice(start, BATCH).to_pandas(ignore_metadata=True)[list(columns)]
            check_numbers(path, rows, row, "row", _remedy(reader.schema))
            yield rows
            row += len(rows)


def record_batches(
    path: Path, columns: Sequence[str], mapped: bool = False, chosen: range | None = None
) -> Iterator[pa.RecordBatch]:
    """Some columns of a feather file as they are stored there; UserError where that is damaged."""
    reader = open_table(path, columns, mapped)
    for k in range(reader.num_record_batches) if chosen is None else chosen:
        try:
            batch = reader.get_batch(k)
            batch.validate(full=True)  # else a wrong length would be believed, and read beyond
        except FROM_ARROW as error:
            raise UserError(f"{path}: damaged ({short(error)}); {_remedy(reader.schema)}") from None
        yield batch.replace_schema_metadata()  # pandas would read its own, which may be damaged too


def _remedy(schema: pa.Schema) -> str:
    made_here = RECORD in (schema.metadata or {})
    return "remove it and run step0_collect.py" if made_here else "fix the row or take it out, or write the file again"


def find_pair(at: StatePoint, pair: Pair) -> tuple[Path, pd.DataFrame] | None:
    """Look up one pair in pair tables, a batch in memory at a time.

    Parameters
    ----------
    at : StatePoint
        Whose tables.
    pair : Pair
        Its minima in either order.

    Returns
    -------
    tuple of Path and DataFrame of shape (1, n_columns), or None
        The table that holds it and its row with all features; None if no table does.
    """
    import pandas as pd

    wanted = pair_index(pd.DataFrame([pair]), at.decimals)
    for path in at.pair_tables:
        for k, names in enumerate(read_batches(path, PAIR_COLUMNS)):
            found = rows_in(names, wanted, at.decimals)
            if found.any():
                return path, next(islice(read_batches(path), k, None))[found]
    return None


def stored_pairs(path: Path) -> int:
    """Number of rows of a pair table."""
    reader = open_table(path, open_table(path).schema.names[:1], mapped=True)
    try:
        return sum(reader.get_batch(k).num_rows for k in range(reader.num_record_batches))
    except FROM_ARROW as error:
        raise UserError(f"{path}: damaged ({short(error)}); write it again") from None


def glasses_in(path: Path) -> list[int]:
    """Numbers of the glasses whose pairs a table holds."""
    found: set[int] = set()
    for rows in read_batches(path, ["conf"]):
        found.update(rows["conf"].unique().astype(int).tolist())
    return sorted(found)


def check_ready_made(path: Path, decimals: int) -> int:
    """Check a table that step 0 did not make, row by row, and return its number of pairs.

    Raises
    ------
    UserError
        If a column is missing, a number is not finite (those of ``MAY_BE_UNKNOWN`` may be NaN), ``conf`` is no whole
        number, a minimum is paired with itself, or a pair stands twice.
    """
    check_columns(path, open_table(path).schema, NEEDED)
    row = 0
    hashes = []
    for rows in read_batches(path):
        _check_rows(path, rows, row, decimals)
        hashes.append(_hashes(rows, decimals))
        row += len(rows)
    if row == 0:
        raise UserError(f"{path}: no pair in it; remove it or write it again")
    hashed = np.sort(np.concatenate(hashes))
    repeated = int((hashed[1:] == hashed[:-1]).sum())
    if repeated:
        raise UserError(f"{path}: {repeated} repeated pairs; keep one row for each (conf, i, j)")
    return row


def _check_rows(path: Path, rows: pd.DataFrame, offset: int, decimals: int) -> None:
    itself = minimum_keys(rows["i"], decimals) == minimum_keys(rows["j"], decimals)
    if itself.any():
        row = int(np.argmax(itself))
        raise UserError(
            f"{path}: row {offset + row}: i and j are the same minimum to {decimals} decimals; take the row out"
        )


def _hashes(rows: pd.DataFrame, decimals: int) -> NDArray[np.uint64]:
    """A number for each pair, the same whichever minimum comes first."""
    import pandas as pd

    i, j = (minimum_keys(rows[name], decimals) for name in ("i", "j"))
    keys = pd.DataFrame({"conf": rows["conf"].astype(np.int64), "low": np.minimum(i, j), "high": np.maximum(i, j)})
    return np.asarray(pd.util.hash_pandas_object(keys, index=False))
