"""Predictions for labelled pairs from models that saw no pair of their glass: what to expect of a new glass.

Quick boosted trees stand in for the model itself, which would take several times as long to train. Theirs are the
errors from which the chance of a TLS is told.
"""

from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold

from MLmodel.metrics import Array
from pipeline.task import CLASSIFIER, DW, QS, Task

FOLDS = 5

UNSEEN = "glasses kept out, in folds (quick models)"
"""What the predictions are of, in words."""

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
_ROUNDS = 200


def out_of_fold(pairs: pd.DataFrame, features: list[str], task: Task, cores: int) -> Array:
    """Probability of a double well, or quantum splitting in ε, of each pair, in folds of whole glasses.

    Where all pairs are of one glass, the folds are of pairs.

    Parameters
    ----------
    pairs : DataFrame of shape (n_pairs, n_columns)
        Labelled pairs, at least FOLDS.
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
    glasses = pairs["conf"].nunique()
    table = pairs[features].astype(np.float64)
    if glasses > 1:
        folds = GroupKFold(min(FOLDS, glasses)).split(table, groups=pairs["conf"])
    else:
        folds = KFold(FOLDS, shuffle=True, random_state=0).split(table)
    target = pairs[DW].to_numpy(float) if task == CLASSIFIER else np.log10(pairs[QS].to_numpy(float))
    settings = {**_TREES, "objective": "binary" if task == CLASSIFIER else "l2", "num_threads": cores}
    predicted = np.empty(len(pairs))
    for train, test in folds:
        model = lightgbm.train(settings, lightgbm.Dataset(table.iloc[train], target[train]), _ROUNDS)
        predicted[test] = np.asarray(model.predict(table.iloc[test]))
    return predicted if task == CLASSIFIER else 10.0**predicted
