"""Why the models say so: effects that are Shapley values, add up to the prediction, and are written, drawn and told."""

import shutil
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from steps import done, refused, run_drawing

from MLmodel.card import find_card
from MLmodel.model import Model, read_set
from pipeline.formats.keys import PAIR_COLUMNS
from pipeline.units import REDUCED
from pipeline.workspace import CLASSIFIER, PREDICTOR, Workspace
from reporting.effects import mean_effects, shap_values

RNG = np.random.default_rng(0)
BACKGROUND, ROWS = RNG.normal(size=(30, 3)), RNG.normal(size=(4, 3))
COLUMNS = [*PAIR_COLUMNS, "prediction", "base_value", "feature", "value", "shap"]


def shapley(function, row, background):
    """Shapley values by Shapley's own sum over all sets of features; v(S) as in the docstring of shap_values."""
    features = set(range(len(row)))

    def v(some):
        mixed = background.copy()
        mixed[:, list(some)] = row[list(some)]
        return function(mixed).mean()

    values = np.zeros(len(row))
    for k in features:
        for size in range(len(row)):
            weight = factorial(size) * factorial(len(row) - size - 1) / factorial(len(row))
            for some in combinations(features - {k}, size):
                values[k] += weight * (v({*some, k}) - v(some))
    return values


def test_effects_are_shapley_values_where_features_act_in_twos():
    def function(rows):
        return np.sin(rows[:, 0]) * rows[:, 1] + np.abs(rows[:, 2]) - rows[:, 1] * rows[:, 2] ** 2

    _, effects = shap_values(function, ROWS, BACKGROUND)
    np.testing.assert_allclose(effects, [shapley(function, row, BACKGROUND) for row in ROWS], atol=1e-12)


# The script
@pytest.fixture(scope="module")
def interpreted(trained, tmp_path_factory):
    """The trained workspace after two runs, each of which lacks what the other has; what they said."""
    root = shutil.copytree(trained, tmp_path_factory.mktemp("interpreted") / "copy")
    at, aside = Workspace(root).at("0.1"), root / "aside"
    train, test = (at.model_set(CLASSIFIER, subset) for subset in ("train", "test"))
    test.rename(aside)
    shutil.copy(train, test)
    changed = refused("interpret", root, run=run_drawing)
    assert sorted(path.name for path in at.output.glob("shap-*")) == ["shap-predictor.csv", "shap-predictor.png"]
    aside.rename(test)
    at.card(PREDICTOR).rename(aside)
    missing = done("interpret", root, run=run_drawing)
    aside.rename(at.card(PREDICTOR))
    return root, changed, missing


def written(root, name):
    return pd.read_csv(root / f"output_ML/T0.1/shap-{name}.csv", float_precision="round_trip")


@pytest.mark.slow
@pytest.mark.parametrize("task", [CLASSIFIER, PREDICTOR], ids=lambda task: task.name)
def test_the_effects_add_up_to_what_the_pipeline_predicts(interpreted, task):
    root, _, _ = interpreted
    rows = written(root, task.name)
    assert list(rows) == COLUMNS
    at = Workspace(root).at("0.1")
    model = Model(at, find_card(at, task, REDUCED))
    test = read_set(at, model.card, "test")
    predicted = model.predict(test) if task == CLASSIFIER else np.log10(model.predict(test))
    by_pair = rows.groupby(PAIR_COLUMNS, sort=False)
    total = by_pair["shap"].sum() + by_pair["base_value"].first()
    np.testing.assert_allclose(total, by_pair["prediction"].first(), atol=1e-9)
    np.testing.assert_allclose(total, predicted, atol=1e-6)  # of each pair of the small test set, in its order
    train = model.predict(read_set(at, model.card, "train"))
    mean = (train if task == CLASSIFIER else np.log10(train)).mean()
    assert rows["base_value"][0] == pytest.approx(mean, abs=0.01)
    assert imread(root / f"output_ML/T0.1/shap-{task.name}.png").std() > 0.01
    if task == PREDICTOR:  # by synthetic.rule
        assert {*mean_effects(rows).index[:1]} <= {"Delta_E", "total_displacement"}


@pytest.mark.slow
def test_one_pair_is_explained_in_either_order_and_its_numbers_are_those_of_the_lists(trained_copy):
    pair = pd.read_csv(
        trained_copy / "output_ML/T0.1/predictedQs_T0.1_allpairs.csv", float_precision="round_trip"
    ).iloc[3]
    conf, i, j = int(pair["conf"]), float(pair["i"]), float(pair["j"])
    said = done("interpret", trained_copy, "--pair", conf, j, i)
    assert f"classifier, Cnf-{conf} {i:.10f}_{j:.10f}\n" in said
    assert f"a double well with a chance of {pair['dw_probability']:.3f}; step 2 keeps pairs from 0.1 on" in said
    assert f"a splitting of {pair['quantum_splitting']:.3g} ε if it is a double well; a TLS is below 0.00151 ε" in said
    rows = written(trained_copy, "pair-classifier")
    assert (rows["conf"] == conf).all()
    assert (rows["i"] == i).all()
    for name in ("Delta_E", "total_displacement", "PR"):
        assert rows.set_index("feature")["value"][name] == pytest.approx(pair[name], rel=1e-5)  # six digits
    assert rows["prediction"][0] == pytest.approx(pair["dw_probability"], abs=2e-6)
    assert rows["base_value"][0] + rows["shap"].sum() == pytest.approx(pair["dw_probability"], abs=2e-6)
    splitting = 10 ** written(trained_copy, "pair-predictor")["prediction"][0]
    assert splitting == pytest.approx(pair["quantum_splitting"], rel=1e-5)
    other = done("interpret", trained_copy, "--pair", conf, i + 1e-14, j, "-T", "0.1")
    assert other == said
    assert not (trained_copy / "output_ML/T0.1/shap-classifier.png").exists()


@pytest.mark.slow
def test_effects_are_told_and_what_one_model_lacks_does_not_keep_the_other_from_being_explained(interpreted):
    root, changed, missing = interpreted
    assert "was changed since the training; run step1_train_dw.py" in changed
    assert "T = 0.1: no predictor yet, left out; run step3_train_qs.py" in missing
    assert "mean |effect| of each feature on the probability of a double well" in missing
    for name, value in mean_effects(written(root, "classifier")).items():
        assert f"    {name:34s} {value:10.4f}\n" in missing
