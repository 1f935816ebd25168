"""The exact calculation: nudged elastic band and Schrödinger equation for the pairs at the top of the list.

Reads    output_ML/T{T}/predictedQs_T{T}_newpairs.csv, or the CSV of --pairs; --explore and --all: the pair tables;
         Configurations/minima/T{T}/
Writes   NEB_calculations/T{T}/NON-DW.txt, Qs_calculations.txt and unfinished.csv, a line as soon as a pair is done;
         calculations.csv, what each calculation came to and cost
         output_ML/T{T}/double_wells.csv and rearrangements.png: all double wells calculated, and which are one
         rearrangement; tls_statistics.png; paths/, the images of those that could be TLS; neb_paths.png, the profiles
         of the smallest splittings; rounds.csv and rounds.png; tls_density.csv; pictures/, one of each TLS
         output_ML/tls_density.png, tls_comparison.png: all temperatures

A pair that stands in one of these files is not calculated again, but with --refine or --retry. A run whose first pairs
are all unfinished for one cause (a calculator that fails, a unit that is off, minima that are none) stops and names it.
Few images tell what is no TLS; only double wells with splittings below neb.refine_below thresholds get all images.
"""

import argparse

from pipeline.command import Command, check_command_line, existing_file, run_script, share_in_words, whole_number
from pipeline.workspace import StatePoint

COULD_BE = 0.8
"""--all: of the double wells of the example, whose glasses are hot, 98 % have at least this nearest_between; of a cold
glass, all have 0.95."""


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--top",
        type=whole_number(0),
        default=50,
        metavar="N",
        help="the next N pairs of the list without result (%(default)s)",
    )
    source.add_argument("--pairs", type=existing_file, metavar="FILE", help="a CSV with conf,i,j: these pairs instead")
    source.add_argument(
        "--all",
        type=float,
        nargs="?",
        const=COULD_BE,
        metavar="NEAREST",
        help=f"every pair that could be a double well: those of the list, and all with nearest_between ≥ {COULD_BE}",
    )
    source.add_argument(
        "--refine",
        type=whole_number(1),
        metavar="N",
        help="the N smallest splittings that were only screened, or have fewer images or larger forces than the "
        "settings ask for, from their stored paths; or that have no record of their levels",
    )
    source.add_argument("--retry", action="store_true", help="the pairs of unfinished.csv again")
    source.add_argument(
        "--explore",
        type=whole_number(1),
        metavar="N",
        help="N pairs chosen by where they lie, to begin without any label",
    )
    parser.add_argument(
        "--random",
        type=whole_number(0),
        metavar="N",
        help="N more of the list, drawn at random, beside those of --top (default: a tenth of that); "
        "--top 0 --random N for these alone",
    )
    parser.add_argument(
        "--share",
        type=share_in_words,
        metavar="k/N",
        help="only the k-th of N parts of these pairs, with files of its own, for job arrays; the next run without, "
        "such as --top 0, or step 1 brings all together",
    )


if __name__ == "__main__":
    check_command_line(__doc__, options)

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from MLmodel.training import FEWEST, REMEDY, too_few
from pipeline.errors import UserError
from pipeline.formats.records import changed_settings, check_records, read_records
from pipeline.formats.shares import merge_shares
from pipeline.progress import progress
from pipeline.workers.pool import Workers, worker_pool
from reporting import calculations, found
from reporting.tls_pictures import update_pictures
from search.calculated import count_tls, update_double_wells
from search.density import update_density
from search.exact import Calculation, Job, calculate, find_calculator, given_up, hbar_of, jobs_of
from search.one_cause import OneCause
from search.pairs_to_calculate import pairs_to_calculate
from search.rounds import does_it_pay, update_rounds
from search.verdicts import neb_settings, write_verdict

DRAWN = 6
"""The picture shows so many profiles."""

SAMPLE = 24
"""A long run begins with so many pairs from all over its order, from which the time of the others is forecast."""


