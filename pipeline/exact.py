"""From the names of a pair's minima to its exact calculation: places of the minima, calculator, verdict."""

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from ase import Atoms
from ase.calculators.calculator import CalculatorError

from glass.double_well import Verdict, examine, potential_of
from glass.tunnelling import reduced_hbar
from pipeline.errors import UserError
from pipeline.frames import atoms_of
from pipeline.keys import Pair, minimum_names, pair_keys
from pipeline.minima import Place, places_by_key, read_place
from pipeline.minimum_files import MinimumError
from pipeline.settings import NebSettings, Settings
from pipeline.workspace import Workspace

ENERGY_MISMATCH = 1e-3
"""ε; the total energy difference may be so far from that in the files' names."""


_LOADED: set[str] = set()
"""Calculators that this process has called."""


class Job(NamedTuple):
    """One pair to calculate, and where its minima stand."""

    pair: Pair
    places: tuple[Place, Place]


def jobs_of(
    workspace: Workspace, temperature: str, pairs: pd.DataFrame, settings: Settings
) -> tuple[list[Job], list[str]]:
    """Find the minima of each pair, ``conf``, ``i``, ``j``; also a line for each pair of which one is missing."""
    decimals = settings.ij_decimals
    jobs, missing = [], []
    places: dict[int, dict[int, Place]] = {}
    for conf, low, high in pair_keys(pairs, decimals).itertuples(index=False):
        folder = workspace.glass(temperature, conf)
        if conf not in places:
            places[conf] = places_by_key(folder, decimals)
        pair = Pair(conf, *minimum_names([low, high], decimals).tolist())
        gone = [name for key, name in ((low, pair.i), (high, pair.j)) if key not in places[conf]]
        if gone:
            missing.append(f"{pair}: no minimum {gone[0]!r} in {folder}")
        else:
            jobs.append(Job(pair, (places[conf][low], places[conf][high])))
    return jobs, missing


def find_calculator(name: str, root: Path) -> Callable[[Atoms], Any]:
    """The function that ``neb.calculator`` names; its module may stand in the workspace, which workers then know too.

    Raises
    ------
    UserError
        If there is no such module or function.
    """
    module, function = name.split(":")
    if str(root.resolve()) not in sys.path:
        sys.path.append(str(root.resolve()))
    try:
        found: Callable[[Atoms], Any] = getattr(importlib.import_module(module), function)
        problem = "" if callable(found) else f"{function} is no function"
    except (ImportError, AttributeError, SyntaxError) as error:
        problem = str(error)
    if problem:
        raise UserError(
            f"config.yaml: neb.calculator = {name}: {problem}; "
            f"name it module:function, the module in {root} or installed"
        )
    return found


class Calculation(NamedTuple):
    """What became of a job."""

    job: Job
    verdict: Verdict
    cpu_seconds: float


def calculate(
    job: Job, settings: NebSettings, make_calculator: Callable[[Atoms], Any], refine_below: float = np.inf
) -> Calculation:
    """The exact calculation of one pair; a job for a worker.

    Parameters
    ----------
    job : Job
        The pair.
    settings : NebSettings
        How to calculate it.
    make_calculator : callable
        See :func:`find_calculator`.
    refine_below : float, default infinite
        ε; a double well whose splitting with few images is larger is not refined.

    Raises
    ------
    UserError
        If the calculator can't work on these minima.
    """
    started = time.process_time()
    try:
        start, end = (read_atoms(place) for place in job.places)
        check_one_glass(job, start, end)
        if settings.calculator not in _LOADED:  # to load or compile it is no cost of this pair
            potential_of(start, make_calculator)(start.positions)
            _LOADED.add(settings.calculator)
        started = time.process_time()
        verdict = examine(
            start,
            end,
            make_calculator,
            images=settings.images,
            tolerance=settings.force_tolerance,
            max_steps=settings.max_steps,
            hbar=hbar_of(settings),
            refine_below=refine_below,
        )
        verdict = check_energies(job, len(start), verdict)
    except MinimumError as error:
        verdict = Verdict("unfinished", str(error))
    except (ValueError, NotImplementedError, CalculatorError) as error:
        raise UserError(f"{job.pair}: neb.calculator = {settings.calculator} can't work on it: {error}") from error
    return Calculation(job, verdict, time.process_time() - started)


def hbar_of(settings: NebSettings) -> float:
    """ħ̃ = ħ / (σ √(m ε)) in the units of the settings."""
    return reduced_hbar(settings.sigma, settings.mass, settings.epsilon)


def check_energies(job: Job, n_particles: int, verdict: Verdict) -> Verdict:
    """Unfinished, if the calculator's energies are not those in the names."""
    in_names = n_particles * (job.pair.j - job.pair.i)
    if verdict.band is None:
        return verdict
    calculated = verdict.band.energies[-1] - verdict.band.energies[0]
    if abs(calculated - in_names) <= ENERGY_MISMATCH:
        return verdict
    return Verdict("unfinished", f"the energies differ by {calculated:.6g} ε, in the files' names by {in_names:.6g} ε")


def read_atoms(place: Place) -> Atoms:
    """A minimum as :func:`pipeline.frames.atoms_of` makes it; raises MinimumError naming the file."""
    try:
        minimum = read_place(place)
    except MinimumError as error:
        raise MinimumError(f"{place.name}: {error}") from None
    return atoms_of(minimum)


def check_one_glass(job: Job, start: Atoms, end: Atoms) -> None:
    """Raise MinimumError unless both have the same particles in the same box, to the eight decimals of step 0."""
    same = len(start) == len(end) and all(
        np.allclose(one, other, rtol=0, atol=1e-8)
        for one, other in (
            *((start.arrays[name], end.arrays[name]) for name in ("diameters", "types", "numbers", "masses")),
            (start.cell.array, end.cell.array),
        )
    )
    if not same:
        names = " and ".join(place.name for place in job.places)
        raise MinimumError(f"{names} differ in count of particles, diameters, species, masses or box")
