"""Step 4: predict the quantum splitting of all double wells and say which pairs to calculate next.

Reads    output_ML/T{T}/DW_T{T}.csv, MLmodel/qs-regression-T{digits}/, NEB_calculations/T{T}/, the pretraining sets
Writes   output_ML/T{T}/predictedQs_T{T}_allpairs.csv: all of them, smallest splitting first
         output_ML/T{T}/predictedQs_T{T}_newpairs.csv: the same without the pairs whose answer is known, from the NEB
         files or a pretraining set

Stops at once if neither the double wells nor the model nor these files changed since.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from MLmodel.card import Card, read_card
from MLmodel.labels import keys_in_pretraining, pretraining_paths
from MLmodel.model import Model, check_features, find_card
from MLmodel.rearrangements import each_once
from MLmodel.tables import BATCH, csv_columns, csv_writer, read_csv_batches
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
    """Write both lists, smallest splitting first."""
    decimals = command.settings.ij_decimals
    model = Model(command.workspace, card)
    columns = [*PAIR_COLUMNS, QS, *(name for name in csv_columns(double_wells) if name not in (*PAIR_COLUMNS, QS))]
    known = [read(command.workspace, card.temperature, decimals) for read in (keys_with_result, keys_in_pretraining)]
    answered = pd.concat(known).drop_duplicates()
    with (
        tempfile.TemporaryFile(dir=all_pairs.parent) as spool,
        csv_writer(all_pairs, columns) as write_all,
        csv_writer(new_pairs, columns) as write_new,
    ):
        listed = 0
        for rows in _sorted_by_splitting(_predicted(model, double_wells, columns), spool, columns):
            write_all(rows)
            new = rows[~among(pair_keys(rows, decimals), answered)]
            if command.settings.rearrangements.list_once and listed < SHOWN_ONCE:
                top = new.head(SHOWN_ONCE - listed)
                top = each_once(command.workspace, card.temperature, top, command.settings)
                new = pd.concat([top, new.iloc[len(top) :]])
            write_new(new)
            listed += len(new)


def _predicted(model: Model, double_wells: Path, columns: list[str]) -> Iterator[pd.DataFrame]:
    """Batches of the double wells with their splittings."""
    with progress(desc="predicting", unit="pair") as bar:
        for rows in read_csv_batches(double_wells):
            yield rows.assign(**{QS: model.predict(rows)})[columns]
            bar.update(len(rows))


def _sorted_by_splitting(
    batches: Iterator[pd.DataFrame], spool: IO[bytes], columns: list[str]
) -> Iterator[pd.DataFrame]:
    """Batches in the order of the splitting; the rows wait on disk, in memory are the splittings and one batch."""
    splittings = [np.empty(0)]
    for rows in batches:
        rows.to_numpy(np.float64).tofile(spool)
        splittings.append(rows[QS].to_numpy())
    order = np.argsort(np.concatenate(splittings), kind="stable")
    spool.flush()
    for start in range(0, len(order), BATCH):
        rows = np.memmap(spool, np.float64, "r", shape=(len(order), len(columns)))[order[start : start + BATCH]]
        yield pd.DataFrame(rows, columns=columns).astype({"conf": np.int64})


def report(command: Command, temperature: str, all_pairs: Path, new_pairs: Path) -> int:
    """Print how many pairs and TLS were predicted, and the top of the list of new pairs, which it counts."""
    threshold = command.settings.tls_threshold
    for path, what in ((all_pairs, "double wells"), (new_pairs, "of them without an answer yet")):
        pairs = tls = 0
        for rows in read_csv_batches(path, [QS]):
            pairs += len(rows)
            tls += int((rows[QS] < threshold).sum())
        print(f"T = {temperature}: {pairs} {what}, {tls} predicted to be TLS (below {threshold:g} ε): {path}")
    top = pd.read_csv(new_pairs, nrows=NEXT)
    if len(top):
        print(f"the {len(top)} pairs to calculate next:")
        print(top.iloc[:, :5].to_string(index=False, formatters=dict.fromkeys("ij", "{:.12g}".format)))
    return pairs


if __name__ == "__main__":
    run_script(main, __doc__)
