"""CSVs that a user writes, and those that the steps wrote."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.errors import UserError, short
from pipeline.files import content_of

_NUMBER = r"[+-]?(\d{1,40}\.?\d{0,40}|\.\d{1,40})([eEdD][+-]?\d{1,3})?"


def as_numbers(column: "pd.Series[Any]") -> "pd.Series[float]":
    """Text as the nearest floats, Fortran's ``1.06D-02`` too; NaN where it is no number.

    pandas' own conversion crashes on an exponent of many digits, and takes ``1_0`` and ``infinity``.
    """
    if column.dtype.kind in "iuf":
        return column.astype(np.float64)
    text = column.astype(str).str.strip()
    plain = text.where(text.str.fullmatch(_NUMBER))
    return plain.str.replace("[dD]", "e", n=1, regex=True).astype(np.float64)


def _read_csv(path: Path, texts: Sequence[str] = ()) -> pd.DataFrame:
    """All columns as they stand there: numbers where pandas finds nothing else, and exactly these."""
    return pd.read_csv(
        BytesIO(content_of(path)),
        float_precision="round_trip",
        encoding="utf-8-sig",
        index_col=False,
        skipinitialspace=True,
        low_memory=False,
        dtype=dict.fromkeys(texts, object),
    )


def read_user_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV that must have some columns and may have more.

    Raises
    ------
    UserError
        If the file is not readable as CSV, its columns are separated by something else than commas, or one is missing.
    """
    form = f"a CSV with the columns {','.join(columns)}"
    try:
        table = _read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable ({short(error)}); give {form}") from None
    if len(table.columns) == 1 and ";" in table.columns[0]:
        raise UserError(f"{path}: its columns are separated by semicolons; separate them by commas")
    missing = [name for name in columns if name not in table]
    if missing:
        raise UserError(f"{path}: no column {', '.join(missing)}; give {form}")
    return table


def read_own_csv(path: Path, needed: Sequence[str], numbers: Sequence[str], texts: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV that a step wrote.

    Parameters
    ----------
    path : Path
        The file.
    needed : sequence of str
        Columns that it must have.
    numbers : sequence of str
        Columns that hold numbers, or nothing, where they are there.
    texts : sequence of str
        Columns whose text may look like a number.

    Raises
    ------
    UserError
        If the file is not readable as CSV, a column is missing, or text stands where a number should.
    """
    remedy = "remove it and run the step that makes it"
    try:
        table = _read_csv(path, texts)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable ({short(error)}); {remedy}") from None
    missing = [name for name in needed if name not in table]
    if missing:
        raise UserError(f"{path}: no column {', '.join(missing)}; {remedy}")
    for name in numbers:
        if name in table:
            values = as_numbers(table[name])
            bad = ~np.isfinite(values) & table[name].notna()
            if bad.any():
                line = int(bad.argmax())
                raise UserError(
                    f"{path}: line {line + 2}: {name} = {short(table[name][line])} is not a number; {remedy}"
                )
            table[name] = values
    return table
