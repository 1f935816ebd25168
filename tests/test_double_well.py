"""Path and levels together, on a quartic double well in a bent valley; paths on published surfaces."""

import numpy as np
import pytest
from formulas import HBAR, in_oscillator_basis, relaxed_path
from scipy.integrate import quad
from scipy.interpolate import CubicSpline

from glass.double_well import profile_of
from glass.path import lengths_and_slopes
from glass.relaxation import one_by_one, relax
from glass.tunnelling import lowest_levels

HEIGHT, HALF, BEND, STIFF = 0.02, 0.2, 2.0, 400.0


def valley(positions):
    """V = HEIGHT ((x/HALF)² − 1)² + ½ STIFF (y − BEND x²)² of one particle; paths follow its stiff valley."""
    x, y, z = positions[0]
    off = y - BEND * x**2
    energy = HEIGHT * ((x / HALF) ** 2 - 1) ** 2 + 0.5 * STIFF * (off**2 + z**2)
    slope = 4 * HEIGHT * ((x / HALF) ** 2 - 1) * x / HALF**2 - 2 * STIFF * off * BEND * x
    return energy, -np.array([[slope, STIFF * off, STIFF * z]])


def relaxed():
    ends = np.array([[[-HALF, BEND * HALF**2, 0]], [[HALF, BEND * HALF**2, 0]]])
    path = relaxed_path(valley, np.linspace(*ends, 41), 2e-4, 2000)
    assert path.converged
    assert path.third_minimum is None
    return path


def splitting_of(path, potential, hbar, masses=None):
    low, high = lowest_levels(profile_of(path, one_by_one([potential]), hbar, masses), hbar)
    return high - low


def exact_splitting():
    """The quartic over the parabola's arc length, outside the energy on the line y = BEND HALF², in another basis."""
    x = np.linspace(-HALF, HALF, 401)
    arc = np.array([quad(lambda u: np.hypot(1, 2 * BEND * u), 0, end)[0] for end in x])
    inside = CubicSpline(arc, HEIGHT * ((x / HALF) ** 2 - 1) ** 2)

    def on_line(beyond):
        return valley(np.array([[HALF + beyond, BEND * HALF**2, 0]]))[0]

    def potential(s):
        beyond = np.maximum(np.abs(s) - arc[-1], 0)
        return np.where(beyond > 0, np.vectorize(on_line)(beyond), inside(np.clip(s, arc[0], arc[-1])))

    return np.diff(in_oscillator_basis(potential, HBAR, np.sqrt(2 * HEIGHT) / HALF))[0]


def test_the_splitting_is_that_of_the_quartic_along_the_valley():
    assert splitting_of(relaxed(), valley, HBAR) == pytest.approx(exact_splitting(), rel=0.005)


# Masses
@pytest.mark.parametrize("mass", [0.3, 4.0])
def test_a_mass_that_all_have_is_another_unit_of_mass(mass):
    """ħ̃ = ħ/(σ √(m ε)): m times larger is ħ̃ √m times smaller, on the same path."""
    path = relaxed()
    scaled = splitting_of(path, valley, HBAR / np.sqrt(mass))
    found = splitting_of(path, valley, HBAR, np.array([mass]))
    assert found == pytest.approx(scaled, rel=1e-9)  # rounding of the oscillator lengths


def dumbbell(positions):
    """The same quartic in the distance of two particles from 1 along x, which is all that holds them."""
    apart = positions[1] - positions[0] - [1.0, 0, 0]
    x = apart[0]
    slope = np.array([4 * HEIGHT * ((x / HALF) ** 2 - 1) * x / HALF**2, STIFF * apart[1], STIFF * apart[2]])
    energy = HEIGHT * ((x / HALF) ** 2 - 1) ** 2 + 0.5 * STIFF * (apart[1:] ** 2).sum()
    return energy, np.array([slope, -slope])


def path_of_dumbbell():
    ends = [np.array([[-x / 2, 0, 0], [1 + x / 2, 0, 0]]) for x in (-HALF, HALF)]
    return relaxed_path(dumbbell, np.linspace(*ends, 41), 2e-4, 2000)


