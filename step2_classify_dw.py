"""Step 2: take all pairs under the ceilings through the classifier.

Reads    Configurations/pairs/T{T}/, MLmodel/dw-classification-T{label}/
Writes   output_ML/T{T}/DW_T{T}.csv: the pairs classified as double wells, with the probability

Stops at once if neither the tables nor the model nor the ceilings changed since.
"""

from pathlib import Path

from tqdm import tqdm

from MLmodel.card import Card
from MLmodel.command import Command, run
from MLmodel.files import made_from, mark_made, up_to_date
from MLmodel.model import Model, check_features, find_card
from MLmodel.tables import KEY, PROBABILITY, common_features, csv_writer, open_table, read_batches, stored_pairs
from MLmodel.workspace import CLASSIFIER


def main(command: Command) -> None:
    """Classify the pairs of every temperature that has pair tables."""
    work, ceilings = command.workspace, command.settings.classify
    temperatures = command.temperatures(
        lambda T: bool(work.pair_tables(T)),
        "no pair table under Configurations/pairs/T…; run step0_collect.py",
    )
    for temperature in temperatures:
        tables, target = work.pair_tables(temperature), work.double_wells(temperature)
        card = find_card(work, CLASSIFIER, temperature)
        for table in tables:
            check_features(card, open_table(table).schema.names, table)
        record = made_from(tables, model=card.autogluon, ceilings=ceilings.model_dump())
        if up_to_date([target], record):
            print(f"T = {temperature}: nothing new to classify: {target}")
            continue
        looked_at, double_wells = classify(command, card, tables, target)
        mark_made([target], record)
        print(f"T = {temperature}: {double_wells} double wells among {looked_at} pairs under the ceilings: {target}")
    print("next: step3_train_qs.py")


def classify(command: Command, card: Card, tables: list[Path], target: Path) -> tuple[int, int]:
    """Write the double wells of these tables; number of pairs looked at, and of double wells among them."""
    ceilings = command.settings.classify
    model = Model(command.workspace, card)
    features = common_features(tables)
    looked_at = double_wells = 0
    total = sum(stored_pairs(table) for table in tables)
    bar = tqdm(total=total, desc=f"T = {card.temperature}", unit="pair", unit_scale=True, delay=2, disable=None)
    with csv_writer(target, [*KEY, PROBABILITY, *features]) as write, bar:
        for table in tables:
            for rows in read_batches(table, [*KEY, *features]):
                bar.update(len(rows))
                low = (rows["Delta_E"].abs() <= ceilings.max_delta_E) & (
                    rows["total_displacement"] <= ceilings.max_distance
                )
                rows = rows[low]
                rows = rows.assign(**{PROBABILITY: model.predict(rows)})
                looked_at += len(rows)
                rows = rows[rows[PROBABILITY] > 0.5]
                double_wells += len(rows)
                write(rows)
    return looked_at, double_wells


if __name__ == "__main__":
    run(main, __doc__)
