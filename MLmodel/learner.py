"""What is learnt, and with which models. Doing it safely is the business of :mod:`MLmodel.training`."""

import os
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from MLmodel.metrics import Array
from MLmodel.smooth import SOFTENING, Smooth, learn_smooth
from MLmodel.tree_import import autogluon_prediction, import_trees
from MLmodel.trees import Trees
from pipeline.settings import TrainingSettings
from pipeline.workspace import CLASSIFIER, DW, QS, Task

_ONE_THREAD: dict[str, Any] = {"ag_args_fit": {"num_cpus": 1}}
"""More wait for each other, longer than they work on 10⁴ pairs, and on a busy machine much longer."""

_LIGHTGBM: dict[str, Any] = {"learning_rate": 0.1, "deterministic": True, "force_row_wise": True, **_ONE_THREAD}
"""By default it measures whether rows or columns are faster, and sums in an order that depends on it."""

THOROUGH: dict[str, Any] = {
    "presets": "good_quality",
    "dynamic_stacking": False,
    "num_stack_levels": 0,
    "ag_args_ensemble": {"fold_fitting_strategy": "sequential_local"},  # also where Ray is installed
    "hyperparameters": {
        "CAT": [{"iterations": 1500, "learning_rate": 0.08}],
        "GBM": [{**_LIGHTGBM, "num_boost_round": 200, "num_leaves": 63}],
        "XGB": [{"n_estimators": 200, **_ONE_THREAD}],
    },
}
"""Bagged and refitted boosted trees, few enough to meet together a limit of ten microseconds a pair. By default
AutoGluon does not bound their number, and most of the time goes into models that are then thrown away as too slow."""

FAST: dict[str, Any] = {
    "presets": "medium_quality",
    "hyperparameters": {"CAT": [{"iterations": 300}], "GBM": [{**_LIGHTGBM, "num_boost_round": 150}]},
}
"""Fewer trees without bagging."""

_WEIGHT = "weight of the pair"
"""Column for AutoGluon; no feature of a user is called like it."""

TIME_IS_OVER = "train_hours is over"
"""The log says so where a model is not trained for it."""

_SMOOTH = "smooth.npz"
"""File of the smooth model, in the folder of AutoGluon's; there only where it helps."""

_TREES = "trees.npz"
"""File of AutoGluon's best model as arrays, in its folder; there only where they say the same."""

_TIMED_PAIRS, _TIMED = 10_000, 5
"""So many pairs are predicted at once when the time a pair is measured, so often; the shortest time counts."""


class NothingTrainedError(Exception):
    """The time was too short for a single model."""


def to_learn(pairs: pd.DataFrame, task: Task, features: list[str], weights: str = "equal") -> pd.DataFrame:
    """Features and target; for the predictor weights, which have the mean 1.

    Parameters
    ----------
    pairs : DataFrame of shape (n_pairs, n_columns)
        Labelled pairs.
    task : Task
        The classifier learns ``is_dw``, all pairs alike, so that its probabilities are true ones; the predictor −log₁₀
        of the splitting.
    features : list of str
        The columns to learn from.
    weights : {"equal", "inverse"}
        Of the predictor: inverse weighs a pair by 1/splitting.
    """
    table = pairs[features].astype(np.float64)
    if task == CLASSIFIER:
        table[DW] = pairs[DW].astype(int)
    else:
        table[QS] = -np.log10(pairs[QS])
        weight = 1.0 / pairs[QS] if weights == "inverse" else pd.Series(1.0, pairs.index)
        table[_WEIGHT] = weight / weight.mean()
    return table.reset_index(drop=True)


class Trained:
    """What :func:`fit` trained: boosted trees, and the mean of them and a smooth model where that one helps.

    Parameters
    ----------
    folder : str
        Where it is.
    task : Task
        What was learnt.
    """

    def __init__(self, folder: str, task: Task) -> None:
        self._task = task
        trees, smooth = Path(folder) / _TREES, Path(folder) / _SMOOTH
        self._trees = Trees.load(trees).predict if trees.exists() else autogluon_of(folder)
        self._smooth = Smooth.load(smooth) if smooth.exists() else None

    def predict(self, features: pd.DataFrame) -> Array:
        """Probability of a double well, or quantum splitting, of each pair; shape (n_pairs,)."""
        predicted = self._trees(features)
        if self._smooth is not None:
            predicted = (predicted + self._smooth.predict(features)) / 2
        return predicted if self._task == CLASSIFIER else 10.0**-predicted


def autogluon_of(folder: str) -> Callable[[pd.DataFrame], Array]:
    """AutoGluon's own prediction, of a model whose trees were not saved as arrays."""
    from autogluon.tabular import TabularPredictor  # here, as it takes seconds

    predictor = TabularPredictor.load(folder, verbosity=0)
    predictor.persist()
    return partial(autogluon_prediction, predictor)


