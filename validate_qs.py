"""Judge the predictor of splittings, and show how much faster it finds TLS.

Reads    MLmodel/qs-regression-T{label}/ and its sets
Writes   output_ML/qs-true_vs_AI_trainingset.png, output_ML/qs-true_vs_AI_testset.png, a panel per temperature
         output_ML/T{T}/splitting_cdf_T{T}.png, output_ML/T{T}/TLS-search-efficiency.png, from the test set
"""

from MLmodel.card import Card
from MLmodel.metrics import Array, splitting_figures, table
from MLmodel.model import Model, cards_to_judge, read_set, trained_temperatures
from MLmodel.plots import search_efficiency, splitting_cdf, true_against_predicted
from pipeline.command import Command, run_script
from pipeline.task import PREDICTOR, QS


def main(command: Command) -> None:
    """Draw the pictures and print the figures of every predictor there is."""
    work, threshold = command.workspace, command.settings.tls_threshold
    trained = trained_temperatures(work, PREDICTOR)
    asked = command.temperatures(trained.__contains__, "no predictor under MLmodel; run step3_train_qs.py")
    panels: dict[str, dict[str, tuple[Array, Array]]] = {"train": {}, "test": {}}
    for card in cards_to_judge(work, PREDICTOR, asked):
        temperature = card.temperature
        model = Model(work, card)
        for which, by_temperature in panels.items():
            pairs = read_set(work, card, which)
            by_temperature[temperature] = pairs[QS].to_numpy(), model.predict(pairs)
        if temperature in asked:
            print(text(card, panels, threshold))
            title = f"T = {temperature}, test set: {card.cut}"
            splitting_cdf(work.splitting_cdf(temperature), *panels["test"][temperature], threshold, title)
            search_efficiency(work.search_efficiency(temperature), *panels["test"][temperature], threshold, title)
            print(f"pictures: {work.splitting_cdf(temperature)}\n          {work.search_efficiency(temperature)}")
    for which, name in (("train", "trainingset"), ("test", "testset")):
        true_against_predicted(work.true_against_predicted(name), panels[which], threshold, f"{which} set")
        print(f"          {work.true_against_predicted(name)}")


def text(card: Card, panels: dict[str, dict[str, tuple[Array, Array]]], threshold: float) -> str:
    """The figures of one predictor."""
    lines = [f"T = {card.temperature}: predictor of splittings, trained {card.trained}"]
    for which, name in (("train", "training set"), ("test", f"test set, never seen in training; {card.cut}")):
        figures = splitting_figures(*panels[which][card.temperature], threshold)
        lines += [f"  {name}", table(figures)]
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main, __doc__)
