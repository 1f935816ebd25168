"""Judge the predictor of splittings, and show how much faster it finds TLS.

Reads    MLmodel/qs-regression-T{digits}/ and its sets
Writes   output_ML/qs-true_vs_AI_trainingset.png, output_ML/qs-true_vs_AI_testset.png, a panel per temperature
         output_ML/T{T}/splitting_cdf_T{T}.png, output_ML/T{T}/TLS-search-efficiency.png, from the test set
         output_ML/T{T}/reliability-tls.png: whether the chances to be a TLS are true, on glasses kept out

Each picture comes in the formats of ``figures`` in config.yaml, with its numbers as CSV beside it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from MLmodel.card import Card
from MLmodel.chances import tls_chances
from MLmodel.metrics import Array, chance_metrics, format_metrics, predictor_metrics
from MLmodel.model import Model, cards_to_judge, read_set, trained_temperatures, unseen_predictions
from MLmodel.out_of_fold import UNSEEN
from MLmodel.plots import reliability, search_efficiency, splitting_cdf, true_against_predicted
from pipeline.command import Command, run_script
from pipeline.task import PREDICTOR, QS
from pipeline.workspace import Workspace


def main(command: Command) -> None:
    """Draw the pictures and print the metrics of every predictor there is."""
    trained = trained_temperatures(command.workspace, PREDICTOR)
    asked = command.temperatures(trained.__contains__, "no predictor under MLmodel; run step3_train_qs.py")
    with command.only_writer():
        written = judge(command, asked)
    print("pictures: " + "\n          ".join(map(str, written)))


def judge(command: Command, asked: list[str]) -> list[Path]:
    """Print the metrics of the temperatures asked for, and draw all pictures; the files written."""
    work, threshold, formats = command.workspace, command.settings.tls_threshold, command.settings.figures
    panels: dict[str, dict[str, tuple[Array, Array]]] = {"train": {}, "test": {}}
    written = []
    for card in cards_to_judge(work, PREDICTOR, asked):
        temperature = card.temperature
        model = Model(work, card)
        for subset, by_temperature in panels.items():
            pairs = read_set(work, card, subset)
            by_temperature[temperature] = pairs[QS].to_numpy(), model.predict(pairs)
        if temperature in asked:
            print(text(card, panels, threshold))
            title = f"T = {temperature}, test set: {card.cut}"
            exact, predicted = panels["test"][temperature]
            for draw, path in (
                (splitting_cdf, work.splitting_cdf(temperature)),
                (search_efficiency, work.search_efficiency(temperature)),
            ):
                written += draw(exact, predicted, threshold, title).save(path, formats)
            chance, is_tls = unseen_chances(work, card, threshold)
            print(f"  {UNSEEN}; double wells only")
            print(format_metrics(chance_metrics(chance, is_tls, "TLS")))
            picture = reliability(chance, is_tls, "TLS", f"T = {temperature}: double wells,\n{UNSEEN}")
            written += picture.save(work.reliability(temperature, "tls"), formats)
    for subset, name in (("train", "trainingset"), ("test", "testset")):
        picture = true_against_predicted(panels[subset], threshold, f"{subset} set")
        written += picture.save(work.true_against_predicted(name), formats)
    return written


def unseen_chances(work: Workspace, card: Card, threshold: float) -> tuple[Array, NDArray[np.bool_]]:
    """Chance of each labelled double well to be a TLS, told from its out-of-fold prediction, and whether it is one."""
    exact, predicted = unseen_predictions(work, card)
    return tls_chances(exact, predicted, threshold)(predicted), exact < threshold


def text(card: Card, panels: dict[str, dict[str, tuple[Array, Array]]], threshold: float) -> str:
    """The metrics of one predictor."""
    lines = [f"T = {card.temperature}: predictor of splittings, trained {card.trained}"]
    for subset, name in (("train", "training set"), ("test", f"test set, never seen in training; {card.cut}")):
        lines += [f"  {name}", format_metrics(predictor_metrics(*panels[subset][card.temperature], threshold))]
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main, __doc__)
