"""A double well as a two-level system: an exactly solvable one, and brute force on a tilted quartic."""

import numpy as np
import pytest
from formulas import Potential, double_well, profile_of_formula
from oscillator_basis import HBAR
from scipy.optimize import brentq

from glass.tunnelling import lowest_levels
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


def brute_force(formula, ends, points=400):
    """Δ₀, |Δ| and probabilities on the left: H on a grid of sines (Colbert, Miller, J. Chem. Phys. 96, 1982 (1992)).

    The 2 × 2 matrix of x between the two lowest states is diagonalised, and H written in its eigenvectors.
    """
    x = np.linspace(ends[0] - HALF, ends[1] + HALF, points)
    apart = np.subtract.outer(np.arange(points), np.arange(points))
    kinetic = np.where(apart == 0, np.pi**2 / 3, 2.0 * (-1.0) ** apart / np.where(apart == 0, 1, apart) ** 2)
    energies, states = np.linalg.eigh(0.5 * (HBAR / (x[1] - x[0])) ** 2 * kinetic + np.diag(formula(x)))
    states = states[:, :2]
    _, mixed = np.linalg.eigh(states.T @ (x[:, None] * states))
    local = mixed.T @ np.diag(energies[:2]) @ mixed
    between = (x > ends[0]) & (x < ends[1])
    top = x[between][np.argmax(formula(x[between]))]
    left = (states[x < top] ** 2).sum(axis=0) + 0.5 * (states[x == top] ** 2).sum(axis=0)
    return 2 * abs(local[0, 1]), abs(local[1, 1] - local[0, 0]), left


@pytest.mark.parametrize("tilt", [1e-4, 1e-3, -3e-3, 0.01])
def test_a_tilted_well_is_what_brute_force_says(tilt):
    formula, _, ends = tilted(tilt)
    amplitude, asymmetry, left = brute_force(formula, ends)
    splitting, system = found(tilt)
    assert system.tunnelling_amplitude == pytest.approx(amplitude, rel=0.005)
    assert system.asymmetry == pytest.approx(asymmetry, rel=0.005)
    np.testing.assert_allclose(system.in_first, left, atol=0.003)
    assert splitting == pytest.approx(np.hypot(amplitude, asymmetry), rel=0.005)


@pytest.mark.parametrize("zeta", [0.1, 0.3, 0.6])
def test_a_symmetric_well_has_the_exact_splitting_as_amplitude_and_no_asymmetry(zeta):
    """−ψ″ + (ζ cosh 2x − 2)² ψ = E ψ has the levels ζ² + 3 ∓ 2ζ: Razavy, Am. J. Phys. 48, 285 (1980)."""
    end, hbar = 0.5 * np.arccosh(2 / zeta), np.sqrt(2)
    well = Potential(lambda x: (zeta * np.cosh(2 * x) - 2) ** 2, (-end, 0.0, end), 8 * (4 - zeta**2))
    levels = lowest_levels(well, hbar)
    np.testing.assert_allclose(levels, [zeta**2 + 3 - 2 * zeta, zeta**2 + 3 + 2 * zeta], rtol=1e-4)
    system = two_level(well, levels, hbar)
    assert system.tunnelling_amplitude == pytest.approx(4 * zeta, rel=1e-3)
    assert system.asymmetry == pytest.approx(0, abs=1e-6 * zeta)
    np.testing.assert_allclose(system.in_first, 0.5, atol=0.005)
    assert not system.one_well


def test_a_tilt_leaves_the_amplitude_as_it_is_where_the_energies_of_the_minima_give_none():
    symmetric, _ = found(0)
    for tilt in (1e-3, 3e-3, 5e-3):
        splitting, system = found(tilt)
        assert system.tunnelling_amplitude == pytest.approx(symmetric, rel=0.02)
    assert splitting < tilt


def test_in_a_strongly_tilted_well_each_level_has_its_own_side_and_they_differ_by_the_asymmetry():
    splitting, system = found(0.02)
    assert system.asymmetry == pytest.approx(splitting, rel=0.01)
    assert system.in_first[0] > 0.99
    assert system.in_first[1] < 0.03
    _, reversed_system = found(-0.02)
    np.testing.assert_allclose(reversed_system.in_first, 1 - np.array(system.in_first), atol=1e-4)


def test_two_levels_of_one_well_have_no_amplitude():
    splitting, system = found(0.075)
    assert splitting > 0.03
    assert system.one_well
    assert np.isnan([system.tunnelling_amplitude, system.asymmetry]).all()


def test_the_barrier_is_higher_than_the_highest_image_where_none_stands_on_top():
    formula, slope, ends = tilted(0.02)
    x = np.linspace(*ends, 12)
    place, height = barrier_top(x - ends[0], formula(x), slope(x))
    fine = np.linspace(*ends, 100001)
    assert height == pytest.approx(formula(fine).max(), rel=1e-3)
    assert height > formula(x).max()
    assert place + ends[0] == pytest.approx(fine[formula(fine).argmax()], abs=2e-3)
