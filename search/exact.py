"""The exact calculation of pairs, from the names of their minima to the files that hold each result at once."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from glass.arrays import Array
from glass.band import STAGES
from glass.batches import together
from glass.double_well import ENERGY_MISMATCH, CalculatorFailedError, Verdict, examine
from glass.tunnelling import Quantity, reduced_hbar
from glass.two_level import two_level
from pipeline.formats import results
from pipeline.formats.configurations import MinimumError, Place
from pipeline.formats.frames import to_atoms
from pipeline.formats.keys import KEYS, Pair, label, minimum_names
from pipeline.formats.minima import read_atoms
from pipeline.formats.records import WAYS, add_record, path_file, read_path, record_of, write_path
from pipeline.matching import minima_of, read_pair
from pipeline.messages import Progress, counted
from pipeline.settings import NebSettings, Settings
from pipeline.workers import Workers, worker_pool
from pipeline.workspace import QS, StatePoint
from search.calculator import MakeCalculator, check_calculator, check_minimum, load, noise_in_words
from search.conversion import calculator_for_glass, to_glass, verdict_in
from search.well_properties import properties_of

CHECKED = 4  # number of pairs at whose minima the calculator is checked before a run
SAMPLE = 24  # number of pairs, from all over the order, whose time forecasts that of the others of a long run

STUCK = 0.7
"""After ``neb.max_steps`` a path goes on while as many steps again bring its force below this part of what it was, or
lower its highest energy."""

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
    places = {conf: minima_of(at, conf) for conf in pairs.index.unique(KEYS[0])}
    for conf, *keys in pairs.index:
        pair = Pair(conf, *minimum_names(keys, at.decimals).tolist())
        gone = [name for key, name in zip(keys, pair[1:], strict=True) if key not in places[conf]]
        if gone:
            said = f"no minimum {label(gone[0], at.decimals)} in {at.glass(conf)}"
            missing.append(f"{pair.text(at.decimals)}: {said}")
        else:
            path, (start, end) = path_file(at, pair), (places[conf][key] for key in keys)
            jobs.append(PairJob(pair, (start, end), path if from_paths and path.exists() else None))
    return jobs, missing


class Calculation(NamedTuple):
    """Verdict on a pair, and its cost."""

    job: PairJob
    verdict: Verdict
    cpu_seconds: float
    properties: dict[str, float] = {}  # noqa: RUF012 (of a tuple)
    """See :mod:`search.well_properties`."""


def calculate(job: PairJob, settings: Settings, make_calculator: MakeCalculator, refining: bool = False) -> Calculation:
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


def settled(examined: Callable[..., Verdict], path: Array | None, max_steps: int, tolerance: float) -> Verdict:
    """Verdict on a pair by :func:`glass.double_well.examine`: a path that still goes down goes on.

    A double well whose barrier has no force above the tolerance may be anything: there is no verdict on it.
    """
    verdict, force, highest, steps = examined(known_path=path), np.inf, np.inf, 0
    while (band := verdict.band) is not None:
        steps += band.steps
        verdict = replace(verdict, band=replace(band, steps=steps))
        if verdict.kind == "unfinished" and np.isfinite(band.force) and not band.converged:
            if band.force > STUCK * force and band.energies.max() > highest - ENERGY_MISMATCH:
                reason = f"force {{}} after {steps} steps, the last {band.steps} of which changed little"
                return replace(verdict, reason=reason)
            force, highest = min(force, band.force), band.energies.max()
        elif verdict.levels is None:
            return verdict
        else:
            screened = verdict.fidelity == "screened"
            along = np.gradient(band.positions, band.lengths, axis=0)
            of_barrier = np.abs(band.slopes) * np.linalg.norm(along, axis=2).max(axis=1)  # largest on a particle
            if of_barrier.max() > tolerance * (dict(STAGES)[len(band.positions)] if screened else 1):
                return verdict
            if not screened:
                reason = "converged, but the forces of its barrier are below {} themselves; lower neb.force_tolerance"
                return Verdict("unfinished", reason, verdict.band, quantities=(Quantity(tolerance, "force"),))
        verdict = examined(known_path=band.positions, max_steps=max(steps, max_steps))
    return verdict


def calculate_together(
    jobs: Sequence[PairJob], settings: Settings, make_calculator: MakeCalculator, refining: bool
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
    groups: dict[tuple[int, int], list[PairJob]] = {}
    numbers: Counter[int] = Counter()
    for job in jobs:
        conf = job.pair.conf
        groups.setdefault((conf, numbers[conf] // most), []).append(job)
        numbers[conf] += 1
    return [*groups.values()]


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
    (pair, places, _), verdict, cpu_seconds, properties = calculation
    neb, band, profile, levels, splitting = settings.neb, verdict.band, verdict.profile, verdict.levels, None
    if band and profile and levels:  # its path and record come first: what has a result is not calculated again
        splitting = levels[1] - levels[0]
        if neb.keep_paths in ("all", verdict.fidelity):
            write_path(at, pair, band, read_atoms(places[0]), settings.units)
        how = {
            **neb_settings(settings),
            "fidelity": verdict.fidelity,
            "force": band.force,
            **record_of(two_level(profile, levels, hbar_of(neb))),
            "path_length": float(band.lengths[-1]),
            "properties": properties,
        }
        add_record(at, pair, levels, profile, how)
    row = {
        "verdict": verdict.kind,
        QS: splitting,
        "fidelity": verdict.fidelity,
        "images": len(band.positions) if band else 0,
        "steps": band.steps if band else 0,
        "cpu_seconds": round(cpu_seconds, 4),
    }
    results.add_calculation(at, pair, row)
    said = f"{verdict.kind}: {verdict.reason}"
    if splitting is not None:
        results.add_splitting(at, pair, splitting)
        kind = "TLS" if splitting < settings.tls_threshold else verdict.kind
        kelvin = splitting * neb.epsilon
        said = f"{kind}, {kelvin:.3g} K ({splitting:.4g} {settings.unit.energy}), {verdict.fidelity}"
    elif verdict.kind == "non-DW":
        if refining:
            results.take_back_splitting(at, pair)
            path_file(at, pair).unlink(missing_ok=True)
        results.add_non_dw(at, pair)
    elif not refining:
        results.add_unfinished(at, pair, verdict.reason)
    return said


def calculate_pairs(
    at: StatePoint, jobs: Sequence[PairJob], make_calculator: MakeCalculator, settings: Settings, refining: bool = False
) -> Counter[str]:
    """Calculate pairs in this order over all cores, write each verdict the moment it is reached, count their kinds.

    ``at`` is that of a share for a share; ``refining`` as of :func:`write_verdict`. UserError if the calculator, or all
    of the minima, are no good: before anything is calculated.
    """
    kinds, neb = Counter[str](), settings.neb
    if not jobs:
        return kinds
    how: Any = {"settings": settings, "make_calculator": make_calculator}
    alone: list[list[PairJob]] = []
    bar = Progress(desc=f"T = {at.temperature}: NEB", total=len(jobs), unit="pair")

    def lost(group: list[PairJob], reason: str) -> list[Calculation]:
        if len(group) > 1:  # whichever of them it was
            alone.extend([job] for job in group)
            return []
        return [Calculation(group[0], Verdict("unfinished", f"{reason}; neb.calculator?"), 0.0)]

    def run(workers: Workers, groups: list[list[PairJob]]) -> float:
        """CPU seconds taken."""
        seconds, limit = 0.0, neb.time_limit and neb.time_limit * max(map(len, groups))
        function = partial(calculate_together, **how, refining=refining)
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
        some = [jobs[k] for k in _spread(CHECKED, len(jobs))]
        minima = dict.fromkeys(
            (job.pair.conf, *end) for job in some for end in zip(job.places, job.pair[1:], strict=True)
        )
        check, noise, limit = partial(check_minimum, **how), partial(noise_in_words, **how), neb.time_limit
        checks = workers.results(check, minima, time_limit=limit, lost=lambda _, why: why)
        check_calculator([*checks], settings)
        for sentence in chain(*workers.results(noise, some[0].places[:1], time_limit=limit, lost=lambda *_: [])):
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
