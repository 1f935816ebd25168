"""The report on the models: how good they are on glasses kept out, and on their test sets."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from MLmodel.card import Card, read_card
from MLmodel.metrics import Array, chance_metrics, classifier_metrics, metric_texts, predictor_metrics
from MLmodel.model import read_set, unseen_predictions
from MLmodel.out_of_fold import kept_out
from pipeline.command import Command
from pipeline.errors import UserError
from pipeline.files import file_digest
from pipeline.formats.csv_files import read_own_csv
from pipeline.settings import Settings
from pipeline.workspace import CLASSIFIER, PREDICTOR, QS, StatePoint, Task, Workspace
from reporting.plots import Panel, draw_reliability, search_efficiency, splitting_cdf, true_against_predicted
from reporting.report_page import Block, Code, Figures, Missing, More, Table, Text

NAMES = {CLASSIFIER: "Classifier of double wells", PREDICTOR: "Predictor of the splitting"}


def can_models_be_believed(command: Command, at: StatePoint, figures: Figures) -> list[Block]:
    """Figures of both models on glasses they did not see, and the validators' pictures."""
    blocks: list[Block] = []
    for task in (CLASSIFIER, PREDICTOR):
        blocks += _on_glasses_kept_out(command, at, task)
    blocks += _of_classifier(command, at, figures)
    return blocks + _of_predictor(command, at, figures)


def _on_glasses_kept_out(command: Command, at: StatePoint, task: Task) -> list[Block]:
    work, threshold = command.workspace, command.settings.tls_threshold
    card = read_card(at, task)
    if card is None:
        return [Missing(f"{NAMES[task]}: no model yet; {task.script} trains it.")]
    try:
        exact, predicted = unseen_predictions(work, card)
        how = kept_out(read_set(work, card, "used"), task)
    except UserError as error:  # of another training: the other sections can still be written
        return [Missing(f"{NAMES[task]}: {error}.")]
    if task == CLASSIFIER:
        metrics = classifier_metrics(exact, predicted) | chance_metrics(predicted, exact, "double wells")
    else:
        metrics = predictor_metrics(exact, predicted, threshold)
    title = f"{NAMES[task]}, what to expect of a new glass: {how}"
    rows = [[what, value] for what, value in metric_texts(metrics).items()]
    return [Table(title, ["", "value"], rows)]


def _of_classifier(command: Command, at: StatePoint, figures: Figures) -> list[Block]:
    work = command.workspace
    path, card = work.classifier_performance, read_card(at, CLASSIFIER)
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    found = [part for part in re.split(r"(?m)^(?=T = )", text) if part.startswith(f"T = {at.temperature}:")]
    blocks: list[Block] = []
    if not found:
        blocks.append(Missing("Training and test set of the classifier: validate_dw.py judges on them."))
    else:
        if card is not None and card.trained not in found[0]:
            blocks.append(Missing("The classifier was trained again since validate_dw.py judged it: run that."))
        said = f"Classifier: training set beside test set ({path.name})"
        blocks.append(More(said, [Code(found[0].rstrip()), Text(f"File: {path.name}")]))
    return blocks + _reliability(command, at, figures, "dw", "double well")


def _reliability(command: Command, at: StatePoint, figures: Figures, name: str, what: str) -> list[Block]:
    picture = at.reliability(name)
    path = picture.with_suffix(".csv")
    if not path.exists():
        script = "validate_dw.py" if name == "dw" else "validate_qs.py"
        return [Missing(f"Whether chances of a {what} are true: {script} draws it.")]
    columns = ["pairs", "predicted", "found", "found_low", "found_high"]
    numbers = read_own_csv(path, columns, columns)
    title = f"Are the chances of a {what} true? Points on the line are as predicted."
    drawn = draw_reliability(numbers, what, f"T = {at.temperature}")
    return [figures.figure(drawn, f"T{at.temperature}-reliability-{name}", title, path, picture)]


