"""The report's section on files: what was left out or is unfinished and why, and from what all else was made."""

import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from MLmodel.card import read_card
from pipeline import __version__
from pipeline.command import Command
from pipeline.formats.csv_files import read_own_csv
from pipeline.formats.pair_tables import stored_pairs
from pipeline.formats.results import read_calculations, read_neb_results, read_unfinished
from pipeline.messages import counted
from pipeline.settings import Settings
from pipeline.table_stamps import LEFT_OUT
from pipeline.workspace import CLASSIFIER, PREDICTOR, StatePoint, minimum_paths
from reporting.page import missing, more, table, text

LISTED = 100  # largest number of rows of a table of reasons
LIBRARIES = ("autogluon.tabular", "catboost", "scikit-learn", "numpy", "scipy", "pandas", "numba", "ase", "matplotlib")


def _left_out(at: StatePoint) -> list[Markup]:
    """Minima that step 0 left out, and pairs whose exact calculation gave no verdict, by reason."""
    path, blocks = at.seen_minima, list[Markup]()
    if path.exists():
        seen = read_own_csv(path, {"conf": "Int64", "file": object, "status": object, "reason": object})
        gone = seen.loc[seen["status"] == LEFT_OUT, ["conf", "file", "reason"]]
        blocks += _by_reason(gone, "minima left out by step 0", "No minimum was left out", path)
    else:
        blocks.append(missing(f"Whether minima were left out: step0_collect.py writes {path.name}."))
    return blocks + _by_reason(read_unfinished(at), "pairs unfinished", "No pair is unfinished", at.unfinished)


def _by_reason(rows: pd.DataFrame, what: str, none: str, path: Path) -> list[Markup]:
    """Counts by reason, numbers in it aside; and the rows themselves."""
    if rows.empty:
        return [text(f"{none}.")]
    rows = rows.reindex(columns=dict.fromkeys([*rows.columns, "reason"])).fillna({"reason": ""})
    kinds = rows["reason"].astype(str).str.replace(r"\d+(\.\d+)?(e[+-]?\d+)?", "…", regex=True)
    counts = kinds.value_counts().rename_axis("reason").reset_index(name="count")[["count", "reason"]]
    counts = counts.sort_values(["count", "reason"], ascending=[False, True])
    labels = {name: rows[name].map("{:.12g}".format, na_action="ignore") for name in ("conf", "i", "j") if name in rows}
    listed = rows.assign(**labels).rename(columns={"conf": "glass"}).head(LISTED)
    every = table(f"{len(listed)} of {len(rows)}", listed, path)
    return [table(f"{len(rows)} {what}, by reason", counts, path), more(f"The {what}", every)]


def files_and_settings(command: Command, at: StatePoint) -> list[Markup]:
    """Minima and pairs left out, inputs, cost of calculations and trainings, settings and versions."""
    versions = {"tls-finder": __version__, "Python": platform.python_version()}
    versions |= {name: version(name) for name in LIBRARIES}
    installed = pd.DataFrame(versions.items(), columns=["package", "version"])
    now, default = _flat(command.settings), _flat(Settings.model_validate({"units": command.settings.units}))
    rows = [(name, value, "" if value == default[name] else default[name]) for name, value in now.items()]
    title = f"All settings; not the default: {sum(bool(other) for *_, other in rows) or 'none'}"
    return [
        *_left_out(at),
        _inputs(at),
        _calculations(at),
        *_models(at),
        more("Settings", table(title, pd.DataFrame(rows, columns=["key", "value", "default, where another"]))),
        more("Versions", table("Installed where this page was made", installed)),
    ]


def _inputs(at: StatePoint) -> Markup:
    """Inputs of each kind; dates are those of the newest file."""
    minima = [path for folder in at.glasses.values() for path in minimum_paths(folder)]
    tables = at.pair_tables
    sets = at.all_pretraining_sets
    neb_files = [path for path in at.neb_files if path.exists()]
    rows = [
        ("minima", counted(len(at.glasses), "glass"), *_size_and_date(minima)),
        ("pair tables", counted(sum(map(stored_pairs, tables)), "pair"), *_size_and_date(tables)),
        ("NEB results", counted(len(read_neb_results(at)), "result"), *_size_and_date(neb_files)),
        ("pretraining sets", counted(sum(map(stored_pairs, sets)), "pair"), *_size_and_date(sets)),
    ]
    return table("Inputs", pd.DataFrame(rows, columns=["input", "how many", "files", "size (MB)", "newest (UTC)"]))


def _size_and_date(paths: Sequence[Path]) -> tuple[int, str, str]:
    status = [path.stat() for path in paths]
    newest = datetime.fromtimestamp(int(max((one.st_mtime for one in status), default=0)), timezone.utc)
    size, date = f"{sum(one.st_size for one in status) / 1e6:.3g}", f"{newest:%Y-%m-%d %H:%M}"
    return len(paths), *((size, date) if status else ("", ""))


def _calculations(at: StatePoint) -> Markup:
    known = read_calculations(at)
    if known.empty:
        return missing(f"What exact calculations took: run_neb.py writes {at.calculations.name}.")
    known["cpu_seconds"] = pd.to_numeric(known["cpu_seconds"], errors="coerce")
    groups = known.fillna({"verdict": "", "fidelity": ""}).groupby(["verdict", "fidelity"])["cpu_seconds"]
    rows = groups.agg(["size", "sum", "median", "max"]).reset_index()
    rows.columns = ["verdict", "images", "calculations", "CPU in all (s)", "median (s)", "longest (s)"]
    title = f"Exact calculations: {len(known)}, {known['cpu_seconds'].sum() / 60:.3g} min of CPU time"
    return table(title, rows, at.calculations)


def _models(at: StatePoint) -> list[Markup]:
    rows, paths, blocks = [], [], list[Markup]()
    columns = ["model", "trained (UTC)", "training (s)", "labels from", "s a pair", "with"]
    for task in (CLASSIFIER, PREDICTOR):
        card = read_card(at, task)
        if card is None:
            blocks.append(missing(f"No {task.name}: {task.script} trains it."))
            continue
        labels = ", ".join(f"{source}: {count}" for source, count in card.sources.items())
        made_with = ", ".join(f"{name} {one}" for name, one in {"tls-finder": card.program, **card.versions}.items())
        rows.append((task.name, card.trained, card.training_seconds, labels, card.seconds_per_pair, made_with))
        paths += [at.card(task), at.training_log(task)]
    return [*blocks, table("Models", pd.DataFrame(rows, columns=columns), *paths)] if rows else blocks


def _flat(settings: Settings) -> dict[str, str]:
    """``neb.images`` and the like, and their values as in YAML."""
    flat = pd.json_normalize(settings.model_dump()).iloc[0]
    return {str(name): "null" if value is None else str(value) for name, value in flat.items()}
