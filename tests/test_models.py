"""Models: what they learn and see, that they are those of other libraries, and what results near by correct."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from MLmodel.chances import tls_chances
from MLmodel.correction import AMPLITUDE, DAMPING, DW_AMPLITUDE, NOISE, LocalCorrection
from MLmodel.correction import LENGTH as REACH
from MLmodel.learner import fit, load, to_learn
from MLmodel.out_of_fold import out_of_fold
from MLmodel.smooth import LANDMARKS, LENGTH, learn_smooth, shape_features
from pipeline.formats.pair_tables import PROBABILITY
from pipeline.settings import TrainingSettings
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS

FEATURES = ["Delta_E", "displacement_0", "whole", "two", "nearest_i", "Tij", "same"]


def made_up(pairs=600):
    """Pairs with features of all kinds: whole numbers, two values, unknown ones, one that is the same for all."""
    rng = np.random.default_rng(2)
    table = pd.DataFrame(rng.gamma(1.0, 1.0, (pairs, 2)), columns=FEATURES[:2])
    table["whole"] = rng.integers(0, 4, pairs)
    table["two"] = rng.choice([3.0, 7.0], pairs)
    table["nearest_i"] = rng.choice([0.0, 0.5, np.nan, 2.0, -1.0], pairs)
    table["Tij"] = rng.choice([5.0, np.nan], pairs)
    table["same"] = 1.0
    signal = table["Delta_E"] + table["whole"] * table["two"] + table["nearest_i"].fillna(4.0) + table["Tij"].fillna(0)
    noisy = signal + rng.normal(0, 2.0, pairs)
    return table.assign(**{DW: (noisy > noisy.median()).astype(int), QS: 10 ** (-1 - noisy / 10)})


def asked(pairs):
    """Pairs like those trained on, and others with all features here and there unknown, zero, very large or small."""
    rng = np.random.default_rng(3)
    mixed = pairs[FEATURES].apply(lambda column: rng.permutation(column.to_numpy()))
    values = np.array([np.nan, 0.0, -0.0, 1e-300, -1e30, 1e30, 7.0])
    odd = mixed.mask(rng.random(mixed.shape) < 0.2, rng.choice(values, mixed.shape))
    return pd.concat([pairs[FEATURES], mixed, odd], ignore_index=True).astype(np.float64)


def autogluon(folder):
    from autogluon.tabular import TabularPredictor

    return TabularPredictor.load(str(folder / "autogluon"), verbosity=0)


@pytest.mark.slow
def test_catboost_predicts_as_autogluon_where_features_are_unknown_too_and_is_the_same_on_any_number_of_cores(tmp_path):
    pairs = made_up()
    rows = asked(pairs)
    for task in (CLASSIFIER, PREDICTOR):
        folder = tmp_path / task.name
        for cores, target in ((1, folder), (2, tmp_path / "two")):
            fit(to_learn(pairs, task, FEATURES), task, TrainingSettings(), cores, target)
        assert (folder / "model.cbm").read_bytes() == (tmp_path / "two/model.cbm").read_bytes()
        found, predictor = load(folder, task)(rows), autogluon(folder)
        if task == CLASSIFIER:  # AutoGluon gives probabilities in 32 bits
            np.testing.assert_array_equal(found.astype(np.float32), predictor.predict_proba(rows)[1])
        else:
            np.testing.assert_allclose(np.log10(found), predictor.predict(rows), rtol=1e-6)
            (model,) = predictor.model_names()
            own = predictor._trainer.load_model(model).model.predict(rows)
            np.testing.assert_allclose(np.log10(found), own, rtol=1e-12)


@pytest.mark.slow
def test_the_ensemble_of_three_libraries_is_trained_and_predicted_by_autogluon(tmp_path, monkeypatch):
    few = {"CAT": [{"iterations": 60}], "GBM": [{"num_boost_round": 20}], "XGB": [{"n_estimators": 20}]}
    monkeypatch.setattr("MLmodel.learner.ENSEMBLE", {"hyperparameters": few, "num_bag_folds": 2, "refit_full": True})
    pairs = made_up()
    limits = TrainingSettings(fast=False, max_seconds_per_pair=1.0)
    fitted = fit(to_learn(pairs, PREDICTOR, FEATURES), PREDICTOR, limits, 1, tmp_path)
    assert not fitted.was_cut
    assert 0 < fitted.seconds_per_pair < 1
    predictor = autogluon(tmp_path)
    assert {name.split("_")[0] for name in predictor.model_names()} >= {"CatBoost", "LightGBM", "XGBoost"}
    found = load(tmp_path, PREDICTOR)(asked(pairs))
    np.testing.assert_allclose(np.log10(found), predictor.predict(asked(pairs)), rtol=1e-12)


# The smooth model
def shaped(pairs=400, glasses=8):
    rng = np.random.default_rng(3)
    largest = rng.uniform(0.1, 1.0, pairs)
    return pd.DataFrame(
        {
            "conf": np.arange(pairs) % glasses,
            "Delta_E": rng.normal(0, 0.05, pairs),
            "displacement_0": largest,
            "displacement_1": largest * rng.uniform(0.2, 1.0, pairs),
            "0to1": rng.uniform(0.8, 3.0, pairs),
            "total_displacement": largest * rng.uniform(1.1, 3.0, pairs),
            "PR": rng.uniform(1.0, 30.0, pairs),
            "own": rng.normal(size=pairs),
        }
    )


SHAPED = ["Delta_E", "displacement_0", "displacement_1", "0to1", "total_displacement", "PR", "own"]


def smooth_rule(pairs):
    return np.log10(pairs["total_displacement"]) - 8 * np.abs(pairs["Delta_E"]) - 2


def test_a_table_may_lack_columns_and_hold_zeros():
    few = pd.DataFrame({"Delta_E": [0.0, 0.1], "total_displacement": [0.0, 1.0]})
    features = shape_features(few)
    assert features.shape == (2, 2)
    assert np.isfinite(features).all()
    assert np.isfinite(learn_smooth(few, np.array([0.0, 1.0]), PREDICTOR).predict(few)).all()
    assert shape_features(pd.DataFrame({"own": [1.0, 2.0]})).shape == (2, 1)


@pytest.mark.parametrize("task", [CLASSIFIER, PREDICTOR])
def test_predictions_are_those_of_scikit_learn(task):
    train, test = shaped(), shaped(5000)
    target = smooth_rule(train).to_numpy()
    kernel = Nystroem(gamma=0.5 / LENGTH**2, n_components=LANDMARKS, random_state=0)
    if task == CLASSIFIER:
        target = (target > np.median(target)).astype(float)
        model = make_pipeline(StandardScaler(), kernel, LogisticRegression(C=3.0, max_iter=1000))
        expected = model.fit(shape_features(train), target).predict_proba(shape_features(test))[:, 1]
    else:
        model = make_pipeline(StandardScaler(), kernel, Ridge(0.3))
        expected = model.fit(shape_features(train), target).predict(shape_features(test))
    np.testing.assert_allclose(learn_smooth(train, target, task).predict(test), expected, atol=1e-7)


@pytest.mark.parametrize("task", [CLASSIFIER, PREDICTOR])
def test_it_is_used_where_it_helps_on_glasses_kept_out(task):
    pairs = shaped()
    of_shape, of_own = smooth_rule(pairs), pairs["own"] - 2
    noise = np.random.default_rng(4).normal(size=len(pairs))
    for rule, helps in ((of_shape, True), (of_own, False)):
        noisy = rule + 0.3 * rule.std() * noise
        labelled = pairs.assign(**{DW: (noisy > rule.median()).astype(int), QS: 10.0**rule})
        assert out_of_fold(labelled, SHAPED, task)[1] == helps


@pytest.mark.slow
def test_the_trained_model_is_the_mean_of_both(tmp_path):
    pairs = shaped()
    labelled = pairs.assign(**{QS: 10.0 ** smooth_rule(pairs)})
    table, limits = to_learn(labelled, PREDICTOR, SHAPED), TrainingSettings(fast=True)
    alone, mean = (tmp_path / name for name in ("trees", "mean"))
    for folder, with_smooth in ((alone, False), (mean, True)):
        fit(table, PREDICTOR, limits, 1, folder, with_smooth)
    smooth = learn_smooth(pairs, smooth_rule(pairs).to_numpy(), PREDICTOR).predict(pairs)
    trees = load(alone, PREDICTOR)(pairs[SHAPED])
    expected = 10 ** ((np.log10(trees) + smooth) / 2)
    np.testing.assert_allclose(load(mean, PREDICTOR)(pairs[SHAPED]), expected, rtol=1e-6)


# Results that were not learnt correct their like
@pytest.fixture
def pairs():
    """Of two glasses in turn."""
    rng = np.random.default_rng(5)
    answers = {QS: 10 ** rng.uniform(-3, -1, 600), PROBABILITY: rng.uniform(0.1, 1.0, 600), DW: 1}
    return shaped(600, 2)[["conf", "Delta_E", "total_displacement"]].assign(**answers)


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
    splitting, probability, _ = LocalCorrection(results, is_new(results), pairs, chances).correct(pairs)
    z = standardised(pairs)
    for errors, amplitude, noise, found in (
        (
            np.log10(results["exact"]) - chances.expected(results[QS].to_numpy()),
            AMPLITUDE,
            np.full(len(known), DAMPING**2),
            np.log10(splitting / pairs[QS]),
        ),
        (
            1 - results[PROBABILITY].clip(0.02, 0.98),
            DW_AMPLITUDE,
            (results[PROBABILITY] * (1 - results[PROBABILITY])).clip(0.02 * 0.98).to_numpy(),
            (probability - pairs[PROBABILITY])[probability < 0.999],
        ),
    ):
        squares = ((z[:, None] - z[None, known]) ** 2).sum(axis=2)
        kernel = amplitude**2 * np.exp(-squares / (2 * REACH**2))
        expected = kernel @ np.linalg.solve(kernel[known] + np.diag(noise), errors)
        expected[1::2] = 0  # the other glass
        np.testing.assert_allclose(found, expected[found.index], atol=1e-6)  # far ones are left out


def test_of_many_results_of_a_glass_those_of_the_smallest_predicted_splittings_are_kept(pairs, chances, monkeypatch):
    monkeypatch.setattr("MLmodel.correction.MOST", 5)
    known = pairs.iloc[::2].assign(exact=0.01)  # of one glass
    smallest = known.nsmallest(5, QS)
    found, kept = (LocalCorrection(one, is_new(one), pairs, chances) for one in (known, smallest))
    assert len(pickle.dumps(found)) == len(pickle.dumps(kept))
    np.testing.assert_allclose(np.array(found.correct(pairs)), np.array(kept.correct(pairs)))


def test_a_pair_that_is_no_double_well_lowers_the_chance_of_its_like_and_no_splitting(pairs, chances):
    row = pairs.iloc[[0]].assign(**{PROBABILITY: 0.9})
    results = row.assign(**{DW: 0, "exact": np.nan})
    splitting, probability, _ = LocalCorrection(results, is_new(results), pairs, chances).correct(row)
    # One result of variance p (1 - p): the error -p shrinks by a² / (a² + p (1 - p)).
    expected = 0.9 - 0.9 * DW_AMPLITUDE**2 / (DW_AMPLITUDE**2 + 0.9 * 0.1)
    np.testing.assert_allclose(probability, expected)
    np.testing.assert_allclose(splitting, row[QS])


def test_what_was_learnt_corrects_nothing_and_makes_errors_smaller_by_the_variance_of_the_process(pairs, chances):
    learnt = pairs.iloc[[0]].assign(exact=0.5)
    splitting, probability, spread = LocalCorrection(learnt, np.array([False]), pairs, chances).correct(pairs)
    np.testing.assert_allclose(splitting, pairs[QS])
    np.testing.assert_array_equal(probability, pairs[PROBABILITY])
    a, n = AMPLITUDE**2, NOISE**2
    np.testing.assert_allclose(spread[0], np.sqrt((a - a**2 / (a + n) + n) / (a + n)))


def test_where_errors_are_smaller_a_prediction_above_the_threshold_is_less_likely_a_tls():
    rng = np.random.default_rng(9)
    predicted = 10 ** rng.uniform(-3.5, -2, 20_000)
    threshold, scale = 10**-2.9, 0.2
    found = tls_chances(predicted * 10 ** rng.normal(0, scale, len(predicted)), predicted, threshold)
    asked = np.array([10**-2.6, 10**-2.9, 10**-3.2])
    for spread in (1.0, 0.7, 0.4):
        expected = norm.cdf((np.log10(threshold) - np.log10(asked)) / (spread * np.hypot(scale, 0.04)))
        np.testing.assert_allclose(found(asked, spread), expected, atol=0.03)