class _Shown(NamedTuple):
    """The pairs in the validator's pictures."""

    exact: Array
    predicted: Array
    name: str
    how: str

    def title(self, temperature: str) -> str:
        """For a picture."""
        return f"T = {temperature}, {self.name or 'earlier model'}: {self.how}".rstrip(": ")


def _of_predictor(command: Command, at: StatePoint, figures: Figures) -> list[Block]:
    work, settings = command.workspace, command.settings
    picture = work.true_against_predicted("testset")
    shown = _shown(command, at)
    if shown is None:
        return [Missing("Predicted against exact splittings, on pairs never seen: validate_qs.py draws them.")]
    blocks = _reliability(command, at, figures, "tls", "TLS")
    if not shown.name:
        blocks.insert(0, Missing("The predictor was trained again since validate_qs.py judged it: run that."))
    limit = settings.tls_threshold
    panel = Panel(shown.exact, shown.predicted, f"{shown.name or 'earlier model'},\n{shown.how}".rstrip(",\n"))
    for drawn, name, said, file in (
        (
            true_against_predicted({at.temperature: panel}, limit, settings.unit),
            "true-against-predicted",
            "Predicted against exact splittings; points on the line are as predicted.",
            picture,
        ),
        (
            splitting_cdf(shown.exact, shown.predicted, limit, shown.title(at.temperature), settings.unit),
            "cdf",
            "Cumulative distributions of exact and predicted splittings; they should lie on each other.",
            at.splitting_cdf,
        ),
    ):
        blocks.append(figures.figure(drawn, f"T{at.temperature}-{name}", said, file.with_suffix(".csv"), file))
    return blocks


def search_figure(command: Command, at: StatePoint, figures: Figures) -> Block:
    """How much faster TLS are found in the order of the prediction, on pairs never seen."""
    picture = at.search_efficiency
    shown = _shown(command, at)
    if shown is None:
        return Missing("TLS found against NEBs run, on pairs never seen: validate_qs.py draws it.")
    limit, title = command.settings.tls_threshold, shown.title(at.temperature)
    drawn = search_efficiency(shown.exact, shown.predicted, limit, title, command.settings.unit)
    said = "TLS found against NEBs run in the order of the prediction, between chance and the ideal."
    return figures.figure(drawn, f"T{at.temperature}-search", said, picture.with_suffix(".csv"), picture)


def _shown(command: Command, at: StatePoint) -> _Shown | None:
    """What the validator's pictures show of a temperature, and which pairs these are; None where none are."""
    work = command.workspace
    path = work.true_against_predicted("testset").with_suffix(".csv")
    if not path.exists():
        return None
    table = read_own_csv(path, ["temperature"], ["temperature"])
    values = [name for name in table if re.match("(exact|predicted)_", name)]  # the unit stands behind
    table = read_own_csv(path, ["temperature", *values], values)
    rows = table[table["temperature"].astype(float) == float(at.temperature)]
    if rows.empty or len(values) != 2:
        return None
    exact, predicted = rows[values].to_numpy(float).T
    card = read_card(at, PREDICTOR)
    name, how = _which_pairs(work, card, exact, command.settings) if card else ("", "")
    return _Shown(exact, predicted, name, how)


def _which_pairs(work: Workspace, card: Card, exact: Array, settings: Settings) -> tuple[str, str]:
    """Whether these are the splittings of a model's test set or of all its labels, and how they were kept out."""
    for subset, name in (("test", "test set"), ("used", "all labels")):
        path = work.at(card.temperature).model_set(card.task, subset)
        if path.exists() and file_digest(path) == card.sets.get(subset):  # else damaged, or of another training
            pairs = pd.read_feather(path)
            if np.array_equal(pairs[QS].to_numpy(), exact):
                return name, card.cut if subset == "test" else kept_out(pairs, card.task)
    return "", ""
