"""A training: the clock ends it only between models, and what it learns depends on the table alone."""

import numpy as np
import pandas as pd
import pytest

from MLmodel import learner, time_guard
from MLmodel.training import too_few
from pipeline.settings import Settings, TrainingSettings
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, Workspace

pytestmark = pytest.mark.slow


@pytest.fixture
def table():
    features = np.random.default_rng(0).normal(size=(120, 3))
    return pd.DataFrame(features, columns=["a", "b", "c"]).assign(**{DW: (features[:, 0] > 0).astype(int)})


def fit(table, folder, cores=1, hours=1.0):
    from autogluon.tabular import TabularPredictor

    limits = TrainingSettings(train_hours=hours, fast=True)
    learner.fit(table, CLASSIFIER, limits, cores, str(folder))
    predictor = TabularPredictor.load(str(folder), verbosity=0)
    return predictor, learner.Trained(str(folder), CLASSIFIER).predict(table.drop(columns=DW))


def test_the_model_does_not_depend_on_the_number_of_cores(table, tmp_path):
    (_, one), (_, two) = (fit(table, tmp_path / str(cores), cores) for cores in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_once_train_hours_are_over_no_further_model_is_begun_and_those_trained_are_kept(
    table, tmp_path, monkeypatch, capsys
):
    asked = iter([0.0, 1.0])  # when the guard is set, and when the first model is to begin
    monkeypatch.setattr(time_guard.time, "thread_time", lambda: next(asked, 4000.0))
    predictor, chance = fit(table, tmp_path / "model")
    assert predictor.model_names() == ["LightGBM", "WeightedEnsemble_L2"]
    assert f"{learner.TIME_IS_OVER}: CatBoost is not trained" in capsys.readouterr().out
    assert chance[table[DW] == 1].mean() > 0.8


def test_which_results_are_too_few_to_learn_from_is_known_before_step_1_says_so(tmp_path):
    work, settings = Workspace(tmp_path), Settings()
    for path in (work.at("300").neb, work.at("300").pretraining(CLASSIFIER).parent):
        path.mkdir(parents=True)
    assert too_few(work.at("300"), settings) == "0 double wells, 0 non-DW pairs"
    pairs = [f"Cnf-1 0.1_0.{20 + k}" for k in range(20)]
    work.at("300").non_dw.write_text("".join(f"{pair}\n" for pair in [*pairs[:10], pairs[0]]))
    work.at("300").new_splittings.write_text("".join(f"{pair} 0.01\n" for pair in [*pairs[10:19], pairs[10]]))
    assert too_few(work.at("300"), settings) == "9 double wells"
    work.at("300").pretraining(CLASSIFIER).touch()
    assert too_few(work.at("300"), settings) == "9 double wells"  # of which the predictor learns
    work.at("12").pretraining(PREDICTOR).touch()
    assert too_few(work.at("300"), Settings(pretraining=["12"])) == ""
    with work.at("300").new_splittings.open("a") as file:
        file.write(f"{pairs[19]} 0.01\n")
    assert too_few(work.at("300"), settings) == ""
