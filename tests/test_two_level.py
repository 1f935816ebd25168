"""A double well as a two-level system: an exactly solvable one, and brute force on a tilted quartic."""

import numpy as np
import pytest
from formulas import HBAR, Potential, beyond, double_well, in_oscillator_basis, profile_of_formula
from scipy.optimize import brentq, minimize_scalar

from glass import tunnelling
from glass.tunnelling import (
    Continuation,
    NotResolvedError,
    Profile,
    lowest_levels,
    oscillator_lengths,
    parabolas,
    reduced_hbar,
    tilted_states,
)
from glass.two_level import barrier_top, two_level

HEIGHT, HALF = 0.05, 0.2


def well(tilt, skew=0.0, height=HEIGHT):
    """A tilted quartic whose right well is the stiffer one by e^skew in energy: V, its slope and the minima."""
    quartic, slope_of_quartic = double_well(height, HALF)

    def formula(x):
        return quartic(x) * np.exp(skew * x / HALF) + 0.5 * tilt * x / HALF

    def slope(x):
        return (slope_of_quartic(x) + quartic(x) * skew / HALF) * np.exp(skew * x / HALF) + 0.5 * tilt / HALF

    return formula, slope, (brentq(slope, -1.3 * HALF, -0.8 * HALF), brentq(slope, 0.8 * HALF, 1.3 * HALF))


def found(*given):
    """Profile, splitting and two-level system of such a well."""
    profile = profile_of_formula(*well(*given), images=41)
    levels = lowest_levels(profile, HBAR)
    return profile, levels[1] - levels[0], two_level(profile, levels, HBAR)


def smallest_splitting(formula):
    """min_F of E₁ − E₀ of V − F x, by another solver and by trying; and the F at which it is."""

    def splitting(tilt):
        low, high = in_oscillator_basis(lambda x: formula(x) - tilt * x, HBAR, 2.5, size=100)
        return high - low

    coarse = np.linspace(-0.12, 0.12, 25)
    start = int(np.argmin([splitting(tilt) for tilt in coarse]))
    best = minimize_scalar(splitting, bracket=coarse[start - 1 : start + 2], tol=1e-8)
    return best.fun, best.x


@pytest.mark.parametrize(
    ("skew", "tilt"),
    [(0, 1e-3), (0, 0.01), (0, -0.03), (0.2, 0), (0.5, -0.01), (0.8, 0.005), (1, -0.03)],
)
def test_the_amplitude_is_the_smallest_splitting_that_any_tilt_gives_and_the_rest_follows_from_that_tilt(skew, tilt):
    """E² = Δ² + Δ₀² with Δ = F d: the symmetrised well is that tilted by F, and its two states are d apart."""
    profile, splitting, system = found(tilt, skew)
    expected, at = smallest_splitting(well(tilt, skew)[0])
    assert system.tunnelling_amplitude == pytest.approx(expected, rel=2e-3)
    assert system.tunnelling_amplitude <= splitting
    x, _, states = tilted_states(profile, HBAR)(at)
    asymmetry = abs(at) * 2 * abs(x @ (states[:, 0] * states[:, 1]))
    assert splitting == pytest.approx(np.hypot(system.tunnelling_amplitude, asymmetry), rel=0.015)
    assert system.asymmetry == pytest.approx(asymmetry, rel=0.02, abs=1e-3 * splitting)


@pytest.mark.parametrize(("height", "tilt"), [(0.3, 0), (0.3, 0.03), (0.5, 0.01)])
def test_a_high_barrier_has_the_amplitude_of_a_semiclassical_path(height, tilt):
    """2 ħ̃ω (6 S/πħ̃)^½ e^(−S/ħ̃) (1 − 71 ħ̃/72 S) with S = ∫ (2V)^½ dx: Wöhler, Shuryak, Phys. Lett. B 333, 467 (1994).

    The next term is of the order of (ħ̃/S)²: S is 13 and 17 ħ̃ here.
    """
    action, frequency = 4 / 3 * HALF * np.sqrt(2 * height) / HBAR, np.sqrt(8 * height) / HALF
    expected = 2 * HBAR * frequency * np.sqrt(6 * action / np.pi) * np.exp(-action) * (1 - 71 / 72 / action)
    assert found(tilt, 0, height)[2].tunnelling_amplitude == pytest.approx(expected, rel=2 / action**2)


