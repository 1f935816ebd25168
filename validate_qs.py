"""Judge the predictor of splittings, and show how much faster it finds TLS.

Reads    MLmodel/qs-regression-T{digits}/ and its sets
Writes   output_ML/qs-true_vs_AI_trainingset.png, output_ML/qs-true_vs_AI_testset.png, a panel per temperature
         output_ML/T{T}/splitting_cdf_T{T}.png, output_ML/T{T}/TLS-search-efficiency.png, from the test set

Each picture comes in the formats of ``figures`` in config.yaml, with its numbers as CSV beside it.
"""

from pathlib import Path

from MLmodel.card import Card
from MLmodel.metrics import Array, format_metrics, predictor_metrics
from MLmodel.model import Model, cards_to_judge, read_set, trained_temperatures
from MLmodel.plots import search_efficiency, splitting_cdf, true_against_predicted
from pipeline.command import Command, run_script
from pipeline.task import PREDICTOR, QS


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
    for subset, name in (("train", "trainingset"), ("test", "testset")):
        picture = true_against_predicted(panels[subset], threshold, f"{subset} set")
        written += picture.save(work.true_against_predicted(name), formats)
    return written


def text(card: Card, panels: dict[str, dict[str, tuple[Array, Array]]], threshold: float) -> str:
    """The metrics of one predictor."""
    lines = [f"T = {card.temperature}: predictor of splittings, trained {card.trained}"]
    for subset, name in (("train", "training set"), ("test", f"test set, never seen in training; {card.cut}")):
        lines += [f"  {name}", format_metrics(predictor_metrics(*panels[subset][card.temperature], threshold))]
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main, __doc__)
