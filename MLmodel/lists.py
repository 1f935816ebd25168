"""The lists of predicted pairs, written in order: what stays in memory is 16 bytes a pair, the rows wait on disk."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from MLmodel.card import Card
from MLmodel.chances import Chances, tls_chances
from MLmodel.labels import keys_in_pretraining
from MLmodel.local_glass import LocalCorrection
from MLmodel.metrics import Array
from MLmodel.model import Model, read_set, unseen_predictions
from MLmodel.rearrangements import each_once
from MLmodel.smooth import SOFTENING
from MLmodel.tables import (
    BATCH,
    PROBABILITY,
    TLS_PROBABILITY,
    csv_columns,
    csv_writer,
    read_batches,
    read_csv_batches,
)
from pipeline.keys import KEY_COLUMNS, PAIR_COLUMNS, among, pair_keys
from pipeline.neb_files import keys_with_result, read_neb_results
from pipeline.progress import progress
from pipeline.settings import Settings
from pipeline.task import CLASSIFIER, DW, PREDICTOR, QS
from pipeline.workspace import Workspace

SHOWN_ONCE = 1000
"""rearrangements.list_once orders so many rows at the top."""


def write_lists(
    work: Workspace, card: Card, settings: Settings, double_wells: Path, all_pairs: Path, new_pairs: Path
) -> int:
    """Write both lists: all pairs, smallest splitting first; those without an answer, best chance to be a TLS first.

    Parameters
    ----------
    work, card
        Where the predictor is, and which.
    settings : Settings
        ``tls_threshold``, ``ij_decimals``, ``rearrangements``, ``units``.
    double_wells : Path
        The pairs as step 2 wrote them.
    all_pairs, new_pairs : Path
        The lists.

    Returns
    -------
    int
        Exact results that the models did not learn from and that corrected the predictions for like pairs.
    """
    decimals = settings.ij_decimals
    model = Model(work, card)
    chances = tls_chances(*unseen_predictions(work, card), settings.tls_threshold)
    others = [name for name in csv_columns(double_wells) if name not in (*PAIR_COLUMNS, QS)]
    columns = [*PAIR_COLUMNS, QS, TLS_PROBABILITY, *others]
    known = [read(work, card.temperature, decimals) for read in (keys_with_result, keys_in_pretraining)]
    answered = pd.concat(known).drop_duplicates()
    answers = known_answers(work, card.temperature, decimals)
    with (
        tempfile.TemporaryFile(dir=all_pairs.parent) as spool,
        csv_writer(all_pairs, columns, settings.unit) as write_all,
        csv_writer(new_pairs, columns, settings.unit) as write_new,
    ):
        found = _spooled(model, double_wells, columns, spool, answers, decimals)
        is_new = found["is_new"].to_numpy(bool)
        softening = SOFTENING * settings.unit.epsilon
        correction = LocalCorrection(found, is_new, read_set(work, card, "used"), chances, softening)
        splittings, tls = _finished(spool, columns, correction, answered, chances, decimals)
        for rows in _in_order(spool, columns, np.argsort(splittings, kind="stable")):
            write_all(rows)
        listed = 0
        for rows in _in_order(spool, columns, np.lexsort((splittings, -tls))):
            new = rows[~among(pair_keys(rows, decimals), answered)]
            if settings.rearrangements.list_once and listed < SHOWN_ONCE:
                top = each_once(work, card.temperature, new.head(SHOWN_ONCE - listed), settings)
                new = pd.concat([top, new.iloc[len(top) :]])
            write_new(new)
            listed += len(new)
    return int(is_new.sum())


def known_answers(work: Workspace, temperature: str, decimals: int) -> pd.DataFrame:
    """Keys of all pairs with an exact result.

    Returns
    -------
    DataFrame
        ``KEY_COLUMNS``; ``DW``; ``exact``, the splitting; ``is_new``, whether neither model was trained on it.
    """
    neb = read_neb_results(work, temperature)
    new = pair_keys(neb, decimals).join(neb[[DW]]).assign(exact=neb[QS], is_new=True)
    parts = [new.drop_duplicates(KEY_COLUMNS, keep="last")]
    for task in (CLASSIFIER, PREDICTOR):
        path = work.model_set(task, temperature, "train")
        if path.exists():
            learnt = pd.concat(read_batches(path, [*PAIR_COLUMNS, task.target]))
            keys = pair_keys(learnt, decimals)
            parts[0].loc[among(parts[0], keys), "is_new"] = False
            if task == PREDICTOR:
                parts.append(keys.assign(**{DW: 1, "exact": learnt[QS], "is_new": False}))
    return pd.concat([part for part in parts if len(part)] or parts).drop_duplicates(KEY_COLUMNS)


def _spooled(
    model: Model, double_wells: Path, columns: list[str], spool: IO[bytes], answers: pd.DataFrame, decimals: int
) -> pd.DataFrame:
    """Let all pairs wait on disk with their splittings; those of them that :func:`known_answers` holds, with it."""
    found = []
    with progress(desc="predicting", unit="pair") as bar:
        for rows in read_csv_batches(double_wells):
            rows = rows.assign(**{QS: model.predict(rows), TLS_PROBABILITY: np.nan})[columns]
            rows.to_numpy(np.float64).tofile(spool)
            merged = pair_keys(rows, decimals).reset_index(names="row").merge(answers, on=KEY_COLUMNS)
            found.append(rows.loc[merged["row"]].reset_index(drop=True).join(merged[[DW, "exact", "is_new"]]))
            bar.update(len(rows))
    spool.flush()
    return pd.concat(found, ignore_index=True)


def _finished(
    spool: IO[bytes],
    columns: list[str],
    correction: LocalCorrection,
    answered: pd.DataFrame,
    chances: Chances,
    decimals: int,
) -> tuple[Array, Array]:
    """Correct the pairs that wait on disk, but for those with an answer, and put in their chances to be a TLS.

    Returns
    -------
    splittings, tls : ndarray of shape (n_pairs,)
        And the chance to be a TLS.
    """
    total = os.fstat(spool.fileno()).st_size // (8 * len(columns))
    splittings, tls = np.empty(total), np.empty(total)
    for start in range(0, total, BATCH):
        waiting = np.memmap(spool, np.float64, "r+", shape=(total, len(columns)))[start : start + BATCH]
        rows = pd.DataFrame(waiting, columns=columns, copy=True)
        new = ~among(pair_keys(rows, decimals), answered)
        corrected, spread = correction.correct(rows[new]), np.ones(len(rows))
        rows.loc[new, [QS, PROBABILITY]] = np.column_stack([corrected.splitting, corrected.dw_probability])
        spread[new] = corrected.spread
        rows[TLS_PROBABILITY] = rows[PROBABILITY] * chances(rows[QS].to_numpy(), spread)
        waiting[:] = rows
        splittings[start : start + BATCH], tls[start : start + BATCH] = rows[QS], rows[TLS_PROBABILITY]
    return splittings, tls


def _in_order(spool: IO[bytes], columns: list[str], order: NDArray[np.int64]) -> Iterator[pd.DataFrame]:
    """Batches of the rows that wait on disk; of them one is in memory at a time."""
    for start in range(0, len(order), BATCH):
        rows = np.memmap(spool, np.float64, "r", shape=(len(order), len(columns)))[order[start : start + BATCH]]
        yield pd.DataFrame(rows, columns=columns).astype({"conf": np.int64})
