"""Which pairs are calculated exactly next: every rule in plain sight."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from pipeline.errors import UserError
from pipeline.formats.keys import PAIR_COLUMNS, by_pair, rows_in
from pipeline.formats.pair_tables import feature_columns, open_table, read_batches, under_ceilings
from pipeline.formats.results import joined
from pipeline.settings import ClassifySettings
from pipeline.workspace import StatePoint

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
    at: StatePoint, ceilings: ClassifySettings, known: pd.MultiIndex, count: int, seed: Sequence[int]
) -> pd.DataFrame:
    """Pairs to begin with where there is no label: near ones, in turn from all glasses, and some far ones.

    Parameters
    ----------
    at : StatePoint
        Whose pair tables, made from minima.
    ceilings : ClassifySettings
        No pair above them is picked.
    known : MultiIndex
        Pairs that have a result.
    count : int
        How many pairs.
    seed : sequence of int
        Equal seeds pick equal pairs.

    Returns
    -------
    DataFrame
        ``conf``, ``i``, ``j``, by pair; fewer than ``count`` where there are no more.

    Raises
    ------
    UserError
        If a table has no neighbourhood columns.
    """
    rng = np.random.default_rng(list(seed))
    near = far = pd.DataFrame(columns=[*PAIR_COLUMNS, _DRAW])
    for rows in _left_under_ceilings(at, ceilings, known):
        rows = rows.assign(**{_DRAW: rng.random(len(rows))})
        near = _first_of_each_glass(near, rows[rows["nearest_between"] >= NEAR], count)
        far = _first_of_each_glass(far, rows[rows["nearest_between"] < FAR], count)
    far = _in_turn(far, int(np.ceil(CONTRAST * count)))
    near = _in_turn(near, count - len(far))
    picked = _joined(near, far).astype({"conf": np.int64, "i": float, "j": float})
    return by_pair(picked, at.decimals)


def _left_under_ceilings(at: StatePoint, ceilings: ClassifySettings, known: pd.MultiIndex) -> Iterator[pd.DataFrame]:
    """Batches of the pairs that step 2 would look at and that have no result."""
    columns = [*PAIR_COLUMNS, "Delta_E", "total_displacement", "nearest_between"]
    for table in at.pair_tables:
        if "nearest_between" not in feature_columns(open_table(table).schema):
            raise UserError(
                f"{table}: no column nearest_between to pick pairs by; only tables made from minima have it"
            )
    for rows in (rows for table in at.pair_tables for rows in read_batches(table, columns)):
        rows = rows[under_ceilings(rows, ceilings)]
        yield rows[~rows_in(rows, known, at.decimals)]


def all_candidates(
    at: StatePoint, ceilings: ClassifySettings, known: pd.MultiIndex, least: float, listed: pd.DataFrame
) -> pd.DataFrame:
    """Every pair that could be a double well, best chances first: those of the list in its order, then the nearest.

    Parameters
    ----------
    at, ceilings, known
        As of :func:`by_neighbourhood`.
    least : float
        No pair with a smaller nearest_between, unless it is listed.
    listed : DataFrame
        The pairs that a model calls double wells, by pair; empty without a model.

    Returns
    -------
    DataFrame
        ``conf``, ``i``, ``j``, by pair.

    Raises
    ------
    UserError
        If a table has no neighbourhood columns.
    """
    near = [
        rows.loc[rows["nearest_between"] >= least, [*PAIR_COLUMNS, "nearest_between"]]
        for rows in _left_under_ceilings(at, ceilings, known)
    ]
    nearest = pd.concat(near).sort_values("nearest_between", ascending=False, kind="stable")[PAIR_COLUMNS]
    nearest = by_pair(nearest, at.decimals)
    both = joined(listed.loc[~listed.index.isin(known), PAIR_COLUMNS], nearest)
    return both[~both.index.duplicated()]


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
