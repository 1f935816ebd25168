"""The loop played on pairs whose answers are known, on glasses that no model saw: what each part is worth.

python -m benchmarks.replay [--data example|public] [--splits 9]

example  rows of the example's glasses, of which 14 are kept out, with 12 TLS or more
public   the published pairs of T = 0.07 (../shared/data or TLS_DATA); ten glasses kept out, with 19 to 139 TLS

A round is 30 NEBs from the top of the list.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.unseen_glasses import Models, feature_names, labelled, published
from example.make import EXAMPLE, ROOT
from glass.arrays import Array
from MLmodel.chances import Chances, tls_chances
from MLmodel.correction import LocalCorrection
from MLmodel.learner import quick_trees, target_of
from MLmodel.out_of_fold import out_of_fold
from MLmodel.smooth import learn_smooth
from pipeline.formats.keys import PAIR_COLUMNS
from pipeline.formats.pair_tables import PROBABILITY
from pipeline.settings import Settings
from pipeline.workers import worker_pool
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, Workspace
from search.stopping import confidence_found, expected

SETTINGS = Settings()
ROUND, ROUNDS = 30, 8


class Variant(NamedTuple):
    """How pairs are predicted and put in order."""

    name: str
    learn: Callable[[pd.DataFrame, pd.DataFrame, list[str]], Models]
    again: bool
    """Whether models are trained again each round."""
    by_chance: bool
    """Order of the probability of a TLS, else of the splitting among double wells."""
    corrected: bool = False


def trees(train: pd.DataFrame, test: pd.DataFrame, features: list[str]) -> Models:
    """Trees, all pairs alike."""
    chance = quick_trees(train, features, CLASSIFIER)(test)
    return chance, 10 ** quick_trees(train[train[DW] == 1], features, PREDICTOR)(test)


def both(train: pd.DataFrame, test: pd.DataFrame, features: list[str]) -> Models:
    """The mean of trees and smooth model."""
    chance, splitting = trees(train, test, features)
    wells = train[train[DW] == 1]
    other = learn_smooth(train[features], target_of(train, CLASSIFIER), CLASSIFIER).predict(test[features])
    logarithm = learn_smooth(wells[features], target_of(wells, PREDICTOR), PREDICTOR).predict(test[features])
    return (chance + other) / 2, 10 ** ((np.log10(splitting) + logarithm) / 2)


VARIANTS = (
    Variant("as published", published, True, False),
    Variant("before: with the neighbourhood", partial(published, neighbourhood=True), True, False),
    Variant("+ true chances, in their order", trees, True, True),
    Variant("+ smooth model", both, True, True),
    Variant("  the same, never trained again", both, False, True),
    Variant("+ local correction, never again", both, False, True, corrected=True),
    Variant("+ local correction and again", both, True, True, corrected=True),
)


class Played(NamedTuple):
    """What one variant found on one split; arrays of shape (n_rounds,)."""

    tls: NDArray[np.int64]
    promised: Array
    """TLS expected in each round."""
    inside: NDArray[np.bool_]
    """Whether those found lie in the interval of 68 %."""
    sure: Array
    """Confidence that 95 % of those listed are found."""
    to_most: float
    """NEBs to 90 % of the TLS; infinite where the list ends before."""
    listed: float
    """Part of the TLS that are listed at first."""


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("example", "public"), default="example")
    parser.add_argument("--splits", type=int, default=9)
    given = parser.parse_args()
    table, kept_out = READ[given.data](given.splits)
    features = feature_names(table)
    with worker_pool(SETTINGS) as workers:
        splits = list(workers.results(partial(play, table, features), kept_out, in_order=True))
    tls = [count_tls(table[table["conf"].isin(split)]) for split in kept_out]
    print(f"{given.data}: {len(splits)} splits, {min(tls)} to {max(tls)} TLS in each\n")
    nebs = ROUND * np.arange(1, ROUNDS + 1)
    print(f"{'mean part of the TLS found after NEBs':36s}" + "".join(f"{n:6d}" for n in nebs) + "  90 %/ideal  listed")
    for k, variant in enumerate(VARIANTS):
        played = [split[k] for split in splits]
        parts = np.mean([one.tls / count for one, count in zip(played, tls, strict=True)], axis=0)
        most = np.median([one.to_most / np.ceil(0.9 * count) for one, count in zip(played, tls, strict=True)])
        row = "".join(f"{part:6.2f}" for part in parts)
        print(f"{variant.name:36s}{row}{most:11.1f} {np.mean([one.listed for one in played]):8.0%}")
    forecasts(splits, tls)


def forecasts(splits: list[list[Played]], tls: list[int]) -> None:
    """Print what was promised beside what was found."""
    print("\nforecast, all rounds: TLS expected, found; rounds in the interval of 68 %; claims of 95 % found")
    for k, variant in enumerate(VARIANTS):
        if variant.by_chance:
            played = [split[k] for split in splits]
            promised, found = (
                sum(float(np.sum(values)) for values in parts)
                for parts in zip(*((one.promised, np.diff(one.tls, prepend=0)) for one in played), strict=True)
            )
            inside = np.mean(np.concatenate([one.inside for one in played]))
            claims = [
                bool(one.tls[np.argmax(one.sure >= 0.95)] >= 0.95 * one.listed * count)
                for one, count in zip(played, tls, strict=True)
                if (one.sure >= 0.95).any()
            ]
            said = f"{sum(claims)} of {len(claims)} claims true"
            print(f"{variant.name:36s} {promised:7.1f} {found:6.0f} {inside:6.0%}    {said}")


def count_tls(pairs: pd.DataFrame) -> int:
    """TLS among some pairs."""
    return int((pairs[QS] < SETTINGS.tls_threshold).sum())


def rows_of_example(splits: int) -> tuple[pd.DataFrame, list[list[int]]]:
    """The rows that ship, and sets of 14 glasses of them."""
    table, _ = labelled(Workspace(EXAMPLE))
    return table, list(drawn_glasses(table, 14, 12, 10**6, splits))


def public_rows(splits: int) -> tuple[pd.DataFrame, list[list[int]]]:
    """The published pairs of T = 0.07, and sets of ten of their glasses."""
    folder = Path(os.environ.get("TLS_DATA", ROOT.parent / "shared" / "data")) / "MLmodel"
    if not folder.is_dir():
        raise SystemExit(f"{folder}: no such folder; name that of the published data in TLS_DATA")
    wells = pd.read_feather(folder / "pretraining-predictor-T007.feather")[[*PAIR_COLUMNS, QS]]
    table = pd.read_feather(folder / "pretraining-classifier-T007.feather").astype({"conf": int})
    table = table.merge(wells.astype({"conf": int}), how="left", on=PAIR_COLUMNS)
    return table, list(drawn_glasses(table, 10, 19, 139, splits))


READ = {"example": rows_of_example, "public": public_rows}


def drawn_glasses(table: pd.DataFrame, size: int, fewest: int, most: int, splits: int) -> Iterator[list[int]]:
    """Sets of glasses with so many TLS, drawn at random."""
    rng = np.random.default_rng(0)
    while splits:
        glasses = rng.choice(np.sort(table["conf"].unique()), size, replace=False).tolist()
        if fewest <= count_tls(table[table["conf"].isin(glasses)]) <= most:
            splits -= 1
            yield glasses


def play(table: pd.DataFrame, features: list[str], kept_out: list[int]) -> list[Played]:
    """All variants on one split."""
    is_out = table["conf"].isin(kept_out)
    train, test = table[~is_out].reset_index(drop=True), table[is_out].reset_index(drop=True)
    wells = train[train[DW] == 1].reset_index(drop=True)
    unseen, _ = out_of_fold(wells, features, PREDICTOR)
    chances = tls_chances(wells[QS].to_numpy(), unseen, SETTINGS.tls_threshold)
    first: dict[Any, Models] = {}
    played = []
    for variant in VARIANTS:
        if variant.learn not in first:
            first[variant.learn] = variant.learn(train, test, features)
        played.append(play_variant(variant, train, test, features, first[variant.learn], chances))
    return played


def play_variant(
    variant: Variant, train: pd.DataFrame, test: pd.DataFrame, features: list[str], models: Models, chances: Chances
) -> Played:
    """Rounds of NEBs from the top of the list, until all of it is calculated."""
    is_tls = (test[QS] < SETTINGS.tls_threshold).to_numpy()
    learnt = (
        np.random.default_rng(0).random(len(test)) > SETTINGS.test_fraction
        if variant.again
        else np.zeros(len(test), bool)
    )
    done = np.zeros(len(test), dtype=bool)
    rounds: list[tuple[int, float, bool, float]] = []
    nebs, found = [], []
    order_of_all: list[int] = []
    listed = 0.0
    while True:
        if variant.again and done.any():
            models = variant.learn(pd.concat([train, test[done & learnt]]), test, features)
        chance, splitting = models
        spread = np.ones(len(test))
        if variant.corrected:
            rows = test.assign(**{PROBABILITY: chance, QS: splitting, "exact": test[QS]})
            correction = LocalCorrection(rows[done], ~learnt[done], train, chances)
            splitting, chance, spread = correction.correct(rows)
        tls = chance * chances(splitting, spread)
        keep = chance >= (SETTINGS.classify.min_probability if variant.by_chance else 0.5)
        order = np.lexsort((splitting, -tls)) if variant.by_chance else np.argsort(splitting, kind="stable")
        order = order[(keep & ~done)[order]]
        if not listed:
            listed = is_tls[order].sum() / is_tls.sum()
        top = order[:ROUND]
        if not len(top) or len(rounds) >= 4 * ROUNDS:
            break
        done[top] = True
        order_of_all += top.tolist()
        promised, low, high = expected(tls[top])
        nebs.append(len(top))
        found.append(int(is_tls[top].sum()))
        confidence = confidence_found(np.array(nebs), np.array(found), len(order) - len(top))
        inside = low <= found[-1] <= high
        rounds.append((sum(found), promised, inside, confidence))
        if len(rounds) >= ROUNDS and variant.again:  # what follows is slow, and only to_most asks for it
            break
    tls_found, means, insides, sure = (np.array(column) for column in zip(*rounds, strict=True))
    reached = np.flatnonzero(np.cumsum(is_tls[order_of_all]) >= np.ceil(0.9 * is_tls.sum()))
    last = slice(0, ROUNDS)
    to_most = float(reached[0] + 1) if len(reached) else np.inf
    return Played(_padded(tls_found[last]), means[last], insides[last], sure[last], to_most, float(listed))


def _padded(values: NDArray[Any]) -> NDArray[Any]:
    """As many as there are rounds; a list that ends earlier finds no more."""
    return np.concatenate([values, np.repeat(values[-1:], ROUNDS - len(values))])


if __name__ == "__main__":
    main()
