"""The Kob–Andersen mixture (Phys. Rev. Lett. 73, 1376 (1994)) for ASE, as ``lj/smooth/linear`` of LAMMPS."""

import numba
import numpy as np
from ase.calculators.calculator import Calculator, all_changes

SIGMA = np.array([[1.0, 0.8], [0.8, 0.88]])
EPSILON = np.array([[1.0, 1.5], [1.5, 0.5]])
CUTOFF = 2.5
"""In σ of the pair; there V and V' are 0."""


@numba.njit(cache=True)
def lennard_jones(positions, side, types):
    """Energy and forces: V = v(x) − v(c) − (x − c) v'(c), v = 4ε (x⁻¹² − x⁻⁶), x = r/σ, nearest images, c = CUTOFF."""
    energy, forces, d = 0.0, np.zeros_like(positions), np.empty(3)
    for i in range(len(positions)):
        for j in range(i):
            sigma, epsilon = SIGMA[types[i] - 1, types[j] - 1], EPSILON[types[i] - 1, types[j] - 1]
            square = 0.0
            for k in range(3):
                d[k] = positions[i, k] - positions[j, k]
                d[k] = (d[k] - side * np.rint(d[k] / side)) / sigma
                square += d[k] * d[k]
            if square < CUTOFF**2:
                x, a, c = np.sqrt(square), square**-3, CUTOFF**-6
                slope = -24 * epsilon / CUTOFF * (2 * c * c - c)
                energy += 4 * epsilon * (a * a - a - c * c + c) - (x - CUTOFF) * slope
                force = (24 * epsilon / x * (2 * a * a - a) + slope) / (sigma * x)
                for k in range(3):
                    forces[i, k] += force * d[k]
                    forces[j, k] -= force * d[k]
    return energy, forces


class KobAndersen(Calculator):
    """For ``types`` 1 and 2 in a cubic box of 5 σ or more.

    Parameters
    ----------
    atoms : Atoms
        Tell the types.
    """

    implemented_properties = ("energy", "forces")

    def __init__(self, atoms):
        super().__init__()
        self.types = atoms.arrays["types"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Energy and forces."""
        super().calculate(atoms, properties, system_changes)
        energy, forces = lennard_jones(self.atoms.positions, self.atoms.cell.lengths()[0], self.types)
        self.results |= {"energy": energy, "forces": forces}
