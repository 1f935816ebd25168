"""What a glass makes of a strain: stress, coupling of double wells, elastic moduli and sound velocities.

Coupling of a double well to strain, the deformation potential: γ_ab = ½ ∂(E_j − E_i)/∂ε_ab = ½ (W_j − W_i), where W is
volume times stress of a relaxed minimum, tension positive. It needs no relaxation of strained minima: forces vanish, so
that what relaxes changes energies in second order only.

Lagrangian moduli C = ∂²(E/V)/∂η∂η at a minimum that follows the strain: Born's term less what particles gain by moving
out of an affine strain (Lutsko, J. Appl. Phys. 65, 2991 (1989); Lemaître, Maloney, J. Stat. Phys. 123, 415 (2006)).
Under a pressure p sound goes by ρ v_l² = K + 4 μ/3 − p and ρ v_t² = μ − p, K and μ Voigt's averages of C.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import splu

from glass.arrays import Array, Index
from glass.soft_spheres import C2, C4, SoftSpheres

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""ASE's order of the components of a symmetric tensor: xx, yy, zz, yz, xz, xy."""

STRAIN = 5e-4  # strain of the finite differences of energies
RELAXED_STRAIN = 1e-3  # strain of the strained relaxations


@dataclass(frozen=True)
class Bonds:
    """Pairs of particles within the range of a potential, each in both directions; all sums are over arrays."""

    particles: int  # N
    first: Index  # (n_bonds,) Numbers of the particles
    second: Index
    directions: Array  # (n_bonds, 3) Unit vectors n from the second to the first
    lengths: Array  # (n_bonds,) r in σ
    slopes: Array  # (n_bonds,) v′ in ε/σ and v″ in ε/σ²
    curvatures: Array

    def virial(self) -> Array:
        """∂E/∂ε in ε, shape (6,) in the order of VOIGT: Σ r v′ n_a n_b over pairs; volume times stress."""
        tension = 0.5 * self.lengths * self.slopes
        return np.array([(tension * self.directions[:, a] * self.directions[:, b]).sum() for a, b in VOIGT])

    def stiffness(self) -> Array:
        """Second derivative of each bond in ε/σ², shape (n_bonds, 3, 3): v″ along it, v′/r across it."""
        outer = self.directions[:, :, None] * self.directions[:, None, :]
        across = (self.slopes / self.lengths)[:, None, None]
        return np.asarray((self.curvatures[:, None, None] - across) * outer + across * np.eye(3))

    def hessian(self) -> csr_array:
        """∂²E/∂r∂r in ε/σ², sparse, shape (3N, 3N)."""
        stiffness, axis = self.stiffness(), np.arange(3)
        first, second = 3 * self.first[:, None, None], 3 * self.second[:, None, None]
        rows, own, other = np.broadcast_arrays(first + axis[:, None], first + axis, second + axis)
        values = np.concatenate([stiffness, -stiffness]).ravel()
        places = np.concatenate([rows, rows]).ravel(), np.concatenate([own, other]).ravel()
        return coo_array((values, places), shape=(3 * self.particles,) * 2).tocsr()

    def particle_blocks(self) -> Array:
        """The blocks of the Hessian that belong to single particles, shape (N, 3, 3)."""
        blocks = np.zeros((self.particles, 3, 3))
        np.add.at(blocks, self.first, self.stiffness())
        return blocks

    def born(self) -> Array:
        """Σ (r² v″ − r v′) n_a n_b n_c n_d over pairs in ε, shape (6, 6): volume times Born's moduli."""
        stiffness = 0.5 * (self.lengths**2 * self.curvatures - self.lengths * self.slopes)
        pairs = np.array([self.directions[:, a] * self.directions[:, b] for a, b in VOIGT])
        return np.asarray((stiffness * pairs) @ pairs.T)

    def non_affine(self) -> Array:
        """∂²E/∂r∂η in ε/σ, shape (3N, 6), at a minimum: the forces that a strain causes, with the opposite sign."""
        stiffness = self.lengths * self.curvatures - self.slopes
        found = np.zeros((self.particles, 3, 6))
        for k, (a, b) in enumerate(VOIGT):
            each = (stiffness * self.directions[:, a] * self.directions[:, b])[:, None] * self.directions
            np.add.at(found[:, :, k], self.first, each)
        return found.reshape(-1, 6)


def bonds_of(atoms: Atoms, calculator: Any) -> Bonds | None:
    """Bonds of a configuration of soft spheres, in any cell; None for other calculators, whose v(r) is not known."""
    if not isinstance(calculator, SoftSpheres):
        return None
    first, second, shifts, squares, _ = calculator.bonds(atoms, atoms.positions, np.zeros(len(atoms)))
    vectors = atoms.positions[first] - atoms.positions[second] - shifts
    first, second = np.concatenate([first, second]), np.concatenate([second, first])
    vectors, squares = np.concatenate([vectors, -vectors]), np.tile(squares, 2)
    lengths = np.linalg.norm(vectors, axis=1)
    x = squares / lengths**2
    steep, soft, softer = 12 * x**6, 2 * C2 / x, 4 * C4 / x**2
    slopes = (soft + softer - steep) / lengths
    curvatures = (13 * steep + soft + 3 * softer) / lengths**2
    return Bonds(len(atoms), first, second, vectors / lengths[:, None], lengths, slopes, curvatures)


def virial(atoms: Atoms, make_calculator: Callable[[Atoms], Any]) -> Array:
    """∂E/∂ε_ab, volume times stress, tension positive.

    Of soft spheres the sum over bonds, else the calculator's stress; of a calculator that has none finite
    differences of twelve energies, in which nothing is relaxed.
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
    if bonds is not None:
        change = np.diag([2.0, 2.0, 2.0, 1.0, 1.0, 1.0])  # δ_ac δ_bd + δ_ad δ_bc − δ_ab δ_cd
        change[:3, :3] -= 1.0
        propagating = moduli(bonds, volume) + (bonds.virial() / volume)[:3].mean() * change
    else:

        def stress(shape: Array) -> Array:
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ shape, scale_atoms=True)
            strained = relax(strained)
            return np.asarray(virial(strained, make_calculator) / strained.get_volume())

        found = by_strain(stress, RELAXED_STRAIN)
        propagating = 0.5 * (found + found.T)
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


def voigt_average(moduli: Array) -> tuple[float, float]:
    """Bulk and shear modulus of an isotropic glass from moduli of shape (6, 6), by Voigt's average."""
    own, between, shear = np.trace(moduli[:3, :3]), moduli[[0, 1, 0], [1, 2, 2]].sum(), np.trace(moduli[3:, 3:])
    return float(own + 2 * between) / 9, float(own - between + 3 * shear) / 15
