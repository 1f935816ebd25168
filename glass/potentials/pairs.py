"""What pair potentials have in common: pairs in any cell, one list for many images, ASE's calculator.

v(r) = ε_ij [a x⁶ − b x³ + c₀ + c₁ x^(−½) + c₂ x⁻¹ + c₄ x⁻²], x = (σ_ij/r)², within a cutoff in σ_ij.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numba
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from scipy.spatial import KDTree

from glass.arrays import Array, Index

SKIN = 0.3  # reach of the neighbour list beyond the cutoff, σ. It holds until a particle has moved by half of it


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


@numba.njit(cache=True)
def energies_and_forces_by_shifts(first, second, shifts, square, depth, terms, images, energies, forces):  # type: ignore[no-untyped-def]
    """Energies (k,) and forces (k, N, 3) of images (k, N, 3) from the pairs that :meth:`PairPotential.bonds` gives.

    ``terms``: a, b, c₀, c₁, c₂, c₄ and the cutoff.
    """
    a, b, c0, c1, c2, c4, cutoff = terms
    forces[:] = 0.0
    for n in range(images.shape[0]):
        energies[n] = 0.0
        for k in range(len(first)):
            i, j = first[k], second[k]
            dx = images[n, i, 0] - images[n, j, 0] - shifts[k, 0]
            dy = images[n, i, 1] - images[n, j, 1] - shifts[k, 1]
            dz = images[n, i, 2] - images[n, j, 2] - shifts[k, 2]
            r2 = dx * dx + dy * dy + dz * dz
            if r2 < cutoff * cutoff * square[k]:
                x = square[k] / r2
                steep, middle, far = a * x**6, b * x**3, c1 / np.sqrt(x)
                energies[n] += depth[k] * (steep - middle + c0 + far + (c2 + c4 / x) / x)
                f = depth[k] * (12.0 * steep - 6.0 * middle - far - 2.0 * (c2 + 2.0 * c4 / x) / x) / r2
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


class PairPotential(Calculator):  # type: ignore[misc]
    """ASE calculator of a pair potential; particles may stand outside the cell, which may be any."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]
    forces_are_cheap = True
    """An evaluation takes less time than to apply a preconditioner (:func:`glass.relaxation.bonds_inverse`)."""
    terms: ClassVar[tuple[float, ...]]  # as of energies_and_forces_by_shifts
    kinds: ClassVar[str]  # name of the array of the Atoms that says which particles they are

    def __init__(self) -> None:
        super().__init__()
        self._lists: dict[bool, tuple[Array, Array, Callable[..., None]]] = {}
        """Where particles were listed, how far each may go from there, and what evaluates images until then."""

    def __init_subclass__(cls, **options: Any) -> None:
        """A subclass with energies of its own has no ``calculate_many`` unless it has its own, too."""
        super().__init_subclass__(**options)
        if "calculate" in cls.__dict__ and "calculate_many" not in cls.__dict__:
            cls.calculate_many = None  # type: ignore[assignment]

    @staticmethod
    def of_pairs(one: Any, other: Any) -> tuple[Any, Any]:
        """σ_ij and ε_ij of two arrays of kinds."""
        raise NotImplementedError

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """Changes since the last calculation; ASE itself does not look at arrays of one's own."""
        changes: list[str] = super().check_state(atoms, tol)
        if self.atoms is not None and not np.array_equal(atoms.arrays[self.kinds], self.atoms.arrays[self.kinds]):
            changes.append(self.kinds)
        return changes

    def calculate(self, atoms: Atoms, properties: Any = None, system_changes: Any = all_changes) -> None:
        """Energy and forces together; see ASE."""
        super().calculate(atoms, properties, system_changes)
        if list(system_changes) != ["positions"]:
            self._lists = {}
        energies, forces = PairPotential.calculate_many(self, atoms, atoms.positions[None])
        self.results = {"energy": float(energies[0]), "forces": forces[0]}

    def calculate_many(self, atoms: Atoms, images: Array) -> tuple[Array, Array]:
        """Energies (k,) and forces (k, N, 3) of ``atoms`` at several positions (k, N, 3), see :mod:`glass.batches`.

        One neighbour list serves all images of a band: a particle may move over the range of its places.
        """
        key = len(images) == 1  # an image that relaxes has a list of its own
        if key not in self._lists or have_moved(images, self._lists[key][0], self._lists[key][1]):
            reference = 0.5 * (images.min(0) + images.max(0))
            slack = 0.5 * SKIN + np.sqrt(((images - reference) ** 2).sum(2).max(0))
            self._lists[key] = reference, slack, self.evaluator(atoms, reference, slack)
        energies, forces = np.empty(len(images)), np.empty(images.shape)
        self._lists[key][2](images, energies, forces)
        return energies, forces

    def evaluator(self, atoms: Atoms, reference: Array, slack: Array) -> Callable[..., None]:
        """What evaluates images while each particle is no further from its reference place than its ``slack``."""
        return partial(energies_and_forces_by_shifts, *self.bonds(atoms, reference, slack), self.terms)

    def bonds(self, atoms: Atoms, positions: Array, slack: Array) -> tuple[Index, Index, Array, Array, Array]:
        """Pairs, each once, that come within the cutoff while particles move by no more than ``slack``, (N,).

        In any cell, open directions and several images of one particle included: numbers of both, shift of the second
        to its image, shape (n_pairs, 3), σ_ij² and ε_ij.
        """
        kinds = atoms.arrays[self.kinds]
        cutoff, largest = self.terms[-1], self.of_pairs(kinds, kinds)[0].max()
        first, second, cells = _near(positions, atoms, cutoff * largest + 2 * slack.max())
        shifts = cells @ atoms.cell.array
        steps = positions[second] + shifts - positions[first]
        upper = cells @ np.array([4**20, 4**10, 1])  # of a particle and its own image one of the two
        sigma, depth = self.of_pairs(kinds[first], kinds[second])
        near = np.linalg.norm(steps, axis=1) < cutoff * sigma + slack[first] + slack[second]
        kept = near & ((first < second) | ((first == second) & (upper > 0)))
        return first[kept], second[kept], shifts[kept], sigma[kept] ** 2, depth[kept]
