"""The report's sections on the search: what to calculate next, whether going on pays, the models, and the files."""

import platform
import shlex
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from MLmodel.card import read_card
from MLmodel.metrics import metric_texts
from MLmodel.model import figures_of, read_set, unseen_predictions
from MLmodel.out_of_fold import kept_out
from pipeline import __version__
from pipeline.command import Command
from pipeline.errors import UserError
from pipeline.files import file_digest
from pipeline.formats.csv_files import read_own_csv
from pipeline.formats.keys import PAIR_COLUMNS, rows_in
from pipeline.formats.pair_lists import read_list
from pipeline.formats.pair_tables import PROBABILITY, TLS_PROBABILITY, stored_pairs
from pipeline.formats.results import pairs_with_result, read_calculations, read_neb_results, read_unfinished
from pipeline.messages import counted
from pipeline.settings import Settings
from pipeline.stamps import LEFT_OUT, made_from, read_stamp, up_to_date
from pipeline.units import check_same_units
from pipeline.workspace import CLASSIFIER, PREDICTOR, QS, StatePoint, minimum_paths
from reporting.page import code, figure, missing, more, table, text, with_labels
from search.rounds import NEXT, read_rounds
from search.stopping import expected, first_step_missing, round_summary

SHOWN = 10  # pairs of the list that are shown
LISTED = 100  # largest number of rows of a table of reasons
LIBRARIES = ("autogluon.tabular", "catboost", "scikit-learn", "numpy", "scipy", "pandas", "numba", "ase", "matplotlib")


