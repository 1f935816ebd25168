"""Where rounded coordinates are too rough for a feature, double precision takes over: no error reaches a millionth."""

import os
import subprocess
import sys

import numpy as np
import pytest
from steps import ROOT

from glass.features import any_geometry, pair_geometry
from glass.features_rounded import box_fractions, rounded_geometry

STEP = 2.0**-32
BOXES = [np.full(3, 11.4), np.full(3, 5000.0), np.array([3000.0, 40.0, 700.0])]
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


@pytest.mark.parametrize("box", BOXES)
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


FEATURES = """
import hashlib
import numpy as np
from glass.features import any_geometry, pair_geometry
from glass.features_rounded import box_fractions
rng, box = np.random.default_rng(0), np.full(3, 5.0)
positions = np.mod(rng.random((3, 80)) + rng.normal(0, 0.02, (40, 3, 80)), 1) * box[0]
first, second = np.triu_indices(40, 1)
for found in (
    pair_geometry(positions, box_fractions(positions, box), box, first, second, 3),
    any_geometry(positions, box, first, second, 3),
):
    print(hashlib.sha256(found.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_the_run_that_compiles_and_the_next_ones_come_to_the_same_bits(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FEATURES]
    said = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    assert said[0].stdout == said[1].stdout
