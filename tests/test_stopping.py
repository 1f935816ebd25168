"""When to stop: forecasts against all outcomes counted, the published test, and how often its claim is true."""

from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest

from search.stopping import RECALL, confidence_found, expected, p_value, poisson_binomial


def counted(chances):
    """Probabilities of each number of TLS, from all outcomes."""
    numbers = np.zeros(len(chances) + 1)
    for outcome in product((False, True), repeat=len(chances)):
        numbers[sum(outcome)] += np.where(outcome, chances, 1 - chances).prod()
    return numbers


@pytest.mark.parametrize("count", [0, 1, 2, 5, 12])
def test_the_number_of_tls_is_distributed_as_over_all_outcomes(count):
    chances = np.random.default_rng(count).beta(0.3, 1, count)
    numbers = np.zeros(count + 1)
    found = poisson_binomial(chances)
    numbers[: len(found)] = found
    np.testing.assert_allclose(numbers, counted(chances), atol=1e-15)


def test_a_long_list_has_the_mean_and_variance_of_its_pairs():
    chances = np.random.default_rng(0).beta(0.01, 1, 200_000)
    numbers = poisson_binomial(chances)
    k = np.arange(len(numbers))
    assert len(numbers) < 3000
    assert numbers.sum() == pytest.approx(1, abs=1e-10)
    assert k @ numbers == pytest.approx(chances.sum(), rel=1e-9)
    assert (k - chances.sum()) ** 2 @ numbers == pytest.approx(chances @ (1 - chances), rel=1e-7)


def test_the_interval_leaves_at_most_16_percent_on_either_side():
    chances = np.random.default_rng(1).beta(0.5, 1, 12)
    mean, low, high = expected(chances)
    numbers = counted(chances)
    assert mean == pytest.approx(chances.sum())
    assert numbers[:low].sum() < 0.16 <= numbers[: low + 1].sum()
    assert numbers[high + 1 :].sum() <= 0.16 < numbers[high:].sum()


def test_a_number_far_from_what_is_expected_has_a_small_p_value():
    chances = np.full(10, 0.5)
    assert p_value(chances, 0) == pytest.approx(2 / 2**10)
    assert p_value(chances, 9) == pytest.approx(2 * 11 / 2**10)
    assert p_value(chances, 5) == 1
    assert p_value(np.empty(0), 0) == 1


# The test of Callaghan and Müller-Hansen
def test_it_is_the_example_of_its_authors():
    """20 relevant documents, then 70 others, of 100; 90 % wanted: p = 0.00146056475170399.

    https://github.com/mcallaghan/rapid-screening, analysis/hyper_criteriaR.md. By hand: with three among the last 80, K
    = ⌊20 / 0.9 − 20 + 1⌋, all of them are among the 10 left with the probability C(10, 3) / C(80, 3).
    """
    confidence = confidence_found(np.array([20, 70]), np.array([20, 0]), 10, Fraction(9, 10))
    assert 1 - confidence == pytest.approx(0.00146056475170399, rel=1e-10)
    assert 1 - confidence == pytest.approx(comb(10, 3) / comb(80, 3), rel=1e-10)


@pytest.mark.parametrize(
    ("nebs", "tls", "left", "confidence"),
    [
        ([], [], 50, 0),
        ([0], [0], 50, 0),
        ([30], [0], 70, 0.3),  # one TLS among 100 pairs, K = 1, would be among the 30 as often as not
        ([30, 30], [0, 0], 40, 0.6),
        ([30, 30], [19, 0], 40, 1 - (40 * 39) / (70 * 69)),  # 19 of 20 would be 95 %: two are missing, K = 2
        ([30, 30], [18, 0], 40, 1 - 40 / 70),  # 18 of 19 are less
        ([30, 30], [10, 2], 0, 1),
    ],
)
def test_it_is_as_worked_by_hand(nebs, tls, left, confidence):
    assert confidence_found(np.array(nebs, int), np.array(tls, int), left) == pytest.approx(confidence)


def search(chances, order, rng, top=30, random=3):
    """Rounds until the test says that 95 % are found: the part of the TLS found, and of the pairs calculated."""
    is_tls = rng.random(len(chances)) < chances
    left, nebs, tls = np.argsort(order), [], []
    while len(left):
        drawn = rng.choice(len(left[top:]), min(random, len(left[top:])), replace=False)
        taken = np.append(np.arange(min(top, len(left))), top + drawn)
        nebs.append(len(taken))
        tls.append(is_tls[left[taken]].sum())
        left = np.delete(left, taken)
        if confidence_found(np.array(nebs), np.array(tls), len(left)) >= 0.95:
            break
    return sum(tls) / max(is_tls.sum(), 1), sum(nebs) / len(chances)


def searches(order_of, count=100):
    rng = np.random.default_rng(0)
    runs = []
    for _ in range(count):
        chances = rng.beta(0.1, 1, 1000)
        runs.append(search(chances, order_of(chances, rng), rng))
    found, calculated = np.array(runs).T
    return (found >= RECALL).mean(), calculated.mean()


def test_where_the_chances_are_true_the_claim_is_and_spares_a_part_of_the_list():
    true, calculated = searches(lambda chances, rng: -chances)
    assert true >= 0.95
    assert calculated < 0.75


def test_where_the_order_says_nothing_the_claim_is_nearly_as_often_true_as_it_promises():
    """Nearly: it is made after the first of many rounds that allows it. Then nearly all pairs must be calculated."""
    true, calculated = searches(lambda chances, rng: rng.random(len(chances)))
    assert true >= 0.9
    assert calculated > 0.9
