"""Double wells given by a formula, as profiles of images."""

import numpy as np
from oscillator_basis import HBAR

from glass.double_well import examined
from glass.relaxation import one_by_one
from glass.tunnelling import OUTSIDE_POINTS, REACH, Continuation, Profile, oscillator_lengths
from glass.two_level import two_level
from pipeline.formats.records import record_of


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
    """Energies of a formula outside an end."""
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
