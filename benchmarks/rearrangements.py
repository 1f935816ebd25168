"""Verdicts and splittings told by exact results of other pairs of their glass, and number of rearrangements of a glass.

python -m benchmarks.rearrangements DIR ANSWERS [-T 0.062] [--least 0.95] [--deals 6] [--picture FILE.png]

DIR is a workspace with minima and pretraining sets that was taken through step 0; ANSWERS one whose NEB files hold the
results of pairs of these glasses. Of its pairs with at least this nearest_between some are taken as calculated, and the
others predicted: by trees that learnt from the pretraining sets and the results, alone and with the likes
(``search/likes.py``). Then the list is followed, 30 pairs a round, until nine tenths of the smallest 5 % of the
splittings are found. Last, minima are taken away and rearrangements counted. Writes nothing into DIR.
"""

import argparse
import tempfile
from copy import copy
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import polars as pl
from lightgbm import LGBMClassifier, LGBMRegressor
from numpy.typing import NDArray

from benchmarks.unseen_glasses import TREES, feature_names
from glass.arrays import Array, Index
from glass.overlap import find_rearrangements
from MLmodel.labels import join_to_tables
from pipeline.formats.keys import PAIR_COLUMNS, pair_index
from pipeline.formats.pair_tables import PROBABILITY, TLS_PROBABILITY, read_batches, under_ceilings
from pipeline.formats.results import read_calculations, read_neb_results
from pipeline.matching import read_displacements
from pipeline.settings import Settings
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, StatePoint, Workspace
from reporting.style import BLUE, GREY, ORANGE, Picture, panels
from search import likes
from search.rearrangements import representatives

SETTINGS = Settings()
NUMBERS = (15, 30, 60, 120, 240)  # pairs taken as calculated
ROUND = 30  # pairs of the list that are calculated before models learn again
PART = 0.85  # part of the minima of each deal, as glasses with known answers are few


