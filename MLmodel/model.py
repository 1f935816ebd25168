"""Using a trained model: whether it fits the tables, and its predictions."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from MLmodel.card import Card, find_card, sets_fit, trained_temperatures
from MLmodel.learner import Trained
from MLmodel.metrics import Array
from MLmodel.model_files import check_digests
from pipeline.errors import UserError
from pipeline.formats.pair_tables import OUT_OF_FOLD
from pipeline.units import Units
from pipeline.workspace import Task, Workspace


def cards_to_judge(workspace: Workspace, task: Task, asked: Sequence[str], units: Units) -> Iterator[Card]:
    """Cards of all models that can be used: files about all temperatures stay whole when one temperature is asked for.

    Raises
    ------
    UserError
        If one that was asked for can't be used.
    """
    for temperature in dict.fromkeys([*trained_temperatures(workspace, task), *asked]):
        try:
            yield find_card(workspace.at(temperature), task, units)
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
    path = workspace.at(card.temperature).model_set(card.task, subset)
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
        path = workspace.at(card.temperature).model_set(card.task, "used")
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
        folder = workspace.at(card.temperature).autogluon(card.task, card.autogluon)
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
