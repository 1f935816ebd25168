"""Coupling of a double well to strain, the deformation potential.

γ_ab = ½ ∂(E_j − E_i)/∂ε_ab = ½ (W_j − W_i), where W is volume times stress of a relaxed minimum, tension positive.
It needs no relaxation of strained minima: forces vanish, so that what relaxes changes energies in second order only.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError

from glass.arrays import Array
from glass.response.bonds import VOIGT, bonds_of

STRAIN = 5e-4  # strain of the finite differences


def virial(atoms: Atoms, make_calculator: Callable[[Atoms], Any]) -> Array:
    """∂E/∂ε_ab, volume times stress, tension positive.

    Of soft spheres the sum over bonds, else the calculator's stress; of a calculator that has none finite
    differences of twelve energies.
    """
    atoms = atoms.copy()
    atoms.calc = make_calculator(atoms)
    bonds = bonds_of(atoms, atoms.calc)
    if bonds is not None:
        return bonds.virial()
    if "stress" in getattr(atoms.calc, "implemented_properties", ()):
        try:
            return np.asarray(atoms.get_stress() * atoms.get_volume(), float)
        except (NotImplementedError, CalculatorError):
            pass  # some calculators have it for some of their potentials only
    return virial_by_differences(atoms)


def virial_by_differences(atoms: Atoms) -> Array:
    """The same from energies at ± STRAIN of atoms with a calculator; nothing is relaxed."""
    strained = atoms.copy()
    strained.calc = atoms.calc

    def energy(shape: Array) -> float:
        strained.set_positions(atoms.positions @ shape)
        strained.set_cell(atoms.cell.array @ shape)
        return float(strained.get_potential_energy())

    return by_strain(energy, STRAIN)


def by_strain(function: Callable[[Array], Any], size: float) -> Array:
    """Derivatives by the strains VOIGT, the last axis, of what a function makes of 1 + strain, shape (3, 3)."""
    found = []
    for a, b in VOIGT:
        strain = np.zeros((3, 3))
        strain[a, b] = strain[b, a] = size
        change = function(np.eye(3) + strain) - function(np.eye(3) - strain)
        found.append(change / (2 * size * (1 if a == b else 2)))
    return np.stack(found, axis=-1)


def coupling(start: Atoms, end: Atoms, make_calculator: Callable[[Atoms], Any]) -> Array:
    """γ of a double well, shape (6,) in the calculator's unit of energy: xx, yy, zz, yz, xz, xy."""
    return 0.5 * (virial(end, make_calculator) - virial(start, make_calculator))


def orientation_averages(gamma: Array) -> tuple[Array, Array]:
    """Root mean squares of γ over all directions of longitudinal and of transverse phonons.

    γ_l² = [(tr γ)² + 2 tr γ²]/15, γ_t² = [3 tr γ² − (tr γ)²]/30 (Anghel et al., cond-mat/0610469).

    Examples
    --------
    >>> longitudinal, transverse = orientation_averages(np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]))
    >>> round(float(longitudinal), 6), round(float(transverse), 6)
    (1.0, 0.0)
    """
    trace = gamma[..., :3].sum(axis=-1)
    square = (gamma[..., :3] ** 2).sum(axis=-1) + 2 * (gamma[..., 3:] ** 2).sum(axis=-1)
    longitudinal = np.sqrt((trace**2 + 2 * square) / 15)
    transverse = np.sqrt(np.maximum(3 * square - trace**2, 0) / 30)
    return np.asarray(longitudinal), np.asarray(transverse)
