"""Path and levels together, on a quartic double well in a bent valley: known curve, known splitting."""

import numpy as np
import pytest
from oscillator_basis import HBAR, in_oscillator_basis
from scipy.integrate import quad
from scipy.interpolate import CubicSpline

from glass.double_well import profile_of
from glass.path import find_path
from glass.tunnelling import lowest_levels

HEIGHT, HALF, BEND, STIFF = 0.02, 0.2, 2.0, 400.0


def valley(positions):
    """V = HEIGHT ((x/HALF)² − 1)² + ½ STIFF (y − BEND x²)² of one particle; paths follow its stiff valley."""
    x, y, z = positions[0]
    off = y - BEND * x**2
    energy = HEIGHT * ((x / HALF) ** 2 - 1) ** 2 + 0.5 * STIFF * (off**2 + z**2)
    slope = 4 * HEIGHT * ((x / HALF) ** 2 - 1) * x / HALF**2 - 2 * STIFF * off * BEND * x
    return energy, -np.array([[slope, STIFF * off, STIFF * z]])


def splitting(images=41, tolerance=2e-4):
    ends = np.array([[[-HALF, BEND * HALF**2, 0]], [[HALF, BEND * HALF**2, 0]]])
    line = ends[0] + np.linspace(0, 1, images)[:, None, None] * (ends[1] - ends[0])
    path = find_path([valley] * images, line, tolerance, 2000)
    assert path.converged
    assert path.third_minimum is None
    low, high = lowest_levels(profile_of(path, (valley, valley), HBAR), HBAR)
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
    assert splitting() == pytest.approx(exact_splitting(), rel=0.005)


@pytest.mark.parametrize(
    "finer", [{"images": 81}, {"tolerance": 5e-5}], ids=["twice the images", "a quarter of the tolerance"]
)
def test_finer_settings_leave_it_as_it_is(finer):
    assert splitting(**finer) == pytest.approx(splitting(), rel=0.02)
