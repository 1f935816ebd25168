"""Metrics on examples small enough to count by hand."""

import numpy as np
import pytest

from MLmodel.metrics import (
    classifier_metrics,
    format_metrics,
    metric_texts,
    nebs_to_find,
    predictor_metrics,
    smallest_tenth,
    tls_found,
)

EXACT = np.array([0.001, 0.02, 0.0005, 0.01, 0.03, 0.0014])
PREDICTED = np.array([0.002, 0.02, 0.0006, 0.001, 0.03, 0.0007])


def test_classification_is_counted_right():
    metrics = classifier_metrics([1, 1, 1, 0, 0], [0.9, 0.6, 0.4, 0.1, 0.7])
    counts = ["double wells called double wells", "double wells missed", "non-DW called double wells"]
    assert [metrics[name] for name in counts] == [2, 1, 1]
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    assert metrics["balanced accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert metrics["ROC AUC"] == pytest.approx(4 / 6)


def test_one_class_has_no_balanced_accuracy():
    metrics = classifier_metrics([1, 1], [0.9, 0.6])
    assert np.isnan(metrics["ROC AUC"])
    assert "n/a" in format_metrics(metrics)


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


def test_without_tls_there_is_nothing_to_find():
    metrics = predictor_metrics(EXACT + 1, PREDICTED + 1, 0.00151)
    assert metrics["TLS"] == 0
    assert np.isnan(metrics["NEBs to find 90 % of the TLS"])


@pytest.mark.parametrize(("pairs", "in_the_tenth"), [(1, 1), (10, 1), (11, 2), (20, 2), (50, 5)])
def test_the_smallest_tenth_is_rounded_up(pairs, in_the_tenth):
    splittings = np.random.default_rng(0).permutation(np.arange(1.0, pairs + 1))
    assert smallest_tenth(splittings) == in_the_tenth


def test_pairs_without_a_splitting_are_in_no_tenth():
    assert smallest_tenth([np.inf, 0.02, np.inf]) == 0.02
    assert np.isnan(smallest_tenth([np.inf]))
    assert np.isnan(smallest_tenth([]))


def test_expected_numbers_have_no_digits_that_counting_leaves_open():
    texts = metric_texts(
        {"double wells expected": 5360.1067, "TLS expected": 68.7002, "ROC AUC": 0.98765, "pairs": 1409}
    )
    assert [*texts.values()] == ["5360", "68.7", "0.9877", "1409"]
