"""Step 2: take all pairs under the ceilings through the classifier.

Reads    Configurations/pairs/T{T}/, MLmodel/dw-classification-T{digits}/
Writes   output_ML/T{T}/DW_T{T}.csv: the pairs that may be double wells, with the probability

Stops at once if neither the tables nor the model nor the ceilings changed since.
"""

from pipeline.command import Command, check_command_line, run_script

if __name__ == "__main__":
    check_command_line(__doc__)

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from MLmodel.card import Card, read_card
from MLmodel.model import Model, check_features, find_card
from MLmodel.table_record import check_units
from MLmodel.tables import (
    BATCH,
    PROBABILITY,
    common_features,
    csv_writer,
    open_table,
    read_batches,
    stored_pairs,
    under_ceilings,
)
from pipeline.errors import UserError
from pipeline.keys import PAIR_COLUMNS
from pipeline.progress import progress
from pipeline.settings import ClassifySettings
from pipeline.stamps import made_from, mark_made, up_to_date
from pipeline.task import CLASSIFIER


def main(command: Command) -> None:
    """Classify the pairs of every temperature that has pair tables."""
    work = command.workspace
    temperatures = command.temperatures(
        lambda T: bool(work.pair_tables(T)) and read_card(work, CLASSIFIER, T) is not None,
        "no temperature has both pair tables and a classifier; run step0_collect.py, then step1_train_dw.py",
    )
    command.for_each_temperature(temperatures, lambda T: classify_one(command, T))
    print("next: step3_train_qs.py")


def classify_one(command: Command, temperature: str) -> None:
    """Bring the double wells of one temperature up to date."""
    work = command.workspace
    tables, target = work.pair_tables(temperature), work.double_wells(temperature)
    if not tables:
        raise UserError(f"{work.pairs(temperature)}: no pair table; run step0_collect.py")
    card = find_card(work, CLASSIFIER, temperature, command.settings.unit)
    check_units(tables, command.settings.unit)
    for table in tables:
        check_features(card, open_table(table).schema.names, table)
    record = made_from(tables, model=card.autogluon, ceilings=command.settings.classify.model_dump())
    if up_to_date([target], record):
        print(f"T = {temperature}: nothing new to classify: {target}")
        return
    looked_at, kept, expected = classify(command, card, tables, target)
    mark_made([target], record)
    if not looked_at:
        print(f"T = {temperature}: no pair is under classify.max_delta_E and classify.max_distance of config.yaml")
    least = command.settings.classify.min_probability
    print(
        f"T = {temperature}: {kept} of {looked_at} pairs under the ceilings may be double wells (chance ≥ {least:g}, "
        f"{expected:.0f} expected to be): {target}"
    )


def classify(command: Command, card: Card, tables: list[Path], target: Path) -> tuple[int, int, float]:
    """Write what may be a double well; numbers of pairs looked at, of those kept, and of double wells expected."""
    model = Model(command.workspace, card)
    features = common_features(tables)
    looked_at, kept, expected = 0, 0, 0.0
    with csv_writer(target, [*PAIR_COLUMNS, PROBABILITY, *features], command.settings.unit) as write:
        for rows in pairs_to_classify(command.settings.classify, tables, [*PAIR_COLUMNS, *features]):
            rows = rows.assign(**{PROBABILITY: model.predict(rows)})
            looked_at += len(rows)
            rows = rows[rows[PROBABILITY] >= command.settings.classify.min_probability]
            kept += len(rows)
            expected += float(rows[PROBABILITY].sum())
            write(rows)
    return looked_at, kept, expected


def pairs_to_classify(ceilings: ClassifySettings, tables: list[Path], columns: list[str]) -> Iterator[pd.DataFrame]:
    """Pairs to look at in batches for the model, which is slow on few at a time."""
    waiting: list[pd.DataFrame] = []
    total = sum(stored_pairs(table) for table in tables)
    with progress(total=total, desc="classifying", unit="pair") as bar:
        for rows in (rows for table in tables for rows in read_batches(table, columns)):
            waiting.append(rows[under_ceilings(rows, ceilings)])
            if sum(len(part) for part in waiting) >= BATCH:
                yield pd.concat(waiting, ignore_index=True)
                waiting = []
            bar.update(len(rows))
        if waiting:
            yield pd.concat(waiting, ignore_index=True)


if __name__ == "__main__":
    run_script(main, __doc__)
