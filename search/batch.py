"""A run over many pairs: the calculator is checked, the time forecast, each result written as soon as it is there."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from pipeline.progress import progress
from pipeline.settings import Settings
from pipeline.workers.pool import Workers, worker_pool
from pipeline.workspace import StatePoint
from search.calculator import CHECKED, KnownMinimum, check_calculator, check_minimum, unfinished_check
from search.exact import PairJob, calculate, unfinished_job, write_verdict

SAMPLE = 24
"""Number of pairs, from all over the order, whose time forecasts that of the others of a long run."""


def calculate_pairs(
    at: StatePoint,
    jobs: Sequence[PairJob],
    make_calculator: Callable[..., Any],
    settings: Settings,
    refining: bool = False,
    retrying: bool = False,
) -> Counter[str]:
    """Calculate pairs over all cores and write each verdict the moment it is reached.

    Parameters
    ----------
    at : StatePoint
        Where the results are written; that of a share for a share.
    jobs : sequence of PairJob
        In the order in which they are to be calculated.
    make_calculator : callable
        See :func:`search.calculator.find_calculator`.
    settings : Settings
        ``neb``, ``tls_threshold`` and how many workers.
    refining, retrying : bool
        As in :func:`search.exact.write_verdict`.

    Returns
    -------
    Counter of str
        Number of verdicts of each kind.

    Raises
    ------
    UserError
        If the calculator, or all of the minima, are no good: before anything is calculated.
    """
    kinds: Counter[str] = Counter()
    if not jobs:
        return kinds
    neb = settings.neb
    function = partial(
        calculate,
        settings=neb,
        make_calculator=make_calculator,
        refine_below=np.inf if refining else neb.refine_below * settings.tls_threshold,
        units=settings.unit,
    )
    bar = progress(desc=f"T = {at.temperature}: NEB", total=len(jobs), unit="pair")

    def run(workers: Workers, some: Sequence[PairJob]) -> float:
        """CPU seconds taken."""
        seconds = 0.0
        for one in workers.results(function, some, time_limit=neb.time_limit, lost=unfinished_job):
            bar.write(f"  {one.job.pair}: {write_verdict(at, one, settings, refining, retrying)}")
            kinds[one.verdict.kind] += 1
            seconds += one.cpu_seconds
            bar.update()
        return seconds

    with bar, worker_pool(settings, len(jobs)) as workers:
        check = partial(check_minimum, settings=neb, make_calculator=make_calculator)
        minima = minima_to_check(jobs)
        checks = list(workers.results(check, minima, time_limit=neb.time_limit, lost=unfinished_check))
        check_calculator(checks, settings)
        first = sorted({int(k) for k in np.linspace(0, len(jobs) - 1, SAMPLE)}) if len(jobs) > 4 * SAMPLE else []
        if first:
            seconds = run(workers, [jobs[k] for k in first]) / len(first)
            left = len(jobs) - len(first)
            minutes = left * seconds / 60
            bar.write(
                f"T = {at.temperature}: {len(first)} pairs took {seconds:.2g} s of CPU time each; forecast for the "
                f"other {left}: {minutes:.3g} min of CPU time, {minutes / workers.count:.3g} min on "
                f"{workers.count} cores"
            )
        run(workers, [job for k, job in enumerate(jobs) if k not in first])
    return kinds


def minima_to_check(jobs: Sequence[PairJob]) -> list[KnownMinimum]:
    """Up to CHECKED minima, of pairs from all over the order."""
    pairs = [jobs[k] for k in sorted({int(k) for k in np.linspace(0, len(jobs) - 1, CHECKED // 2)})]
    both = [
        KnownMinimum(job.pair.conf, place, energy)
        for job in pairs
        for place, energy in zip(job.places, (job.pair.i, job.pair.j), strict=True)
    ]
    return list(dict.fromkeys(both))
