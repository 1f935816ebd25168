"""Training a model, whole or not at all: the split, one process at a time, the sets and the card."""

import hashlib
import json
import os
import shutil
import time
import uuid
from dataclasses import asdict
from datetime import datetime, timezone
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from MLmodel.card import FORMAT, NOTHING_NEW, Card, digests_of, installed_versions, intact_card
from MLmodel.labels import SOURCE, Labelled
from pipeline import __version__
from pipeline.command import Command
from pipeline.errors import UserError
from pipeline.files import file_named, only_writer, sync, write_text
from pipeline.formats.keys import KEYS, pair_index
from pipeline.formats.pair_tables import OUT_OF_FOLD
from pipeline.formats.results import last_results
from pipeline.messages import Progress, counted, note, nothing_new, record, result, wrote
from pipeline.settings import Settings, TrainingSettings
from pipeline.stamps import mark_made
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, StatePoint, Task

FEWEST, FEWEST_TO_TRAIN = 10, 5  # labelled pairs (classifier: of each class) to learn from, and without the test set
REMEDY = "run_neb.py --explore 100 for more, or add NEB results or a pretraining set"  # where labels are few


def train(
    command: Command, at: StatePoint, task: Task, labelled: Labelled, summary: str, warning: str | None = None
) -> None:
    """Train one model, unless the last training used the same data, settings and versions, and say what it is worth.

    The model that is there stays until the new one is complete. ``summary``: the labels in words; ``warning``: what
    else to say of them. Raises UserError where they are too few, of one class or of one glass alone, where no feature
    differs or there is no time for a single model, or where another process trains this model.
    """
    settings = command.settings
    keys = pair_index(labelled.table, at.decimals).to_frame(index=False).sort_values(KEYS)
    pairs, features = labelled.table.loc[keys.index], labelled.features  # in an order that no file decides
    limits: TrainingSettings = getattr(settings, task.name)
    learnt = pairs[[*features, task.target]]
    hashes = np.column_stack([pd.util.hash_pandas_object(part, index=False) for part in (keys, learnt)])
    inputs = {  # all that a model follows from
        "features": features,
        "settings": {**limits.model_dump(), **settings.model_dump(include={"test_fraction", "test_split", "seed"})},
        "versions": installed_versions(),
        "units": settings.units,
        "data": hashlib.sha256(hashes[np.lexsort(hashes.T)].tobytes()).hexdigest(),  # whatever the order of the pairs
    }
    card, name, left = None, at.model(task).name, (at.new_model(task), at.old_model(task))
    if not _is_trained(at, task, inputs) or any(path.exists() for path in left):
        note("\n".join([f"T = {at.temperature}: {summary}", *(f"  {line}" for line in labelled.report)]))
        if warning:
            result(f"T = {at.temperature}: warning: {warning}")
        _check_enough(pairs, task, name, FEWEST, REMEDY)
        test = split(keys, pairs[DW] == 1 if task == CLASSIFIER else pairs[QS] < settings.tls_threshold, settings)
        parts = {"train": pairs[~test], "test": pairs[test], "used": pairs}
        remedy = "the others are in the test set: lower test_fraction, or use test_split: pair"
        _check_enough(parts["train"], task, name, FEWEST_TO_TRAIN, remedy)
        if (parts["train"][features].nunique() < 2).all():
            raise UserError(f"{name}: no feature differs between the pairs to train on; give features that do")
        with only_writer(at.training_lock(task), task.script, command.wait):
            try:
                if at.old_model(task).exists() and not at.model(task).exists():  # killed while it was replaced
                    os.replace(at.old_model(task), at.model(task))
                if not _is_trained(at, task, inputs):  # perhaps by who was waited for
                    card = _trained(at, task, parts, inputs, settings)
            finally:
                for path in left:
                    shutil.rmtree(path, ignore_errors=True)  # one that a process still writes to goes next time
    mark_made([at.card(task)], labelled.made_of)
    if card is None:
        nothing_new(at.temperature, NOTHING_NEW)
        return
    from MLmodel.model import worth

    result("\n".join([f"T = {at.temperature}: model: {at.model(task)}", *worth(at, card, settings)]))
    record(at.temperature, model=at.model(task), training=card.training, trained=card.trained, pairs=card.pairs)


