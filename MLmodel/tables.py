"""Pair tables on disk: opening, checking and reading them a piece at a time."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from pipeline.errors import UserError, short
from pipeline.files import atomic_write
from pipeline.keys import PAIR_COLUMNS, Pair, minimum_keys, pair_keys
from pipeline.settings import ClassifySettings
from pipeline.task import DW, QS
from pipeline.units import REDUCED, Units, check_same_units

if TYPE_CHECKING:
    import pandas as pd

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

_GEOMETRY = re.compile(r"displacement_\d+|0to\d+|total_displacement|PR")
"""Features that are a length or a count: from 0 to LARGEST."""

LARGEST = 1e9
"""No box is so long, in any unit, nor does any glass have so many particles."""

_FINITE = float(np.finfo(np.float64).max)

_FROM_ARROW = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, MemoryError)
"""What pyarrow raises over damaged files."""

_BLOCK = 1 << 24
"""Bytes of a CSV that are read at a time: some ten thousand pairs."""

_LONGEST = 1 << 20
"""Characters of the line that names the columns of a CSV."""

_MAKE_AGAIN = "remove it and run the step that makes it"

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
    except _FROM_ARROW as error:
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
        raise UserError(f"{path}: column {twice[0]} stands there twice; keep one")
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
        for start in range(0, batch.num_rows, BATCH):
            rows = batch.slice(start, BATCH).to_pandas(ignore_metadata=True)[list(columns)]
            _check_numbers(path, rows, row, "row", _remedy(reader.schema))
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
        except _FROM_ARROW as error:
            raise UserError(f"{path}: damaged ({short(error)}); {_remedy(reader.schema)}") from None
        yield batch.replace_schema_metadata()  # pandas would read its own, which may be damaged too


def _remedy(schema: pa.Schema) -> str:
    made_here = RECORD in (schema.metadata or {})
    return "remove it and run step0_collect.py" if made_here else "fix the row or take it out, or write the file again"


def _check_numbers(path: Path, rows: pd.DataFrame, offset: int, word: str, remedy: str) -> None:
    """Raise UserError unless all numbers are there, where they must be known, finite and possible."""
    for name in rows:
        values = rows[name].to_numpy()
        if values.dtype.kind not in "iuf":  # booleans; whole numbers, some of them missing
            values = values.astype(np.float64)
        low, high, possible = _possible(name)
        bad = ~((values >= low) & (values <= high))
        if name in MAY_BE_UNKNOWN:
            bad &= ~np.isnan(values)
        if name == "conf":
            bad |= values != np.rint(values)
        if bad.any():
            row = int(np.argmax(bad))
            said = f" = {values[row]} is not {possible}" if np.isfinite(values[row]) else " is not a finite number"
            raise UserError(f"{path}: {word} {offset + row}: {name}{said}; {remedy}")


def _possible(name: str) -> tuple[float, float, str]:
    """The least and the largest that a column can hold, and the same in words."""
    if name == "conf":
        return 0, 1e18, "a whole number"
    if name in (PROBABILITY, TLS_PROBABILITY):
        return 0, 1, "from 0 to 1"
    if name == QS:
        return np.nextafter(0, 1), _FINITE, "above zero"
    if _GEOMETRY.fullmatch(name):
        return 0, LARGEST, f"from 0 to {LARGEST:g}"
    return -_FINITE, _FINITE, "finite"


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
    import pandas as pd

    wanted = pair_keys(pd.DataFrame([pair]), decimals).to_numpy()
    for path in paths:
        for k, names in enumerate(read_batches(path, PAIR_COLUMNS)):
            at = (pair_keys(names, decimals).to_numpy() == wanted).all(axis=1)
            if at.any():
                return path, next(islice(read_batches(path), k, None))[at]
    return None


def stored_pairs(path: Path) -> int:
    """Number of rows of a pair table."""
    reader = open_table(path, open_table(path).schema.names[:1], mapped=True)
    try:
        return sum(reader.get_batch(k).num_rows for k in range(reader.num_record_batches))
    except _FROM_ARROW as error:
        raise UserError(f"{path}: damaged ({short(error)}); write it again") from None


def glasses_in(path: Path) -> list[int]:
    """Numbers of the glasses whose pairs a table holds."""
    found: set[int] = set()
    for rows in read_batches(path, ["conf"]):
        found.update(rows["conf"].unique().astype(int).tolist())
    return sorted(found)


@contextmanager
def csv_writer(path: Path, columns: Sequence[str], units: Units) -> Iterator[Callable[[pd.DataFrame | bytes], None]]:
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
        Takes a DataFrame with these columns, or its :func:`csv_text`, appends its rows and returns nothing.
    """
    import pandas as pd

    with atomic_write(path) as part, part.open("wb") as file:
        file.write(csv_text(pd.DataFrame(columns=list(columns), dtype=np.float64), columns, units, header=True))

        def append(rows: pd.DataFrame | bytes) -> None:
            file.write(rows if isinstance(rows, bytes) else csv_text(rows, columns, units))

        yield append


