"""The path: a surface with published minima and saddles."""

import numpy as np
import pytest

from glass.band import find_path
from glass.path import straight_line
from glass.relaxation import relax

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


def path(start, end, images=41, **options):
    return find_path([mueller_brown] * images, line(start, end, images), 1e-4, 2000, **options)


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


@pytest.mark.parametrize("early", [True, False])
def test_a_third_minimum_on_the_way_is_found(early):
    found = path(FIRST, LAST, early=early)
    np.testing.assert_allclose(relax(mueller_brown, found.third_minimum).positions[0], MIDDLE, atol=1e-4)


def test_the_third_minimum_is_told_before_the_path_has_converged():
    assert path(FIRST, LAST).steps < path(FIRST, LAST, early=False).steps


def test_it_is_told_as_soon_where_barriers_and_the_tolerance_are_higher():
    def higher(positions):
        energy, forces = mueller_brown(positions)
        return 20 * energy, 20 * forces

    found = find_path([higher] * 41, line(FIRST, LAST, 41), 20 * 1e-4, 2000)
    np.testing.assert_allclose(relax(higher, found.third_minimum).positions[0], MIDDLE, atol=1e-4)
    assert found.steps <= 2 * path(FIRST, LAST).steps  # four times as many with the limit of soft spheres


def test_a_path_that_does_not_converge_says_so():
    found = find_path([mueller_brown] * 9, line(FIRST, MIDDLE, 9), 1e-4, 3)
    assert not found.converged
    assert found.third_minimum is None
    assert found.force > 1e-4
    assert found.steps == 3


def test_images_are_closer_near_the_ends_and_stay_so():
    found = path(FIRST, MIDDLE)
    steps = np.diff(found.lengths)
    assert steps[0] < 0.5 * steps[20]
    assert steps[-1] < 0.5 * steps[20]


def test_the_straight_line_takes_the_minimum_image_and_no_drift():
    rng = np.random.default_rng(0)
    box = np.array([4.0, 5.0, 6.0])
    start = rng.random((20, 3)) * box
    move = rng.normal(0, 0.1, (20, 3))
    move -= move.mean(0)
    end = np.mod(start + move + [0.3, 0, -0.2], box)
    images = straight_line(start, end, box, 7)
    np.testing.assert_array_equal(images[0], start)
    np.testing.assert_allclose(images[-1] - start, move, atol=1e-12)
    np.testing.assert_allclose(images.mean(1), np.tile(start.mean(0), (7, 1)), atol=1e-12)
