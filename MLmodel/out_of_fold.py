"""Predictions for labelled pairs from models that saw no pair of their glass: what to expect of a new glass.

The trees are those of ``fast: true``, also where AutoGluon's ensemble, which would take minutes, predicts in the end.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from glass.arrays import Array
from MLmodel.smooth import SOFTENING, learn_smooth
from pipeline.workspace import CLASSIFIER, DW, Task

FOLDS = 5
_FEWEST_TO_LEARN = 5  # whole glasses are kept out where each fold then has so many labels to learn from, of each class
_ENOUGH = 1000  # predicted pairs after which a smooth model that does not help so far, slower than trees, is given up

Fold = tuple[NDArray[np.int64], NDArray[np.int64]]  # places of the pairs to train on and of those to predict


def by_glass(pairs: pd.DataFrame, task: Task) -> bool:
    """Whether whole glasses are kept out: the labels come from several, and each fold can be learnt from."""
    if pairs["conf"].nunique() < 2:
        return False
    labels, kinds = (pairs[DW].to_numpy(), (0, 1)) if task == CLASSIFIER else (np.ones(len(pairs)), (1,))
    folds = _folds(pairs, task, whole_glasses=True)
    return all((labels[train] == kind).sum() >= _FEWEST_TO_LEARN for train, _ in folds for kind in kinds)


def kept_out(pairs: pd.DataFrame, task: Task) -> str:
    """How pairs were kept out, in words."""
    return f"{'glasses' if by_glass(pairs, task) else 'pairs'} kept out, in folds"


def out_of_fold(
    pairs: pd.DataFrame, features: list[str], task: Task, softening: float = SOFTENING, cores: int = 1
) -> tuple[Array, bool]:
    """Predict each labelled pair in folds of whole glasses; where these can't be kept out, in folds of pairs.

    There are at least FOLDS of each class; ``softening`` is that of the smooth model, and ``cores`` folds are learnt at
    a time, on which the result does not depend. Returns probabilities or splittings, shape (n_pairs,), and whether they
    are the mean with the smooth model, which has no larger error, log loss or of log₁₀, than trees.
    """
    from catboost.core import log_fixup  # here, as CatBoost takes time to import

    from MLmodel.learner import quick_trees, target_of

    folds, target = _folds(pairs, task, by_glass(pairs, task)), target_of(pairs, task)
    error = partial(log_loss, labels=[0, 1]) if task == CLASSIFIER else mean_squared_error

    def trees_of(fold: Fold) -> Array:
        train, test = fold
        return quick_trees(pairs.iloc[train], features, task)(pairs.iloc[test])

    trees, smooth = np.empty(len(pairs)), np.full(len(pairs), np.nan)
    with log_fixup(), ThreadPoolExecutor(cores) as pool:  # else a fold's end takes the log of another away: crashes
        for (_, test), predicted in zip(folds, pool.map(trees_of, folds), strict=True):
            trees[test] = predicted
    for train, test in folds:
        model = learn_smooth(pairs.iloc[train][features], target[train], task, softening=softening)
        smooth[test] = model.predict(pairs.iloc[test][features])
        there = ~np.isnan(smooth)
        mean = (trees[there] + smooth[there]) / 2
        with_smooth = error(target[there], mean) <= error(target[there], trees[there])
        if not with_smooth and there.sum() >= _ENOUGH:
            break
    predicted = (trees + smooth) / 2 if with_smooth else trees
    return predicted if task == CLASSIFIER else 10.0**predicted, with_smooth


def _folds(pairs: pd.DataFrame, task: Task, whole_glasses: bool) -> list[Fold]:
    classes = pairs[DW] if task == CLASSIFIER else None
    if whole_glasses:
        by_group = StratifiedGroupKFold if task == CLASSIFIER else GroupKFold
        folds = by_group(min(FOLDS, pairs["conf"].nunique())).split(pairs, classes, pairs["conf"])
    else:
        by_pair = StratifiedKFold if task == CLASSIFIER else KFold
        folds = by_pair(FOLDS, shuffle=True, random_state=0).split(pairs, classes)
    return [(train, test) for train, test in folds if len(test)]
