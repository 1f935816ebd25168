"""Probabilities, metrics and forecasts: against formulas, examples counted by hand, all outcomes counted."""

from fractions import Fraction
from itertools import product
from threading import current_thread, main_thread

import catboost
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

from MLmodel.chances import NEAR, SMOOTH, tls_chances
from MLmodel.metrics import (
    chance_metrics,
    classifier_metrics,
    format_metrics,
    nebs_to_find,
    predictor_metrics,
    smallest_tenth,
    tls_found,
)
from MLmodel.out_of_fold import by_glass, kept_out, out_of_fold
from pipeline.workspace import CLASSIFIER, PREDICTOR
from search.stopping import confidence_found, expected, p_value, poisson_binomial

THRESHOLD = 0.00151


def by_the_formula(exact, predicted, asked):
    """P before it is made not to rise, from the docstring's sums; errors have their trend taken off by np.polyfit."""
    errors, known, count = np.log10(exact / predicted), np.log10(predicted), len(exact)
    slope, offset = np.polyfit(known, errors, 1)
    errors -= slope * known + offset
    sigma = np.sqrt((errors**2).sum() / (count - 2))
    smooth = max(SMOOTH, 1.06 * sigma * count**-0.2)
    expected = []
    for place in np.log10(asked):
        inside = np.clip(place, known.min(), known.max())
        weights = norm.pdf((inside - known) / NEAR)
        of_trend = sigma**2 * (1 / count + (place - known.mean()) ** 2 / (count * known.var()))
        trend = slope * (inside if slope > 0 else place) + offset
        off = np.log10(THRESHOLD) - place - trend - errors
        expected.append((weights * t.cdf(off / np.sqrt(smooth**2 + of_trend), count - 2)).sum() / weights.sum())
    return np.array(expected)


def with_far_off(count, seed=4):
    """Pairs with Gaussian errors, and three that are predicted smaller than all of them and are no TLS."""
    rng = np.random.default_rng(seed)
    predicted = 10 ** np.append(rng.normal(-2.2, 0.4, count), [-3.7, -3.65, -3.6])
    exact = predicted * 10 ** rng.normal(0, 0.2, count + 3)
    exact[-3:] = 0.006
    return exact, predicted