def main(command: Command) -> None:
    """Calculate the pairs of every temperature that has a list."""
    work, given = command.workspace, command.options
    if given.share and (given.refine or given.retry or given.explore):
        raise UserError("--share goes with --top, --pairs or --all; run --refine, --retry and --explore without")
    from_minima = given.pairs or given.explore or given.refine or given.retry or given.all is not None
    temperatures = command.temperatures(
        lambda at: at.has_glasses if from_minima else at.predicted("newpairs").exists(),
        "no temperature has a list of pairs; run step4_predict_qs.py, or --explore 100 without any label",
    )
    if given.pairs and len(temperatures) > 1:
        raise UserError(f"{given.pairs}: of which temperature are these pairs? Name it with -T")
    make_calculator = find_calculator(command.settings.neb.calculator, work.root)
    kinds: Counter[str] = Counter()
    if given.share:
        command = replace(command, script=f"{command.script}-{given.share.name}")
    command.for_each_temperature(temperatures, lambda at: kinds.update(calculate_one(command, at, make_calculator)))
    if given.share:
        print("next: once all shares have ended, run_neb.py --top 0 or step1_train_dw.py, which bring them together")
        return
    if written := found.draw_temperatures(command.workspace, command.settings):
        print(f"all temperatures: pictures: {', '.join(map(str, written))}")
    lacking = [too_few(work.at(T), command.settings) for T in temperatures]
    print(f"next: {what_next(kinds, lacking)}")


def what_next(kinds: Counter[str], lacking: list[str]) -> str:
    """What to do after so many verdicts of each kind, where each temperature lacks such results to learn from."""
    if kinds["double well"] or kinds["non-DW"]:
        if all(lacking):
            return f"{REMEDY}: to learn from there are {'; '.join(lacking)}, {FEWEST} needed"
        return "steps 1 to 4, which learn from these results; begin with step1_train_dw.py"
    if kinds["unfinished"]:
        return "no pair got a result: mend what unfinished.csv says, then run_neb.py --retry"
    return "no pair was left to calculate: step4_predict_qs.py for a new list, or more minima and step0_collect.py"


def calculate_one(command: Command, at: StatePoint, make_calculator: Callable[..., Any]) -> Counter[str]:
    """Calculate what is missing of one temperature's pairs, and report; how many verdicts there were of each kind."""
    check_records(at, command.settings.unit)
    for sentence in [] if command.options.share else merge_shares(at):
        print(f"T = {at.temperature}: {sentence}")
    pairs, source = pairs_to_calculate(at, command.settings, command.options)
    from_paths = command.options.refine is not None
    jobs, without_minima = jobs_of(at, pairs, from_paths)
    for line in without_minima:
        print(f"T = {at.temperature}: passed over: {line}")
    if len(without_minima) == len(pairs) > 0:
        raise UserError(f"{at.minima}: holds the minima of none of the pairs in {source}; add them")
    print(f"T = {at.temperature}: {len(jobs) or 'no new'} pairs to calculate: {source}")
    if jobs:
        report_changed_settings(command, at)
    if command.options.share:
        kinds = run_jobs(command, at, jobs, make_calculator)
        report_kinds(command, at, kinds)
        return kinds
    try:
        kinds = run_jobs(command, at, jobs, make_calculator)
    finally:  # what an interrupted run has found counts in its round
        report_double_wells(command, at)
        table = update_rounds(at, command.settings)
    report_kinds(command, at, kinds)
    if table is not None:
        report_rounds(command, at, table)
    draw_profiles(command, at)
    report_tls(command, at, np.nan if table is None else table["remaining_tls"].iloc[-1])
    return kinds


def report_kinds(command: Command, at: StatePoint, kinds: Counter[str]) -> None:
    """Say how many verdicts there were of each kind."""
    if kinds:
        counts = ", ".join(f"{kind}: {count}" for kind, count in kinds.most_common())
        print(f"T = {at.temperature}: {counts}: {at.neb}")


def report_changed_settings(command: Command, at: StatePoint) -> None:
    """Say so before results of other settings are mixed with those that are there."""
    now = neb_settings(command.settings)
    for name, then in changed_settings(read_records(at), now).items():
        before = ", ".join(map(str, then))
        print(
            f"T = {at.temperature}: note: earlier results were made with neb {name} = {before}, these with {now[name]}"
        )


