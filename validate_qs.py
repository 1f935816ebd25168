"""Judge the predictor of splittings, and show how much faster it finds TLS.

Reads    MLmodel/qs-regression-T{digits}/ and its sets
Writes   output_ML/qs-true_vs_AI_trainingset.png, output_ML/qs-true_vs_AI_testset.png, a panel per temperature
         output_ML/T{T}/splitting_cdf_T{T}.png, output_ML/T{T}/TLS-search-efficiency.png, from the test set
         output_ML/T{T}/reliability-tls.png: whether the chances to be a TLS are true, on glasses kept out

Where the test set holds too few pairs to judge, all labels are shown instead, predicted without their glass.
Each picture comes in the formats of ``figures`` in config.yaml, with its numbers as CSV beside it.
"""

from pipeline.command import Command, check_command_line, run_script

if __name__ == "__main__":
    check_command_line(__doc__)

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from MLmodel.card import Card
from MLmodel.chances import tls_chances
from MLmodel.judging import few_labels, judge_on
from MLmodel.metrics import Array, chance_metrics, format_metrics, predictor_metrics
from MLmodel.model import Model, cards_to_judge, read_set, unseen_predictions
from MLmodel.out_of_fold import kept_out
from pipeline.stamps import made_from, mark_made
from pipeline.workspace import PREDICTOR, QS, Workspace
from reporting.predictions import (
    Panel,
    draw_reliability,
    draw_search_efficiency,
    draw_splitting_cdf,
    draw_true_against_predicted,
)


def main(command: Command) -> None:
    """Draw the pictures and print the metrics of every predictor there is."""
    asked = command.temperatures(
        lambda at: at.card(PREDICTOR).exists(), "no predictor under MLmodel; run step3_train_qs.py"
    )
    with command.only_writer():
        written = judge(command, asked)
    print("pictures: " + "\n          ".join(map(str, written)))


def judge(command: Command, asked: list[str]) -> list[Path]:
    """Print the metrics of the temperatures asked for, and draw all pictures; the files written."""
    work, settings = command.workspace, command.settings
    threshold, formats = settings.tls_threshold, settings.figures
    panels: dict[str, dict[str, Panel]] = {"trainingset": {}, "testset": {}}
    written, judgements = [], dict[str, str]()
    for card in cards_to_judge(work, PREDICTOR, asked, settings.unit):
        temperature, model = card.temperature, Model(work, card)
        judgements[temperature] = card.trained
        trained, judged = read_set(work, card, "train"), judge_on(work, model, settings)
        known = Panel(trained[QS].to_numpy(), model.predict(trained), "train set")
        panels["trainingset"][temperature] = known
        name = judged.name if judged.name == "test set" else f"{judged.name},\n{judged.how}"
        panels["testset"][temperature] = Panel(judged.exact, judged.predicted, name)
        if temperature in asked:
            print(f"T = {temperature}: predictor of splittings, trained {card.trained}, units: {card.units}")
            for heading, panel in (("training set", known), (judged.heading, judged)):
                print(f"  {heading}")
                print(format_metrics(predictor_metrics(panel.exact, panel.predicted, threshold)))
            for draw, path in (
                (draw_splitting_cdf, work.at(temperature).splitting_cdf),
                (draw_search_efficiency, work.at(temperature).search_efficiency),
            ):
                title = f"T = {temperature}, {judged.name}: {judged.how}"
                written += draw(judged.exact, judged.predicted, threshold, title, settings.unit).save(path, formats)
            used = read_set(work, card, "used")
            how, (chance, is_tls) = kept_out(used, PREDICTOR), unseen_chances(work, card, threshold)
            print(f"  {how}; double wells only")
            print(format_metrics(chance_metrics(chance, is_tls, "TLS")))
            for line in few_labels(used[QS], PREDICTOR, settings):
                print(line)
            picture = draw_reliability(chance, is_tls, "TLS", f"T = {temperature}: double wells,\n{how}")
            written += picture.save(work.at(temperature).reliability("tls"), formats)
    for name, by_temperature in panels.items():
        picture = draw_true_against_predicted(by_temperature, threshold, settings.unit)
        written += picture.save(work.true_against_predicted(name), formats)
    mark_made([work.true_against_predicted("testset").with_suffix(".csv")], made_from([], trained=judgements))
    return written


def unseen_chances(work: Workspace, card: Card, threshold: float) -> tuple[Array, NDArray[np.bool_]]:
    """Chance of each labelled double well to be a TLS, told from its out-of-fold prediction, and whether it is one."""
    exact, predicted = unseen_predictions(work, card)
    return tls_chances(exact, predicted, threshold)(predicted), exact < threshold


if __name__ == "__main__":
    run_script(main, __doc__)
