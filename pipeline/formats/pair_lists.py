"""Lists of pairs for people: CSVs of a few columns with six significant digits; features stand in the pair tables.

polars writes them: a row in 0.3 µs and its rounding in 0.2, where pyarrow takes 1.1 and 0.2.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from pipeline.errors import UserError, short
from pipeline.files import atomic_write
from pipeline.formats.keys import PAIR_COLUMNS
from pipeline.formats.pair_tables import FROM_ARROW, PROBABILITY, TLS_PROBABILITY
from pipeline.workspace import QS

DIGITS = 6  # significant digits of all columns but those that name the pair
SPLITTING_K = "splitting_K"  # column of the splitting in kelvin
_OF_THE_PAIR = ["Delta_E", "total_displacement", "PR", "nearest_between"]

DOUBLE_WELLS = [*PAIR_COLUMNS, PROBABILITY, *_OF_THE_PAIR]
"""Columns of the list of step 2; those that a pair table lacks are left out."""

PREDICTED = [*PAIR_COLUMNS, QS, SPLITTING_K, TLS_PROBABILITY, PROBABILITY, *_OF_THE_PAIR]
"""Columns of the lists of step 4, likewise; the script adds that of the rearrangement."""

_ROWS, _LETTERS = 1 << 18, 1 << 24  # rows that are ordered and written, and letters that are read, at a time


def as_listed(pairs: pd.DataFrame) -> pl.DataFrame:
    """Pairs as they come into a list, their numbers rounded to DIGITS; parts are joined by ``polars.concat``."""
    numbers = [name for name in pairs if name not in PAIR_COLUMNS]
    return pl.from_pandas(pairs).with_columns(pl.col(numbers).fill_nan(None).round_sig_figs(DIGITS))


def write_list(path: Path, pairs: pl.DataFrame, decimals: int, order: NDArray[np.int64] | None = None) -> None:
    """Write a list of pairs as :func:`as_listed` gives them, all or those of ``order``; what is unknown stays empty."""
    order = np.arange(len(pairs)) if order is None else order
    with atomic_write(path) as part, part.open("wb") as file:
        for start in range(0, max(len(order), 1), _ROWS):
            rows = pairs[order[start : start + _ROWS]].with_columns(pl.col("i", "j").cast(pl.Decimal(38, decimals)))
            rows.write_csv(file, include_header=start == 0)


def copy_lines(source: Path, path: Path, lines: NDArray[np.int64]) -> None:
    """Write the lines of a list with these numbers, from 0, in this order: a third of the time of writing rows anew."""
    with pa.memory_map(str(source)) as file:
        text = file.read_buffer()
    letters = np.frombuffer(text, np.uint8)
    ends = [
        start + np.flatnonzero(letters[start : start + _LETTERS] == ord("\n"))
        for start in range(0, len(letters), _LETTERS)
    ]
    starts = 1 + np.concatenate(ends)
    every = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(starts) - 1, [None, pa.py_buffer(starts), text])
    with atomic_write(path) as part, part.open("wb") as file:
        file.write(text[: int(starts[0])])
        for start in range(0, len(lines), _ROWS):
            file.write(every.take(pa.array(lines[start : start + _ROWS])).buffers()[2])


def read_list(path: Path, columns: Sequence[str], script: str) -> pd.DataFrame:
    """Some columns of numbers of a list, all rows; raises UserError where it is not as ``script`` writes it."""
    types = {name: pa.int64() if name == "conf" else pa.float64() for name in columns}
    convert = pa.csv.ConvertOptions(column_types=types, include_columns=list(columns))
    try:
        table = pa.csv.read_csv(path, convert_options=convert)
        empty = next((name for name in columns if table[name].null_count), None)
    except FROM_ARROW as error:
        raise UserError(f"{path}: not as {script} writes it ({short(error)}); run that step") from None
    if empty is not None:
        raise UserError(f"{path}: not as {script} writes it (a row without {short(empty)}); run that step")
    return table.to_pandas()
