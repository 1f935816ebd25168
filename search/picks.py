"""Choice of the pairs that are calculated: the top of the list, as MLmodel.ranking orders it, or without one."""

import argparse
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import pandas as pd

from MLmodel.ranking import FAR
from pipeline.errors import UserError
from pipeline.formats import results
from pipeline.formats.csv_files import line_of
from pipeline.formats.keys import PAIR_COLUMNS, by_pair, no_pairs, rows_in
from pipeline.formats.pair_tables import PROBABILITY, feature_columns, open_table, read_batches, under_ceilings
from pipeline.messages import counted
from pipeline.settings import ClassifySettings, Settings
from pipeline.stamps import usable_tables
from pipeline.workspace import DW, QS, StatePoint
from search.calculated import read_double_wells, update_double_wells
from search.rearrangements import REARRANGEMENT, representatives

CONTRAST = 0.25
"""Fraction of the pairs picked without a model that are far ones, which are no double wells, for contrast."""

NEAR = 1.0  # a pair is near if nearest_between reaches this: no third minimum lies between its two
_DRAW, _FAR = "order of the draw", "is far"  # columns
Chosen = tuple[
    pd.DataFrame, str
]  # pairs, by pair, in the order in which they are to be calculated; where they are from


def by_neighbourhood(
    at: StatePoint, ceilings: ClassifySettings, known: pd.MultiIndex, count: int, seed: Sequence[int]
) -> pd.DataFrame:
    """Pairs to begin with where there is no label: near ones, in turn from all glasses, and some far ones, by pair.

    None is above the ceilings or among the known ones; there may be fewer than ``count``. UserError if a table has no
    neighbourhood columns, as one that was not made from minima.
    """
    rng, kept = np.random.default_rng(list(seed)), pd.DataFrame(columns=[*PAIR_COLUMNS, _DRAW, _FAR])
    for rows in _left_under_ceilings(at, ceilings, known):
        rows = rows.assign(**{_DRAW: rng.random(len(rows)), _FAR: rows["nearest_between"] < FAR})
        rows = rows.loc[rows[_FAR] | (rows["nearest_between"] >= NEAR), kept.columns]
        both = results.joined(kept, rows).sort_values(_DRAW)
        kept = both.groupby([_FAR, "conf"]).head(count)  # no more can be picked
    turn = kept.groupby([_FAR, "conf"]).cumcount()
    kept = kept.iloc[np.argsort(turn.to_numpy(), kind="stable")]
    is_far = kept[_FAR].astype(bool)
    far = kept[is_far].head(int(np.ceil(CONTRAST * count)))
    picked = results.joined(kept[~is_far].head(count - len(far)), far)[PAIR_COLUMNS]
    return by_pair(picked.astype({"conf": np.int64, "i": float, "j": float}), at.decimals)


def _left_under_ceilings(
    at: StatePoint, ceilings: ClassifySettings, known: pd.MultiIndex | None = None
) -> Iterator[pd.DataFrame]:
    """Batches of the pairs that step 2 would look at and that are not known."""
    columns = [*PAIR_COLUMNS, "Delta_E", "total_displacement", "nearest_between"]
    for table in at.pair_tables:
        if "nearest_between" not in feature_columns(open_table(table).schema):
            raise UserError(
                f"{table}: no column nearest_between to pick pairs by; only tables made from minima have it"
            )
    for rows in (rows for table in at.pair_tables for rows in read_batches(table, columns)):
        rows = rows[under_ceilings(rows, ceilings)]
        yield rows if known is None else rows[~rows_in(rows, known, at.decimals)]


def all_candidates(at: StatePoint, ceilings: ClassifySettings, least: float, listed: pd.DataFrame) -> pd.DataFrame:
    """Every pair that could be a double well, by pair: those ``listed``, by pair, in their order, then the nearest.

    No pair with a smaller nearest_between than ``least``, unless it is listed; the rest as in :func:`by_neighbourhood`.
    """
    columns = [*PAIR_COLUMNS, "nearest_between"]
    near = pd.concat(rows.loc[rows[columns[-1]] >= least, columns] for rows in _left_under_ceilings(at, ceilings))
    nearest = near.sort_values("nearest_between", ascending=False, kind="stable")[PAIR_COLUMNS]
    both = results.joined(listed[PAIR_COLUMNS], by_pair(nearest, at.decimals))
    return both[~both.index.duplicated()]


def best_known(at: StatePoint, threshold: float, count: int) -> pd.DataFrame:
    """The best pairs known, by pair: TLS by exact results, then the top of the list, then other double wells."""
    known = results.last_results(at)
    wells, listed = known[known[DW] == 1].sort_values(QS, kind="stable"), at.predicted("newpairs")
    new = results.read_pair_list(listed, at.decimals) if listed.exists() else no_pairs()
    best = results.joined(wells[wells[QS] < threshold], new[~new.index.isin(known.index)], wells)
    return best[~best.index.duplicated()].head(count)


