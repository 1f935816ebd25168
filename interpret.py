"""Say why the models say what they say: the effect of each feature on their predictions (SHAP values).

Reads    MLmodel/dw-classification-T{digits}/, MLmodel/qs-regression-T{digits}/ and their sets
         Configurations/pairs/T{T}/, with --pair
Writes   output_ML/T{T}/shap-classifier.png, shap-predictor.png: over pairs of the test sets
         output_ML/T{T}/shap-pair-classifier.png, shap-pair-predictor.png: with --pair instead, of that pair

Each picture comes in the formats of ``figures`` in config.yaml, with its numbers as CSV beside it. What is explained is
the probability of a double well, and log10 of the splitting.

Example  python interpret.py --pair 20 0.2556831712 0.2556856849 --workspace example-run
"""

import argparse

from pipeline.command import Command, check_command_line, run_script
from pipeline.workspace import StatePoint


def options(parser: argparse.ArgumentParser) -> None:
    """Add the option of this script."""
    names = ("CONF", "I", "J")
    parser.add_argument("--pair", nargs=3, metavar=names, help="this pair of the pair tables instead of the test sets")


if __name__ == "__main__":
    check_command_line(__doc__, options)

from pathlib import Path

import pandas as pd

from MLmodel.card import Card, check_features, find_card
from MLmodel.model import Model, read_set
from pipeline.errors import UserError
from pipeline.formats.keys import Pair
from pipeline.formats.pair_tables import find_pair
from pipeline.formats.table_record import usable_tables
from pipeline.messages import note, result
from pipeline.workspace import CLASSIFIER, PREDICTOR, Task
from reporting.effects import draw_effects, evenly_spread, explain, mean_effects, predicted_quantity

EXPLAINED = 200
"""Largest number of pairs of a test set that are explained, evenly spread over the order of their predictions."""

TASKS = (CLASSIFIER, PREDICTOR)


def main(command: Command) -> None:
    """Explain the models of every temperature that has one."""
    work, pair = command.workspace, command.options.pair and asked_pair(command.options.pair)
    temperatures = command.temperatures(
        lambda at: any(at.card(task).exists() for task in TASKS),
        "no model under MLmodel; run step1_train_dw.py or step3_train_qs.py",
    )
    if pair and len(temperatures) > 1:
        raise UserError(
            f"{work.root}: models at T = {', '.join(temperatures)}; say with -T which shall explain the pair"
        )
    command.for_each_temperature(temperatures, lambda at: interpret(command, at, pair))


def asked_pair(given: list[str]) -> Pair:
    """The pair named on the command line."""
    try:
        pair = Pair(int(given[0]), float(given[1]), float(given[2]))
    except ValueError:
        pair = None
    if pair is None or not all(abs(number) < 2**63 for number in pair):  # NaN is not below either
        raise UserError(f"--pair {' '.join(given)}: give the number of the glass, i and j as in the lists of pairs")
    return pair


def interpret(command: Command, at: StatePoint, pair: Pair | None) -> None:
    """Explain what models there are at one temperature; what must be fixed for one does not keep the other waiting."""
    if pair:
        usable_tables(at, command.settings.unit)
    found = pair and find_pair(at, pair)
    if pair and not found:
        raise UserError(f"{at.pairs}: no pair {pair} in the tables; give i and j as in {at.classified}")
    errors = []
    for task in TASKS:
        if not at.card(task).exists():
            note(f"T = {at.temperature}: no {task.name} yet, left out; run {task.script}")
            continue
        try:
            card = find_card(at, task, command.settings.unit)
            if found:
                explain_pair(command, at, card, *found)
            else:
                explain_test_set(command, at, card)
        except UserError as error:
            errors.append(str(error))
    if not any(at.card(task).exists() for task in TASKS):
        errors.append(f"{at.model(CLASSIFIER)}: no model yet; run {CLASSIFIER.script}")
    if errors:
        raise UserError("; ".join(errors))


def explain_test_set(command: Command, at: StatePoint, card: Card) -> None:
    """Print how strong each feature is over the test set, and draw its effects."""
    model = Model(at, card)
    train, test = (read_set(at, card, subset) for subset in ("train", "test"))
    pairs = evenly_spread(test, predicted_quantity(model, test), EXPLAINED)
    explained = explain(model, train, pairs)
    effects = mean_effects(explained)
    result(f"T = {card.temperature}: {card.task.name}, {len(pairs)} of {len(test)} pairs of the test set")
    quantity = quantity_of(command, card.task)
    result(f"  mean |effect| of each feature on the {quantity}")
    result("\n".join(f"    {name:34s} {effect:10.4f}" for name, effect in effects.items()))
    title = f"T = {card.temperature}, {card.task.name}: {len(pairs)} of {len(test)} pairs of the test set"
    picture = draw_effects(explained, quantity, title)
    picture.save(at.shap(card.task), command.settings.figures)


def explain_pair(command: Command, at: StatePoint, card: Card, table: Path, row: pd.DataFrame) -> None:
    """Print and draw what each feature of one pair does."""
    task = card.task
    check_features(card, list(row), table)
    explained = explain(Model(at, card), read_set(at, card, "train"), row)
    base, prediction = explained[["base_value", "prediction"]].iloc[0]
    pair = Pair(int(row["conf"].iloc[0]), row["i"].iloc[0], row["j"].iloc[0])
    result(f"T = {card.temperature}: {task.name}, {pair}")
    quantity = quantity_of(command, task)
    result(f"  {quantity}: {prediction:.4f} = {base:.4f}, the mean of training pairs, + the effects")
    result(f"    {'feature':24s} {'value':>12s} {'effect':>10s}")
    rows = explained.sort_values("shap", key=abs, ascending=False)
    for name, value, effect in zip(rows["feature"], rows["value"], rows["shap"], strict=True):
        result(f"    {name:24s} {value:12.5g} {effect:+10.4f}")
    result(f"  {in_words(command, task, prediction)}")
    picture = draw_effects(explained, quantity, f"T = {card.temperature}, {task.name}\n{pair}")
    picture.save(at.shap(task, "pair-"), command.settings.figures)


def quantity_of(command: Command, task: Task) -> str:
    """What a model predicts."""
    unit = command.settings.unit.energy
    return "probability of a double well" if task == CLASSIFIER else f"log10 of the splitting in {unit}"


def in_words(command: Command, task: Task, prediction: float) -> str:
    """What a prediction means for the pair."""
    least, threshold = command.settings.classify.min_probability, command.settings.tls_threshold
    if task == CLASSIFIER:
        return f"a double well with a chance of {prediction:.3f}; step 2 keeps pairs from {least:g} on"
    unit = command.settings.unit.energy
    return f"a splitting of {10**prediction:.3g} {unit} if it is a double well; a TLS is below {threshold:g} {unit}"


if __name__ == "__main__":
    run_script(main, __doc__, options)
