"""The learner: target, weights, CatBoost and AutoGluon. Doing it safely is the business of :mod:`MLmodel.training`."""

import os
import re
import time
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import catboost
import numpy as np
import pandas as pd
from catboost import CatBoost
from threadpoolctl import threadpool_limits

from glass.arrays import Array
from MLmodel.smooth import SOFTENING, Smooth, learn_smooth
from pipeline.errors import UserError
from pipeline.settings import TrainingSettings
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, Task

TREES: dict[str, Any] = {"iterations": 300, "learning_rate": 0.05, "border_count": 64, "random_seed": 0}
"""CatBoost of ``fast: true``: on glasses kept out as good as the ensemble; 1500 trees are worse (doc/validation.md)."""

_OF_TASK: dict[Task, dict[str, Any]] = {
    CLASSIFIER: {
        # Log loss at .05, .08, .1: example by glass .2305 .2312 .2323; public T = 0.062, cut at random, .0239 - .0183
        "learning_rate": 0.08,
        "l2_leaf_reg": 20,
        "bootstrap_type": "Bernoulli",
        "subsample": 0.8,
        "rsm": 0.8,
    },
    PREDICTOR: {},
}
"""With few labels CatBoost's own regularisation gives chances that are too sure.

Log loss on a third of the example's glasses, mean of 6 draws of 20, 50, 100, 200, 1000 labels from the others: with
CatBoost's own .378 .343 .346 .302 .251; with l2_leaf_reg = 20 .371 .317 .292 .263 .241; with this .341 .297 .281 .262
.240; LightGBM, 50 to 200 trees .461 .301 .280 .269 .312. The predictor gains nothing: rms error of log₁₀ with 50 labels
.188, with l2_leaf_reg = 20 .199, with parts of rows and columns .190.
"""

_ONE_THREAD: dict[str, Any] = {"ag_args_fit": {"num_cpus": 1}}  # models do not depend on the number of cores

_LIGHTGBM: dict[str, Any] = {"learning_rate": 0.1, "deterministic": True, "force_row_wise": True, **_ONE_THREAD}
"""By default it measures whether rows or columns are faster, and sums in an order that depends on it."""

ENSEMBLE: dict[str, Any] = {
    "presets": "good_quality",
    "dynamic_stacking": False,
    "num_stack_levels": 0,
    "ag_args_ensemble": {"fold_fitting_strategy": "sequential_local"},  # also where Ray is installed
    "hyperparameters": {
        "CAT": [{"iterations": 1500, "learning_rate": 0.08, **_ONE_THREAD}],
        "GBM": [{**_LIGHTGBM, "num_boost_round": 200, "num_leaves": 63}],
        "XGB": [{"n_estimators": 200, **_ONE_THREAD}],
    },
}
"""Bagged and refitted boosted trees of ``fast: false``. By default AutoGluon does not bound their number."""

_WEIGHT = "weight of the pair"  # column for AutoGluon; no feature of a user is called like it

_TREES, _SMOOTH, _AUTOGLUON = "model.cbm", "smooth.npz", "autogluon"
"""Files in a model's folder: CatBoost's own (``fast: true``), the smooth model where it helps, AutoGluon's folder."""

_TIMED_PAIRS, _TIMED = 10_000, 5  # pairs predicted at once to measure the time a pair, how often; the shortest counts


class Fitted(NamedTuple):
    """How a training went."""

    seconds_per_pair: float  # on one free core
    was_cut: bool  # whether ``train_hours`` left models out
    memory_ran_short: bool  # whether memory left models out


def target_of(pairs: pd.DataFrame, task: Task) -> Array:
    """Learnt quantity of each pair, shape (n_pairs,): 1 for a double well, else 0; or log₁₀ of the splitting."""
    return np.asarray(pairs[DW], float) if task == CLASSIFIER else np.log10(np.asarray(pairs[QS], float))


def to_learn(pairs: pd.DataFrame, task: Task, features: list[str], weights: str = "equal") -> pd.DataFrame:
    """Features and target; for the predictor weights, which have the mean 1.

    The classifier learns from all pairs alike, so that its probabilities are true ones; ``weights: inverse`` weighs
    those of the predictor by 1/splitting.
    """
    table = pairs[features].astype(np.float64)
    if task == CLASSIFIER:
        table[DW] = pairs[DW].astype(int)
    else:
        table[QS] = target_of(pairs, task)
        weight = 1.0 / pairs[QS] if weights == "inverse" else pd.Series(1.0, pairs.index)
        table[_WEIGHT] = weight / weight.mean()
    return table.reset_index(drop=True)