def pairs_to_calculate(at: StatePoint, settings: Settings, given: argparse.Namespace) -> Chosen:
    """Choose the pairs that the options of run_neb.py ask for, each once.

    All shares choose from the same list, whatever has a result by now; each leaves out what is not its own.
    """
    if given.refine:
        update_double_wells(at, settings)  # what was typed since, or all where the file is gone
        found, neb = read_double_wells(at), settings.neb
        coarse = (found["images"] < neb.images) | (found["force_tolerance"] > neb.force_tolerance)
        lost = found["level_0"].isna() & (found[REARRANGEMENT] > 0)  # their minima are there
        rough = found[(found["fidelity"] == "screened") | coarse | lost].head(given.refine)
        return rough, f"{at.double_wells}, screened, coarser or without levels until now"
    if given.retry:
        return results.read_unfinished(at), str(at.unfinished)
    known, without_list = results.pairs_with_result(at), given.explore or given.representatives or given.all is not None
    choose = _of_tables if without_list else _of_list
    if not given.share:
        return choose(at, settings, given, known)
    pairs, source = choose(at, settings, given, known[:0])
    pairs = results.part_of(pairs[~pairs.index.isin(known)], given.share)
    return pairs, f"share {given.share.number} of {given.share.parts} of {source}"


def _of_list(at: StatePoint, settings: Settings, given: argparse.Namespace, known: pd.MultiIndex) -> Chosen:
    """Pairs of the list, or of another CSV, that are not among the known ones."""
    path = given.pairs or at.predicted("newpairs")
    if not path.exists():
        raise UserError(f"{path}: no such file; run step4_predict_qs.py, or name a CSV with --pairs")
    pairs = results.read_pair_list(path, at.decimals)
    itself = pairs.index.get_level_values("low") == pairs.index.get_level_values("high")
    if itself.any():
        raise UserError(f"{path}: line {line_of(path, itself.argmax())}: i and j are the same minimum; take it out")
    once, is_known = ~pairs.index.duplicated(), pairs.index.isin(known)
    left = once & ~is_known
    if given.pairs:
        has_result = int((once & is_known).sum())
        return pairs[left], str(path) + f", {has_result} of them have a result (--refine, --retry)" * bool(has_result)
    first, rest = pairs[left].iloc[: given.top], pairs[left].iloc[given.top :]
    random = min(given.top // 10 if given.random is None else given.random, len(rest))  # keep the classifier honest
    rng = np.random.default_rng([settings.seed, len(pairs) if given.share else len(known)])  # another draw each round
    picked = pd.concat([first, rest.sample(random, random_state=rng)])
    drawn = len(picked) - given.top
    return picked, f"{path}, the last {drawn} drawn at random" if drawn > 0 else str(path)


def _why_few(at: StatePoint, ceilings: ClassifySettings, count: int) -> str:
    """Number of pairs under each ceiling, and which of the two alone leaves out more."""
    batches = (read_batches(table, ["Delta_E", "total_displacement"]) for table in at.pair_tables)
    rows = pd.concat(chain.from_iterable(batches))
    low, near = rows["Delta_E"] <= ceilings.max_delta_E, rows["total_displacement"] <= ceilings.max_distance
    raised = "max_delta_E" if (near & ~low).sum() > (low & ~near).sum() else "max_distance"
    remedy = "add minima, or raise pairs.max_delta_E" if (low & near).all() else f"raise classify.{raised}"
    if (low & near).sum() >= count:
        remedy = f"all with a result, or with nearest_between from {FAR:g} to {NEAR:g}; run steps 1 to 4, or --all"
    return (
        f"{counted(len(rows), 'pair')} stored, {low.sum()} of them under classify.max_delta_E "
        f"({ceilings.max_delta_E:g}), "
        f"{(low & near).sum()} of those under classify.max_distance ({ceilings.max_distance:g}): {remedy}"
    )


def _of_tables(at: StatePoint, settings: Settings, given: argparse.Namespace, known: pd.MultiIndex) -> Chosen:
    """Pairs of the tables: to begin with, or all that could be double wells."""
    usable_tables(at, settings.unit)
    ceilings = settings.classify
    if given.explore:
        picked = by_neighbourhood(at, ceilings, known, given.explore, (settings.seed, len(known)))
        few = f"; {_why_few(at, ceilings, given.explore)}" if len(picked) < given.explore else ""
        return picked, f"{at.pairs}, chosen by where they lie{few}"
    listed, least = at.predicted("newpairs"), given.could_be if given.all is None else given.all
    from_list = results.read_pair_list(listed, at.decimals) if listed.exists() else no_pairs()
    source = f"{at.pairs}, all with nearest_between ≥ {least:g} or on the list"
    pairs = all_candidates(at, ceilings, least, from_list)
    has_result = pairs.index.isin(known)
    unlisted = ceilings.min_probability / 2 if len(from_list) else 1.0
    listed = from_list.reindex(columns=[PROBABILITY])[PROBABILITY]
    chance = listed[~listed.index.duplicated()].reindex(pairs.index).fillna(unlisted).to_numpy(float)
    if given.representatives:
        chosen = representatives(at, pairs, has_result, chance, settings, given.representatives)
        return pairs.iloc[chosen[: given.representatives]], f"{source}, those that tell most of the others"
    first = representatives(at, pairs, has_result, chance, settings, keep=not given.share)  # of many at a time, none
    rest = np.setdiff1d(np.flatnonzero(~has_result), first)
    return pairs.iloc[np.concatenate([first, rest])], f"{source}, one of each rearrangement first"
