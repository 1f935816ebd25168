"""Transitions between minima on disk: how often a trajectory went straight from one to another."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipeline.files import write_text
from pipeline.formats.csv_files import Range, read_user_csv, with_numbers

_COLUMNS = {"i": Range(), "j": Range(), "count": Range(0)}


def read_transitions(path: Path) -> pd.DataFrame:
    """Transitions of one glass: columns ``i``, ``j`` (names of minima) and ``count``."""
    return with_numbers(path, read_user_csv(path, [*_COLUMNS])[[*_COLUMNS]], _COLUMNS)


def write_transitions(path: Path, counts: Mapping[tuple[str, str], int]) -> None:
    """Write the transitions of one glass, the minima by their energy per particle as text."""
    rows = (f"{i},{j},{count}\n" for (i, j), count in counts.items())
    write_text(path, ",".join(_COLUMNS) + "\n" + "".join(rows))
