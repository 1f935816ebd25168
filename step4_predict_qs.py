"""Step 4: predict the quantum splitting of all pairs that may be double wells and say which to calculate next.

Reads    output_ML/T{T}/DW_T{T}.feather, MLmodel/qs-regression-T{digits}/, NEB_calculations/T{T}/, the pretraining sets,
           Configurations/pairs/T{T}/, Configurations/minima/T{T}/: which pairs are like those with a result
Writes   output_ML/T{T}/predictedQs_T{T}_allpairs.csv: all of them, smallest splitting first
         output_ML/T{T}/predictedQs_T{T}_newpairs.csv: the same without the pairs whose answer is known, from the NEB
           files or a pretraining set: first, with rearrangements.list_once, the best pair of each rearrangement without
           a result, then the rest, both by their chance to be a TLS
         output_ML/T{T}/rearrangements.feather: the number of the rearrangement of each pair
         output_ML/T{T}/rounds.csv, double_wells.csv: what was calculated of the list before, if that is not counted yet

Stops at once if neither the double wells nor the model nor these files changed since.

Example  python step4_predict_qs.py --json --workspace example-run
"""

from pipeline.command import Command, check_command_line, run_script
from pipeline.workspace import PREDICTOR, StatePoint

if __name__ == "__main__":
    check_command_line(__doc__)

import sys
from pathlib import Path
from shutil import get_terminal_size

from MLmodel.card import Card, check_features, find_card
from pipeline.errors import UserError
from pipeline.messages import counted, note, nothing_new, record, result, say_next
from pipeline.settings import Settings
from pipeline.stamps import check_made, made_from, mark_made, read_stamp, up_to_date

NEXT = 10  # pairs that are printed
SHOWN = ["conf", "i", "j", "splitting_K", "tls_probability", "dw_probability"]  # their columns
NARROW = ["conf", "i", "j", "tls_probability"]  # on a terminal that is too narrow for these
LISTED_ONCE = 1000  # rows at the top of the list in which rearrangements.list_once counts


def main(command: Command) -> None:
    """Predict the splittings of every temperature whose pairs are classified."""
    temperatures = command.temperatures(
        lambda at: at.classified_features.exists() and at.card(PREDICTOR).exists(),
        "no temperature has both classified pairs and a predictor; run step2_classify_dw.py, then step3_train_qs.py",
    )
    if sum(command.for_each_temperature(temperatures, lambda at: predict_one(command, at))):
        command.say_next("run_neb.py", "--top", "30")
    else:
        say_next("nothing is left to calculate; add minima, or raise the ceilings classify.* in config.yaml")


def predict_one(command: Command, at: StatePoint) -> int:
    """Bring both lists of one temperature up to date, and report on them; number of pairs left to calculate."""
    settings, double_wells = command.settings, at.classified_features
    if not double_wells.exists():
        raise UserError(f"{double_wells}: no classified pairs; run step2_classify_dw.py")
    card = find_card(at, PREDICTOR, settings.unit)
    check_made(double_wells, "step2_classify_dw.py", at, settings.unit)
    targets = every, new = [at.predicted(pairs) for pairs in ("allpairs", "newpairs")]
    made_of = made_from(
        [double_wells, *at.neb_files, *at.all_pretraining_sets],
        model=card.training,
        tls_threshold=settings.tls_threshold,
        epsilon=settings.neb.epsilon,
        units=settings.units,
        ij_decimals=settings.ij_decimals,
        rearrangements=settings.rearrangements.model_dump(),
    )
    if up_to_date(targets, made_of):
        told = read_stamp(every)["result"]
        left = f"{counted(told['left'], 'pair')} left to calculate, {told['tls_left']:.1f} TLS expected among them"
        nothing_new(at.temperature, f"nothing new to predict; {left}")
    else:
        told = write_lists(at, card, settings)
        mark_made(targets, made_of, told)
        below = f"TLS expected (below {settings.tls_threshold:g} {settings.unit.energy})"
        pairs = counted(int(told["pairs"]), "pair")
        result(f"T = {at.temperature}: {pairs} that may be double wells, {told['tls']:.1f} {below}: {every}")
        result(
            f"T = {at.temperature}: {told['left']} of them without an answer yet "
            f"({told['pairs'] - told['left']} with one are left out), {told['tls_left']:.1f} {below}: {new}"
        )
        show_top(new)
    record(at.temperature, **told, all_pairs=every, new_pairs=new)
    return int(told["left"])


def write_lists(at: StatePoint, card: Card, settings: Settings) -> dict[str, float]:
    """Write both lists; numbers of pairs on them, and of TLS known or to be expected among these."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from MLmodel.model import unseen_predictions
    from MLmodel.ranking import orders, predict_pairs
    from pipeline.formats.keys import PAIR_COLUMNS
    from pipeline.formats.pair_lists import copy_lines, write_list
    from pipeline.formats.pair_tables import PROBABILITY, TLS_PROBABILITY, open_table
    from pipeline.formats.records import check_records
    from search.likes import add_likes
    from search.rearrangements import REARRANGEMENT, each_once, number_rearrangements
    from search.rounds import close_round, known_or_expected

    check_features(card, open_table(at.classified_features).schema.names, at.classified_features)
    check_records(at, settings.unit)
    if closed := close_round(at, settings):
        note(f"T = {at.temperature}: {closed}")
    with threadpool_limits(1, "blas"):  # the last digits would depend on the number of cores
        pairs, to_calculate, correcting = predict_pairs(at, card, settings)
        sigma = float(np.std(np.subtract(*map(np.log10, unseen_predictions(at, card)))))
        pairs = add_likes(at, pairs, to_calculate, sigma, settings)
    if correcting:
        said = "results not learnt from, which correct the predictions for like pairs"
        note(f"T = {at.temperature}: {said}: {correcting}")
    numbers = number_rearrangements(at, pairs, settings)
    smallest_first, next_ones = orders(pairs, to_calculate)
    if settings.rearrangements.list_once:
        top = next_ones[:LISTED_ONCE]
        once = each_once(numbers[smallest_first[top]], numbers[~to_calculate])
        next_ones[:LISTED_ONCE] = top[once]
    pairs = pairs.with_columns(**{REARRANGEMENT: numbers})
    every, new = at.predicted("allpairs"), at.predicted("newpairs")
    write_list(every, pairs, settings.ij_decimals, smallest_first)
    copy_lines(every, new, next_ones)
    told = pairs.select(*PAIR_COLUMNS, TLS_PROBABILITY, PROBABILITY)
    answered = told.filter(~to_calculate).to_pandas()
    left = float(told[TLS_PROBABILITY].filter(to_calculate).sum())
    return {
        "pairs": len(pairs),
        "tls": left + known_or_expected(at, answered, settings)[0],
        "left": len(next_ones),
        "tls_left": left,
    }


def show_top(new: Path) -> None:
    """Print the top of the list of new pairs."""
    import pandas as pd

    top = pd.read_csv(new, nrows=NEXT, dtype=str)
    if len(top):
        table = top[SHOWN].to_string(index=False)
        if sys.stdout.isatty() and table.index("\n") > get_terminal_size().columns:
            table = top[NARROW].to_string(index=False)
        result(f"the {counted(len(top), 'pair')} to calculate next:\n{table}")


if __name__ == "__main__":
    run_script(main, __doc__)
