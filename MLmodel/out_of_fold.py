"""Predictions for labelled pairs from models that saw no pair of their glass: what to expect of a new glass.

Quick boosted trees stand in for the model itself, which would take several times as long to train. Theirs are the
errors from which the chance of a TLS is told.
"""

from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from MLmodel.metrics import Array
from pipeline.task import CLASSIFIER, DW, PREDICTOR, QS, Task

FOLDS = 5

_FEWEST_TO_LEARN = 5
"""Whole glasses are kept out where each fold then has so many labels to learn from, of each class."""

_TREES: dict[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.8,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 0,
    "verbosity": -1,
}

Fold = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Places of the pairs to train on and of those to predict."""


def by_glass(pairs: pd.DataFrame, task: Task) -> bool:
    """Whether whole glasses are kept out: the labels come from several, and each fold can be learnt from."""
    several = len(pairs["conf"].unique()) > 1
    return several and all(_can_be_learnt(pairs.iloc[train], task) for train, _ in _glass_folds(pairs, task))


def kept_out(pairs: pd.DataFrame, task: Task) -> str:
    """What the predictions are of, in words."""
    return f"{'glasses' if by_glass(pairs, task) else 'pairs'} kept out, in folds (quick models)"


def out_of_fold(pairs: pd.DataFrame, features: list[str], task: Task, cores: int) -> Array:
    """Probability of a double well, or quantum splitting in ε, of each pair, in folds of whole glasses.

    Where these can't be kept out (:func:`by_glass`), the folds are of pairs.

    Parameters
    ----------
    pairs : DataFrame of shape (n_pairs, n_columns)
        Labelled pairs, at least FOLDS of each class.
    features : list of str
        The columns to learn from.
    task : Task
        What to predict.
    cores : int
        How many to use; the result does not depend on it.

    Returns
    -------
    ndarray of shape (n_pairs,)
    """
    table = pairs[features].astype(np.float64)
    target = pairs[DW].to_numpy(float) if task == CLASSIFIER else np.log10(pairs[QS].to_numpy(float))
    settings = {**_TREES, "objective": "binary" if task == CLASSIFIER else "l2", "num_threads": cores}
    predicted = np.empty(len(pairs))
    for train, test in _glass_folds(pairs, task) if by_glass(pairs, task) else _pair_folds(pairs, task):
        # From 400 pairs on 200 trees of leaves of 20; on fewer these would say nothing, or be far too sure.
        leaf, rounds = np.clip(len(train) // 10, 2, 20), np.clip(len(train) // 2, 50, 200)
        data = lightgbm.Dataset(table.iloc[train], target[train])
        model = lightgbm.train({**settings, "min_data_in_leaf": int(leaf)}, data, int(rounds))
        predicted[test] = np.asarray(model.predict(table.iloc[test]))
    return predicted if task == CLASSIFIER else 10.0**predicted


def _glass_folds(pairs: pd.DataFrame, task: Task) -> list[Fold]:
    count = min(FOLDS, pairs["conf"].nunique())
    if task == CLASSIFIER:
        folds = StratifiedGroupKFold(count).split(pairs, pairs[DW], pairs["conf"])
    else:
        folds = GroupKFold(count).split(pairs, groups=pairs["conf"])
    return [(train, test) for train, test in folds if len(test)]


def _pair_folds(pairs: pd.DataFrame, task: Task) -> list[Fold]:
    if task == CLASSIFIER:
        return list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(pairs, pairs[DW]))
    return list(KFold(FOLDS, shuffle=True, random_state=0).split(pairs))


def _can_be_learnt(pairs: pd.DataFrame, task: Task) -> bool:
    fewest = len(pairs) if task == PREDICTOR else min((pairs[DW] == kind).sum() for kind in (0, 1))
    return bool(fewest >= _FEWEST_TO_LEARN)
