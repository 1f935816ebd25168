"""Using a trained model: whether it fits the tables, and its predictions."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from MLmodel.card import Card, installed_versions, read_card, sets_fit
from MLmodel.learner import Trained
from MLmodel.metrics import Array
from MLmodel.model_files import check_digests
from MLmodel.tables import OUT_OF_FOLD
from pipeline.errors import UserError
from pipeline.task import Task
from pipeline.units import Units, check_same_units
from pipeline.workspace import Workspace


def find_card(workspace: Workspace, task: Task, temperature: str, units: Units) -> Card:
    """The card of a model that can be used here, on pairs in these units.

    Raises
    ------
    UserError
        If there is no model, or it was trained in other units, or with versions other than those installed.
    """
    folder, remedy = workspace.model(task, temperature), f"run {task.script}"
    card = read_card(workspace, task, temperature)
    if card is None:
        raise UserError(f"{folder}: no model yet; {remedy}")
    if card.temperature != temperature:
        raise UserError(f"{folder}: was trained at T = {card.temperature}, not {temperature}; {remedy}")
    check_same_units(folder, card.units, units, remedy)
    files = workspace.autogluon(task, temperature, card.autogluon)
    if not files.is_dir():
        raise UserError(f"{files}: the model's files are missing; {remedy}")
    for name, installed in installed_versions().items():
        if card.versions.get(name) != installed:
            raise UserError(
                f"{folder}: trained with {name} {card.versions.get(name)}, but {installed} is installed; {remedy}"
            )
    return card


def check_features(card: Card, columns: Sequence[str], path: Path) -> None:
    """Raise UserError unless a table with these columns has all that a model needs."""
    missing = [name for name in card.features if name not in columns]
    if missing:
        raise UserError(
            f"{path}: lacks {', '.join(missing)}, which the model of T = {card.temperature} was trained on; "
            f"add the column, or run {card.task.script} to train on what the tables have"
        )


def trained_temperatures(workspace: Workspace, task: Task) -> list[str]:
    """Temperatures for which there is a model."""
    return [one for one in workspace.temperatures() if workspace.card(task, one).exists()]


def cards_to_judge(workspace: Workspace, task: Task, asked: Sequence[str], units: Units) -> Iterator[Card]:
    """Cards of all models that can be used: files about all temperatures stay whole when one temperature is asked for.

    Raises
    ------
    UserError
        If one that was asked for can't be used.
    """
    for temperature in dict.fromkeys([*trained_temperatures(workspace, task), *asked]):
        try:
            yield find_card(workspace, task, temperature, units)
        except UserError as error:
            if temperature in asked:
                raise
            print(f"T = {temperature}: left out: {error}")


def read_set(workspace: Workspace, card: Card, subset: str) -> pd.DataFrame:
    """The set of pairs a model was trained (``train``) or tested (``test``) on.

    Raises
    ------
    UserError
        If the sets on disk are of another training.
    """
    path = workspace.model_set(card.task, card.temperature, subset)
    if not sets_fit(workspace, card):
        raise UserError(f"{path}: missing, or not of the training that made the model; run {card.task.script}")
    return pd.read_feather(path)


def unseen_predictions(workspace: Workspace, card: Card) -> tuple[Array, Array]:
    """What is known of the pairs a model was made from, and what was predicted for them without their glass.

    Returns
    -------
    exact, predicted : ndarray of shape (n_pairs,)
        Splittings, or whether a pair is a double well and the probability of it.

    Raises
    ------
    UserError
        If the sets on disk are of another training, or of a version that made no such predictions.
    """
    used = read_set(workspace, card, "used")
    if OUT_OF_FOLD not in used:
        path = workspace.model_set(card.task, card.temperature, "used")
        raise UserError(f"{path}: no column {OUT_OF_FOLD}: of an earlier version; run {card.task.script}")
    return used[card.task.target].to_numpy(), used[OUT_OF_FOLD].to_numpy()


class Model:
    """A trained model in memory.

    Parameters
    ----------
    workspace : Workspace
        Where it is.
    card : Card
        Which it is, from :func:`find_card`.

    Raises
    ------
    UserError
        If its files are not those of its training.
    """

    def __init__(self, workspace: Workspace, card: Card) -> None:
        folder = workspace.autogluon(card.task, card.temperature, card.autogluon)
        check_digests(folder, card.files, f"remove {folder.parent} and run {card.task.script}")
        self.card = card
        self._trained = Trained(str(folder), card.task)

    def predict(self, pairs: pd.DataFrame) -> NDArray[np.float64]:
        """Probability of a double well, or quantum splitting.

        Parameters
        ----------
        pairs : DataFrame of shape (n_pairs, n_columns)
            Has the columns ``card.features``.

        Returns
        -------
        ndarray of shape (n_pairs,)
        """
        if pairs.empty:
            return np.empty(0)
        return self._trained.predict(pairs[self.card.features].astype(np.float64))
