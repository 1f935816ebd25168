"""The smooth model: what it sees of a pair, that it is scikit-learn's, and that it is used where it helps."""

import numpy as np
import pandas as pd
import pytest
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from MLmodel.learner import Trained, fit, to_learn
from MLmodel.out_of_fold import out_of_fold
from MLmodel.smooth import LANDMARKS, LENGTH, learn_smooth, shape_features
from pipeline.settings import TrainingSettings
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS


def made_up(pairs=400, glasses=8):
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


FEATURES = ["Delta_E", "displacement_0", "displacement_1", "0to1", "total_displacement", "PR", "own"]


def smooth_rule(pairs):
    return np.log10(pairs["total_displacement"]) - 8 * np.abs(pairs["Delta_E"]) - 2


def test_features_are_logarithms_and_ratios():
    pair = pd.DataFrame(
        {"Delta_E": [-0.049], "displacement_0": [0.5], "displacement_1": [0.4], "displacement_2": [0.1]}
    ).assign(**{"0to1": 1.2, "0to2": 2.0, "total_displacement": 0.8, "PR": 3.0, "Tij": np.nan, "own": 7.0})
    expected = [np.log(0.05), np.log(0.8), np.log(0.5), np.log(3.0), 0.8, 0.2, 1.2, 2.0]
    np.testing.assert_allclose(shape_features(pair), [expected])


def test_a_table_may_lack_columns_and_hold_zeros():
    few = pd.DataFrame({"Delta_E": [0.0, 0.1], "total_displacement": [0.0, 1.0]})
    features = shape_features(few)
    assert features.shape == (2, 2)
    assert np.isfinite(features).all()
    assert np.isfinite(learn_smooth(few, np.array([0.0, 1.0]), PREDICTOR).predict(few)).all()
    assert shape_features(pd.DataFrame({"own": [1.0, 2.0]})).shape == (2, 1)


@pytest.mark.parametrize("task", [CLASSIFIER, PREDICTOR])
def test_predictions_are_those_of_scikit_learn(task):
    train, test = made_up(), made_up(5000)
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
    pairs = made_up()
    of_shape, of_own = smooth_rule(pairs), pairs["own"] - 2
    noise = np.random.default_rng(4).normal(size=len(pairs))
    for rule, helps in ((of_shape, True), (of_own, False)):
        noisy = rule + 0.3 * rule.std() * noise
        labelled = pairs.assign(**{DW: (noisy > rule.median()).astype(int), QS: 10.0**rule})
        assert out_of_fold(labelled, FEATURES, task).with_smooth == helps


@pytest.mark.slow
def test_the_trained_model_is_the_mean_of_both(tmp_path):
    pairs = made_up()
    labelled = pairs.assign(**{QS: 10.0 ** smooth_rule(pairs)})
    table, limits = to_learn(labelled, PREDICTOR, FEATURES), TrainingSettings(fast=True)
    alone, mean = (tmp_path / name for name in ("trees", "mean"))
    for folder, with_smooth in ((alone, False), (mean, True)):
        fit(table, PREDICTOR, limits, 1, folder, with_smooth)
    smooth = learn_smooth(pairs, smooth_rule(pairs).to_numpy(), PREDICTOR).predict(pairs)
    trees = Trained(alone, PREDICTOR).predict(pairs[FEATURES])
    expected = 10 ** ((np.log10(trees) + smooth) / 2)
    np.testing.assert_allclose(Trained(mean, PREDICTOR).predict(pairs[FEATURES]), expected, rtol=1e-6)
