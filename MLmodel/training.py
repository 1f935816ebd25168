"""Training a model, whole or not at all: the split, AutoGluon in a process of its own, the sets and the card."""

import hashlib
import os
import shutil
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Hashable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import multiprocess
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from MLmodel.card import SETS, Card, file_digest, installed_versions, read_card, sets_fit, write_card
from MLmodel.errors import UserError
from MLmodel.files import whole
from MLmodel.keys import pair_keys
from MLmodel.labels import SOURCE, Labelled
from MLmodel.settings import Settings, TrainingSettings
from MLmodel.tables import DW, QS
from MLmodel.workspace import CLASSIFIER, Workspace

FEWEST = 10
"""Labelled pairs, of each class for the classifier, below which nothing is trained."""

_NOTHING_TRAINED = 3
"""Exit status of the training process when there was no time for a single model."""

_WEIGHT = "weight of the pair"
"""A column for AutoGluon that no feature is called like."""

_TIMED_PAIRS = 10_000
"""Pairs predicted at once when the time a pair is measured."""

_THOROUGH: dict[str, Any] = {
    "presets": "good_quality",
    "dynamic_stacking": False,
    "num_stack_levels": 0,
    "hyperparameters": {
        "CAT": [{"iterations": 1500, "learning_rate": 0.08}],
        "GBM": [{"num_boost_round": 200, "learning_rate": 0.1, "num_leaves": 63}],
        "XGB": [{"n_estimators": 200}],
    },
}
"""Bagged and refitted boosted trees, few enough to meet together a limit of ten microseconds a pair. By default
AutoGluon does not bound their number, and most of the time goes into models that are then thrown away as too slow."""

_FAST: dict[str, Any] = {
    "presets": "medium_quality",
    "hyperparameters": {"CAT": [{"iterations": 300}], "GBM": [{"num_boost_round": 150, "learning_rate": 0.1}]},
}


def train(workspace: Workspace, temperature: str, task: str, labelled: Labelled, settings: Settings) -> Card | None:
    """Train one model, unless the last training used the same data, settings and versions.

    Parameters
    ----------
    workspace : Workspace
        The model, its sets and its log go there; the model that is there stays until the new one is complete.
    temperature : str
        As in the folders' names.
    task : {"dw-classification", "qs-regression"}
        What to learn.
    labelled : Labelled
        The labelled pairs.
    settings : Settings
        Time limits and the split.

    Returns
    -------
    Card or None
        None if there was nothing new.

    Raises
    ------
    UserError
        If there are too few labels, only one class, or no time for a single model.
    """
    label = DW if task == CLASSIFIER else QS
    its = settings.classifier if task == CLASSIFIER else settings.predictor
    folder = workspace.model(task, temperature)
    keys = pair_keys(labelled.table, settings.ij_decimals)
    inputs: dict[str, Any] = {
        "features": labelled.features,
        "settings": {
            **its.model_dump(),
            **settings.model_dump(include={"test_fraction", "test_split", "seed"}),
        },
        "versions": installed_versions(),
        "data": _digest(labelled, keys, label),
    }
    old = read_card(workspace, task, temperature)
    same = old is not None and all(getattr(old, name) == value for name, value in inputs.items())
    if old is not None and same and (folder / old.autogluon).is_dir() and sets_fit(workspace, old):
        return None
    test = split(keys, settings)
    parts = dict(zip(SETS, (labelled.table[~test], labelled.table[test], labelled.table), strict=True))
    _check_enough(parts["train"], label, folder)
    if (parts["train"][labelled.features].nunique() < 2).all():
        raise UserError(f"{folder.name}: no feature differs between the pairs to train on; give features that do")
    name = f"autogluon-{uuid.uuid4().hex[:8]}"
    log = workspace.training_log(task, temperature)
    try:
        seconds = _in_own_process(parts["train"], label, labelled.features, its, settings.cores, folder / name, log)
        paths = {which: workspace.model_set(task, temperature, which) for which in SETS}
        for which, part in parts.items():
            with whole(paths[which]) as file:
                part.reset_index(drop=True).to_feather(file)
        card = Card(
            task=task,
            temperature=temperature,
            label=label,
            autogluon=name,
            trained=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            pairs={which: len(part) for which, part in parts.items()},
            sources=labelled.table[SOURCE].value_counts().to_dict(),
            sets={which: file_digest(path) for which, path in paths.items()},
            seconds_per_pair=seconds,
            **inputs,
        )
        write_card(workspace, card)
    finally:
        current = read_card(workspace, task, temperature)
        for left in folder.glob("autogluon-*"):
            if current is None or left.name != current.autogluon:
                shutil.rmtree(left)
    return card


def split(keys: pd.DataFrame, settings: Settings) -> NDArray[np.bool_]:
    """Choose the test set by a hash of each pair's or glass's name.

    So a pair stays on its side as more labels come in, and is on the same side for the classifier and the predictor.
    Glasses differ in size: they are taken in the order of their hash until their pairs are about the fraction asked
    for, so that those near the cut may change sides.

    Parameters
    ----------
    keys : DataFrame of shape (n_pairs, 3)
        As :func:`MLmodel.tables.pair_keys` gives them.
    settings : Settings
        ``test_fraction``, ``test_split`` and ``seed``.

    Returns
    -------
    ndarray of bool, shape (n_pairs,)
        True where the pair belongs to the test set; True and False at least once each.

    Raises
    ------
    UserError
        If glasses are to be kept apart and there is only one.
    """
    names = keys if settings.test_split == "pair" else keys[["conf"]]
    place = pd.util.hash_pandas_object(names.assign(seed=settings.seed), index=False).to_numpy() / 2.0**64
    if place.min() == place.max():
        raise UserError("config.yaml: test_split = glass needs labels of two glasses or more; use test_split: pair")
    cut = settings.test_fraction
    if settings.test_split == "glass":
        places, sizes = np.unique(place, return_counts=True)
        cut = places[np.argmin(np.abs(np.cumsum(sizes) - cut * len(keys)))]
    return np.asarray(((place <= cut) | (place == place.min())) & (place != place.max()))


