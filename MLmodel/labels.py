"""What is known of pairs: pretraining sets and the results of exact calculations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from MLmodel.possible import MAY_BE_UNKNOWN, NEIGHBOURHOOD
from MLmodel.table_record import check_units
from MLmodel.tables import NEEDED, check_columns, feature_columns, open_table, read_batches
from pipeline.csv_files import as_numbers
from pipeline.errors import UserError, short
from pipeline.keys import KEY_COLUMNS, PAIR_COLUMNS, among, minimum_keys, pair_keys
from pipeline.neb_files import ORIGIN, read_calculations, read_neb_results
from pipeline.progress import progress
from pipeline.settings import Settings
from pipeline.task import CLASSIFIER, DW, PREDICTOR, QS, Task
from pipeline.workspace import Workspace

SOURCE = "source of the label"
"""Column that tells where a label comes from, ``neb`` or ``pretraining``; no feature of a user is called like it."""

_LISTED = 5
"""Offending pairs or lines that a message names."""


def pretraining_paths(workspace: Workspace, temperature: str) -> list[Path]:
    """The pretraining sets of one temperature, of both models."""
    return [path for task in (CLASSIFIER, PREDICTOR) for path in workspace.pretraining_sets(task, temperature)]


def keys_in_pretraining(workspace: Workspace, temperature: str, decimals: int) -> pd.DataFrame:
    """Keys of all pairs that stand in a pretraining set; each once."""
    paths = pretraining_paths(workspace, temperature)
    parts = [rows for path in paths for rows in read_batches(path, PAIR_COLUMNS)]
    none = pd.DataFrame(columns=PAIR_COLUMNS, dtype=float)
    return pair_keys(pd.concat(parts or [none], ignore_index=True), decimals).drop_duplicates()


def read_pretraining(path: Path, task: Task) -> pd.DataFrame:
    """Read a pretraining set.

    Parameters
    ----------
    path : Path
        A feather file with the columns of a pair table and the task's target.
    task : Task
        Whose target the set holds.

    Returns
    -------
    DataFrame
        ``conf``, ``i``, ``j``, the features, the target and ``ORIGIN``, the file and row.

    Raises
    ------
    UserError
        If the set is unreadable, lacks a column, or has a value that is not allowed.
    """
    schema = open_table(path).schema
    check_columns(path, schema, [*PAIR_COLUMNS, task.target])
    features = feature_columns(schema)
    try:
        table = pd.concat(read_batches(path, [*PAIR_COLUMNS, *features, task.target]), ignore_index=True)
    except (ValueError, pa.ArrowInvalid):
        raise UserError(f"{path}: no row in it; remove the file or fill it") from None
    known = [*PAIR_COLUMNS, *(name for name in features if name not in MAY_BE_UNKNOWN), task.target]
    unknown = ~np.isfinite(table[known].to_numpy(np.float64))
    if unknown.any():
        row, column = np.argwhere(unknown)[0]
        raise UserError(f"{path}: row {row}: {short(known[column])} is not a finite number; fix the row or take it out")
    target = table[task.target]
    bad = ~target.isin((0, 1)) if task == CLASSIFIER else target <= 0
    if bad.any():
        row = int(np.argmax(bad))
        allowed = "0 or 1" if task == CLASSIFIER else "above zero"
        raise UserError(f"{path}: row {row}: {task.target} = {target[row]} is not {allowed}; fix the row")
    table["conf"] = table["conf"].astype(np.int64)
    table[ORIGIN] = [f"{path} row {row}" for row in table.index]
    return table


def check_no_contradiction(known: Sequence[pd.DataFrame], decimals: int) -> None:
    """Raise UserError if a pair is called a double well in one place and none in another; the message lists them."""
    parts = [pair_keys(part, decimals).assign(label=part[DW], origin=part[ORIGIN]) for part in known if len(part)]
    if not parts:
        return
    keys = pd.concat(parts, ignore_index=True)
    both = keys[keys.groupby(KEY_COLUMNS)["label"].transform("nunique") > 1]
    if both.empty:
        return
    count, listed = _origins(both)
    raise UserError(f"{count} pairs are a double well in one place and none in another; keep one: {listed}")


def _origins(rows: pd.DataFrame) -> tuple[int, str]:
    """How many pairs there are in KEY_COLUMNS, and the places of each, ``origin``, in words."""
    pairs = [" and ".join(group) for _, group in rows.groupby(KEY_COLUMNS)["origin"]]
    return len(pairs), "; ".join(pairs[:_LISTED]) + ("; …" if len(pairs) > _LISTED else "")


def _different_splittings(workspace: Workspace, temperature: str, neb: pd.DataFrame, decimals: int) -> list[str]:
    """A line on pairs with splittings that differ, unless the last is of run_neb.py, which adds what it refines."""
    keys = pair_keys(neb, decimals).assign(splitting=neb[QS], origin=neb[ORIGIN])
    keys = keys[keys.groupby(KEY_COLUMNS)["splitting"].transform("nunique") > 1]
    if keys.empty:
        return []
    calculated = read_calculations(workspace, temperature)
    ours = pair_keys(calculated, decimals).assign(splitting=as_numbers(calculated.reindex(columns=[QS])[QS]))
    last = keys.groupby(KEY_COLUMNS, as_index=False)["splitting"].last()
    refined = last.merge(ours, on=[*KEY_COLUMNS, "splitting"])
    count, listed = _origins(keys[~among(keys, refined)])
    return [f"{count} pairs have splittings that differ; the last line counts, remove the others: {listed}"][:count]


def join_to_tables(known: pd.DataFrame, tables: Sequence[Path], decimals: int) -> pd.DataFrame:
    """Rows of the pair tables for the pairs of which something is known.

    Parameters
    ----------
    known : DataFrame
        ``conf``, ``i``, ``j`` in either order, and anything else; each pair once.
    tables : sequence of Path
        Pair tables.
    decimals : int
        To which the names of two minima are equal.

    Returns
    -------
    DataFrame
        As in the tables, with the further columns of ``known``.
    """
    keys_known = pair_keys(known, decimals).join(known.drop(columns=PAIR_COLUMNS))
    found = []
    for path in progress(tables, desc="joining", unit="table"):
        for rows in read_batches(path):
            rows = rows[rows["conf"].isin(keys_known["conf"])]
            keys = pair_keys(rows, decimals)
            merged = keys.reset_index(names="row").merge(keys_known, on=KEY_COLUMNS)
            if len(merged):
                found.append(
                    rows.loc[merged["row"]].reset_index(drop=True).join(merged.drop(columns=["row", *KEY_COLUMNS]))
                )
    if not found:
        return known.iloc[:0]
    return pd.concat(found, ignore_index=True).astype({"conf": np.int64})


def _join_results(neb: pd.DataFrame, tables: Sequence[Path], decimals: int) -> tuple[pd.DataFrame, list[str]]:
    """NEB results, each pair once, as rows of the pair tables; how many are in none, and of the first of them why."""
    joined = join_to_tables(neb, tables, decimals)
    unused = neb[~among(pair_keys(neb, decimals), pair_keys(joined, decimals))]
    report = [f"NEB results: {len(neb)} pairs, {len(unused)} of them in no pair table and not used"]
    if len(unused):
        report.append(f"  the first of them: {_why_in_no_table(unused.iloc[0], tables, decimals)}")
    return joined, report


def _why_in_no_table(result: pd.Series, tables: Sequence[Path], decimals: int) -> str:
    """Which line a result comes from, what of its pair the tables do not know, and what to do."""
    conf, i, j, origin = result[[*PAIR_COLUMNS, ORIGIN]]
    of_glass = [
        pair_keys(rows[rows["conf"] == conf], decimals)
        for path in progress(tables, desc="looking for a pair", unit="table")
        for rows in read_batches(path, PAIR_COLUMNS)
    ]
    known = pd.concat(of_glass)[["low", "high"]].to_numpy()
    missing = [float(name) for name in (i, j) if not np.isin(minimum_keys([name], decimals), known).all()]
    if not known.size:
        return f"{origin}: no pair table holds Cnf-{conf}; add its minima and run step0_collect.py, or mend the number"
    if missing:
        return f"{origin}: no pair of Cnf-{conf} has a minimum {missing[0]!r}; name it as there, to {decimals} decimals"
    return f"{origin}: the pair is not stored, though its minima are; raise pairs.max_delta_E for step0_collect.py"


@dataclass(frozen=True)
class Labelled:
    """All that a model can be trained on.

    Attributes
    ----------
    table : DataFrame
        ``conf``, ``i``, ``j``, the features, the target and ``SOURCE`` (``neb`` or ``pretraining``); each pair once.
    features : list of str
        Those that both the labelled and the unlabelled tables have.
    report : list of str
        Where the labels came from and what was left out, as lines to print.
    """

    table: pd.DataFrame
    features: list[str]
    report: list[str]


def gather(workspace: Workspace, task: Task, temperature: str, settings: Settings) -> Labelled:
    """Bring together the pretraining sets and the NEB results of one temperature.

    Parameters
    ----------
    workspace : Workspace
        Where the files are.
    task : Task
        What is to be learnt.
    temperature : str
        As in the folders' names.
    settings : Settings
        ``ij_decimals``, ``units``, and ``pretraining``: the temperatures whose pretraining sets are used too.

    Raises
    ------
    UserError
        If there is no pair table, no label, no common feature, the labels contradict each other, or a table is in
        other units.
    """
    tables, decimals = workspace.pair_tables(temperature), settings.ij_decimals
    if not tables:
        raise UserError(f"{workspace.pairs(temperature)}: no pair table; run step0_collect.py first")
    for path in tables:
        check_columns(path, open_table(path).schema, NEEDED)
    sets = pretraining_sets(workspace, task, temperature, settings)
    check_units([*tables, *sets], settings.unit)
    of_each = [feature_columns(open_table(path).schema) for path in tables]
    in_all_tables = [name for name in NEIGHBOURHOOD if all(name in names for names in of_each)]
    report = []
    neb = read_neb_results(workspace, temperature)
    if task == PREDICTOR:
        neb = neb[neb[DW] == 1]
        report += _different_splittings(workspace, temperature, neb, decimals)
    known = [neb[[*PAIR_COLUMNS, task.target, ORIGIN]]]
    for path in sets:
        part = read_pretraining(path, task)
        report.append(f"pretraining set: {len(part)} pairs ({path})")
        unknown = [name for name in in_all_tables if name not in part]
        if unknown:
            report.append(f"  unknown in this set: {', '.join(unknown)}")
        known.append(part.reindex(columns=[*part, *unknown]))
        of_each.append([name for name in known[-1] if name not in (*PAIR_COLUMNS, task.target, ORIGIN)])
    found = dict.fromkeys(name for names in of_each for name in names)
    features = [name for name in found if all(name in names for names in of_each)]
    left_out = [name for name in found if name not in features]
    if left_out:
        report.append(f"features left out, as not all tables have them: {', '.join(left_out)}")
    if not features:
        raise UserError(
            f"{workspace.pretraining(task, temperature)}: no feature in common with {tables[0].parent}; "
            "give both the same columns"
        )
    if task == CLASSIFIER:
        check_no_contradiction(known, decimals)
    neb = known[0][~pair_keys(known[0], decimals).duplicated(keep="last")]
    joined, lines = _join_results(neb, tables, decimals)
    report += lines
    sources = [joined.assign(**{SOURCE: "neb"}), *(part.assign(**{SOURCE: "pretraining"}) for part in known[1:])]
    columns = [*PAIR_COLUMNS, *features, task.target, SOURCE]
    table = pd.concat([part[columns] for part in sources if len(part)] or [pd.DataFrame(columns=columns)])
    once = table[~pair_keys(table, decimals).duplicated()]
    if once.empty:
        example = f" ({len(neb)} NEB results, none of a pair in the tables: {lines[-1].strip()})" if len(neb) else ""
        raise UserError(
            f"{workspace.neb(temperature)}: no labels at T = {temperature}{example}; put NEB results of such pairs "
            f"there, or a pretraining set at {workspace.pretraining(task, temperature)}"
        )
    if len(once) < len(table):
        report.append(f"repeated pairs taken out: {len(table) - len(once)}")
    return Labelled(once.reset_index(drop=True), features, report)


def pretraining_sets(workspace: Workspace, task: Task, temperature: str, settings: Settings) -> list[Path]:
    """All pretraining sets that are used at a temperature: its own, and those of the temperatures that are named.

    Raises
    ------
    UserError
        If a temperature that is named has none.
    """
    paths = workspace.pretraining_sets(task, temperature)
    for other in settings.pretraining:
        more = workspace.pretraining_sets(task, other)
        if not more:
            raise UserError(
                f"{workspace.pretraining(task, other)}: no such file; put the set there, or take {other} out of "
                "pretraining in config.yaml"
            )
        paths += [path for path in more if path not in paths]
    return paths
