"""Second derivatives of a pair potential, summed over its bonds: virial, Hessian, Born and non-affine terms.

A bond is a pair of particles within the range of the potential v(r), n its direction. Every bond stands here in both
directions; all sums are over arrays of bonds.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from scipy.sparse import coo_array, csr_array

from glass.arrays import Array, Index
from glass.soft_spheres import C2, C4, SoftSpheres

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""ASE's order of the components of a symmetric tensor: xx, yy, zz, yz, xz, xy."""


@dataclass(frozen=True)
class Bonds:
    """Bonds of a pair potential, each in both directions."""

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
        stiffness = self.stiffness()
        rows, own, other = (
            np.broadcast_to(3 * number[:, None, None] + axis, stiffness.shape).ravel()
            for number, axis in (
                (self.first, np.arange(3)[:, None]),
                (self.first, np.arange(3)[None, :]),
                (self.second, np.arange(3)[None, :]),
            )
        )
        values = np.concatenate([stiffness.ravel(), -stiffness.ravel()])
        places = np.concatenate([rows, rows]), np.concatenate([own, other])
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
