"""The exact calculation for one pair of minima: path, levels and verdict, from any ASE calculator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes
from numpy.typing import NDArray

from glass.minimise import Calculate
from glass.path import SAME_PLACE, Path, find_path, straight_line
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
    path : Path or None
        None where there was nothing to calculate.
    levels : tuple of float or None
        The two lowest levels in ε; of a double well only.
    """

    kind: Literal["double well", "non-DW", "unfinished"]
    reason: str = ""
    path: Path | None = None
    levels: tuple[float, float] | None = None


def energy_and_forces_of(atoms: Atoms, make_calculator: Callable[[Atoms], Any]) -> Calculate:
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

    def calculate(positions: Array) -> tuple[float, Array]:
        nonlocal changes
        atoms.positions = positions
        calculator.calculate(atoms, ["energy", "forces"], changes)
        changes = ["positions"]
        return float(calculator.results["energy"]), np.asarray(calculator.results["forces"])

    return calculate


def examine(
    start: Atoms,
    end: Atoms,
    make_calculator: Callable[[Atoms], Any],
    *,
    images: int,
    tolerance: float,
    max_steps: int,
    reduced: float,
) -> Verdict:
    """Tell whether two minima are a double well, and which are its two lowest levels.

    Parameters
    ----------
    start, end : Atoms
        The two minima, of one glass.
    make_calculator : callable
        Gets the Atoms and returns an ASE calculator that works in σ and ε.
    images : int
        Of the path, the end points included.
    tolerance : float
        ε/σ; largest force on any particle, across the path at its images and whole at the end points.
    max_steps : int
        Of the optimiser.
    reduced : float
        ħ̃, see :func:`glass.tunnelling.reduced_hbar`.
    """
    band = straight_line(start.positions, end.positions, start.cell.lengths(), images)
    if np.linalg.norm(band[-1] - band[0]) < SAME_PLACE:
        return Verdict("unfinished", f"the two minima are less than {SAME_PLACE} σ apart: they are one")
    calculates = [energy_and_forces_of(start, make_calculator) for _ in band]
    for label, calculate, place in (("first", calculates[0], band[0]), ("second", calculates[-1], band[-1])):
        force = np.linalg.norm(calculate(place)[1], axis=1).max()
        if not force <= tolerance:
            return Verdict("unfinished", f"the {label} is no minimum: force {force:.2g} ε/σ on a particle; relax it")
    path = find_path(calculates, band, tolerance, max_steps)
    if path.third_minimum is not None:
        return Verdict("non-DW", "a third minimum on the way", path)
    if not np.isfinite(path.force):
        return Verdict("unfinished", "an energy or a force on the path is not finite", path)
    if not path.converged:
        return Verdict("unfinished", f"force {path.force:.2g} ε/σ after {path.steps} steps; raise neb.max_steps", path)
    try:
        levels = lowest_levels(Profile(path.lengths, path.energies, path.slopes), reduced)
    except NotResolvedError as error:
        return Verdict("unfinished", str(error), path)
    return Verdict("double well", "", path, levels)