def _digest(labelled: Labelled, keys: pd.DataFrame, label: str) -> str:
    """Hash of what is learnt from, whatever the order of the rows."""
    rest = labelled.table[[*labelled.features, label]]
    hashes = np.column_stack([pd.util.hash_pandas_object(part, index=False) for part in (keys, rest)])
    return hashlib.sha256(hashes[np.lexsort(hashes.T)].tobytes()).hexdigest()


def _check_enough(part: pd.DataFrame, label: str, folder: Path) -> None:
    counts: dict[Hashable, int] = {"labelled pairs": len(part)}
    if label == DW:
        dw = int(part[DW].sum())
        counts = {"double wells": dw, "non-double-wells": len(part) - dw}
    for what, count in counts.items():
        if count < FEWEST:
            raise UserError(
                f"{folder.name}: {count} {what} to train on, {FEWEST} needed; add NEB results or a pretraining set"
            )


def _weighted(part: pd.DataFrame, label: str, features: list[str]) -> pd.DataFrame:
    """Features, what to learn, and weights with mean 1: balanced classes; or −log₁₀ Qs with weights 1/Qs."""
    table = part[features].astype(np.float64)
    if label == DW:
        weight = 1.0 / part.groupby(DW)[DW].transform("size")
        table[label] = part[label].astype(int)
    else:
        weight = 1.0 / part[label]
        table[label] = -np.log10(part[label])
    table[_WEIGHT] = weight / weight.mean()
    return table.reset_index(drop=True)


def _in_own_process(
    part: pd.DataFrame, label: str, features: list[str], its: TrainingSettings, cores: int, folder: Path, log: Path
) -> float:
    """Run AutoGluon where its chatter can be sent to a file and Ctrl-C stops it; seconds the model takes a pair."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"training on {len(part)} pairs for up to {its.train_hours:g} h; AutoGluon's log: {log}", flush=True)
    context = multiprocess.get_context("spawn")
    speed = context.Value("d", 0.0)
    table = _weighted(part, label, features)
    process = context.Process(target=_fit, args=(table, label, its.model_dump(), cores, str(folder), str(log), speed))
    limit = round(its.train_hours * 3600)
    started = time.monotonic()
    log.touch()
    restored = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is this process's business, not its child's
    process.start()
    signal.signal(signal.SIGINT, restored)
    bar = "{desc}: {n:.0f} of at most {total:.0f} s |{bar}|"
    try:
        with tqdm(total=limit, desc="training", delay=2, disable=None, leave=False, bar_format=bar) as progress:
            while process.is_alive():
                process.join(0.5)
                progress.update(min(time.monotonic() - started, limit) - progress.n)
    finally:
        if process.is_alive():
            process.kill()
            process.join()
    if process.exitcode == _NOTHING_TRAINED:
        raise UserError(f"{log}: no model was trained in train_hours = {its.train_hours:g}; raise it in config.yaml")
    if process.exitcode != 0:
        raise RuntimeError(f"AutoGluon failed with exit status {process.exitcode}; its log: {log}")
    if speed.value > its.max_seconds_per_pair:
        print(f"  no model met max_seconds_per_pair = {its.max_seconds_per_pair:g}: the fastest is kept")
    return float(speed.value)


def _fit(table: pd.DataFrame, label: str, its: dict[str, Any], cores: int, folder: str, log: str, speed: Any) -> None:
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from autogluon.tabular import TabularPredictor  # here, as it takes seconds and prints

    predictor = TabularPredictor(
        label=label,
        path=folder,
        problem_type="binary" if label == DW else "regression",
        eval_metric="log_loss" if label == DW else "root_mean_squared_error",
        sample_weight=_WEIGHT,
        weight_evaluation=label != DW,  # log loss takes no weights
    )
    try:
        predictor.fit(
            table,
            time_limit=its["train_hours"] * 3600,
            excluded_model_types=["KNN"],
            infer_limit=its["max_seconds_per_pair"],
            infer_limit_batch_size=_TIMED_PAIRS,
            num_cpus=cores,
            raise_on_no_models_fitted=False,
            **(_FAST if its["fast"] else _THOROUGH),
        )
    except AssertionError:  # how AutoGluon takes a time limit that preparing the data has used up
        traceback.print_exc()
        sys.exit(_NOTHING_TRAINED)
    if not predictor.model_names():
        sys.exit(_NOTHING_TRAINED)
    predictor.persist()
    many = table.drop(columns=[label, _WEIGHT]).sample(_TIMED_PAIRS, replace=True, random_state=0)
    predictor.predict(many)
    started = time.perf_counter()
    predictor.predict(many)
    speed.value = (time.perf_counter() - started) / _TIMED_PAIRS