def brute_force(formula, ends, points=400):
    """E and probabilities on the left: H on a grid of sines (Colbert, Miller, J. Chem. Phys. 96, 1982 (1992))."""
    x = np.linspace(ends[0] - HALF, ends[1] + HALF, points)
    apart = np.subtract.outer(np.arange(points), np.arange(points))
    kinetic = np.where(apart == 0, np.pi**2 / 3, 2.0 * (-1.0) ** apart / np.where(apart == 0, 1, apart) ** 2)
    energies, states = np.linalg.eigh(0.5 * (HBAR / (x[1] - x[0])) ** 2 * kinetic + np.diag(formula(x)))
    states = states[:, :2]
    between = (x > ends[0]) & (x < ends[1])
    top = x[between][np.argmax(formula(x[between]))]
    left = (states[x < top] ** 2).sum(axis=0) + 0.5 * (states[x == top] ** 2).sum(axis=0)
    return energies[1] - energies[0], left


@pytest.mark.parametrize("tilt", [1e-4, 1e-3, -3e-3, 0.01, -0.02])
def test_a_tilted_well_is_what_brute_force_says(tilt):
    formula, _, ends = well(tilt)
    expected, left = brute_force(formula, ends)
    _, splitting, system = found(tilt)
    np.testing.assert_allclose(system.in_first, left, atol=0.003)
    assert splitting == pytest.approx(expected, rel=0.005)
    assert splitting == pytest.approx(np.hypot(system.tunnelling_amplitude, system.asymmetry), rel=1e-9)


@pytest.mark.parametrize("zeta", [0.1, 0.3, 0.6])
def test_a_symmetric_well_has_the_exact_splitting_as_amplitude_and_no_asymmetry(zeta):
    """−ψ″ + (ζ cosh 2x − 2)² ψ = E ψ has the levels ζ² + 3 ∓ 2ζ: Razavy, Am. J. Phys. 48, 285 (1980)."""
    end, hbar = 0.5 * np.arccosh(2 / zeta), np.sqrt(2)
    well = Potential(lambda x: (zeta * np.cosh(2 * (x - end)) - 2) ** 2, (0.0, end, 2 * end), 8 * (4 - zeta**2))
    levels = lowest_levels(well, hbar)
    np.testing.assert_allclose(levels, [zeta**2 + 3 - 2 * zeta, zeta**2 + 3 + 2 * zeta], rtol=1e-4)
    system = two_level(well, levels, hbar)
    assert system.tunnelling_amplitude == pytest.approx(4 * zeta, rel=1e-3)
    assert system.asymmetry == pytest.approx(0, abs=1e-6 * zeta)
    np.testing.assert_allclose(system.in_first, 0.5, atol=0.005)
    assert not system.one_well


def test_where_both_levels_lie_in_one_well_the_symmetrised_one_has_an_amplitude_but_they_no_asymmetry():
    _, splitting, system = found(0.075)
    assert splitting > 0.03
    assert system.one_well
    assert system.tunnelling_amplitude == pytest.approx(found(0)[1], rel=1e-3)
    assert np.isnan(system.asymmetry)


def test_the_barrier_is_higher_than_the_highest_image_where_none_stands_on_top():
    formula, slope, ends = well(0.02)
    x = np.linspace(*ends, 12)
    place, height = barrier_top(x - ends[0], formula(x), slope(x))
    fine = np.linspace(*ends, 100001)
    assert height == pytest.approx(formula(fine).max(), rel=1e-3)
    assert height > formula(x).max()
    assert place + ends[0] == pytest.approx(fine[formula(fine).argmax()], abs=2e-3)


# Levels
def test_levels_of_a_harmonic_and_of_a_quartic_oscillator_are_the_published_ones():
    harmonic = Potential(lambda x: 0.5 * 0.9 * x**2, (0.0, 0.0), 0.9)
    np.testing.assert_allclose(lowest_levels(harmonic, HBAR), HBAR * np.sqrt(0.9) * np.array([0.5, 1.5]), rtol=1e-4)
    # −ψ″ + x⁴ψ = Eψ: 1.0603620905, 3.7996730298 (Bender and Orszag, Advanced Mathematical Methods, 1978)
    quartic = Potential(lambda x: x**4, (-1.0, 1.0), 12.0)
    np.testing.assert_allclose(lowest_levels(quartic, np.sqrt(2)), [1.0603620905, 3.7996730298], rtol=1e-4)


