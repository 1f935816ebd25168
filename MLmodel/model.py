"""Using a trained model: its predictions, its sets, and what it is judged on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from glass.arrays import Array
from MLmodel.card import Card, check_digests, find_card, read_card
from MLmodel.metrics import chance_metrics, classifier_metrics, format_metrics, predictor_metrics
from MLmodel.out_of_fold import by_glass, kept_out
from pipeline.errors import ChangedError, UserError
from pipeline.files import file_digest
from pipeline.formats.pair_tables import OUT_OF_FOLD
from pipeline.messages import note, record
from pipeline.settings import Settings
from pipeline.workspace import CLASSIFIER, PREDICTOR, StatePoint, Task, Workspace

ENOUGH = {CLASSIFIER.name: {"double wells": 20, "non-DW pairs": 20}, PREDICTOR.name: {"double wells": 30, "TLS": 5}}
"""A test set with fewer is not judged on. A fraction of n is known to 0.5/√n or better, 0.11 for 20 and 0.22 for 5; an
rms deviation of n to the fraction 1/√(2n) of it, 0.13 for 30."""


class Model:
    """A trained model in memory; UserError or ChangedError where its files are not those of the card's training."""

    def __init__(self, at: StatePoint, card: Card) -> None:
        from MLmodel.learner import load  # here, as it imports CatBoost

        self.card = card
        with _same_training(at, card):
            check_digests(at.model(card.task), card)
            self._predict = load(at.model(card.task), card.task)

    def predict(self, pairs: pd.DataFrame) -> Array:
        """Probability of a double well, or quantum splitting, of pairs with the columns ``card.features``."""
        if pairs.empty:
            return np.empty(0)
        return self._predict(pairs[self.card.features].astype(np.float64))


@contextmanager
def _same_training(at: StatePoint, card: Card) -> Iterator[None]:
    """All that is read in the block is of one training: ChangedError where another took its place meanwhile."""
    problem = None
    try:
        yield
    except (UserError, OSError) as error:
        problem = error
    there = read_card(at, card.task)
    if there is not None and there.training != card.training:
        raise ChangedError(f"{at.model(card.task)}: another training took its place meanwhile; run the step again")
    if problem is not None:
        raise problem


def read_set(at: StatePoint, card: Card, subset: str) -> pd.DataFrame:
    """The pairs of a model: ``train``, ``test`` or all, ``used``; UserError or ChangedError if of another training."""
    path = at.model_set(card.task, subset)
    with _same_training(at, card):
        if not path.exists() or file_digest(path) != card.files.get(path.name):
            raise UserError(f"{path}: missing, or changed since the training; run {card.task.script}")
        return pd.read_feather(path)


def unseen_predictions(at: StatePoint, card: Card) -> tuple[Array, Array]:
    """Known and predicted splittings (or double wells and probabilities) of a model's pairs, without their glass."""
    used = read_set(at, card, "used")
    return used[card.task.target].to_numpy(), used[OUT_OF_FOLD].to_numpy()


class Judged(NamedTuple):
    """Pairs that a model is judged on, and which they are."""

    exact: Array
    predicted: Array  # splittings in ε, or whether a pair is a double well and the probability of it; shape (n_pairs,)
    name: str  # name in titles: ``train set``, ``test set``, or ``all labels``
    how: str = ""  # how they were kept from the models that predicted them
    heading: str = ""  # line above the figures: the same and why


