"""Lines and pictures at the end of run_neb.py: double wells, rounds, profiles, density and pictures of TLS."""

from collections import Counter

import numpy as np
import pandas as pd

from pipeline.command import Command
from pipeline.formats.keys import PAIR_COLUMNS, Pair
from pipeline.messages import counted, detail, note, record, result
from pipeline.workspace import QS, StatePoint
from reporting import calculations, found
from reporting.profiles import Wells, draw_profiles, wells_of_record
from reporting.tls_pictures import update_pictures
from search.calculated import count_tls, read_double_wells, records_of
from search.density import glass_volumes, update_density
from search.rearrangements import count_rearrangements, rearrangements_in_words, summary_of
from search.stopping import round_summary

DRAWN = 6  # number of profiles in the picture


def report(command: Command, at: StatePoint, kinds: Counter[str], rounds: pd.DataFrame | None) -> None:
    """Draw what was found; say in four lines what came out and whether to go on, and with -v the rest.

    ``kinds`` is the number of verdicts of each kind; without any, all is said with -v only. ``rounds`` as of
    :func:`search.rounds.update_rounds`.
    """
    settings, T, limit = command.settings, f"T = {at.temperature}", command.settings.tls_threshold
    say = result if kinds else detail
    wells, formats = read_double_wells(at), settings.figures
    screened, tls = int((wells["fidelity"] == "screened").sum()), int((wells[QS] < limit).sum())
    record(at.temperature, verdicts=dict(kinds), double_wells=len(wells), screened=screened)
    record(at.temperature, tls=tls, table=at.double_wells)
    counts = "".join(f"{kind}: {count}, " for kind, count in kinds.most_common())
    say(
        f"{T}: {counts}calculated so far: {counted(len(wells), 'double well')}, "
        f"{screened} of them only screened, {count_tls(wells, limit)}"
    )
    recorded = wells[wells["level_0"].notna()]
    if kinds and len(recorded) and recorded["gamma_l"].isna().all():
        note(f"{T}: no coupling to strain (gamma) of any double well: neb.calculator gives no stress")
    title = f"{T}: double wells calculated"
    if len(wells):
        found.draw_statistics(wells, title, settings).save(at.tls_statistics, formats)
        calculations.draw_planes(wells, glass_volumes(at), settings, title).save(at.tls_planes, formats)
    rearrangements = count_rearrangements(at, settings)
    if len(rearrangements):
        if rounds is None:
            detail(f"{T}: {rearrangements_in_words(summary_of(rearrangements))}")
        title = f"{T}: rearrangements, those with most double wells in colours"
        calculations.draw_rearrangements(rearrangements, wells, title, settings).save(at.rearrangements, formats)
    if rounds is not None:
        calculations.draw_rounds(rounds, f"{T}: TLS found in each round of NEBs").save(at.rounds("png"), formats)
        came_out, *ahead = round_summary(rounds.iloc[-1])
        for line in [came_out, "; ".join(ahead)] if rounds["nebs"].iloc[-1] else ["; ".join([came_out, *ahead])]:
            say(f"{T}: {line}")
    profiles, unconfined = list[Wells](), list[Pair]()
    for one in filter(None, records_of(at, wells)):
        if profile := wells_of_record(one):
            profiles.append(profile)
        else:
            unconfined.append(Pair(*(one[name] for name in PAIR_COLUMNS)))
        if len(profiles) == DRAWN:
            break
    if profiles:
        title = f"{T}: smallest splittings, double wells calculated: {len(wells)}"
        draw_profiles(profiles, title, settings, unconfined).save(at.neb_paths("png"), formats)
    left = np.nan if rounds is None else rounds["remaining_tls"].iloc[-1]
    for k, line in enumerate(update_density(at, settings, left)):
        (detail if k else say)(f"{T}: {line}")
    made, there = update_pictures(at, settings)
    detail(f"{T}: {counted(there, 'picture')} of TLS, {made} of them new: {at.tls_pictures}")
