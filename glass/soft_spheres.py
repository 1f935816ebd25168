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
from glass.kernels import nearest_image
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


@numba.njit(cache=True, inline="always")
def pair_pull(x, r2):  # type: ignore[no-untyped-def]
    """−V′/r in ε/σ² for the same x and r²: times the difference of the two places the force on the first."""
    return 2.0 * (6.0 * x**6 - (C2 + 2.0 * C4 / x) / x) / r2


@numba.njit(cache=True)
def neighbours(positions, box, diameters, slack):  # type: ignore[no-untyped-def]
    """Half list of pairs that come within 1.25 σ_ij while each particle moves by no more than its ``slack``, (N,).

    Partners of particle i are ``partner[start[i]:start[i + 1]]``, their σ_ij² in ``square``.
    """
    n = positions.shape[0]
    reach = CUTOFF * diameters.max() + 2.0 * slack.max()
    cells = np.empty(3, np.int64)
    for axis in range(3):
        cells[axis] = int(box[axis] // reach)
        if cells[axis] < 3:
            cells[axis] = 1
    cell_of = np.empty((n, 3), np.int64)
    head = np.full((cells[0], cells[1], cells[2]), -1, np.int64)
    after = np.empty(n, np.int64)
    for i in range(n):
        for axis in range(3):
            place = positions[i, axis] / box[axis]
            cell_of[i, axis] = min(cells[axis] - 1, int((place - np.floor(place)) * cells[axis]))
        x, y, z = cell_of[i]
        after[i] = head[x, y, z]
        head[x, y, z] = i
    start = np.zeros(n + 1, np.int64)
    partner = np.empty(64 * n, np.int32)
    square = np.empty(64 * n)
    found = 0
    width, depth, height = box[0], box[1], box[2]
    per_width, per_depth, per_height = 1.0 / width, 1.0 / depth, 1.0 / height
    for i in range(n):
        xi, yi, zi = positions[i, 0], positions[i, 1], positions[i, 2]
        if found + n > partner.shape[0]:
            partner, square = _longer(partner), _longer(square)
        for step in range(27):
            offset = (step // 9 - 1, step // 3 % 3 - 1, step % 3 - 1)
            if (cells[0] == 1 and offset[0]) or (cells[1] == 1 and offset[1]) or (cells[2] == 1 and offset[2]):
                continue
            j = head[
                (cell_of[i, 0] + offset[0]) % cells[0],
                (cell_of[i, 1] + offset[1]) % cells[1],
                (cell_of[i, 2] + offset[2]) % cells[2],
            ]
            # Each cell's list descends, so the partners behind i come first.
            while j > i:
                dx = nearest_image(xi - positions[j, 0], width, per_width)
                dy = nearest_image(yi - positions[j, 1], depth, per_depth)
                dz = nearest_image(zi - positions[j, 2], height, per_height)
                r2 = dx * dx + dy * dy + dz * dz
                if r2 < reach * reach:
                    sigma = pair_diameter(diameters[i], diameters[j])
                    if r2 < (CUTOFF * sigma + slack[i] + slack[j]) ** 2:
                        partner[found] = j
                        square[found] = sigma * sigma
                        found += 1
                j = after[j]
        start[i + 1] = found
    return start, partner[:found].copy(), square[:found].copy()


@numba.njit(cache=True)
def _longer(values):  # type: ignore[no-untyped-def]
    longer = np.empty(2 * values.shape[0], values.dtype)
    longer[: values.shape[0]] = values
    return longer


@numba.njit(cache=True)
def energy_and_forces(positions, box, start, partner, square, forces):  # type: ignore[no-untyped-def]
    """Total energy in ε; the forces in ε/σ into ``forces``, shape (N, 3)."""
    energy = 0.0
    forces[:] = 0.0
    width, depth, height = box[0], box[1], box[2]
    per_width, per_depth, per_height = 1.0 / width, 1.0 / depth, 1.0 / height
    for i in range(positions.shape[0]):
        xi, yi, zi = positions[i, 0], positions[i, 1], positions[i, 2]
        fx = fy = fz = 0.0
        for k in range(start[i], start[i + 1]):
            j = partner[k]
            dx = nearest_image(xi - positions[j, 0], width, per_width)
            dy = nearest_image(yi - positions[j, 1], depth, per_depth)
            dz = nearest_image(zi - positions[j, 2], height, per_height)
            r2 = dx * dx + dy * dy + dz * dz
            if r2 < _CUTOFF2 * square[k]:
                x = square[k] / r2
                energy += pair_energy(x)
                f = pair_pull(x, r2)
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
def energies_and_forces(images, box, start, partner, square, energies, forces):  # type: ignore[no-untyped-def]
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
            start, partner, square = neighbours(reference, box, diameters, slack)
            return partial(energies_and_forces, box=box, start=start, partner=partner, square=square)
        return super().evaluator(atoms, reference, slack)


def calculator(_: Atoms) -> SoftSpheres:
    """Default of ``neb.calculator`` in config.yaml."""
    return SoftSpheres()