def main() -> None:
    """Replay, count, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("-T", "--temperature", default="0.062")
    parser.add_argument("--least", type=float, default=0.95)
    parser.add_argument("--deals", type=int, default=6)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    at = Workspace(given.workspace).at(given.temperature)
    answers = read_neb_results(Workspace(given.answers).at(given.temperature))
    pairs = join_to_tables(at, answers[~answers.index.duplicated(keep="last")])
    pairs = pairs[under_ceilings(pairs, SETTINGS.classify) & (pairs["nearest_between"] >= given.least)]
    pairs = pairs.set_index(pair_index(pairs, at.decimals))
    print(f"{len(pairs)} pairs with a verdict, {int((pairs[DW] == 1).sum())} double wells")
    glasses = Glasses(at, pairs)
    rng, minima = np.random.default_rng(SETTINGS.seed), np.unique(pairs[["i", "j"]])
    found = pd.concat(
        replay(glasses.part(pairs[["i", "j"]].isin(kept).all(axis=1).to_numpy()), order, rng)
        for kept in (rng.permutation(minima)[: int(PART * len(minima))] for _ in range(given.deals))
        for order in ("random", "representatives")
    )
    mean = found.groupby(["order", "calculated", "by"], sort=False)
    print(f"{given.deals} deals of {PART:g} of the minima: mean, then standard deviation")
    for table in (mean.mean(), mean.std()):
        print(table.to_string(float_format="{:.3f}".format))
    records = read_calculations(Workspace(given.answers).at(given.temperature))
    seconds = records["cpu_seconds"].groupby(level=[0, 1, 2]).sum().reindex(pairs.index, fill_value=0).to_numpy()
    print(search(glasses, seconds).to_string(index=False, float_format="{:.0f}".format))
    counted = growth(at, given.least)
    print(counted.to_string(index=False))
    if given.picture:
        draw(mean.mean().loc["representatives"].reset_index(), counted).save(given.picture, ["png"])


def taught(at: StatePoint, features: list[str], results: pd.DataFrame) -> tuple[LGBMRegressor, LGBMClassifier]:
    """Trees that learnt from the pretraining sets and some results."""
    models = []
    for task, kind in ((PREDICTOR, LGBMRegressor), (CLASSIFIER, LGBMClassifier)):
        known = results[results[DW] == 1] if task == PREDICTOR else results
        rows = pd.concat([*map(pd.read_feather, at.pretraining_sets(task)), known], ignore_index=True)
        target = np.log10(rows[QS]) if task == PREDICTOR else rows[DW]
        models.append(kind(**TREES).fit(rows.reindex(columns=features), target))
    return models[0], models[1]


def chances_of(classifier: LGBMClassifier, features: pd.DataFrame) -> Array:
    """Probability of a double well."""
    chances: Array = np.asarray(classifier.predict_proba(features), float)
    return chances[:, 1]


class Glasses:
    """Pairs with known answers, and what models and likes say of them after some results."""

    def __init__(self, at: StatePoint, pairs: pd.DataFrame) -> None:
        self.at, self.pairs = at, pairs
        self.features = feature_names(pairs)
        splittings, classifier = taught(at, self.features, pairs[:0])  # of the pretraining sets alone
        self.chance = chances_of(classifier, pairs[self.features])
        self.errors = np.log10(pairs[QS].to_numpy()) - splittings.predict(pairs[self.features])

    def part(self, kept: NDArray[np.bool_]) -> "Glasses":
        """Some of the pairs."""
        part = copy(self)
        part.pairs, part.chance, part.errors = self.pairs[kept], self.chance[kept], self.errors[kept]
        return part

    def representatives(self, count: int) -> Index:
        """Rows of the pairs that tell most, of each rearrangement and so many more."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "Configurations").symlink_to(self.at.workspace.root.resolve() / "Configurations")
            there = Workspace(Path(folder)).at(self.at.temperature)
            return representatives(there, self.pairs, np.zeros(len(self.pairs), bool), self.chance, SETTINGS, count)

    def lists(self, known: NDArray[np.bool_], settings: Settings) -> dict[str, pl.DataFrame]:
        """The list of models that learnt the known ones, and what likes make of it."""
        predictor, classifier = taught(self.at, self.features, self.pairs[known])
        chance = chances_of(classifier, self.pairs[self.features]).clip(0.001, 0.999)
        splitting = np.asarray(predictor.predict(self.pairs[self.features]), float)
        errors = self.errors[known & np.isfinite(self.errors)]
        sigma = float(errors.std()) if len(errors) > 1 else 0.15
        tls = chance * likes.tls_chance(splitting, np.full(len(chance), sigma**-2), settings.tls_threshold)
        columns = {PROBABILITY: chance, QS: 10**splitting, TLS_PROBABILITY: tls}
        listed = pl.from_pandas(self.pairs[[*PAIR_COLUMNS, "Delta_E", "nearest_between"]].assign(**columns))
        answers = self.pairs.loc[known, [DW, QS]].rename(columns={QS: "exact"})
        with patch.object(likes, "known_answers", lambda _: answers):
            return {"models": listed, "models and likes": likes.add_likes(self.at, listed, ~known, sigma, settings)}


def replay(glasses: Glasses, order: str, rng: np.random.Generator) -> pd.DataFrame:
    """How well verdicts and splittings of the others are told after so many calculations, with likes and without."""
    pairs = glasses.pairs
    rows = rng.permutation(len(pairs)) if order == "random" else glasses.representatives(max(NUMBERS))
    said = []
    for number in (one for one in NUMBERS if one < len(rows)):
        known = np.zeros(len(pairs), bool)
        known[rows[:number]] = True
        for name, table in glasses.lists(known, SETTINGS).items():
            said.append({"order": order, "calculated": number, "by": name, **judged(table, pairs, ~known)})
    return pd.DataFrame(said)


