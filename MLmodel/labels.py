"""Labels: pretraining sets and the results of exact calculations, joined to the features of their pairs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from MLmodel.card import made_of, pretraining_sets
from pipeline.errors import UserError
from pipeline.formats.csv_files import as_numbers
from pipeline.formats.keys import KEYS, PAIR_COLUMNS, by_pair, minimum_keys, no_pairs, pair_index, rows_in
from pipeline.formats.pair_tables import (
    NEIGHBOURHOOD,
    check_units,
    checked_batches,
    feature_columns,
    open_table,
    read_batches,
)
from pipeline.formats.results import ORIGIN, SMALLEST, joined, read_calculations, read_neb_results
from pipeline.messages import Progress, counted
from pipeline.settings import Settings
from pipeline.stamps import Inputs, usable_tables
from pipeline.units import Units
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, StatePoint, Task

SOURCE = "source of the label"  # column: ``neb`` or ``pretraining``; no feature of a user is called like it

_LARGEST_QUANTUM = 10.0
"""ε; no vibration has a larger quantum. The upper level is at most that of the other minimum with half a quantum, so
that a splitting is no larger than |ΔE| and this. In metal units it is 0.57 eV; the stiffest bond there is, H₂, has
0.55 eV."""

_LISTED = 5  # offending pairs or lines that a message names

_UNLIKELY, _ENOUGH = 30.0, 10
"""A splitting is unlikely if it is so many times the median, or is as many times smaller beside |ΔE| than the median,
of at least ten labels. Of the 6731 of the example two are, by 109 and 43; the others stay below 5 and 16."""


@dataclass(frozen=True)
class Labelled:
    """All that a model can be trained on."""

    table: pd.DataFrame  # ``conf``, ``i``, ``j``, the features, the target and SOURCE; each pair once
    features: list[str]  # those that both the labelled and the unlabelled tables have
    report: list[str]  # where the labels came from and what was left out, as lines to print
    made_of: Inputs  # where all this was read, as it was before


def gather(at: StatePoint, task: Task, settings: Settings) -> Labelled:
    """Labels of one temperature; UserError without tables, labels or common features, or if labels contradict."""
    inputs, decimals = made_of(at, task, settings), at.decimals
    in_tables = [feature_columns(open_table(path).schema) for path in usable_tables(at, settings.unit)]
    sets = pretraining_sets(at, task, settings)
    for path in sets:
        check_units(path, settings.unit)
    neb, report = read_neb_results(at), list[str]()
    if task == PREDICTOR:
        neb = neb[neb[DW] == 1]
        report += _different_splittings(at, neb)
    neb = neb[[*PAIR_COLUMNS, task.target, ORIGIN]]
    in_all = [name for name in NEIGHBOURHOOD if all(name in names for names in in_tables)]
    pretraining, of_sets = [], []
    for path in sets:
        part = read_pretraining(path, task, decimals)
        report.append(f"pretraining set: {counted(len(part), 'pair')} ({path})")
        if unknown := [name for name in in_all if name not in part]:
            report.append(f"  unknown in this set: {', '.join(unknown)}")
        pretraining.append(part.reindex(columns=[*part, *unknown]))
        of_sets.append([name for name in pretraining[-1] if name not in (*PAIR_COLUMNS, task.target, ORIGIN)])
    found = dict.fromkeys(name for names in (*in_tables, *of_sets) for name in names)
    features = [name for name in found if all(name in names for names in (*in_tables, *of_sets))]
    if left_out := [name for name in found if name not in features]:
        report.append(f"features left out, as not all tables have them: {', '.join(left_out)}")
    if not features:
        raise UserError(f"{at.pretraining(task)}: no feature in common with {at.pairs}; give both the same columns")
    if task == CLASSIFIER:
        contradicting = _differing(joined(*(part[[DW, ORIGIN]] for part in (neb, *pretraining))), DW)
        if len(contradicting):
            are = f"{counted(len(contradicting), 'pair')} {'is' if len(contradicting) == 1 else 'are'}"
            said = f"{are} a double well in one place and none in another; keep one"
            raise UserError(f"{said}: {_first([*contradicting])}")
    neb = neb[~neb.index.duplicated(keep="last")]
    rows = join_to_tables(at, neb)
    unused = neb[~neb.index.isin(rows.index)]
    why = _why_in_no_table(at, unused.iloc[0]) if len(unused) else ""
    report.append(f"NEB results: {counted(len(neb), 'pair')}, {len(unused)} of them in no pair table and not used")
    report += [f"  the first of them: {why}"] if why else []
    sources = [rows.assign(**{SOURCE: "neb"}), *(part.assign(**{SOURCE: "pretraining"}) for part in pretraining)]
    columns = [*PAIR_COLUMNS, *features, task.target, SOURCE, ORIGIN]
    table = joined(*(part.reindex(columns=columns) for part in sources))
    once = table[~table.index.duplicated()]
    if once.empty:
        example = f" ({len(neb)} NEB results, none of a pair in the tables: the first of them: {why})" if why else ""
        raise UserError(
            f"{at.neb}: no labels at T = {at.temperature}{example}; put some there, or at {at.pretraining(task)}"
        )
    if task == PREDICTOR:
        report += _odd_splittings(rows, once, settings.unit)
    if len(once) < len(table):
        report.append(f"repeated pairs taken out: {len(table) - len(once)}")
    return Labelled(once.drop(columns=ORIGIN).reset_index(drop=True), features, report, inputs)


def pairs_in_pretraining(at: StatePoint) -> pd.MultiIndex:
    """All pairs that stand in a pretraining set; each once."""
    sets = (checked_batches(path, at.decimals, PAIR_COLUMNS, features=False) for path in at.all_pretraining_sets)
    parts = [rows for batches in sets for rows in batches]
    return pair_index(pd.concat(parts or [no_pairs()], ignore_index=True), at.decimals).drop_duplicates()


def read_pretraining(path: Path, task: Task, decimals: int) -> pd.DataFrame:
    """Read a pretraining set, by pair, with ``ORIGIN``, the file and row; UserError if it has a value not allowed."""
    batches = list(checked_batches(path, decimals, [*PAIR_COLUMNS, task.target]))
    if not sum(map(len, batches)):
        raise UserError(f"{path}: no row in it; remove the file or fill it")
    table = pd.concat(batches, ignore_index=True)
    target = table[task.target]
    bad = ~target.isin((0, 1)) if task == CLASSIFIER else target < SMALLEST
    if bad.any():
        row = int(np.argmax(bad))
        allowed = "0 or 1" if task == CLASSIFIER else f"{SMALLEST:g} or more"
        raise UserError(f"{path}: row {row}: {task.target} = {target[row]:g} is not {allowed}; fix the row")
    table[ORIGIN] = [f"{path} row {row}" for row in table.index]
    return by_pair(table, decimals)


def rows_of(tables: Iterable[Path], pairs: pd.MultiIndex, decimals: int, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Rows of pair tables, by pair, with all or some columns, for those of some pairs that are there."""
    batches = (rows for path in tables for rows in read_batches(path, columns or None))
    found = [by_pair(some, decimals) for rows in batches if len(some := rows[rows_in(rows, pairs, decimals)])]
    return pd.concat(found or [no_pairs(*columns[3:])]).astype({"conf": np.int64})


