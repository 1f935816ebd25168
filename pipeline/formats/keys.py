"""Names of minima and pairs: numbers in files, whole numbers (keys) wherever two of them are compared."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import UserError

PAIR_COLUMNS = ["conf", "i", "j"]  # columns that name a pair in every file: the glass and its two minima
KEYS = ["glass", "low", "high"]  # levels of pair_index: the glass and the keys of its two minima, the smaller first


def no_pairs(*others: str) -> pd.DataFrame:
    """An empty table with PAIR_COLUMNS and further ones, by :func:`pair_index`."""
    types = {"conf": np.int64, "i": np.float64, "j": np.float64}
    return by_pair(pd.DataFrame(columns=[*PAIR_COLUMNS, *others]).astype(types), 1)


def label(name: float, decimals: int) -> str:
    """Name of a minimum as text, with all its decimals."""
    return f"{name:.{decimals}f}"


class Pair(NamedTuple):
    """A pair of minima; ``i`` and ``j`` as in files, the lower energy first."""

    conf: int
    i: float
    j: float

    def text(self, decimals: int) -> str:
        """``Cnf-{conf} {i}_{j}``, as lines of results name it."""
        return f"Cnf-{self.conf} {label(self.i, decimals)}_{label(self.j, decimals)}"


def labels_as_text(pairs: pd.DataFrame, decimals: int) -> pd.DataFrame:
    """Pairs whose ``i`` and ``j``, where they have them, are text, as they are written to files."""
    as_text = partial(label, decimals=decimals)
    return pairs.assign(**{name: pairs[name].map(as_text) for name in ("i", "j") if name in pairs})


def minimum_keys(names: ArrayLike, decimals: int) -> NDArray[np.int64]:
    """Names of minima as whole numbers of 10^-decimals, free of float noise; UserError where one is too large."""
    names = np.asarray(names, dtype=np.float64)
    bad = ~(np.abs(names) <= largest_name(decimals))
    if bad.any():
        raise UserError(f"config.yaml: ij_decimals = {decimals} is too many for {names[bad][0]:g}; lower it")
    return np.rint(names * 10.0**decimals).astype(np.int64)


def largest_name(decimals: int) -> float:
    """Largest number that can name a minimum, as keys have 64 bits and names 53."""
    return min(9e18 / 10.0**decimals, 2.0**53)


def minimum_names(keys: ArrayLike, decimals: int) -> NDArray[np.float64]:
    """The names that keys stand for, as written to files; the inverse of :func:`minimum_keys`."""
    return np.asarray(keys) / 10.0**decimals


def pair_index(pairs: pd.DataFrame, decimals: int) -> pd.MultiIndex:
    """Index that tells pairs apart, whichever minimum comes first: ``KEYS``, from the columns ``conf``, ``i``, ``j``.

    Readers of pairs return tables with this index. ``decimals``: to which the names of two minima are equal.
    """
    i, j = (minimum_keys(pairs[name], decimals) for name in ("i", "j"))
    conf = pairs["conf"].to_numpy().astype(np.int64)
    return pd.MultiIndex.from_arrays([conf, np.minimum(i, j), np.maximum(i, j)], names=KEYS)


def by_pair(table: pd.DataFrame, decimals: int) -> pd.DataFrame:
    """A table of pairs with their :func:`pair_index`."""
    return table.set_index(pair_index(table, decimals))


def rows_in(rows: pd.DataFrame, known: pd.MultiIndex, decimals: int) -> NDArray[np.bool_]:
    """Mask of the known pairs in a batch, without an index of the whole batch, which takes ten times as long."""
    minima = np.concatenate([known.get_level_values(name) for name in KEYS[1:]])
    found = np.asarray(pd.Index(minimum_keys(rows["i"], decimals)).isin(minima))
    found[found] = pair_index(rows.loc[found, PAIR_COLUMNS], decimals).isin(known)
    return np.asarray(found)
