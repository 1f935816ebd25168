"""The report on files: what was left out or is unfinished and why, and from what all else was made."""

import platform
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from MLmodel.card import read_card
from pipeline.command import Command
from pipeline.formats.csv_files import read_own_csv
from pipeline.formats.pair_tables import stored_pairs
from pipeline.formats.results import read_calculations, read_neb_results, read_unfinished
from pipeline.settings import Settings
from pipeline.version import __version__
from pipeline.workspace import CLASSIFIER, PREDICTOR, StatePoint, minimum_paths
from reporting.report_page import Block, Figures, Missing, More, Table, Text, number

LISTED = 100
"""Of the rows of one reason so many are shown."""

LIBRARIES = ("autogluon.tabular", "lightgbm", "scikit-learn", "numpy", "scipy", "pandas", "numba", "ase", "matplotlib")


def left_out(command: Command, at: StatePoint, figures: Figures) -> list[Block]:
    """Minima that step 0 left out, and pairs whose exact calculation gave no verdict, by reason."""
    path, blocks = at.rejected, list[Block]()
    if not path.exists():
        blocks.append(Missing(f"Whether minima were left out: step0_collect.py writes {path.name}."))
    else:
        rejected = read_own_csv(path, ["conf", "file", "reason"], ["conf"])
        glass = rejected["conf"].map(lambda conf: "" if pd.isna(conf) else f"Cnf-{conf:.0f}")
        files = pd.DataFrame({"glass": glass, "file": rejected["file"], "reason": rejected["reason"].fillna("")})
        blocks += _by_reason(files, "minima left out by step 0", "No minimum was left out", path, figures)
    path = at.unfinished
    unfinished = read_unfinished(at)
    if "reason" not in unfinished:
        unfinished["reason"] = ""
    pairs = pd.DataFrame(
        {
            "glass": [f"Cnf-{conf}" for conf in unfinished["conf"]],
            **{name: [f"{value:.12g}" for value in unfinished[name]] for name in "ij"},
            "reason": unfinished["reason"].fillna("").astype(str),
        }
    )
    return blocks + _by_reason(pairs, "pairs unfinished", "No pair is unfinished", path, figures)


def _by_reason(rows: pd.DataFrame, what: str, none: str, path: Path, figures: Figures) -> list[Block]:
    """How many have which reason, numbers aside; and which these are."""
    if rows.empty:
        return [Text(f"{none}.")]
    kinds = rows["reason"].astype(str).map(lambda reason: re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "…", reason))
    count = kinds.value_counts(sort=True)
    title = f"{len(rows)} {what}, by reason"
    table = [[str(count[kind]), kind] for kind in sorted(count.index, key=lambda kind: (-count[kind], kind))]
    first = rows.head(LISTED)
    listed = Table(
        f"{'The first ' if len(first) < len(rows) else ''}{len(first)} of them",
        list(first.columns),
        first.astype(str).to_numpy().tolist(),
        figures.links(path),
    )
    return [Table(title, ["how many", "reason"], table, figures.links(path)), More(f"The {what}", [listed])]


def provenance(command: Command, at: StatePoint, figures: Figures) -> list[Block]:
    """Settings, versions, inputs, and what the calculations and trainings took."""
    return [
        _inputs(at),
        *_calculations(at, figures),
        *_models(at, figures),
        More("Settings", [_settings(command.settings)]),
        More("Versions", [_versions()]),
    ]


def _inputs(at: StatePoint) -> Table:
    """What there is of each kind of input; dates are those of the newest file."""
    glasses = at.glasses
    minima = [path for folder in glasses.values() for path in minimum_paths(folder)]
    tables = at.pair_tables
    results = read_neb_results(at)
    sets = [path for task in (CLASSIFIER, PREDICTOR) for path in at.pretraining_sets(task)]
    neb_files = [path for path in at.neb_files if path.exists()]
    rows = [
        ["minima", f"{len(glasses)} glasses, {len(minima)} files", *_size_and_date(minima)],
        ["pair tables", f"{sum(map(stored_pairs, tables))} pairs, {len(tables)} files", *_size_and_date(tables)],
        ["NEB results", f"{len(results)} results, {len(neb_files)} files", *_size_and_date(neb_files)],
        ["pretraining sets", f"{sum(map(stored_pairs, sets))} pairs, {len(sets)} files", *_size_and_date(sets)],
    ]
    return Table("Inputs", ["", "how many", "size (MB)", "newest (UTC)"], rows)


def _size_and_date(paths: Iterable[Path]) -> list[str]:
    status = [path.stat() for path in paths]
    if not status:
        return ["", ""]
    newest = datetime.fromtimestamp(int(max(one.st_mtime for one in status)), timezone.utc)
    return [f"{sum(one.st_size for one in status) / 1e6:.3g}", f"{newest:%Y-%m-%d %H:%M}"]


def _calculations(at: StatePoint, figures: Figures) -> list[Block]:
    path = at.calculations
    table = read_calculations(at)
    if table.empty:
        return [Missing(f"What exact calculations took: run_neb.py writes {path.name}.")]
    table = table.assign(
        cpu_seconds=pd.to_numeric(table["cpu_seconds"], errors="coerce"),
        **{name: table[name].fillna("").astype(str) for name in ("verdict", "fidelity")},
    )
    rows = [
        [verdict, fidelity, str(len(some)), number(some.sum(), 3), number(some.median(), 3), number(some.max(), 3)]
        for (verdict, fidelity), some in table.groupby(["verdict", "fidelity"])["cpu_seconds"]
    ]
    columns = ["verdict", "images", "calculations", "CPU in all (s)", "median (s)", "longest (s)"]
    title = f"Exact calculations: {len(table)}, {table['cpu_seconds'].sum() / 60:.3g} min of CPU time"
    return [Table(title, columns, rows, figures.links(path))]


def _models(at: StatePoint, figures: Figures) -> list[Block]:
    rows, paths, missing = [], [], list[Block]()
    for task in (CLASSIFIER, PREDICTOR):
        card = read_card(at, task)
        if card is None:
            missing.append(Missing(f"No {task.name}: {task.script} trains it."))
            continue
        sources = ", ".join(f"{source}: {count}" for source, count in card.sources.items())
        made = f"tls-finder {card.program}, {', '.join(f'{name} {one}' for name, one in card.versions.items())}"
        took = "" if card.training_seconds is None else number(card.training_seconds, 3)
        rows.append([task.name, card.trained, took, sources, f"{card.seconds_per_pair:.2g}", made])
        paths += [at.card(task), at.training_log(task)]
    if not rows:
        return missing
    columns = ["model", "trained (UTC)", "training (s)", "labels from", "s a pair", "with"]
    return [*missing, Table("Models", columns, rows, figures.links(*paths))]


def _settings(settings: Settings) -> Table:
    default = dict(_flat(Settings.model_validate({"units": settings.units}).model_dump()))
    rows = [
        [name, value, "" if value == default[name] else default[name]] for name, value in _flat(settings.model_dump())
    ]
    changed = sum(bool(row[2]) for row in rows)
    title = f"All settings; {changed or 'none'} {'are' if changed != 1 else 'is'} not the default"
    return Table(title, ["key", "value", "default, where another"], rows)


def _flat(settings: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    found = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{above}{name}.")
        else:
            found.append((above + name, "null" if value is None else str(value)))
    return found


def _versions() -> Table:
    rows = [["tls-finder", __version__], ["Python", platform.python_version()]]
    rows += [[name, version(name)] for name in LIBRARIES]
    return Table("Installed where this page was made", ["", "version"], rows)
