"""Trees as arrays say what AutoGluon says, and take its place only then."""

import numpy as np
import pandas as pd
import pytest

from MLmodel import learner, tree_import
from MLmodel.learner import Trained, fit, to_learn
from MLmodel.tree_import import autogluon_prediction, import_trees
from MLmodel.trees import Boosted, Node, Tree, Trees, as_arrays
from pipeline.errors import UserError
from pipeline.settings import TrainingSettings
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS

CLOSE = 3e-6
"""AutoGluon adds in 32 bits, of numbers up to 5."""


def made_up(pairs=600):
    rng = np.random.default_rng(2)
    table = pd.DataFrame(rng.gamma(1.0, 1.0, (pairs, 4)), columns=["Delta_E", "displacement_0", "0to1", "own"])
    table["whole"] = rng.integers(0, 4, pairs)  # has zeros, which are missing in a sparse matrix
    table["nearest_i"] = rng.choice([0.0, 0.5, np.nan, 2.0, -1.0], pairs)
    table["two"] = rng.choice([3.0, 7.0], pairs)
    table["Tij"] = rng.choice([5.0, np.nan], pairs)
    table["same"] = 1.0
    features = list(table)
    signal = table["Delta_E"] + table["whole"] * table["two"] + table["nearest_i"].fillna(4.0) + table["Tij"].fillna(0)
    noisy = signal + rng.normal(0, 2.0, pairs)
    return table.assign(**{DW: (noisy > noisy.median()).astype(int), QS: 10 ** (-1 - noisy / 10)}), features


def asked(pairs, features):
    """Pairs like those trained on, and others with all features here and there unknown, zero, very large or small."""
    rng = np.random.default_rng(3)
    like = pairs[features]
    mixed = like.apply(lambda column: rng.permutation(column.to_numpy()))
    values = np.array([np.nan, 0.0, -0.0, 1e-300, -1e300, 1e300, 7.0])
    odd = mixed.mask(rng.random(like.shape) < 0.2, rng.choice(values, like.shape))
    return pd.concat([like, mixed.astype(np.float32).astype(np.float64), odd], ignore_index=True)


def autogluon(folder):
    from autogluon.tabular import TabularPredictor

    return TabularPredictor.load(str(folder), verbosity=0)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "fast"), [(CLASSIFIER, False), (PREDICTOR, False), (PREDICTOR, True)])
def test_every_model_of_autogluon_is_said_again_by_its_trees(task, fast, tmp_path, monkeypatch):
    few = {"CAT": [{"iterations": 60}], "GBM": [{"num_boost_round": 20}], "XGB": [{"n_estimators": 20}]}
    monkeypatch.setitem(learner.THOROUGH, "hyperparameters", few)
    monkeypatch.setitem(learner.THOROUGH, "num_bag_folds", 2)
    pairs, features = made_up()
    fit(to_learn(pairs, task, features), task, TrainingSettings(fast=fast), 1, str(tmp_path))
    predictor, rows = autogluon(tmp_path), asked(pairs, features)
    predictor.persist()
    names = predictor.model_names(can_infer=True)
    assert len(names) >= 3
    for name in names:
        trees = import_trees(predictor, name, pairs[features].astype(np.float64))
        expected = autogluon_prediction(predictor, rows, name)
        np.testing.assert_allclose(trees.predict(rows), expected, rtol=CLOSE, atol=CLOSE, err_msg=name)
    best = autogluon_prediction(predictor, rows)
    expected = best if task == CLASSIFIER else 10.0**-best
    np.testing.assert_allclose(Trained(str(tmp_path), task).predict(rows), expected, rtol=1e-5)
    (tmp_path / "trees.npz").unlink()  # as earlier versions trained it
    np.testing.assert_allclose(Trained(str(tmp_path), task).predict(rows), expected, rtol=1e-12)


@pytest.mark.slow
def test_what_the_trees_say_otherwise_is_predicted_by_autogluon_itself(tmp_path, monkeypatch):
    pairs, features = made_up()

    def wrong(model, order, sparse):
        found = tree_import._from_lightgbm(model, order, sparse)
        return found._replace(bias=found.bias + 1e-3)

    monkeypatch.setitem(tree_import._READERS, "LGBModel", wrong)
    monkeypatch.setitem(learner.FAST, "hyperparameters", {"GBM": [{"num_boost_round": 20}], "KNN": {}})
    fit(to_learn(pairs, CLASSIFIER, features), CLASSIFIER, TrainingSettings(fast=True), 1, str(tmp_path))
    assert not (tmp_path / "trees.npz").exists()
    expected = autogluon_prediction(autogluon(tmp_path), pairs[features])
    np.testing.assert_array_equal(Trained(str(tmp_path), CLASSIFIER).predict(pairs[features]), expected)


def by_hand():
    """Right of 1 a hundred, of those right of 2 a thousand; missing ones go right, zeros left."""
    first = Node(0, 1.0, np.inf, 0.0, 255, 0, 1)
    second = Node(1, 2.0, np.inf, 0.0, 255, 1, 1)
    return as_arrays([Boosted([Tree([first, second], [1.0, 100.0, 1000.0])], 0.5, False, 2.0)], 2, {})


def test_a_pair_goes_right_where_its_value_is_not_below_the_edge():
    rows = pd.DataFrame({"a": [0.0, 0.999, 1.0, 1.0, np.nan, np.inf], "b": [5.0, 5.0, 1.0, 2.0, np.nan, -np.inf]})
    np.testing.assert_array_equal(by_hand().predict(rows), 2 * (0.5 + np.array([1, 1, 100, 1000, 1000, 100])))


def test_a_feature_may_have_more_edges_than_a_byte_has_values():
    edges = np.arange(1.0, 1000.0)
    trees = [Tree([Node(0, edge, np.inf, 0.0, 0, 0, 1)], [0.0, 1.0]) for edge in edges.tolist()]
    values = pd.DataFrame({"a": [-1.0, 0.5, 1.0, 254.9, 255.0, 256.0, 511.0, 999.0, 1e9, np.nan]})
    expected = np.searchsorted(edges, values["a"].fillna(np.inf), side="right")
    np.testing.assert_array_equal(as_arrays([Boosted(trees, 0.0, False, 1.0)], 1, {}).predict(values), expected)


def test_a_prediction_does_not_depend_on_the_pairs_beside():
    rng = np.random.default_rng(0)
    nodes = [[Node(k % 3, edge, np.inf, 0.0, 0, 0, 1)] for k, edge in enumerate(rng.normal(size=50))]
    trees = as_arrays([Boosted([Tree(one, [0.0, 0.1 * k]) for k, one in enumerate(nodes)], 0.0, True, 1.0)], 3, {})
    rows = pd.DataFrame(rng.normal(size=(1300, 3)))
    alone = [trees.predict(rows[start : start + 7]) for start in range(0, 1300, 7)]
    np.testing.assert_array_equal(np.concatenate(alone), trees.predict(rows))


def test_trees_are_read_back_as_they_were_written_and_damaged_ones_are_named(tmp_path):
    path = tmp_path / "trees.npz"
    by_hand().save(path)
    for one, other in zip(Trees.load(path), by_hand(), strict=True):
        np.testing.assert_array_equal(one, other)
    content = path.read_bytes()
    for damaged in (b"", content[:-100], content.replace(b"NUMPY", b"numpy")):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"trees\.npz: damaged") as refused:
            Trees.load(path)
        assert "\n" not in str(refused.value)
