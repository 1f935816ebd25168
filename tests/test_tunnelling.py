"""The Schrödinger equation: published levels, and another basis."""

import numpy as np
import pytest
from oscillator_basis import HBAR, in_oscillator_basis

from glass import tunnelling
from glass.tunnelling import NotResolvedError, Profile, lowest_levels, reduced_hbar


class Potential:
    """A formula in the place of a profile: x, V at two ends, and the curvatures from which the range follows."""

    def __init__(self, formula, ends, curvatures):
        self.formula, self.lengths, self.curvatures = formula, np.array(ends), curvatures
        self.energies = formula(self.lengths)

    def __call__(self, x):
        return self.formula(x)


def double_well(height, half):
    """V = height ((x/half)² − 1)² and its slope; curvature at the minima 8 height / half²."""
    return (
        lambda x: height * ((x / half) ** 2 - 1) ** 2,
        lambda x: 4 * height * ((x / half) ** 2 - 1) * x / half**2,
    )


def test_levels_of_a_harmonic_well_are_half_and_one_and_a_half_quanta():
    well = Potential(lambda x: 0.5 * 0.9 * x**2, (0.0, 0.0), (0.9, 0.9))
    quantum = HBAR * np.sqrt(0.9)
    np.testing.assert_allclose(lowest_levels(well, HBAR), [0.5 * quantum, 1.5 * quantum], rtol=1e-4)


def test_levels_of_the_quartic_oscillator_are_the_published_ones():
    # −ψ″ + x⁴ψ = Eψ: 1.0603620905, 3.7996730298 (Bender and Orszag, Advanced Mathematical Methods, 1978)
    well = Potential(lambda x: x**4, (-1.0, 1.0), (12.0, 12.0))
    np.testing.assert_allclose(lowest_levels(well, np.sqrt(2)), [1.0603620905, 3.7996730298], rtol=1e-4)


@pytest.mark.parametrize(("height", "half"), [(0.01, 0.1), (0.03, 0.15), (0.05, 0.2)])
def test_a_double_well_splits_as_in_another_basis(height, half):
    formula, _ = double_well(height, half)
    exact = np.diff(in_oscillator_basis(formula, HBAR, np.sqrt(2 * height) / half))[0]
    low, high = lowest_levels(Potential(formula, (-half, half), (8 * height / half**2,) * 2), HBAR)
    assert high - low == pytest.approx(exact, rel=0.01)


def test_a_profile_of_images_continues_as_parabolas_and_splits_as_they_do():
    height, half = 0.02, 0.15
    formula, slope = double_well(height, half)
    x = np.linspace(-half, half, 21)
    profile = Profile(x + half, formula(x), slope(x))
    curvature = 8 * height / half**2
    np.testing.assert_allclose(profile.curvatures, curvature, rtol=0.02)

    def continued(place):
        beyond = np.maximum(np.abs(place) - half, 0)
        return np.where(beyond > 0, 0.5 * curvature * beyond**2, formula(place))

    low, high = lowest_levels(profile, HBAR)
    exact = np.diff(in_oscillator_basis(continued, HBAR, np.sqrt(2 * height) / half))[0]
    assert high - low == pytest.approx(exact, rel=0.02)
    between = np.linspace(-half, half, 333)
    np.testing.assert_allclose(profile(between + half), formula(between), atol=0.002 * height)


def test_the_splitting_does_not_depend_on_which_end_is_first():
    x = np.linspace(0, 0.4, 15)
    energies = 0.02 * np.sin(np.pi * x / 0.4) ** 2 + 0.004 * (1 - np.cos(np.pi * x / 0.4)) / 2
    slopes = 0.02 * np.pi / 0.4 * np.sin(2 * np.pi * x / 0.4) + 0.002 * np.pi / 0.4 * np.sin(np.pi * x / 0.4)
    one = lowest_levels(Profile(x, energies, slopes), HBAR)
    other = lowest_levels(Profile(x, energies[::-1], -slopes[::-1]), HBAR)
    np.testing.assert_allclose(one, other, rtol=1e-8)


def test_a_grid_too_coarse_for_the_splitting_is_noticed(monkeypatch):
    monkeypatch.setattr(tunnelling, "POINTS", 16)
    formula, _ = double_well(0.05, 0.2)
    with pytest.raises(NotResolvedError, match="not converged"):
        lowest_levels(Potential(formula, (-0.2, 0.2), (10.0, 10.0)), HBAR)


def test_an_end_that_does_not_confine_is_refused():
    with pytest.raises(NotResolvedError, match="use more images"):
        lowest_levels(Profile(np.array([0.0, 0.1, 0.2]), np.array([0.0, -0.01, 0.0]), np.zeros(3)), HBAR)


def test_reduced_hbar_is_that_of_the_paper():
    """σ = 2.21 Å, m = 1.02·10⁻²⁵ kg, ε/k_B = 662 K; ħ/(σ √(mε)) with the exact ħ and k_B of the SI."""
    hbar = 6.62607015e-34 / (2 * np.pi) / (2.21e-10 * np.sqrt(1.02e-25 * 662 * 1.380649e-23))
    assert reduced_hbar(2.21e-10, 1.02e-25, 662) == pytest.approx(hbar, rel=1e-9)
    assert hbar == pytest.approx(HBAR, abs=5e-6)
