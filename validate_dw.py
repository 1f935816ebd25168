"""Judge the classifier on the pairs it was trained on and on those it never saw.

Reads    MLmodel/dw-classification-T{digits}/ and its sets
Writes   output_ML/dw_classifier_performances.txt, a section per temperature
"""

from MLmodel.card import Card
from MLmodel.metrics import classifier_metrics, format_metrics
from MLmodel.model import Model, cards_to_judge, read_set, trained_temperatures
from pipeline.command import Command, run_script
from pipeline.files import write_text
from pipeline.task import CLASSIFIER, DW


def main(command: Command) -> None:
    """Write and print the metrics of every classifier there is."""
    work = command.workspace
    trained = trained_temperatures(work, CLASSIFIER)
    asked = command.temperatures(trained.__contains__, "no classifier under MLmodel; run step1_train_dw.py")
    with command.only_writer():
        sections = {card.temperature: section(command, card) for card in cards_to_judge(work, CLASSIFIER, asked)}
        write_text(work.classifier_performance, "\n".join(sections.values()))
    print("\n".join(sections[temperature] for temperature in asked))
    print(f"metrics: {work.classifier_performance}")


def section(command: Command, card: Card) -> str:
    """The metrics of one classifier, as text."""
    model = Model(command.workspace, card)
    lines = [f"T = {card.temperature}: double-well classifier, trained {card.trained}"]
    for subset, name in (("train", "training set"), ("test", f"test set, never seen in training; {card.cut}")):
        pairs = read_set(command.workspace, card, subset)
        lines += [f"  {name}", format_metrics(classifier_metrics(pairs[DW], model.predict(pairs)))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(main, __doc__)