def load(folder: Path, task: Task) -> Callable[[pd.DataFrame], Array]:
    """Model that :func:`fit` trained: trees, or the mean of them and a smooth model where that helps.

    It is a function that gives the probability of a double well, or quantum splitting, of each pair; shape (n_pairs,).
    """
    if (folder / _TREES).exists():
        trees = catboost_prediction(CatBoost().load_model(str(folder / _TREES)), task)
    else:
        from autogluon.tabular import TabularPredictor  # here, as it takes seconds and CatBoost's models do without

        predictor = TabularPredictor.load(str(folder / _AUTOGLUON), verbosity=0)
        predictor.persist()
        trees = partial(_autogluon_predict, predictor, task)
    smooth = None
    if (folder / _SMOOTH).exists():
        with np.load(folder / _SMOOTH) as arrays:
            smooth = Smooth(**arrays)

    def predict(features: pd.DataFrame) -> Array:
        predicted = trees(features) if smooth is None else (trees(features) + smooth.predict(features)) / 2
        return predicted if task == CLASSIFIER else 10.0**predicted

    return predict


def catboost_prediction(trees: CatBoost, task: Task) -> Callable[[pd.DataFrame], Array]:
    """Probability of a double well or log₁₀ of the splitting, by CatBoost's own evaluator: 0.3 µs a pair."""
    names = trees.feature_names_  # not those that are the same for all pairs
    kind = "Probability" if task == CLASSIFIER else "RawFormulaVal"

    def predict(features: pd.DataFrame) -> Array:
        values = features[names].to_numpy(np.float64)
        predicted = np.asarray(trees.predict(values, prediction_type=kind, thread_count=1), float)
        return predicted[:, 1] if task == CLASSIFIER else predicted

    return predict


def _autogluon_predict(predictor: Any, task: Task, features: pd.DataFrame, model: str | None = None) -> Array:
    if task == CLASSIFIER:
        return np.asarray(predictor.predict_proba(features, model=model)[1], float)
    return np.asarray(predictor.predict(features, model=model), float)


def fit(
    table: pd.DataFrame,
    task: Task,
    limits: TrainingSettings,
    cores: int,
    folder: Path,
    with_smooth: bool = False,
    softening: float = SOFTENING,
) -> Fitted:
    """Train a model and save it: the same from the same table, whatever the machine does and on any cores.

    AutoGluon seeds all its learners and the number of their trees is bounded, so that no clock ends a training but that
    of :func:`_time_guard`. CatBoost alone needs no pairs to tell when to stop: it learns from all of them.
    ``with_smooth``: the mean with :mod:`MLmodel.smooth` is predicted, of this ``softening``. Raises UserError if there
    was no time for a single model, OSError if files can't be written, where AutoGluon itself goes on without the model.
    """
    from autogluon.features.generators import IdentityFeatureGenerator  # here, as they take seconds and print
    from autogluon.tabular import TabularPredictor

    predictor = TabularPredictor(
        label=task.target,
        path=str(folder / _AUTOGLUON),
        problem_type="binary" if task == CLASSIFIER else "regression",
        eval_metric="log_loss" if task == CLASSIFIER else "root_mean_squared_error",
        sample_weight=_WEIGHT if _WEIGHT in table else None,
        weight_evaluation=_WEIGHT in table,
    )
    guard = _time_guard(limits.train_hours)
    catboost_alone = {**TREES, **_OF_TASK[task], "ag.early_stop": None, **_ONE_THREAD}
    predictor.fit(
        table,
        tuning_data=table if limits.fast else None,
        num_cpus=cores,
        feature_generator=IdentityFeatureGenerator(),
        raise_on_no_models_fitted=False,
        callbacks=[guard],
        **({"hyperparameters": {"CAT": [catboost_alone]}, "fit_weighted_ensemble": False} if limits.fast else ENSEMBLE),
    )
    failures = predictor.model_failures()
    for said in failures.get("exc_str", ()):
        if number := re.match(r"\[Errno (\d+)\]", str(said)):
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(folder))
    if not predictor.model_names():
        hours = f"{task.name}.train_hours = {limits.train_hours:g}"
        raise UserError(f"config.yaml: no model was trained in {hours}; raise it, or make room in memory")
    features = table.drop(columns=[task.target, _WEIGHT], errors="ignore")
    sample = features.sample(_TIMED_PAIRS, replace=True, random_state=0)
    seconds = 0.0
    if with_smooth:
        weights = table[_WEIGHT].to_numpy() if _WEIGHT in table else None
        with threadpool_limits(1, "blas"):  # sums of other numbers of threads differ in the last digit
            smooth = learn_smooth(features, table[task.target].to_numpy(np.float64), task, weights, softening)
        np.savez(folder / _SMOOTH, **smooth._asdict())
        seconds = _seconds_per_pair(smooth.predict, sample)
    if limits.fast:
        trees = predictor._trainer.load_model(predictor.model_best).model
        for name in ("train_finish_time", "model_guid"):  # the same bytes for the same trees
            trees.get_metadata()[name] = ""
        trees.save_model(str(folder / _TREES))
        seconds += _seconds_per_pair(catboost_prediction(trees, task), sample)
    else:
        seconds += _keep_best_that_is_fast(predictor, task, sample, limits.max_seconds_per_pair - seconds)
    short = failures.get("exc_type", pd.Series(dtype=str)).isin(["MemoryError", "NotEnoughMemoryError"])
    return Fitted(seconds, guard.was_cut, bool(short.any()))


