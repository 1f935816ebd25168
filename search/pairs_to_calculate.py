"""Which pairs a run of ``run_neb.py`` calculates: from the list, a file, the pair tables or earlier results."""

import argparse

import pandas as pd

from pipeline.errors import UserError
from pipeline.formats.keys import no_pairs
from pipeline.formats.results import pairs_with_result, read_neb_results, read_pair_list, read_unfinished
from pipeline.formats.shares import part_of
from pipeline.formats.table_record import check_units
from pipeline.settings import Settings
from pipeline.workspace import StatePoint
from search.calculated import read_double_wells, update_double_wells
from search.picks import all_candidates, by_neighbourhood, top_and_random
from search.rearrangements import REARRANGEMENT


def pairs_to_calculate(at: StatePoint, settings: Settings, given: argparse.Namespace) -> tuple[pd.DataFrame, str]:
    """Choose the pairs that the options ask for, each once.

    Parameters
    ----------
    work, temperature, settings
        Of what.
    given : Namespace
        ``top``, ``random``, ``pairs``, ``all``, ``refine``, ``explore``, ``retry`` and ``share`` of the command line.
        All shares choose from the same list, whatever has a result by now; each leaves out what is not its own.

    Returns
    -------
    pairs : DataFrame
        ``conf``, ``i``, ``j`` and perhaps more, by pair; in the order in which they are to be calculated.
    source : str
        In words, where they come from.

    Raises
    ------
    UserError
        If the file they come from is missing or can't be used.
    """
    if given.refine:
        return _to_refine(at, settings, given.refine)
    if given.retry:
        return _to_retry(at)
    known = pairs_with_result(at)
    if given.share:
        pairs, source = _not_known(at, settings, given, known[:0])
        pairs = part_of(pairs, given.share)
        source = f"share {given.share.number} of {given.share.parts} of {source}"
        return pairs[~pairs.index.isin(known)], source
    return _not_known(at, settings, given, known)


def _not_known(
    at: StatePoint, settings: Settings, given: argparse.Namespace, known: pd.MultiIndex
) -> tuple[pd.DataFrame, str]:
    """Pairs that are not among the known ones."""
    if given.explore or given.all is not None:
        return _of_tables(at, settings, given, known)
    path = given.pairs or at.predicted("newpairs")
    if not path.exists():
        raise UserError(f"{path}: no such file; run step4_predict_qs.py, or name a CSV with --pairs")
    pairs = read_pair_list(path, at.decimals)
    itself = pairs.index.get_level_values("low") == pairs.index.get_level_values("high")
    if itself.any():
        raise UserError(f"{path}: line {itself.argmax() + 2}: i and j are the same minimum; take the line out")
    once, is_known = ~pairs.index.duplicated(), pairs.index.isin(known)
    left = once & ~is_known
    if given.pairs:
        has_result = int((once & is_known).sum())
        return pairs[left], str(path) + f", {has_result} of them have a result (--refine, --retry)" * bool(has_result)
    random = given.top // 10 if given.random is None else given.random
    round_ = len(pairs) if given.share else len(known)  # another draw each round
    picked = top_and_random(pairs[left], given.top, random, (settings.seed, round_))
    drawn = len(picked) - given.top
    return picked, f"{path}, the last {drawn} drawn at random" if drawn > 0 else str(path)


def _to_refine(at: StatePoint, settings: Settings, count: int) -> tuple[pd.DataFrame, str]:
    """The smallest splittings without a record, with fewer images or larger forces left than the settings ask for."""
    update_double_wells(at, settings)  # what was typed since, or all where the file is gone
    found = read_double_wells(at)
    how = found.reindex(columns=["images", "force"])
    coarse = (how["images"] < settings.neb.images) | (how["force"] > settings.neb.force_tolerance)
    lost = found["level_0"].isna() & (found[REARRANGEMENT] > 0)  # their minima are there
    rough = found[(found["fidelity"] == "screened") | coarse | lost]
    source = f"{at.double_wells}, screened, coarser or without levels until now"
    return rough.head(count), source


def _to_retry(at: StatePoint) -> tuple[pd.DataFrame, str]:
    """Pairs without a verdict."""
    unfinished = read_unfinished(at)
    has_result = unfinished.index.isin(read_neb_results(at).index)
    return unfinished[~has_result & ~unfinished.index.duplicated()], str(at.unfinished)


def _of_tables(
    at: StatePoint, settings: Settings, given: argparse.Namespace, known: pd.MultiIndex
) -> tuple[pd.DataFrame, str]:
    tables = at.pair_tables
    if not tables:
        raise UserError(f"{at.pairs}: no pair table; run step0_collect.py first")
    check_units(tables, settings.unit)
    if given.explore:
        seed = (settings.seed, len(known))
        picked = by_neighbourhood(at, settings.classify, known, given.explore, seed)
        return picked, f"{at.pairs}, chosen by where they lie"
    listed = at.predicted("newpairs")
    from_list = read_pair_list(listed, at.decimals) if listed.exists() else no_pairs()
    picked = all_candidates(at, settings.classify, known, given.all, from_list)
    return picked, f"{at.pairs}, all with nearest_between ≥ {given.all:g} or on the list"
