"""A double well as a two-level system: barriers, tunnelling amplitude, and where its two lowest levels lie.

Two-level picture: Anderson, Halperin, Varma, Phil. Mag. 25, 1 (1972); Phillips, J. Low Temp. Phys. 7, 351 (1972).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline

from glass.tunnelling import Profile, lowest_states

Array = NDArray[np.float64]

ONE_WELL = 0.9
"""A state lies in a well if it is there with a larger probability."""


SHARED = 0.2
"""The two levels make up one state in each well if their probabilities in the first add up to 1 to within this."""


class TwoLevel(NamedTuple):
    """Two states, one in each well, with H = ½ [[−Δ, Δ₀], [Δ₀, Δ]] and the splitting E = (Δ² + Δ₀²)^½."""

    tunnelling_amplitude: float
    """Δ₀ in ε, not below zero; NaN where the two levels are not one state in each well (SHARED)."""
    asymmetry: float
    """|Δ| in ε: difference of the two states' energies, zero-point energies included; NaN as before."""
    in_first: tuple[float, float]
    """Probability of each of the two lowest levels to be on the first image's side of the barrier's top."""

    @property
    def one_well(self) -> bool:
        """Whether both levels lie in one well: the splitting is then that of a vibration, not of tunnelling."""
        return min(self.in_first) > ONE_WELL or max(self.in_first) < 1 - ONE_WELL


def barrier_top(lengths: Array, energies: Array, slopes: Array) -> tuple[float, float]:
    """Place x in σ and V in ε of the highest point of the cubic through the images.

    Parameters
    ----------
    lengths, energies, slopes : ndarray of shape (n_images,)
        As of :class:`glass.tunnelling.Profile`.
    """
    spline = CubicHermiteSpline(lengths, energies, slopes)
    flat = spline.derivative().roots(extrapolate=False)
    places = np.concatenate([lengths, flat[np.isfinite(flat)]])
    heights = spline(places)
    top = int(np.argmax(heights))
    return float(places[top]), float(heights[top])


def two_level(profile: Profile, levels: tuple[float, float], hbar: float) -> TwoLevel:
    """Tunnelling amplitude, asymmetry and sides of the two lowest levels.

    With E the splitting and x_kl = ⟨k|x|l⟩ between the two lowest levels,
    Δ₀ = E |x₀₁| / (x₀₁² + ¼ (x₀₀ − x₁₁)²)^½ and Δ² = E² − Δ₀².

    Parameters
    ----------
    profile : Profile
        V(x).
    levels : tuple of float
        The two lowest, in ε.
    hbar : float
        ħ̃, see :func:`glass.tunnelling.reduced_hbar`.

    Raises
    ------
    NotResolvedError
        If V does not confine.

    Notes
    -----
    The two states of the wells are those mixtures of the two lowest levels between which x has no matrix element:
    Cave, Newton, Chem. Phys. Lett. 249, 15 (1996), there for electrons. The amplitude is so defined for wells of any
    shape, without making them symmetric, and is the splitting where they are.
    """
    x, states = lowest_states(profile, hbar)
    crossed = float(x @ (states[:, 0] * states[:, 1]))
    means = x @ states**2
    splitting, apart = levels[1] - levels[0], 0.5 * float(means[0] - means[1])
    top, _ = barrier_top(profile.lengths, profile.energies, profile.slopes)
    first, second = (states[x < top] ** 2).sum(axis=0)
    shared = abs(first + second - 1) <= SHARED
    length = np.hypot(crossed, apart) if shared else np.nan
    return TwoLevel(
        float(splitting * abs(crossed) / length),
        float(splitting * abs(apart) / length),
        (float(first), float(second)),
    )
