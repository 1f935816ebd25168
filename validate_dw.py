"""Judge the classifier on the pairs it was trained on and on those it never saw.

Reads    MLmodel/dw-classification-T{digits}/
Writes   output_ML/dw_classifier_performances.txt, a section per temperature
         output_ML/T{T}/reliability-dw.png: whether the probabilities of a double well are true, on the test set, and
           where results tell their likes: each of them from the others of its glass

Where the test set holds too few pairs to judge, all labels are shown instead, predicted without their glass.

Example  python validate_dw.py --workspace example-run
"""

from pipeline.command import Command, check_command_line, run_script

if __name__ == "__main__":
    check_command_line(__doc__)


from MLmodel.model import Judged, Model, few_labels, figures_of, judged_models, read_set, say_figures
from pipeline.files import write_text
from pipeline.formats.pair_tables import OUT_OF_FOLD
from pipeline.messages import result
from pipeline.settings import Settings
from pipeline.stamps import made_from, mark_made
from pipeline.workspace import CLASSIFIER, DW, StatePoint
from reporting.predictions import draw_reliability
from search.likes import TOLD, held_out


def main(command: Command) -> None:
    """Write and print the metrics of every classifier there is."""
    work = command.workspace
    asked = command.temperatures(
        lambda at: at.card(CLASSIFIER).exists(), "no classifier under MLmodel; run step1_train_dw.py"
    )
    with command.only_writer():
        sections = {
            at.temperature: section(at, model, said, judged, command.settings)
            for at, model, said, _, judged in judged_models(work, CLASSIFIER, asked, command.settings)
        }
        write_text(work.classifier_performance, "\n".join(sections.values()))
    result("\n".join(sections[temperature] for temperature in asked))


def section(at: StatePoint, model: Model, said: str, judged: Judged, settings: Settings) -> str:
    """Draw the picture of one classifier; its metrics as text."""
    used = read_set(at, model.card, "used")
    lines = [said, *few_labels(used[DW], CLASSIFIER, settings)]
    told = held_out(at, CLASSIFIER, used, used[OUT_OF_FOLD].to_numpy(), settings)
    if told:
        figures = figures_of(CLASSIFIER, told.exact, told.chance, settings.tls_threshold)
        lines.append(say_figures(at, "likes", TOLD, figures))
    title = f"T = {at.temperature}, {judged.name}: {judged.how}"
    likes = told and (told.chance, told.exact == 1)
    picture = draw_reliability(judged.predicted, judged.exact == 1, "double well", title, likes)
    picture.save(at.reliability("dw"), settings.figures)
    mark_made([at.reliability("dw").with_suffix(".csv")], made_from([at.card(CLASSIFIER)]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(main, __doc__)
