"""What a model is judged on: its test set, or where that holds too few, out-of-fold predictions for all labels."""

from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from MLmodel.metrics import Array
from MLmodel.model import Model, read_set, unseen_predictions
from MLmodel.out_of_fold import kept_out
from pipeline.settings import Settings
from pipeline.workspace import CLASSIFIER, PREDICTOR, Task, Workspace

ENOUGH = {CLASSIFIER.name: {"double wells": 20, "non-DW pairs": 20}, PREDICTOR.name: {"double wells": 30, "TLS": 5}}
"""A test set with fewer is not judged on. A share of n is known to 0.5/√n or better, 0.11 for 20 and 0.22 for 5; an rms
deviation of n to its part 1/√(2n), 0.13 for 30."""


class Judged(NamedTuple):
    """Pairs that a model is judged on, and which they are.

    Attributes
    ----------
    exact, predicted : ndarray of shape (n_pairs,)
        Splittings in ε, or whether a pair is a double well and the probability of it.
    name : str
        For titles: ``test set``, or ``all labels``.
    how : str
        How they were kept from the models that predicted them.
    heading : str
        The same and why, as a line above the figures.
    """

    exact: Array
    predicted: Array
    name: str
    how: str
    heading: str


def judge_on(work: Workspace, model: Model, settings: Settings) -> Judged:
    """The test set and the model's predictions; where it is too small and all labels hold more, these out of fold.

    Raises
    ------
    UserError
        If the sets on disk are of another training.
    """
    card, task = model.card, model.card.task
    test = read_set(work, card, "test")
    held = count(test[task.target], task, settings)
    everything = unseen_predictions(work, card)
    of_all = count(everything[0], task, settings)
    short = [what for what, enough in ENOUGH[task.name].items() if held[what] < enough]
    if not any(of_all[what] > held[what] for what in short):
        heading = f"test set, never seen in training; {card.cut}"
        return Judged(test[task.target].to_numpy(), model.predict(test), "test set", card.cut, heading)
    how = kept_out(read_set(work, card, "used"), task)
    heading = f"test set: too few to judge ({_listed(held)}; needed: {_listed(ENOUGH[task.name])}); shown instead:"
    return Judged(*everything, "all labels", how, f"{heading}\n  all labels, {how}")


def few_labels(labels: ArrayLike, task: Task, settings: Settings) -> list[str]:
    """A warning of few labels, as lines to print: how many there are, how many it takes; none where there are enough.

    Parameters
    ----------
    labels : array_like of shape (n_pairs,)
        Whether a pair is a double well, or splittings in ε.
    task : Task
        What is learnt from them.
    settings : Settings
        ``test_fraction`` and ``tls_threshold``.
    """
    there = count(labels, task, settings)
    needed = {what: ceil(enough / settings.test_fraction) for what, enough in ENOUGH[task.name].items()}
    short = {what: number for what, number in there.items() if number < needed[what]}
    if not short:
        return []
    rough = [
        f"a part of the {what} is known to ±{0.5 / number**0.5:.2f}" if number else f"no {what} to learn from"
        for what, number in short.items()
    ]
    return [
        f"  warning: few labels ({_listed(there)}); a test set to judge on takes {_listed(needed)}.",
        f"  Until then figures and chances are rough: {'; '.join(rough)}.",
    ]


def count(labels: ArrayLike, task: Task, settings: Settings) -> dict[str, int]:
    """How many there are of what a test set must hold, with the keys of ``ENOUGH``."""
    values = np.asarray(labels)
    if task == CLASSIFIER:
        double_wells = int(values.sum())
        return {"double wells": double_wells, "non-DW pairs": len(values) - double_wells}
    return {"double wells": len(values), "TLS": int((values < settings.tls_threshold).sum())}


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{what}: {number}" for what, number in numbers.items())
