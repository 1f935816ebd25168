"""Predictions for labelled pairs from models that saw no pair of their glass: what to expect of a new glass.

Quick models stand in for the model itself, which would take several times as long to train: boosted trees, and the
mean of them and the smooth model of :mod:`MLmodel.smooth` where that one helps. Theirs are the errors from which the
chance of a TLS is told.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from MLmodel.metrics import Array
from MLmodel.smooth import SOFTENING, learn_smooth
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, Task

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
    "num_threads": 1,  # more wait for each other, longer than they work on 10⁴ pairs, and on a busy machine much longer
}


class OutOfFold(NamedTuple):
    """What :func:`out_of_fold` found."""

    predicted: Array
    """Probability of a double well, or quantum splitting; shape (n_pairs,)."""
    with_smooth: bool
    """Whether the smooth model helps: the mean with it has no larger error (log loss, or that of log₁₀) than trees."""


Fold = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Places of the pairs to train on and of those to predict."""


def by_glass(pairs: pd.DataFrame, task: Task) -> bool:
    """Whether whole glasses are kept out: the labels come from several, and each fold can be learnt from."""
    several = len(pairs["conf"].unique()) > 1
    return several and all(_can_be_learnt(pairs.iloc[train], task) for train, _ in _glass_folds(pairs, task))


def kept_out(pairs: pd.DataFrame, task: Task) -> str:
    """What the predictions are of, in words."""
    return f"{'glasses' if by_glass(pairs, task) else 'pairs'} kept out, in folds (quick models)"


def out_of_fold(pairs: pd.DataFrame, features: list[str], task: Task, softening: float = SOFTENING) -> OutOfFold:
    """Predict each pair in folds of whole glasses.

    Where these can't be kept out (:func:`by_glass`), the folds are of pairs.

    Parameters
    ----------
    pairs : DataFrame of shape (n_pairs, n_columns)
        Labelled pairs, at least FOLDS of each class.
    features : list of str
        The columns to learn from.
    task : Task
        What to predict.
    softening : float
        Of the smooth model (:func:`MLmodel.smooth.shape_features`).
    """
    trees, smooth = np.empty(len(pairs)), np.empty(len(pairs))
    for train, test in _glass_folds(pairs, task) if by_glass(pairs, task) else _pair_folds(pairs, task):
        known, asked = pairs.iloc[train], pairs.iloc[test]
        trees[test] = quick_trees(known, features, task)(asked)
        smooth[test] = quick_smooth(known, features, task, softening)(asked)
    both, target = (trees + smooth) / 2, _target(pairs, task)
    with_smooth = _error(both, target, task) <= _error(trees, target, task)
    predicted = both if with_smooth else trees
    return OutOfFold(predicted if task == CLASSIFIER else 10.0**predicted, with_smooth)


def quick_trees(pairs: pd.DataFrame, features: list[str], task: Task) -> Callable[[pd.DataFrame], Array]:
    """Learn boosted trees; what they predict of pairs, a probability or log₁₀ of the splitting."""
    settings = {**_TREES, "objective": "binary" if task == CLASSIFIER else "l2"}
    # From 400 pairs on 200 trees of leaves of 20; on fewer these would say nothing, or be far too sure.
    leaf, rounds = np.clip(len(pairs) // 10, 2, 20), np.clip(len(pairs) // 2, 50, 200)
    data = lightgbm.Dataset(pairs[features].astype(np.float64), _target(pairs, task))
    model = lightgbm.train({**settings, "min_data_in_leaf": int(leaf)}, data, int(rounds))
    return lambda asked: np.asarray(model.predict(asked[features].astype(np.float64)))


def quick_smooth(
    pairs: pd.DataFrame, features: list[str], task: Task, softening: float = SOFTENING
) -> Callable[[pd.DataFrame], Array]:
    """The same with the smooth model."""
    model = learn_smooth(pairs[features], _target(pairs, task), task, softening=softening)
    return lambda asked: model.predict(asked[features])


def _target(pairs: pd.DataFrame, task: Task) -> Array:
    return np.asarray(pairs[DW], float) if task == CLASSIFIER else np.log10(np.asarray(pairs[QS], float))


def _error(predicted: Array, target: Array, task: Task) -> float:
    return float(log_loss(target, predicted) if task == CLASSIFIER else np.mean((predicted - target) ** 2))


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
