"""Step 2: take all pairs under the ceilings through the classifier.

Reads    Configurations/pairs/T{T}/, MLmodel/dw-classification-T{digits}/
Writes   output_ML/T{T}/DW_T{T}.csv: the pairs that may be double wells, with the probability
         output_ML/T{T}/DW_T{T}.feather: the same with all features, which step 4 reads

Where there are minima, pairs that overlap a double well of which the classifier learnt have a chance, whatever it says.

Stops at once if neither the tables nor the model nor the ceilings changed since.

Example  python step2_classify_dw.py --workspace example-run
"""

from pipeline.command import Command, check_command_line, run_script
from pipeline.workspace import CLASSIFIER, StatePoint

if __name__ == "__main__":
    check_command_line(__doc__)

from math import inf
from pathlib import Path

from MLmodel.card import check_features, find_card
from pipeline.messages import counted, note, nothing_new, record, result
from pipeline.stamps import made_from, mark_made, read_stamp, up_to_date, usable_tables


def main(command: Command) -> None:
    """Classify the pairs of every temperature that has pair tables."""
    temperatures = command.temperatures(
        lambda at: bool(at.pair_tables) and at.card(CLASSIFIER).exists(),
        "no temperature has both pair tables and a classifier; run step0_collect.py, then step1_train_dw.py",
    )
    command.for_each_temperature(temperatures, lambda at: classify_one(command, at))
    command.say_next("step3_train_qs.py")


def classify_one(command: Command, at: StatePoint) -> None:
    """Bring the double wells of one temperature up to date."""
    settings = command.settings
    tables, card = usable_tables(at, settings.unit), find_card(at, CLASSIFIER, settings.unit)
    ceilings, targets = settings.classify, [at.classified, at.classified_features]
    made_of = made_from(
        tables,
        model=card.training,
        ceilings=ceilings.model_dump(),
        units=settings.units,
        ij_decimals=settings.ij_decimals,
    )
    if up_to_date(targets, made_of):
        nothing_new(at.temperature, "nothing new to classify")
        return
    before = read_stamp(at.classified).get("files") or {}
    if gone := sorted(Path(name).name for name in before if not (at.classified.parent / name).exists()):
        said = f"{counted(len(gone), 'pair table')} of the last list no longer there, {gone[0]} among them"
        note(f"T = {at.temperature}: {said}; step0_collect.py makes those of glasses with minima again")
    from MLmodel.model import read_set
    from MLmodel.ranking import classify_tables
    from pipeline.formats.pair_lists import write_list
    from pipeline.formats.pair_tables import PROBABILITY, open_table
    from search.likes import least_chances

    for table in tables:
        check_features(card, open_table(table).schema.names, table)
    at_least = None
    if with_minima := list(at.glasses):
        labels = read_set(at, card, "used")
        labels = labels[labels["conf"].isin(with_minima)]
        at_least = least_chances(at, labels)
    stored = min(read_stamp(table).get("max_delta_E", inf) for table in tables)
    if stored < ceilings.max_delta_E:
        said = f"pairs above {stored:g} are not stored, and classify.max_delta_E is {ceilings.max_delta_E:g}"
        note(f"T = {at.temperature}: {said}; for all raise pairs.max_delta_E and run step0_collect.py")
    looked_at, listed = classify_tables(at, card, settings, tables, at_least)
    write_list(at.classified, listed, settings.ij_decimals)
    mark_made(targets, made_of)
    if not looked_at:
        note(f"T = {at.temperature}: no pair is under classify.max_delta_E and classify.max_distance of config.yaml")
    expected = float(listed[PROBABILITY].sum())
    result(
        f"T = {at.temperature}: {len(listed)} of {looked_at} pairs under the ceilings may be double wells "
        f"(chance ≥ {ceilings.min_probability:g}, {expected:.0f} expected to be): {at.classified}"
    )
    record(at.temperature, pairs=looked_at, kept=len(listed), double_wells_expected=expected, list=at.classified)


if __name__ == "__main__":
    run_script(main, __doc__)
