"""The trees of CatBoost, LightGBM and XGBoost, which AutoGluon trained, as those of :mod:`MLmodel.trees`."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from MLmodel.metrics import Array
from MLmodel.trees import MOST_LEAVES, Boosted, Node, Tree, Trees, as_arrays

_CLOSE = 1e-6
"""Relative to the sum of 1 and the prediction: AutoGluon rounds what each model says to 32 bits."""

_CHECKED = 5000
"""Pairs on which both are compared, and again with features of other pairs and missing ones."""


class _NotTreesError(Exception):
    """A model that is no sum of trees of this kind."""


def import_trees(predictor: Any, name: str, features: pd.DataFrame) -> Trees | None:
    """One of AutoGluon's models as trees; None if it is not made of trees, or they would not say the same.

    Parameters
    ----------
    predictor : TabularPredictor
        AutoGluon's.
    name : str
        Of its model.
    features : DataFrame of shape (n_pairs, n_features)
        Pairs on which both must agree.
    """
    try:
        trees = as_arrays(*_models(predictor, name, list(features)))
    except (_NotTreesError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
        return None  # learners that a later AutoGluon keeps elsewhere
    asked = _to_compare(features)
    theirs = autogluon_prediction(predictor, asked, name)
    return trees if np.allclose(trees.predict(asked), theirs, rtol=_CLOSE, atol=_CLOSE) else None


def autogluon_prediction(predictor: Any, features: pd.DataFrame, model: str | None = None) -> Array:
    """Probability of a double well, or the quantity that was learnt, of each pair; default: by the best model."""
    if predictor.problem_type == "binary":
        return np.asarray(predictor.predict_proba(features, model=model, as_multiclass=False), dtype=np.float64)
    return np.asarray(predictor.predict(features, model=model), dtype=np.float64)


def _to_compare(features: pd.DataFrame) -> pd.DataFrame:
    """Some pairs, and pairs that are put together from the features of different ones, some of them missing."""
    rng = np.random.default_rng(0)
    some = features.sample(min(_CHECKED, len(features)), random_state=0)
    mixed = some.apply(lambda column: rng.permutation(column.to_numpy()))
    return pd.concat([some, mixed.mask(rng.random(some.shape) < 0.1)], ignore_index=True)


def _models(predictor: Any, name: str, features: list[str]) -> tuple[list[Boosted], int, dict[int, float]]:
    """What :func:`MLmodel.trees.as_arrays` takes."""
    generators = predictor._learner.feature_generator.generators
    equal_to = {features.index(of): float(value) for of, value in generators[0][0]._bool_features.items()}
    seen = list(predictor.transform_features(pd.DataFrame(np.eye(2, len(features)), columns=features)))
    boosted = []
    for model, weight in _parts(predictor, name):
        # The number of each feature goes in and comes out where the model has it.
        numbers = pd.DataFrame([[float(features.index(of)) for of in seen]], columns=seen)
        row = model.preprocess(numbers)
        order = (row.toarray() if issparse(row) else row.to_numpy())[0].astype(int).tolist()
        boosted.append(_READERS[type(model).__name__](model.model, order, issparse(row))._replace(weight=weight))
    return boosted, len(features), equal_to


def _parts(predictor: Any, name: str) -> list[tuple[Any, float]]:
    """The models whose weighted sum one is, each with its weight."""
    model, refitted = predictor._trainer.load_model(name), predictor.model_refit_map()
    children = [model.load_child(child) for child in getattr(model, "models", [])]
    if not children:
        return [(model, 1.0)]
    parts = []
    for child in children:
        if hasattr(child, "weights_"):
            for base, weight in zip(child.base_model_names, child.weights_, strict=True):
                base = refitted.get(base, base) if name in refitted.values() else base
                parts += [(one, weight * own / len(children)) for one, own in _parts(predictor, base)]
        else:
            parts.append((child, 1.0 / len(children)))
    return parts


def _from_catboost(model: Any, order: list[int], sparse: bool) -> Boosted:
    """Its values are rounded to 32 bits; a bit of the place for each level, set above its border."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        content = json.loads(path.read_text())
    missing = {
        of["feature_index"]: np.inf if of["nan_value_treatment"] == "AsTrue" else -np.inf
        for of in content["features_info"]["float_features"]
    }
    trees = []
    for tree in content["oblivious_trees"]:
        splits = tree["splits"] or []
        nodes = [
            Node(
                order[split["float_feature_index"]],
                _rounds_up_to(np.nextafter(np.float32(split["border"]), np.float32(np.inf))),
                missing[split["float_feature_index"]],
                0.0,
                0,
                0,
                1 << level,
            )
            for level, split in enumerate(splits)
        ]
        if len(tree["leaf_values"]) != 1 << len(splits) or len(splits) > 8:
            raise _NotTreesError
        trees.append(Tree(nodes, tree["leaf_values"]))
    scale, (bias,) = content["scale_and_bias"]
    trees = [Tree(tree.nodes, [scale * leaf for leaf in tree.leaves]) for tree in trees]
    return Boosted(trees, bias, hasattr(model, "predict_proba"), 1.0)


