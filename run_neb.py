"""The exact calculation: nudged elastic band and Schrödinger equation for the pairs at the top of the list.

Reads    Configurations/minima/T{T}/
         output_ML/T{T}/predictedQs_T{T}_newpairs.csv, or the CSV of --pairs, or with --explore, --all and
           --representatives the pair tables
Writes   NEB_calculations/T{T}/NON-DW.txt, Qs_calculations.txt and unfinished.csv, a line as soon as a pair is done;
           calculations.csv, what each calculation came to and cost
         output_ML/T{T}/double_wells.csv and rearrangements.png: all double wells calculated, and which are one
           rearrangement; tls_statistics.png, tls_planes.png; paths/, the images of those that could be TLS;
           neb_paths.png, the profiles of the smallest splittings; rounds.csv and rounds.png; tls_density.csv;
           pictures/, one of each TLS
         output_ML/tls_density.png, tls_comparison.png: all temperatures

A pair that stands in one of these files is not calculated again, but with --refine or --retry. The calculator is tried
at a few minima first: one that fails, or has other units, and minima that are not relaxed, end the run in seconds.
Few images tell what is no TLS; only double wells with splittings below neb.refine_below thresholds get all images.

Example  python run_neb.py --top 30 --workspace example-run
"""

import argparse
from collections.abc import Callable
from typing import Any

from pipeline.arguments import existing_file, share_in_words, whole_number
from pipeline.command import Command, check_command_line, run_script
from pipeline.workspace import StatePoint

COULD_BE = 0.8
"""--all: of the double wells of the example, whose glasses are hot, 98 % have at least this nearest_between; of a cold
glass, all have 0.95."""


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    source = parser.add_mutually_exclusive_group()
    count = {"type": whole_number(1), "metavar": "N"}
    add: Callable[..., Any] = source.add_argument
    said = "the next N pairs of the list without result (%(default)s)"
    add("--top", type=whole_number(0), default=50, metavar="N", help=said)
    add("--pairs", type=existing_file, metavar="FILE", help="a CSV with conf,i,j: these pairs instead")
    said = (
        f"every pair that could be a double well: those of the list, and all with nearest_between ≥ {COULD_BE}; "
        "one of each rearrangement first"
    )
    add("--all", type=float, nargs="?", const=COULD_BE, metavar="NEAREST", help=said)
    said = (
        "N of these, whose results tell most of the others: one of each rearrangement without a result, largest first, "
        "then those that the fewest results are like"
    )
    add("--representatives", **count, help=said)
    parser.set_defaults(could_be=COULD_BE)
    said = (
        "the N smallest splittings that were only screened, or have fewer images or larger forces than the settings "
        "ask for, from their stored paths; or that have no record of their levels"
    )
    add("--refine", **count, help=said)
    said = (
        "no new pairs: a second splitting of the N smallest, with the zero-point energy of all other modes; of N "
        "particles it takes 57 Hessians, each 6N force calls where the calculator is not the soft spheres'"
    )
    add("--zero-point", **count, help=said)
    add("--retry", action="store_true", help="the pairs of unfinished.csv again")
    add("--explore", **count, help="N pairs chosen by where they lie, to begin without any label")
    said = (
        "N more of the list, drawn at random, beside those of --top (default: a tenth of that); --top 0 --random N for "
        "these alone"
    )
    parser.add_argument("--random", type=whole_number(0), metavar="N", help=said)
    said = (
        "only the k-th of N parts of these pairs, with files of its own, for job arrays; the next run without, such as "
        "--top 0, or step 1 brings all together"
    )
    parser.add_argument("--share", type=share_in_words, metavar="k/N", help=said)


if __name__ == "__main__":
    check_command_line(__doc__, options)

from collections import Counter
from dataclasses import replace

