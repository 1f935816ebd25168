"""Step 3: train the predictor of the quantum splitting of double wells.

Reads    Configurations/pairs/T{T}/, MLmodel/pretraining-predictor-T{digits}.feather, NEB_calculations/T{T}/
Writes   MLmodel/qs-regression-T{digits}/: the model and its sets; beside it AutoGluon's log

Stops at once if nothing is new since the last training.

Example  python step3_train_qs.py --workspace example-run
"""

from pipeline.command import Command, check_command_line, run_script
from pipeline.workspace import StatePoint

if __name__ == "__main__":
    check_command_line(__doc__)

from MLmodel.labels import gather
from MLmodel.training import train
from pipeline.formats.records import check_records
from pipeline.messages import record
from pipeline.workspace import PREDICTOR, QS


def main(command: Command) -> None:
    """Train the predictor of every temperature that has splittings."""
    temperatures = command.temperatures(
        lambda at: bool(at.pair_tables) and at.has_labels(PREDICTOR),
        "no temperature has both pair tables and splittings; run step0_collect.py, then put NEB results under "
        "NEB_calculations/T… or a pretraining set into MLmodel",
    )
    command.for_each_temperature(temperatures, lambda at: train_one(command, at))
    command.say_next("step4_predict_qs.py")


def train_one(command: Command, at: StatePoint) -> None:
    """Train the predictor of one temperature."""
    settings = command.settings
    check_records(at, settings.unit)
    known = gather(at, PREDICTOR, settings)
    tls = int((known.table[QS] < settings.tls_threshold).sum())
    record(at.temperature, splittings=len(known.table), tls=tls)
    train(command, at, PREDICTOR, known, f"{len(known.table)} splittings, {tls} of them TLS")


if __name__ == "__main__":
    run_script(main, __doc__)
