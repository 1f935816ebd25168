"""A training: what it learns depends on the table alone, and CatBoost's file says what AutoGluon says."""

import numpy as np
import pandas as pd
import pytest

from MLmodel.learner import Trained, fit, to_learn
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
def test_catboost_reads_its_file_as_autogluon_would_also_where_features_are_unknown(tmp_path):
    pairs = made_up()
    rows = asked(pairs)
    for task in (CLASSIFIER, PREDICTOR):
        folder = tmp_path / task.name
        fit(to_learn(pairs, task, FEATURES), task, TrainingSettings(), 1, folder)
        found, predictor = Trained(folder, task).predict(rows), autogluon(folder)
        if task == CLASSIFIER:  # AutoGluon gives probabilities in 32 bits
            np.testing.assert_array_equal(found.astype(np.float32), predictor.predict_proba(rows)[1])
        else:
            np.testing.assert_allclose(np.log10(found), predictor.predict(rows), rtol=1e-6)
            (model,) = predictor.model_names()
            own = predictor._trainer.load_model(model).model.predict(rows)
            np.testing.assert_allclose(np.log10(found), own, rtol=1e-12)


@pytest.mark.slow
def test_the_model_is_the_same_to_the_byte_on_any_number_of_cores(tmp_path):
    table = to_learn(made_up(), CLASSIFIER, FEATURES)
    for cores in (1, 2):
        fit(table, CLASSIFIER, TrainingSettings(), cores, tmp_path / str(cores))
    one, two = ((tmp_path / f"{cores}/model.cbm").read_bytes() for cores in (1, 2))
    assert one == two


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
    found = Trained(tmp_path, PREDICTOR).predict(asked(pairs))
    np.testing.assert_allclose(np.log10(found), predictor.predict(asked(pairs)), rtol=1e-12)