def run_jobs(command: Command, at: StatePoint, jobs: list[Job], make_calculator: Callable[..., Any]) -> Counter[str]:
    """Calculate over all cores and write each verdict the moment it is reached; how many there were of each kind."""
    settings = command.settings
    kinds: Counter[str] = Counter()
    if not jobs:
        return kinds
    refine_below = np.inf if command.options.refine else settings.neb.refine_below * settings.tls_threshold
    function = partial(
        calculate,
        settings=settings.neb,
        make_calculator=make_calculator,
        refine_below=float(refine_below),
        units=settings.unit,
    )
    refining, retrying = command.options.refine is not None, command.options.retry
    share = command.options.share
    to = at.of_share(share.name) if share else at
    written = partial(write_verdict, to, settings=settings, refining=refining, retrying=retrying)
    one_cause = OneCause(settings)
    bar = progress(desc=f"T = {at.temperature}: NEB", total=len(jobs), unit="pair")

    def write(results: list[Calculation]) -> None:
        for one in results:
            bar.write(f"  {one.job.pair}: {written(one)}")
            kinds[one.verdict.kind] += 1
            bar.update()

    def run(workers: Workers, some: list[Job]) -> float:
        """CPU seconds taken."""
        seconds = 0.0
        try:
            for one in workers.results(function, some, time_limit=settings.neb.time_limit, lost=given_up):
                write(one_cause.released(one))
                seconds += one.cpu_seconds
        finally:
            write(one_cause.rest())
        return seconds

    with bar, worker_pool(settings, len(jobs)) as workers:
        if len(jobs) > 4 * SAMPLE:
            sample = {int(k) for k in np.linspace(0, len(jobs) - 1, SAMPLE)}
            seconds = run(workers, [jobs[k] for k in sorted(sample)]) / len(sample)
            jobs = [job for k, job in enumerate(jobs) if k not in sample]
            minutes, cores = len(jobs) * seconds / 60, workers.count
            bar.write(
                f"T = {at.temperature}: {len(sample)} pairs took {seconds:.2g} s of CPU time each; forecast for the "
                f"other {len(jobs)}: {minutes:.3g} min of CPU time, {minutes / cores:.3g} min on {cores} cores"
            )
        run(workers, jobs)
    return kinds


def report_double_wells(command: Command, at: StatePoint) -> None:
    """Bring the list of double wells up to date, draw which of them are alike, and count TLS."""
    settings = command.settings
    double_wells, counted = update_double_wells(at, settings)
    screened = int((double_wells["fidelity"] == "screened").sum())
    print(
        f"T = {at.temperature}: calculated so far: {len(double_wells)} double wells, {screened} of them only screened, "
        f"{count_tls(double_wells, settings.tls_threshold)}: {at.double_wells}"
    )
    pictures = []
    if len(double_wells):
        title = f"T = {at.temperature}: double wells calculated"
        statistics = found.draw_statistics(double_wells, settings.tls_threshold, title, settings.unit)
        pictures += statistics.save(at.tls_statistics, settings.figures)
    if counted.any():
        title = f"T = {at.temperature}: pairs of double wells of one glass"
        picture = calculations.draw_overlaps(counted, settings.rearrangements.overlap, title)
        pictures += picture.save(at.rearrangements, settings.figures)
    if pictures:
        print(f"T = {at.temperature}: pictures: {', '.join(map(str, pictures))}")


def draw_profiles(command: Command, at: StatePoint) -> None:
    """Draw the double wells with the smallest splittings."""
    settings = command.settings
    latest = {(one["conf"], one["i"], one["j"]): one for one in read_records(at)}
    smallest = heapq.nsmallest(DRAWN, latest.values(), key=lambda one: one["levels"][1] - one["levels"][0])
    hbar = hbar_of(settings.neb)
    profiles = [drawn for one in smallest if (drawn := calculations.profile_of_calculation(one, hbar)) is not None]
    if not profiles:
        return
    target = at.neb_paths("png")
    title = f"T = {at.temperature}: smallest splittings, double wells calculated: {len(latest)}"
    written = calculations.draw_profiles(profiles, settings.tls_threshold, title, settings.unit).save(
        target, settings.figures
    )
    print(f"T = {at.temperature}: picture: {', '.join(map(str, written))}")


def report_tls(command: Command, at: StatePoint, left: float) -> None:
    """Say the density of TLS, ``left`` of which are expected on the list, and make a picture of each."""
    settings = command.settings
    for sentence in update_density(at, settings, left):
        print(f"T = {at.temperature}: {sentence}")
    made, there = update_pictures(at, settings)
    if there:
        print(f"T = {at.temperature}: pictures of TLS: {there}, {made} of them new: {at.tls_pictures}")


def report_rounds(command: Command, at: StatePoint, table: pd.DataFrame) -> None:
    """Draw the rounds; say what is to come and whether going on pays."""
    title = f"T = {at.temperature}: TLS found in each round of NEBs"
    written = calculations.draw_rounds(table, title).save(at.rounds("png"), command.settings.figures)
    print(f"T = {at.temperature}: rounds: {at.rounds('csv')}, {', '.join(map(str, written))}")
    for sentence in does_it_pay(table.iloc[-1]):
        print(f"T = {at.temperature}: {sentence}")


if __name__ == "__main__":
    run_script(main, __doc__, options)
