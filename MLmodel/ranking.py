"""What the models say of pairs: which may be double wells (step 2), and which of them to calculate next (step 4)."""

import pickle
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from glass.arrays import Array
from MLmodel.card import Card, read_card
from MLmodel.chances import Chances, tls_chances
from MLmodel.correction import LocalCorrection
from MLmodel.labels import pairs_in_pretraining
from MLmodel.model import Model, read_set, unseen_predictions
from MLmodel.smooth import SOFTENING
from pipeline.errors import ChangedError
from pipeline.files import atomic_write
from pipeline.formats.keys import PAIR_COLUMNS, by_pair, rows_in
from pipeline.formats.pair_lists import DOUBLE_WELLS, PREDICTED, SPLITTING_K, as_listed
from pipeline.formats.pair_tables import (
    PROBABILITY,
    TLS_PROBABILITY,
    common_features,
    feature_columns,
    open_table,
    read_batches,
    under_ceilings,
)
from pipeline.formats.results import last_results, pairs_with_result
from pipeline.messages import Progress
from pipeline.settings import ClassifySettings, Settings
from pipeline.workers import worker_pool
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, StatePoint, Task

PART = 65_536  # pairs of a job: what a worker holds in memory follows from it
AT_ONCE = 1 << 19  # pairs that are asked for their likes together, as each time the minima are read
FAR = 0.9  # a pair is far if nearest_between is below this: a third minimum lies between its two


class Part(NamedTuple):
    """Some of the batches of a pair table."""

    table: Path
    batches: range
    rows: int


def parts_of(table: Path) -> list[Part]:
    """Parts of a table of about PART pairs, or of one batch if that is larger."""
    reader = open_table(table, ["conf"], mapped=True)
    parts: list[Part] = []
    first = rows = 0
    for k in range(reader.num_record_batches):
        rows += reader.get_batch(k).num_rows
        if rows >= PART or k == reader.num_record_batches - 1:
            parts.append(Part(table, range(first, k + 1), rows))
            first, rows = k + 1, 0
    return parts


@lru_cache(maxsize=1)
def _model(at: StatePoint, task: Task, name: str) -> Model:
    """The model of this name, which each worker loads once."""
    card = read_card(at, task)
    if card is None or card.training != name:
        raise ChangedError(f"{at.model(task)}: trained again meanwhile; run the step again")
    return Model(at, card)


def _predict(at: StatePoint, task: Task, name: str, pairs: pd.DataFrame) -> NDArray[np.float64]:
    """A job for a worker."""
    return _model(at, task, name).predict(pairs)


def classify_tables(
    at: StatePoint,
    card: Card,
    settings: Settings,
    tables: Sequence[Path],
    at_least: Callable[[pl.DataFrame], Array] | None = None,
) -> tuple[int, pl.DataFrame]:
    """Write what may be a double well, with all features, to ``at.classified_features``.

    ``at_least``: from pairs with the columns of the list to the smallest probabilities that they may have, whatever the
    classifier says; asked of those that it keeps and of all that are not far. Returns the number of pairs under the
    ceilings, and the columns of the list of those that are kept.
    """
    features = common_features(tables)
    names = [*PAIR_COLUMNS, PROBABILITY, *features]
    schema = pa.schema([(name, pa.int64() if name == "conf" else pa.float64()) for name in names])
    shown = [name for name in DOUBLE_WELLS if name in names]
    parts = [part for table in tables for part in parts_of(table)]
    looked_at, listed = 0, list[pl.DataFrame]()
    needed, far = settings.classify.min_probability, FAR if at_least and "nearest_between" in features else np.inf
    waiting: list[pd.DataFrame] = []

    def keep() -> None:
        """Write those of the pairs that wait which are kept."""
        rows = pd.concat(waiting, ignore_index=True)
        waiting.clear()
        if at_least:
            rows[PROBABILITY] = np.maximum(rows[PROBABILITY], at_least(as_listed(rows[shown])))
            rows = rows[rows[PROBABILITY] >= needed]
        for start in range(0, max(len(rows), 1), PART):
            writer.write_batch(pa.RecordBatch.from_pandas(rows[start : start + PART], schema, preserve_index=False))
        listed.append(as_listed(rows[shown]))

    with (
        worker_pool(settings, len(parts)) as workers,
        Progress(total=sum(part.rows for part in parts), desc="classifying", unit="pair") as bar,
        atomic_write(at.classified_features) as file,
        pa.ipc.new_file(str(file), schema) as writer,
    ):
        classify = partial(_classified, at, card.training, settings.classify, [*PAIR_COLUMNS, *features], far)
        for part, (number, kept) in zip(parts, workers.results(classify, parts, in_order=True), strict=True):
            waiting.append(kept)
            looked_at += number
            bar.update(part.rows)
            if not at_least or sum(map(len, waiting)) >= AT_ONCE:
                keep()
        if waiting:
            keep()
    return looked_at, pl.concat(listed)


def _classified(
    at: StatePoint, name: str, ceilings: ClassifySettings, columns: list[str], far: float, part: Part
) -> tuple[int, pd.DataFrame]:
    """Number of pairs of a part under the ceilings, and those kept or not far; a job for a worker."""
    looked_at, kept = 0, []
    for rows in read_batches(part.table, columns, part.batches):
        rows = rows[under_ceilings(rows, ceilings)]
        rows.insert(len(PAIR_COLUMNS), PROBABILITY, _predict(at, CLASSIFIER, name, rows))
        looked_at += len(rows)
        likely = rows[PROBABILITY] >= ceilings.min_probability
        kept.append(rows[likely | (rows["nearest_between"] >= far) if far < np.inf else likely])
    return looked_at, pd.concat(kept)


