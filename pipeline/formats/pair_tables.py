"""Pair tables on disk, feather files of float64: opening and reading them a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import UserError, short
from pipeline.formats.keys import PAIR_COLUMNS
from pipeline.settings import ClassifySettings
from pipeline.workspace import DW, QS

BATCH = 262_144  # pairs read, computed and written at a time: a step's memory follows from it, not from the table
MADE = b"step0_collect"  # key in the metadata of a table that step 0 made, beside its units; a ready-made one has none
UNITS = "units"  # column of text that names the units of a ready-made table
OUT_OF_FOLD = "out_of_fold"  # column of pairs used for training: prediction by models that saw no pair of their glass
PROBABILITY = "dw_probability"  # column of the probability of a double well
TLS_PROBABILITY = "tls_probability"  # column of the probability of a TLS

NEIGHBOURHOOD = ["nearest_between", "gabriel", "gabriel_between", "nearest_i", "nearest_j"]
"""Columns that :func:`glass.neighbourhood.pair_neighbourhood` gives, in order; only in tables made from minima."""

MAY_BE_UNKNOWN = ("Tij", "Tji", *NEIGHBOURHOOD)  # features that may be missing (NaN) for a pair
NEEDED = [*PAIR_COLUMNS, "Delta_E", "total_displacement"]  # columns of every pair table; step 2 cuts at the last two
_TURNED = ("i", "j"), ("Tij", "Tji"), ("nearest_i", "nearest_j")  # columns that change places where i and j do
_NEVER_FEATURES = {*PAIR_COLUMNS, "T", "i2", "j2", "index", DW, QS, PROBABILITY, TLS_PROBABILITY, OUT_OF_FOLD, UNITS}
_PANDAS_INDEX = "__index_level_"  # how pyarrow names an index that pandas had
FROM_ARROW = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, MemoryError)  # over damaged files


def open_table(path: Path, columns: Sequence[str] | None = None, mapped: bool = False) -> pa.ipc.RecordBatchFileReader:
    """Open a feather file without reading its rows; ``columns``: those to read when rows are asked for.

    ``mapped``: into memory instead of reading, for rows that are looked up here and there. Raises UserError where the
    file is none, or damaged.
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
        raise UserError(f"{path}: not a feather file, or damaged ({short(error)}); write it again") from None


def check_columns(path: Path, schema: pa.Schema, needed: Sequence[str]) -> None:
    """Raise UserError unless the table has the columns named, each once and all numeric."""
    missing = [name for name in needed if name not in schema.names]
    if missing:
        raise UserError(f"{path}: missing column {', '.join(missing)}; add it (doc/files.md: the pair table)")
    twice = [name for name in needed if schema.names.count(name) > 1]
    if twice:
        raise UserError(f"{path}: column {short(twice[0])} stands there twice; keep one")
    for name in needed:
        kind = schema.field(name).type
        if not _is_numeric(kind) or (name == "conf" and pa.types.is_boolean(kind)):
            raise UserError(f"{path}: column {short(name)} holds {short(kind)}, not numbers; convert it")


def _is_numeric(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    kinds = pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal
    return any(is_this(kind) for is_this in kinds)


def under_ceilings(rows: pd.DataFrame, ceilings: ClassifySettings) -> NDArray[np.bool_]:
    """Mask of the pairs that step 2 looks at."""
    low = (rows["Delta_E"] <= ceilings.max_delta_E) & (rows["total_displacement"] <= ceilings.max_distance)
    return np.asarray(low)


def feature_columns(schema: pa.Schema) -> list[str]:
    """The columns a model may learn from: every numeric one that is neither a name nor a target."""
    numeric = [field.name for field in schema if _is_numeric(field.type)]
    return [name for name in numeric if name not in _NEVER_FEATURES and not name.startswith(_PANDAS_INDEX)]


def common_features(paths: Sequence[Path]) -> list[str]:
    """Features that all the pair tables have, in the order of the first."""
    columns = [feature_columns(open_table(path).schema) for path in paths]
    return [name for name in columns[0] if all(name in others for others in columns)]


def read_batches(
    path: Path, columns: Sequence[str] | None = None, chosen: range | None = None
) -> Iterator[pd.DataFrame]:
    """Rows of a table that was checked, or that a step wrote, at most BATCH at a time; one frame at least.

    ``columns``: default the names of the pair and all features. ``chosen``: of the batches in the file. ``conf`` is
    int64, all others float64.
    """
    columns = [*PAIR_COLUMNS, *feature_columns(open_table(path).schema)] if columns is None else columns
    for batch in record_batches(path, columns, chosen=chosen):
        yield as_frame(batch, columns)


def as_frame(batch: pa.RecordBatch, columns: Sequence[str]) -> pd.DataFrame:
    """Numeric columns of any type as numbers: ``conf`` as int64, others as float64, NaN where there is none.

    Where ``Delta_E`` is among them and below zero, j is the lower minimum: i and j change places.
    """

    def numbers(name: str) -> NDArray[np.float64 | np.int64]:
        column = batch[name]
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = pa.int64() if name == "conf" else pa.float64()
        return np.asarray(pc.cast(column, kind, safe=False).to_numpy(zero_copy_only=False))

    rows = pd.DataFrame({name: numbers(name) for name in columns})
    if "Delta_E" in rows and (turned := rows["Delta_E"].to_numpy() < 0).any():
        for both in map(list, _TURNED):
            if rows.columns.isin(both).sum() == 2:
                rows.loc[turned, both] = rows.loc[turned, both[::-1]].to_numpy()
        rows["Delta_E"] = rows["Delta_E"].abs()
    return rows


def record_batches(
    path: Path, columns: Sequence[str], mapped: bool = False, chosen: range | None = None
) -> Iterator[pa.RecordBatch]:
    """Some columns of a feather file as they are stored there, BATCH rows at most; UserError where that is damaged."""
    reader = open_table(path, columns, mapped)
    for k in range(reader.num_record_batches) if chosen is None else chosen:
        try:
            batch = reader.get_batch(k)
            batch.validate(full=True)  # else a wrong length would be believed, and read beyond
        except FROM_ARROW as error:
            raise UserError(f"{path}: damaged ({short(error)}); write it again") from None
        for start in range(0, max(batch.num_rows, 1), BATCH):
            yield batch.slice(start, BATCH).replace_schema_metadata()  # pandas would read its own, perhaps damaged too


def stored_pairs(path: Path) -> int:
    """Number of rows of a pair table."""
    first = open_table(path).schema.names[:1]
    return sum(batch.num_rows for batch in record_batches(path, first, mapped=True))
