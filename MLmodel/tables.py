"""Pair tables on disk: opening, checking and reading them a piece at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.files import atomic_write
from pipeline.keys import PAIR_COLUMNS, Pair, minimum_keys, pair_keys
from pipeline.settings import ClassifySettings
from pipeline.task import DW, QS
from pipeline.units import REDUCED, Units, check_same_units

BATCH = 262_144
"""So many pairs are read, computed and written at a time: the memory of a step follows from it, not from the table."""

PROBABILITY = "dw_probability"
"""Column of the probability of a double well."""

TLS_PROBABILITY = "tls_probability"
"""Column of the probability of a TLS."""

UNITS = "units"
"""Column of text that names the units in which a row is; the last one of a CSV."""

OUT_OF_FOLD = "out_of_fold"
"""Column of the pairs used for training: what a model says of them that saw no pair of their glass."""

NEEDED = [*PAIR_COLUMNS, "Delta_E", "total_displacement"]
"""Columns that every pair table must have: the names of the pair, and what step 2 cuts at."""

NEIGHBOURHOOD = ["nearest_between", "gabriel", "gabriel_between", "nearest_i", "nearest_j"]
"""Columns that :func:`glass.neighbourhood.pair_neighbourhood` gives, in order; only in tables made from minima."""

MAY_BE_UNKNOWN = ("Tij", "Tji", *NEIGHBOURHOOD)
"""Features that may be missing (NaN) for a pair."""

_NEVER_FEATURES = {*PAIR_COLUMNS, "T", "i2", "j2", "index", DW, QS, PROBABILITY, TLS_PROBABILITY, OUT_OF_FOLD, UNITS}

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
        If it is no feather (Arrow) file, or was truncated.
    """
    try:
        file = pa.memory_map(str(path)) if mapped else pa.OSFile(str(path))
        reader = pa.ipc.open_file(file)
        if columns is None:
            return reader
        fields = [reader.schema.get_field_index(name) for name in columns]
        return pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=fields))
    except pa.ArrowInvalid:
        raise UserError(
            f"{path}: not a feather file, or truncated; write it again (pandas: table.to_feather)"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: can't be opened ({error}); remove it, or allow that") from None


def check_columns(path: Path, schema: pa.Schema, needed: Sequence[str]) -> None:
    """Raise UserError unless the table has the columns named, all numeric."""
    missing = [name for name in needed if name not in schema.names]
    if missing:
        raise UserError(f"{path}: missing column {', '.join(missing)}; add it (README: the pair table)")
    for name in needed:
        if not _is_numeric(schema.field(name).type):
            raise UserError(f"{path}: column {name} holds {schema.field(name).type}, not numbers; convert it")


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


def read_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """Rows of a pair table, at most BATCH at a time.

    Parameters
    ----------
    path : Path
        A pair table.
    columns : sequence of str, optional
        Those to read; default: the names of the pair and all features.

    Yields
    ------
    DataFrame
        As it stands in the file.

    Raises
    ------
    UserError
        If a column is missing or not numeric, or the file can't be read.
    """
    reader = open_table(path)
    if columns is None:
        columns = [*PAIR_COLUMNS, *feature_columns(reader.schema)]
    check_columns(path, reader.schema, columns)
    reader = open_table(path, columns)
    for k in range(reader.num_record_batches):
        try:
            batch = reader.get_batch(k).select(list(columns))
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{path}: damaged ({error}); write it again") from None
        for start in range(0, batch.num_rows, BATCH):
            yield batch.slice(start, BATCH).to_pandas(ignore_metadata=True)


def find_pair(paths: Sequence[Path], pair: Pair, decimals: int) -> tuple[Path, pd.DataFrame] | None:
    """Look up one pair in pair tables, a batch in memory at a time.

    Parameters
    ----------
    paths : sequence of Path
        The tables.
    pair : Pair
        Its minima in either order.
    decimals : int
        To which the names of two minima are equal.

    Returns
    -------
    tuple of Path and DataFrame of shape (1, n_columns), or None
        The table that holds it and its row with all features; None if no table does.
    """
    wanted = pair_keys(pd.DataFrame([pair]), decimals).to_numpy()
    for path in paths:
        for k, names in enumerate(read_batches(path, PAIR_COLUMNS)):
            at = (pair_keys(names, decimals).to_numpy() == wanted).all(axis=1)
            if at.any():
                return path, next(islice(read_batches(path), k, None))[at]
    return None


def stored_pairs(path: Path) -> int:
    """Number of rows of a pair table."""
    open_table(path)
    return int(pa.dataset.dataset(path, format="feather").count_rows())


def glasses_in(path: Path) -> list[int]:
    """Numbers of the glasses whose pairs a table holds."""
    found: set[int] = set()
    for rows in read_batches(path, ["conf"]):
        found.update(rows["conf"].unique().astype(int).tolist())
    return sorted(found)


@contextmanager
def csv_writer(path: Path, columns: Sequence[str], units: Units) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a CSV of pairs piece by piece; the file appears when the block ends well.

    Parameters
    ----------
    path : Path
        The file.
    columns : sequence of str
        ``conf`` is written as an integer; every other number so that it reads back the same.
    units : Units
        Named in the last column, UNITS, of each row.

    Yields
    ------
    callable
        Takes a DataFrame with these columns, appends its rows and returns nothing.
    """
    numbers = pa.schema([(name, pa.int64() if name == "conf" else pa.float64()) for name in columns])
    schema = numbers.append(pa.field(UNITS, pa.string()))
    plain = not any(mark in name for name in columns for mark in ',"\r\n')
    options = pa.csv.WriteOptions(quoting_header="none" if plain else "needed")
    with atomic_write(path) as part, pa.csv.CSVWriter(part, schema, write_options=options) as writer:

        def append(rows: pd.DataFrame) -> None:
            table = pa.Table.from_pandas(rows, numbers, preserve_index=False)
            writer.write_table(
                table.append_column(schema.field(UNITS), pa.array([units.name] * len(rows), pa.string()))
            )

        yield append


def csv_columns(path: Path) -> list[str]:
    """Names of the columns of numbers in a CSV of pairs; UserError if it has none."""
    with _readable(path):
        return [name for name in pd.read_csv(path, nrows=0) if name != UNITS]


def check_csv_units(path: Path, units: Units, remedy: str) -> None:
    """Raise UserError if the first row of a CSV of pairs says other units; those of 0.1 say nothing: reduced."""
    with _readable(path):
        first = pd.read_csv(path, nrows=1)
    for name in first.get(UNITS, pd.Series(REDUCED.name, first.index)):
        check_same_units(path, str(name), units, remedy)


def read_csv_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """Rows of a CSV of pairs, at most BATCH at a time; UserError if it holds anything but numbers, its units apart."""
    columns = csv_columns(path) if columns is None else columns
    with _readable(path), pd.read_csv(path, usecols=columns, chunksize=BATCH, float_precision="round_trip") as reader:
        for part in reader:
            yield part.astype({name: np.float64 for name in part if name != "conf"})


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path}: not readable ({error}); remove it and run the step that makes it") from None


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
        hashes.append(pd.util.hash_pandas_object(pair_keys(rows, decimals), index=False).to_numpy())
        row += len(rows)
    if row == 0:
        raise UserError(f"{path}: no pair in it; remove it or write it again")
    hashed = np.sort(np.concatenate(hashes))
    repeated = int((hashed[1:] == hashed[:-1]).sum())
    if repeated:
        raise UserError(f"{path}: {repeated} repeated pairs; keep one row for each (conf, i, j)")
    return row


def _check_rows(path: Path, rows: pd.DataFrame, offset: int, decimals: int) -> None:
    known = rows.drop(columns=list(MAY_BE_UNKNOWN), errors="ignore")
    unknown = ~np.isfinite(known.to_numpy(np.float64))
    if unknown.any():
        row, column = np.argwhere(unknown)[0]
        raise UserError(
            f"{path}: row {offset + row}: {known.columns[column]} is not a finite number; fix the row or take it out"
        )
    conf = rows["conf"].to_numpy()
    if (conf != np.rint(conf)).any():
        row = int(np.argmax(conf != np.rint(conf)))
        raise UserError(f"{path}: row {offset + row}: conf = {conf[row]} is not a whole number; name glasses by number")
    itself = minimum_keys(rows["i"], decimals) == minimum_keys(rows["j"], decimals)
    if itself.any():
        row = int(np.argmax(itself))
        raise UserError(
            f"{path}: row {offset + row}: i and j are the same minimum to {decimals} decimals; take the row out"
        )
