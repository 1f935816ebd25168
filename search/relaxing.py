"""Minima that are none: relaxed by the calculator, and told apart from those that are there."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from glass.double_well import ENERGY_MISMATCH, CalculatorFailedError, potential_of
from glass.path import END_POINT_DISTANCE, displacement
from glass.relaxation import relax
from pipeline.formats.configurations import MinimumError, Place
from pipeline.formats.relaxed import add_frames, add_rows
from pipeline.settings import NebSettings
from pipeline.units import Units
from search.conversion import calculator_for_glass, to_glass
from search.exact import load, read_atoms

WELL_BELOW = 0.05
"""Relaxations end when the norm of the gradient is so many times the force tolerance."""


class Looked(NamedTuple):
    """What was found at a place."""

    place: Place
    energy: float
    """Per particle, by which the place is known."""
    max_force: float = np.nan
    """On a particle; NaN where it could not be calculated."""
    relaxed: Atoms | None = None
    """The minimum, with energy and forces; None where the place is one, or no minimum was reached."""
    problem: str = ""
    """Why nothing can be said, or no minimum was reached."""


def look_at(
    job: tuple[Place, float], settings: NebSettings, make_calculator: Callable[[Atoms], Any], units: Units
) -> Looked:
    """Whether a place holds a minimum by the calculator, and the nearest one if not; a job for a worker.

    Parameters
    ----------
    job : tuple
        The place, and the energy per particle by which it is known.
    settings : NebSettings
        ``force_tolerance`` and the calculator's name.
    make_calculator : callable
        See :func:`search.exact.find_calculator`.
    units : Units
        Of the minima, the calculator and the settings.
    """
    place, energy = job
    try:
        atoms = read_atoms(place)
        inside = to_glass(atoms, units)
        potential = potential_of(inside, calculator_for_glass(atoms, load(settings, make_calculator, atoms), units))
        tolerance = settings.force_tolerance * units.sigma / units.epsilon
        force_unit = units.epsilon / units.sigma
        calculated, forces = potential(inside.positions)
        max_force = _largest(forces) * force_unit
        if abs(calculated - len(atoms) * energy / units.epsilon) > ENERGY_MISMATCH:
            found_there = f"{calculated * units.epsilon / len(atoms):.10g} {units.energy}"
            return Looked(place, energy, problem=f"the calculator's energy is {found_there} a particle")
        if _largest(forces) <= tolerance:
            return Looked(place, energy, max_force)
        found = relax(potential, inside.positions, WELL_BELOW * tolerance)
        calculated, forces = potential(found.positions)
        if not _largest(forces) <= tolerance:
            left = _largest(forces) * force_unit
            return Looked(place, energy, max_force, problem=f"no minimum reached: force {left:.2g} {units.force}")
        atoms.positions = found.positions * units.sigma
        atoms.wrap()
        atoms.info["relaxed_from"] = place.name
        atoms.calc = SinglePointCalculator(atoms, energy=calculated * units.epsilon, forces=forces * force_unit)
        return Looked(place, energy, max_force, atoms)
    except (CalculatorFailedError, MinimumError) as error:
        return Looked(place, energy, problem=str(error))


def given_up(job: tuple[Place, float], reason: str) -> Looked:
    """What becomes of a place whose relaxation killed its process or took too long."""
    return Looked(*job, problem=reason)


def _largest(forces: np.ndarray) -> float:
    return float(np.linalg.norm(forces, axis=1).max())


def store(folder: Path, looked: Sequence[Looked], minima: Sequence[tuple[Place, float]], units: Units) -> Counter[str]:
    """Add what was found in a glass to its two files; how many places there were of each kind.

    A relaxed minimum is that of another place if the two are nearer to each other than END_POINT_DISTANCE, below which
    run_neb.py calls them the same.

    Parameters
    ----------
    folder : Path
        Of the glass.
    looked : sequence of Looked
        What was found.
    minima : sequence of tuple
        Place and energy per particle of those that are minima.
    units : Units
        Of all of them.
    """
    new: list[Atoms] = []
    became: list[str | int] = []
    for one in looked:
        became.append("" if one.relaxed is None else _same_as(one.relaxed, minima, new, units))
        if became[-1] == len(new) and one.relaxed is not None:
            new.append(one.relaxed)
    names = add_frames(folder, new) if new else []
    rows = [
        (
            one.place.name,
            one.energy,
            one.max_force,
            names[where] if isinstance(where, int) else where,
            np.nan if one.relaxed is None else distance(one.relaxed, read_atoms(one.place)),
        )
        for one, where in zip(looked, became, strict=True)
        if not one.problem
    ]
    if rows:
        add_rows(folder, rows)
    fell = sum(where != "" for where in became) - len(new)
    problems = sum(bool(one.problem) for one in looked)
    minima_there = len(looked) - len(new) - fell - problems
    kinds = ("are minima", "relaxed to new ones", "fell into another", "could not be relaxed")
    return Counter(dict(zip(kinds, (minima_there, len(new), fell, problems), strict=True)))


def _same_as(atoms: Atoms, minima: Sequence[tuple[Place, float]], new: Sequence[Atoms], units: Units) -> str | int:
    """Name of the place that holds a minimum already; else its number among the new ones."""
    near = END_POINT_DISTANCE * units.sigma
    energy, window = atoms.get_potential_energy() / len(atoms), ENERGY_MISMATCH * units.epsilon / len(atoms)
    for place, other in minima:
        if abs(other - energy) < window and distance(atoms, read_atoms(place)) < near:
            return place.name
    return next((number for number, one in enumerate(new) if distance(atoms, one) < near), len(new))


def distance(one: Atoms, other: Atoms) -> float:
    """Total displacement between two minima of a glass; minimum image, without drift."""
    return float(np.linalg.norm(displacement(one.positions, other.positions, one.cell.lengths())))
