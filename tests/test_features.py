"""The feature kernels against the published row and brute-force versions."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from ase.geometry import complete_cell, find_mic
from hypothesis import given
from hypothesis import strategies as st
from steps import ROOT
from synthetic import read_minimum

from glass.arrays import box_of, minimum_image, without_drift
from glass.features import any_geometry, geometry_columns, pair_geometry
from glass.features_rounded import box_fractions, rounded_geometry
from glass.neighbourhood import FAR, Squares, pair_neighbourhood
from pipeline.formats.pair_tables import NEIGHBOURHOOD


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
    positions = np.array([np.mod(one, box).T, np.mod(other, box).T])
    return of_pairs(positions, box, np.array([0]), np.array([1]), particles)[0]


def of_pairs(positions, box, first, second, particles=3):
    return pair_geometry(positions, box_fractions(positions, box), box, first, second, particles)


def test_the_published_row_is_reproduced(data, real_minima):
    table = pd.read_feather(data / "MLmodel/pretraining-classifier-T0062.feather")
    row = table.query("conf == 148750000 and i == 0.2044810139 and j == 0.2046749726").iloc[0]
    files = [path for path in real_minima if path.name.startswith(("2.044810139E-01", "2.046749726E-01"))]
    one, other = (read_minimum(path) for path in files)
    found, published = compute(one.positions, other.positions, one.box), row[list(geometry_columns(3))].to_numpy(float)
    np.testing.assert_allclose(found, published, rtol=5e-7)  # of float32, as the table's digits are


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


def little_moved(box, moved, pairs=1000):
    """Minima of 1500 particles, all of which moved a little from the first and some of which more."""
    rng = np.random.default_rng(moved)
    minima = [rng.random((1500, 3)) * box]
    for _ in range(pairs):
        size = 10 ** rng.uniform(-5, 0)
        minima.append(minima[0] + rng.normal(0, size * 10 ** rng.uniform(-5, 0), (1500, 3)))
        minima[-1][rng.choice(1500, moved, replace=False)] += rng.normal(0, size, (moved, 3))
    return np.mod(minima, box)


def from_the_first(minima, box):
    pairs = np.zeros(len(minima) - 1, dtype=int), np.arange(1, len(minima))
    return of_pairs(minima.transpose(0, 2, 1).copy(), box, *pairs)


@pytest.mark.parametrize("moved", [1, 3, 40])
@pytest.mark.parametrize("box", [np.full(3, 11.4), np.array([30.0, 7.0, 19.0])])
def test_every_feature_is_right_to_a_millionth_however_little_the_particles_moved(box, moved):
    minima = little_moved(box, moved)
    expected = [brute_force(minima[0], other, box, 3) for other in minima[1:]]
    np.testing.assert_allclose(from_the_first(minima, box), expected, rtol=1e-6)


ON_ANY_PROCESSOR = """
import sys
import numpy as np
from test_features import any_geometry, from_the_first, little_moved
box = np.full(3, 11.4)
minima = little_moved(box, 40, 300)
exact = any_geometry(minima.transpose(0, 2, 1).copy(), box, np.zeros(300, int), np.arange(1, 301), 3, drifts=False)
np.save(sys.argv[1], [from_the_first(minima, box), exact])
"""


@pytest.mark.slow
def test_on_a_processor_without_vectors_the_run_that_compiles_and_the_next_come_to_the_same_right_bits(tmp_path):
    environment = os.environ | {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    for name in ("compiles.npy", "next.npy"):
        subprocess.run([sys.executable, "-c", ON_ANY_PROCESSOR, tmp_path / name], env=environment, check=True)
    assert (tmp_path / "compiles.npy").read_bytes() == (tmp_path / "next.npy").read_bytes()
    minima, box = little_moved(np.full(3, 11.4), 40, 300), np.full(3, 11.4)
    expected = [brute_force(minima[0], other, box, 3) for other in minima[1:]]
    for found in np.load(tmp_path / "next.npy"):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


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


CELLS = [(seed, periodic) for seed in range(8) for periodic in ((1, 1, 1), (1, 1, 0), (0, 1, 0))]


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


def test_a_shift_through_the_boundary_is_taken_out_by_its_median_and_then_the_mean():
    rng, box = np.random.default_rng(1), np.array([5.0, 6.0, 7.0])
    one, step = rng.random((50, 3)) * box, rng.normal(0, 0.02, (50, 3))
    for shift in (np.zeros(3), box / 2, np.array([2.4, -3.0, 9.0])):
        found = without_drift(one, np.mod(one + step + shift, box), box)
        np.testing.assert_allclose(found, step - step.mean(0), atol=1e-12)


# Where rounded coordinates are too rough, double precision takes over
STEP = 2.0**-32
N = 5000
SMALL = 500**-0.5
"""The others move by so much less than the two: Σ|Δr|² is theirs, Σ|Δr|⁴ that of the two. Nothing makes PR worse."""


def worst_pairs(box, steps):
    """Minima of which the k-th differs from the first by steps[k]; two particles move as far as rounding is worst.

    Each coordinate of the two loses nearly a unit, and then nearly none, so that both displacements gain √3 units where
    the box is a cube.
    """
    rng = np.random.default_rng(1)
    start = rng.random((3, N))
    whole = np.floor(start[:, :2] / STEP / 4) * STEP
    start[:, :2] = whole + 0.998 * STEP
    minima = [start]
    for step in steps:
        moved = start + rng.normal(size=(3, N)) * step * SMALL / 3**0.5
        size = np.floor(step / 3**0.5 / STEP) * STEP
        moved[:, :2] = whole + size + 0.002 * STEP
        minima.append(moved)
    positions = np.mod(minima, 1) * box[:, None]
    return positions, np.zeros(len(steps), int), np.arange(1, len(minima))


def bounds(positions, box, first, second):
    """Six standard deviations of the error that rounding leaves in PR, relative; 10 is 6 · 4 √⅙, rounded up."""
    step = (positions[second] - positions[first]) / box[:, None]
    square = (((step - np.rint(step)) * box[:, None] / box.max()) ** 2).sum(axis=1)
    return 10 * STEP * np.sqrt(square.max(axis=1) / (square**2).sum(axis=1))


@pytest.mark.parametrize("box", [np.full(3, 11.4), np.full(3, 5000.0), np.array([3000.0, 40.0, 700.0])])
def test_pairs_at_the_limit_are_right_to_a_millionth_and_beyond_it_come_from_double_precision(box):
    steps = np.concatenate([np.geomspace(1e-4, 4e-3, 30), np.geomspace(4e-3, 8e-3, 141), np.geomspace(8e-3, 0.1, 20)])
    positions, *pairs = worst_pairs(box, steps)
    fractions, exact = box_fractions(positions, box), any_geometry(positions, box, *pairs, 2, drifts=False)
    bound = bounds(positions, box, *pairs)
    near = np.abs(bound / 4e-7 - 1) < 0.01  # 4e-7 in PR may come from rounding; the sums get the rest of the millionth
    good = rounded_geometry(fractions, N, box, False, *pairs, np.empty_like(exact))
    assert {*good[near]} == {True, False}
    np.testing.assert_array_equal(good, bound < 4e-7)
    found = pair_geometry(positions, fractions, box, *pairs, 2)
    np.testing.assert_array_equal(found[~good], exact[~good])
    np.testing.assert_allclose(found, exact, rtol=1e-6)
    assert (found[good] != exact[good]).any(axis=1).all()


# Where the other minima lie
def looked_between(d, i, j):
    """The formulas, a line each; d with an infinite diagonal."""
    others = [k for k in range(len(d)) if k not in (i, j)]
    between = min([max(d[i, k], d[k, j]) / d[i, j] for k in others], default=np.inf)
    sums = [(d[i, k] ** 2 + d[k, j] ** 2) / d[i, j] ** 2 for k in others]
    count = sum(one < 1 for one in sums)
    return min(between, FAR), min(min(sums, default=np.inf), FAR**2), count, d[i].min() / d[i, j], d[j].min() / d[i, j]


def distances(n, dimensions=4, seed=0):
    places = np.random.default_rng(seed).normal(size=(n, dimensions))
    d = np.sqrt(((places[:, None] - places) ** 2).sum(-1))
    np.fill_diagonal(d, np.inf)
    return d


def squares_of(d, last):
    squares = Squares.unknown(last)
    first, second = np.nonzero(np.triu(np.arange(len(d)) < last[:, None], 1))
    squares.put(first, second, d[first, second] ** 2)
    return squares


@pytest.mark.parametrize("n", [2, 3, 9, 40, 300])
@pytest.mark.parametrize("ceiling", [0.3, 1.0])
def test_every_pair_agrees_with_brute_force(n, ceiling):
    d = distances(n)
    last = np.minimum(np.arange(n) + 1 + int(np.ceil(ceiling * n)), n)
    known = np.triu(np.arange(n) < last[:, None], 1)
    d[~(known | known.T)] = np.inf
    for start, stop in ((0, n), (n // 3, n // 2 + 1)):
        found = pair_neighbourhood(squares_of(d, last), start, stop)
        pairs = [(i, j) for i in range(start, stop) for j in range(i + 1, last[i])]
        assert found.shape == (len(pairs), len(NEIGHBOURHOOD))
        some = np.random.default_rng(1).permutation(len(pairs))[:200]
        expected = np.array([looked_between(d, *pairs[p]) for p in some]).reshape(-1, 5)
        np.testing.assert_allclose(found[some], expected, rtol=1e-6)
