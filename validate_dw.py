"""Judge the classifier on the pairs it was trained on and on those it never saw.

Reads    MLmodel/dw-classification-T{digits}/ and its sets
Writes   output_ML/dw_classifier_performances.txt, a section per temperature
         output_ML/T{T}/reliability-dw.png: whether the probabilities of a double well are true, on the test set
"""

from pathlib import Path

from MLmodel.card import Card
from MLmodel.metrics import chance_metrics, classifier_metrics, format_metrics
from MLmodel.model import Model, cards_to_judge, read_set, trained_temperatures
from MLmodel.plots import reliability
from pipeline.command import Command, run_script
from pipeline.files import write_text
from pipeline.task import CLASSIFIER, DW


def main(command: Command) -> None:
    """Write and print the metrics of every classifier there is."""
    work = command.workspace
    trained = trained_temperatures(work, CLASSIFIER)
    asked = command.temperatures(trained.__contains__, "no classifier under MLmodel; run step1_train_dw.py")
    with command.only_writer():
        sections: dict[str, str] = {}
        written: list[Path] = []
        for card in cards_to_judge(work, CLASSIFIER, asked):
            sections[card.temperature], pictures = section(command, card)
            written += pictures
        write_text(work.classifier_performance, "\n".join(sections.values()))
    print("\n".join(sections[temperature] for temperature in asked))
    print(f"metrics: {work.classifier_performance}")
    print("pictures: " + "\n          ".join(map(str, written)))


def section(command: Command, card: Card) -> tuple[str, list[Path]]:
    """The metrics of one classifier, as text, and the files of its picture."""
    model = Model(command.workspace, card)
    lines = [f"T = {card.temperature}: double-well classifier, trained {card.trained}"]
    for subset, name in (("train", "training set"), ("test", f"test set, never seen in training; {card.cut}")):
        pairs = read_set(command.workspace, card, subset)
        chance = model.predict(pairs)
        metrics = classifier_metrics(pairs[DW], chance) | chance_metrics(chance, pairs[DW], "double wells")
        lines += [f"  {name}", format_metrics(metrics)]
    title = f"T = {card.temperature}, test set: {card.cut}"
    picture = reliability(chance, pairs[DW].to_numpy() == 1, "double well", title)
    written = picture.save(command.workspace.reliability(card.temperature, "dw"), command.settings.figures)
    return "\n".join(lines) + "\n", written


if __name__ == "__main__":
    run_script(main, __doc__)