def fit(
    table: pd.DataFrame,
    task: Task,
    limits: TrainingSettings,
    cores: int,
    folder: str,
    with_smooth: bool = False,
    softening: float = SOFTENING,
) -> float:
    """Train a model and save it: the same from the same table, whatever the machine does and on any cores.

    AutoGluon seeds all its learners and the number of their trees is bounded, so that no clock ends a training but that
    of :class:`MLmodel.time_guard.TimeGuard`.

    Parameters
    ----------
    table : DataFrame
        As :func:`to_learn` gives it.
    task : Task
        What is learnt.
    limits : TrainingSettings
        How long it may train and how fast it must predict.
    cores : int
        How many to use.
    folder : str
        Where the model goes.
    with_smooth : bool
        Whether predictions are the mean of AutoGluon's and those of :mod:`MLmodel.smooth`.
    softening : float
        Of the smooth model (:func:`MLmodel.smooth.shape_features`).

    Returns
    -------
    float
        Seconds that the model takes a pair, on these cores when they are free.

    Raises
    ------
    NothingTrainedError
        If there was no time for a single model.
    OSError
        If files can't be written: AutoGluon itself goes on without the model that failed.
    """
    from autogluon.tabular import TabularPredictor  # here, as it takes seconds and prints

    from MLmodel.time_guard import TimeGuard

    predictor = TabularPredictor(
        label=task.target,
        path=folder,
        problem_type="binary" if task == CLASSIFIER else "regression",
        eval_metric="log_loss" if task == CLASSIFIER else "root_mean_squared_error",
        sample_weight=_WEIGHT if _WEIGHT in table else None,
        weight_evaluation=_WEIGHT in table,
    )
    predictor.fit(
        table,
        num_cpus=cores,
        raise_on_no_models_fitted=False,
        callbacks=[TimeGuard(limits.train_hours)],
        **(FAST if limits.fast else THOROUGH),
    )
    _raise_what_failed(predictor, folder)
    if not predictor.model_names():
        raise NothingTrainedError
    features = table.drop(columns=[task.target, _WEIGHT], errors="ignore")
    many = features.sample(_TIMED_PAIRS, replace=True, random_state=0)
    seconds = 0.0
    if with_smooth:
        weights = table[_WEIGHT].to_numpy() if _WEIGHT in table else None
        smooth = learn_smooth(features, table[task.target].to_numpy(np.float64), task, weights, softening)
        smooth.save(Path(folder) / _SMOOTH)
        seconds = _seconds_per_pair(smooth.predict, many)
    return seconds + _keep_best_that_is_fast(predictor, features, many, limits.max_seconds_per_pair - seconds)


def _raise_what_failed(predictor: Any, folder: str) -> None:
    for said in predictor.model_failures().get("exc_str", ()):
        if number := re.match(r"\[Errno (\d+)\]", str(said)):
            raise OSError(int(number[1]), os.strerror(int(number[1])), folder)


def _seconds_per_pair(predict: Callable[[pd.DataFrame], Any], many: pd.DataFrame) -> float:
    """Shortest time of several.

    The clock is the time for which this thread was at work, which is about what passes on free cores.
    """
    times = []
    for _ in range(_TIMED):
        started = time.thread_time()
        predict(many)
        times.append(time.thread_time() - started)
    return min(times) / len(many)


def _keep_best_that_is_fast(predictor: Any, features: pd.DataFrame, many: pd.DataFrame, limit: float) -> float:
    """Keep the best model that is fast enough, else the fastest; the seconds that it takes a pair.

    AutoGluon's own limit goes by one measurement in the middle of the training, so that what it keeps depends on what
    else the machine does.
    """
    refitted = {full: one for one, full in predictor.model_refit_map().items()}
    scores = predictor.leaderboard().set_index("model")["score_val"]
    names = sorted(predictor.model_names(can_infer=True), key=lambda name: -scores[refitted.get(name, name)])
    predictor.persist(names)
    trees: dict[str, Trees | None] = {}
    seconds = {}
    for name in names:
        trees[name] = as_trees = import_trees(predictor, name, features)
        predict = as_trees.predict if as_trees else partial(autogluon_prediction, predictor, model=name)
        seconds[name] = _seconds_per_pair(predict, many)
        if seconds[name] <= limit:
            break
    kept = name if seconds[name] <= limit else min(names, key=seconds.__getitem__)
    predictor.set_model_best(kept, save_trainer=True)
    if as_trees := trees[kept]:
        as_trees.save(Path(predictor.path) / _TREES)
    return float(seconds[kept])
