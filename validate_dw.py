"""Judge the classifier on the pairs it was trained on and on those it never saw.

Reads    MLmodel/dw-classification-T{digits}/ and its sets
Writes   output_ML/dw_classifier_performances.txt, a section per temperature
         output_ML/T{T}/reliability-dw.png: whether the probabilities of a double well are true, on the test set

Where the test set holds too few pairs to judge, all labels are shown instead, predicted without their glass.
"""

from pipeline.command import Command, check_command_line, run_script

if __name__ == "__main__":
    check_command_line(__doc__)

from pathlib import Path

from MLmodel.card import Card
from MLmodel.judging import few_labels, judge_on
from MLmodel.metrics import chance_metrics, classifier_metrics, format_metrics
from MLmodel.model import Model, cards_to_judge, read_set
from pipeline.files import write_text
from pipeline.stamps import made_from, mark_made
from pipeline.workspace import CLASSIFIER, DW
from reporting.predictions import draw_reliability


def main(command: Command) -> None:
    """Write and print the metrics of every classifier there is."""
    work = command.workspace
    asked = command.temperatures(
        lambda at: at.card(CLASSIFIER).exists(), "no classifier under MLmodel; run step1_train_dw.py"
    )
    with command.only_writer():
        sections: dict[str, str] = {}
        trained: dict[str, str] = {}
        written: list[Path] = []
        for card in cards_to_judge(work, CLASSIFIER, asked, command.settings.unit):
            sections[card.temperature], pictures = section(command, card)
            trained[card.temperature] = card.trained
            written += pictures
        write_text(work.classifier_performance, "\n".join(sections.values()))
        mark_made([work.classifier_performance], made_from([], trained=trained))
    print("\n".join(sections[temperature] for temperature in asked))
    print(f"metrics: {work.classifier_performance}")
    print("pictures: " + "\n          ".join(map(str, written)))


def section(command: Command, card: Card) -> tuple[str, list[Path]]:
    """The metrics of one classifier, as text, and the files of its picture."""
    work, settings = command.workspace, command.settings
    model = Model(work, card)
    trained, judged = read_set(work, card, "train"), judge_on(work, model, settings)
    lines = [f"T = {card.temperature}: double-well classifier, trained {card.trained}, units: {card.units}"]
    for name, is_dw, chance in (
        ("training set", trained[DW], model.predict(trained)),
        (judged.heading, judged.exact, judged.predicted),
    ):
        metrics = classifier_metrics(is_dw, chance) | chance_metrics(chance, is_dw, "double wells")
        lines += [f"  {name}", format_metrics(metrics)]
    lines += few_labels(read_set(work, card, "used")[DW], CLASSIFIER, settings)
    title = f"T = {card.temperature}, {judged.name}: {judged.how}"
    picture = draw_reliability(judged.predicted, judged.exact == 1, "double well", title)
    written = picture.save(work.at(card.temperature).reliability("dw"), settings.figures)
    return "\n".join(lines) + "\n", written


if __name__ == "__main__":
    run_script(main, __doc__)
