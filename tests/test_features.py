"""The feature kernel against the published row, a brute-force version, and the symmetries of the problem."""

import os
import subprocess
import sys

import numpy as np
import pytest
from ase.geometry import complete_cell, find_mic
from hypothesis import given
from hypothesis import strategies as st
from steps import ROOT

from glass.arrays import box_of, brought_near, common_shift, difference_of_cells, minimum_image, without_drift
from glass.features import geometry_columns, pair_geometry
from glass.features_rounded import box_fractions
from pipeline.formats.lammps import read_minimum
from pipeline.formats.minima import read_minima
from pipeline.glasses import load_glass


def brute_force(one, other, box, particles):
    """The formulas of the paper, a line each; positions (N, 3)."""
    step = other - one
    step = step - box * np.round(step / box)
    length = np.sqrt((step**2).sum(axis=1))
    top = np.argsort(-length, kind="stable")[:particles]
    mean = one + step / 2
    apart = mean[top] - mean[top[0]]
    apart = np.sqrt(((apart - box * np.round(apart / box)) ** 2).sum(axis=1))
    two, four = (length**2).sum(), (length**4).sum()
    return np.concatenate([length[top], apart[1:], [np.sqrt(two), two**2 / four]])


def compute(one, other, box, particles=3):
    positions = np.stack([np.mod(one, box).T, np.mod(other, box).T])
    return of_pairs(positions, box, np.array([0]), np.array([1]), particles)[0]


def of_pairs(positions, box, first, second, particles=3):
    return pair_geometry(positions, box_fractions(positions, box), box, first, second, particles)


def test_the_published_row_is_reproduced(real_minima, published_row):
    files = [path for path in real_minima if path.name.startswith(("2.044810139E-01", "2.046749726E-01"))]
    one, other = (read_minimum(path) for path in files)
    published = published_row[list(geometry_columns(3))].to_numpy(float)
    np.testing.assert_allclose(
        compute(one.positions, other.positions, one.box), published, rtol=5e-7
    )  # of float32, as the table's digits are


@pytest.mark.slow
def test_random_pairs_of_real_minima_agree_with_brute_force(real_minima):
    glass, fates = load_glass(read_minima(real_minima), 10)
    assert [fate.status for fate in fates.values()].count("used") == len(fates) - 1  # two lie 1e-5 σ apart
    first, second = np.triu_indices(len(glass.files), 1)
    assert len(first) == 47_586
    chosen = np.random.default_rng(3).choice(len(first), 400, replace=False)
    first, second = first[chosen], second[chosen]
    features = of_pairs(glass.positions, glass.box, first, second)
    for row, a, b in zip(features, first, second, strict=True):
        expected = brute_force(glass.positions[a].T, glass.positions[b].T, glass.box, 3)
        np.testing.assert_allclose(row, expected, rtol=1e-6)


boxes = st.tuples(*[st.floats(2.0, 12.0)] * 3).map(np.array)
pairs = st.tuples(boxes, st.integers(3, 300), st.integers(0, 2**32 - 1), st.floats(1e-6, 1.0))


def make_pair(pair):
    box, n, seed, size = pair
    rng = np.random.default_rng(seed)
    one = rng.random((n, 3)) * box
    return one, one + rng.normal(0, size, one.shape), box


@given(pairs, st.integers(1, 64))
def test_any_orthogonal_box_and_number_of_particles_agree_with_brute_force(pair, particles):
    one, other, box = make_pair(pair)
    particles = min(particles, len(one))
    features = compute(one, other, box, particles)
    assert len(features) == len(geometry_columns(particles))
    np.testing.assert_allclose(features, brute_force(one, other, box, particles), rtol=1e-6, atol=1e-9)


