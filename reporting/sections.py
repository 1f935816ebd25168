"""The report's sections on the search: what to calculate next, whether going on pays, the models, what was found."""

import shlex
from typing import NamedTuple

import numpy as np
import pandas as pd

from glass.arrays import Array
from MLmodel.card import read_card
from MLmodel.metrics import chance_metrics, classifier_metrics, metric_texts, predictor_metrics
from MLmodel.model import read_set, unseen_predictions
from MLmodel.out_of_fold import kept_out
from pipeline.command import Command
from pipeline.errors import UserError
from pipeline.files import file_digest
from pipeline.formats.keys import PAIR_COLUMNS, Pair, rows_in
from pipeline.formats.pair_lists import read_list
from pipeline.formats.pair_tables import PROBABILITY, TLS_PROBABILITY
from pipeline.formats.paths import path_file
from pipeline.formats.results import pairs_with_result
from pipeline.settings import Settings
from pipeline.stamps import read_stamp
from pipeline.workspace import CLASSIFIER, PREDICTOR, QS, StatePoint, Task, Workspace
from reporting.found import found_at
from reporting.page import Block, More, Page, code, missing, text
from search.calculated import count_tls, read_double_wells
from search.density import SLOWEST, at_energy, density_of_kind
from search.rearrangements import REARRANGEMENT
from search.rounds import NEXT, read_rounds
from search.stopping import expected, first_step_missing, round_summary

SHOWN = 10
"""Pairs of the list that are shown."""

ROWS, PICTURES = 1000, 24
"""Double wells in the table, and pictures of TLS, over all temperatures of a page."""

MODELS = {CLASSIFIER: "Classifier of double wells", PREDICTOR: "Predictor of the splitting"}


def next_pairs(command: Command, at: StatePoint, page: Page) -> list[Block]:
    """The top of the list of new pairs, what to expect of it, and the command that calculates it."""
    if step := first_step_missing(at):
        return [
            missing(f"There is no list of pairs yet; {step} is the next step towards it:"),
            _line(command, at, step),
        ]
    left = _what_is_left(at)
    since = f" ({left.answered} of the list were calculated since it was made)" if left.answered else ""
    if not len(left.chances):
        return [
            text(f"Nothing of the list is left to calculate{since}: run steps 1 to 4 for a new one, or add minima.")
        ]
    following, everything = expected(left.chances[:NEXT]), expected(left.chances)
    count, unit = len(left.chances[:NEXT]), command.settings.unit.energy
    rows = _with_labels(left.top).rename(
        columns={
            QS: f"predicted splitting ({unit})",
            TLS_PROBABILITY: "chance of a TLS",
            PROBABILITY: "chance of a double well",
        }
    )
    limit = f"a TLS is a double well with a splitting below {command.settings.tls_threshold:g} {unit}"
    return [
        text(
            f"TLS expected of the next {count} exact calculations: {following.mean:.1f} "
            f"({following.low} to {following.high}, 68 %). Of all {len(left.chances)} pairs left{since}: "
            f"{everything.mean:.1f} ({everything.low} to {everything.high})."
        ),
        _line(command, at, f"run_neb.py --top {count}"),
        page.table(f"The next {len(rows)} pairs; {limit}", rows, at.predicted("newpairs")),
    ]


def _line(command: Command, at: StatePoint, script: str) -> Block:
    """A script as it is typed."""
    several = len(command.workspace.temperatures()) > 1
    root = str(command.workspace.root)
    options = [f"-T {at.temperature}"] * several + [f"--workspace {shlex.quote(root)}"] * (root != ".")
    return code(" ".join(["python", script, *options]))


