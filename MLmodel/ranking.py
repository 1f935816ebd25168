"""The lists of predicted pairs, written in order: parts of them wait on disk, sorted, and are merged."""

import io
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from MLmodel.card import Card
from MLmodel.chances import Chances, tls_chances
from MLmodel.correction import LocalCorrection
from MLmodel.for_jobs import loaded, loaded_model, saved, saved_model
from MLmodel.labels import pairs_in_pretraining
from MLmodel.model import read_set, unseen_predictions
from MLmodel.smooth import SOFTENING
from pipeline.errors import UserError
from pipeline.files import atomic_write, spool_folder
from pipeline.formats.csv_lines import Lines, parts_of, read_lines, read_numbers, with_numbers
from pipeline.formats.keys import KEY_COLUMNS, PAIR_COLUMNS, among, pair_keys
from pipeline.formats.listed import Listed
from pipeline.formats.pair_csv import csv_columns
from pipeline.formats.pair_tables import UNITS, read_batches
from pipeline.formats.possible import PROBABILITY, TLS_PROBABILITY
from pipeline.formats.results import pairs_with_result, read_neb_results
from pipeline.formats.sorted_lines import Waiting, let_wait, merged
from pipeline.progress import progress
from pipeline.settings import Settings
from pipeline.workers.pool import worker_pool
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, StatePoint, Workspace
from search.rearrangements import each_once

SHOWN_ONCE = 1000
"""rearrangements.list_once orders so many rows at the top."""


class Known(NamedTuple):
    """What the jobs need; they find it in a file, as it is too much to come with each."""

    model: Path
    """Of :func:`MLmodel.for_jobs.saved_model`."""
    double_wells: Path
    columns: list[str]
    """Of numbers."""
    decimals: int
    answers: pd.DataFrame
    """Of :func:`known_answers`."""
    answered: pd.DataFrame
    """Keys of the pairs that need no calculation."""
    chances: Chances


class Finished(NamedTuple):
    """A part of both lists, on disk."""

    parts: tuple[Waiting, Waiting]
    listed: tuple[Listed, Listed]


def write_lists(
    work: Workspace, card: Card, settings: Settings, double_wells: Path, all_pairs: Path, new_pairs: Path
) -> tuple[tuple[int, int], Listed, Listed]:
    """Write both lists: all pairs, smallest splitting first; those without an answer, best chance to be a TLS first.

    Parameters
    ----------
    work, card
        Where the predictor is, and which.
    settings : Settings
        ``tls_threshold``, ``ij_decimals``, ``rearrangements``, ``units``; ``cluster`` and ``processes``.
    double_wells : Path
        The pairs as step 2 wrote them.
    all_pairs, new_pairs : Path
        The lists.

    Returns
    -------
    used : tuple of int
        Exact results that the models did not learn from and that corrected the predictions for like pairs: those of the
        models' test sets, and those that came after.
    listed_all, listed_new : Listed
        What both lists hold.

    Raises
    ------
    UserError
        If the pairs are not as step 2 writes them.
    """
    decimals, temperature = settings.ij_decimals, card.temperature
    header, columns = _header(double_wells), csv_columns(double_wells)
    answered = pairs_with_result(work.at(temperature)).union(pairs_in_pretraining(work.at(temperature)))
    answers = known_answers(work.at(temperature), decimals)
    chances = tls_chances(*unseen_predictions(work, card), settings.tls_threshold)
    parts = parts_of(double_wells)
    with spool_folder(all_pairs) as spool, worker_pool(settings, len(parts)) as workers:
        model = saved_model(work, card, spool / "model")
        known = Known(model, double_wells, columns, decimals, answers, answered.to_frame(index=False), chances)
        there = saved(known, spool / "known")
        found = _all_found(
            known, workers.results(partial(_with_answer, there), parts if len(answers) else [], in_order=True)
        )
        is_new = found["is_new"].to_numpy(bool)
        softening = SOFTENING * settings.unit.epsilon
        correction = LocalCorrection(found, is_new, read_set(work, card, "used"), chances, softening)
        finish = partial(_finished, there, saved(correction, spool / "correction"))
        finished: list[Finished] = []
        with progress(desc="predicting", unit="pair") as bar:
            for part in workers.results(finish, parts, in_order=True):
                finished.append(part)
                bar.update(part.listed[0].pairs)
        _write(all_pairs, header, merged([part.parts[0] for part in finished]))
        best_first = merged([part.parts[1] for part in finished])
        _write(new_pairs, header, _each_once(work.at(temperature), best_first, settings))
    every, new = (
        Listed(sum(part.listed[k].pairs for part in finished), sum(part.listed[k].tls for part in finished))
        for k in range(2)
    )
    kept = _in_test_sets(work.at(temperature), found[is_new], decimals)
    return (kept, int(is_new.sum()) - kept), every, new


def _in_test_sets(at: StatePoint, pairs: pd.DataFrame, decimals: int) -> int:
    """How many pairs the models' test sets hold."""
    paths = [at.model_set(task, "test") for task in (CLASSIFIER, PREDICTOR)]
    parts = [batch for path in paths if path.exists() for batch in read_batches(path, PAIR_COLUMNS)]
    return int(among(pair_keys(pairs, decimals), pair_keys(pd.concat(parts), decimals)).sum()) if parts else 0


