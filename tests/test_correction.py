"""Results that the models did not learn from correct what is predicted of like pairs of their glass."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from MLmodel.chances import tls_chances
from MLmodel.correction import AMPLITUDE, DAMPING, DW_AMPLITUDE, LENGTH, NOISE, LocalCorrection
from MLmodel.smooth import shape_features
from pipeline.formats.pair_tables import PROBABILITY
from pipeline.workspace import DW, QS


@pytest.fixture
def pairs():
    rng = np.random.default_rng(5)
    count = 600
    return pd.DataFrame(
        {
            "conf": np.repeat([1, 2], count // 2),
            "Delta_E": rng.uniform(0.001, 0.1, count),
            "total_displacement": rng.uniform(0.3, 2.0, count),
            QS: 10 ** rng.uniform(-3, -1, count),
            PROBABILITY: rng.uniform(0.1, 1.0, count),
            DW: 1,
        }
    )


@pytest.fixture
def chances():
    rng = np.random.default_rng(6)
    predicted = 10 ** rng.uniform(-3, -1, 2000)
    return tls_chances(predicted * 10 ** rng.normal(0.05, 0.15, 2000), predicted, 0.00151)


def standardised(pairs):
    features = shape_features(pairs)
    return (features - features.mean(axis=0)) / features.std(axis=0)


def is_new(results):
    return np.ones(len(results), dtype=bool)


def test_the_correction_is_the_mean_of_a_gaussian_process(pairs, chances):
    rng = np.random.default_rng(7)
    known = np.arange(0, 300, 10)
    results = pairs.iloc[known].assign(exact=pairs[QS].iloc[known] * 10 ** rng.normal(0, 0.1, len(known)))
    corrected = LocalCorrection(results, is_new(results), pairs, chances).correct(pairs)
    z = standardised(pairs)
    for errors, amplitude, noise, found in (
        (
            np.log10(results["exact"]) - chances.expected(results[QS].to_numpy()),
            AMPLITUDE,
            np.full(len(known), DAMPING**2),
            np.log10(corrected.splitting / pairs[QS]),
        ),
        (
            1 - results[PROBABILITY].clip(0.02, 0.98),
            DW_AMPLITUDE,
            (results[PROBABILITY] * (1 - results[PROBABILITY])).clip(0.02 * 0.98).to_numpy(),
            (corrected.dw_probability - pairs[PROBABILITY])[corrected.dw_probability < 0.999],
        ),
    ):
        squares = ((z[:, None] - z[None, known]) ** 2).sum(axis=2)
        kernel = amplitude**2 * np.exp(-squares / (2 * LENGTH**2))
        expected = kernel @ np.linalg.solve(kernel[known] + np.diag(noise), errors)
        expected[300:] = 0  # the other glass
        np.testing.assert_allclose(found, expected[found.index], atol=1e-9)


def test_errors_that_like_pairs_share_are_taken_out(pairs, chances):
    rng = np.random.default_rng(8)
    shared = 0.15 * np.sin(2 * standardised(pairs)[:, 0])
    bias = chances.expected(pairs[QS].to_numpy()) - np.log10(pairs[QS])
    exact = 10 ** (np.log10(pairs[QS]) + bias + shared + rng.normal(0, 0.03, len(pairs)))
    known = np.arange(len(pairs)) % 3 == 0
    results = pairs[known].assign(exact=exact[known])
    corrected = LocalCorrection(results, is_new(results), pairs, chances).correct(pairs)
    before, after = (np.std((np.log10(exact / guess) - bias)[~known]) for guess in (pairs[QS], corrected.splitting))
    assert after < 0.6 * before


def test_a_pair_that_is_no_double_well_lowers_the_chance_of_its_like_and_no_splitting(pairs, chances):
    row = pairs.iloc[[0]].assign(**{PROBABILITY: 0.9})
    results = row.assign(**{DW: 0, "exact": np.nan})
    corrected = LocalCorrection(results, is_new(results), pairs, chances).correct(row)
    # One result of variance p (1 - p): the error -p shrinks by a² / (a² + p (1 - p)).
    expected = 0.9 - 0.9 * DW_AMPLITUDE**2 / (DW_AMPLITUDE**2 + 0.9 * 0.1)
    np.testing.assert_allclose(corrected.dw_probability, expected)
    np.testing.assert_allclose(corrected.splitting, row[QS])


def test_what_was_learnt_corrects_nothing_and_makes_errors_smaller_by_the_variance_of_the_process(pairs, chances):
    learnt = pairs.iloc[[0]].assign(exact=0.5)
    corrected = LocalCorrection(learnt, np.array([False]), pairs, chances).correct(pairs)
    np.testing.assert_allclose(corrected.splitting, pairs[QS])
    np.testing.assert_array_equal(corrected.dw_probability, pairs[PROBABILITY])
    a, n = AMPLITUDE**2, NOISE**2
    np.testing.assert_allclose(corrected.spread[0], np.sqrt((a - a**2 / (a + n) + n) / (a + n)))


def test_where_errors_are_smaller_a_prediction_above_the_threshold_is_less_likely_a_tls():
    rng = np.random.default_rng(9)
    predicted = 10 ** rng.uniform(-3.5, -2, 20_000)
    threshold, scale = 10**-2.9, 0.2
    found = tls_chances(predicted * 10 ** rng.normal(0, scale, len(predicted)), predicted, threshold)
    asked = np.array([10**-2.6, 10**-2.9, 10**-3.2])
    for spread in (1.0, 0.7, 0.4):
        expected = norm.cdf((np.log10(threshold) - np.log10(asked)) / (spread * np.hypot(scale, 0.04)))
        np.testing.assert_allclose(found(asked, spread), expected, atol=0.03)
