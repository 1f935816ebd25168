"""Step 4: predict the quantum splitting of all pairs that may be double wells and say which to calculate next.

Reads    output_ML/T{T}/DW_T{T}.csv, MLmodel/qs-regression-T{digits}/, NEB_calculations/T{T}/, the pretraining sets
Writes   output_ML/T{T}/predictedQs_T{T}_allpairs.csv: all of them, smallest splitting first
         output_ML/T{T}/predictedQs_T{T}_newpairs.csv: the same without the pairs whose answer is known, from the NEB
         files or a pretraining set, best chance to be a TLS first

Stops at once if neither the double wells nor the model nor these files changed since.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from MLmodel.card import Card, read_card
from MLmodel.chances import tls_chances
from MLmodel.labels import keys_in_pretraining, pretraining_paths
from MLmodel.metrics import Array
from MLmodel.model import Model, check_features, find_card, unseen_predictions
from MLmodel.rearrangements import each_once
from MLmodel.tables import (
    BATCH,
    PROBABILITY,
    TLS_PROBABILITY,
    csv_columns,
    csv_writer,
    read_csv_batches,
)
from pipeline.command import Command, run_script
from pipeline.errors import UserError
from pipeline.keys import PAIR_COLUMNS, among, pair_keys
from pipeline.neb_files import keys_with_result
from pipeline.progress import progress
from pipeline.stamps import made_from, mark_made, up_to_date
from pipeline.task import PREDICTOR, QS

NEXT = 10
"""So many pairs are printed."""

SHOWN_ONCE = 1000
"""rearrangements.list_once orders so many rows at the top."""


def main(command: Command) -> None:
    """Predict the splittings of every temperature whose pairs are classified."""
    work = command.workspace
    temperatures = command.temperatures(
        lambda T: work.double_wells(T).exists() and read_card(work, PREDICTOR, T) is not None,
        "no temperature has both classified pairs and a predictor; run step2_classify_dw.py, then step3_train_qs.py",
    )
    left: list[int] = []
    command.for_each_temperature(temperatures, lambda T: left.append(predict_one(command, T)))
    if sum(left):
        print("next: run_neb.py, which calculates the top of the list; or your own NEBs, then steps 1 to 4")
    else:
        print("next: nothing is left to calculate; add minima, or raise the ceilings classify.* in config.yaml")


def predict_one(command: Command, temperature: str) -> int:
    """Bring both lists of one temperature up to date, and report on them; how many pairs are left to calculate."""
    work = command.workspace
    double_wells = work.double_wells(temperature)
    if not double_wells.exists():
        raise UserError(f"{double_wells}: no classified pairs; run step2_classify_dw.py")
    card = find_card(work, PREDICTOR, temperature)
    check_features(card, csv_columns(double_wells), double_wells)
    targets = [work.predicted(temperature, pairs) for pairs in ("allpairs", "newpairs")]
    settings = command.settings
    once = {"each_once": settings.rearrangements.overlap} if settings.rearrangements.list_once else {}
    record = made_from(
        [double_wells, *work.neb_files(temperature), *pretraining_paths(work, temperature)],
        model=card.autogluon,
        tls_threshold=settings.tls_threshold,
        ij_decimals=settings.ij_decimals,
        **once,
    )
    if up_to_date(targets, record):
        print(f"T = {temperature}: nothing new to predict")
    else:
        predict(command, card, double_wells, *targets)
        mark_made(targets, record)
    return report(command, temperature, *targets)


def predict(command: Command, card: Card, double_wells: Path, all_pairs: Path, new_pairs: Path) -> None:
    """Write both lists: smallest splitting first, and best chance to be a TLS first."""
    work, settings, decimals = command.workspace, command.settings, command.settings.ij_decimals
    model = Model(work, card)
    others = [name for name in csv_columns(double_wells) if name not in (*PAIR_COLUMNS, QS)]
    columns = [*PAIR_COLUMNS, QS, TLS_PROBABILITY, *others]
    known = [read(work, card.temperature, decimals) for read in (keys_with_result, keys_in_pretraining)]
    answered = pd.concat(known).drop_duplicates()
    with (
        tempfile.TemporaryFile(dir=all_pairs.parent) as spool,
        csv_writer(all_pairs, columns) as write_all,
        csv_writer(new_pairs, columns) as write_new,
    ):
        splittings, chances = _spooled(_predicted(command, model, double_wells, columns), spool)
        for rows in _in_order(spool, columns, np.argsort(splittings, kind="stable")):
            write_all(rows)
        listed = 0
        for rows in _in_order(spool, columns, np.lexsort((splittings, -chances))):
            new = rows[~among(pair_keys(rows, decimals), answered)]
            if settings.rearrangements.list_once and listed < SHOWN_ONCE:
                top = each_once(work, card.temperature, new.head(SHOWN_ONCE - listed), settings)
                new = pd.concat([top, new.iloc[len(top) :]])
            write_new(new)
            listed += len(new)


def _predicted(command: Command, model: Model, double_wells: Path, columns: list[str]) -> Iterator[pd.DataFrame]:
    """Batches of the pairs with their splittings and chances to be a TLS."""
    chances = tls_chances(*unseen_predictions(command.workspace, model.card), command.settings.tls_threshold)
    with progress(desc="predicting", unit="pair") as bar:
        for rows in read_csv_batches(double_wells):
            splitting = model.predict(rows)
            chance = rows[PROBABILITY] * chances(splitting)
            yield rows.assign(**{QS: splitting, TLS_PROBABILITY: chance})[columns]
            bar.update(len(rows))


def _spooled(batches: Iterator[pd.DataFrame], spool: IO[bytes]) -> tuple[Array, Array]:
    """Splittings and chances of all pairs; the rows wait on disk."""
    parts = [np.empty((0, 2))]
    for rows in batches:
        rows.to_numpy(np.float64).tofile(spool)
        parts.append(rows[[QS, TLS_PROBABILITY]].to_numpy())
    spool.flush()
    splittings, chances = np.concatenate(parts).T
    return splittings, chances


def _in_order(spool: IO[bytes], columns: list[str], order: NDArray[np.int64]) -> Iterator[pd.DataFrame]:
    """Batches of the rows that wait on disk; of them one is in memory at a time."""
    for start in range(0, len(order), BATCH):
        rows = np.memmap(spool, np.float64, "r", shape=(len(order), len(columns)))[order[start : start + BATCH]]
        yield pd.DataFrame(rows, columns=columns).astype({"conf": np.int64})


def report(command: Command, temperature: str, all_pairs: Path, new_pairs: Path) -> int:
    """Print how many pairs and TLS were predicted, and the top of the list of new pairs, which it counts."""
    threshold = command.settings.tls_threshold
    for path, what in ((all_pairs, "pairs that may be double wells"), (new_pairs, "of them without an answer yet")):
        pairs, tls = 0, 0.0
        for rows in read_csv_batches(path, [TLS_PROBABILITY]):
            pairs += len(rows)
            tls += float(rows[TLS_PROBABILITY].sum())
        print(f"T = {temperature}: {pairs} {what}, {tls:.1f} TLS expected (below {threshold:g} ε): {path}")
    top = pd.read_csv(new_pairs, nrows=NEXT)
    if len(top):
        print(f"the {len(top)} pairs to calculate next:")
        print(top.iloc[:, :6].to_string(index=False, formatters=dict.fromkeys("ij", "{:.12g}".format)))
    return pairs


if __name__ == "__main__":
    run_script(main, __doc__)
