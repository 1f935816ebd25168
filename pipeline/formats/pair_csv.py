"""CSVs of pairs, the lists of steps 2 and 4: written and read a piece at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv

from pipeline.errors import UserError, short
from pipeline.files import atomic_write, spool_folder
from pipeline.formats.keys import PAIR_COLUMNS
from pipeline.formats.pair_tables import BATCH, UNITS
from pipeline.formats.possible import FROM_ARROW, PROBABILITY, check_numbers
from pipeline.units import REDUCED, Units, check_same_units

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 1 << 24
"""Bytes of a CSV that are read at a time: some ten thousand pairs."""

_LONGEST = 1 << 20
"""Characters of the line that names the columns of a CSV."""

_MAKE_AGAIN = "remove it and run the step that makes it"


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
    with atomic_write(path) as part, part.open("wb") as file:
        file.write(csv_text(None, columns, units))

        def append(rows: pd.DataFrame | bytes) -> None:
            file.write(rows if isinstance(rows, bytes) else csv_text(rows, columns, units))

        yield append


def csv_text(rows: pd.DataFrame | None, columns: Sequence[str], units: Units) -> bytes:
    """Rows as :func:`csv_writer` writes them; None: the line that names the columns."""
    numbers = pa.schema([(name, pa.int64() if name == "conf" else pa.float64()) for name in columns])
    table = numbers.empty_table() if rows is None else pa.Table.from_pandas(rows, numbers, preserve_index=False)
    table = table.append_column(pa.field(UNITS, pa.string()), pa.array([units.name] * len(table), pa.string()))
    plain = not any(mark in name for name in columns for mark in ',"\r\n')
    options = pa.csv.WriteOptions(include_header=rows is None, quoting_header="none" if plain else "needed")
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


@contextmanager
def with_units(path: Path, units: Units) -> Iterator[Path]:
    """The pairs that step 2 wrote, with their units: the file itself, or a copy of one of 0.1 while the block runs."""
    header = _csv_header(path)
    if UNITS in header or header[:4] != [*PAIR_COLUMNS, PROBABILITY]:
        yield path
        return
    with spool_folder(path) as folder:
        copy = folder / path.name
        with csv_writer(copy, header, units) as append:
            for rows in read_csv_batches(path):
                append(rows)
        yield copy


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
                check_numbers(path, rows, line, "line", _MAKE_AGAIN)
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
    except FROM_ARROW as error:
        raise UserError(f"{path}: not readable ({short(error)}); {_MAKE_AGAIN}") from None
