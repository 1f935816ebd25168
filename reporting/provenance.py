"""The report's section on files: what was left out or is unfinished and why, and from what all else was made."""

import platform
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from MLmodel.card import read_card
from pipeline import __version__
from pipeline.command import Command
from pipeline.formats.csv_files import read_own_csv
from pipeline.formats.pair_tables import stored_pairs
from pipeline.formats.results import read_calculations, read_neb_results, read_unfinished
from pipeline.formats.table_record import LEFT_OUT
from pipeline.settings import Settings
from pipeline.workspace import CLASSIFIER, PREDICTOR, StatePoint, minimum_paths
from reporting.page import Block, More, Page, missing, text

LISTED = 100
"""Largest number of rows of a table of reasons."""

LIBRARIES = ("autogluon.tabular", "catboost", "scikit-learn", "numpy", "scipy", "pandas", "numba", "ase", "matplotlib")


def _left_out(at: StatePoint, page: Page) -> list[Block]:
    """Minima that step 0 left out, and pairs whose exact calculation gave no verdict, by reason."""
    path, blocks = at.seen_minima, list[Block]()
    if path.exists():
        seen = read_own_csv(path, {"conf": "Int64", "file": object, "status": object, "reason": object})
        gone = seen.loc[seen["status"] == LEFT_OUT, ["conf", "file", "reason"]]
        blocks += _by_reason(gone, "minima left out by step 0", "No minimum was left out", path, page)
    else:
        blocks.append(missing(f"Whether minima were left out: step0_collect.py writes {path.name}."))
    return blocks + _by_reason(read_unfinished(at), "pairs unfinished", "No pair is unfinished", at.unfinished, page)


def _by_reason(rows: pd.DataFrame, what: str, none: str, path: Path, page: Page) -> list[Block]:
    """How many have which reason, numbers aside; and which these are."""
    if rows.empty:
        return [text(f"{none}.")]
    rows = rows.reindex(columns=dict.fromkeys([*rows.columns, "reason"])).fillna({"reason": ""})
    kinds = rows["reason"].astype(str).str.replace(r"\d+(\.\d+)?(e[+-]?\d+)?", "…", regex=True)
    counts = kinds.value_counts().rename_axis("reason").reset_index(name="count")[["count", "reason"]]
    labels = {name: rows[name].map("{:.12g}".format, na_action="ignore") for name in ("conf", "i", "j") if name in rows}
    listed = rows.assign(**labels).rename(columns={"conf": "glass"}).head(LISTED)
    some = f"{'The first ' if len(listed) < len(rows) else ''}{len(listed)} of them"
    counts = counts.sort_values(["count", "reason"], ascending=[False, True])
    title = f"{len(rows)} {what}, by reason"
    return [page.table(title, counts, path), More(f"The {what}", [page.table(some, listed, path)])]


def files_and_settings(command: Command, at: StatePoint, page: Page) -> list[Block]:
    """What was left out, inputs, what calculations and trainings took, settings and versions."""
    versions = {"tls-finder": __version__, "Python": platform.python_version()}
    versions |= {name: version(name) for name in LIBRARIES}
    installed = pd.DataFrame(versions.items(), columns=["package", "version"])
    return [
        *_left_out(at, page),
        _inputs(at, page),
        _calculations(at, page),
        *_models(at, page),
        More("Settings", [_settings(command.settings, page)]),
        More("Versions", [page.table("Installed where this page was made", installed)]),
    ]


def _inputs(at: StatePoint, page: Page) -> Block:
    """What there is of each kind of input; dates are those of the newest file."""
    minima = [path for folder in at.glasses.values() for path in minimum_paths(folder)]
    tables = at.pair_tables
    sets = [path for task in (CLASSIFIER, PREDICTOR) for path in at.pretraining_sets(task)]
    neb_files = [path for path in at.neb_files if path.exists()]
    rows = [
        ("minima", f"{len(at.glasses)} glasses, {len(minima)} files", *_size_and_date(minima)),
        ("pair tables", f"{sum(map(stored_pairs, tables))} pairs, {len(tables)} files", *_size_and_date(tables)),
        ("NEB results", f"{len(read_neb_results(at))} results, {len(neb_files)} files", *_size_and_date(neb_files)),
        ("pretraining sets", f"{sum(map(stored_pairs, sets))} pairs, {len(sets)} files", *_size_and_date(sets)),
    ]
    return page.table("Inputs", pd.DataFrame(rows, columns=["input", "how many", "size (MB)", "newest (UTC)"]))


def _size_and_date(paths: Iterable[Path]) -> tuple[str, str]:
    status = [path.stat() for path in paths]
    if not status:
        return "", ""
    newest = datetime.fromtimestamp(int(max(one.st_mtime for one in status)), timezone.utc)
    return f"{sum(one.st_size for one in status) / 1e6:.3g}", f"{newest:%Y-%m-%d %H:%M}"


def _calculations(at: StatePoint, page: Page) -> Block:
    table = read_calculations(at)
    if table.empty:
        return missing(f"What exact calculations took: run_neb.py writes {at.calculations.name}.")
    table["cpu_seconds"] = pd.to_numeric(table["cpu_seconds"], errors="coerce")
    groups = table.fillna({"verdict": "", "fidelity": ""}).groupby(["verdict", "fidelity"])["cpu_seconds"]
    rows = groups.agg(["size", "sum", "median", "max"]).reset_index()
    rows.columns = ["verdict", "images", "calculations", "CPU in all (s)", "median (s)", "longest (s)"]
    title = f"Exact calculations: {len(table)}, {table['cpu_seconds'].sum() / 60:.3g} min of CPU time"
    return page.table(title, rows, at.calculations)


def _models(at: StatePoint, page: Page) -> list[Block]:
    rows, paths, blocks = [], [], list[Block]()
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
    return [*blocks, page.table("Models", pd.DataFrame(rows, columns=columns), *paths)] if rows else blocks


def _settings(settings: Settings, page: Page) -> Block:
    now = _flat(settings.model_dump())
    default = _flat(Settings.model_validate({"units": settings.units}).model_dump())
    rows = [(name, value, "" if value == default[name] else default[name]) for name, value in now.items()]
    changed = sum(bool(other) for *_, other in rows)
    title = f"All settings; {changed or 'none'} {'is' if changed == 1 else 'are'} not the default"
    return page.table(title, pd.DataFrame(rows, columns=["key", "value", "default, where another"]))


def _flat(settings: Mapping[str, Any]) -> dict[str, str]:
    found = dict[str, str]()
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{below}": one for below, one in _flat(value).items()}
        else:
            found[name] = "null" if value is None else str(value)
    return found
