"""A double well as a two-level system: barriers, tunnelling amplitude, and where its two lowest levels lie.

Two-level picture: Anderson, Halperin, Varma, Phil. Mag. 25, 1 (1972); Phillips, J. Low Temp. Phys. 7, 351 (1972).
"""

from typing import NamedTuple

import numpy as np
from scipy.integrate import trapezoid
from scipy.interpolate import CubicHermiteSpline

from glass.arrays import Array
from glass.tunnelling import Profile, oscillator_lengths, tilted_states

ONE_WELL = 0.9  # probability above which a state lies in a well

SHARED = 0.2
"""Tolerance of the sum of both levels' probabilities in the first well, which is 1 for one state in each well."""

STEPS = 20  # largest number of steps of Newton's method; three are the rule
ALIKE = 1e-3  # fraction of Δ₀ below which |Δ| counts as zero: E is Δ₀ to half its square
ROUNDING = 1e-14  # fraction of the largest kinetic energy on the grid below which E is rounding


class TwoLevel(NamedTuple):
    """Two states, one in each well, with H = ½ [[−Δ, Δ₀], [Δ₀, Δ]] and the splitting E = (Δ² + Δ₀²)^½."""

    tunnelling_amplitude: float
    """Δ₀ in ε, of the symmetrised well; NaN where that has not one state in each well (SHARED)."""
    asymmetry: float
    """|Δ| in ε: difference of the two states' energies, zero-point energies included; NaN where the two levels of the
    well as it is are not one state in each well."""
    in_first: tuple[float, float]
    """Probability of each of the two lowest levels to be on the first image's side of the barrier's top."""

    @property
    def one_well(self) -> bool:
        """Whether both levels lie in one well: the splitting is then that of a vibration, not of tunnelling."""
        return min(self.in_first) > ONE_WELL or max(self.in_first) < 1 - ONE_WELL


def barrier_top(lengths: Array, energies: Array, slopes: Array) -> tuple[float, float]:
    """Place x in σ and V in ε of the highest point of the cubic through the images."""
    spline = CubicHermiteSpline(lengths, energies, slopes)
    flat = spline.derivative().roots(extrapolate=False)
    places = np.concatenate([lengths, flat[np.isfinite(flat)]])
    heights = spline(places)
    top = int(np.argmax(heights))
    return float(places[top]), float(heights[top])


def two_level(profile: Profile, levels: tuple[float, float], hbar: float) -> TwoLevel:
    """Tunnelling amplitude, asymmetry and sides of the two lowest levels.

    Δ₀ = min_F E(F), the splitting of the well that V − F x becomes where its levels are nearest; Δ² = E² − Δ₀².
    """
    first, second = _in_first(profile, 0.0, *tilted_states(profile, hbar)(0.0))
    (amplitude, _), splitting = symmetrised(profile, hbar), levels[1] - levels[0]
    asymmetry = np.sqrt(max(splitting**2 - amplitude**2, 0)) if abs(first + second - 1) <= SHARED else np.nan
    return TwoLevel(amplitude, float(asymmetry), (first, second))


def symmetrised(profile: Profile, hbar: float) -> tuple[float, float]:
    """Smallest splitting Δ₀ of V − F x in ε, and F in ε/σ; NotResolvedError if V does not confine.

    Both NaN where it is not reached, or V − F x has not one state in each well.

    Two states, one in each well and d apart, differ by Δ = E (x₁₁ − x₀₀) / d, where x_kl = ⟨k|x|l⟩ between the two
    lowest levels and d² = (x₁₁ − x₀₀)² + 4 x₀₁². As F x lowers the second by F d more than the first, Δ / d is Newton's
    step to Δ = 0, where E is smallest.
    """
    solve = tilted_states(profile, hbar)
    first, last = oscillator_lengths(profile.lengths, profile.energies, profile.slopes, hbar)
    zero_point = 0.5 * hbar**2 * (last**-2 - first**-2)
    tilt = (profile.energies[-1] - profile.energies[0] + zero_point) / (profile.lengths[-1] - profile.lengths[0])
    for _ in range(STEPS):
        x, levels, states = solve(tilt)
        splitting, crossed = levels[1] - levels[0], 2 * abs(x @ (states[:, 0] * states[:, 1]))
        apart = float(np.diff(x @ states**2)[0])
        length = np.hypot(crossed, apart)
        if abs(apart) <= ALIKE * crossed or splitting <= ROUNDING * (hbar / (x[1] - x[0])) ** 2:
            if abs(sum(_in_first(profile, tilt, x, levels, states)) - 1) <= SHARED:
                return float(splitting * crossed / length), float(tilt)
            break
        tilt += splitting * apart / length**2
    return np.nan, np.nan


def tunnelling_action(profile: Profile, hbar: float) -> float:
    """∫ √(2 (V − F x − E)) dx/ħ̃ under the barrier of the symmetrised well, E the mean of its two lowest levels.

    Δ₀ goes as e to minus this (WKB). NaN where the well can't be symmetrised, or E lies above the barrier; errors as of
    :func:`symmetrised`.
    """
    _, tilt = symmetrised(profile, hbar)
    if np.isnan(tilt):
        return np.nan
    x, levels, _ = tilted_states(profile, hbar)(tilt)
    above = profile(x) - tilt * x - levels.mean()
    top, _ = barrier_top(profile.lengths, profile.energies - tilt * profile.lengths, profile.slopes - tilt)
    middle = int(np.argmin(np.abs(x - top)))
    if above[middle] <= 0:
        return np.nan
    below = np.flatnonzero(above <= 0)
    first, last = below[below < middle].max(initial=0), below[below > middle].min(initial=len(x) - 1)
    under = np.sqrt(2 * np.maximum(above[first : last + 1], 0))
    return float(trapezoid(under, x[first : last + 1]) / hbar)


def _in_first(profile: Profile, tilt: float, x: Array, levels: Array, states: Array) -> tuple[float, float]:
    """Probability of each level to be on the first image's side of the top of the barrier of V − F x."""
    place, _ = barrier_top(profile.lengths, profile.energies - tilt * profile.lengths, profile.slopes - tilt)
    first, second = (states[x < place] ** 2).sum(axis=0)
    return float(first), float(second)
