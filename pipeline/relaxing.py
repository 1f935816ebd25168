"""Minima that are none: relaxed by the calculator, and told apart from those that are there."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from glass.double_well import ENERGY_MISMATCH, CalculatorFailedError, potential_of
from glass.minimise import relax
from glass.path import END_POINT_DISTANCE, displacement
from pipeline.exact import load, read_atoms
from pipeline.minima import Place
from pipeline.minimum_files import MinimumError
from pipeline.settings import NebSettings

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


def look_at(job: tuple[Place, float], settings: NebSettings, make_calculator: Callable[[Atoms], Any]) -> Looked:
    """Whether a place holds a minimum by the calculator, and the nearest one if not; a job for a worker.

    Parameters
    ----------
    job : tuple
        The place, and the energy per particle by which it is known.
    settings : NebSettings
        ``force_tolerance`` and the calculator's name.
    make_calculator : callable
        See :func:`pipeline.exact.find_calculator`.
    """
    place, energy = job
    try:
        atoms = read_atoms(place)
        potential = potential_of(atoms, load(settings, make_calculator, atoms))
        calculated, forces = potential(atoms.positions)
        max_force = _largest(forces)
        if abs(calculated - len(atoms) * energy) > ENERGY_MISMATCH:
            return Looked(
                place, energy, problem=f"the calculator's energy is {calculated / len(atoms):.10g} a particle"
            )
        if max_force <= settings.force_tolerance:
            return Looked(place, energy, max_force)
        found = relax(potential, atoms.positions, WELL_BELOW * settings.force_tolerance)
        atoms.positions = found.positions
        atoms.wrap()
        calculated, forces = potential(atoms.positions)
        if not _largest(forces) <= settings.force_tolerance:
            return Looked(place, energy, max_force, problem=f"no minimum reached: force {_largest(forces):.2g}")
        atoms.info["relaxed_from"] = place.name
        atoms.calc = SinglePointCalculator(atoms, energy=calculated, forces=forces)
        return Looked(place, energy, max_force, atoms)
    except (MinimumError, CalculatorFailedError) as error:
        return Looked(place, energy, problem=str(error))


def given_up(job: tuple[Place, float], reason: str) -> Looked:
    """What becomes of a place whose relaxation killed its process or took too long."""
    return Looked(*job, problem=reason)


def _largest(forces: np.ndarray) -> float:
    return float(np.linalg.norm(forces, axis=1).max())


class Sorted(NamedTuple):
    """Where one relaxed minimum belongs."""

    looked: Looked
    same_as: Place | int
    """A place that holds the same minimum; or the number of a new one."""
    displacement: float
    """Total, from where it was, over all particles."""


def sort_out(relaxed: Sequence[Looked], minima: Sequence[tuple[Place, float]]) -> tuple[list[Sorted], list[Atoms]]:
    """Tell new minima from those that are there, and from each other.

    Two are one minimum if they are nearer to each other than END_POINT_DISTANCE, below which run_neb.py calls them so.

    Parameters
    ----------
    relaxed : sequence of Looked
        Those that were relaxed.
    minima : sequence of tuple
        Place and energy per particle of those that are minima.

    Returns
    -------
    sorted : list of Sorted
        In the order of ``relaxed``.
    new : list of Atoms
        The new minima, by their numbers.
    """
    found: list[Sorted] = []
    new: list[Atoms] = []
    for looked in relaxed:
        atoms = looked.relaxed
        if atoms is None:
            continue
        window = ENERGY_MISMATCH / len(atoms)
        energy = atoms.get_potential_energy() / len(atoms)
        there = [place for place, other in minima if abs(other - energy) < window]
        known = next((place for place in there if distance(atoms, read_atoms(place)) < END_POINT_DISTANCE), None)
        among_new = next((k for k, one in enumerate(new) if distance(atoms, one) < END_POINT_DISTANCE), None)
        if known is None and among_new is None:
            new.append(atoms)
        same_as = known or (len(new) - 1 if among_new is None else among_new)
        found.append(Sorted(looked, same_as, distance(atoms, read_atoms(looked.place))))
    return found, new


def distance(one: Atoms, other: Atoms) -> float:
    """Total displacement between two minima of a glass; minimum image, without drift."""
    return float(np.linalg.norm(displacement(one.positions, other.positions, one.cell.lengths())))
