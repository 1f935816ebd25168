"""Probabilities: of a TLS from the errors on glasses kept out, and whether they are true ones."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

from MLmodel.chances import NEAR, SMOOTH, tls_chances
from MLmodel.metrics import chance_metrics
from MLmodel.out_of_fold import by_glass, kept_out, out_of_fold
from pipeline.workspace import CLASSIFIER, PREDICTOR

THRESHOLD = 0.00151


def test_the_chance_is_that_of_the_formula():
    exact = np.array([0.001, 0.002, 0.004, 0.01, 0.02])
    predicted = np.array([0.0012, 0.0018, 0.005, 0.009, 0.025])
    asked = np.array([0.0008, 0.0015, 0.003])
    errors, known = np.log10(exact / predicted), np.log10(predicted)
    slope, offset = np.polyfit(known, errors, 1)
    errors -= slope * known + offset
    sigma = np.sqrt((errors**2).sum() / 3)
    smooth = max(SMOOTH, 1.06 * sigma * 5**-0.2)
    expected = []
    for place in np.log10(asked):
        weights = norm.pdf((max(place, known.min()) - known) / NEAR)
        of_trend = sigma**2 * (1 / 5 + (place - known.mean()) ** 2 / (5 * known.var()))
        trend = slope * (max(place, known.min()) if slope > 0 else place) + offset
        off = np.log10(THRESHOLD) - place - trend - errors
        expected.append((weights * t.cdf(off / np.sqrt(smooth**2 + of_trend), 3)).sum() / weights.sum())
    assert expected == sorted(expected, reverse=True)
    np.testing.assert_allclose(tls_chances(exact, predicted, THRESHOLD)(asked), expected, atol=5e-3)


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


def test_a_smaller_splitting_never_has_a_smaller_chance_and_all_are_probabilities():
    rng = np.random.default_rng(4)
    exact = 10 ** rng.normal(-2, 0.3, 2000)
    assert exact.min() < THRESHOLD
    chance = tls_chances(exact, exact * 10 ** rng.normal(0, 0.2, 2000), THRESHOLD)(np.geomspace(1e-9, 10, 500))
    assert (np.diff(chance) <= 0).all()
    assert chance[0] > 0.99
    assert chance[-1] < 1e-6


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


def test_predictions_that_are_all_alike_give_all_pairs_the_same_chance():
    exact = np.geomspace(0.0008, 0.02, 15)
    chance = tls_chances(exact, np.full(15, 0.01), THRESHOLD)(np.array([0.002, 0.01, 0.03]))
    assert np.ptp(chance) < 0.1
    assert (exact < THRESHOLD).mean() == pytest.approx(chance[1], abs=0.1)


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
        before, after = (out_of_fold(one, ["a", "b"], PREDICTOR).predicted[own] for one in (table, changed))
        np.testing.assert_array_equal(before, after)


def test_glasses_are_kept_out_only_where_both_classes_are_left_to_learn_from():
    table = labelled(glasses=2, pairs=20)
    assert by_glass(table, CLASSIFIER)
    assert kept_out(table, CLASSIFIER).startswith("glasses kept out")
    table["is_dw"] = (table["conf"] == 1).astype(int)
    assert not by_glass(table, CLASSIFIER)
    assert kept_out(table, CLASSIFIER).startswith("pairs kept out")
    chance = out_of_fold(table, ["b"], CLASSIFIER).predicted
    assert chance[table["is_dw"] == 1].min() > 0.5 > chance[table["is_dw"] == 0].max()
    assert by_glass(table, PREDICTOR)
    assert not by_glass(table[table["conf"] == 0], PREDICTOR)
