"""Step 1: train the classifier that tells double wells from other pairs.

Reads    Configurations/pairs/T{T}/, MLmodel/pretraining-classifier-T{digits}.feather, NEB_calculations/T{T}/
Writes   MLmodel/dw-classification-T{digits}/: the model and its sets; beside it AutoGluon's log

Stops at once if nothing is new since the last training.

Example  python step1_train_dw.py -T 0.12 --workspace example-run
"""

from pipeline.command import Command, check_command_line, run_script
from pipeline.workspace import StatePoint

if __name__ == "__main__":
    check_command_line(__doc__)

from MLmodel.card import is_current
from pipeline.messages import counted, note, record
from pipeline.workspace import CLASSIFIER, DW


def main(command: Command) -> None:
    """Train the classifier of every temperature that has labels."""
    temperatures = command.temperatures(
        lambda at: bool(at.pair_tables) and at.has_labels(CLASSIFIER),
        "no temperature has both pair tables and labels; run step0_collect.py, then run_neb.py --explore 100, or put "
        "NEB results under NEB_calculations/T… or a pretraining set into MLmodel",
    )
    command.for_each_temperature(temperatures, lambda at: train_one(command, at))
    command.say_next("step2_classify_dw.py")


def train_one(command: Command, at: StatePoint) -> None:
    """Train the classifier of one temperature."""
    settings = command.settings
    if is_current(at, CLASSIFIER, settings):
        return
    from MLmodel.labels import gather
    from MLmodel.training import train
    from pipeline.formats.records import check_records
    from pipeline.formats.results import merge_unless_running

    check_records(at, settings.unit)  # of shares too, before they are merged
    for sentence in merge_unless_running(at, command.script):
        note(f"T = {at.temperature}: {sentence}")
    known = gather(at, CLASSIFIER, settings)
    double_wells = int(known.table[DW].sum())
    others = len(known.table) - double_wells
    record(at.temperature, double_wells=double_wells, non_dw=others)
    summary = f"{counted(double_wells, 'double well')}, {counted(others, 'non-DW pair')}"
    train(command, at, CLASSIFIER, known, summary)


if __name__ == "__main__":
    run_script(main, __doc__)
