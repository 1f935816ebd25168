"""A picture of each TLS that was calculated, from its record and its two minima: ``pictures/``."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from glass.path import displacement
from glass.tunnelling import NotResolvedError, lowest_states
from pipeline.formats.configurations import MinimumError
from pipeline.formats.keys import PAIR_COLUMNS, Pair, by_pair
from pipeline.formats.paths import path_file
from pipeline.formats.records import profile_of_record
from pipeline.progress import progress
from pipeline.settings import Settings
from pipeline.stamps import made_from, mark_made, read_stamp, up_to_date
from pipeline.version import __version__
from pipeline.workspace import QS, StatePoint
from reporting.atom_plots import Motion, Wells, two_level_picture
from reporting.plots import Picture
from search.calculated import belong, describe, read_double_wells, records_of
from search.exact import Job, check_one_glass, hbar_of, jobs_of, read_atoms
from search.rearrangements import species_names

DRAWN = 50
"""Pictures are made of so many TLS, those with the smallest splittings."""

HEIGHT, SMALL = 1.2, 0.02
"""V is drawn where it is below so many times the barrier (or the second level, if that is higher), or where a
wavefunction has more than this part of its largest value."""

POINTS = 200
"""Of a curve; with all those of the grid an SVG would be large."""


def update_pictures(at: StatePoint, settings: Settings) -> tuple[int, int]:
    """Make the pictures that are missing or older than their calculation; remove those of what is no TLS any more.

    Returns
    -------
    made : int
        How many were made now.
    there : int
        How many TLS have one.
    """
    table = read_double_wells(at)
    tls = table[table[QS] < settings.tls_threshold]
    folder = at.tls_pictures
    names = [path_file(at, Pair(*row)).stem for row in tls[PAIR_COLUMNS].itertuples(index=False)]
    records = records_of(at, tls)
    known = {
        name: record
        for name, record, splitting in zip(names, records, tls[QS], strict=True)
        if record or _shows(folder / f"{name}.csv", splitting)  # its record may be lost
    }
    kept = tuple(f"{name}." for name in known)
    for path in folder.glob("Cnf-*.*") if folder.is_dir() else []:
        if not path.name.startswith(kept):
            path.unlink()
            path.with_name(f".{path.name}.made-from.json").unlink(missing_ok=True)
    made = there = 0
    chosen = list(known.items())[:DRAWN]
    for name, record in progress(chosen, desc=f"T = {at.temperature}: pictures of TLS", unit="picture"):
        if record is None:
            there += 1
            continue
        targets = [folder / f"{name}.{kind}" for kind in (*settings.figures, "csv")]
        inputs = made_from([], levels=record["levels"], units=settings.units, program=__version__)
        if not up_to_date(targets, inputs):
            picture = picture_of_pair(at, record, settings)
            if picture is None:
                continue
            picture.save(targets[0], settings.figures)
            mark_made(targets, inputs)
            made += 1
        there += 1
    return made, there


def _shows(file: Path, splitting: float) -> bool:
    """Whether a picture is there that was made from levels so far apart."""
    levels = read_stamp(file).get("levels")
    if not file.exists() or not isinstance(levels, list) or [type(one) for one in levels] != [float, float]:
        return False
    return belong(levels, splitting)


def picture_of_pair(at: StatePoint, record: dict[str, Any], settings: Settings) -> Picture | None:
    """The picture of the double well of one record; None where its minima or its levels are not known any more."""
    jobs, _ = jobs_of(at, by_pair(pd.DataFrame([record], columns=PAIR_COLUMNS), at.decimals))
    wells = wells_of_record(record, hbar_of(settings.neb))
    motion = motion_of_job(jobs[0]) if jobs else None
    if wells is None or motion is None:
        return None
    conf, i, j = _pair(record)
    screened = "" if record.get("fidelity") == "full" else ", screened"
    return two_level_picture(motion, wells, f"Cnf-{conf}, {i!r} – {j!r}{screened}", settings.unit)


def motion_of_job(job: Job) -> Motion | None:
    """What moves between the two minima of a pair; None where one can't be read."""
    try:
        start, end = (read_atoms(place) for place in job.places)
        check_one_glass(job, start, end)
    except (MinimumError, OSError):
        return None  # step 0 and run_neb.py say what is wrong with it
    box = start.cell.lengths()
    steps = displacement(start.positions, end.positions, box)
    names = species_names(start.arrays["types"], start.numbers).tolist()
    return Motion(start.positions, steps, box, start.arrays["diameters"], names)


def wells_of_record(record: dict[str, Any], hbar: float) -> Wells | None:
    """V and levels of a record; None for one of 0.1, or where V does not confine.

    Parameters
    ----------
    record : dict
        As :func:`pipeline.formats.records.read_records` gives it.
    hbar : float
        ħ̃ for a record that does not name it.
    """
    profile = profile_of_record(record)
    if profile is None:
        return None
    try:
        x, states = lowest_states(profile, record.get("hbar", hbar))
    except NotResolvedError:
        return None
    potential, (low, high) = profile(x), record["levels"]
    floor = profile.energies.min()
    low_enough = potential - floor < HEIGHT * (max(profile.energies.max(), high) - floor)
    inside = np.flatnonzero(low_enough | (np.abs(states) > SMALL * np.abs(states).max()).any(axis=1))
    shown = np.unique(np.linspace(inside[0], inside[-1], POINTS).astype(int))
    found = describe(record, hbar)
    return Wells(
        profile.lengths,
        profile.energies,
        x[shown],
        potential[shown],
        states[shown],
        (low, high),
        found["barrier"],
        found["asymmetry"],
        found.get("tunnelling_amplitude", np.nan),
    )


def _pair(record: dict[str, Any]) -> Pair:
    return Pair(record["conf"], record["i"], record["j"])
