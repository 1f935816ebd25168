"""Double wells and soft spheres by formulas, and the Schrödinger equation by another method than the project's."""

import numpy as np
from ase import Atoms

from glass.double_well import examined
from glass.relaxation import one_by_one
from glass.soft_spheres import SoftSpheres
from glass.tunnelling import OUTSIDE_POINTS, REACH, Continuation, Profile, oscillator_lengths
from glass.two_level import two_level
from pipeline.formats.records import record_of

HBAR = 0.01563
"""ħ̃ of the paper's units, see test_reduced_hbar_is_that_of_the_paper."""


class Potential:
    """A formula in the place of a profile; the grid ends so many quanta of a parabola above its ends."""

    has_walls = False

    def __init__(self, formula, ends, curvature):
        self.formula, self.lengths, self.curvature = formula, np.array(ends), curvature
        self.energies, self.slopes = formula(self.lengths), np.zeros(len(ends))

    def __call__(self, x):
        return self.formula(x)

    def ends_at(self, hbar, margin):
        beyond = np.sqrt(2 * (0.1 + margin * hbar * np.sqrt(self.curvature)) / self.curvature)
        return self.lengths[0] - beyond, self.lengths[-1] + beyond


def beyond(formula, end, direction, length):
    distances = np.linspace(0, REACH * length, OUTSIDE_POINTS + 1)
    return Continuation(distances, formula(end + direction * distances))


def double_well(height, half):
    """V = height ((x/half)² − 1)² and its slope; curvature at the minima 8 height / half²."""
    return (lambda x: height * ((x / half) ** 2 - 1) ** 2, lambda x: 4 * height * ((x / half) ** 2 - 1) * x / half**2)


def profile_of_formula(formula, slope, ends, images=21, hbar=HBAR):
    """Images of a formula, and energies outside them as the exact calculation takes them."""
    x = np.linspace(*ends, images)
    inside = x - ends[0], formula(x), slope(x)
    left, right = oscillator_lengths(*inside, hbar)
    return Profile(*inside, beyond(formula, ends[0], -1, left), beyond(formula, ends[1], 1, right))


def record_settings(profile, levels, hbar, **more):
    """What run_neb.py keeps with the profile and the levels of a double well."""
    how = {"calculator": "a:b", "hbar": hbar, "images": 41, "force_tolerance": 2e-4, "beyond_ends": "straight line"}
    how |= {"fidelity": "full", "units": "reduced", "force": 1e-4, "path_length": float(profile.lengths[-1])}
    return {**how, **record_of(two_level(profile, levels, hbar)), **more}


def relaxed_path(potential, positions, tolerance, max_steps):
    """The band of the exact calculation with all images, from these; the potential is one function for all."""
    forces = one_by_one([potential])
    return examined(positions, forces, len(positions), tolerance, max_steps=max_steps, hbar=HBAR).band


# Another method
def in_oscillator_basis(potential, reduced, frequency, size=160):
    """Lowest two levels by diagonalising H in the eigenstates of an oscillator at x = 0, exact integrals of V."""
    x, weights = np.polynomial.hermite.hermgauss(2 * size)
    states = np.zeros((size, len(x)))
    states[0] = np.pi**-0.25
    states[1] = np.sqrt(2) * x * states[0]
    for n in range(2, size):
        states[n] = np.sqrt(2 / n) * x * states[n - 1] - np.sqrt((n - 1) / n) * states[n - 2]
    length = np.sqrt(reduced / frequency)
    values = potential(length * x) - 0.5 * frequency**2 * (length * x) ** 2
    hamiltonian = (states * (weights * values)) @ states.T + np.diag(reduced * frequency * (np.arange(size) + 0.5))
    return np.linalg.eigvalsh(hamiltonian)[:2]


# The model glass
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