def known_answers(at: StatePoint, decimals: int) -> pd.DataFrame:
    """Keys of all pairs with an exact result.

    Returns
    -------
    DataFrame
        ``KEY_COLUMNS``; ``DW``; ``exact``, the splitting; ``is_new``, whether neither model was trained on it.
    """
    neb = read_neb_results(at).reset_index(drop=True)
    new = pair_keys(neb, decimals).join(neb[[DW]]).assign(exact=neb[QS], is_new=True)
    parts = [new.drop_duplicates(KEY_COLUMNS, keep="last")]
    for task in (CLASSIFIER, PREDICTOR):
        path = at.model_set(task, "train")
        if path.exists():
            learnt = pd.concat(read_batches(path, [*PAIR_COLUMNS, task.target]))
            keys = pair_keys(learnt, decimals)
            parts[0].loc[among(parts[0], keys), "is_new"] = False
            if task == PREDICTOR:
                parts.append(keys.assign(**{DW: 1, "exact": learnt[QS], "is_new": False}))
    return pd.concat([part for part in parts if len(part)] or parts).drop_duplicates(KEY_COLUMNS)


def _header(double_wells: Path) -> bytes:
    """First line of both lists."""
    with double_wells.open("rb") as file:
        header = file.readline().rstrip(b"\r\n")
    first, names = ",".join([*PAIR_COLUMNS, PROBABILITY]).encode(), csv_columns(double_wells)
    if not header.startswith(first) or not header.endswith(UNITS.encode()) or QS in names:
        raise UserError(
            f"{double_wells}: its columns are not those that step2_classify_dw.py writes; remove it and run that"
        )
    new = ",".join([*PAIR_COLUMNS, QS, TLS_PROBABILITY, PROBABILITY]).encode()
    return new + header[len(first) :] + b"\n"


def _with_answer(there: Path, part: tuple[int, int]) -> pd.DataFrame | None:
    """The pairs of a part that :func:`known_answers` holds, with their answers and as predicted; None for none."""
    known: Known = loaded(there)
    lines = read_lines(known.double_wells, part)
    keys = pair_keys(read_numbers(known.double_wells, lines, PAIR_COLUMNS), known.decimals)
    keys = keys[among(keys, known.answers)].reset_index(names="row")
    answers = keys.merge(known.answers, on=KEY_COLUMNS)
    if answers.empty:
        return None
    rows = read_numbers(known.double_wells, lines.take(answers["row"].to_numpy()), known.columns)
    return rows.assign(**{QS: loaded_model(known.model).predict(rows)}).join(answers[[DW, "exact", "is_new"]])


def _all_found(known: Known, parts: Iterable[pd.DataFrame | None]) -> pd.DataFrame:
    none = pd.DataFrame(columns=[*known.columns, QS, DW, "exact", "is_new"], dtype=np.float64)
    return pd.concat([part for part in parts if part is not None] or [none], ignore_index=True)


def _finished(there: Path, correction: Path, part: tuple[int, int]) -> Finished:
    """Predict a part, correct it but for pairs with an answer, and let its lines wait in the order of both lists."""
    known: Known = loaded(there)
    lines = read_lines(known.double_wells, part)
    rows = read_numbers(known.double_wells, lines, known.columns)
    rows = rows.assign(**{QS: loaded_model(known.model).predict(rows)})
    new, spread = ~among(pair_keys(rows, known.decimals), known.answered), np.ones(len(rows))
    corrected = loaded(correction).correct(rows[new])
    rows.loc[new, [QS, PROBABILITY]] = np.column_stack([corrected.splitting, corrected.dw_probability])
    spread[new] = corrected.spread
    splitting, chance = rows[QS].to_numpy(), rows[PROBABILITY].to_numpy()
    tls = chance * known.chances(splitting, spread)
    lines = with_numbers(lines, len(PAIR_COLUMNS), [splitting, tls], len(PAIR_COLUMNS), chance)
    every = let_wait(there.with_name(f"all-{part[0]}"), lines, splitting, np.ones(len(new), bool))
    left = let_wait(there.with_name(f"new-{part[0]}"), lines, -tls + 1j * splitting, new)
    return Finished((every, left), (Listed(len(tls), float(tls.sum())), Listed(int(new.sum()), float(tls[new].sum()))))


def _each_once(at: StatePoint, pieces: Iterable[Lines], settings: Settings) -> Iterable[Lines]:
    """At the top one pair of each rearrangement before all others, where that is asked for."""
    wanted = settings.rearrangements.list_once
    for lines in pieces:
        if wanted:
            order = np.arange(len(lines.starts) - 1)
            top = lines.take(order[:SHOWN_ONCE])
            pairs = pd.read_csv(
                io.BytesIO(top.text.tobytes()), names=PAIR_COLUMNS, usecols=range(3), float_precision="round_trip"
            )
            order[:SHOWN_ONCE] = each_once(at, pairs, settings).index
            lines, wanted = lines.take(order), False
        yield lines


def _write(path: Path, header: bytes, pieces: Iterable[Lines]) -> None:
    with atomic_write(path) as part, part.open("wb") as file:
        file.write(header)
        for lines in pieces:
            file.write(lines.text.data)