def next_pairs(command: Command, at: StatePoint) -> list[Markup]:
    """The top of the list of new pairs, what to expect of it, and the command that calculates it."""
    if step := first_step_missing(at):
        said = f"There is no list of pairs yet; {step} is the next step towards it:"
        return [missing(said), _line(command, at, step)]
    path, units, step = at.predicted("newpairs"), command.settings.unit, "step4_predict_qs.py"
    check_same_units(path, read_stamp(path).get("units", units.name), units, f"run {step}")
    listed = read_list(path, [*PAIR_COLUMNS, QS, TLS_PROBABILITY, PROBABILITY], step)
    left = listed[~rows_in(listed, pairs_with_result(at), at.decimals)]
    answered, chances = len(listed) - len(left), left[TLS_PROBABILITY].to_numpy()
    since = f" ({answered} of the list were calculated since it was made)" if answered else ""
    if left.empty:
        return [
            text(f"Nothing of the list is left to calculate{since}: run steps 1 to 4 for a new one, or add minima.")
        ]
    following, few, many = expected(chances[:NEXT])
    everything, least, most = expected(chances)
    count, unit = len(chances[:NEXT]), units.energy
    names = {QS: f"predicted splitting ({unit})", TLS_PROBABILITY: "P(TLS)", PROBABILITY: "P(double well)"}
    rows = with_labels(left.head(SHOWN), at.decimals).rename(columns=names)
    limit = f"a TLS is a double well with a splitting below {command.settings.tls_threshold:g} {unit}"
    return [
        text(
            f"TLS expected of the next {counted(count, 'exact calculation')}: {following:.1f} "
            f"({few} to {many}, 68 %). Of all {counted(len(chances), 'pair')} left{since}: "
            f"{everything:.1f} ({least} to {most})."
        ),
        _line(command, at, f"run_neb.py --top {count}"),
        table(f"The next {counted(len(rows), 'pair')}; {limit}", rows, path),
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
    """Figures of both models on glasses they did not see, and the validators' pictures; which of these are old."""
    blocks = []
    for task, model, name, what, script in (
        (CLASSIFIER, "Classifier of double wells", "dw", "double well", "validate_dw.py"),
        (PREDICTOR, "Predictor of the splitting", "tls", "TLS", "validate_qs.py"),
    ):
        card, picture = read_card(at, task), at.reliability(name)
        if card is None:
            blocks.append(missing(f"{model}: no model yet; {task.script} trains it."))
        else:
            try:
                exact, predicted = unseen_predictions(at, card)
                how = kept_out(read_set(at, card, "used"), task)
                metrics = metric_texts(figures_of(task, exact, predicted, command.settings.tls_threshold))
                rows = pd.DataFrame(metrics.items(), columns=["quantity", "value"])
                blocks.append(table(f"{model}, what to expect of a new glass: {how}", rows))
            except UserError as error:  # of another training: the other sections can still be written
                blocks.append(missing(f"{model}: {error}."))
            numbers = picture.with_suffix(".csv")
            if not numbers.exists():
                blocks.append(missing(f"Training and test set: {script} judges on them."))
            elif not up_to_date([numbers], made_from([at.card(task)])):
                blocks.append(missing(f"The {task.name} was trained again since {script} judged it: run that."))
        title = f"Are the chances of a {what} true? Points on the line are as predicted"
        blocks.append(figure(title, picture, script))
    said = "Cumulative distributions of exact and predicted splittings; they should lie on each other"
    return [*blocks, figure(said, at.splitting_cdf, "validate_qs.py")]


def files_and_settings(command: Command, at: StatePoint) -> list[Markup]:
    """Minima and pairs left out, inputs, cost of calculations and trainings, settings and versions."""
    blocks, path = list[Markup](), at.seen_minima
    if path.exists():
        seen = read_own_csv(path, {"conf": "Int64", "file": object, "status": object, "reason": object})
        gone = seen.loc[seen["status"] == LEFT_OUT, ["conf", "file", "reason"]]
        blocks += _by_reason(at, gone, "minima left out by step 0", "No minimum was left out", path)
    else:
        blocks.append(missing(f"Whether minima were left out: step0_collect.py writes {path.name}."))
    blocks += _by_reason(at, read_unfinished(at), "pairs unfinished", "No pair is unfinished", at.unfinished)
    blocks.append(_inputs(at))
    known = read_calculations(at)
    if known.empty:
        blocks.append(missing(f"What exact calculations took: run_neb.py writes {at.calculations.name}."))
    else:
        groups = known.fillna({"verdict": "", "fidelity": ""}).groupby(["verdict", "fidelity"])["cpu_seconds"]
        costs = groups.agg(["size", "sum", "median", "max"]).reset_index()
        costs.columns = ["verdict", "images", "calculations", "CPU in all (s)", "median (s)", "longest (s)"]
        title = f"Exact calculations: {len(known)}, {known['cpu_seconds'].sum() / 60:.3g} min of CPU time"
        blocks.append(table(title, costs, at.calculations))
    models, paths = [], []
    for task in (CLASSIFIER, PREDICTOR):
        card = read_card(at, task)
        if card is None:
            blocks.append(missing(f"No {task.name}: {task.script} trains it."))
            continue
        labels = ", ".join(f"{source}: {count}" for source, count in card.sources.items())
        made_with = ", ".join(f"{name} {one}" for name, one in {"tls-finder": card.program, **card.versions}.items())
        models.append((task.name, card.trained, card.training_seconds, labels, card.seconds_per_pair, made_with))
        paths += [at.card(task), at.training_log(task)]
    if models:
        columns = ["model", "trained (UTC)", "training (s)", "labels from", "s a pair", "with"]
        blocks.append(table("Models", pd.DataFrame(models, columns=columns), *paths))
    now, default = _flat(command.settings), _flat(Settings.model_validate({"units": command.settings.units}))
    rows = [(name, value, "" if value == default[name] else default[name]) for name, value in now.items()]
    title = f"All settings; not the default: {sum(bool(other) for *_, other in rows) or 'none'}"
    settings = table(title, pd.DataFrame(rows, columns=["key", "value", "default, where another"]))
    versions = {"tls-finder": __version__, "Python": platform.python_version()}
    versions |= {name: version(name) for name in LIBRARIES}
    installed = pd.DataFrame(versions.items(), columns=["package", "version"])
    there = table("Installed where this page was made", installed)
    return [*blocks, more("Settings", settings), more("Versions", there)]


def _by_reason(at: StatePoint, rows: pd.DataFrame, what: str, none: str, path: Path) -> list[Markup]:
    """Counts by reason, numbers in it aside; and the rows themselves."""
    if rows.empty:
        return [text(f"{none}.")]
    rows = rows.reindex(columns=dict.fromkeys([*rows.columns, "reason"])).fillna({"reason": ""})
    kinds = rows["reason"].astype(str).str.replace(r"\d+(\.\d+)?(e[+-]?\d+)?", "…", regex=True)
    counts = kinds.value_counts().rename_axis("reason").reset_index(name="count")[["count", "reason"]]
    counts = counts.sort_values(["count", "reason"], ascending=[False, True])
    listed = with_labels(rows.head(LISTED), at.decimals)
    every = table(f"{len(listed)} of {len(rows)}", listed, path)
    return [table(f"{len(rows)} {what}, by reason", counts, path), more(f"The {what}", every)]


def _inputs(at: StatePoint) -> Markup:
    """Inputs of each kind; dates are those of the newest file."""
    minima = [path for folder in at.glasses.values() for path in minimum_paths(folder)]
    results, sets = [path for path in at.neb_files if path.exists()], at.all_pretraining_sets
    rows = []
    for name, number, of, paths in (
        ("minima", len(at.glasses), "glass", minima),
        ("pair tables", sum(map(stored_pairs, at.pair_tables)), "pair", at.pair_tables),
        ("NEB results", len(read_neb_results(at)), "result", results),
        ("pretraining sets", sum(map(stored_pairs, sets)), "pair", sets),
    ):
        status = [path.stat() for path in paths]
        newest = datetime.fromtimestamp(int(max((one.st_mtime for one in status), default=0)), timezone.utc)
        size, date = f"{sum(one.st_size for one in status) / 1e6:.3g}", f"{newest:%Y-%m-%d %H:%M}"
        rows.append((name, counted(number, of), len(paths), *((size, date) if paths else ("", ""))))
    return table("Inputs", pd.DataFrame(rows, columns=["input", "how many", "files", "size (MB)", "newest (UTC)"]))


def _flat(settings: Settings) -> dict[str, str]:
    """``neb.images`` and the like, and their values as in YAML."""
    flat = pd.json_normalize(settings.model_dump()).iloc[0]
    return {str(name): "null" if value is None else str(value) for name, value in flat.items()}
