"""Double wells that were calculated, and which of them are one rearrangement: ``double_wells.csv``."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glass.rearrangements import EDGES, displacement_field, find_rearrangements
from pipeline.files import atomic_write
from pipeline.keys import KEY_COLUMNS, PAIR_COLUMNS, no_pairs, pair_keys
from pipeline.minima import places_by_key, read_place
from pipeline.minimum_files import MinimumError
from pipeline.neb_files import read_calculations, read_neb_results
from pipeline.settings import Settings
from pipeline.task import DW, QS
from pipeline.workspace import Workspace

REARRANGEMENT = "rearrangement"
"""Column that numbers the rearrangements of each glass from 1; 0 where the minima are not there."""


class Sorted(NamedTuple):
    """Pairs with the number of their rearrangement."""

    numbers: NDArray[np.int64]
    """As in the column REARRANGEMENT; shape (n_pairs,)."""
    overlaps: NDArray[np.int64]
    """How many pairs of pairs overlap so much, between the EDGES of :mod:`glass.rearrangements`, all glasses."""


def sort_pairs(workspace: Workspace, temperature: str, pairs: pd.DataFrame, settings: Settings) -> Sorted:
    """Number the rearrangements of each glass in the order of their first pairs.

    Parameters
    ----------
    workspace, temperature
        Where the minima are.
    pairs : DataFrame
        ``conf``, ``i``, ``j``.
    settings : Settings
        ``ij_decimals`` and ``rearrangements.overlap``.
    """
    keys = pair_keys(pairs, settings.ij_decimals)
    numbers = np.zeros(len(pairs), np.int64)
    overlaps = np.zeros(len(EDGES) - 1, np.int64)
    for conf, rows in keys.reset_index(drop=True).groupby("conf"):
        fields, known = _fields(workspace, temperature, int(conf), rows, settings.ij_decimals)
        if known.any():
            found = find_rearrangements(fields[known], settings.rearrangements.overlap)
            numbers[rows.index[known]] = found.labels + 1
            overlaps += found.overlaps
    return Sorted(numbers, overlaps)


def _fields(
    workspace: Workspace, temperature: str, conf: int, rows: pd.DataFrame, decimals: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Displacement fields of some pairs of one glass, shape (n_pairs, 3N), and which of them are known."""
    places = places_by_key(workspace.glass(temperature, conf), decimals)
    minima = {}
    for key in np.unique(rows[["low", "high"]]):
        try:
            minima[key] = read_place(places[key])
        except (KeyError, OSError, MinimumError):
            continue  # step 0 and run_neb.py say what is wrong with it
    known = np.array([low in minima and high in minima for low, high in zip(rows["low"], rows["high"], strict=True)])
    size = max((one.positions.size for one in minima.values()), default=0)
    fields = np.zeros((len(rows), size), np.float32)
    for row in np.flatnonzero(known):
        low, high = (minima[rows[name].iloc[row]] for name in ("low", "high"))
        known[row] = low.positions.size == high.positions.size == size
        if known[row]:
            fields[row] = displacement_field(low.positions, high.positions, low.box)
    return fields, known


def update_double_wells(
    workspace: Workspace, temperature: str, settings: Settings
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Write ``double_wells.csv`` anew from the NEB files: smallest splitting first, with fidelity and rearrangement.

    Returns
    -------
    double_wells : DataFrame
        What was written.
    overlaps : ndarray of shape (n_bins,)
        As in :class:`Sorted`.
    """
    neb = read_neb_results(workspace, temperature)
    decimals = settings.ij_decimals
    neb = neb[~pair_keys(neb, decimals).duplicated(keep="last") & (neb[DW] == 1)].sort_values(QS, kind="stable")
    found = sort_pairs(workspace, temperature, neb, settings)
    calculated = read_calculations(workspace, temperature)
    fidelity = pair_keys(calculated, decimals).join(calculated[["fidelity"]])[calculated["verdict"] == "double well"]
    fidelity = pair_keys(neb, decimals).merge(fidelity.drop_duplicates(KEY_COLUMNS, keep="last"), "left", KEY_COLUMNS)
    table = neb[[*PAIR_COLUMNS, QS]].assign(
        fidelity=fidelity["fidelity"].fillna("").to_numpy(), **{REARRANGEMENT: found.numbers}
    )
    with atomic_write(workspace.calculated_double_wells(temperature)) as part:
        table.to_csv(part, index=False)
    return table, found.overlaps


def read_double_wells(workspace: Workspace, temperature: str) -> pd.DataFrame:
    """``double_wells.csv`` as :func:`update_double_wells` wrote it; empty where it did not."""
    path = workspace.calculated_double_wells(temperature)
    if not path.exists():
        return no_pairs(QS, "fidelity", REARRANGEMENT).astype({QS: float, REARRANGEMENT: np.int64})
    return pd.read_csv(path, float_precision="round_trip", keep_default_na=False)


def count_tls(double_wells: pd.DataFrame, threshold: float) -> str:
    """How many TLS there are, and how many of them are distinct, in words.

    Parameters
    ----------
    double_wells : DataFrame
        As :func:`read_double_wells` gives it.
    threshold : float
        In ε; below it a double well is a TLS.
    """
    tls = double_wells[double_wells[QS] < threshold]
    known = tls[tls[REARRANGEMENT] > 0]
    counted = f"{len(tls)} TLS"
    if len(known):
        counted += f", {len(known.drop_duplicates(['conf', REARRANGEMENT]))} distinct"
    if len(known) < len(tls):
        counted += f" ({len(tls) - len(known)} without minima)"
    return counted


def each_once(workspace: Workspace, temperature: str, listed: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The rows of a list in an order in which the first pair of each rearrangement stands before all others."""
    numbers = sort_pairs(workspace, temperature, listed, settings).numbers
    names = pd.DataFrame({"conf": listed["conf"].to_numpy(), REARRANGEMENT: numbers})
    again = names.duplicated().to_numpy() & (numbers > 0)
    return pd.concat([listed[~again], listed[again]])
