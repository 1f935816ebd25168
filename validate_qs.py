"""Judge the predictor of splittings, and show how much faster it finds TLS.

Reads    MLmodel/qs-regression-T{digits}/
Writes   output_ML/qs-true_vs_AI_trainingset.png, output_ML/qs-true_vs_AI_testset.png, a panel per temperature
         output_ML/T{T}/splitting_cdf_T{T}.png, from the test set
         output_ML/T{T}/TLS-search-efficiency.png: the labelled pairs sorted as the list is, non-DW among them
         output_ML/T{T}/reliability-tls.png: whether the chances to be a TLS are true, on glasses kept out, and where
           results tell their likes: each of them from the others of its glass

Where the test set holds too few pairs to judge, all labels are shown instead, predicted without their glass.
Each picture comes in the formats of ``figures`` in config.yaml, with its numbers as CSV beside it.

Example  python validate_qs.py --workspace example-run
"""

from pipeline.command import Command, check_command_line, run_script

if __name__ == "__main__":
    check_command_line(__doc__)


import numpy as np

from glass.arrays import Array
from MLmodel.card import read_card
from MLmodel.chances import tls_chances
from MLmodel.metrics import chance_metrics, predictor_metrics
from MLmodel.model import Judged, Model, few_labels, judged_models, read_set, say_figures
from MLmodel.out_of_fold import kept_out
from pipeline.formats.keys import by_pair
from pipeline.formats.pair_tables import OUT_OF_FOLD
from pipeline.messages import result
from pipeline.settings import Settings
from pipeline.stamps import made_from, mark_made
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, StatePoint
from reporting import predictions
from search.likes import TOLD, held_out


def main(command: Command) -> None:
    """Draw the pictures and print the metrics of every predictor there is."""
    work, settings = command.workspace, command.settings
    asked = command.temperatures(
        lambda at: at.card(PREDICTOR).exists(), "no predictor under MLmodel; run step3_train_qs.py"
    )
    panels: dict[str, dict[str, Judged]] = {"trainingset": {}, "testset": {}}
    with command.only_writer():
        for at, model, said, known, judged in judged_models(work, PREDICTOR, asked, settings):
            panels["trainingset"][at.temperature], panels["testset"][at.temperature] = known, judged
            if at.temperature in asked:
                result(said)
                show(command, at, model, judged)
        for name, by_temperature in panels.items():
            picture = predictions.draw_true_against_predicted(by_temperature, settings)
            picture.save(work.true_against_predicted(name), settings.figures)


def show(command: Command, at: StatePoint, model: Model, judged: Judged) -> None:
    """Print what one predictor says of unseen glasses, and draw its pictures."""
    settings, threshold, title = command.settings, command.settings.tls_threshold, f"T = {at.temperature}"
    whose = f"{title}, {judged.name}: {judged.how}"
    picture = predictions.draw_splitting_cdf(judged.exact, judged.predicted, whose, settings)
    picture.save(at.splitting_cdf, settings.figures)
    used = read_set(at, model.card, "used")
    exact, unseen, how = used[QS].to_numpy(), used[OUT_OF_FOLD].to_numpy(), kept_out(used, PREDICTOR)
    chance, is_tls = tls_chances(exact, unseen, threshold)(unseen), exact < threshold
    result(say_figures(at, "out_of_fold", f"{how}; double wells only", chance_metrics(chance, is_tls, "TLS")))
    for line in few_labels(exact, PREDICTOR, settings):
        result(line)
    told = held_out(at, PREDICTOR, used, unseen, settings)
    if told:
        figures = predictor_metrics(told.exact, told.predicted, threshold)
        figures |= chance_metrics(told.chance, told.exact < threshold, "TLS")
        result(say_figures(at, "likes", TOLD, figures))
    listed = unseen_list(at, model, settings)
    whose = f"{title}: {len(listed[0])} labelled pairs, {np.isinf(listed[0]).sum()} of them non-DW;\n{how}"
    predictions.draw_search_efficiency(*listed, whose, settings).save(at.search_efficiency, settings.figures)
    likes = told and (told.chance, told.exact < threshold)
    picture = predictions.draw_reliability(chance, is_tls, "TLS", f"{title}: double wells,\n{how}", likes)
    picture.save(at.reliability("tls"), settings.figures)
    mark_made([at.reliability("tls").with_suffix(".csv")], made_from([at.card(PREDICTOR)]))


def unseen_list(at: StatePoint, model: Model, settings: Settings) -> tuple[Array, Array]:
    """Exact splittings of labelled pairs, infinite of non-DW, and what sorts them as the list of new pairs is sorted.

    Both models are asked without the pair's glass; non-DW never teach the predictor. Where the classifier's set lacks
    features of the predictor, or there is none, double wells only.
    """
    wells = read_set(at, model.card, "used")
    chances = tls_chances(wells[QS].to_numpy(), wells[OUT_OF_FOLD].to_numpy(), settings.tls_threshold)
    of_classifier = read_card(at, CLASSIFIER)
    labelled = None if of_classifier is None else read_set(at, of_classifier, "used")
    if labelled is None or not {*model.card.features} <= {*labelled}:
        return wells[QS].to_numpy(), -chances(wells[OUT_OF_FOLD].to_numpy())
    known = by_pair(wells, at.decimals)[[QS, OUT_OF_FOLD]].rename(columns={OUT_OF_FOLD: "predicted"})
    others = labelled[labelled[DW] == 0]
    double_wells = by_pair(labelled[labelled[DW] == 1], at.decimals)[[OUT_OF_FOLD]].join(known, how="inner")
    predicted = np.concatenate([double_wells["predicted"], model.predict(others)])
    is_dw = np.concatenate([double_wells[OUT_OF_FOLD], others[OUT_OF_FOLD]])
    return np.concatenate([double_wells[QS], np.full(len(others), np.inf)]), -is_dw * chances(predicted)


if __name__ == "__main__":
    run_script(main, __doc__)
