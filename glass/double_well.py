"""The exact calculation for one pair of minima: path, levels and verdict, from any ASE calculator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes
from numpy.typing import NDArray

from glass.minimise import Potential
from glass.path import END_POINT_DISTANCE, Band, find_path, straight_line
from glass.tunnelling import NotResolvedError, Profile, lowest_levels

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """What the exact calculation says of a pair.

    Attributes
    ----------
    kind : {"double well", "non-DW", "unfinished"}
        Unfinished: nothing can be said, ``reason`` says why.
    reason : str
        Empty for a double well.
    band : Band or None
        The path as far as it was relaxed; None where there was nothing to calculate.
    levels : tuple of float or None
        The two lowest levels of a double well in ε.
    """

    kind: Literal["double well", "non-DW", "unfinished"]
    reason: str = ""
    band: Band | None = None
    levels: tuple[float, float] | None = None


def potential_of(atoms: Atoms, make_calculator: Callable[[Atoms], Any]) -> Potential:
    """Positions (N, 3) in σ to total energy in ε and forces (N, 3) in ε/σ.

    Calls the calculator's ``calculate`` itself: ASE's check of what has changed since takes longer than the compiled
    forces of 1500 soft spheres.

    Parameters
    ----------
    atoms : Atoms
        Copied.
    make_calculator : callable
        Gets the Atoms and returns an ASE calculator.
    """
    atoms = atoms.copy()
    calculator = make_calculator(atoms)
    changes = all_changes

    def potential(positions: Array) -> tuple[float, Array]:
        nonlocal changes
        atoms.positions = positions
        calculator.calculate(atoms, ["energy", "forces"], changes)
        changes = ["positions"]
        return float(calculator.results["energy"]), np.asarray(calculator.results["forces"])

    return potential


def examine(
    start: Atoms,
    end: Atoms,
    make_calculator: Callable[[Atoms], Any],
    *,
    images: int,
    tolerance: float,
    max_steps: int,
    hbar: float,
) -> Verdict:
    """Tell whether two minima are a double well, and which are its two lowest levels.

    Parameters
    ----------
    start, end : Atoms
        The two minima, of one glass.
    make_calculator : callable
        Gets the Atoms and returns an ASE calculator that works in σ and ε.
    images : int
        How many images the path has, the end points included.
    tolerance : float
        ε/σ; largest force on any particle, across the path at its images and whole at the end points.
    max_steps : int
        Steps after which the optimiser gives up.
    hbar : float
        ħ̃, see :func:`glass.tunnelling.reduced_hbar`.
    """
    line = straight_line(start.positions, end.positions, start.cell.lengths(), images)
    if np.linalg.norm(line[-1] - line[0]) < END_POINT_DISTANCE:
        return Verdict(
            "unfinished", f"the two minima are less than {END_POINT_DISTANCE} σ apart: they are the same minimum"
        )
    potentials = [potential_of(start, make_calculator) for _ in line]
    for end_point, potential, place in (("first", potentials[0], line[0]), ("second", potentials[-1], line[-1])):
        force = np.linalg.norm(potential(place)[1], axis=1).max()
        if not force <= tolerance:
            reason = f"the {end_point} is no minimum: force {force:.2g} ε/σ on a particle; relax it"
            return Verdict("unfinished", reason)
    band = find_path(potentials, line, tolerance, max_steps)
    if band.third_minimum is not None:
        return Verdict("non-DW", "a third minimum on the way", band)
    if not np.isfinite(band.force):
        return Verdict("unfinished", "an energy or a force on the path is not finite", band)
    if not band.converged:
        return Verdict("unfinished", f"force {band.force:.2g} ε/σ after {band.steps} steps; raise neb.max_steps", band)
    try:
        levels = lowest_levels(Profile(band.lengths, band.energies, band.slopes), hbar)
    except NotResolvedError as error:
        return Verdict("unfinished", str(error), band)
    return Verdict("double well", "", band, levels)
