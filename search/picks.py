"""Which pairs are calculated exactly next: every rule in plain sight."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import UserError
from pipeline.formats.keys import PAIR_COLUMNS, among, pair_keys
from pipeline.formats.pair_tables import feature_columns, open_table, read_batches, under_ceilings
from pipeline.settings import ClassifySettings

CONTRAST = 0.25
"""This part of the pairs that are picked without a model are far ones, which are no double wells, for contrast."""

NEAR = 1.0
"""A pair is near if nearest_between reaches this: no third minimum lies between its two."""

FAR = 0.9
"""A pair is far if nearest_between is below this."""

_DRAW = "order of the draw"


def top_and_random(left: pd.DataFrame, top: int, random: int, seed: Sequence[int]) -> pd.DataFrame:
    """The first pairs of a list, and some of the others drawn at random, which keep the classifier honest.

    Parameters
    ----------
    left : DataFrame
        Pairs without a result, best first.
    top, random : int
        How many of each.
    seed : sequence of int
        Equal seeds draw equal pairs.
    """
    rest = left.iloc[top:]
    drawn = rest.sample(min(random, len(rest)), random_state=np.random.default_rng(list(seed)))
    return pd.concat([left.head(top), drawn])


def by_neighbourhood(
    tables: Sequence[Path],
    ceilings: ClassifySettings,
    known: pd.DataFrame,
    count: int,
    seed: Sequence[int],
    decimals: int,
) -> pd.DataFrame:
    """Pairs to begin with where there is no label: near ones, in turn from all glasses, and some far ones.

    Parameters
    ----------
    tables : sequence of Path
        Pair tables made from minima.
    ceilings : ClassifySettings
        No pair above them is picked.
    known : DataFrame
        Keys of pairs that have a result.
    count : int
        How many pairs.
    seed : sequence of int
        Equal seeds pick equal pairs.
    decimals : int
        To which the names of two minima are equal.

    Returns
    -------
    DataFrame
        ``conf``, ``i``, ``j``; fewer than ``count`` where there are no more.

    Raises
    ------
    UserError
        If a table has no neighbourhood columns.
    """
    rng = np.random.default_rng(list(seed))
    near = far = pd.DataFrame(columns=[*PAIR_COLUMNS, _DRAW])
    for rows in _left_under_ceilings(tables, ceilings, known, decimals):
        rows = rows.assign(**{_DRAW: rng.random(len(rows))})
        near = _first_of_each_glass(near, rows[rows["nearest_between"] >= NEAR], count)
        far = _first_of_each_glass(far, rows[rows["nearest_between"] < FAR], count)
    far = _in_turn(far, int(np.ceil(CONTRAST * count)))
    near = _in_turn(near, count - len(far))
    return _joined(near, far).astype({"conf": np.int64, "i": float, "j": float})


def _left_under_ceilings(
    tables: Sequence[Path], ceilings: ClassifySettings, known: pd.DataFrame, decimals: int
) -> Iterator[pd.DataFrame]:
    """Batches of the pairs that step 2 would look at and that have no result."""
    columns = [*PAIR_COLUMNS, "Delta_E", "total_displacement", "nearest_between"]
    for table in tables:
        if "nearest_between" not in feature_columns(open_table(table).schema):
            raise UserError(
                f"{table}: no column nearest_between to pick pairs by; only tables made from minima have it"
            )
    for rows in (rows for table in tables for rows in read_batches(table, columns)):
        yield rows[under_ceilings(rows, ceilings) & ~among(pair_keys(rows, decimals), known)]


def all_candidates(
    tables: Sequence[Path],
    ceilings: ClassifySettings,
    known: pd.DataFrame,
    least: float,
    listed: pd.DataFrame,
    decimals: int,
) -> pd.DataFrame:
    """Every pair that could be a double well, best chances first: those of the list in its order, then the nearest.

    Parameters
    ----------
    tables, ceilings, known, decimals
        As of :func:`by_neighbourhood`.
    least : float
        No pair with a smaller nearest_between, unless it is listed.
    listed : DataFrame
        ``conf``, ``i``, ``j`` of the pairs that a model calls double wells; empty without a model.

    Returns
    -------
    DataFrame
        ``conf``, ``i``, ``j``.

    Raises
    ------
    UserError
        If a table has no neighbourhood columns.
    """
    near = [
        rows.loc[rows["nearest_between"] >= least, [*PAIR_COLUMNS, "nearest_between"]]
        for rows in _left_under_ceilings(tables, ceilings, known, decimals)
    ]
    nearest = pd.concat(near).sort_values("nearest_between", ascending=False, kind="stable")[PAIR_COLUMNS]
    listed = listed.loc[~among(pair_keys(listed, decimals), known), PAIR_COLUMNS]
    both = pd.concat([part for part in (listed, nearest) if len(part)] or [nearest], ignore_index=True)
    return both[~pair_keys(both, decimals).duplicated()]


def _first_of_each_glass(kept: pd.DataFrame, more: pd.DataFrame, count: int) -> pd.DataFrame:
    """The pairs of each glass that come first in a draw: no more are kept than can be picked."""
    both = _joined(kept, more[kept.columns])
    return both.sort_values(_DRAW).groupby("conf").head(count)


def _joined(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Rows of both; pandas warns of empty ones."""
    return pd.concat([part for part in (one, other) if len(part)] or [one], ignore_index=True)


def _in_turn(drawn: pd.DataFrame, count: int) -> pd.DataFrame:
    """Pairs in the order of their draw, one of each glass in turn."""
    turn = drawn.groupby("conf").cumcount()
    return drawn.iloc[np.argsort(turn.to_numpy(), kind="stable")].head(count)[PAIR_COLUMNS]
