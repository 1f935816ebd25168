"""What a column of a table or list of pairs can hold, and what pyarrow raises where a file is damaged."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline.errors import UserError, short
from pipeline.workspace import QS

if TYPE_CHECKING:
    import pandas as pd

PROBABILITY = "dw_probability"
"""Column of the probability of a double well."""

TLS_PROBABILITY = "tls_probability"
"""Column of the probability of a TLS."""

NEIGHBOURHOOD = ["nearest_between", "gabriel", "gabriel_between", "nearest_i", "nearest_j"]
"""Columns that :func:`glass.neighbourhood.pair_neighbourhood` gives, in order; only in tables made from minima."""

MAY_BE_UNKNOWN = ("Tij", "Tji", *NEIGHBOURHOOD)
"""Features that may be missing (NaN) for a pair."""

_GEOMETRY = re.compile(r"displacement_\d+|0to\d+|total_displacement|PR")
"""Features that are a length or a count: from 0 to LARGEST."""

LARGEST = 1e9
"""No box is so long, in any unit, nor does any glass have so many particles."""

_FINITE = float(np.finfo(np.float64).max)

FROM_ARROW = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, MemoryError)
"""What pyarrow raises over damaged files."""


def check_numbers(path: Path, rows: pd.DataFrame, offset: int, word: str, remedy: str) -> None:
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
            raise UserError(f"{path}: {word} {offset + row}: {short(name)}{said}; {remedy}")


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
