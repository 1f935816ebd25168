"""Transitions between minima on disk: how often a trajectory went straight from one to another."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import UserError, short
from pipeline.files import write_text
from pipeline.formats.csv_files import as_numbers, read_user_csv

_COLUMNS = ["i", "j", "count"]


def read_transitions(path: Path) -> pd.DataFrame:
    """Transitions of one glass: columns ``i``, ``j`` (names of minima) and ``count``."""
    table = read_user_csv(path, _COLUMNS)
    numbers = pd.DataFrame({name: as_numbers(table[name]) for name in _COLUMNS})
    bad = ~np.isfinite(numbers).all(axis=1) | (numbers["count"] < 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(
            f"{path}: line {row + 2}: not two minima and a count: {short(table.iloc[row].to_list())}; fix it"
        )
    return numbers


def write_transitions(path: Path, counts: Mapping[tuple[str, str], int]) -> None:
    """Write the transitions of one glass, the minima by their energy per particle as text."""
    rows = (f"{i},{j},{count}\n" for (i, j), count in counts.items())
    write_text(path, ",".join(_COLUMNS) + "\n" + "".join(rows))