def orders(pairs: pl.DataFrame, to_calculate: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of all pairs, smallest splitting first; and places among these of those to calculate, best chance first.

    Equal splittings are in the order of the pair tables, equal chances of a TLS by splitting.
    """
    chances = pairs[TLS_PROBABILITY].to_numpy()
    smallest_first = pairs.select(pl.arg_sort_by(QS, maintain_order=True)).to_series().to_numpy()
    places = np.flatnonzero(to_calculate[smallest_first])
    return smallest_first, places[np.argsort(-chances[smallest_first[places]], kind="stable")]


def predict_pairs(at: StatePoint, card: Card, settings: Settings) -> tuple[pl.DataFrame, NDArray[np.bool_], int]:
    """Predict the splitting of all pairs that step 2 kept, and correct it by what was calculated of like pairs.

    Returns the pairs with the columns of the lists; which have no answer yet, shape (n_pairs,); and the number of
    results that the models did not learn from, which correct predictions for like pairs.
    """
    parts, answers = parts_of(at.classified_features), known_answers(at)
    answered = pairs_with_result(at).union(pairs_in_pretraining(at))
    with_result, to_calculate, glasses, listed = [], [], [], []
    for part in parts:
        names = pd.concat(read_batches(part.table, PAIR_COLUMNS, part.batches), ignore_index=True)
        with_answer = rows_in(names, answered, at.decimals)
        to_calculate.append(~with_answer)
        glasses.append(names["conf"].unique().tolist())
        with_answer[with_answer] = rows_in(names[with_answer], answers.index, at.decimals)
        if with_answer.any() or part is parts[-1]:
            rows = by_pair(_read_part(part)[with_answer], at.decimals)
            with_result.append(rows.join(answers).reset_index(drop=True))
    with_result = [rows for rows in with_result if len(rows)] or with_result  # pandas warns of empty ones
    known = pd.concat(with_result, ignore_index=True)
    chances = tls_chances(*unseen_predictions(at, card), settings.tls_threshold)
    with (
        worker_pool(settings, len(parts)) as workers,
        Progress(total=sum(part.rows for part in parts), desc="predicting", unit="pair") as bar,
    ):
        predict = partial(_predict, at, PREDICTOR, card.training)
        (known[QS],) = workers.results(predict, [known])
        is_new, used = known["is_new"].to_numpy(bool), read_set(at, card, "used")
        correction = LocalCorrection(known, is_new, used, chances, SOFTENING * settings.unit.epsilon)
        jobs = (  # packed, as what takes workers their jobs is slower at it
            (part, new, pickle.dumps(correction.of_glasses(those)))
            for part, new, those in zip(parts, to_calculate, glasses, strict=True)
        )
        predicted = partial(_predicted, at, card.training, chances, settings.neb.epsilon)
        for part, rows in zip(parts, workers.results(predicted, jobs, in_order=True), strict=True):
            listed.append(as_listed(rows))
            bar.update(part.rows)
    return pl.concat(listed, rechunk=True), np.concatenate(to_calculate), int(is_new.sum())


def _predicted(
    at: StatePoint, name: str, chances: Chances, kelvin: float, job: tuple[Part, NDArray[np.bool_], bytes]
) -> pd.DataFrame:
    """A part of the lists: pairs predicted, those without an answer corrected; a job for a worker."""
    part, new, correction = job
    rows = _read_part(part)
    rows[QS] = _predict(at, PREDICTOR, name, rows)
    splitting, probability, spread = pickle.loads(correction).correct(rows)
    rows[QS] = np.where(new, splitting, rows[QS])
    rows[PROBABILITY] = np.where(new, probability, rows[PROBABILITY])
    rows[SPLITTING_K] = kelvin * rows[QS]
    rows[TLS_PROBABILITY] = rows[PROBABILITY] * chances(rows[QS].to_numpy(), np.where(new, spread, 1.0))
    return rows[[name for name in PREDICTED if name in rows]]


def _read_part(part: Part) -> pd.DataFrame:
    columns = [*PAIR_COLUMNS, PROBABILITY, *feature_columns(open_table(part.table).schema)]
    return pd.concat(read_batches(part.table, columns, part.batches), ignore_index=True)


def known_answers(at: StatePoint) -> pd.DataFrame:
    """All pairs with an exact result, each once.

    By pair: ``DW``; ``exact``, the splitting; ``is_new``, whether neither model was trained on it.
    """
    neb = last_results(at)
    learnt = {
        task: by_pair(pd.concat(read_batches(path, [*PAIR_COLUMNS, task.target])), at.decimals)
        for task in (CLASSIFIER, PREDICTOR)
        if (path := at.model_set(task, "train")).exists()
    }
    is_new = ~np.logical_or.reduce([neb.index.isin(table.index) for table in learnt.values()])
    answers = [pd.DataFrame({DW: neb[DW], "exact": neb[QS], "is_new": is_new})]
    if PREDICTOR in learnt:
        answers.append(pd.DataFrame({DW: 1, "exact": learnt[PREDICTOR][QS], "is_new": False}))
    known = pd.concat([part for part in answers if len(part)] or answers)
    return known[~known.index.duplicated()]
