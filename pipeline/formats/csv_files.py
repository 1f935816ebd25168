"""CSVs that a user writes, and those that the steps wrote."""

import csv
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.errors import UserError, short
from pipeline.files import content_of

NUMBER = r"[+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eEdD][+-]?\d{1,3})?"  # as programs write it, Fortran's too


def as_numbers(column: "pd.Series[Any]") -> "pd.Series[float]":
    """Text as the nearest floats, Fortran's ``1.06D-02`` too; NaN where it is no number.

    pandas' own conversion crashes on an exponent of many digits, and takes ``1_0`` and ``infinity``.
    """
    if column.dtype.kind in "iuf":
        return column.astype(np.float64)
    text = column.astype(str).str.strip()
    plain = text.where(text.str.fullmatch(NUMBER))
    return plain.str.replace("[dD]", "e", n=1, regex=True).astype(np.float64)


def line_of(path: Path, row: int) -> int:
    """Number of the line of a CSV that holds a row of its table, from 0: blank lines are none."""
    lines = (at for at, line in enumerate(content_of(path).splitlines(), 1) if line.strip(b" \t"))
    return next(islice(lines, row + 1, None), row + 2)


def read_user_csv(path: Path, columns: Sequence[str], content: bytes | None = None) -> pd.DataFrame:
    """Read a CSV that must have some columns and may have more; ``content`` is what counts of the file, default all."""
    form, text = f"give a CSV with the columns {','.join(columns)}", ""
    try:
        content = content_of(path) if content is None else content
        text = content.decode("utf-8-sig", "replace")
        if ";" in (header := text.partition("\n")[0]) and "," not in header:
            said = "its columns are separated by semicolons; separate them by commas, with decimal points"
            raise UserError(f"{path}: {said}")
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a line with more fields than names
            table = pd.read_csv(
                BytesIO(content),
                float_precision="round_trip",
                encoding="utf-8-sig",
                index_col=False,
                skipinitialspace=True,
                low_memory=False,
                dtype={"conf": object},  # a float has lost the last digits of a large integer
            )
    except (pd.errors.ParserWarning, pd.errors.ParserError):
        lines = csv.reader(StringIO(text, newline=""))
        names, said = len(next(lines, [])), f"not readable as CSV; {form}"
        if fields := next((len(one) for one in lines if len(one) > names), 0):
            said = f"line {lines.line_num}: {fields} fields, but {names} columns; take out what is too many"
        raise UserError(f"{path}: {said}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable ({short(error)}); {form}") from None
    missing = [name for name in columns if name not in table]
    if missing:
        raise UserError(f"{path}: no column {', '.join(missing)}; {form}")
    return table


class Range(NamedTuple):
    """Allowed values of a column of numbers."""

    least: float = -1e300
    most: float = 1e300
    whole: bool = False
    may_be_empty: bool = False


def with_numbers(path: Path, table: pd.DataFrame, columns: Mapping[str, Range]) -> pd.DataFrame:
    """The table of a user's CSV with these columns as numbers, ``conf`` as int64; UserError where one can't be."""
    numbers: dict[str, pd.Series[Any]] = {}
    for name, (least, most, whole, may_be_empty) in columns.items():
        values = as_numbers(table[name])
        if name == "conf":  # exact integers, or missing (NA) where there is none, or a float that has lost digits
            text = table[name].astype(str).str.strip()
            exact = values.where((values >= 0) & (values < 2**53) & (values % 1 == 0)).astype("Int64")
            values = text.where(text.str.fullmatch(r"\d{1,18}")).astype("Int64").fillna(exact)
        good = values.between(least, most) & ((values % 1 == 0) | (not whole))
        bad = ~(good.fillna(False).astype(bool) | (may_be_empty & table[name].isna()))
        if bad.any():
            row, kind = int(np.argmax(bad)), "a whole number" if whole else "a number"
            said = f"{short(table[name].iloc[row])} is not {kind} from {least:g} to {most:g}; fix or remove the line"
            raise UserError(f"{path}: line {line_of(path, row)}: {name} = {said}")
        numbers[name] = values.astype(np.int64) if name == "conf" else values
    return table.assign(**numbers)


def read_own_csv(path: Path, types: dict[str, Any]) -> pd.DataFrame:
    """Read a CSV that a step wrote, with these columns and types, and perhaps more."""
    try:
        table = pd.read_csv(path, dtype=types, float_precision="round_trip", low_memory=False)
        missing = [name for name in types if name not in table]
        problem = f"no column {', '.join(missing)}" if missing else ""
    except (OSError, ValueError) as error:
        problem = short(error)
    if problem:
        raise UserError(f"{path}: changed since a step wrote it ({problem}); remove it and run the step that makes it")
    return table
