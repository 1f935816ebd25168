"""The Schrödinger equation: published levels, and another basis."""

import numpy as np
import pytest
from formulas import Potential, beyond, double_well, profile_of_formula
from oscillator_basis import HBAR, in_oscillator_basis

from glass import tunnelling
from glass.tunnelling import (
    Continuation,
    NotResolvedError,
    Profile,
    lowest_levels,
    oscillator_lengths,
    parabolas,
    reduced_hbar,
)


def test_levels_of_a_harmonic_well_are_half_and_one_and_a_half_quanta():
    well = Potential(lambda x: 0.5 * 0.9 * x**2, (0.0, 0.0), 0.9)
    quantum = HBAR * np.sqrt(0.9)
    np.testing.assert_allclose(lowest_levels(well, HBAR), [0.5 * quantum, 1.5 * quantum], rtol=1e-4)


def test_levels_of_the_quartic_oscillator_are_the_published_ones():
    # −ψ″ + x⁴ψ = Eψ: 1.0603620905, 3.7996730298 (Bender and Orszag, Advanced Mathematical Methods, 1978)
    well = Potential(lambda x: x**4, (-1.0, 1.0), 12.0)
    np.testing.assert_allclose(lowest_levels(well, np.sqrt(2)), [1.0603620905, 3.7996730298], rtol=1e-4)


@pytest.mark.parametrize(("height", "half"), [(0.01, 0.1), (0.03, 0.15), (0.05, 0.2)])
def test_a_double_well_splits_as_in_another_basis(height, half):
    formula, _ = double_well(height, half)
    exact = np.diff(in_oscillator_basis(formula, HBAR, np.sqrt(2 * height) / half))[0]
    low, high = lowest_levels(Potential(formula, (-half, half), 8 * height / half**2), HBAR)
    assert high - low == pytest.approx(exact, rel=0.01)


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


def test_the_oscillator_length_is_that_of_a_parabola():
    """V = ½ k x² has l = √ħ̃ / k^¼, and its quantum is ħ̃ √k."""
    curvature, half = 1.3, 0.4
    x = np.linspace(0, 2 * half, 81)
    from_end = half - np.abs(x - half)
    profile = x, 0.5 * curvature * from_end**2, curvature * from_end * np.sign(half - x)
    for length in oscillator_lengths(*profile, HBAR):
        assert length == pytest.approx(np.sqrt(HBAR) / curvature**0.25, rel=1e-3)


def test_a_grid_ends_where_the_action_is_reached():
    """V = ½ k s²: above the height 0, ∫ √k s ds = ½ √k s²."""
    curvature = 1.3
    outside = beyond(lambda s: 0.5 * curvature * s**2, 0, 1, 0.1)
    for distance in (0.2, 1.5):  # within the energies given, and far outside
        action = 0.5 * np.sqrt(curvature) * distance**2
        assert outside.reaches(0.0, action) == pytest.approx(distance, abs=2e-3)
        assert outside.reaches(0.01, action) > distance


def test_the_splitting_does_not_depend_on_which_end_is_first():
    x = np.linspace(0, 0.4, 15)
    energies = 0.02 * np.sin(np.pi * x / 0.4) ** 2 + 0.004 * (1 - np.cos(np.pi * x / 0.4)) / 2
    slopes = 0.02 * np.pi / 0.4 * np.sin(2 * np.pi * x / 0.4) + 0.002 * np.pi / 0.4 * np.sin(np.pi * x / 0.4)
    distances = np.linspace(0, 0.4, 9)
    before, after = (Continuation(distances, end + 0.5 * k * distances**2) for end, k in ((0.0, 1.2), (0.004, 2.0)))
    one = lowest_levels(Profile(x, energies, slopes, before, after), HBAR)
    other = lowest_levels(Profile(x, energies[::-1], -slopes[::-1], after, before), HBAR)
    np.testing.assert_allclose(one, other, rtol=1e-8)


def test_a_grid_too_coarse_for_the_splitting_is_noticed(monkeypatch):
    monkeypatch.setattr(tunnelling, "POINTS", 16)
    formula, _ = double_well(0.05, 0.2)
    with pytest.raises(NotResolvedError, match="not converged"):
        lowest_levels(Potential(formula, (-0.2, 0.2), 10.0), HBAR)


def test_an_end_that_is_no_minimum_is_refused():
    with pytest.raises(NotResolvedError, match="use more images"):
        oscillator_lengths(np.array([0.0, 0.1, 0.2]), np.array([0.0, -0.01, 0.0]), np.zeros(3), HBAR)


@pytest.mark.parametrize(
    ("energies", "says"),
    [
        ([0, 0.01, 0.02, -0.01, 0.03], "the well is deeper there"),
        ([0, 0.01, 0.02, 0.025, 0.024], "does not rise high enough"),
    ],
)
def test_an_end_that_does_not_confine_is_refused(energies, says):
    with pytest.raises(NotResolvedError, match=says):
        Continuation(np.linspace(0, 0.4, 5), np.array(energies)).reaches(0.1, 0.3)


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
    u = np.linspace(0, 1, 41)
    inside = length * u, 16 * height * u**2 * (1 - u) ** 2, 32 * height * u * (1 - u) * (1 - 2 * u) / length
    profile = Profile(*inside, *parabolas(*inside))
    low, high = lowest_levels(profile, 0.01563)
    assert high - low == pytest.approx(published, abs=2e-7)


def test_a_flat_path_between_walls_is_a_box_of_three_path_lengths():
    """E_n = n² π² ħ̃²/(2 (3L)²)."""
    inside = np.linspace(0, 0.1, 41), np.zeros(41), np.zeros(41)
    levels = lowest_levels(Profile(*inside, *parabolas(*inside)), HBAR)
    np.testing.assert_allclose(levels, 0.5 * (np.pi * HBAR / 0.3) ** 2 * np.array([1, 4]), rtol=1e-5)
