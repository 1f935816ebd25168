"""What is known of pairs: pretraining sets and the results of exact calculations."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from MLmodel.result_labels import check_no_contradiction, different_splittings, join_results
from pipeline.errors import UserError, short
from pipeline.formats.keys import PAIR_COLUMNS, by_pair, no_pairs, pair_index
from pipeline.formats.pair_tables import NEEDED, check_columns, feature_columns, open_table, read_batches
from pipeline.formats.possible import MAY_BE_UNKNOWN, NEIGHBOURHOOD
from pipeline.formats.results import ORIGIN, read_neb_results
from pipeline.formats.table_record import check_units
from pipeline.settings import Settings
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, StatePoint, Task

SOURCE = "source of the label"
"""Column that tells where a label comes from, ``neb`` or ``pretraining``; no feature of a user is called like it."""


def pretraining_paths(at: StatePoint) -> list[Path]:
    """The pretraining sets of one temperature, of both models."""
    return [path for task in (CLASSIFIER, PREDICTOR) for path in at.pretraining_sets(task)]


def pairs_in_pretraining(at: StatePoint) -> pd.MultiIndex:
    """All pairs that stand in a pretraining set; each once."""
    paths = pretraining_paths(at)
    parts = [rows for path in paths for rows in read_batches(path, PAIR_COLUMNS)]
    return pair_index(pd.concat(parts or [no_pairs()], ignore_index=True), at.decimals).drop_duplicates()


def read_pretraining(path: Path, task: Task, decimals: int) -> pd.DataFrame:
    """Read a pretraining set.

    Parameters
    ----------
    path : Path
        A feather file with the columns of a pair table and the task's target.
    task : Task
        Whose target the set holds.
    decimals : int
        To which the names of two minima are equal.

    Returns
    -------
    DataFrame
        ``conf``, ``i``, ``j``, the features, the target and ``ORIGIN``, the file and row; by
        :func:`pipeline.formats.keys.pair_index`.

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
    return by_pair(table, decimals)


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


def gather(at: StatePoint, task: Task, settings: Settings) -> Labelled:
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
    tables = at.pair_tables
    if not tables:
        raise UserError(f"{at.pairs}: no pair table; run step0_collect.py first")
    for path in tables:
        check_columns(path, open_table(path).schema, NEEDED)
    sets = pretraining_sets(at, task, settings)
    check_units([*tables, *sets], settings.unit)
    of_each = [feature_columns(open_table(path).schema) for path in tables]
    in_all_tables = [name for name in NEIGHBOURHOOD if all(name in names for names in of_each)]
    report = []
    neb = read_neb_results(at)
    if task == PREDICTOR:
        neb = neb[neb[DW] == 1]
        report += different_splittings(at, neb)
    known = [neb[[*PAIR_COLUMNS, task.target, ORIGIN]]]
    for path in sets:
        part = read_pretraining(path, task, at.decimals)
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
            f"{at.pretraining(task)}: no feature in common with {tables[0].parent}; give both the same columns"
        )
    if task == CLASSIFIER:
        check_no_contradiction(known)
    neb = known[0][~known[0].index.duplicated(keep="last")]
    joined, lines = join_results(at, neb, settings.unit)
    report += lines
    sources = [joined.assign(**{SOURCE: "neb"}), *(part.assign(**{SOURCE: "pretraining"}) for part in known[1:])]
    columns = [*PAIR_COLUMNS, *features, task.target, SOURCE]
    table = pd.concat([part[columns] for part in sources if len(part)] or [pd.DataFrame(columns=columns)])
    once = table[~table.index.duplicated()]
    if once.empty:
        example = f" ({len(neb)} NEB results, none of a pair in the tables: {lines[1].strip()})" if len(neb) else ""
        raise UserError(
            f"{at.neb}: no labels at T = {at.temperature}{example}; put NEB results of such pairs "
            f"there, or a pretraining set at {at.pretraining(task)}"
        )
    if len(once) < len(table):
        report.append(f"repeated pairs taken out: {len(table) - len(once)}")
    return Labelled(once.reset_index(drop=True), features, report)


def pretraining_sets(at: StatePoint, task: Task, settings: Settings) -> list[Path]:
    """All pretraining sets that are used at a temperature: its own, and those of the temperatures that are named.

    Raises
    ------
    UserError
        If a temperature that is named has none.
    """
    paths = at.pretraining_sets(task)
    for other in settings.pretraining:
        more = at.workspace.at(other).pretraining_sets(task)
        if not more:
            raise UserError(
                f"{at.workspace.at(other).pretraining(task)}: no such file; put the set there, or take {other} out of "
                "pretraining in config.yaml"
            )
        paths += [path for path in more if path not in paths]
    return paths
