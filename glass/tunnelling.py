"""Quantum splitting of a double well: the Schrödinger equation along the path, −(ħ̃²/2) ψ″ + V ψ = E ψ.

Ciarella et al., Nat. Commun. 14, 4229 (2023); Khomenko et al., Phys. Rev. Lett. 124, 225901 (2020). ħ̃ = ħ / (σ √(m ε)).
Lengths are mass-weighted (:mod:`glass.path`): read σ √m for σ where masses are not all 1. How V is
continued beyond the minima is this project's own choice: ``benchmarks/continuation.py`` compares candidates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from scipy import constants
from scipy.integrate import cumulative_trapezoid
from scipy.interpolate import CubicHermiteSpline, CubicSpline
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import brentq

from glass.arrays import Array

POINTS = 2000  # number of points of the grid

MARGIN = 8.0
"""The grid ends where ∫ √(2 (V − highest image)) dx / ħ̃ has reached this: a state has
fallen to e^−8 or less there."""

REACH = 4.0
"""Distance beyond each end up to which energies are calculated, in oscillator lengths: eight harmonic quanta."""

OUTSIDE_POINTS = 8  # number of points beyond each end, at even distances
FARTHEST = 10.0  # distance up to which a state is followed outside, in the last of these distances
ACCURACY = 0.01  # largest relative change of a splitting on a finer and wider grid


class Quantity(NamedTuple):
    """A number in a message, in σ and ε; who shows the message tells it in the units of the workspace."""

    value: float
    dimension: Literal["length", "energy", "force"]
    digits: int = 2


class NotResolvedError(Exception):
    """A profile does not determine a splitting; ``reason`` has a field ``{}`` for each of the quantities."""

    def __init__(self, reason: str, *quantities: Quantity) -> None:
        super().__init__(reason, *quantities)
        self.reason = reason
        self.quantities = quantities


def reduced_hbar(sigma: float, mass: float, epsilon: float) -> float:
    """ħ̃ = ħ / (σ √(m ε)).

    Examples
    --------
    >>> round(reduced_hbar(2.21e-10, 1.02e-25, 662), 5)
    0.01563
    """
    return float(constants.hbar / (sigma * np.sqrt(mass * constants.k * epsilon)))


def oscillator_lengths(lengths: Array, energies: Array, slopes: Array, hbar: float) -> tuple[float, float]:
    """Size of a vibration in each well: the distance l in σ from the end with V(l) − V(0) = ħ̃²/(2 l²).

    It is the classical turning point of the lowest level of the parabola through (l, V(l)): V(l) − V(0) = ħ̃ω/2 and
    l² = ħ̃/ω. Unlike the curvature at the end itself, it does not depend on how a path turns in its last images.
    Where V does not rise so far, it is the distance to the highest image.
    """
    top = int(np.argmax(energies))
    if top in (0, len(energies) - 1):
        raise NotResolvedError("no minimum is resolved at an end of the path; use more images")
    spline, end = CubicHermiteSpline(lengths, energies, slopes), lengths[-1]
    return (
        _turning_point(lambda s: float(spline(s) - energies[0]), lengths[top], hbar),
        _turning_point(lambda s: float(spline(end - s) - energies[-1]), end - lengths[top], hbar),
    )


def _turning_point(rise: Callable[[float], float], highest: float, hbar: float) -> float:
    def excess(s: float) -> float:
        return rise(s) - 0.5 * (hbar / s) ** 2

    return float(brentq(excess, 1e-3 * highest, highest)) if excess(highest) > 0 > excess(1e-3 * highest) else highest


@dataclass(frozen=True)
class Continuation:
    """Potential energy on a straight line that leaves a path at one of its ends.

    Between the places V is a cubic spline without slope at the end; further out it goes on with the last slope and
    curvature, the latter not below zero.
    """

    distances: Array  # (n_places,) From the end in σ, ascending from 0 to REACH oscillator lengths
    energies: Array  # (n_places,) V in ε

    @cached_property
    def _spline(self) -> CubicSpline:
        return CubicSpline(self.distances, self.energies, bc_type=((1, 0.0), "not-a-knot"))

    def __call__(self, distances: Array) -> Array:
        """V in ε at distances in σ from the end."""
        last = self.distances[-1]
        more = np.maximum(distances - last, 0)
        slope, curvature = float(self._spline(last, 1)), max(float(self._spline(last, 2)), 0.0)
        return np.asarray(self._spline(distances - more) + slope * more + 0.5 * curvature * more**2)

    def reaches(self, height: float, action: float) -> float:
        """Distance in σ at which ∫ √(2 (V − height)) ds, over where V is higher than ``height`` in ε, is ``action``."""
        if self.energies[1:].min() <= self.energies[0]:
            raise NotResolvedError("beyond an end of the path the energy falls: the well is deeper there")
        fine = np.linspace(0, FARTHEST * self.distances[-1], 4001)
        rate = np.sqrt(2 * np.maximum(self(fine) - height, 0))
        reached = cumulative_trapezoid(rate, fine, initial=0) >= action
        if not reached.any():
            raise NotResolvedError("beyond an end of the path the energy does not rise high enough to confine")
        return float(fine[reached.argmax()])


@dataclass(frozen=True)
class Parabola:
    """Potential energy beyond an end as published splittings have it: ½ curvature s² up to a hard wall, where ψ = 0."""

    energy: float  # V at the end in ε
    curvature: float  # V″ at the end, of the cubic through the images, in ε/σ²
    wall: float  # Distance of the wall from the end in σ: one path length

    def __call__(self, distances: Array) -> Array:
        """V in ε at distances in σ from the end."""
        return np.asarray(self.energy + 0.5 * self.curvature * distances**2)

    def reaches(self, height: float, action: float) -> float:
        """Distance of the wall in σ, whatever the height and the action."""
        return self.wall


def parabolas(lengths: Array, energies: Array, slopes: Array) -> tuple[Parabola, Parabola]:
    """Continuations of a path by the published convention; arguments as of :class:`Profile`."""
    spline, end = CubicHermiteSpline(lengths, energies, slopes), float(lengths[-1])
    first, last = (Parabola(float(spline(x)), float(spline(x, 2)), end) for x in (0.0, end))
    return first, last


@dataclass(frozen=True)
class Profile:
    """Potential energy along a path, continued along the straight line through its two ends or by parabolas.

    Between images V is the cubic that has the images' energies and slopes.
    """

    lengths: Array  # (n_images,) Path length x in σ, ascending from 0
    energies: Array  # (n_images,) V in ε
    slopes: Array  # (n_images,) dV/dx in ε/σ; zero at both ends
    before: Continuation | Parabola  # V beyond the first and the last image
    after: Continuation | Parabola

    def __call__(self, x: Array) -> Array:
        """V in ε at the places x in σ."""
        end = self.lengths[-1]
        between = CubicHermiteSpline(self.lengths, self.energies, self.slopes)(np.clip(x, 0, end))
        outside = np.where(x < 0, self.before(np.maximum(-x, 0)), self.after(np.maximum(x - end, 0)))
        return np.where((x < 0) | (x > end), outside, between)

    @property
    def has_walls(self) -> bool:
        """Whether ψ vanishes at the ends of the grid, instead of having died away before them."""
        return isinstance(self.before, Parabola)

    def ends_at(self, hbar: float, margin: float) -> tuple[float, float]:
        """Ends of the grid in σ, before and after the path; see MARGIN."""
        left, right = (side.reaches(self.energies.max(), margin * hbar) for side in (self.before, self.after))
        return -left, float(self.lengths[-1]) + right


def lowest_levels(profile: Profile, hbar: float) -> tuple[float, float]:
    """Two lowest levels in ε, converged in grid and range.

    NotResolvedError if V does not confine, the splitting changes by more than ACCURACY on twice the points over a wider
    range, or the lowest level lies below both minima, as where V rises too steeply beyond an end for a spline.
    """
    grids = [_hamiltonian(profile, hbar, times * POINTS, times * MARGIN)[1:] for times in (1, 2)]
    lowest = {"eigvals_only": True, "select": "i", "select_range": (0, 1)}
    coarse, fine = (eigh_tridiagonal(*grid, **lowest).tolist() for grid in grids)
    splitting, check = coarse[1] - coarse[0], fine[1] - fine[0]
    if not abs(splitting - check) <= ACCURACY * check:
        raise NotResolvedError(
            "the splitting is not converged: {}, on a finer grid {}",
            Quantity(splitting, "energy", 6),
            Quantity(check, "energy", 6),
        )
    below = float(profile.energies.min()) - fine[0]
    if below > 0:
        raise NotResolvedError(
            "the lowest level is {} below both minima: V rises too steeply beyond an end", Quantity(below, "energy", 3)
        )
    return fine[0], fine[1]


def tilted_states(profile: Profile, hbar: float) -> Callable[[float], tuple[Array, Array, Array]]:
    """Function of F in ε/σ: grid x of :func:`lowest_levels`, two lowest levels of V − F x, states (2 POINTS, 2).

    Σ ψ² = 1 for each state. Errors as of :func:`lowest_levels` where V does not confine.
    """
    x, diagonal, off = _hamiltonian(profile, hbar, 2 * POINTS, 2 * MARGIN)
    return lambda tilt: (x, *eigh_tridiagonal(diagonal - tilt * x, off, select="i", select_range=(0, 1)))


def _hamiltonian(profile: Profile, hbar: float, points: int, margin: float) -> tuple[Array, Array, Array]:
    """x, diagonal and off-diagonal on an even grid, which ends as ``margin`` says, see MARGIN."""
    left, right = profile.ends_at(hbar, margin)
    x = np.linspace(left, right, points + 2)[1:-1] if profile.has_walls else np.linspace(left, right, points)
    kinetic = 0.5 * (hbar / (x[1] - x[0])) ** 2
    return x, profile(x) + 2 * kinetic, np.full(points - 1, -kinetic)