def _with_labels(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same with glass, i and j as text that names a pair."""
    names = {name: pairs[name].map("{:.12g}".format) for name in "ij"}
    return pairs.assign(conf=pairs["conf"].map("{:.0f}".format), **names).rename(columns={"conf": "glass"})


class _Left(NamedTuple):
    """The pairs of the list that have no answer."""

    top: pd.DataFrame
    chances: Array
    """Of a TLS, in the order of the list."""
    answered: int
    """Others, which have one by now."""


def _what_is_left(at: StatePoint) -> _Left:
    known = pairs_with_result(at)
    columns = [*PAIR_COLUMNS, QS, TLS_PROBABILITY, PROBABILITY]
    rows = read_list(at.predicted("newpairs"), columns, "step4_predict_qs.py")
    left = rows[~rows_in(rows, known, at.decimals)]
    return _Left(left.head(SHOWN), left[TLS_PROBABILITY].to_numpy(), len(rows) - len(left))


def search_progress(command: Command, at: StatePoint, page: Page) -> list[Block]:
    """The rounds, their forecast, what follows from them, and how much faster the list is than chance."""
    said = "TLS found against NEBs run in the order of the prediction, between chance and the ideal; pairs never seen"
    return [*_rounds(at, page), page.figure(said, at.search_efficiency, "validate_qs.py")]


def _rounds(at: StatePoint, page: Page) -> list[Block]:
    path = at.rounds("csv")
    if not path.exists():
        return [missing(f"No round yet: {path.name} comes with the first exact calculations from a list, run_neb.py.")]
    rounds = read_rounds(at)
    blocks: list[Block] = [text(f"{said[0].upper()}{said[1:]}.") for said in round_summary(rounds.iloc[-1])]
    new_list = at.predicted("newpairs")
    if new_list.exists() and not file_digest(new_list).startswith(rounds["list"].iloc[-1]):
        blocks.append(text("The list was made anew since then; section 1 says what to expect of it."))
    columns = {
        **{"round": "round", "nebs": "NEBs", "double_wells": "double wells", "tls": "TLS", "distinct_tls": "distinct"},
        **{"unfinished": "unfinished", "tls_expected": "TLS expected", "tls_expected_sd": "±"},
        **{"cpu_seconds": "CPU (s)", "remaining_tls": "TLS left on the list"},
    }
    return [
        *blocks,
        page.figure("TLS found and expected, round after round", at.rounds("png"), "run_neb.py"),
        page.table("Rounds", rounds[list(columns)].rename(columns=columns), path),
    ]


def validators_said(command: Command, temperatures: list[str], page: Page) -> list[Block]:
    """What the validators wrote of all temperatures."""
    work = command.workspace
    path = work.classifier_performance
    blocks: list[Block] = []
    if path.exists():
        said = f"Classifier: training set beside test set ({path.name})"
        blocks.append(More(said, [code(path.read_text(encoding="utf-8", errors="replace").rstrip())]))
    said = "Predicted against exact splittings, on pairs never seen; points on the line are as predicted"
    return [*blocks, page.figure(said, work.true_against_predicted("testset"), "validate_qs.py")]


def model_quality(command: Command, at: StatePoint, page: Page) -> list[Block]:
    """Figures of both models on glasses they did not see, and the validators' pictures."""
    work, settings = command.workspace, command.settings
    of_all = work.true_against_predicted("testset").with_suffix(".csv")
    said = "Cumulative distributions of exact and predicted splittings; they should lie on each other"
    return [
        *_on_glasses_kept_out(work, at, CLASSIFIER, page, settings),
        *_judged_before(at, CLASSIFIER, read_stamp(work.classifier_performance), "validate_dw.py"),
        _reliability(at, page, "dw", "double well", "validate_dw.py"),
        *_on_glasses_kept_out(work, at, PREDICTOR, page, settings),
        *_judged_before(at, PREDICTOR, read_stamp(of_all), "validate_qs.py"),
        _reliability(at, page, "tls", "TLS", "validate_qs.py"),
        page.figure(said, at.splitting_cdf, "validate_qs.py"),
    ]


def _on_glasses_kept_out(work: Workspace, at: StatePoint, task: Task, page: Page, settings: Settings) -> list[Block]:
    card = read_card(at, task)
    if card is None:
        return [missing(f"{MODELS[task]}: no model yet; {task.script} trains it.")]
    try:
        exact, predicted = unseen_predictions(at, card)
        how = kept_out(read_set(at, card, "used"), task)
    except UserError as error:  # of another training: the other sections can still be written
        return [missing(f"{MODELS[task]}: {error}.")]
    if task == CLASSIFIER:
        metrics = classifier_metrics(exact, predicted) | chance_metrics(predicted, exact, "double wells")
    else:
        metrics = predictor_metrics(exact, predicted, settings.tls_threshold)
    rows = pd.DataFrame(metric_texts(metrics).items(), columns=["", "value"])
    return [page.table(f"{MODELS[task]}, what to expect of a new glass: {how}", rows)]


def _judged_before(at: StatePoint, task: Task, stamp: dict[str, object], script: str) -> list[Block]:
    """A note where a model was trained again since the validator that left the stamp judged it."""
    card, trained = read_card(at, task), stamp.get("trained")
    known = trained.get(at.temperature) if isinstance(trained, dict) else None
    if card is None or known == card.trained:
        return []
    name = task.name
    if known is None:
        return [missing(f"Training and test set of the {name}: {script} judges on them.")]
    return [missing(f"The {name} was trained again since {script} judged it: run that.")]


def _reliability(at: StatePoint, page: Page, name: str, what: str, script: str) -> Block:
    return page.figure(
        f"Are the chances of a {what} true? Points on the line are as predicted", at.reliability(name), script
    )


def found_together(command: Command, temperatures: list[str], page: Page) -> list[Block]:
    """The density of TLS, a row a temperature, and the pictures of all temperatures; none before the first NEB."""
    work, settings = command.workspace, command.settings
    unit, rows = settings.unit, list[dict[str, object]]()
    double_wells, densities = found_at(work, temperatures, settings)
    for temperature, table in densities.items():
        at = at_energy(table, settings.tls_threshold)
        every = at.loc["all"]
        rows.append(
            {
                "T": temperature,
                "glasses searched": int(every["glasses"]),
                f"volume ({unit.length}³)": every["volume"],
                "TLS": int(every["count"]),
                "density (68 %, Poisson)": "{density:.3g} ({density_low:.3g} to {density_high:.3g})".format(**every),
                "± from glass to glass": every["density_sd_glasses"],
                "distinct (TLS)": density_of_kind(at.loc["distinct"]),
                f"Δ₀ ≥ {SLOWEST:g} E (TLS)": density_of_kind(at.loc["tunnelling"]),
                "J⁻¹ m⁻³": every["density_SI"],
            }
        )
    title = f"Density of TLS in {unit.energy}⁻¹ {unit.length}⁻³, a lower bound: of what the lists were searched for"
    blocks: list[Block] = []
    if rows:
        files = [work.at(temperature).tls_density for temperature in densities]
        blocks.append(page.table(title, pd.DataFrame(rows), *files))
        said = "Double wells per volume with a splitting below E, and the density of TLS"
        blocks.append(page.figure(said, work.tls_densities, "run_neb.py"))
    if len(double_wells) > 1:
        said = "Barriers, amplitudes and asymmetries: fractions of the double wells, and of the TLS"
        blocks.append(page.figure(said, work.tls_comparison, "run_neb.py"))
    return blocks


def found(command: Command, at: StatePoint, page: Page) -> list[Block]:
    """A table of the double wells, pictures of TLS, barriers, asymmetries, rearrangements."""
    limit, unit = command.settings.tls_threshold, command.settings.unit
    wells = read_double_wells(at).sort_values(QS, kind="stable")
    if wells.empty:
        return [missing(f"No double well calculated yet: run_neb.py writes {at.double_wells.name}.")]
    temperatures = len(command.asked or command.workspace.temperatures())
    shown = wells.head(max(1, ROWS // temperatures))
    cut = f"; the first {len(shown)} of {len(wells)} rows" if len(shown) < len(wells) else ""
    columns = {
        QS: f"splitting ({unit.energy})",
        "tunnelling_amplitude": f"Δ₀ ({unit.energy})",
        "asymmetry": f"asymmetry ({unit.energy})",
        "barrier": f"barrier ({unit.energy})",
        "path_length": f"path ({unit.length})",
        "PR": "PR",
        REARRANGEMENT: "rearrangement",
        "fidelity": "images",
    }
    rows = shown.reindex(columns=[*PAIR_COLUMNS, *columns])
    rows.insert(1, "kind", np.where(shown[QS] < limit, "TLS", ""))
    rows = _with_labels(rows).rename(columns=columns)
    title = f"Double wells calculated, smallest splitting first{cut}"
    said = (
        f"{len(wells)} double wells calculated, {count_tls(wells, limit)} "
        f"(splitting below {limit:g} {unit.energy}). A list from the top shows more TLS than chance would."
    )
    statistics = "How many double wells, and TLS among them, have which barrier, amplitude and asymmetry"
    mapped = "Rearrangements: how many pairs each has, and splittings against ΔE with the V of two levels in two wells"
    return [
        text(said),
        *_pictures(at, shown[shown[QS] < limit].head(max(1, PICTURES // temperatures)), page),
        More(title, [page.table(title, rows, at.double_wells)]),
        page.figure("The smallest splittings: energy on the path and both levels", at.neb_paths("png"), "run_neb.py"),
        page.figure(statistics, at.tls_statistics, "run_neb.py", at.tls_density),
        page.figure(mapped, at.rearrangements, "run_neb.py"),
    ]


def _pictures(at: StatePoint, tls: pd.DataFrame, page: Page) -> list[Block]:
    """Those of the smallest splittings that were drawn."""
    blocks = []
    for pair in (Pair(*row) for row in tls[PAIR_COLUMNS].itertuples(index=False)):
        path = path_file(at, pair)
        picture = at.tls_pictures / f"{path.stem}.png"
        title = f"{pair}: the particles that move, and the energy on the path with both levels"
        blocks.append(page.figure(title, picture, "run_neb.py", path))
    return [More(f"Pictures of {len(blocks)} TLS, smallest splitting first", blocks)] if blocks else []
