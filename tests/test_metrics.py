"""Figures of merit on examples small enough to count by hand, and pictures that are really drawn."""

import numpy as np
import pytest
from matplotlib.image import imread

from MLmodel import plots
from MLmodel.metrics import classification_figures, nebs_to_find, splitting_figures, table, tls_found

EXACT = np.array([0.001, 0.02, 0.0005, 0.01, 0.03, 0.0014])
PREDICTED = np.array([0.002, 0.02, 0.0006, 0.001, 0.03, 0.0007])


def test_classification_is_counted_right():
    figures = classification_figures([1, 1, 1, 0, 0], [0.9, 0.6, 0.4, 0.1, 0.7])
    counts = ["double wells called double wells", "double wells missed", "non-DW called double wells"]
    assert [figures[name] for name in counts] == [2, 1, 1]
    assert figures["accuracy"] == pytest.approx(3 / 5)
    assert figures["balanced accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert figures["ROC AUC"] == pytest.approx(4 / 6)


def test_one_class_has_no_balanced_accuracy():
    figures = classification_figures([1, 1], [0.9, 0.6])
    assert np.isnan(figures["ROC AUC"])
    assert "n/a" in table(figures)


def test_tls_are_found_in_the_order_of_the_prediction():
    found = tls_found(EXACT, PREDICTED, 0.00151)
    assert found.tolist() == [1, 2, 2, 3, 3, 3]
    assert nebs_to_find(found, 0.5) == 2
    assert nebs_to_find(found, 0.9) == 4
    figures = splitting_figures(EXACT, PREDICTED, 0.00151)
    assert [figures[name] for name in ("TLS", "TLS predicted to be TLS", "others predicted to be TLS")] == [3, 2, 1]
    assert figures["average precision for TLS"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    ratios = np.log10([2, 1, 1.2, 0.1, 1, 0.5])
    assert figures["rms deviation of log10"] == pytest.approx(np.sqrt((ratios**2).mean()))
    assert figures["median ratio predicted / exact"] == pytest.approx(1)


def test_without_tls_there_is_nothing_to_find():
    figures = splitting_figures(EXACT + 1, PREDICTED + 1, 0.00151)
    assert figures["TLS"] == 0
    assert np.isnan(figures["NEBs to find 90 % of the TLS"])


@pytest.mark.parametrize("exact", [EXACT, EXACT + 1, EXACT[:1]])
def test_pictures_are_drawn_for_few_pairs_and_for_none_that_are_tls(tmp_path, exact):
    predicted = PREDICTED[: len(exact)]
    plots.true_against_predicted(tmp_path / "a.png", {"0.1": (exact, predicted), "0.2": (exact, exact)}, 0.00151, "x")
    plots.splitting_cdf(tmp_path / "b.png", exact, predicted, 0.00151, "x")
    plots.search_efficiency(tmp_path / "c.png", exact, predicted, 0.00151, "x")
    for name in "abc":
        picture = imread(tmp_path / f"{name}.png")
        assert picture.shape[1] > 900
        assert picture.std() > 0.01
    assert len(list(tmp_path.iterdir())) == 3