def csv_text(rows: pd.DataFrame, columns: Sequence[str], units: Units, header: bool = False) -> bytes:
    """Rows as :func:`csv_writer` writes them."""
    numbers = pa.schema([(name, pa.int64() if name == "conf" else pa.float64()) for name in columns])
    table = pa.Table.from_pandas(rows, numbers, preserve_index=False)
    table = table.append_column(pa.field(UNITS, pa.string()), pa.array([units.name] * len(rows), pa.string()))
    plain = not any(mark in name for name in columns for mark in ',"\r\n')
    options = pa.csv.WriteOptions(include_header=header, quoting_header="none" if plain else "needed")
    text = pa.BufferOutputStream()
    pa.csv.write_csv(table, text, options)
    return bytes(text.getvalue().to_pybytes())


def csv_columns(path: Path) -> list[str]:
    """Names of the columns of numbers in a CSV of pairs; UserError if it has none."""
    return [name for name in _csv_header(path) if name != UNITS]


def _csv_header(path: Path) -> list[str]:
    with _readable(path), path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader([file.readline(_LONGEST)]), [])
        if not names or len(set(names)) < len(names):
            raise ValueError("its first line does not name the columns, each once")
    return names


def check_csv_units(path: Path, units: Units, remedy: str) -> None:
    """Raise UserError if the first row of a CSV of pairs says other units; those of 0.1 say nothing: reduced."""
    name = REDUCED.name
    if UNITS in _csv_header(path):
        with _readable(path):
            first = next((batch for batch in _open_csv(path, [UNITS]) if batch.num_rows), None)
            name = units.name if first is None else str(first[UNITS][0])
    check_same_units(path, name, units, remedy)


def read_csv_batches(
    path: Path, columns: Sequence[str] | None = None, content: pa.Buffer | None = None
) -> Iterator[pd.DataFrame]:
    """Rows of a CSV of pairs, at most BATCH at a time; ``content``: a part of the file with its first line, to read.

    Raises
    ------
    UserError
        If it holds anything but numbers, its units apart, one of them is missing or impossible, or a line is cut.
    """
    header = _csv_header(path)
    of_pairs = [*PAIR_COLUMNS, *(name for name in header if name not in (*PAIR_COLUMNS, UNITS))]
    columns = of_pairs if columns is None else list(columns)
    units, line = set[Any](), 2  # the first line names the columns
    with _readable(path):
        reader = _open_csv(content or path, [*columns, *(name for name in header if name == UNITS)])
        for batch in reader:
            if UNITS in header:  # the last column: the first to suffer where a line is cut
                units.update(batch[UNITS].unique().to_pylist())
                if len(units) > 1:
                    raise ValueError(f"lines {line} to {line + batch.num_rows - 1}: the units are not the same in all")
            for start in range(0, batch.num_rows, BATCH):
                rows = batch.select(columns).slice(start, BATCH).to_pandas()
                _check_numbers(path, rows, line, "line", _MAKE_AGAIN)
                yield rows
                line += len(rows)
        if line == 2:
            yield reader.schema.empty_table().select(columns).to_pandas()


def _open_csv(path: Path | pa.Buffer, columns: Sequence[str]) -> pa.csv.CSVStreamingReader:
    """Some columns of a CSV of pairs in pieces, by Arrow's reader: exact, and much faster than that of pandas."""
    types = {name: pa.float64() for name in columns} | {"conf": pa.int64(), UNITS: pa.string()}
    return pa.csv.open_csv(
        path if isinstance(path, Path) else pa.BufferReader(path),
        pa.csv.ReadOptions(block_size=_BLOCK),
        convert_options=pa.csv.ConvertOptions(column_types=types, include_columns=list(columns)),
    )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        if not path.is_file():
            raise ValueError("not a file")
        yield
    except _FROM_ARROW as error:
        raise UserError(f"{path}: not readable ({short(error)}); {_MAKE_AGAIN}") from None


def check_ready_made(path: Path, decimals: int) -> int:
    """Check a table that step 0 did not make, row by row, and return its number of pairs.

    Raises
    ------
    UserError
        If a column is missing, a number is not finite (those of ``MAY_BE_UNKNOWN`` may be NaN), ``conf`` is no whole
        number, a minimum is paired with itself, or a pair stands twice.
    """
    import pandas as pd

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
    itself = minimum_keys(rows["i"], decimals) == minimum_keys(rows["j"], decimals)
    if itself.any():
        row = int(np.argmax(itself))
        raise UserError(
            f"{path}: row {offset + row}: i and j are the same minimum to {decimals} decimals; take the row out"
        )
