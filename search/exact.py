"""From the names of a pair's minima to its exact calculation: places of the minima, calculator, verdict."""

import importlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from ase import Atoms

from glass.double_well import CalculatorFailedError, Verdict, examine, failures_named, potential_of
from glass.tunnelling import reduced_hbar
from pipeline.errors import UserError, short
from pipeline.formats.configurations import MinimumError, Place
from pipeline.formats.frames import to_atoms
from pipeline.formats.keys import Pair, minimum_names
from pipeline.formats.minima import places_by_key, read_place
from pipeline.formats.paths import path_file, read_path
from pipeline.settings import NebSettings
from pipeline.units import REDUCED, Units
from pipeline.workspace import StatePoint
from search.conversion import calculator_for_glass, to_glass, verdict_in

_LOADED: dict[tuple[str | None, bool], Any] = {}
"""Calculators that this process has called, by name and whether they are shared; those that are not are not kept."""


class Job(NamedTuple):
    """One pair to calculate, and where its minima stand."""

    pair: Pair
    places: tuple[Place, Place]
    known_path: Path | None = None
    """Images of an earlier calculation to begin with."""


def jobs_of(at: StatePoint, pairs: pd.DataFrame, from_paths: bool = False) -> tuple[list[Job], list[str]]:
    """Find the minima of each pair of a table by pair; also a line for each pair of which one is missing.

    With ``from_paths``, also the images that an earlier calculation left.
    """
    jobs, missing = [], []
    places: dict[int, dict[int, Place]] = {}
    for conf, low, high in pairs.index:
        folder = at.glass(conf)
        if conf not in places:
            places[conf] = places_by_key(folder, at.decimals)
        pair = Pair(conf, *minimum_names([low, high], at.decimals).tolist())
        gone = [name for key, name in ((low, pair.i), (high, pair.j)) if key not in places[conf]]
        if gone:
            missing.append(f"{pair}: no minimum {gone[0]!r} in {folder}")
        else:
            path = path_file(at, pair)
            known = path if from_paths and path.exists() else None
            jobs.append(Job(pair, (places[conf][low], places[conf][high]), known))
    return jobs, missing


@dataclass(frozen=True)
class NamedCalculator:
    """What ``neb.calculator`` names: found by its name in each process, on whichever machine, when it is called."""

    name: str
    root: Path
    """A module that is not installed stands here."""

    def __call__(self, atoms: Atoms) -> Any:
        """The calculator for these atoms."""
        calculator = self.find()(atoms)
        if not hasattr(calculator, "calculate"):
            raise TypeError(f"{self.name} returned no ASE calculator but {short(repr(calculator))}")
        return calculator

    def find(self) -> Callable[[Atoms], Any]:
        """The function itself.

        Raises
        ------
        UserError
            If there is no such module or function.
        """
        module, function = self.name.split(":")
        if str(self.root) not in sys.path:
            sys.path.append(str(self.root))
        try:
            found: Callable[[Atoms], Any] = getattr(importlib.import_module(module), function)
            problem = "" if callable(found) else f"{function} is no function"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a user's module raises anything
            problem = f"{type(error).__name__}: {short(error)}"
        if problem:
            raise UserError(
                f"config.yaml: neb.calculator = {self.name}: {problem}; "
                f"name it module:function, the module in {self.root} or installed"
            )
        return found


def find_calculator(name: str | None, root: Path) -> NamedCalculator:
    """The function that ``neb.calculator`` names; its module may stand in the workspace.

    Raises
    ------
    UserError
        If there is no such module or function, or none is named.
    """
    if name is None:
        raise UserError(
            "config.yaml: neb.calculator is not set, and units: metal have no default, as the soft spheres know no eV; "
            f"name it module:function, the module in {root} or installed"
        )
    calculator = NamedCalculator(name, root.resolve())
    calculator.find()
    return calculator


class Calculation(NamedTuple):
    """What became of a job."""

    job: Job
    verdict: Verdict
    cpu_seconds: float


def calculate(
    job: Job,
    settings: NebSettings,
    make_calculator: Callable[[Atoms], Any],
    refine_below: float = np.inf,
    units: Units = REDUCED,
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
        In the unit of energy; a double well whose splitting with few images is larger is not refined.
    units : Units, default reduced
        Of the minima, the calculator, the settings and the verdict.
    """
    started = time.process_time()
    try:
        start, end = (read_atoms(place) for place in job.places)
        check_one_glass(job, start, end)
        make_calculator = load(settings, make_calculator, start)
        started = time.process_time()
        verdict = examine(
            to_glass(start, units),
            to_glass(end, units),
            calculator_for_glass(start, make_calculator, units),
            images=settings.images,
            tolerance=settings.force_tolerance * units.sigma / units.epsilon,
            max_steps=settings.max_steps,
            hbar=hbar_of(settings) / (units.sigma * (units.m * units.epsilon) ** 0.5),
            refine_below=refine_below / units.epsilon,
            energy_difference=len(start) * (job.pair.j - job.pair.i) / units.epsilon,
            shared=settings.shared,
            known_path=None if job.known_path is None else read_path(job.known_path, start, end, units.sigma),
        )
        verdict = verdict_in(units, verdict)
    except MinimumError as error:
        verdict = Verdict("unfinished", str(error))
    except CalculatorFailedError as error:
        verdict = Verdict("unfinished", str(error), cause="calculator")
    return Calculation(job, verdict, time.process_time() - started)


def given_up(job: Job, reason: str) -> Calculation:
    """What becomes of a pair whose calculation killed its process or took too long."""
    return Calculation(job, Verdict("unfinished", f"{reason}; neb.calculator?", cause="calculator"), 0.0)


def load(settings: NebSettings, make_calculator: Callable[[Atoms], Any], atoms: Atoms) -> Callable[[Atoms], Any]:
    """Make and call a calculator once in this process: to load or compile it is no cost of any pair.

    Returns
    -------
    callable
        What makes calculators; with ``neb.shared`` it hands out this one.
    """
    name = settings.calculator, settings.shared
    if name not in _LOADED:
        with failures_named():
            calculator = make_calculator(atoms)
        potential_of(atoms, lambda _: calculator)(atoms.positions)
        _LOADED[name] = calculator if settings.shared else None
    return (lambda _: _LOADED[name]) if settings.shared else make_calculator


def hbar_of(settings: NebSettings) -> float:
    """ħ̃ = ħ / (σ √(m ε)) in the units of the settings; of metal units ħ in Å √(u eV)."""
    return reduced_hbar(settings.sigma, settings.mass, settings.epsilon)


def read_atoms(place: Place) -> Atoms:
    """A minimum as :func:`pipeline.formats.frames.to_atoms` makes it; raises MinimumError naming the file."""
    try:
        minimum = read_place(place)
    except MinimumError as error:
        raise MinimumError(f"{place.name}: {error}") from None
    return to_atoms(minimum)


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
