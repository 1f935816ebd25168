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

from contextlib import suppress

import pandas as pd

from MLmodel.card import check_features, find_card
from MLmodel.labels import rows_of
from MLmodel.model import Model, read_set
from pipeline.command import for_each
from pipeline.errors import UserError
from pipeline.formats.keys import Pair, pair_index
from pipeline.messages import note, result
from pipeline.settings import Settings
from pipeline.stamps import usable_tables
from pipeline.workspace import CLASSIFIER, PREDICTOR, Task
from reporting.effects import draw_effects, explain, mean_effects

TASKS = (CLASSIFIER, PREDICTOR)


def main(command: Command) -> None:
    """Explain the models of every temperature that has one."""
    work, pair = command.workspace, None
    if given := command.options.pair:
        with suppress(ValueError):
            pair = Pair(int(given[0]), float(given[1]), float(given[2]))
        if pair is None or not all(abs(number) < 2**63 for number in pair):  # NaN is not below either
            raise UserError(f"--pair {' '.join(given)}: give the number of the glass, i and j as in the lists of pairs")
    temperatures = command.temperatures(
        lambda at: any(at.card(task).exists() for task in TASKS),
        "no model under MLmodel; run step1_train_dw.py or step3_train_qs.py",
    )
    if pair and len(temperatures) > 1:
        raise UserError(f"{work.root}: models at T = {', '.join(temperatures)}; choose one with -T")
    command.for_each_temperature(temperatures, lambda at: interpret(command, at, pair))


def interpret(command: Command, at: StatePoint, asked: Pair | None) -> None:
    """Explain what models there are at one temperature; what must be fixed for one does not keep the other waiting."""
    settings, row = command.settings, None
    if asked:
        usable_tables(at, settings.unit)
        row = rows_of(at.pair_tables, pair_index(pd.DataFrame([asked]), at.decimals), at.decimals)
        if row.empty:
            raise UserError(f"{at.pairs}: no pair {asked.text(at.decimals)} there; give i and j as in {at.classified}")
    there = [task for task in TASKS if at.card(task).exists()]
    for task in TASKS:
        if task not in there:
            note(f"T = {at.temperature}: no {task.name} yet, left out; run {task.script}")
    for_each(there or TASKS[:1], lambda task: explain_model(at, settings, row, task))


def explain_model(at: StatePoint, settings: Settings, row: pd.DataFrame | None, task: Task) -> None:
    """Print and draw the effects of features on one model's predictions: for one pair, or over the test set."""
    card, unit = find_card(at, task, settings.unit), settings.unit.energy
    model, train = Model(at, card), read_set(at, card, "train")
    quantity = "probability of a double well" if task == CLASSIFIER else f"log10 of the splitting in {unit}"
    if row is None:
        test = read_set(at, card, "test")
        explained, path = explain(model, train, test), at.shap(task, "")
        what = f"{len(explained) // len(card.features)} of {len(test)} pairs of the test set"
        lines = [f"  mean |effect| of each feature on the {quantity}"]
        lines += [f"    {name:34s} {effect:10.4f}" for name, effect in mean_effects(explained).items()]
    else:
        check_features(card, list(row), at.pairs)
        explained, path = explain(model, train, row), at.shap(task, "pair-")
        what = Pair(int(row["conf"].iloc[0]), row["i"].iloc[0], row["j"].iloc[0]).text(at.decimals)
        base, prediction = explained[["base_value", "prediction"]].iloc[0]
        lines = [f"  {quantity}: {prediction:.4f} = {base:.4f}, the mean of training pairs, + the effects"]
        lines.append(f"    {'feature':24s} {'value':>12s} {'effect':>10s}")
        columns = explained.sort_values("shap", key=abs, ascending=False)[["feature", "value", "shap"]]
        lines += [f"    {name:24s} {value:12.5g} {effect:+10.4f}" for name, value, effect in columns.to_numpy()]
        if task == CLASSIFIER:
            least = settings.classify.min_probability
            lines.append(f"  a double well with a chance of {prediction:.3f}; step 2 keeps pairs from {least:g} on")
        else:
            said = f"a TLS is below {settings.tls_threshold:g} {unit}"
            lines.append(f"  a splitting of {10**prediction:.3g} {unit} if it is a double well; {said}")
    result("\n".join([f"T = {at.temperature}: {task.name}, {what}", *lines]))
    draw_effects(explained, quantity, f"T = {at.temperature}, {task.name}\n{what}").save(path, settings.figures)


if __name__ == "__main__":
    run_script(main, __doc__, options)
