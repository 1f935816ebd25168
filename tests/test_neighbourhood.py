"""The neighbourhood of a pair against a brute-force version that anyone can check by eye."""

import numpy as np
import pytest

from glass.neighbourhood import FAR, Squares, pair_neighbourhood
from pipeline.formats.pair_tables import NEIGHBOURHOOD


def brute_force(d, i, j):
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
        expected = np.array([brute_force(d, *pairs[p]) for p in some]).reshape(-1, 5)
        np.testing.assert_allclose(found[some], expected, rtol=1e-6)


def test_unknown_distances_count_as_far():
    d = distances(12)
    d[3, 7] = d[7, 3] = np.inf
    found = pair_neighbourhood(squares_of(d, np.full(12, 12)), 0, 1)
    np.testing.assert_allclose(found, [brute_force(d, 0, j) for j in range(1, 12)], rtol=1e-6)


def test_a_pair_with_no_other_minimum_is_far_from_all():
    found = pair_neighbourhood(squares_of(distances(2), np.array([2, 2])), 0, 2)
    np.testing.assert_array_equal(found, [[FAR, FAR**2, 0, 1, 1]])
