"""Step 4: predict the quantum splitting of all pairs that may be double wells and say which to calculate next.

Reads    output_ML/T{T}/DW_T{T}.csv, MLmodel/qs-regression-T{digits}/, NEB_calculations/T{T}/, the pretraining sets
Writes   output_ML/T{T}/predictedQs_T{T}_allpairs.csv: all of them, smallest splitting first
         output_ML/T{T}/predictedQs_T{T}_newpairs.csv: the same without the pairs whose answer is known, from the NEB
         files or a pretraining set, best chance to be a TLS first
         output_ML/T{T}/rounds.csv, double_wells.csv: what was calculated of the list before, if that is not counted yet

Stops at once if neither the double wells nor the model nor these files changed since.
"""

from pipeline.command import Command, check_command_line, run_script
from pipeline.workspace import StatePoint

if __name__ == "__main__":
    check_command_line(__doc__)

from pathlib import Path

import pandas as pd

from MLmodel.card import check_features, find_card, read_card
from MLmodel.labels import pretraining_paths
from pipeline.errors import UserError
from pipeline.formats.listed import Listed, listed_in
from pipeline.formats.pair_csv import check_csv_units, csv_columns, with_units
from pipeline.formats.records import check_records
from pipeline.settings import Settings
from pipeline.stamps import made_from, mark_made, up_to_date
from pipeline.workspace import PREDICTOR

NEXT = 10
"""So many pairs are printed."""


def main(command: Command) -> None:
    """Predict the splittings of every temperature whose pairs are classified."""
    temperatures = command.temperatures(
        lambda at: at.classified.exists() and read_card(at, PREDICTOR) is not None,
        "no temperature has both classified pairs and a predictor; run step2_classify_dw.py, then step3_train_qs.py",
    )
    left: list[int] = []
    command.for_each_temperature(temperatures, lambda at: left.append(predict_one(command, at)))
    if sum(left):
        print("next: run_neb.py, which calculates the top of the list; or your own NEBs, then steps 1 to 4")
    else:
        print("next: nothing is left to calculate; add minima, or raise the ceilings classify.* in config.yaml")


def predict_one(command: Command, at: StatePoint) -> int:
    """Bring both lists of one temperature up to date, and report on them; how many pairs are left to calculate."""
    work = command.workspace
    double_wells = at.classified
    if not double_wells.exists():
        raise UserError(f"{double_wells}: no classified pairs; run step2_classify_dw.py")
    card = find_card(at, PREDICTOR, command.settings.unit)
    check_features(card, csv_columns(double_wells), double_wells)
    check_csv_units(double_wells, command.settings.unit, "run step2_classify_dw.py")
    check_records(at, command.settings.unit)
    targets = [at.predicted(pairs) for pairs in ("allpairs", "newpairs")]
    settings = command.settings
    once = {"each_once": settings.rearrangements.overlap} if settings.rearrangements.list_once else {}
    record = made_from(
        [double_wells, *at.neb_files, *pretraining_paths(at)],
        model=card.autogluon,
        tls_threshold=settings.tls_threshold,
        ij_decimals=settings.ij_decimals,
        **once,
    )
    if up_to_date(targets, record):
        print(f"T = {at.temperature}: nothing new to predict")
        listed = [listed_in(target) for target in targets]
    else:
        from MLmodel.ranking import write_lists
        from search.rounds import close_round

        if note := close_round(at, settings):
            print(f"T = {at.temperature}: {note}")
        with with_units(double_wells, settings.unit) as pairs:
            used, *listed = write_lists(work, card, settings, pairs, *targets)
        if sum(used):
            print(
                f"T = {at.temperature}: results that correct the predictions for like pairs: {used[1]} since the "
                f"models were trained, {used[0]} kept in their test sets"
            )
        mark_made(targets, record)
    report(command.settings, at, targets, listed)
    return listed[1].pairs


def report(settings: Settings, at: StatePoint, targets: list[Path], listed: list[Listed]) -> None:
    """Print how many pairs and TLS were predicted, and the top of the list of new pairs."""
    every, new = listed
    words = (
        "pairs that may be double wells",
        f"of them without an answer yet ({every.pairs - new.pairs} with one are left out)",
    )
    for path, of, what in zip(targets, listed, words, strict=True):
        tls = f"{of.tls:.1f} TLS expected (below {settings.tls_threshold:g} {settings.unit.energy})"
        print(f"T = {at.temperature}: {of.pairs} {what}, {tls}: {path}")
    top = pd.read_csv(targets[1], nrows=NEXT)
    if len(top):
        print(f"the {len(top)} pairs to calculate next:")
        print(top.iloc[:, :6].to_string(index=False, formatters=dict.fromkeys("ij", "{:.12g}".format)))


if __name__ == "__main__":
    run_script(main, __doc__)
