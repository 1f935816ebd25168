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

from MLmodel.card import is_current, pretraining_sets
from pipeline.messages import counted, record
from pipeline.settings import Settings
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
    if is_current(at, PREDICTOR, settings):
        return
    from MLmodel.labels import gather
    from MLmodel.training import train
    from pipeline.formats.records import check_records

    check_records(at, settings.unit)
    known = gather(at, PREDICTOR, settings)
    tls = int((known.table[QS] < settings.tls_threshold).sum())
    record(at.temperature, splittings=len(known.table), tls=tls)
    summary = f"{counted(len(known.table), 'splitting')}, {tls} of them TLS"
    train(command, at, PREDICTOR, known, summary, mixed_conventions(at, settings))


def mixed_conventions(at: StatePoint, settings: Settings) -> str | None:
    """Warning where results that continue V(x) along a line are learnt together with published splittings."""
    import pyarrow.ipc

    from pipeline.formats.records import WAYS, read_records

    lines = sum(one.get("beyond_ends") == WAYS["line"] for one in read_records(at))
    sets = pretraining_sets(at, PREDICTOR, settings)
    published = [path for path in sets if {"i2", "j2"} <= {*pyarrow.ipc.open_file(path).schema.names}]
    if not lines or not published:
        return None
    return (
        f"{published[0]}: has the columns of the published sets, whose splittings follow neb.continuation: parabola; "
        f"{counted(lines, 'result')} here by line, 1.6 times larger in the median: calculate them by parabola"
    )


if __name__ == "__main__":
    run_script(main, __doc__)