def test_a_chance_that_would_rise_is_the_mean_of_those_beside_it_weighed_by_the_labels_near_them():
    """By the max-min formula of isotonic regression: over all ranges that hold a place (Robertson et al., 1988)."""
    exact, predicted = with_far_off(60)
    found = tls_chances(exact, predicted, THRESHOLD)
    raw = by_the_formula(exact, predicted, 10**found.grid)
    assert (np.diff(raw) > 0.01).any()
    labels = norm.pdf((found.grid[:, None] - np.log10(predicted)) / NEAR).sum(axis=1)
    of_labels, below = (np.append(0, np.cumsum(each)) for each in (labels, labels * raw))
    first, last = np.arange(len(raw))[:, None], np.arange(1, len(raw) + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.where(last > first, (below[last] - below[first]) / (of_labels[last] - of_labels[first]), -np.inf)
    largest = np.maximum.accumulate(means[:, ::-1], axis=1)[:, ::-1]  # of ranges that end at a place or beyond it
    expected = [largest[: k + 1, k].min() for k in range(len(raw))]
    np.testing.assert_allclose(found.chances[-1], expected, atol=1e-4)


def test_a_few_pairs_predicted_far_too_small_leave_the_chances_of_the_others():
    asked = 10 ** np.linspace(-3.2, -2, 25)
    truth = norm.cdf((np.log10(THRESHOLD) - np.log10(asked)) / 0.2)
    found = tls_chances(*with_far_off(6000), THRESHOLD)(asked)
    np.testing.assert_allclose(found, truth, atol=0.05)


def test_chances_are_true_where_errors_are_as_they_were():
    rng = np.random.default_rng(3)
    exact = 10 ** rng.normal(-2.2, 0.4, 40_000)
    predicted = exact * 10 ** (rng.normal(0, 0.15, len(exact)) + 0.1 * (np.log10(exact) + 2.2))
    known, new = slice(0, 20_000), slice(20_000, None)
    chance = tls_chances(exact[known], predicted[known], THRESHOLD)(predicted[new])
    is_tls = exact[new] < THRESHOLD
    for low, high in ((0.02, 0.1), (0.1, 0.3), (0.3, 0.7), (0.7, 1)):
        some = (chance >= low) & (chance < high)
        assert is_tls[some].mean() == pytest.approx(chance[some].mean(), abs=0.04)
    metrics = chance_metrics(chance, is_tls, "TLS")
    assert metrics["TLS expected"] == pytest.approx(metrics["TLS found"], rel=0.05)
    assert metrics["Brier score"] < 0.5 * metrics["Brier score of the mean rate"]


@pytest.mark.parametrize("tls", [0, 1, 5])
@pytest.mark.parametrize("informed", [0, 0.2, 1])
def test_with_few_labels_no_chance_is_absurdly_sure(tls, informed):
    rng = np.random.default_rng(6)
    exact = 10 ** rng.normal(-1.8, 0.15, 12)
    exact[:tls] = 0.001
    predicted = 10 ** (-1.8 + informed * (np.log10(exact) + 1.8) + rng.normal(0, 0.1, 12))
    chance = tls_chances(exact, predicted, THRESHOLD)(np.array([1e-3, THRESHOLD, 3e-3, 1e-2]))
    assert np.isfinite(chance).all()
    assert chance[1] > 0.01
    assert (chance < 0.995).all()
    assert (np.diff(chance) <= 0).all()


def test_without_a_tls_the_chance_is_that_of_a_splitting_below_all_known_ones():
    rng = np.random.default_rng(7)
    exact = 10 ** rng.normal(-1.8, 0.05, 19)
    chance = tls_chances(exact, exact, THRESHOLD)(np.array([0.02]))
    assert chance == pytest.approx(THRESHOLD / exact.min() / 20, rel=1e-3)


def labelled(glasses=6, pairs=40):
    """Pairs whose labels follow one feature, and beside it one that tells the glass and with it the label's offset."""
    rng = np.random.default_rng(5)
    conf = np.repeat(np.arange(glasses), pairs)
    offset = rng.normal(0, 1, glasses)[conf]
    feature = rng.normal(0, 1, len(conf))
    splitting = 10 ** (0.3 * feature + offset - 2)
    is_dw = (feature > 0).astype(int)
    return pd.DataFrame({"conf": conf, "a": feature, "b": offset, "quantum_splitting": splitting, "is_dw": is_dw})


def test_no_prediction_comes_from_a_model_that_saw_the_glass():
    table = labelled()
    for glass in (0, 3):
        changed = table.copy()
        own = table["conf"] == glass
        changed.loc[own, "quantum_splitting"] *= 1.2  # not so much that whether the smooth model helps would change
        before, after = (out_of_fold(one, ["a", "b"], PREDICTOR)[0][own] for one in (table, changed))
        np.testing.assert_array_equal(before, after)


def test_glasses_are_kept_out_only_where_both_classes_are_left_to_learn_from():
    table = labelled(glasses=2, pairs=20)
    assert by_glass(table, CLASSIFIER)
    assert kept_out(table, CLASSIFIER).startswith("glasses kept out")
    table["is_dw"] = (table["conf"] == 1).astype(int)
    assert not by_glass(table, CLASSIFIER)
    assert kept_out(table, CLASSIFIER).startswith("pairs kept out")
    chance = out_of_fold(table, ["b"], CLASSIFIER)[0]
    assert chance[table["is_dw"] == 1].min() > 0.5 > chance[table["is_dw"] == 0].max()
    assert by_glass(table, PREDICTOR)
    assert not by_glass(table[table["conf"] == 0], PREDICTOR)


def test_no_fold_takes_away_the_log_of_another_that_still_learns(monkeypatch):
    """CatBoost has one log for all threads; taken away under a training it crashes (CatBoost's issue 2620)."""
    threads, reset = [], catboost.core._reset_logger
    monkeypatch.setattr("catboost.core._reset_logger", lambda: (threads.append(current_thread()), reset()))
    out_of_fold(labelled(), ["a", "b"], CLASSIFIER, cores=2)
    assert {*threads} == {main_thread()}


# Metrics
EXACT = np.array([0.001, 0.02, 0.0005, 0.01, 0.03, 0.0014])
PREDICTED = np.array([0.002, 0.02, 0.0006, 0.001, 0.03, 0.0007])


def test_classification_is_counted_right():
    metrics = classifier_metrics([1, 1, 1, 0, 0], [0.9, 0.6, 0.4, 0.1, 0.7])
    counts = ["double wells called double wells", "double wells missed", "non-DW called double wells"]
    assert [metrics[name] for name in counts] == [2, 1, 1]
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    assert metrics["balanced accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert metrics["ROC AUC"] == pytest.approx(4 / 6)


def test_tls_are_found_in_the_order_of_the_prediction():
    found = tls_found(EXACT, PREDICTED, 0.00151)
    assert found.tolist() == [1, 2, 2, 3, 3, 3]
    assert nebs_to_find(found, 0.5) == 2
    assert nebs_to_find(found, 0.9) == 4
    metrics = predictor_metrics(EXACT, PREDICTED, 0.00151)
    assert [metrics[name] for name in ("TLS", "TLS predicted to be TLS", "others predicted to be TLS")] == [3, 2, 1]
    assert metrics["average precision for TLS"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    ratios = np.log10([2, 1, 1.2, 0.1, 1, 0.5])
    assert metrics["rms deviation of log10"] == pytest.approx(np.sqrt((ratios**2).mean()))
    assert metrics["median ratio predicted / exact"] == pytest.approx(1)


def test_what_can_not_be_told_is_not_a_number():
    of_one_class = classifier_metrics([1, 1], [0.9, 0.6])
    assert np.isnan(of_one_class["ROC AUC"])
    assert "n/a" in format_metrics(of_one_class)
    without_tls = predictor_metrics(EXACT + 1, PREDICTED + 1, 0.00151)
    assert without_tls["TLS"] == 0
    assert np.isnan(without_tls["NEBs to find 90 % of the TLS"])


@pytest.mark.parametrize(("pairs", "in_the_tenth"), [(0, np.nan), (1, 1), (10, 1), (11, 2), (20, 2), (50, 5)])
def test_the_smallest_tenth_is_rounded_up_and_without_pairs_that_have_no_splitting(pairs, in_the_tenth):
    splittings = np.random.default_rng(0).permutation(np.append(np.arange(1.0, pairs + 1), [np.inf] * 3))
    assert smallest_tenth(splittings) == pytest.approx(in_the_tenth, nan_ok=True)


# When to stop
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
    assert [expected(np.array([chance]))[1:] for chance in (0.15, 0.17)] == [(0, 0), (0, 1)]


def test_a_number_far_from_what_is_expected_has_a_small_p_value():
    chances = np.full(10, 0.5)
    assert p_value(chances, 0) == pytest.approx(2 / 2**10)
    assert p_value(chances, 9) == pytest.approx(2 * 11 / 2**10)
    assert p_value(chances, 5) == 1
    assert p_value(np.empty(0), 0) == 1


# The test of Callaghan and Müller-Hansen
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
def test_how_sure_it_is_that_most_are_found_is_as_worked_by_hand(nebs, tls, left, confidence):
    assert confidence_found(np.array(nebs, int), np.array(tls, int), left) == pytest.approx(confidence)


def test_how_sure_it_is_that_most_are_found_is_the_example_of_its_authors():
    """20 relevant documents, then 70 others, of 100; 90 % wanted.

    https://github.com/mcallaghan/rapid-screening, analysis/hyper_criteriaR.md
    """
    confidence = confidence_found(np.array([20, 70]), np.array([20, 0]), 10, Fraction(9, 10))
    assert 1 - confidence == pytest.approx(0.00146056475170399, rel=1e-10)