def search(glasses: Glasses, seconds: Array) -> pd.DataFrame:
    """Calculations, and their CPU time, until nine tenths of the smallest 5 % of the splittings are found."""
    pairs, rng = glasses.pairs, np.random.default_rng(SETTINGS.seed)
    threshold = float(pairs[QS].quantile(0.05))
    wanted = (pairs[QS] <= threshold).to_numpy()
    settings = Settings(tls_threshold=threshold)
    orders = {
        "random": rng.permutation(len(pairs)),
        "nearest_between": np.argsort(-pairs["nearest_between"].to_numpy()),
    }
    for name, first in (("models", 0), ("models and likes", 0), ("models and likes", 30)):
        known, order = np.zeros(len(pairs), bool), glasses.representatives(first)[:first]
        while wanted[order].sum() < 0.9 * wanted.sum():
            known[order] = True
            chance = glasses.lists(known, settings)[name][TLS_PROBABILITY].to_numpy()
            order = np.concatenate([order, np.argsort(np.where(known, 1, -chance), kind="stable")[:ROUND]])
        orders["representatives, then " * (first > 0) + name] = order
    said = []
    for name, order in orders.items():
        number = 1 + int(np.searchsorted(np.cumsum(wanted[order]), 0.9 * wanted.sum()))
        said.append({"order": name, "calculations": number, "CPU s": seconds[order[:number]].sum()})
    return pd.DataFrame(said)


def judged(told: pl.DataFrame, pairs: pd.DataFrame, left: NDArray[np.bool_]) -> dict[str, float]:
    """Part of verdicts that is right, log loss, and errors of the splittings of pairs that were not calculated."""
    chance, verdict = told[PROBABILITY].to_numpy()[left], pairs[DW].to_numpy()[left]
    error = np.log10(told[QS].to_numpy()[left] / pairs[QS].to_numpy()[left])[verdict == 1]
    return {
        "verdicts right": float(np.mean((chance > 0.5) == verdict)),
        "log loss": float(-np.mean(np.log(np.where(verdict == 1, chance, 1 - chance)))),
        "splitting, median error in %": float(100 * np.median(np.abs(10**error - 1))),
        "rms of log10": float(np.sqrt(np.mean(error**2))),
        "within 5 %": float(np.mean(np.abs(10**error - 1) < 0.05)),
    }


def growth(at: StatePoint, least: float) -> pd.DataFrame:
    """Pairs and rearrangements of all glasses with a part of their minima."""
    counted, rng = [], np.random.default_rng(SETTINGS.seed)
    columns = [*PAIR_COLUMNS, "Delta_E", "total_displacement", "nearest_between"]
    for table in at.pair_tables:
        rows = pd.concat(read_batches(table, columns))
        minima = np.unique(rows[["i", "j"]])
        rows = rows[under_ceilings(rows, SETTINGS.classify) & (rows["nearest_between"] >= least)]
        index = pair_index(rows, at.decimals)
        conf = int(rows["conf"].iloc[0])
        for part in (0.25, 0.5, 0.75, 1.0):
            kept = rng.permutation(minima)[: int(part * len(minima))]
            some = np.flatnonzero(rows[["i", "j"]].isin(kept).all(axis=1))
            low, high = (np.asarray(index.get_level_values(k))[some] for k in (1, 2))
            there = read_displacements(at, conf, low, high)
            if there is not None:
                labels = find_rearrangements(there.displacements, SETTINGS.rearrangements.overlap)
                row = {"minima": len(kept), "pairs": len(labels), "rearrangements": len(np.unique(labels))}
                counted.append({"glass": conf, "part": part, **row})
    return pd.DataFrame(counted)


def draw(found: pd.DataFrame, counted: pd.DataFrame) -> Picture:
    """Error of the splittings against calculations; pairs and rearrangements against minima."""
    with panels(9.2, 4.2, 1, 2) as (figure, (errors, sizes)):
        for (name, rows), color in zip(found.groupby("by"), (GREY, BLUE), strict=True):
            errors.plot(rows["calculated"], rows["splitting, median error in %"], "o-", color=color, label=name)
        errors.set(yscale="log", xlabel="pairs calculated", ylabel="median error of the other splittings (%)")
        mean = counted.groupby("part")[["minima", "pairs", "rearrangements"]].mean()
        sizes.plot(mean["minima"], mean["pairs"], "s-", color=GREY, label="pairs that may be double wells")
        sizes.plot(mean["minima"], mean["rearrangements"], "o-", color=ORANGE, label="rearrangements")
        sizes.set(yscale="log", xlabel="minima of the glass", ylabel="number")
    return Picture(figure, found)


if __name__ == "__main__":
    main()
