"""Correction of predictions by results of the same glass: pairs repeat each other, and so do the errors of a model."""

from collections.abc import Iterable
from copy import copy
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.spatial.distance import cdist
from sklearn.preprocessing import StandardScaler

from glass.arrays import Array, Index
from glass.overlap import blocks
from MLmodel.chances import Chances
from MLmodel.smooth import SOFTENING, shape_features
from pipeline.formats.pair_tables import PROBABILITY
from pipeline.workspace import DW, QS

LENGTH = 0.3  # length of the kernel, in standard deviations of the features of MLmodel.smooth.shape_features

AMPLITUDE, NOISE = 0.12, 0.05
"""Errors of log₁₀ of the splitting: the part that like pairs share, and the rest. Likelihood prefers these on the
public glasses of T = 0.07, and 0.09 and 0.08 on the example's."""

DAMPING = 0.1
"""In place of NOISE where predictions are corrected: errors have long tails, and as much as likelihood asks for finds
TLS later (doc/validation.md)."""

DW_AMPLITUDE = 0.25
"""Errors that like pairs share of the probability p of a double well; the rest is binomial, of variance p (1 − p)."""

MOST = 1000  # results of a glass that are used at most: those of the smallest predicted splittings
_REACH = LENGTH * np.sqrt(-2 * np.log(1e-6))  # known pairs farther away than this say nothing
_BLOCK = 1 << 22  # distances of pairs from results that are calculated at a time: 33 MB
_LARGEST_ERROR = 0.5  # largest error of log₁₀ that counts: a path that went elsewhere says nothing of its neighbours


class _Glass(NamedTuple):
    """Results of one glass: processes of mean 0 and covariance amplitude² exp(−|z − z′|² / 2 LENGTH²).

    Distances are calculated once for all three, and pairs of many glasses one after the other: scikit-learn's
    ``GaussianProcessRegressor`` takes three times as long.
    """

    places: Array  # z of its results; shape (n_results, n_features)
    verdicts: Array  # weights in the mean of errors of the probability of a double well, 0 where not used; (n_results,)
    splittings: Array  # in that of errors of log₁₀ of the splitting
    wells: Index  # double wells, also those that the models learnt from: errors near them are smaller
    factor: Array  # Cholesky factor of their covariance with noise


def _covariance(places: Array, amplitude: float, noise: Array) -> Array:
    """Covariance of results with noise, a variance of each."""
    squares = cdist(places, places, "sqeuclidean")
    return np.asarray(amplitude**2 * np.exp(-0.5 / LENGTH**2 * squares) + np.diag(noise))


def _weights(places: Array, used: NDArray[np.bool_], errors: Array, amplitude: float, noise: Array) -> Array:
    """Weights of results in the mean of a process through the errors of MOST of those used."""
    weights, some = np.zeros(len(places)), np.flatnonzero(used)[:MOST]
    covariance = _covariance(places[some], amplitude, noise[some])
    weights[some] = amplitude**2 * np.linalg.solve(covariance, errors[some])
    return weights


class LocalCorrection:
    """Gaussian processes on the errors of both models, one for each glass in which something is known.

    A prediction is corrected by the mean of the process; its variance says how much smaller the errors are near what is
    known (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, equations 2.25 and 2.26). What the
    models learnt from is no longer an error, but makes the others smaller.

    ``known``: pairs with ``conf``, features, ``QS`` and ``PROBABILITY`` as predicted, ``DW`` and ``exact``, the
    splitting or NaN; ``is_new``, shape (n_known,): which the models did not learn from; ``scale``: pairs whose features
    give mean and standard deviation; ``chances`` say what splitting to expect where one is predicted.
    """

    def __init__(
        self,
        known: pd.DataFrame,
        is_new: NDArray[np.bool_],
        scale: pd.DataFrame,
        chances: Chances,
        softening: float = SOFTENING,
    ) -> None:
        self._softening = softening
        self._scaler = StandardScaler().fit(shape_features(scale, softening))
        by_conf = known.assign(new=is_new).groupby("conf")
        self._glasses = {int(conf): self._glass(rows, chances) for conf, rows in by_conf}

    def _glass(self, rows: pd.DataFrame, chances: Chances) -> _Glass:
        """Results of one glass: at most MOST for each process, of the smallest predicted splittings."""
        rows = rows.sort_values(QS, kind="stable")
        is_new, is_well = rows["new"].to_numpy(bool), rows[DW].to_numpy() == 1
        kinds = np.ones(len(rows), bool), is_new, is_new & is_well, is_well
        used = [one & (np.cumsum(one) <= MOST) for one in kinds]
        rows, is_new, is_well = (one[np.logical_or.reduce(used)] for one in (rows, is_new, is_well))
        chance = rows[PROBABILITY].clip(0.02, 0.98).to_numpy()
        error = np.log10(rows["exact"].to_numpy()) - chances.expected(rows[QS].to_numpy())
        error = error.clip(-_LARGEST_ERROR, _LARGEST_ERROR)
        places, wells = self._standardised(rows), np.flatnonzero(is_well)[:MOST]
        return _Glass(
            places,
            _weights(places, is_new, rows[DW].to_numpy() - chance, DW_AMPLITUDE, chance * (1 - chance)),
            _weights(places, is_new & is_well, error, AMPLITUDE, np.full(len(rows), DAMPING**2)),
            wells,
            np.asarray(np.linalg.cholesky(_covariance(places[wells], AMPLITUDE, np.full(len(wells), NOISE**2)))),
        )

    def of_glasses(self, glasses: Iterable[int]) -> "LocalCorrection":
        """The same without what is known of other glasses: less to hand to a worker."""
        part, chosen = copy(self), set(glasses)
        part._glasses = {conf: glass for conf, glass in self._glasses.items() if conf in chosen}
        return part

    def _standardised(self, pairs: pd.DataFrame) -> Array:
        return np.asarray((shape_features(pairs, self._softening) - self._scaler.mean_) / self._scaler.scale_)

    def correct(self, pairs: pd.DataFrame) -> tuple[Array, Array, Array]:
        """Correct predictions: pairs with ``conf``, features, and ``QS`` and ``PROBABILITY`` as predicted.

        Returns splittings, probabilities of a double well, and how large errors of log₁₀ of the splitting that are left
        are beside those in a glass without results; each of shape (n_pairs,).
        """
        logarithm, chance = np.log10(pairs[QS].to_numpy()), pairs[PROBABILITY].to_numpy(copy=True)
        spread, places = np.ones(len(pairs)), self._standardised(pairs)
        of_glass = pairs.groupby("conf").indices
        for glass, inside in [(self._glasses[conf], of_glass[conf]) for conf in self._glasses.keys() & of_glass]:
            for rows in blocks(inside, 1 + _BLOCK // len(glass.places)):
                squares = cdist(places[rows], glass.places, "sqeuclidean")
                near = (squares < _REACH**2).any(axis=1)
                here, likeness = rows[near], np.exp(-0.5 / LENGTH**2 * squares[near])
                if glass.verdicts.any():
                    chance[here] = (chance[here] + likeness @ glass.verdicts).clip(0.001, 0.999)
                logarithm[here] += likeness @ glass.splittings
                if len(glass.wells):
                    shared = AMPLITUDE**2 * likeness[:, glass.wells].T
                    explained = (solve_triangular(glass.factor, shared, lower=True) ** 2).sum(axis=0)
                    left = (AMPLITUDE**2 - explained).clip(0) + NOISE**2
                    spread[here] = np.sqrt(left / (AMPLITUDE**2 + NOISE**2))
        return 10.0**logarithm, chance, spread