def _trained(
    at: StatePoint, task: Task, parts: dict[str, pd.DataFrame], inputs: dict[str, Any], settings: Settings
) -> Card:
    """Train in a folder of its own, and put that in the place of the model that is there."""
    from MLmodel.learner import fit, to_learn
    from MLmodel.out_of_fold import out_of_fold
    from MLmodel.smooth import SOFTENING
    from pipeline.workers.local import run_apart

    limits: TrainingSettings = getattr(settings, task.name)
    folder, log = at.new_model(task), at.training_log(task)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pairs, features, softening = parts["used"], inputs["features"], SOFTENING * settings.unit.epsilon
    started = time.monotonic()
    with threadpool_limits(1, "blas"):  # sums of other numbers of threads differ in the last digit
        unseen, with_smooth = out_of_fold(pairs, features, task, softening, settings.cores)
    parts["used"] = pairs.assign(**{OUT_OF_FOLD: unseen})
    table = to_learn(parts["train"], task, features, getattr(limits, "weights", "equal"))
    learn = partial(fit, table, task, limits, settings.cores, folder, with_smooth, softening)
    note(f"  training on {counted(len(table), 'pair')} for up to {limits.train_hours:g} h")
    wrote(log)
    with file_named(at.model(task), folder), Progress(desc="training", unit="s") as shown:
        fitted = run_apart(learn, log, lambda: shown.update(time.monotonic() - started - shown.n))
        for part, rows in parts.items():
            rows.reset_index(drop=True).to_feather(folder / f"{part}.feather")
    hours = f"train_hours = {limits.train_hours:g}"
    if fitted.was_cut:
        note(f"  {hours} cut the training short, so that another run may give another model; raise it in config.yaml")
    if fitted.memory_ran_short:
        note(f"  memory ran short, so that another run may give another model: {log}")
    if fitted.seconds_per_pair > limits.max_seconds_per_pair:
        note(f"  no model met max_seconds_per_pair = {limits.max_seconds_per_pair:g}: the fastest is kept")
    card = Card(
        task=task,
        temperature=at.temperature,
        training=uuid.uuid4().hex[:8],
        trained=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        pairs={part: len(rows) for part, rows in parts.items()},
        sources=pairs[SOURCE].value_counts().to_dict(),
        files=digests_of(folder),
        seconds_per_pair=fitted.seconds_per_pair,
        training_seconds=round(time.monotonic() - started, 1),
        program=__version__,
        **inputs,
    )
    content = {"format": FORMAT, **asdict(card), "task": task.folder}
    write_text(folder / at.card(task).name, json.dumps(content, indent=1))
    model, old = at.model(task), at.old_model(task)
    for path in [*folder.rglob("*"), folder]:
        sync(path)
    if model.exists():
        os.replace(model, old)
    try:
        os.replace(folder, model)
    except OSError:
        if old.exists():
            os.replace(old, model)
        raise
    sync(model.parent)
    wrote(model)
    return card


def too_few(at: StatePoint, settings: Settings) -> str:
    """Exact results that steps 1 and 3 lack and no pretraining set makes up for, in words; empty where none."""
    of = [at, *map(at.workspace.at, settings.pretraining)]
    without = [task for task in (CLASSIFIER, PREDICTOR) if not any(one.pretraining_sets(task) for one in of)]
    is_dw = last_results(at)[DW]
    counts = {"double well": int((is_dw == 1).sum())} if without else {}
    if CLASSIFIER in without:
        counts["non-DW pair"] = int((is_dw == 0).sum())
    return ", ".join(counted(count, what) for what, count in counts.items() if count < FEWEST)


def _is_trained(at: StatePoint, task: Task, inputs: dict[str, Any]) -> bool:
    """Whether the model that is there is complete, unchanged and was trained on just these inputs."""
    card = intact_card(at, task)
    return card is not None and all(getattr(card, name) == value for name, value in inputs.items())


def split(keys: pd.DataFrame, is_rare: ArrayLike, settings: Settings) -> NDArray[np.bool_]:
    """The test set, chosen by a hash of each pair's or glass's name.

    So a pair stays on its side as more labels come in, and is on the same side for the classifier and the predictor.
    Both classes have at least half and at most twice their share in the test set, and of two pairs each side has one:
    where the hash does not give it, which happens with few labels, those next to the cut change sides. Glasses differ
    in size: they are taken in the order of their hash until their pairs are about the fraction asked for, so that
    those near the cut may change sides. ``keys``: those of the pairs, in columns; ``is_rare``, shape (n_pairs,): which
    are double wells, or TLS.
    """
    names = keys if settings.test_split == "pair" else keys[["glass"]]
    place = pd.util.hash_pandas_object(names.assign(seed=settings.seed), index=False).to_numpy() / 2.0**64
    if settings.test_split == "glass":
        if place.min() == place.max():
            raise UserError("config.yaml: test_split = glass needs labels of two glasses or more; use test_split: pair")
        places, sizes = np.unique(place, return_counts=True)
        cut = places[np.argmin(np.abs(np.cumsum(sizes) - settings.test_fraction * len(place)))]
        return np.asarray((place <= cut) & (place != place.max()))
    test = np.zeros(len(keys), dtype=bool)
    for kind in (False, True):
        own = np.flatnonzero(np.asarray(is_rare) == kind)
        share, drawn = settings.test_fraction * len(own), int((place[own] <= settings.test_fraction).sum())
        drawn = min(max(drawn, int(share / 2), 1), int(np.ceil(2 * share)), len(own) - 1)
        test[own[np.argsort(place[own])[: max(drawn, 0)]]] = True
    return test


def _check_enough(pairs: pd.DataFrame, task: Task, name: str, fewest: int, remedy: str) -> None:
    counts = {"labelled pair": len(pairs)}
    if task == CLASSIFIER:
        counts = {"double well": int(pairs[DW].sum()), "non-DW pair": int((pairs[DW] == 0).sum())}
    for what, count in counts.items():
        if count < fewest:
            raise UserError(f"{name}: {counted(count, what)} to train on, {fewest} needed; {remedy}")