def _from_lightgbm(model: Any, order: list[int], sparse: bool) -> Boosted:
    """It takes values of 64 bits, and goes left at the threshold and below."""
    content = model.dump_model()

    def split(node: dict[str, Any]) -> tuple[tuple[int, float, float, float], Any, Any] | None:
        if "leaf_value" in node:
            return None
        if node["decision_type"] != "<=" or node["missing_type"] not in ("None", "NaN"):
            raise _NotTreesError
        missing = 0.0 if node["missing_type"] == "None" else -np.inf if node["default_left"] else np.inf
        edge = float(np.nextafter(node["threshold"], np.inf))
        return (order[node["split_feature"]], edge, missing, 0.0), node["left_child"], node["right_child"]

    trees = [
        _tree(one["tree_structure"], split, lambda node: float(node["leaf_value"])) for one in content["tree_info"]
    ]
    objective = content["objective"].split()
    if content["average_output"] or objective[0] not in ("regression", "binary"):
        raise _NotTreesError
    if objective[0] == "binary" and "sigmoid:1" not in objective:
        raise _NotTreesError
    return Boosted(trees, 0.0, objective[0] == "binary", 1.0)


def _from_xgboost(model: Any, order: list[int], sparse: bool) -> Boosted:
    """Its values are rounded to 32 bits; it goes left below the threshold. In a sparse matrix zeros are missing."""
    booster = model.get_booster()
    booster = booster[: model.best_iteration + 1] if booster.attr("best_iteration") else booster
    learner = json.loads(booster.save_raw("json"))["learner"]
    objective = learner["objective"]["name"]
    if objective not in ("reg:squarederror", "binary:logistic"):
        raise _NotTreesError
    trees = []
    for one in learner["gradient_booster"]["model"]["trees"]:
        if any(one["split_type"]):
            raise _NotTreesError

        def split(node: int, one: dict[str, Any] = one) -> tuple[tuple[int, float, float, float], int, int] | None:
            left, right = one["left_children"][node], one["right_children"][node]
            if left < 0:
                return None
            missing = -np.inf if one["default_left"][node] else np.inf
            edge = _rounds_up_to(np.float32(one["split_conditions"][node]))
            return (order[one["split_indices"][node]], edge, missing, missing if sparse else 0.0), left, right

        def leaf(node: int, one: dict[str, Any] = one) -> float:
            return float(np.float32(one["split_conditions"][node]))

        trees.append(_tree(0, split, leaf))
    bias = float(learner["learner_model_param"]["base_score"].strip("[]"))
    is_logit = objective == "binary:logistic"
    return Boosted(trees, float(np.log(bias / (1 - bias))) if is_logit else bias, is_logit, 1.0)


_READERS = {"CatBoostModel": _from_catboost, "LGBModel": _from_lightgbm, "XGBoostModel": _from_xgboost}


def _tree(root: Any, split: Any, leaf: Any) -> Tree:
    """Any binary tree: the place of a pair is the first leaf that it can still reach, counted from the left."""
    nodes: list[Node] = []
    leaves: list[float] = []

    def count(node: Any) -> int:
        found = split(node)
        return 1 if found is None else count(found[1]) + count(found[2])

    def add(node: Any) -> None:
        found = split(node)
        if found is None:
            leaves.append(leaf(node))
            return
        (feature, edge, missing, zero), left, right = found
        nodes.append(Node(feature, edge, missing, zero, 255, len(leaves), count(left)))
        add(left)
        add(right)

    if count(root) > MOST_LEAVES:
        raise _NotTreesError
    add(root)
    return Tree(nodes, leaves)


def _rounds_up_to(value: np.float32) -> float:
    """The smallest 64-bit number that is not below a 32-bit one when rounded to 32 bits."""
    below = float(np.nextafter(value, np.float32(-np.inf)))
    middle = 0.5 * (below + float(value))
    return middle if np.float32(middle) >= value else float(np.nextafter(middle, np.inf))
