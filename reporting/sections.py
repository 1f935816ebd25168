"""The report's sections on the search: what to calculate next, whether going on pays, and the models."""

import shlex

import pandas as pd
from markupsafe import Markup

from MLmodel.card import read_card
from MLmodel.metrics import metric_texts
from MLmodel.model import figures_of, read_set, unseen_predictions
from MLmodel.out_of_fold import kept_out
from pipeline.command import Command
from pipeline.errors import UserError
from pipeline.files import file_digest
from pipeline.formats.keys import PAIR_COLUMNS, rows_in
from pipeline.formats.pair_lists import read_list
from pipeline.formats.pair_tables import PROBABILITY, TLS_PROBABILITY
from pipeline.formats.results import pairs_with_result
from pipeline.messages import counted
from pipeline.settings import Settings
from pipeline.stamps import made_from, up_to_date
from pipeline.workspace import CLASSIFIER, PREDICTOR, QS, StatePoint, Task
from reporting.page import code, figure, missing, more, table, text, with_labels
from search.rounds import NEXT, read_rounds
from search.stopping import expected, first_step_missing, round_summary

SHOWN = 10  # pairs of the list that are shown
MODELS = {CLASSIFIER: "Classifier of double wells", PREDICTOR: "Predictor of the splitting"}


def next_pairs(command: Command, at: StatePoint) -> list[Markup]:
    """The top of the list of new pairs, what to expect of it, and the command that calculates it."""
    if step := first_step_missing(at):
        said = f"There is no list of pairs yet; {step} is the next step towards it:"
        return [missing(said), _line(command, at, step)]
    columns = [*PAIR_COLUMNS, QS, TLS_PROBABILITY, PROBABILITY]
    listed = read_list(at.predicted("newpairs"), columns, "step4_predict_qs.py")
    left = listed[~rows_in(listed, pairs_with_result(at), at.decimals)]
    answered, chances = len(listed) - len(left), left[TLS_PROBABILITY].to_numpy()
    since = f" ({answered} of the list were calculated since it was made)" if answered else ""
    if left.empty:
        return [
            text(f"Nothing of the list is left to calculate{since}: run steps 1 to 4 for a new one, or add minima.")
        ]
    following, everything = expected(chances[:NEXT]), expected(chances)
    count, unit = len(chances[:NEXT]), command.settings.unit.energy
    names = {QS: f"predicted splitting ({unit})", TLS_PROBABILITY: "P(TLS)", PROBABILITY: "P(double well)"}
    rows = with_labels(left.head(SHOWN)).rename(columns=names)
    limit = f"a TLS is a double well with a splitting below {command.settings.tls_threshold:g} {unit}"
    return [
        text(
            f"TLS expected of the next {counted(count, 'exact calculation')}: {following.mean:.1f} "
            f"({following.low} to {following.high}, 68 %). Of all {counted(len(chances), 'pair')} left{since}: "
            f"{everything.mean:.1f} ({everything.low} to {everything.high})."
        ),
        _line(command, at, f"run_neb.py --top {count}"),
        table(f"The next {counted(len(rows), 'pair')}; {limit}", rows, at.predicted("newpairs")),
    ]


def _line(command: Command, at: StatePoint, script: str) -> Markup:
    """A script as it is typed."""
    several, root = len(command.workspace.temperatures()) > 1, str(command.workspace.root)
    where = f" -T {at.temperature}" * several + f" --workspace {shlex.quote(root)}" * (root != ".")
    return code(f"python {script}{where}")


def search_progress(command: Command, at: StatePoint) -> list[Markup]:
    """The rounds, their forecast, what follows from them, and how much faster the list is than chance."""
    said = "TLS found against NEBs run in the order of the list, between chance and the ideal; glasses unseen"
    efficiency, path = figure(said, at.search_efficiency, "validate_qs.py"), at.rounds("csv")
    if not path.exists():
        said = f"No round yet: {path.name} comes with the first exact calculations from a list, run_neb.py."
        return [missing(said), efficiency]
    rounds = read_rounds(at)
    blocks = [text(f"{said[0].upper()}{said[1:]}.") for said in round_summary(rounds.iloc[-1])]
    new_list = at.predicted("newpairs")
    if new_list.exists() and not file_digest(new_list).startswith(rounds["list"].iloc[-1]):
        blocks.append(text("The list was made anew since then; section 3 says what to expect of it."))
    columns = {
        **{"round": "round", "nebs": "NEBs", "double_wells": "double wells", "tls": "TLS", "distinct_tls": "distinct"},
        **{"unfinished": "unfinished", "tls_expected": "TLS expected", "tls_expected_sd": "±"},
        **{"cpu_seconds": "CPU (s)", "remaining_tls": "TLS left on the list"},
    }
    return [
        *blocks,
        figure("TLS found and expected, round after round", at.rounds("png"), "run_neb.py"),
        table("Rounds", rounds[list(columns)].rename(columns=columns), path),
        efficiency,
    ]


def validators_said(command: Command, temperatures: list[str]) -> list[Markup]:
    """Results of the validators at all temperatures."""
    work = command.workspace
    path = work.classifier_performance
    blocks = []
    if path.exists():
        said = f"Classifier: training set beside test set ({path.name})"
        blocks.append(more(said, code(path.read_text(encoding="utf-8", errors="replace").rstrip())))
    said = "Predicted against exact splittings, on pairs never seen; points on the line are as predicted"
    return [*blocks, figure(said, work.true_against_predicted("testset"), "validate_qs.py")]


def model_quality(command: Command, at: StatePoint) -> list[Markup]:
    """Figures of both models on glasses they did not see, and the validators' pictures."""
    settings = command.settings
    said = "Cumulative distributions of exact and predicted splittings; they should lie on each other"
    return [
        *_on_glasses_kept_out(at, CLASSIFIER, settings),
        *_reliability(at, CLASSIFIER, "dw", "double well", "validate_dw.py"),
        *_on_glasses_kept_out(at, PREDICTOR, settings),
        *_reliability(at, PREDICTOR, "tls", "TLS", "validate_qs.py"),
        figure(said, at.splitting_cdf, "validate_qs.py"),
    ]


def _on_glasses_kept_out(at: StatePoint, task: Task, settings: Settings) -> list[Markup]:
    card = read_card(at, task)
    if card is None:
        return [missing(f"{MODELS[task]}: no model yet; {task.script} trains it.")]
    try:
        exact, predicted = unseen_predictions(at, card)
        how = kept_out(read_set(at, card, "used"), task)
    except UserError as error:  # of another training: the other sections can still be written
        return [missing(f"{MODELS[task]}: {error}.")]
    metrics = metric_texts(figures_of(task, exact, predicted, settings.tls_threshold))
    rows = pd.DataFrame(metrics.items(), columns=["quantity", "value"])
    return [table(f"{MODELS[task]}, what to expect of a new glass: {how}", rows)]


def _reliability(at: StatePoint, task: Task, name: str, what: str, script: str) -> list[Markup]:
    """Whether chances are true; and a note where the model was trained again since the validator judged it."""
    title = f"Are the chances of a {what} true? Points on the line are as predicted"
    blocks = [figure(title, at.reliability(name), script)]
    numbers, card = at.reliability(name).with_suffix(".csv"), at.card(task)
    if not card.exists() or up_to_date([numbers], made_from([card])):
        return blocks
    again = f"The {task.name} was trained again since {script} judged it: run that."
    return [missing(again if numbers.exists() else f"Training and test set: {script} judges on them."), *blocks]
