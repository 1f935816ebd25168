"""CSVs that a user writes, and those that the steps wrote."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.errors import UserError


def read_user_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV that must have some columns and may have more.

    Raises
    ------
    UserError
        If the file is not readable as CSV, its columns are separated by something else than commas, or one is missing.
    """
    form = f"a CSV with the columns {','.join(columns)}"
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        if ";" in header and "," not in header:
            raise UserError(f"{path}: its columns are separated by semicolons; separate them by commas")
        table = pd.read_csv(
            path, float_precision="round_trip", encoding="utf-8-sig", index_col=False, skipinitialspace=True
        )
    except (FileNotFoundError, IsADirectoryError, ValueError) as error:
        raise UserError(f"{path}: not readable ({error}); give {form}") from None
    missing = [name for name in columns if name not in table]
    if missing:
        raise UserError(f"{path}: no column {', '.join(missing)}; give {form}")
    return table


def read_own_csv(path: Path, needed: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """Read a CSV that a step wrote.

    Parameters
    ----------
    path : Path
        The file.
    needed : sequence of str
        Columns that it must have.
    numbers : sequence of str
        Columns that hold numbers, or nothing, where they are there.

    Raises
    ------
    UserError
        If the file is not readable as CSV, a column is missing, or text stands where a number should.
    """
    remedy = "remove it and run the step that makes it"
    try:
        table = pd.read_csv(path, float_precision="round_trip", index_col=False)
        found = [name for name in numbers if name in table]
        table[found] = table[found].apply(pd.to_numeric)
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path}: not readable ({' '.join(str(error).split())}); {remedy}") from None
    missing = [name for name in needed if name not in table]
    if missing:
        raise UserError(f"{path}: no column {', '.join(missing)}; {remedy}")
    return table
