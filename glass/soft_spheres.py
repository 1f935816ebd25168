"""Polydisperse soft spheres: energies and forces from compiled neighbour lists, behind ASE's calculator.

v(r) = ε [(σ_ij/r)¹² + c₀ + c₂ (r/σ_ij)² + c₄ (r/σ_ij)⁴] for r < 1.25 σ_ij, else 0; c₀, c₂, c₄ let value and two
derivatives vanish there; σ_ij = ½ (σ_i + σ_j)(1 − 0.2 |σ_i − σ_j|). Ninarello, Berthier, Coslovich, Phys. Rev. X 7,
021039 (2017).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numba
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from scipy.spatial import KDTree

from glass.arrays import Array, Index, box_of
from glass.kernels import nearest_image

CUTOFF = 1.25
"""Range of the potential in σ_ij."""

C0, C2, C4 = -28.0 / CUTOFF**12, 48.0 / CUTOFF**14, -21.0 / CUTOFF**16
_CUTOFF2 = CUTOFF**2

SKIN = 0.3
"""Reach of the neighbour list beyond the cutoff, σ. It holds until a particle has moved by half of it."""


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


@numba.njit(cache=True)
def energies_and_forces_by_shifts(images, first, second, shifts, square, energies, forces):  # type: ignore[no-untyped-def]
    """The same in any cell, of the pairs and images that :func:`bonds` gives."""
    forces[:] = 0.0
    for n in range(images.shape[0]):
        energies[n] = 0.0
        for k in range(len(first)):
            i, j = first[k], second[k]
            dx = images[n, i, 0] - images[n, j, 0] - shifts[k, 0]
            dy = images[n, i, 1] - images[n, j, 1] - shifts[k, 1]
            dz = images[n, i, 2] - images[n, j, 2] - shifts[k, 2]
            r2 = dx * dx + dy * dy + dz * dz
            if r2 < _CUTOFF2 * square[k]:
                x = square[k] / r2
                energies[n] += pair_energy(x)
                f = pair_pull(x, r2)
                for axis, d in enumerate((dx, dy, dz)):
                    forces[n, i, axis] += f * d
                    forces[n, j, axis] -= f * d


def _near(positions: Array, atoms: Atoms, reach: float) -> tuple[Index, Index, Index]:
    """Particles closer than ``reach`` and cells between them: as ASE gives, in a hundredth of the time at N = 150."""
    cell, periodic = atoms.cell.complete().array, atoms.pbc
    inverse = np.linalg.inv(cell)
    inside = positions @ inverse
    home = np.where(periodic, np.floor(inside), 0).astype(int)
    inside -= home
    margin = reach * np.linalg.norm(inverse, axis=0)  # in fractions of the cell
    copies = np.where(periodic, np.ceil(margin), 0).astype(int)
    cells = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in copies), indexing="ij"), -1).reshape(-1, 1, 3)
    images = inside + cells
    close = ((images > -margin) & (images < 1 + margin) | ~periodic).all(2)
    cell_of, image_of = np.nonzero(close)
    found = KDTree(inside @ cell).sparse_distance_matrix(KDTree(images[close] @ cell), reach, output_type="coo_matrix")
    first, second = found.row, image_of[found.col]
    between = cells[cell_of[found.col], 0] + home[first] - home[second]
    apart = (first != second) | between.any(1)
    return first[apart], second[apart], between[apart]


def bonds(atoms: Atoms, positions: Array, slack: Array) -> tuple[Index, Index, Array, Array]:
    """Pairs, each once, that come within 1.25 σ_ij of each other while particles move by no more than ``slack``, (N,).

    In any cell, open directions and several images of one particle included: numbers of both, shift of the second to
    its image, shape (n_pairs, 3), and σ_ij².
    """
    diameters = atoms.arrays["diameters"]
    first, second, cells = _near(positions, atoms, CUTOFF * diameters.max() + 2 * slack.max())
    shifts = cells @ atoms.cell.array
    steps = positions[second] + shifts - positions[first]
    upper = cells @ np.array([4**20, 4**10, 1])  # of a particle and its own image one of the two
    sigma = pair_diameter.py_func(diameters[first], diameters[second])
    near = np.linalg.norm(steps, axis=1) < CUTOFF * sigma + slack[first] + slack[second]
    kept = near & ((first < second) | ((first == second) & (upper > 0)))
    return first[kept], second[kept], shifts[kept], sigma[kept] ** 2


@numba.njit(cache=True)
def have_moved(images, reference, slack):  # type: ignore[no-untyped-def]
    """Whether a particle of any image is further from its reference place than its ``slack``, shape (N,)."""
    for k in range(images.shape[0]):
        for i in range(images.shape[1]):
            r2 = 0.0
            for axis in range(3):
                r2 += (images[k, i, axis] - reference[i, axis]) ** 2
            if r2 > slack[i] * slack[i]:
                return True
    return False


class SoftSpheres(Calculator):  # type: ignore[misc]
    """ASE calculator of polydisperse soft spheres.

    The Atoms carry the array ``diameters``, shape (N,) in σ. Particles may stand outside the cell, which may be any;
    orthogonal, periodic ones with sides of at least twice the largest cutoff are fastest.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]
    forces_are_cheap = True
    """An evaluation takes less time than to apply a preconditioner (:func:`glass.relaxation.bonds_inverse`)."""

    def __init__(self) -> None:
        super().__init__()
        self._lists: dict[bool, Any] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        """A subclass with energies of its own has no ``calculate_many`` unless it has its own, too."""
        super().__init_subclass__(**options)
        if "calculate" in cls.__dict__ and "calculate_many" not in cls.__dict__:
            cls.calculate_many = None  # type: ignore[assignment]

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """Changes since the last calculation; ASE itself does not look at arrays of one's own."""
        changes: list[str] = super().check_state(atoms, tol)
        if self.atoms is not None and not np.array_equal(atoms.arrays["diameters"], self.atoms.arrays["diameters"]):
            changes.append("diameters")
        return changes

    def calculate(self, atoms: Atoms, properties: Any = None, system_changes: Any = all_changes) -> None:
        """Energy and forces together; see ASE."""
        super().calculate(atoms, properties, system_changes)
        if list(system_changes) != ["positions"]:
            self._lists = {}
        energies, forces = SoftSpheres.calculate_many(self, atoms, atoms.positions[None])
        self.results = {"energy": float(energies[0]), "forces": forces[0]}

    def calculate_many(self, atoms: Atoms, images: Array) -> tuple[Array, Array]:
        """Energies (k,) and forces (k, N, 3) of ``atoms`` at several positions (k, N, 3), see :mod:`glass.batches`.

        One neighbour list serves all images of a band: a particle may move over the range of its places.
        """
        key = len(images) == 1  # an image that relaxes has a list of its own
        if key not in self._lists or have_moved(images, self._lists[key][0], self._lists[key][1]):
            self._lists[key] = self._list(atoms, images)
        energies, forces = np.empty(len(images)), np.empty(images.shape)
        self._lists[key][2](images, energies=energies, forces=forces)
        return energies, forces

    @staticmethod
    def _list(atoms: Atoms, images: Array) -> tuple[Array, Array, Callable[..., None]]:
        """Where particles were listed, how far each may go from there, and what evaluates images until then."""
        diameters, box = atoms.arrays["diameters"], box_of(atoms.cell.array, atoms.pbc)
        reference = 0.5 * (images.min(0) + images.max(0))
        slack = 0.5 * SKIN + np.sqrt(((images - reference) ** 2).sum(2).max(0))
        if box.ndim == 1 and (atoms.cell.array == np.diag(box)).all() and box.min() >= 2 * CUTOFF * diameters.max():
            start, partner, square = neighbours(reference, box, diameters, slack)
            near = partial(energies_and_forces, box=box, start=start, partner=partner, square=square)
            return reference, slack, near
        names = "first", "second", "shifts", "square"
        by_shifts = dict(zip(names, bonds(atoms, reference, slack), strict=True))
        return reference, slack, partial(energies_and_forces_by_shifts, **by_shifts)


def calculator(_: Atoms) -> SoftSpheres:
    """Default of ``neb.calculator`` in config.yaml."""
    return SoftSpheres()
