"""Quantum splitting of a double well: the Schrödinger equation along the path, −(ħ̃²/2) ψ″ + V ψ = E ψ.

Ciarella et al., Nat. Commun. 14, 4229 (2023); Khomenko et al., Phys. Rev. Lett. 124, 225901 (2020). ħ̃ = ħ / (σ √(m ε)).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.constants import hbar, k
from scipy.interpolate import CubicHermiteSpline
from scipy.linalg import eigh_tridiagonal

Array = NDArray[np.float64]

POINTS = 2000
"""Of the grid."""

MARGIN = 10.0
"""Height above the highest image to which each parabola is followed, in quanta of its own oscillation."""

ACCURACY = 0.01
"""Relative change of the splitting on a finer and wider grid, above which it is not believed."""


class NotResolvedError(Exception):
    """The profile does not determine a splitting; says why."""


def reduced_hbar(sigma: float, mass: float, epsilon: float) -> float:
    """ħ̃ = ħ / (σ √(m ε)).

    Parameters
    ----------
    sigma : float
        Unit of length in m.
    mass : float
        Unit of mass in kg.
    epsilon : float
        Unit of energy over k_B, in K.

    Examples
    --------
    >>> round(reduced_hbar(2.21e-10, 1.02e-25, 662), 5)
    0.01563
    """
    return float(hbar / (sigma * np.sqrt(mass * k * epsilon)))


@dataclass(frozen=True)
class Profile:
    """Potential energy along a path, continued outside as parabolas.

    Between images V is the cubic that has the images' energies and slopes; outside it has the curvature that this
    cubic has at the end point, where the slope is zero.

    Parameters
    ----------
    lengths : ndarray of shape (n_images,)
        Path length x in σ, ascending from 0.
    energies : ndarray of shape (n_images,)
        V in ε.
    slopes : ndarray of shape (n_images,)
        dV/dx in ε/σ; zero at both ends.
    """

    lengths: Array
    energies: Array
    slopes: Array

    @property
    def curvatures(self) -> tuple[float, float]:
        """V″ at the two end points in ε/σ²."""
        spline = self._spline.derivative(2)
        return float(spline(self.lengths[0])), float(spline(self.lengths[-1]))

    @property
    def _spline(self) -> CubicHermiteSpline:
        return CubicHermiteSpline(self.lengths, self.energies, self.slopes)

    def __call__(self, x: Array) -> Array:
        """V in ε at the places x in σ."""
        inside = np.clip(x, self.lengths[0], self.lengths[-1])
        first, last = self.curvatures
        return np.asarray(self._spline(inside) + 0.5 * np.where(x < inside, first, last) * (x - inside) ** 2)


def lowest_levels(profile: Profile, reduced: float) -> tuple[float, float]:
    """Two lowest levels in ε, converged in grid and range.

    Parameters
    ----------
    profile : Profile
        V(x).
    reduced : float
        ħ̃, see :func:`reduced_hbar`.

    Raises
    ------
    NotResolvedError
        If an end point has no curvature that confines, or the splitting changes by more than ACCURACY when the grid is
        made twice as fine and the parabolas are followed twice as high.
    """
    if min(profile.curvatures) <= 0:
        raise NotResolvedError("no minimum is resolved at an end of the path; use more images")
    coarse = _levels(profile, reduced, POINTS, MARGIN)
    fine = _levels(profile, reduced, 2 * POINTS, 2 * MARGIN)
    splitting, check = coarse[1] - coarse[0], fine[1] - fine[0]
    if not abs(splitting - check) <= ACCURACY * check:
        raise NotResolvedError(f"the splitting is not converged: {splitting:.6g} ε, on a finer grid {check:.6g} ε")
    return fine


def _levels(profile: Profile, reduced: float, points: int, margin: float) -> tuple[float, float]:
    """Finite differences on an even grid that ends where V is ``margin`` quanta above both ends of the path."""
    curvatures = np.array(profile.curvatures)
    height = profile.energies.max() - profile.energies[[0, -1]] + margin * reduced * np.sqrt(curvatures)
    left, right = np.sqrt(2 * height / curvatures)
    x = np.linspace(profile.lengths[0] - left, profile.lengths[-1] + right, points)
    kinetic = 0.5 * (reduced / (x[1] - x[0])) ** 2
    off = np.full(points - 1, -kinetic)
    levels = eigh_tridiagonal(profile(x) + 2 * kinetic, off, eigvals_only=True, select="i", select_range=(0, 1))
    return float(levels[0]), float(levels[1])