from MLmodel.training import too_few
from pipeline.errors import UserError
from pipeline.formats.records import changed_settings, check_records, read_records
from pipeline.formats.results import merge_shares, settle_unfinished
from pipeline.messages import counted, detail, note, nothing_new, result
from reporting.found import draw_temperatures
from reporting.neb_report import report
from search.calculated import update_double_wells, update_zero_point
from search.calculator import find_calculator
from search.exact import calculate_pairs, jobs_of, neb_settings
from search.picks import pairs_to_calculate
from search.rounds import update_rounds
from search.stopping import next_step


def main(command: Command) -> None:
    """Calculate the pairs of every temperature that has a list."""
    work, given = command.workspace, command.options
    if given.share and (given.refine or given.retry or given.explore or given.zero_point or given.representatives):
        raise UserError("--share goes with --top, --pairs or --all; run the others without")
    of_results = given.refine or given.retry or given.zero_point
    from_minima = given.pairs or given.explore or given.representatives or of_results or given.all is not None
    temperatures = command.temperatures(
        lambda at: at.has_glasses if from_minima else at.predicted("newpairs").exists(),
        "no temperature has a list of pairs; run step4_predict_qs.py, or --explore 100 without any label",
    )
    if given.pairs and len(temperatures) > 1:
        raise UserError(f"{given.pairs}: name the temperature of these pairs with -T")
    make_calculator = find_calculator(command.settings.neb, work.root)
    if given.share:
        command = replace(command, script=f"{command.script}-{given.share.name}")
    found = command.for_each_temperature(temperatures, lambda at: calculate_one(command, at, make_calculator))
    if given.share:
        result("once all shares have ended, run_neb.py --top 0 or step1_train_dw.py brings them together")
        with_list = all(work.at(T).predicted("newpairs").exists() for T in temperatures)
        command.say_next(*(("run_neb.py", "--top", "0") if with_list else ("step1_train_dw.py",)))
        return
    draw_temperatures(work, command.settings)
    kinds = sum(found, Counter[str]())
    lacking = [too_few(work.at(T), command.settings) for T in temperatures]
    why, script, *arguments = next_step(kinds, lacking, bool(given.explore))
    (result if all(lacking) or (kinds and (arguments or not kinds["double well"])) else detail)(why)
    command.say_next(script, *arguments)


def calculate_one(command: Command, at: StatePoint, make_calculator: Callable[..., Any]) -> Counter[str]:
    """Calculate what is missing of one temperature's pairs, and report; number of verdicts of each kind."""
    settings, given = command.settings, command.options
    check_records(at, settings.unit)
    for sentence in [] if given.share else merge_shares(at):
        note(f"T = {at.temperature}: {sentence}")
    if given.zero_point:
        for line in update_zero_point(at, settings, given.zero_point, make_calculator):
            result(f"T = {at.temperature}: {line}")
        update_double_wells(at, settings)
        report(command, at, Counter(), update_rounds(at, settings))
        return Counter()
    pairs, source = pairs_to_calculate(at, settings, given)
    jobs, without_minima = jobs_of(at, pairs, from_paths=bool(given.refine))
    for line in without_minima:
        note(f"T = {at.temperature}: passed over: {line}")
    if len(without_minima) == len(pairs) > 0:
        raise UserError(f"{at.minima}: holds the minima of none of the pairs in {source}; add them")
    if jobs:
        note(f"T = {at.temperature}: {counted(len(jobs), 'pair')} to calculate: {source}")
    else:
        nothing_new(at.temperature, f"no new pairs to calculate: {source}")
    now = neb_settings(settings)
    for name, then in changed_settings(read_records(at), now).items() if jobs else ():
        before = ", ".join(map(str, then))
        note(
            f"T = {at.temperature}: note: earlier results were made with neb {name} = {before}, these with {now[name]}"
        )
    to = at.of_share(given.share.name) if given.share else at
    try:
        kinds = calculate_pairs(to, jobs, make_calculator, settings, bool(given.refine))
    finally:
        if not given.share:  # what an interrupted run has found counts in its round
            update_double_wells(at, settings)
            settle_unfinished(at)
            rounds = update_rounds(at, settings)
    if not given.share:
        report(command, at, kinds, rounds)
    return kinds


if __name__ == "__main__":
    run_script(main, __doc__, options)
