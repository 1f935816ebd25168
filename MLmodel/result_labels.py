"""Exact results as labels: found in the pair tables, and what is said of those that can't be used or can't be."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import UserError
from pipeline.formats.csv_files import as_numbers
from pipeline.formats.keys import KEY_COLUMNS, PAIR_COLUMNS, among, minimum_keys, pair_keys
from pipeline.formats.pair_tables import read_batches
from pipeline.formats.results import ORIGIN, read_calculations
from pipeline.progress import progress
from pipeline.settings import Settings
from pipeline.units import Units
from pipeline.workspace import DW, QS, StatePoint

_LARGEST_QUANTUM = 10.0
"""ε; no vibration has a larger quantum. The upper level is at most that of the other minimum with half a quantum, so
that a splitting is no larger than |ΔE| and this. In metal units it is 0.57 eV; the stiffest bond there is, H₂, has
0.55 eV."""

_LISTED = 5
"""Offending pairs or lines that a message names."""


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


def different_splittings(at: StatePoint, neb: pd.DataFrame, decimals: int) -> list[str]:
    """A line on pairs with splittings that differ, unless the last is of run_neb.py, which adds what it refines."""
    keys = pair_keys(neb, decimals).assign(splitting=neb[QS], origin=neb[ORIGIN])
    keys = keys[keys.groupby(KEY_COLUMNS)["splitting"].transform("nunique") > 1]
    if keys.empty:
        return []
    calculated = read_calculations(at)
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


def join_results(neb: pd.DataFrame, tables: Sequence[Path], settings: Settings) -> tuple[pd.DataFrame, list[str]]:
    """NEB results, each pair once, as rows of the pair tables; lines on what is in none, and on what can't be."""
    decimals = settings.ij_decimals
    joined = join_to_tables(neb, tables, decimals)
    unused = neb[~among(pair_keys(neb, decimals), pair_keys(joined, decimals))]
    report = [f"NEB results: {len(neb)} pairs, {len(unused)} of them in no pair table and not used"]
    if len(unused):
        report.append(f"  the first of them: {_why_in_no_table(unused.iloc[0], tables, decimals)}")
    if QS in joined and len(joined):
        report += _too_large(joined, settings.unit)
    return joined, report


def _too_large(joined: pd.DataFrame, unit: Units) -> list[str]:
    """A line on splittings that no two levels of a pair have; they stay, for published ones are among such."""
    largest = _LARGEST_QUANTUM * unit.epsilon
    bad = joined[joined[QS] > joined["Delta_E"].abs() + largest]
    listed = [f"{origin}: {splitting:g}" for origin, splitting in zip(bad[ORIGIN], bad[QS], strict=True)]
    return [
        f"{len(bad)} splittings can't be: above |ΔE| + {largest:.2g} {unit.energy}; learnt from, unless you mend or "
        f"remove the lines: {'; '.join(listed[:_LISTED])}" + "; …" * (len(bad) > _LISTED)
    ][: len(bad)]


def _why_in_no_table(result: pd.Series, tables: Sequence[Path], decimals: int) -> str:
    """Which line a result comes from, what of its pair the tables do not know, and what to do."""
    conf, i, j, origin = result[[*PAIR_COLUMNS, ORIGIN]]
    known = np.empty(0, np.int64)
    for path in progress(tables, desc="looking for a pair", unit="table"):
        for rows in read_batches(path, PAIR_COLUMNS):
            known = np.union1d(known, pair_keys(rows[rows["conf"] == conf], decimals)[["low", "high"]])
    missing = [float(name) for name in (i, j) if not np.isin(minimum_keys([name], decimals), known).all()]
    if not known.size:
        return f"{origin}: no pair table holds Cnf-{conf}; add its minima and run step0_collect.py, or mend the number"
    if missing:
        return f"{origin}: no pair of Cnf-{conf} has a minimum {missing[0]!r}; name it as there, to {decimals} decimals"
    return f"{origin}: the pair is not stored, though its minima are; raise pairs.max_delta_E for step0_collect.py"
