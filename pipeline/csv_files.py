"""CSVs that a user writes."""

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
