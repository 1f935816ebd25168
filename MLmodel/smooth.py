"""A smooth model of the geometry of a pair: trees are made of steps, and tell pairs of a new glass apart less well."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from glass.arrays import Array
from pipeline.workspace import CLASSIFIER, Task

LENGTH = 2.2  # length of the kernel, in standard deviations of a feature
LANDMARKS = 300  # pairs of the training set between which the model interpolates
_RIDGE, _LOGISTIC = 0.3, 3.0  # regularisation: ``alpha`` of scikit-learn's Ridge, and ``C`` of its LogisticRegression
_BLOCK = 4096  # pairs predicted at a time: their distances from all landmarks take 10 MB
SOFTENING = 1e-3  # ε; smaller energy differences are all alike
_SHAPE = r"Delta_E|total_displacement|PR|displacement_\d+|0to\d+"
_SMALLEST = 1e-12  # smallest size whose logarithm is taken: tables that are not ours may hold a zero


def shape_features(pairs: pd.DataFrame, softening: float = SOFTENING) -> Array:
    """Logarithms of the sizes of pairs, and their shapes: what smooth models learn from; shape (n_pairs, n_features).

    ln(|Delta_E| + softening), ln total_displacement, ln displacement_0, ln PR, displacement_k / displacement_0, 0tok: 8
    for three particles. Columns that a table lacks are left out; ``softening`` is in the unit of energy of the pairs.
    """
    names = [name for name in pairs if re.fullmatch(_SHAPE, name)]
    columns = {name: pairs[name].to_numpy(np.float64) for name in names}
    found = [np.log(np.abs(columns["Delta_E"]) + softening)] if "Delta_E" in columns else []
    sizes = [name for name in ("total_displacement", "displacement_0", "PR") if name in columns]
    found += [np.log(np.maximum(columns[name], _SMALLEST)) for name in sizes]
    largest = np.maximum(columns.get("displacement_0", 1.0), _SMALLEST)
    found += [columns[name] / largest for name in names if re.fullmatch(r"displacement_[1-9]\d*", name)]
    found += [columns[name] for name in names if name.startswith("0to")]
    return np.column_stack(found) if found else np.zeros((len(pairs), 1))


class Smooth(NamedTuple):
    """Kernel ridge or kernel logistic regression on landmarks (Nyström's method; Williams and Seeger, NIPS 2000).

    The prediction is intercept + Σ_l coefficient_l exp(−|z − z_l|² / 2 LENGTH²), of a probability its logit; z are the
    standardised :func:`shape_features`, z_l those of the landmarks.
    """

    mean: Array
    scale: Array  # mean and standard deviation of each feature, shape (n_features,)
    landmarks: Array  # shape (n_landmarks, n_features)
    coefficients: Array  # shape (n_landmarks,)
    intercept: Array  # shape ()
    is_probability: Array  # shape (), 0 or 1
    softening: Array  # shape (), of shape_features

    def predict(self, pairs: pd.DataFrame) -> Array:
        """Probability of a double well, or the quantity that was learnt; shape (n_pairs,)."""
        places, landmarks = (shape_features(pairs, float(self.softening)) - self.mean) / self.scale, self.landmarks
        own, others = (-0.5 / LENGTH**2 * (one**2).sum(axis=1) for one in (places, landmarks))
        out = np.empty(len(pairs))
        for block in (slice(start, start + _BLOCK) for start in range(0, len(pairs), _BLOCK)):
            exponents = places[block] @ (landmarks.T / LENGTH**2)  # a third of the time of distances
            exponents += own[block, None]
            exponents += others
            out[block] = np.exp(exponents, out=exponents) @ self.coefficients
        out += self.intercept
        return np.asarray(expit(out)) if self.is_probability else out


def learn_smooth(
    pairs: pd.DataFrame, target: Array, task: Task, weights: Array | None = None, softening: float = SOFTENING
) -> Smooth:
    """Train a smooth model of whether pairs are double wells, or of any quantity of them."""
    from sklearn.kernel_approximation import Nystroem  # here, as they take long and no prediction needs them
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler

    features = shape_features(pairs, softening)
    scaler = StandardScaler().fit(features)
    kernel = Nystroem(gamma=0.5 / LENGTH**2, n_components=min(LANDMARKS, len(pairs)), random_state=0)
    mapped = kernel.fit_transform(scaler.transform(features))
    is_probability = task == CLASSIFIER
    model = LogisticRegression(C=_LOGISTIC, max_iter=1000) if is_probability else Ridge(_RIDGE)
    model.fit(mapped, target, weights)
    return Smooth(
        scaler.mean_,
        scaler.scale_,
        kernel.components_,
        kernel.normalization_.T @ model.coef_.ravel(),
        np.ravel(model.intercept_)[0],
        np.array(is_probability),
        np.array(softening),
    )
