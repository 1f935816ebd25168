"""The exact calculation of pairs, from the names of their minima to the files that hold each result at once."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from ase import Atoms

from glass.band import STAGES
from glass.batches import together
from glass.double_well import CalculatorFailedError, Verdict, examine
from glass.tunnelling import reduced_hbar
from glass.two_level import two_level
from pipeline.formats.configurations import MinimumError, Place
from pipeline.formats.frames import to_atoms
from pipeline.formats.keys import Pair, label, minimum_names
from pipeline.formats.minima import read_atoms
from pipeline.formats.path_images import path_file, read_path, write_path
from pipeline.formats.records import WAYS, add_record, record_of
from pipeline.formats.results import (
    add_calculation,
    add_non_dw,
    add_splitting,
    add_unfinished,
    take_back_splitting,
)
from pipeline.matching import minima_of, read_pair
from pipeline.messages import Progress, counted
from pipeline.settings import NebSettings, Settings
from pipeline.workers import Workers, worker_pool
from pipeline.workspace import QS, StatePoint
from search.calculator import Check, KnownMinimum, check_calculator, check_minimum, load
from search.conversion import calculator_for_glass, to_glass, verdict_in
from search.trust import measure_noise, noise_in_words, settled
from search.well_properties import properties_of

CHECKED = 4  # number of pairs at whose minima the calculator is checked before a run
SAMPLE = 24  # number of pairs, from all over the order, whose time forecasts that of the others of a long run


QUEUED = 3
"""Number of pairs with ``neb.batched`` that a worker gets at once, for each that is under way at a time: as one ends,
the next takes its place in the calls. So many verdicts are written together."""


class PairJob(NamedTuple):
    """One pair to calculate, where its minima stand, and perhaps images of an earlier calculation to begin with."""

    pair: Pair
    places: tuple[Place, Place]
    known_path: Path | None = None


def jobs_of(at: StatePoint, pairs: pd.DataFrame, from_paths: bool = False) -> tuple[list[PairJob], list[str]]:
    """Jobs for a table by pair, with ``from_paths`` also the images that are there; and what minima are missing."""
    jobs, missing = [], []
    places: dict[int, dict[int, Place]] = {}
    for conf, low, high in pairs.index:
        folder = at.glass(conf)
        if conf not in places:
            places[conf] = minima_of(at, conf)
        pair = Pair(conf, *minimum_names([low, high], at.decimals).tolist())
        gone = [name for key, name in ((low, pair.i), (high, pair.j)) if key not in places[conf]]
        if gone:
            missing.append(f"{pair.text(at.decimals)}: no minimum {label(gone[0], at.decimals)} in {folder}")
        else:
            path = path_file(at, pair)
            known = path if from_paths and path.exists() else None
            jobs.append(PairJob(pair, (places[conf][low], places[conf][high]), known))
    return jobs, missing


class Calculation(NamedTuple):
    """Verdict on a pair, and its cost."""

    job: PairJob
    verdict: Verdict
    cpu_seconds: float
    properties: dict[str, float] = {}  # noqa: RUF012 (of a tuple)
    """See :mod:`search.well_properties`."""


def calculate(
    job: PairJob, settings: Settings, make_calculator: Callable[[Atoms], Any], refining: bool = False
) -> Calculation:
    """The exact calculation of one pair, while ``refining`` with all images whatever its splitting; a job."""
    started, properties, neb, units = time.process_time(), dict[str, float](), settings.neb, settings.unit
    try:
        start, end = map(to_atoms, read_pair(job.places))
        make_calculator = load(neb, make_calculator, start)
        started = time.process_time()
        tolerance = neb.force_tolerance * units.sigma / units.epsilon
        examined = partial(
            examine,
            to_glass(start, units),
            to_glass(end, units),
            calculator_for_glass(start, make_calculator, units),
            images=neb.images,
            tolerance=tolerance,
            max_steps=neb.max_steps,
            hbar=hbar_of(neb) / (units.sigma * (units.m * units.epsilon) ** 0.5),
            refine_below=np.inf if refining else neb.refine_below * settings.tls_threshold / units.epsilon,
            energy_difference=len(start) * (job.pair.j - job.pair.i) / units.epsilon,
            way=neb.continuation,
        )
        known = None if job.known_path is None else read_path(job.known_path, start, end, units.sigma)
        verdict = verdict_in(units, settled(examined, known, neb.max_steps, tolerance))
        if verdict.kind == "double well":
            properties = properties_of(start, end, verdict, make_calculator, neb)
    except (MinimumError, CalculatorFailedError) as error:
        verdict = Verdict("unfinished", str(error))
    return Calculation(job, verdict, time.process_time() - started, properties)


def calculate_together(
    jobs: Sequence[PairJob], settings: Settings, make_calculator: Callable[[Atoms], Any], refining: bool
) -> list[Calculation]:
    """The exact calculation of pairs; several, with ``neb.batched``, share calls, and evenly the CPU time."""
    function = partial(calculate, settings=settings, make_calculator=make_calculator, refining=refining)
    if len(jobs) == 1:
        return [function(jobs[0])]
    with suppress(MinimumError, CalculatorFailedError):  # of which each pair tells
        load(settings.neb, make_calculator, read_atoms(jobs[0].places[0]))
    started = time.process_time()
    found = together(function, jobs, _under_way(settings.neb))
    seconds = (time.process_time() - started) / len(jobs)
    return [one._replace(cpu_seconds=seconds) for one in found]


def _under_way(settings: NebSettings) -> int:
    """Number of pairs that share calls at a time: as many as have first bands that fill one."""
    return max(1, settings.batch_size // (STAGES[0][0] - 2))


def _groups(jobs: Sequence[PairJob], settings: NebSettings, workers: int) -> list[list[PairJob]]:
    """What a worker gets at once, in the order of their first: one pair, with ``neb.batched`` several of one glass."""
    most = min(QUEUED * _under_way(settings), -(-len(jobs) // workers)) if settings.batched else 1
    groups: list[list[PairJob]] = []
    latest: dict[int, list[PairJob]] = {}
    for job in jobs:
        group = latest.get(job.pair.conf)
        if group is None or len(group) == most:
            group = latest[job.pair.conf] = []
            groups.append(group)
        group.append(job)
    return groups


def hbar_of(settings: NebSettings) -> float:
    """ħ̃ = ħ / (σ √(m ε)) in the units of the settings; of metal units ħ in Å √(u eV)."""
    return reduced_hbar(settings.sigma, settings.mass, settings.epsilon)


def neb_settings(settings: Settings) -> dict[str, Any]:
    """Settings that are kept with each result: the ``SETTINGS`` of :mod:`pipeline.formats.records`."""
    chosen = settings.neb.model_dump(include={"calculator", "images", "force_tolerance"})
    beyond = WAYS[settings.neb.continuation]
    return {**chosen, "hbar": hbar_of(settings.neb), "beyond_ends": beyond, "units": settings.units}


def write_verdict(at: StatePoint, calculation: Calculation, settings: Settings, refining: bool) -> str:
    """Write the result of a pair to the files where it belongs; the same in words.

    ``refining``: the pair has a splitting already, which stays where this calculation gives no verdict.
    """
    job, verdict, cpu_seconds, _ = calculation
    splitting = None
    if verdict.levels is not None:
        splitting = verdict.levels[1] - verdict.levels[0]
        _describe(at, calculation, settings)  # first: what has a result is not calculated again
    row = {
        "verdict": verdict.kind,
        QS: splitting,
        "fidelity": verdict.fidelity,
        "images": len(verdict.band.positions) if verdict.band else 0,
        "steps": verdict.band.steps if verdict.band else 0,
        "cpu_seconds": round(cpu_seconds, 4),
    }
    add_calculation(at, job.pair, row)
    said = f"{verdict.kind}: {verdict.reason}"
    if splitting is not None:
        add_splitting(at, job.pair, splitting)
        kind = "TLS" if splitting < settings.tls_threshold else verdict.kind
        kelvin = splitting * settings.neb.epsilon
        said = f"{kind}, {kelvin:.3g} K ({splitting:.4g} {settings.unit.energy}), {verdict.fidelity}"
    elif verdict.kind == "non-DW":
        if refining:
            take_back_splitting(at, job.pair)
            path_file(at, job.pair).unlink(missing_ok=True)
        add_non_dw(at, job.pair)
    elif not refining:
        add_unfinished(at, job.pair, verdict.reason)
    return said


def _describe(at: StatePoint, calculation: Calculation, settings: Settings) -> None:
    """The path and the record of a double well."""
    (pair, places, _), verdict = calculation.job, calculation.verdict
    if verdict.band is None or verdict.profile is None or verdict.levels is None:
        return
    minimum = read_atoms(places[0])
    if settings.neb.keep_paths in ("all", verdict.fidelity):
        write_path(at, pair, verdict.band, minimum, settings.units)
    how = {
        **neb_settings(settings),
        "fidelity": verdict.fidelity,
        "force": verdict.band.force,
        **record_of(two_level(verdict.profile, verdict.levels, hbar_of(settings.neb))),
        "path_length": float(verdict.band.lengths[-1]),
        "properties": calculation.properties,
    }
    add_record(at, pair, verdict.levels, verdict.profile, how)


def calculate_pairs(
    at: StatePoint,
    jobs: Sequence[PairJob],
    make_calculator: Callable[..., Any],
    settings: Settings,
    refining: bool = False,
) -> Counter[str]:
    """Calculate pairs in this order over all cores, write each verdict the moment it is reached, count their kinds.

    ``at`` is that of a share for a share; ``refining`` as of :func:`write_verdict`. UserError if the calculator, or all
    of the minima, are no good: before anything is calculated.
    """
    kinds: Counter[str] = Counter()
    if not jobs:
        return kinds
    neb = settings.neb
    function = partial(calculate_together, settings=settings, make_calculator=make_calculator, refining=refining)
    alone: list[list[PairJob]] = []

    def lost(group: list[PairJob], reason: str) -> list[Calculation]:
        if len(group) > 1:  # whichever of them it was
            alone.extend([job] for job in group)
            return []
        return [Calculation(group[0], Verdict("unfinished", f"{reason}; neb.calculator?"), 0.0)]

    bar = Progress(desc=f"T = {at.temperature}: NEB", total=len(jobs), unit="pair")

    def run(workers: Workers, groups: list[list[PairJob]]) -> float:
        """CPU seconds taken."""
        seconds = 0.0
        limit = neb.time_limit and neb.time_limit * max(map(len, groups))
        for one in chain.from_iterable(workers.results(function, groups, time_limit=limit, lost=lost)):
            said = write_verdict(at, one, settings, refining)
            style = "bold green" if said.startswith("TLS") else "" if one.verdict.kind == "double well" else "dim"
            bar.write(f"{bar.n + 1:.0f}/{len(jobs)} {one.job.pair.text(at.decimals)}: {said}", style)
            kinds[one.verdict.kind] += 1
            seconds += one.cpu_seconds
            bar.update()
        again, alone[:] = alone[:], []
        return seconds + run(workers, again) if again else seconds

    with bar, worker_pool(settings, len(jobs), calculator=True) as workers:
        for sentence in _check_calculator(workers, jobs, make_calculator, settings):
            bar.write(f"T = {at.temperature}: {sentence}")
        first = _spread(SAMPLE, len(jobs)) if len(jobs) > 4 * SAMPLE else []
        if first:
            seconds = run(workers, _groups([jobs[k] for k in first], neb, workers.count)) / len(first)
            left = len(jobs) - len(first)
            minutes = left * seconds / 60
            bar.write(
                f"T = {at.temperature}: {counted(len(first), 'pair')} took {seconds:.2g} s of CPU time each; forecast "
                f"for the other {left}: {minutes:.3g} min of CPU time, {minutes / workers.count:.3g} min on "
                f"{workers.count} cores"
            )
        run(workers, _groups([job for k, job in enumerate(jobs) if k not in first], neb, workers.count))
    return kinds


def _spread(count: int, of: int) -> list[int]:
    """Up to ``count`` numbers from all over range(of)."""
    return sorted({int(k) for k in np.linspace(0, of - 1, count)})


def _check_calculator(
    workers: Workers, jobs: Sequence[PairJob], make_calculator: Callable[..., Any], settings: Settings
) -> list[str]:
    """Call the calculator at minima of pairs from all over the order; what is to be said of its noise."""
    minima = dict.fromkeys(
        KnownMinimum(job.pair.conf, place, energy)
        for job in (jobs[k] for k in _spread(CHECKED, len(jobs)))
        for place, energy in zip(job.places, (job.pair.i, job.pair.j), strict=True)
    )
    how: Any = {"settings": settings, "make_calculator": make_calculator}
    check, measure, limit = partial(check_minimum, **how), partial(measure_noise, **how), settings.neb.time_limit
    checks = workers.results(check, [*minima], time_limit=limit, lost=lambda one, reason: Check(one, failure=reason))
    check_calculator([*checks], settings)
    found = workers.results(measure, [*minima][:1], time_limit=limit, lost=lambda *_: None)
    return [sentence for noise in found if noise is not None for sentence in noise_in_words(noise, settings)]