def join_to_tables(at: StatePoint, known: pd.DataFrame) -> pd.DataFrame:
    """Rows of the pair tables, by pair, for the pairs of a table by pair, and what stands in that."""
    tables = Progress(at.pair_tables, desc="joining", unit="table")
    return rows_of(tables, known.index, at.decimals).join(known.drop(columns=PAIR_COLUMNS))


def _why_in_no_table(at: StatePoint, result: pd.Series) -> str:
    """Line a result comes from, what of its pair the tables do not know, and what to do."""
    conf, i, j, origin = result[[*PAIR_COLUMNS, ORIGIN]]
    known, decimals = np.empty(0, np.int64), at.decimals
    for path in Progress(at.pair_tables, desc="looking for a pair", unit="table"):
        for rows in read_batches(path, PAIR_COLUMNS):
            known = np.union1d(known, minimum_keys(rows.loc[rows["conf"] == conf, ["i", "j"]], decimals))
    missing = [float(name) for name in (i, j) if not np.isin(minimum_keys([name], decimals), known).all()]
    if not known.size:
        return f"{origin}: no pair table holds Cnf-{conf}; add its minima and run step0_collect.py, or mend the number"
    if missing:
        return f"{origin}: no pair of Cnf-{conf} has a minimum {missing[0]!r}; name it as there, to {decimals} decimals"
    return f"{origin}: the pair is not stored, though its minima are; raise pairs.max_delta_E for step0_collect.py"


def _differing(rows: pd.DataFrame, column: str) -> "pd.Series[str]":
    """The places, in words, of each pair whose values of a column differ."""
    differ = rows[rows.groupby(KEYS)[column].transform("nunique") > 1]
    return differ.groupby(KEYS)[ORIGIN].agg(" and ".join)


def _first(places: Sequence[str]) -> str:
    """The first of them as text."""
    return "; ".join(places[:_LISTED]) + "; …" * (len(places) > _LISTED)


def _different_splittings(at: StatePoint, neb: pd.DataFrame) -> list[str]:
    """A line on pairs with splittings that differ, unless the last is of run_neb.py, which adds what it refines."""
    pairs = _differing(neb, QS)
    if len(pairs):
        ours = as_numbers(read_calculations(at).reindex(columns=[QS])[QS])
        last = neb.loc[~neb.index.duplicated(keep="last"), QS].loc[pairs.index]
        last, ours = (values.to_frame().set_index(QS, append=True).index for values in (last, ours))
        pairs = pairs[~last.isin(ours)]
    said = f"{counted(len(pairs), 'pair')} {'has' if len(pairs) == 1 else 'have'} splittings that differ"
    return [f"{said}; the last line counts, remove the others: {_first([*pairs])}"] if len(pairs) else []


def _odd_splittings(rows: pd.DataFrame, labels: pd.DataFrame, unit: Units) -> list[str]:
    """Lines on splittings that no two levels have, as some published ones, and on those far from all others."""
    largest = _LARGEST_QUANTUM * unit.epsilon
    impossible = rows[rows[QS] > rows["Delta_E"].abs() + largest] if len(rows) else rows
    cannot = f"can't be: above |ΔE| + {largest:.2g} {unit.energy}; learnt from, unless you mend or remove the lines"
    bad = labels[QS] > _UNLIKELY * labels[QS].median()
    if "Delta_E" in labels:
        ratio = labels[QS] / np.maximum(labels["Delta_E"].abs(), np.finfo(float).tiny)
        bad |= ratio < ratio.median() / _UNLIKELY
    unlikely = labels[bad & (len(labels) >= _ENOUGH)]
    are = "is" if len(unlikely) == 1 else "are"
    doubtful = f"{are} unlikely: {_UNLIKELY:g} times above or below what others are like; typed right?"
    lines = []
    for odd, said in ((impossible, cannot), (unlikely, doubtful)):
        places = [f"{origin}: {splitting:g}" for origin, splitting in zip(odd[ORIGIN], odd[QS], strict=True)]
        lines += [f"{counted(len(odd), 'splitting')} {said}: {_first(places)}"] if places else []
    return lines
