"""What the neighbourhood columns are worth, and what they cost.

python -m benchmarks.neighbourhood

Worth: double wells told from non-DW on glasses of the example that were kept out, with and without these columns, by
boosted trees (LightGBM) in folds of whole glasses. Cost: time a pair of the kernel beside that of the other features,
on tables of a million and of ten million pairs of made-up minima.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from benchmarks.collect import BOX, N_PARTICLES, made_up_minima
from benchmarks.example import EXAMPLE, T, answers_of, copy_with_tables
from glass.features import pair_geometry
from glass.features_rounded import box_fractions
from glass.neighbourhood import pair_neighbourhood
from MLmodel.labels import join_to_tables
from MLmodel.metrics import Array
from pipeline.formats.keys import PAIR_COLUMNS
from pipeline.formats.pair_tables import feature_names
from pipeline.formats.possible import NEIGHBOURHOOD
from pipeline.formats.results import read_neb_results
from pipeline.stored_geometry import TILE
from pipeline.workspace import CLASSIFIER, DW, Workspace

TREES: dict[str, Any] = {"n_estimators": 200, "learning_rate": 0.05, "random_state": 0, "n_jobs": 1, "verbose": -1}
"""Plain boosted trees, for comparisons."""

FOLDS = 5
SIZES = (1415, 4473)
"""Minima that make a million and ten million pairs."""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        worth(copy_with_tables(EXAMPLE, Path(folder) / "example"))
    cost()


def worth(work: Workspace) -> None:
    """Print how well double wells are told from non-DW on glasses that were kept out."""
    answers = read_neb_results(answers_of(work).at(T))[[*PAIR_COLUMNS, DW]]
    rows = pd.read_feather(work.at(T).pretraining(CLASSIFIER))
    features = feature_names(rows, DW)
    joined = join_to_tables(work.at(T), answers)
    table = pd.concat([rows, joined[rows.columns]], ignore_index=True)
    glasses, wells = table["conf"].nunique(), table[DW].sum()
    print(f"{len(table)} pairs of {glasses} glasses, {wells} double wells; {FOLDS} folds by glass")
    print("                             AUC   av. precision   bal. accuracy   NEBs to 90 % of the double wells")
    for name, columns in (
        ("without the neighbourhood", [column for column in features if column not in NEIGHBOURHOOD]),
        ("with it", features),
    ):
        chance = out_of_fold(table, columns)
        is_dw = table[DW].to_numpy()
        found = np.cumsum(is_dw[np.argsort(-chance, kind="stable")])
        nebs = int(np.searchsorted(found, np.ceil(0.9 * found[-1]))) + 1
        print(
            f"{name:25s}  {roc_auc_score(is_dw, chance):.3f}   {average_precision_score(is_dw, chance):13.3f}   "
            f"{balanced_accuracy_score(is_dw, chance > 0.5):13.3f}   {nebs:d}"
        )


def out_of_fold(table: pd.DataFrame, features: list[str]) -> Array:
    """Probability of a double well for each pair, from a model that saw no pair of its glass."""
    glasses = table["conf"].value_counts().index  # largest first, dealt out like cards
    fold = table["conf"].map({conf: k % FOLDS for k, conf in enumerate(glasses)})
    chance = np.empty(len(table))
    for k in range(FOLDS):
        model = LGBMClassifier(**TREES, class_weight="balanced")
        model.fit(table.loc[fold != k, features], table.loc[fold != k, DW])
        chance[fold == k] = np.asarray(model.predict_proba(table.loc[fold == k, features]))[:, 1]
    return chance


def cost() -> None:
    """Print the time a pair of both kernels, on one core."""
    numba.set_num_threads(1)
    for n in SIZES:
        positions = made_up_minima(np.random.default_rng(0), n)
        last = np.full(n, n)
        first, second = np.triu_indices(n, 1)
        order = np.lexsort((second, first // TILE))  # as in step 0
        first, second = first[order], second[order]
        fractions = box_fractions(positions, BOX)
        pair_geometry(positions, fractions, BOX, first[:10], second[:10], 3)
        started = time.perf_counter()
        geometry = pair_geometry(positions, fractions, BOX, first, second, 3)
        spent = time.perf_counter() - started
        squares = np.full((n, n), np.inf, np.float32)
        squares[first, second] = squares[second, first] = geometry[:, -2] ** 2
        pair_neighbourhood(squares, 0, 1, last)
        started = time.perf_counter()
        pair_neighbourhood(squares, 0, n, last)
        more = time.perf_counter() - started
        each, extra = (1e6 * seconds / len(first) for seconds in (spent, more))
        print(
            f"{len(first)} pairs, N = {N_PARTICLES}: other features {each:.2f} µs a pair, neighbourhood {extra:.2f} µs"
        )


if __name__ == "__main__":
    main()
