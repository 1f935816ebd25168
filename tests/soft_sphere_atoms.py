"""The model glass by hand: atoms with their calculator, and its pair energy as a formula."""

import numpy as np
from ase import Atoms

from glass.soft_spheres import SoftSpheres


def make_atoms(positions, diameters, box):
    """Soft spheres of mass 1, as ASE gives it to what is no element, in a periodic box with ASE's calculator."""
    atoms = Atoms(numbers=np.zeros(len(diameters), int), positions=positions, cell=box, pbc=True)
    atoms.set_array("diameters", np.asarray(diameters, dtype=float))
    atoms.calc = SoftSpheres()
    return atoms


def pair_energy_by_hand(r, one, other):
    """Energy in ε of two particles of these diameters at distance r, in σ; arrays that fit each other.

    v = (σ/r)¹² + c₀ + c₂ (r/σ)² + c₄ (r/σ)⁴ below 1.25 σ with σ = ½ (σ₁ + σ₂)(1 − 0.2 |σ₁ − σ₂|): Ninarello, Berthier,
    Coslovich, Phys. Rev. X 7, 021039 (2017); c₀, c₂, c₄ let v, v′ and v″ vanish at 1.25 σ.
    """
    x = r / (0.5 * (one + other) * (1 - 0.2 * abs(one - other)))
    return np.where(x < 1.25, x**-12.0 - 28 / 1.25**12 + 48 / 1.25**14 * x**2 - 21 / 1.25**16 * x**4, 0.0)
