"""A double well as a two-level system: an exactly solvable one, and brute force on a tilted quartic."""

import numpy as np
import pytest
from formulas import Potential, double_well, profile_of_formula
from oscillator_basis import HBAR, in_oscillator_basis
from scipy.optimize import brentq, minimize_scalar

from glass.tunnelling import lowest_levels, tilted_states
from glass.two_level import barrier_top, two_level

HEIGHT, HALF = 0.05, 0.2


def tilted(tilt):
    """The quartic with V(+) − V(−) = tilt at ±HALF: V, slope and the two minima."""
    quartic, slope = double_well(HEIGHT, HALF)

    def formula(x):
        return quartic(x) + 0.5 * tilt * x / HALF

    def tilted_slope(x):
        return slope(x) + 0.5 * tilt / HALF

    ends = brentq(tilted_slope, -1.3 * HALF, -0.8 * HALF), brentq(tilted_slope, 0.8 * HALF, 1.3 * HALF)
    return formula, tilted_slope, ends


def found(tilt):
    """Splitting and two-level system of the tilted quartic."""
    profile = profile_of_formula(*tilted(tilt), images=41)
    levels = lowest_levels(profile, HBAR)
    return levels[1] - levels[0], two_level(profile, levels, HBAR)


def skewed(skew, tilt):
    """A quartic whose right well is the stiffer one by e^skew in energy, tilted: V and its slope."""

    def formula(x):
        return double_well(HEIGHT, HALF)[0](x) * np.exp(skew * x / HALF) + 0.5 * tilt * x / HALF

    def its_slope(x):
        quartic, slope = double_well(HEIGHT, HALF)
        return (slope(x) + quartic(x) * skew / HALF) * np.exp(skew * x / HALF) + 0.5 * tilt / HALF

    return formula, its_slope


def found_of(formula, slope):
    """Profile, splitting and two-level system of a formula with minima near ±HALF."""
    ends = brentq(slope, -1.3 * HALF, -0.8 * HALF), brentq(slope, 0.8 * HALF, 1.3 * HALF)
    profile = profile_of_formula(formula, slope, ends, images=41)
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


@pytest.mark.parametrize(("skew", "tilt"), [(0, 1e-4), (0, 0.01), (0, -0.03), (0.5, 0), (1, 0), (1, 0.02), (-1, 0.01)])
def test_the_amplitude_is_the_smallest_splitting_that_any_tilt_gives(skew, tilt):
    formula, slope = skewed(skew, tilt)
    _, splitting, system = found_of(formula, slope)
    expected, _ = smallest_splitting(formula)
    assert system.tunnelling_amplitude == pytest.approx(expected, rel=2e-3)
    assert system.tunnelling_amplitude <= splitting


@pytest.mark.parametrize("skew", [0, 0.5, 1])
def test_a_well_has_the_same_amplitude_however_it_is_tilted(skew):
    amplitudes = [found_of(*skewed(skew, tilt))[2].tunnelling_amplitude for tilt in (-0.03, -0.01, 0, 0.005, 0.02)]
    np.testing.assert_allclose(amplitudes, amplitudes[0], rtol=5e-4)


@pytest.mark.parametrize(("skew", "tilt"), [(0, 1e-3), (0, 0.01), (0.2, 0), (0.5, -0.01), (0.8, 0.005), (1, -0.03)])
def test_the_splitting_follows_from_the_amplitude_and_the_energy_of_the_tilt(skew, tilt):
    """E² = Δ² + Δ₀² with Δ = F d: the symmetrised well is that tilted by F, and its two states are d apart."""
    formula, slope = skewed(skew, tilt)
    profile, splitting, system = found_of(formula, slope)
    _, at = smallest_splitting(formula)
    x, _, states = tilted_states(profile, HBAR)(at)
    apart = 2 * abs(x @ (states[:, 0] * states[:, 1]))
    assert splitting == pytest.approx(np.hypot(system.tunnelling_amplitude, at * apart), rel=0.015)
    assert system.asymmetry == pytest.approx(abs(at) * apart, rel=0.02)


@pytest.mark.parametrize(("height", "tilt"), [(0.3, 0), (0.3, 0.03), (0.5, 0.01)])
def test_a_high_barrier_has_the_amplitude_of_a_semiclassical_path(height, tilt):
    """2 ħ̃ω (6 S/πħ̃)^½ e^(−S/ħ̃) (1 − 71 ħ̃/72 S) with S = ∫ (2V)^½ dx: Wöhler, Shuryak, Phys. Lett. B 333, 467 (1994).

    The next term is of the order of (ħ̃/S)²: S is 13 and 17 ħ̃ here.
    """
    quartic, slope = double_well(height, HALF)
    found = found_of(lambda x: quartic(x) + 0.5 * tilt * x / HALF, lambda x: slope(x) + 0.5 * tilt / HALF)[2]
    action, frequency = 4 / 3 * HALF * np.sqrt(2 * height) / HBAR, np.sqrt(8 * height) / HALF
    expected = 2 * HBAR * frequency * np.sqrt(6 * action / np.pi) * np.exp(-action) * (1 - 71 / 72 / action)
    assert found.tunnelling_amplitude == pytest.approx(expected, rel=2 / action**2)


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


@pytest.mark.parametrize("tilt", [1e-4, 1e-3, -3e-3, 0.01])
def test_a_tilted_well_is_what_brute_force_says(tilt):
    formula, _, ends = tilted(tilt)
    expected, left = brute_force(formula, ends)
    splitting, system = found(tilt)
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


def test_in_a_strongly_tilted_well_each_level_has_its_own_side_and_they_differ_by_the_asymmetry():
    splitting, system = found(0.02)
    assert system.asymmetry == pytest.approx(splitting, rel=0.01)
    assert system.in_first[0] > 0.99
    assert system.in_first[1] < 0.03
    _, reversed_system = found(-0.02)
    np.testing.assert_allclose(reversed_system.in_first, 1 - np.array(system.in_first), atol=1e-4)


def test_where_both_levels_lie_in_one_well_the_symmetrised_one_has_an_amplitude_but_they_no_asymmetry():
    splitting, system = found(0.075)
    assert splitting > 0.03
    assert system.one_well
    assert system.tunnelling_amplitude == pytest.approx(found(0)[0], rel=1e-3)
    assert np.isnan(system.asymmetry)


def test_the_barrier_is_higher_than_the_highest_image_where_none_stands_on_top():
    formula, slope, ends = tilted(0.02)
    x = np.linspace(*ends, 12)
    place, height = barrier_top(x - ends[0], formula(x), slope(x))
    fine = np.linspace(*ends, 100001)
    assert height == pytest.approx(formula(fine).max(), rel=1e-3)
    assert height > formula(x).max()
    assert place + ends[0] == pytest.approx(fine[formula(fine).argmax()], abs=2e-3)
