"""Quantum splitting of a double well: the Schrödinger equation along the path, −(ħ̃²/2) ψ″ + V ψ = E ψ.

Ciarella et al., Nat. Commun. 14, 4229 (2023); Khomenko et al., Phys. Rev. Lett. 124, 225901 (2020). ħ̃ = ħ / (σ √(m ε)).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import constants
from scipy.interpolate import CubicHermiteSpline
from scipy.linalg import eigh_tridiagonal

Array = NDArray[np.float64]

POINTS = 2000
"""The grid has so many points."""

MARGIN = 10.0
"""Each parabola is followed to so many quanta of its own oscillation above the highest image."""

ACCURACY = 0.01
"""A splitting is not believed if it changes relatively by more than this on a finer and wider grid."""

ONE_WELL = 0.9
"""A state lies in a well if it is there with a larger probability."""


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
    return float(constants.hbar / (sigma * np.sqrt(mass * constants.k * epsilon)))


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


def lowest_levels(profile: Profile, hbar: float) -> tuple[float, float]:
    """Two lowest levels in ε, converged in grid and range.

    Parameters
    ----------
    profile : Profile
        V(x).
    hbar : float
        ħ̃, see :func:`reduced_hbar`.

    Raises
    ------
    NotResolvedError
        If an end point has no curvature that confines, or the splitting changes by more than ACCURACY when the grid is
        made twice as fine and the parabolas are followed twice as high.
    """
    if min(profile.curvatures) <= 0:
        raise NotResolvedError("no minimum is resolved at an end of the path; use more images")
    coarse = levels_on_grid(profile, hbar, POINTS, MARGIN)
    fine = levels_on_grid(profile, hbar, 2 * POINTS, 2 * MARGIN)
    splitting, check = coarse[1] - coarse[0], fine[1] - fine[0]
    if not abs(splitting - check) <= ACCURACY * check:
        raise NotResolvedError(f"the splitting is not converged: {splitting:.6g} ε, on a finer grid {check:.6g} ε")
    return fine


def levels_on_grid(profile: Profile, hbar: float, points: int, margin: float) -> tuple[float, float]:
    """Two lowest levels in ε by finite differences on one grid; arguments as :func:`_hamiltonian`."""
    _, diagonal, off = _hamiltonian(profile, hbar, points, margin)
    levels = eigh_tridiagonal(diagonal, off, eigvals_only=True, select="i", select_range=(0, 1))
    return float(levels[0]), float(levels[1])


def in_one_well(profile: Profile, hbar: float) -> bool:
    """Whether both levels lie in one well: the splitting is then that of a vibration, not of tunnelling.

    So it is if each of the two states is on the same side of the highest image with more than 90 % probability.
    """
    left = probability_left(profile, hbar)
    return min(left) > ONE_WELL or max(left) < 1 - ONE_WELL


def probability_left(profile: Profile, hbar: float) -> tuple[float, float]:
    """Probability of each of the two lowest states to be on the left of the highest image."""
    x, diagonal, off = _hamiltonian(profile, hbar, POINTS, MARGIN)
    _, states = eigh_tridiagonal(diagonal, off, select="i", select_range=(0, 1))
    left = (states[x < profile.lengths[np.argmax(profile.energies)]] ** 2).sum(axis=0)
    return float(left[0]), float(left[1])


def _hamiltonian(profile: Profile, hbar: float, points: int, margin: float) -> tuple[Array, Array, Array]:
    """x, diagonal and off-diagonal on an even grid; it ends where V is ``margin`` quanta above the highest image."""
    curvatures = np.array(profile.curvatures)
    height = profile.energies.max() - profile.energies[[0, -1]] + margin * hbar * np.sqrt(curvatures)
    left, right = np.sqrt(2 * height / curvatures)
    x = np.linspace(profile.lengths[0] - left, profile.lengths[-1] + right, points)
    kinetic = 0.5 * (hbar / (x[1] - x[0])) ** 2
    return x, profile(x) + 2 * kinetic, np.full(points - 1, -kinetic)
