"""Exact results as labels: found in the pair tables, and what is said of those that can't be used or can't be."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.errors import UserError
from pipeline.formats.csv_files import as_numbers
from pipeline.formats.keys import KEYS, PAIR_COLUMNS, by_pair, minimum_keys, rows_in
from pipeline.formats.pair_tables import read_batches
from pipeline.formats.results import ORIGIN, joined, read_calculations
from pipeline.progress import progress
from pipeline.units import Units
from pipeline.workspace import DW, QS, StatePoint

_LARGEST_QUANTUM = 10.0
"""ε; no vibration has a larger quantum. The upper level is at most that of the other minimum with half a quantum, so
that a splitting is no larger than |ΔE| and this. In metal units it is 0.57 eV; the stiffest bond there is, H₂, has
0.55 eV."""

_LISTED = 5
"""Offending pairs or lines that a message names."""


def check_no_contradiction(known: Sequence[pd.DataFrame]) -> None:
    """Raise UserError if a pair is called a double well in one place and none in another; the message lists them."""
    labels = joined(*(part[[DW, ORIGIN]] for part in known))
    both = labels[labels.groupby(KEYS)[DW].transform("nunique") > 1]
    if both.empty:
        return
    count, listed = _origins(both)
    raise UserError(f"{count} pairs are a double well in one place and none in another; keep one: {listed}")


def _origins(rows: pd.DataFrame) -> tuple[int, str]:
    """How many pairs there are, and the places of each, ORIGIN, in words."""
    pairs = [" and ".join(group) for _, group in rows.groupby(KEYS)[ORIGIN]]
    return len(pairs), "; ".join(pairs[:_LISTED]) + ("; …" if len(pairs) > _LISTED else "")


def different_splittings(at: StatePoint, neb: pd.DataFrame) -> list[str]:
    """A line on pairs with splittings that differ, unless the last is of run_neb.py, which adds what it refines."""
    differ = neb[neb.groupby(KEYS)[QS].transform("nunique") > 1]
    if differ.empty:
        return []
    ours = as_numbers(read_calculations(at).reindex(columns=[QS])[QS])
    last = differ[~differ.index.duplicated(keep="last")].set_index(QS, append=True).index
    refined = last[last.isin(ours.to_frame().set_index(QS, append=True).index)].droplevel(QS)
    count, listed = _origins(differ[~differ.index.isin(refined)])
    return [f"{count} pairs have splittings that differ; the last line counts, remove the others: {listed}"][:count]


def join_to_tables(at: StatePoint, known: pd.DataFrame) -> pd.DataFrame:
    """Rows of the pair tables for the pairs of which something is known.

    Parameters
    ----------
    at : StatePoint
        Whose pair tables.
    known : DataFrame
        By pair: ``conf``, ``i``, ``j`` and anything else; each pair once.

    Returns
    -------
    DataFrame
        By pair: the columns of the tables, and the further ones of ``known``.
    """
    found = []
    for path in progress(at.pair_tables, desc="joining", unit="table"):
        for rows in read_batches(path):
            rows = rows[rows_in(rows, known.index, at.decimals)]
            if len(rows):
                found.append(by_pair(rows, at.decimals))
    if not found:
        return known.iloc[:0]
    return pd.concat(found).astype({"conf": np.int64}).join(known.drop(columns=PAIR_COLUMNS))


def join_results(at: StatePoint, neb: pd.DataFrame, unit: Units) -> tuple[pd.DataFrame, list[str]]:
    """NEB results, each pair once, as rows of the pair tables; lines on what is in none, and on what can't be."""
    rows = join_to_tables(at, neb)
    unused = neb[~neb.index.isin(rows.index)]
    report = [f"NEB results: {len(neb)} pairs, {len(unused)} of them in no pair table and not used"]
    if len(unused):
        report.append(f"  the first of them: {_why_in_no_table(at, unused.iloc[0])}")
    if QS in rows and len(rows):
        report += _too_large(rows, unit)
    return rows, report


def _too_large(joined: pd.DataFrame, unit: Units) -> list[str]:
    """A line on splittings that no two levels of a pair have; they stay, for published ones are among such."""
    largest = _LARGEST_QUANTUM * unit.epsilon
    bad = joined[joined[QS] > joined["Delta_E"].abs() + largest]
    listed = [f"{origin}: {splitting:g}" for origin, splitting in zip(bad[ORIGIN], bad[QS], strict=True)]
    return [
        f"{len(bad)} splittings can't be: above |ΔE| + {largest:.2g} {unit.energy}; learnt from, unless you mend or "
        f"remove the lines: {'; '.join(listed[:_LISTED])}" + "; …" * (len(bad) > _LISTED)
    ][: len(bad)]


def _why_in_no_table(at: StatePoint, result: pd.Series) -> str:
    """Which line a result comes from, what of its pair the tables do not know, and what to do."""
    conf, i, j, origin = result[[*PAIR_COLUMNS, ORIGIN]]
    known, decimals = np.empty(0, np.int64), at.decimals
    for path in progress(at.pair_tables, desc="looking for a pair", unit="table"):
        for rows in read_batches(path, PAIR_COLUMNS):
            known = np.union1d(known, minimum_keys(rows.loc[rows["conf"] == conf, ["i", "j"]], decimals))
    missing = [float(name) for name in (i, j) if not np.isin(minimum_keys([name], decimals), known).all()]
    if not known.size:
        return f"{origin}: no pair table holds Cnf-{conf}; add its minima and run step0_collect.py, or mend the number"
    if missing:
        return f"{origin}: no pair of Cnf-{conf} has a minimum {missing[0]!r}; name it as there, to {decimals} decimals"
    return f"{origin}: the pair is not stored, though its minima are; raise pairs.max_delta_E for step0_collect.py"
