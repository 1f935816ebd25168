"""A smooth model of the geometry of a pair: trees are made of steps, and tell pairs of a new glass apart less well."""

import math
import re
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pandas as pd
from scipy.special import expit

from MLmodel.metrics import Array
from MLmodel.trees import read_arrays
from pipeline.files import atomic_write
from pipeline.workspace import CLASSIFIER, Task

LENGTH = 2.2
"""Of the kernel, in standard deviations of a feature."""

LANDMARKS = 300
"""Pairs of the training set between which the model interpolates."""

_RIDGE, _LOGISTIC = 0.3, 3.0
"""Regularisation: ``alpha`` of scikit-learn's Ridge, and ``C`` of its LogisticRegression."""

_BLOCK = 512
"""Pairs predicted at a time: what is computed for them stays in the processor's first cache."""

_ROUNDS, _LEAST = 1.5 * 2.0**52, -1000.0
"""Of :func:`_add_gaussians`: what makes whole numbers; powers of two below 2^−1000 are as good as zero."""

_TAYLOR_DOWN = tuple(math.log(2.0) ** k / math.factorial(k) for k in range(11))[::-1]
"""Taylor series of 2^r: relative error 2e-13 for |r| ≤ ½."""

SOFTENING = 1e-3
"""ε; smaller energy differences are all alike."""

_SHAPE = r"Delta_E|total_displacement|PR|displacement_\d+|0to\d+"

_SMALLEST = 1e-12
"""Of sizes whose logarithm is taken: tables that are not ours may hold a zero."""


def shape_features(pairs: pd.DataFrame, softening: float = SOFTENING) -> Array:
    """Logarithms of the sizes of a pair, and its shape: what smooth models learn from.

    Parameters
    ----------
    pairs : DataFrame of shape (n_pairs, n_columns)
        Columns that a table lacks are left out.
    softening : float, default 0.001
        SOFTENING in the unit of energy of the pairs.

    Returns
    -------
    ndarray of shape (n_pairs, n_features)
        ln(|Delta_E| + softening), ln total_displacement, ln displacement_0, ln PR, displacement_k / displacement_0,
        0tok: 8 for three particles.
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
    scale: Array
    """Of each feature, shape (n_features,)."""
    landmarks: Array
    """Shape (n_landmarks, n_features)."""
    coefficients: Array
    """Shape (n_landmarks,)."""
    intercept: Array
    """Shape ()."""
    is_probability: Array
    """Shape (), 0 or 1."""
    softening: Array | float = SOFTENING
    """Shape (), of :func:`shape_features`; earlier files do not tell."""

    def predict(self, pairs: pd.DataFrame) -> Array:
        """Probability of a double well, or the quantity that was learnt; shape (n_pairs,)."""
        standardised = (shape_features(pairs, float(self.softening)) - self.mean) / self.scale
        out = np.full(len(pairs), float(self.intercept))
        _add_gaussians(np.ascontiguousarray(standardised.T), self.landmarks, self.coefficients, LENGTH, out)
        out[np.isnan(standardised).any(axis=1)] = np.nan
        return np.asarray(expit(out)) if self.is_probability else out

    def save(self, path: Path) -> None:
        """Write all arrays to an ``.npz`` file."""
        with atomic_write(path) as part, open(part, "wb") as file:
            np.savez(file, **self._asdict())

    @classmethod
    def load(cls, path: Path) -> "Smooth":
        """Read what :meth:`save` wrote."""
        return cls(**read_arrays(path, cls._fields, may_lack=["softening"]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_gaussians(features, landmarks, coefficients, length, out):  # type: ignore[no-untyped-def]
    """Add Σ_l coefficient_l exp(−|z − z_l|² / 2 length²); features z of shape (n_features, n_pairs).

    exp(−x) = 2^k 2^r with a whole k and |r| ≤ ½. Adding 1.5·2⁵² rounds to a whole number, which then stands in the last
    bits and is added to the exponent of 2^r: nothing else is as fast in vector instructions.
    """
    scale = 0.5 / length**2 / math.log(2.0)
    exponent, power = np.empty(_BLOCK), np.empty(_BLOCK)
    exponent_bits, power_bits = exponent.view(np.int64), power.view(np.int64)
    for start in range(0, len(out), _BLOCK):
        width = min(_BLOCK, len(out) - start)
        for one in range(len(landmarks)):
            exponent[:] = 0.0
            for feature in range(len(features)):
                values, landmark = features[feature, start : start + width], landmarks[one, feature]
                for pair in range(width):
                    exponent[pair] -= (values[pair] - landmark) ** 2
            for pair in range(width):
                wanted = max(exponent[pair] * scale, _LEAST)
                exponent[pair] = wanted + _ROUNDS
                rest = wanted - (exponent[pair] - _ROUNDS)
                total = 0.0
                for term in numba.literal_unroll(_TAYLOR_DOWN):
                    total = total * rest + term
                power[pair] = total
            for pair in range(width):
                power_bits[pair] += exponent_bits[pair] << 52
            for pair in range(width):
                out[start + pair] += coefficients[one] * power[pair]


def learn_smooth(
    pairs: pd.DataFrame, target: Array, task: Task, weights: Array | None = None, softening: float = SOFTENING
) -> Smooth:
    """Train a smooth model.

    Parameters
    ----------
    pairs : DataFrame of shape (n_pairs, n_columns)
        To learn from.
    target : ndarray of shape (n_pairs,)
        Whether a pair is a double well, or any quantity.
    task : Task
        Which of the two.
    weights : ndarray of shape (n_pairs,), optional
        Of the pairs.
    softening : float
        See :func:`shape_features`.
    """
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
