"""Harmonic vibrations around minima, saddles and paths: zero-point energies, attempt frequencies, vibrational entropy.

All functions take any units that fit each other: frequencies are in √(energy/mass)/length, where the units of
:mod:`glass.double_well` are √(ε/m)/σ.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from glass.arrays import Array
from glass.path import directions, mass_weighted
from glass.relaxation import Potential
from glass.tunnelling import Profile

Hessian = Callable[[Array], Array]  # a function that takes positions (N, 3) and returns ∂²E/∂r∂r, shape (3N, 3N)
DISPLACEMENT = 2e-3  # step of the differences of forces, in the unit of length
RIGID = 1e-7  # fraction of the largest eigenvalue below which a mode is a translation of all particles
NEWTON_STEPS = 12  # largest number of Newton's steps to a saddle; two to four are the rule
STILL = 1e-6  # fraction of the first force that is left at a saddle


def hessian_by_differences(potential: Potential, positions: Array) -> Array:
    """∂²E/∂r∂r from central differences of forces, 6N calls; symmetrised, shape (3N, 3N)."""
    found = np.empty((positions.size, positions.size))
    for k in range(positions.size):
        moved = positions.copy().ravel()
        moved[k] += DISPLACEMENT
        forward = potential(moved.reshape(-1, 3))[1]
        moved[k] -= 2 * DISPLACEMENT
        found[k] = (potential(moved.reshape(-1, 3))[1] - forward).ravel() / (2 * DISPLACEMENT)
    return np.asarray(0.5 * (found + found.T))


def squared_frequencies(hessian: Array, masses: Array) -> Array:
    """Eigenvalues ω² of the mass-weighted Hessian, ascending, shape (3N,)."""
    weights = np.repeat(masses, 3) ** -0.5
    return np.asarray(np.linalg.eigvalsh(weights[:, None] * hessian * weights))


def zero_point_energy(hessian: Array, masses: Array, hbar: float, tangent: Array | None = None) -> float:
    """½ ħ Σ √max(ω², 0) of all modes, less that along the tangent of a path."""
    total = np.sqrt(np.maximum(squared_frequencies(hessian, masses), 0)).sum()
    if tangent is not None:
        t = (tangent / np.linalg.norm(tangent) / np.sqrt(masses)[:, None]).ravel()
        total -= np.sqrt(max(float(t @ hessian @ t), 0.0))
    return float(0.5 * hbar * total)


def zero_point_of_blocks(blocks: Array, masses: Array, hbar: float) -> float:
    """½ ħ Σ √ω² of each particle alone, the others held; differences of it are near those of the whole spectrum."""
    squared = np.linalg.eigvalsh(blocks / masses[:, None, None])
    return float(0.5 * hbar * np.sqrt(np.maximum(squared, 0)).sum())


class Saddle(NamedTuple):
    """A place where the force vanishes and one curvature is negative."""

    positions: Array  # shape (N, 3)
    energy: float
    hessian: Array  # shape (3N, 3N)


def find_saddle(potential: Potential, hessian: Hessian, start: Array) -> Saddle | None:
    """Saddle by Newton's method from a place near it, such as the highest image; None where it leads elsewhere."""
    positions, first = start.copy(), None
    for _ in range(NEWTON_STEPS):
        energy, forces = potential(positions)
        curvatures, modes = np.linalg.eigh(here := hessian(positions))
        force, real = float(np.linalg.norm(forces)), np.abs(curvatures) > RIGID * curvatures[-1]
        first = first or force
        if force <= STILL * max(first, 1e-3 * np.sqrt(curvatures[-1])):
            return Saddle(positions, energy, here) if int((curvatures[real] < 0).sum()) == 1 else None
        step = modes[:, real] @ ((modes[:, real].T @ forces.ravel()) / curvatures[real])
        if not np.linalg.norm(step) < 0.1 * np.sqrt(positions.size):
            return None
        positions = positions + step.reshape(-1, 3)
    return None


def attempt_frequency(minimum: Array, saddle: Array, masses: Array) -> float:
    """Vineyard's ν = Π ν(minimum)/Π′ ν(saddle), without translations and the unstable mode; else NaN.

    Vineyard, J. Phys. Chem. Solids 3, 121 (1957).
    """
    below, above = (_log_frequencies(one, masses) for one in (minimum, saddle))
    return float(np.exp(below.sum() - above.sum()) / (2 * np.pi)) if len(below) == len(above) + 1 else np.nan


def vibrational_entropy_difference(start: Array, end: Array, masses: Array) -> float:
    """S(end) − S(start) in k_B of classical vibrations, Σ ln ω(start) − Σ ln ω(end); NaN where one is no minimum.

    Arguments as of :func:`attempt_frequency`.
    """
    one, other = (_log_frequencies(hessian, masses) for hessian in (start, end))
    return float(one.sum() - other.sum()) if len(one) == len(other) else np.nan


def _log_frequencies(hessian: Array, masses: Array) -> Array:
    """Logarithms of the ω of modes that are no translation and not unstable."""
    squared = squared_frequencies(hessian, masses)
    return np.asarray(0.5 * np.log(squared[squared > RIGID * squared[-1]]))


@dataclass(frozen=True)
class ProfileWithZeroPoint(Profile):
    """V + Z along a path; as :class:`Profile`, with energies and slopes of V + Z at the images."""

    bare: Profile  # V alone
    added: Callable[[Array], Array]  # Z at places x, counted from the first image

    def __call__(self, x: Array) -> Array:
        """V + Z at the places x."""
        return np.asarray(self.bare(x) + self.added(x))

    def ends_at(self, hbar: float, margin: float) -> tuple[float, float]:
        """Ends of the grid, those of V."""
        return self.bare.ends_at(hbar, margin)


def with_zero_point(
    profile: Profile, positions: Array, masses: Array, hessian: Hessian, hbar: float
) -> ProfileWithZeroPoint:
    """V + Z along a path, Z the zero-point energy across it at images and places beyond the ends, linear between.

    Of images (n_images, N, 3), unwrapped, and the profile of V along them, continued on the line through both ends.
    """
    line = mass_weighted(positions[-1] - positions[0], masses)
    outwards = (positions[0] - positions[-1]) / np.linalg.norm(line)
    along = mass_weighted(directions(positions), masses)
    before, after = (side.distances[1:] for side in (profile.before, profile.after))  # type: ignore[union-attr]
    spots = [
        *((-s, positions[0] + s * outwards, line) for s in before[::-1]),
        *zip(profile.lengths, positions, along, strict=True),
        *((profile.lengths[-1] + s, positions[-1] - s * outwards, line) for s in after),
    ]
    places = np.array([s for s, _, _ in spots])
    zero_point = np.array([zero_point_energy(hessian(spot), masses, hbar, tangent) for _, spot, tangent in spots])

    def added(x: Array) -> Array:
        return np.asarray(np.interp(x, places, zero_point) - np.interp(0.0, places, zero_point))

    at_images = np.interp(profile.lengths, places, zero_point)
    energies = profile.energies + at_images - at_images[0]
    slopes = profile.slopes + np.gradient(at_images, profile.lengths)
    return ProfileWithZeroPoint(profile.lengths, energies, slopes, profile.before, profile.after, profile, added)
