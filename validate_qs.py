"""Judge the predictor of splittings, and show how much faster it finds TLS.

Reads    MLmodel/qs-regression-T{digits}/
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

from MLmodel.card import Card
from MLmodel.chances import tls_chances
from MLmodel.metrics import chance_metrics, format_metrics, predictor_metrics
from MLmodel.model import Judged, Model, cards_to_judge, few_labels, judge_on, read_set
from MLmodel.out_of_fold import kept_out
from pipeline.formats.pair_tables import OUT_OF_FOLD
from pipeline.stamps import made_from, mark_made
from pipeline.workspace import PREDICTOR, QS, StatePoint
from reporting.predictions import (
    Panel,
    draw_reliability,
    draw_search_efficiency,
    draw_splitting_cdf,
    draw_true_against_predicted,
)


def main(command: Command) -> None:
    """Draw the pictures and print the metrics of every predictor there is."""
    work, settings = command.workspace, command.settings
    asked = command.temperatures(
        lambda at: at.card(PREDICTOR).exists(), "no predictor under MLmodel; run step3_train_qs.py"
    )
    panels: dict[str, dict[str, Panel]] = {"trainingset": {}, "testset": {}}
    written: list[Path] = []
    trained: dict[str, str] = {}
    with command.only_writer():
        for card in cards_to_judge(work, PREDICTOR, asked, settings.unit):
            at = work.at(card.temperature)
            trained[at.temperature] = card.trained
            known, judged = judge(command, at, card)
            panels["trainingset"][at.temperature] = known
            name = judged.name if judged.name == "test set" else f"{judged.name},\n{judged.how}"
            panels["testset"][at.temperature] = Panel(judged.exact, judged.predicted, name)
            if at.temperature in asked:
                print(f"T = {at.temperature}: predictor of splittings, trained {card.trained}, units: {card.units}")
                written += show(command, at, card, known, judged)
        for name, by_temperature in panels.items():
            picture = draw_true_against_predicted(by_temperature, settings.tls_threshold, settings.unit)
            written += picture.save(work.true_against_predicted(name), settings.figures)
        mark_made([work.true_against_predicted("testset").with_suffix(".csv")], made_from([], trained=trained))
    print("pictures: " + "\n          ".join(map(str, written)))


def judge(command: Command, at: StatePoint, card: Card) -> tuple[Panel, Judged]:
    """Exact and predicted splittings of one predictor: of its training set, and of what it is judged on."""
    model, trained = Model(at, card), read_set(at, card, "train")
    known = Panel(trained[QS].to_numpy(), model.predict(trained), "train set")
    return known, judge_on(at, model, command.settings)


def show(command: Command, at: StatePoint, card: Card, known: Panel, judged: Judged) -> list[Path]:
    """Print the metrics of one predictor and draw its pictures; the files written."""
    settings, threshold, title = command.settings, command.settings.tls_threshold, f"T = {at.temperature}"
    for heading, panel in (("training set", known), (judged.heading, judged)):
        print(f"  {heading}")
        print(format_metrics(predictor_metrics(panel.exact, panel.predicted, threshold)))
    written = []
    for draw, path in ((draw_splitting_cdf, at.splitting_cdf), (draw_search_efficiency, at.search_efficiency)):
        whose = f"{title}, {judged.name}: {judged.how}"
        picture = draw(judged.exact, judged.predicted, threshold, whose, settings.unit)
        written += picture.save(path, settings.figures)
    used = read_set(at, card, "used")
    exact, unseen, how = used[QS].to_numpy(), used[OUT_OF_FOLD].to_numpy(), kept_out(used, PREDICTOR)
    chance, is_tls = tls_chances(exact, unseen, threshold)(unseen), exact < threshold
    print(f"  {how}; double wells only")
    print(format_metrics(chance_metrics(chance, is_tls, "TLS")))
    for line in few_labels(exact, PREDICTOR, settings):
        print(line)
    picture = draw_reliability(chance, is_tls, "TLS", f"{title}: double wells,\n{how}")
    return written + picture.save(at.reliability("tls"), settings.figures)


if __name__ == "__main__":
    run_script(main, __doc__)
