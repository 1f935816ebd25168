"""What moves a band: L-BFGS and its first Hessian, the close look at a coarse double well."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from formulas import make_atoms, relaxed_path

from glass.band import hidden_minimum, relaxed_band
from glass.double_well import examine
from glass.path import redistributed
from glass.relaxation import FIRST_STEP, LBFGS, bonds_inverse, one_by_one


def liquid(rng, n=60, side=5.0):
    grid = np.stack(np.meshgrid(*3 * [np.arange(4)]), -1).reshape(-1, 3)[:n]
    return make_atoms((grid + 0.1 * rng.normal(size=(n, 3))) * side / 4, rng.uniform(0.8, 1.4, n), [side] * 3)


# L-BFGS
def two_loops(gradient, moves, changes, inverse):
    """Algorithm 7.4 of Nocedal, Wright, Numerical Optimization."""
    q, alphas = gradient.copy(), []
    for s, y in zip(moves[::-1], changes[::-1], strict=True):
        alphas.append((s @ q) / (y @ s))
        q -= alphas[-1] * y
    s, y = moves[-1], changes[-1]
    r = (s @ y) / (y @ inverse @ y) * (inverse @ q)
    for s, y, alpha in zip(moves, changes, alphas[::-1], strict=True):
        r += s * (alpha - (y @ r) / (y @ s))
    return r


@pytest.mark.parametrize("preconditioned", [False, True])
def test_steps_are_those_of_the_two_loops_also_once_the_memory_is_full(preconditioned):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(90, 90))
    hessian = root @ root.T / 90 + np.eye(90)
    inverse = np.diag(rng.uniform(0.5, 2, 90)) if preconditioned else np.eye(90)
    step_of = LBFGS((lambda forces: (inverse @ forces.ravel()).reshape(forces.shape)) if preconditioned else None)
    x, places, gradients = rng.normal(size=90), [], []
    for count in range(30):
        gradient = hessian @ x
        places, gradients = [*places, x], [*gradients, gradient]
        step = step_of(x.reshape(30, 1, 3), -gradient.reshape(30, 1, 3)).ravel()
        if count:
            expected = -two_loops(gradient, np.diff(places, axis=0)[-20:], np.diff(gradients, axis=0)[-20:], inverse)
            np.testing.assert_allclose(step / np.linalg.norm(step), expected / np.linalg.norm(expected), atol=1e-8)
        else:
            assert np.linalg.norm(step.reshape(30, 3), axis=1).max() == pytest.approx(FIRST_STEP)
        x = x + step


def test_a_first_band_that_finds_no_rest_is_left_where_its_force_was_smallest():
    rng, forces = np.random.default_rng(5), []

    def restless(images, _):
        forces.append(rng.normal(0, 1 + 1 / (1 + len(forces)), images.shape))
        return np.zeros(len(images)), forces[-1]

    path = np.linspace(np.zeros((4, 3)), np.ones((4, 3)), 7)
    band = relaxed_band(path, restless, 1e-3, 500, 1e-9, LBFGS(), patience=15)
    assert not band.converged
    assert len(forces) - 1 <= 200
    assert band.steps >= 15
    assert any((band.forces[1:-1] == one).all() for one in forces[1:-14])


# The path
def ring(positions):
    """A double well along a circle of radius 1, whose arc is the path: V = ((θ/2.4)² − 1)² + 10 (r − 1)² + 10 z²."""
    x, y, z = positions[0]
    r, angle = np.hypot(x, y), np.arctan2(y, x)
    along, across = 4 * ((angle / 2.4) ** 2 - 1) * angle / 2.4**2 / r, 20 * (r - 1)
    slope = np.array([across * x - along * y, across * y + along * x]) / r
    energy = ((angle / 2.4) ** 2 - 1) ** 2 + 10 * ((r - 1) ** 2 + z**2)
    return energy, -np.array([[*slope, 20 * z]])


def on_ring(images):
    angles, radii = np.linspace(-2.4, 2.4, images), np.linspace(0, 1, images)
    radii = 1 + 0.1 * np.sin(np.pi * radii)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles), 0 * angles], axis=1)[:, None]


@pytest.mark.parametrize(("fine", "order"), [(False, 1), (True, 2)])
def test_a_full_band_is_of_second_order_in_the_spacing_and_others_of_the_first(fine, order):
    off = []
    for images in (12, 24, 48):
        path = redistributed(on_ring(99), images)
        band = relaxed_band(path, one_by_one([ring]), 1e-6, 2000, 1e-9, LBFGS(), fine=fine)
        assert band.converged
        off.append(np.abs(np.linalg.norm(band.positions[:, 0], axis=1) - 1).max())
    assert np.log2(np.divide(off[:-1], off[1:])) == pytest.approx(order, abs=0.5)
    if fine:
        assert band.lengths[-1] == pytest.approx(4.8, rel=1e-4)


def test_a_path_with_a_sharp_bend_is_relaxed_with_more_images():
    assert len(relaxed_path(ring, redistributed(on_ring(99), 11), 1e-4, 2000).positions) == 11
    assert len(relaxed_path(ring, redistributed(on_ring(99), 5), 1e-4, 2000).positions) == 7


def test_the_first_hessian_is_the_sum_over_bonds():
    rng = np.random.default_rng(2)
    atoms = liquid(rng, n=30)
    box, n = atoms.cell.lengths(), len(atoms)
    step = atoms.positions[:, None] - atoms.positions
    step -= box * np.round(step / box)
    r = np.linalg.norm(step, axis=2)
    nearest = np.sort(r, axis=1)[:, 1:4].mean(axis=1)
    hessian = np.zeros((n, 3, n, 3))
    for i in range(n):
        for j in range(i):
            apart = r[i, j] / (0.5 * (nearest[i] + nearest[j]))
            if apart < 1.6:
                block = np.exp(-3 * (apart - 1)) * np.outer(step[i, j], step[i, j]) / r[i, j] ** 2
                for a, b, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
                    hessian[a, :, b] += sign * block
    hessian = hessian.reshape(3 * n, 3 * n)
    hessian += 0.05 * hessian.diagonal().mean() * np.eye(3 * n)
    forces = rng.normal(size=(2, n, 3))
    expected = np.linalg.solve(hessian, forces.reshape(2, -1).T).T.reshape(forces.shape)
    np.testing.assert_allclose(bonds_inverse(atoms.positions, box)(forces), expected, rtol=1e-9, atol=1e-12)


# The close look
def well(positions, narrow=0.0):
    """Quartic double well along x, with a narrow Gaussian well on its flank, which lies between the places of five."""
    x, y, z = positions[0]
    dip = narrow * np.exp(-(((x - 0.35) / 0.1) ** 2))
    slope = 4 * (x**2 - 1) * x + 2 * (x - 0.35) / 0.1**2 * dip
    return (x**2 - 1) ** 2 - dip + 5 * (y**2 + z**2), -np.array([[slope, 10 * y, 10 * z]])


@pytest.mark.parametrize("narrow", [0.0, 0.06, 0.3])
def test_a_minimum_between_the_images_of_a_coarse_band_is_found(narrow):
    def potential(positions):
        return well(positions, narrow)

    ends = np.array([[[-1.0, 0, 0]], [[1.0, 0, 0]]])
    coarse = relaxed_path(potential, np.linspace(*ends, 5), 2e-3, 500)
    assert coarse.converged
    third = hidden_minimum(coarse, one_by_one([potential] * 41), 2e-3, 1.0)
    assert (third is not None) == (narrow == 0.3)
    if third is not None:
        assert third[0, 0] == pytest.approx(0.35, abs=0.1)


# second order
class SteepChannel(Calculator):
    """Two particles in V = 16 x²(1 − x)² + 5 (y − sin(πx)/2)² + 5 z² of their distance: no third minimum."""

    def calculate(self, atoms, properties, changes):
        x, y, z = atoms.positions[0] - atoms.positions[1]
        off, slope = y - 0.5 * np.sin(np.pi * x), 0.5 * np.pi * np.cos(np.pi * x)
        gradient = np.array([32 * x * (1 - x) * (1 - 2 * x) - 10 * off * slope, 10 * off, 10 * z])
        energy = 16 * x**2 * (1 - x) ** 2 + 5 * off**2 + 5 * z**2
        self.results = {"energy": energy, "forces": np.array([-gradient, gradient])}


def test_a_steep_path_of_many_images_is_not_taken_for_one_past_a_third_minimum():
    """A band of second order runs wild there, out to forces of 4 ε/σ."""
    start = Atoms("X2", np.zeros((2, 3)), cell=[20] * 3, pbc=True)
    end = Atoms("X2", [[1, 0, 0], [0, 0, 0]], cell=[20] * 3, pbc=True)
    limits = {"images": 61, "tolerance": 5e-3, "max_steps": 500, "hbar": 0.0646}
    assert examine(start, end, lambda _: SteepChannel(), **limits).kind == "double well"
