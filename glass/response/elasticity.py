"""Elastic moduli and sound velocities of a glass, from one of its minima.

Lagrangian moduli C = ∂²(E/V)/∂η∂η at a minimum that follows the strain: Born's term less what particles gain by moving
out of an affine strain (Lutsko, J. Appl. Phys. 65, 2991 (1989); Lemaître, Maloney, J. Stat. Phys. 123, 415 (2006)).
Under a pressure p sound goes by ρ v_l² = K + 4 μ/3 − p and ρ v_t² = μ − p, K and μ Voigt's averages of C.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from scipy.sparse.linalg import splu

from glass.arrays import Array
from glass.response.bonds import Bonds, bonds_of
from glass.response.strain import by_strain, virial

STRAIN = 1e-3  # strain of the strained relaxations


def sound(
    atoms: Atoms, make_calculator: Callable[[Atoms], Any], relax: Callable[[Atoms], Atoms]
) -> tuple[float, float, float]:
    """Density, longitudinal and transverse sound velocity of an isotropic glass, from a relaxed minimum with masses.

    In the units of minimum and calculator: mass over volume and √(energy/mass). By the formula for soft spheres, else
    from twelve strained cells, which ``relax`` brings to a minimum. ValueError if the cell is open, or a modulus
    is not above zero: the minimum is not stable under strain.
    """
    if not atoms.pbc.all():
        raise ValueError("an open direction has no volume")
    volume = atoms.get_volume()
    bonds = bonds_of(atoms, make_calculator(atoms))
    stress = virial(atoms, make_calculator) / volume
    if bonds is not None:
        propagating = propagation(moduli(bonds, volume), stress)
    else:
        propagating = moduli_by_strain(atoms, make_calculator, relax)
    bulk, shear = voigt_average(propagating)
    density, along = float(atoms.get_masses().sum() / volume), bulk + 4 * shear / 3
    if not (shear > 0 and along > 0):
        raise ValueError(f"the shear modulus is {shear:.3g}: the minimum is not stable under strain")
    return density, float(np.sqrt(along / density)), float(np.sqrt(shear / density))


def moduli(bonds: Bonds, volume: float) -> Array:
    """Lagrangian moduli C, shape (6, 6) in the order of VOIGT, with relaxation, in ε/σ³."""
    forces = bonds.non_affine()
    stiffness = bonds.hessian().tocsc()[3:, 3:]  # one particle held: translations cost nothing
    moved = splu(stiffness).solve(forces[3:])
    return np.asarray((bonds.born() - forces[3:].T @ moved) / volume)


def propagation(lagrangian: Array, stress: Array) -> Array:
    """∂σ_ab/∂ε_cd of a glass under the pressure p, shape (6, 6): C_abcd − p (δ_ac δ_bd + δ_ad δ_bc − δ_ab δ_cd)."""
    change = np.diag([2.0, 2.0, 2.0, 1.0, 1.0, 1.0])
    change[:3, :3] -= 1.0
    return np.asarray(lagrangian + stress[:3].mean() * change)


def moduli_by_strain(atoms: Atoms, make_calculator: Callable[[Atoms], Any], relax: Callable[[Atoms], Atoms]) -> Array:
    """∂σ/∂ε from stresses at ± STRAIN, with relaxation, shape (6, 6); arguments as of :func:`sound`."""

    def stress(shape: Array) -> Array:
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array @ shape, scale_atoms=True)
        strained = relax(strained)
        return np.asarray(virial(strained, make_calculator) / strained.get_volume())

    found = by_strain(stress, STRAIN)
    return 0.5 * (found + found.T)


def voigt_average(moduli: Array) -> tuple[float, float]:
    """Bulk and shear modulus of an isotropic glass from moduli of shape (6, 6), by Voigt's average."""
    own, between, shear = np.trace(moduli[:3, :3]), moduli[[0, 1, 0], [1, 2, 2]].sum(), np.trace(moduli[3:, 3:])
    return float(own + 2 * between) / 9, float(own - between + 3 * shear) / 15