def _time_guard(hours: float) -> Any:
    """Callback that lets AutoGluon begin no further model once the time is over; those trained by then are kept.

    AutoGluon's own limit is divided among models and folds and cuts each of them, so that what is learnt depends on
    what else the machine does. The clock here is the time for which this thread was at work.
    """
    from autogluon.core.callbacks import AbstractCallback

    class TimeGuard(AbstractCallback):  # type: ignore[misc]
        was_cut = False
        end = time.thread_time() + 3600 * hours

        def _before_model_fit(self, trainer: Any, model: Any, stack_name: str = "core", **_: Any) -> tuple[bool, bool]:
            over = stack_name == "core" and time.thread_time() > self.end
            self.was_cut |= over
            return False, over

        def __reduce__(self) -> tuple[Any, ...]:  # AutoGluon saves its trainer with it
            return object, ()

    return TimeGuard()


def _seconds_per_pair(predict: Callable[[pd.DataFrame], Any], sample: pd.DataFrame) -> float:
    """Shortest time of several, by the time for which this thread was at work."""
    return min(timeit.repeat(lambda: predict(sample), timer=time.thread_time, number=1, repeat=_TIMED)) / len(sample)


def _keep_best_that_is_fast(predictor: Any, task: Task, sample: pd.DataFrame, limit: float) -> float:
    """Keep the best model that is fast enough, else the fastest; the seconds that it takes a pair.

    AutoGluon's own limit goes by one measurement in the middle of the training, so that what it keeps depends on what
    else the machine does.
    """
    refitted = {full: one for one, full in predictor.model_refit_map().items()}
    scores = predictor.leaderboard().set_index("model")["score_val"]
    names = sorted(predictor.model_names(can_infer=True), key=lambda name: -scores[refitted.get(name, name)])
    predictor.persist(names)
    seconds: dict[str, float] = {}
    for name in names:
        seconds[name] = _seconds_per_pair(partial(_autogluon_predict, predictor, task, model=name), sample)
        if seconds[name] <= limit:
            break
    kept = name if seconds[name] <= limit else min(names, key=seconds.__getitem__)
    predictor.set_model_best(kept, save_trainer=True)
    return seconds[kept]


def quick_trees(pairs: pd.DataFrame, features: list[str], task: Task) -> Callable[[pd.DataFrame], Array]:
    """Trees of ``fast: true``, learnt without AutoGluon and without saving, as a function that predicts pairs."""
    kind = catboost.CatBoostClassifier if task == CLASSIFIER else catboost.CatBoostRegressor
    trees = kind(**{**TREES, **_OF_TASK[task]}, thread_count=1, verbose=False, allow_writing_files=False)
    trees.fit(pairs[features].astype(np.float64), target_of(pairs, task))
    return catboost_prediction(trees, task)