@given(pairs, st.tuples(*[st.floats(-30, 30)] * 3), st.integers(0, 2**32 - 1))
def test_no_shift_through_the_box_no_swap_and_no_order_changes_the_features(pair, shift, seed):
    one, other, box = make_pair(pair)
    features = compute(one, other, box)
    order = np.random.default_rng(seed).permutation(len(one))
    for same in (
        compute(one + shift, other + shift, box),
        compute(other, one, box),
        compute(one[order], other[order], box),
    ):
        np.testing.assert_allclose(same, features, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("moved", [1, 3, 40])
@pytest.mark.parametrize("box", [np.full(3, 11.4), np.array([30.0, 7.0, 19.0])])
def test_every_feature_is_right_to_a_millionth_however_little_the_particles_moved(box, moved):
    rng = np.random.default_rng(moved)
    one = rng.random((1500, 3)) * box
    minima = [one]
    for _ in range(1000):
        size = 10 ** rng.uniform(-5, 0)
        minima.append(one + rng.normal(0, size * 10 ** rng.uniform(-5, 0), one.shape))
        minima[-1][rng.choice(1500, moved, replace=False)] += rng.normal(0, size, (moved, 3))
    positions = np.mod(minima, box).transpose(0, 2, 1).copy()
    first, second = np.zeros(1000, dtype=int), np.arange(1, 1001)
    expected = [brute_force(one, positions[k].T, box, 3) for k in second]
    np.testing.assert_allclose(of_pairs(positions, box, first, second), expected, rtol=1e-6)


@pytest.mark.slow
def test_every_feature_is_right_to_a_millionth_on_any_processor(tmp_path):
    plain = os.environ | {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", __file__, "-k", "right_to_a_millionth_however"]
    ended = subprocess.run(command, env=plain, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


def test_those_that_moved_most_are_named_in_the_order_of_double_precision():
    rng = np.random.default_rng(5)
    box, one = np.full(3, 11.4), np.random.default_rng(4).random((1500, 3)) * 11.4
    for _ in range(300):
        length = np.full(1500, 0.3) * (1 + 5e-8 * rng.permutation(1500))
        direction = rng.normal(size=(1500, 3))
        other = one + direction / np.linalg.norm(direction, axis=1)[:, None] * length[:, None]
        found, expected = compute(one, other, box), brute_force(one, other, box, 3)
        np.testing.assert_allclose(found[:5], expected[:5], rtol=1e-7)


def test_equal_minima_have_no_participation_ratio():
    positions = np.random.default_rng(0).random((1, 3, 5))
    features = of_pairs(positions, np.ones(3), np.array([0]), np.array([0]))[0]
    assert features[:3] == pytest.approx([0, 0, 0])
    assert np.isnan(features[-1])


@pytest.mark.parametrize("drift", [1e-6, 0.05, 0.5])
def test_the_mean_displacement_of_each_pair_is_taken_out_exactly(drift):
    rng, box = np.random.default_rng(7), np.array([8.0, 9.0, 10.0])
    one = rng.random((150, 3)) * box
    minima = [one + rng.normal(0, 1e-3, one.shape) + drift * rng.normal(size=3) for _ in range(40)]
    for places in minima:
        places[rng.choice(150, 3)] += rng.normal(0, 0.3, (3, 3))
    positions = np.mod(minima, box).transpose(0, 2, 1).copy()
    first, second = np.triu_indices(40, 1)
    found = pair_geometry(positions, box_fractions(positions, box), box, first, second, 3, drifts=True)
    for row, i, j in zip(found, first, second, strict=True):
        step = minima[j] - minima[i]
        step -= step.mean(0)  # none is displaced by half the box
        length = np.sort(np.linalg.norm(step, axis=1))[::-1]
        two, four = (length**2).sum(), (length**4).sum()
        np.testing.assert_allclose(row[[0, 1, 2, 5, 6]], [*length[:3], np.sqrt(two), two**2 / four], rtol=1e-6)


CELLS = [(seed, periodic) for seed in range(20) for periodic in ((1, 1, 1), (1, 1, 0), (0, 1, 0))]


@pytest.mark.parametrize(("seed", "periodic"), CELLS)
def test_features_in_any_cell_are_those_by_the_minimum_image_of_ase(seed, periodic):
    rng, periodic = np.random.default_rng(seed), np.array(periodic, bool)
    cell = rng.normal(size=(3, 3)) * rng.uniform(0.5, 4, (3, 1))
    whole = complete_cell(cell * periodic[:, None])  # across an oblique vector that does not repeat ASE finds others
    box = box_of(cell, periodic)
    one, step = rng.normal(0, 4, (60, 3)), rng.normal(0, 2, (60, 3))
    nearest, lengths = find_mic(step, whole, periodic)
    np.testing.assert_allclose(np.linalg.norm(minimum_image(step, box), axis=1), lengths, rtol=1e-9)
    places = np.array([one.T, (one + step).T])
    found = pair_geometry(places, None, box, np.array([0]), np.array([1]), 3)[0]
    free = nearest - nearest.mean(0)
    order = np.argsort(-np.linalg.norm(free, axis=1))[:3]
    between = (one + nearest / 2)[:, None] - (one + nearest / 2)[None]
    apart = find_mic(between.reshape(-1, 3), whole, periodic)[1].reshape(60, 60)[order[0], order[1:]]
    two, four = (free**2).sum(), ((free**2).sum(1) ** 2).sum()
    expected = [*np.linalg.norm(free, axis=1)[order], *apart, np.sqrt(two), two**2 / four]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_permuted_reflected_and_equivalent_cells_are_one():
    tilted = np.array([[4.0, 0, 0], [2.0, 5, 0], [1.0, -0.5, 6]])
    for same in (tilted[[2, 0, 1]], -tilted, tilted - np.outer([0, 1, 0], [4, 0, 0]), tilted * (1 + 1e-8)):
        assert difference_of_cells(tilted, same) < 1e-7
    assert difference_of_cells(tilted, tilted * 1.001) == pytest.approx(1e-3, rel=0.05)


def test_a_shift_through_the_boundary_is_taken_out_by_its_median_and_then_the_mean():
    rng, box = np.random.default_rng(1), np.array([5.0, 6.0, 7.0])
    one, step = rng.random((50, 3)) * box, rng.normal(0, 0.02, (50, 3))
    for shift in (np.zeros(3), box / 2, np.array([2.4, -3.0, 9.0])):
        found = without_drift(one, np.mod(one + step + shift, box), box)
        np.testing.assert_allclose(found, step - step.mean(0), atol=1e-12)


def test_particles_on_the_other_side_of_the_boundary_are_no_drift():
    rng, box = np.random.default_rng(2), np.full(3, 5.0)
    one = rng.random((30, 3)) * box
    other = one + box * rng.integers(-1, 2, (30, 3))
    np.testing.assert_allclose(common_shift(other - one, box), 0, atol=1e-12)
    np.testing.assert_array_equal(brought_near(other, one, box), other)
