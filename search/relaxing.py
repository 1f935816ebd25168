"""Relax configurations that are not minima of the calculator, and merge those that fall into one minimum."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from glass.arrays import box_of, without_drift
from glass.double_well import ENERGY_MISMATCH, CalculatorFailedError, potential_of
from glass.path import END_POINT_DISTANCE
from glass.relaxation import relax
from pipeline.formats.configurations import MinimumError, Place
from pipeline.formats.minima import add_relaxed, as_written, read_atoms
from pipeline.settings import Settings
from pipeline.units import Units
from search.calculator import MakeCalculator, load
from search.conversion import calculator_for_glass, to_glass

WELL_BELOW = 0.05  # norm of the gradient at which a relaxation ends, over the force tolerance


MINIMA, NEW, FELL, FAILED = "are minima", "relaxed to new ones", "fell into another", "could not be relaxed"


class Relaxation(NamedTuple):
    """A place, its energy per particle, the largest force there, the minimum to which it relaxed, or why it did not."""

    place: Place
    energy: float
    max_force: float = np.nan
    relaxed: Atoms | None = None
    problem: str = ""


def relax_minimum(job: tuple[Place, float], settings: Settings, make_calculator: MakeCalculator) -> Relaxation:
    """Relax a configuration unless it is a minimum by the calculator; a job for a worker."""
    (place, energy), units, relaxed, problem = job, settings.unit, None, ""
    try:
        atoms = read_atoms(place)
        inside = to_glass(atoms, units)
        potential = potential_of(inside, calculator_for_glass(atoms, load(settings.neb, make_calculator, atoms), units))
        tolerance = settings.neb.force_tolerance * units.sigma / units.epsilon
        calculated, forces = potential(inside.positions)
        force, force_unit = _largest(forces), units.epsilon / units.sigma
        if abs(calculated - len(atoms) * energy / units.epsilon) > ENERGY_MISMATCH:
            found_there = f"{calculated * units.epsilon / len(atoms):.10g} {units.energy}"
            problem = f"the calculator's energy is {found_there} a particle"
        elif force > tolerance:
            found = relax(potential, inside.positions, WELL_BELOW * tolerance)
            calculated, forces = potential(found.positions)
            if (left := _largest(forces)) > tolerance:
                problem = f"no minimum reached: force {left * force_unit:.2g} {units.force}"
            else:
                relaxed = atoms
                relaxed.positions = found.positions * units.sigma
                relaxed.wrap()
                relaxed.info["relaxed_from"] = as_written(place.name)
                energies = {"energy": calculated * units.epsilon, "forces": forces * force_unit}
                relaxed.calc = SinglePointCalculator(relaxed, **energies)
    except (CalculatorFailedError, MinimumError) as error:
        return Relaxation(place, energy, problem=str(error))
    return Relaxation(place, energy, force * force_unit, relaxed, problem)


def _largest(forces: np.ndarray) -> float:
    return float(np.linalg.norm(forces, axis=1).max())


def write_relaxed(
    folder: Path, relaxations: Sequence[Relaxation], minima: Sequence[tuple[Place, float]], units: Units
) -> Counter[str]:
    """Add relaxations to the two files of a glass; number of configurations of each kind.

    A relaxed minimum is that of another place if the two are nearer to each other than END_POINT_DISTANCE, below which
    run_neb.py calls them the same.
    """
    new, kinds = list[Atoms](), Counter({MINIMA: 0, NEW: 0, FELL: 0, FAILED: 0})
    rows: list[tuple[str, float, float, str | int, float]] = []
    for one in relaxations:
        became: str | int = ""
        kind, apart = FAILED if one.problem else MINIMA, np.nan
        if one.relaxed is not None:
            became, apart = _same_as(one.relaxed, minima, new, units), _distance(one.relaxed, read_atoms(one.place))
            kind = NEW if became == len(new) else FELL
            new += [one.relaxed] * (kind == NEW)
        kinds[kind] += 1
        rows += [(one.place.name, one.energy, one.max_force, became, apart)] * (kind != FAILED)
    if rows:
        add_relaxed(folder, rows, new)
    return kinds


def _same_as(atoms: Atoms, minima: Sequence[tuple[Place, float]], new: Sequence[Atoms], units: Units) -> str | int:
    """Name of the place that holds a minimum already; else its number among the new ones."""
    near = END_POINT_DISTANCE * units.sigma
    energy, window = atoms.get_potential_energy() / len(atoms), ENERGY_MISMATCH * units.epsilon / len(atoms)
    for place, other in minima:
        if abs(other - energy) < window and _distance(atoms, read_atoms(place)) < near:
            return place.name
    return next((number for number, one in enumerate(new) if _distance(atoms, one) < near), len(new))


def _distance(one: Atoms, other: Atoms) -> float:
    """Total displacement between two minima of a glass; minimum image, without drift."""
    return float(np.linalg.norm(without_drift(one.positions, other.positions, box_of(one.cell.array, one.pbc))))
