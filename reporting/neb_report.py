"""What run_neb.py says and draws at its end: double wells, rounds, profiles, density and pictures of TLS."""

import heapq
from collections import Counter

import numpy as np

from pipeline.command import Command
from pipeline.formats.records import read_records
from pipeline.messages import detail, record, result
from pipeline.workspace import QS, StatePoint
from reporting import calculations, found
from reporting.planes import draw_planes
from reporting.profiles import draw_profiles, wells_of_record
from reporting.tls_pictures import update_pictures
from search.calculated import count_tls, update_double_wells
from search.density import glass_volumes, update_density
from search.rearrangements import count_rearrangements, rearrangements_in_words, summary_of
from search.rounds import update_rounds
from search.stopping import round_summary

DRAWN = 6
"""Number of profiles in the picture."""


def report_kinds(at: StatePoint, kinds: Counter[str]) -> None:
    """Say how many verdicts there were of each kind."""
    if kinds:
        counts = ", ".join(f"{kind}: {count}" for kind, count in kinds.most_common())
        result(f"T = {at.temperature}: {counts}")
        detail(f"T = {at.temperature}: results: {at.neb}")
        record(at.temperature, verdicts=dict(kinds))


def report_double_wells(command: Command, at: StatePoint) -> None:
    """Bring the list of double wells up to date, draw which of them are alike, and count TLS."""
    settings = command.settings
    double_wells = update_double_wells(at, settings)
    screened = int((double_wells["fidelity"] == "screened").sum())
    result(
        f"T = {at.temperature}: calculated so far: {len(double_wells)} double wells, {screened} of them only screened, "
        f"{count_tls(double_wells, settings.tls_threshold)}"
    )
    detail(f"T = {at.temperature}: double wells: {at.double_wells}")
    tls = int((double_wells[QS] < settings.tls_threshold).sum())
    record(at.temperature, double_wells=len(double_wells), screened=screened, tls=tls, table=at.double_wells)
    pictures = []
    if len(double_wells):
        title = f"T = {at.temperature}: double wells calculated"
        statistics = found.draw_statistics(double_wells, settings.tls_threshold, title, settings.unit)
        pictures += statistics.save(at.tls_statistics, settings.figures)
        volume = float(glass_volumes(at).sum())
        pictures += draw_planes(double_wells, volume, settings, title).save(at.tls_planes, settings.figures)
    counted = count_rearrangements(at, settings)
    if len(counted):
        title = f"T = {at.temperature}: rearrangements, those with most double wells in colours"
        mapped = calculations.draw_rearrangements(counted, double_wells, settings.tls_threshold, title, settings.unit)
        pictures += mapped.save(at.rearrangements, settings.figures)
    if pictures:
        detail(f"T = {at.temperature}: pictures: {', '.join(map(str, pictures))}")


def report_search(command: Command, at: StatePoint) -> None:
    """Draw the rounds and the smallest splittings; say whether going on pays, and the density of TLS."""
    settings = command.settings
    table = update_rounds(at, settings)
    if table is not None:
        title = f"T = {at.temperature}: TLS found in each round of NEBs"
        written = calculations.draw_rounds(table, title).save(at.rounds("png"), settings.figures)
        detail(f"T = {at.temperature}: rounds: {at.rounds('csv')}, {', '.join(map(str, written))}")
        for sentence in round_summary(table.iloc[-1]):
            result(f"T = {at.temperature}: {sentence}")
    elif len(counted := count_rearrangements(at, settings)):
        result(f"T = {at.temperature}: {rearrangements_in_words(summary_of(counted))}")
    _draw_profiles(command, at)
    remaining = np.nan if table is None else table["remaining_tls"].iloc[-1]
    for sentence in update_density(at, settings, remaining):
        result(f"T = {at.temperature}: {sentence}")
    made, there = update_pictures(at, settings)
    if there:
        detail(f"T = {at.temperature}: pictures of TLS: {there}, {made} of them new: {at.tls_pictures}")


def _draw_profiles(command: Command, at: StatePoint) -> None:
    """Draw the double wells with the smallest splittings."""
    settings = command.settings
    latest = {(one["conf"], one["i"], one["j"]): one for one in read_records(at)}
    smallest = heapq.nsmallest(DRAWN, latest.values(), key=lambda one: one["levels"][1] - one["levels"][0])
    profiles = [wells for one in smallest if (wells := wells_of_record(one))]
    if profiles:
        title = f"T = {at.temperature}: smallest splittings, double wells calculated: {len(latest)}"
        picture = draw_profiles(profiles, settings.tls_threshold, title, settings.unit)
        written = picture.save(at.neb_paths("png"), settings.figures)
        detail(f"T = {at.temperature}: picture: {', '.join(map(str, written))}")