def test_a_profile_of_images_is_the_formula_also_outside_and_splits_as_it_does():
    height, half = 0.02, 0.15
    formula, slope = double_well(height, half)
    profile = profile_of_formula(formula, slope, (-half, half))
    left, right = profile.ends_at(HBAR, 5.0)
    assert left < 0
    assert right > 2 * half
    x = np.linspace(left, right, 333)
    np.testing.assert_allclose(profile(x), formula(x - half), atol=0.002 * height, rtol=0.002)
    low, high = lowest_levels(profile, HBAR)
    exact = np.diff(in_oscillator_basis(formula, HBAR, np.sqrt(2 * height) / half))[0]
    assert high - low == pytest.approx(exact, rel=0.01)


def test_a_grid_ends_where_the_action_is_reached():
    """V = ½ k s²: above the height 0, ∫ √k s ds = ½ √k s²."""
    curvature = 1.3
    outside = beyond(lambda s: 0.5 * curvature * s**2, 0, 1, 0.1)
    for distance in (0.2, 1.5):  # within the energies given, and far outside
        action = 0.5 * np.sqrt(curvature) * distance**2
        assert outside.reaches(0.0, action) == pytest.approx(distance, abs=2e-3)
        assert outside.reaches(0.01, action) > distance


def test_a_grid_too_coarse_for_the_splitting_is_noticed(monkeypatch):
    monkeypatch.setattr(tunnelling, "POINTS", 16)
    formula, _ = double_well(0.05, 0.2)
    with pytest.raises(NotResolvedError, match="not converged"):
        lowest_levels(Potential(formula, (-0.2, 0.2), 10.0), HBAR)


def test_an_end_that_is_no_minimum_or_does_not_confine_is_refused():
    with pytest.raises(NotResolvedError, match="use more images"):
        oscillator_lengths(np.array([0.0, 0.1, 0.2]), np.array([0.0, -0.01, 0.0]), np.zeros(3), HBAR)
    for last, says in ([-0.01, 0.03], "the well is deeper there"), ([0.025, 0.024], "does not rise high enough"):
        with pytest.raises(NotResolvedError, match=says):
            Continuation(np.linspace(0, 0.4, 5), np.array([0, 0.01, 0.02, *last])).reaches(0.1, 0.3)


def test_reduced_hbar_is_that_of_the_paper():
    """σ = 2.21 Å, m = 1.02·10⁻²⁵ kg, ε/k_B = 662 K; ħ/(σ √(mε)) with the exact ħ and k_B of the SI."""
    hbar = 6.62607015e-34 / (2 * np.pi) / (2.21e-10 * np.sqrt(1.02e-25 * 662 * 1.380649e-23))
    assert reduced_hbar(2.21e-10, 1.02e-25, 662) == pytest.approx(hbar, rel=1e-9)
    assert hbar == pytest.approx(HBAR, abs=5e-6)


def test_a_wall_too_steep_for_the_spline_gives_no_level_below_the_potential():
    """Between the places of such a wall the spline swings far below zero, and would hold the lowest level there."""
    lengths = np.linspace(0, 1, 41)
    energies = 0.02 * (1 - (2 * lengths - 1) ** 2) ** 2
    distances = np.linspace(0, 0.4, 9)
    soft = Continuation(distances, 0.16 * distances**2)
    steep = Continuation(distances, np.array([0, 1e-3, 5e-3, 0.02, 0.1, 1, 1e2, 1e4, 2e6]))
    slopes = np.gradient(energies, lengths)
    slopes[[0, -1]] = 0
    assert np.diff(lowest_levels(Profile(lengths, energies, slopes, soft, soft), 0.0156))[0] > 0
    with pytest.raises(NotResolvedError, match="too steeply beyond an end"):
        lowest_levels(Profile(lengths, energies, slopes, soft, steep), 0.0156)


# The published convention
@pytest.mark.parametrize(
    ("height", "length", "published"),
    [(0.02, 0.4, 0.0027585), (0.01, 0.25, 0.0103323), (0.002, 0.1, 0.0422903), (0.0, 0.1, 0.0401852)],
)
def test_parabolas_and_walls_split_a_quartic_as_another_program_has_it(height, length, published):
    """The last is a box of three path lengths: 3 π² ħ̃²/(2 (3L)²)."""
    u = np.linspace(0, 1, 41)
    inside = length * u, 16 * height * u**2 * (1 - u) ** 2, 32 * height * u * (1 - u) * (1 - 2 * u) / length
    profile = Profile(*inside, *parabolas(*inside))
    low, high = lowest_levels(profile, 0.01563)
    assert high - low == pytest.approx(published, abs=2e-7)
