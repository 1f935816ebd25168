"""What was calculated in a glass since the models were trained corrects what they say of its other pairs.

Pairs of one glass repeat each other, so that the errors of a model are alike for like pairs of one glass: a Gaussian
process on the errors says at once what another training would say later, or not at all.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from MLmodel.chances import Chances
from MLmodel.metrics import Array
from MLmodel.smooth import shape_features
from MLmodel.tables import PROBABILITY
from pipeline.task import DW, QS

LENGTH = 0.3
"""Of the kernel, in standard deviations of the features of :func:`MLmodel.smooth.shape_features`."""

AMPLITUDE, NOISE = 0.1, 0.1
"""Of the errors of log₁₀ of the splitting: the part that like pairs share, and the rest. What likelihood prefers, half
that noise, finds TLS later (doc/validation.md)."""

DW_AMPLITUDE = 0.25
"""Of the errors of the probability p of a double well; the rest is binomial, of variance p (1 − p)."""

MOST = 1000
"""At most so many results of a glass are used, those of the smallest predicted splittings."""

_LARGEST_ERROR = 0.5
"""Of log₁₀: a path that went elsewhere says nothing of its neighbours."""


class Corrected(NamedTuple):
    """Predictions after the correction."""

    splitting: Array
    """In ε; shape (n_pairs,)."""
    dw_probability: Array


class LocalCorrection:
    """Gaussian processes on the errors of both models, one for each glass in which something was calculated.

    The correction of a prediction is the mean of the process (Rasmussen and Williams, Gaussian Processes for Machine
    Learning, 2006, equation 2.25).

    Parameters
    ----------
    results : DataFrame of shape (n_results, n_columns)
        Pairs that were calculated and that the models did not learn from: ``conf``, features, ``QS`` and
        ``PROBABILITY`` as predicted, ``DW`` and ``exact``, the splitting in ε, NaN where there is none.
    scale : DataFrame of shape (n_pairs, n_columns)
        Pairs whose features give mean and standard deviation.
    chances : Chances
        Says what exact splittings are to be expected where one is predicted.
    """

    def __init__(self, results: pd.DataFrame, scale: pd.DataFrame, chances: Chances) -> None:
        features = shape_features(scale)
        self._mean, spread = features.mean(axis=0), features.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        self._errors: dict[int, GaussianProcessRegressor] = {}
        self._dw_errors: dict[int, GaussianProcessRegressor] = {}
        for conf, rows in results.sort_values(QS, kind="stable").groupby("conf"):
            some = rows.head(MOST)
            chance = some[PROBABILITY].clip(0.02, 0.98).to_numpy()
            error = some[DW].to_numpy() - chance
            self._dw_errors[int(conf)] = self._process(some, error, DW_AMPLITUDE, chance * (1 - chance))
            wells = rows[rows["exact"].notna()].head(MOST)
            if len(wells):
                error = np.log10(wells["exact"].to_numpy()) - chances.expected(wells[QS].to_numpy())
                error = error.clip(-_LARGEST_ERROR, _LARGEST_ERROR)
                self._errors[int(conf)] = self._process(wells, error, AMPLITUDE, NOISE**2)

    def _process(
        self, pairs: pd.DataFrame, errors: Array, amplitude: float, noise: float | Array
    ) -> GaussianProcessRegressor:
        kernel = ConstantKernel(amplitude**2) * RBF(LENGTH)
        return GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(self._standardised(pairs), errors)

    def _standardised(self, pairs: pd.DataFrame) -> Array:
        return np.asarray((shape_features(pairs) - self._mean) / self._spread)

    def correct(self, pairs: pd.DataFrame) -> Corrected:
        """Correct predictions.

        Parameters
        ----------
        pairs : DataFrame of shape (n_pairs, n_columns)
            ``conf``, features, ``QS`` and ``PROBABILITY`` as predicted.
        """
        logarithm, chance = np.log10(pairs[QS].to_numpy()), pairs[PROBABILITY].to_numpy(copy=True)
        glasses = pairs["conf"].to_numpy()
        for conf, process in self._dw_errors.items():
            here = np.flatnonzero(glasses == conf)
            if len(here):
                features = self._standardised(pairs.iloc[here])
                chance[here] += process.predict(features)
                if conf in self._errors:
                    logarithm[here] += self._errors[conf].predict(features)
        return Corrected(10.0**logarithm, np.where(chance == pairs[PROBABILITY], chance, chance.clip(0.001, 0.999)))