def judged_models(
    workspace: Workspace, task: Task, asked: Sequence[str], settings: Settings
) -> Iterator[tuple[StatePoint, Model, str, Judged, Judged]]:
    """Each model that can be used, a title, and what it says of its training set and of its test set.

    Where the test set is too small and all labels hold more, these stand in its place, out of fold. All temperatures
    are judged, as files are of all; UserError where a model of one that was asked for can't be used.
    """
    trained = [one for one in workspace.temperatures() if workspace.at(one).card(task).exists()]
    for at in map(workspace.at, dict.fromkeys([*trained, *asked])):
        try:
            card = find_card(at, task, settings.unit)
        except UserError as error:
            if at.temperature in asked:
                raise
            note(f"T = {at.temperature}: left out: {error}")
            continue
        model, train, test = Model(at, card), read_set(at, card, "train"), read_set(at, card, "test")
        known = Judged(train[task.target].to_numpy(), model.predict(train), "train set", heading="training set")
        held, everything = count(test[task.target], task, settings), unseen_predictions(at, card)
        of_all = count(everything[0], task, settings)
        if any(held[what] < min(enough, of_all[what]) for what, enough in ENOUGH[task.name].items()):
            how, needed = kept_out(read_set(at, card, "used"), task), _listed(ENOUGH[task.name])
            heading = f"test set: too few to judge ({_listed(held)}; needed: {needed}); shown instead:"
            judged = Judged(*everything, "all labels", how, f"{heading}\n  all labels, {how}")
        else:
            of_glasses = card.settings.get("test_split") == "glass"
            how = "whole glasses kept out" if of_glasses else "pairs cut at random from the same glasses"
            heading = f"test set, never seen in training; {how}"
            judged = Judged(test[task.target].to_numpy(), model.predict(test), "test set", how, heading)
        what = "double-well classifier" if task == CLASSIFIER else "predictor of splittings"
        title = f"T = {at.temperature}: {what}, trained {card.trained}, units: {card.units}"
        for one in (known, judged):
            figures = figures_of(task, one.exact, one.predicted, settings.tls_threshold)
            title += "\n" + say_figures(at, one.name.replace(" ", "_"), one.heading, figures)
        yield at, model, title, known, judged


def figures_of(task: Task, exact: ArrayLike, predicted: ArrayLike, threshold: float) -> dict[str, float]:
    """Metrics of a model; ``threshold`` in ε, below which a double well is a TLS."""
    if task == CLASSIFIER:
        return classifier_metrics(exact, predicted) | chance_metrics(predicted, exact, "double wells")
    return predictor_metrics(exact, predicted, threshold)


def say_figures(at: StatePoint, name: str, heading: str, figures: Mapping[str, float]) -> str:
    """A heading and metrics as lines to print; --json has them under ``name``, with null for what has no value."""
    record(at.temperature, **{name: {what: None if np.isnan(one) else one for what, one in figures.items()}})
    return f"  {heading}\n{format_metrics(figures)}"


def worth(at: StatePoint, card: Card, settings: Settings) -> list[str]:
    """Figures of a model on glasses that it did not see, and a warning where its labels are few: lines to print."""
    used, task = read_set(at, card, "used"), card.task
    lines = [f"  time to predict: {card.seconds_per_pair:.1e} s a pair"]
    if by_glass(used, task):
        figures = figures_of(task, used[task.target], used[OUT_OF_FOLD], settings.tls_threshold)
        lines.append(say_figures(at, "new_glass", f"what to expect of a new glass: {kept_out(used, task)}", figures))
    return lines + few_labels(used[task.target], task, settings)


def few_labels(labels: ArrayLike, task: Task, settings: Settings) -> list[str]:
    """A warning of few labels, as lines to print: how many there are, and how many it takes; else none."""
    there = count(labels, task, settings)
    needed = {what: ceil(enough / settings.test_fraction) for what, enough in ENOUGH[task.name].items()}
    short = {what: number for what, number in there.items() if number < needed[what]}
    if not short:
        return []
    rough = [
        f"a fraction of the {what} is known to ±{0.5 / number**0.5:.2f}" if number else f"no {what} to learn from"
        for what, number in short.items()
    ]
    return [
        f"  warning: few labels ({_listed(there)}); a test set to judge on takes {_listed(needed)}.",
        f"  Until then figures and chances are rough: {'; '.join(rough)}.",
    ]


def count(labels: ArrayLike, task: Task, settings: Settings) -> dict[str, int]:
    """Numbers of what a test set must hold, with the keys of ``ENOUGH``."""
    values = np.asarray(labels)
    if task == CLASSIFIER:
        double_wells = int(values.sum())
        return {"double wells": double_wells, "non-DW pairs": len(values) - double_wells}
    return {"double wells": len(values), "TLS": int((values < settings.tls_threshold).sum())}


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{what}: {number}" for what, number in numbers.items())