@pytest.mark.parametrize("masses", [(1.0, 1.0), (0.6, 3.0), (1.5, 0.2)])
def test_two_particles_tunnel_with_their_reduced_mass(masses):
    """A textbook result: of H = p₁²/2m₁ + p₂²/2m₂ + V(x₂ − x₁) the motion of x is that of one mass m₁m₂/(m₁ + m₂)."""
    path = path_of_dumbbell()

    def quartic(x):
        return HEIGHT * ((x / HALF) ** 2 - 1) ** 2

    hbar = HBAR * np.sqrt(sum(masses) / np.prod(masses))
    exact = np.diff(in_oscillator_basis(quartic, hbar, np.sqrt(2 * HEIGHT) / HALF))[0]
    assert splitting_of(path, dumbbell, HBAR, np.array(masses)) == pytest.approx(exact, rel=0.005)


def test_slopes_are_the_derivative_of_the_energies_along_the_mass_weighted_path():
    path = path_of_dumbbell()
    lengths, slopes = lengths_and_slopes(path, np.array([0.6, 3.0]))
    np.testing.assert_allclose(slopes, CubicSpline(lengths, path.energies)(lengths, 1), atol=2e-3)


# The minimum-energy path
# Müller and Brown, Theor. Chim. Acta 53, 75 (1979), energies divided by 100; one particle in the plane z = 0
A = np.array([-200, -100, -170, 15]) / 100
a, b, c = np.array([-1, -1, -6.5, 0.7]), np.array([0, 0, 11, 0.6]), np.array([-10, -10, -6.5, 0.7])
X, Y = np.array([1, 0, -0.5, -1]), np.array([0, 0.5, 1.5, 1])
FIRST, MIDDLE, LAST = (-0.558224, 1.441726, 0), (-0.050011, 0.466694, 0), (0.623499, 0.028038, 0)
SADDLES = (-0.40664844, -0.72248940)


def mueller_brown(positions):
    x, y, z = positions[0]
    dx, dy = x - X, y - Y
    terms = A * np.exp(a * dx**2 + b * dx * dy + c * dy**2)
    gradient = [(terms * (2 * a * dx + b * dy)).sum(), (terms * (b * dx + 2 * c * dy)).sum(), 10 * z]
    return terms.sum() + 5 * z**2, -np.array([gradient])


def line(start, end, images):
    return np.linspace(np.array([start]), np.array([end]), images)


def path(start, end, images=41):
    return relaxed_path(mueller_brown, line(start, end, images), 1e-4, 2000)


@pytest.mark.parametrize(("start", "end", "saddle"), [(FIRST, MIDDLE, SADDLES[0]), (MIDDLE, LAST, SADDLES[1])])
def test_the_barrier_is_the_published_saddle(start, end, saddle):
    found = path(start, end)
    assert found.converged
    assert found.third_minimum is None
    assert found.energies.max() == pytest.approx(saddle, abs=0.003)
    assert np.all(np.diff(found.lengths) > 0)
    # the slopes are the derivative of the energies
    middle = 0.5 * (found.slopes[1:] + found.slopes[:-1]) * np.diff(found.lengths)
    np.testing.assert_allclose(middle, np.diff(found.energies), atol=0.01)


def test_a_third_minimum_on_the_way_is_told_before_the_path_has_converged():
    found = path(FIRST, LAST)
    assert not found.converged
    np.testing.assert_allclose(relax(mueller_brown, found.third_minimum).positions[0], MIDDLE, atol=1e-4)


def test_it_is_told_as_soon_where_barriers_and_the_tolerance_are_higher():
    def higher(positions):
        energy, forces = mueller_brown(positions)
        return 20 * energy, 20 * forces

    found = relaxed_path(higher, line(FIRST, LAST, 41), 20 * 1e-4, 2000)
    np.testing.assert_allclose(relax(higher, found.third_minimum).positions[0], MIDDLE, atol=1e-4)
    assert found.steps <= 3 * path(FIRST, LAST).steps  # five times as many with the limit of soft spheres


def test_a_path_that_does_not_converge_says_so():
    found = relaxed_path(mueller_brown, line(FIRST, MIDDLE, 9), 1e-4, 3)
    assert not found.converged
    assert found.third_minimum is None
    assert found.force > 1e-4
    assert found.steps == 3
