"""Polydisperse soft spheres: energies and forces from compiled neighbour lists, behind ASE's calculator.

v(r) = ε [(σ_ij/r)¹² + c₀ + c₂ (r/σ_ij)² + c₄ (r/σ_ij)⁴] for r < 1.25 σ_ij, else 0; c₀, c₂, c₄ let value and two
derivatives vanish there; σ_ij = ½ (σ_i + σ_j)(1 − 0.2 |σ_i − σ_j|). Ninarello, Berthier, Coslovich, Phys. Rev. X 7,
021039 (2017).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np
from ase import Atoms

from glass.arrays import Array, box_of
from glass.kernels import nearest_image, sides_of
from glass.potentials.pairs import PairPotential

CUTOFF = 1.25  # range of the potential in σ_ij
C0, C2, C4 = -28.0 / CUTOFF**12, 48.0 / CUTOFF**14, -21.0 / CUTOFF**16
_CUTOFF2 = CUTOFF**2


@numba.njit(cache=True, inline="always")
def pair_diameter(one, other):  # type: ignore[no-untyped-def]
    """σ_ij of two diameters."""
    return 0.5 * (one + other) * (1.0 - 0.2 * abs(one - other))


@numba.njit(cache=True, inline="always")
def pair_energy(x):  # type: ignore[no-untyped-def]
    """V in ε for x = (σ_ij/r)², inside the cutoff."""
    return x**6 + C0 + (C2 + C4 / x) / x


@numba.njit(cache=True, error_model="numpy")
def neighbours(positions, box, diameters, slack, both=False):  # type: ignore[no-untyped-def]
    """List of pairs that come within 1.25 σ_ij while each particle moves by no more than its ``slack``, (N,).

    Partners of particle i, those behind it or with ``both`` all, are ``partner[start[i]:start[i + 1]]``, their σ_ij² in
    ``square``. Straight over all pairs, which below a few thousand particles is as quick as cells.
    """
    n = positions.shape[0]
    reach, sides = CUTOFF * diameters.max() + 2.0 * slack.max(), sides_of(box)
    x, y, z = positions[:, 0].copy(), positions[:, 1].copy(), positions[:, 2].copy()
    apart, near = np.empty(n), np.empty(n + 1, np.uint32)
    start, found = np.zeros(n + 1, np.int64), 0
    partner, square = np.empty(64 * n, np.uint32), np.empty(64 * n)
    for i in range(n):
        if found + n > partner.shape[0]:
            partner = np.concatenate((partner, np.empty_like(partner)))
            square = np.concatenate((square, np.empty_like(square)))
        first, count = 0 if both else i + 1, 0
        for j in range(np.uint64(first), np.uint64(n)):  # unsigned: else each index is checked for being negative
            dx, dy, dz = nearest_image(x[i] - x[j], y[i] - y[j], z[i] - z[j], sides)
            apart[j] = dx * dx + dy * dy + dz * dz
        apart[i] = np.inf
        for j in range(n - 1, first - 1, -1):  # without a branch, which would be predicted wrongly too often
            near[count] = j
            count += apart[j] < reach * reach
        for j in near[:count]:
            sigma = pair_diameter(diameters[i], diameters[j])
            if apart[j] < (CUTOFF * sigma + slack[i] + slack[j]) ** 2:
                partner[found] = j
                square[found] = sigma * sigma
                found += 1
        start[i + 1] = found
    return start, partner[:found].copy(), square[:found].copy()


@numba.njit(cache=True)
def energy_and_forces(positions, box, start, partner, square, forces):  # type: ignore[no-untyped-def]
    """Total energy in ε; the forces in ε/σ into ``forces``, shape (N, 3)."""
    energy = 0.0
    forces[:] = 0.0
    sides = sides_of(box)
    for i in range(positions.shape[0]):
        x, y, z = positions[i, 0], positions[i, 1], positions[i, 2]
        fx = fy = fz = 0.0
        for k in range(start[i], start[i + 1]):
            j = partner[k]
            dx, dy, dz = nearest_image(x - positions[j, 0], y - positions[j, 1], z - positions[j, 2], sides)
            r2 = dx * dx + dy * dy + dz * dz
            if r2 < _CUTOFF2 * square[k]:
                ratio = square[k] / r2
                energy += pair_energy(ratio)
                f = 2.0 * (6.0 * ratio**6 - (C2 + 2.0 * C4 / ratio) / ratio) / r2
                fx += f * dx
                fy += f * dy
                fz += f * dz
                forces[j, 0] -= f * dx
                forces[j, 1] -= f * dy
                forces[j, 2] -= f * dz
        forces[i, 0] += fx
        forces[i, 1] += fy
        forces[i, 2] += fz
    return energy


@numba.njit(cache=True)
def energies_and_forces(box, start, partner, square, images, energies, forces):  # type: ignore[no-untyped-def]
    """The same of several images (k, N, 3) from one list; into ``energies`` (k,) and ``forces`` (k, N, 3)."""
    for k in range(images.shape[0]):
        energies[k] = energy_and_forces(images[k], box, start, partner, square, forces[k])


class SoftSpheres(PairPotential):
    """ASE calculator of polydisperse soft spheres.

    The Atoms carry the array ``diameters``, shape (N,) in σ. Orthogonal, periodic cells with sides of at least twice
    the largest cutoff are fastest.
    """

    kinds = "diameters"
    terms = (1.0, 0.0, C0, 0.0, C2, C4, CUTOFF)

    @staticmethod
    def of_pairs(one: Any, other: Any) -> tuple[Any, Any]:
        """σ_ij of two arrays of diameters, and ε_ij, which is 1."""
        sigma = pair_diameter.py_func(one, other)
        return sigma, np.ones_like(sigma)

    def evaluator(self, atoms: Atoms, reference: Array, slack: Array) -> Callable[..., None]:
        """What evaluates images while each particle is no further from its reference place than its ``slack``."""
        diameters, box = atoms.arrays["diameters"], box_of(atoms.cell.array, atoms.pbc)
        if box.ndim == 1 and (atoms.cell.array == np.diag(box)).all() and box.min() >= 2 * CUTOFF * diameters.max():
            return partial(energies_and_forces, box, *neighbours(reference, box, diameters, slack))
        return super().evaluator(atoms, reference, slack)


def calculator(_: Atoms) -> SoftSpheres:
    """Default of ``neb.calculator`` in config.yaml."""
    return SoftSpheres()
