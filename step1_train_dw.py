"""Step 1: train the classifier that tells double wells from other pairs.

Reads    Configurations/pairs/T{T}/, MLmodel/pretraining-classifier-T{digits}.feather, NEB_calculations/T{T}/
Writes   MLmodel/dw-classification-T{digits}/, beside it the sets it was trained and tested on, and AutoGluon's log

Stops at once if nothing is new since the last training.
"""

from pipeline.command import Command, check_command_line, run_script
from pipeline.workspace import StatePoint

if __name__ == "__main__":
    check_command_line(__doc__)

from MLmodel.card import Card
from MLmodel.labels import Labelled, gather
from MLmodel.training import train
from pipeline.formats.records import check_records
from pipeline.formats.shares import merge_unless_running
from pipeline.workspace import CLASSIFIER, DW


def main(command: Command) -> None:
    """Train the classifier of every temperature that has labels."""
    temperatures = command.temperatures(
        lambda at: bool(at.pair_tables) and at.has_labels(CLASSIFIER),
        "no temperature has both pair tables and labels; run step0_collect.py, then run_neb.py --explore 100, or put "
        "NEB results under NEB_calculations/T… or a pretraining set into MLmodel",
    )
    command.for_each_temperature(temperatures, lambda at: train_one(command, at))
    print("next: step2_classify_dw.py")


def train_one(command: Command, at: StatePoint) -> None:
    """Train the classifier of one temperature."""
    settings = command.settings
    check_records(at, settings.unit)
    for sentence in merge_unless_running(at, command.script):
        print(f"T = {at.temperature}: {sentence}")
    known = gather(at, CLASSIFIER, settings)
    double_wells = int(known.table[DW].sum())
    print(f"T = {at.temperature}: {double_wells} double wells, {len(known.table) - double_wells} non-DW pairs")
    print("\n".join(f"  {line}" for line in known.report))
    card = train(at, CLASSIFIER, known, settings, command.wait)
    if card is None:
        print("  nothing new since the last training")
    else:
        report(command, at, known, card)


def report(command: Command, at: StatePoint, known: Labelled, card: Card) -> None:
    """Print what the new model is worth."""
    from MLmodel.judging import few_labels
    from MLmodel.metrics import chance_metrics, classifier_metrics, format_metrics
    from MLmodel.model import unseen_predictions
    from MLmodel.out_of_fold import by_glass, kept_out

    work, settings = command.workspace, command.settings
    print(f"  model: {at.model(CLASSIFIER)} ({card.seconds_per_pair:.1e} s a pair)")
    if by_glass(known.table, CLASSIFIER):
        print(f"  what to expect of a new glass: {kept_out(known.table, CLASSIFIER)}")
        is_dw, chance = unseen_predictions(work, card)
        print(format_metrics(classifier_metrics(is_dw, chance) | chance_metrics(chance, is_dw, "double wells")))
    for line in few_labels(known.table[DW], CLASSIFIER, settings):
        print(line)


if __name__ == "__main__":
    run_script(main, __doc__)
