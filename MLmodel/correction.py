"""Correction of predictions by results of the same glass: pairs repeat each other, and so do the errors of a model."""

from collections.abc import Iterable
from copy import copy
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import KDTree
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.preprocessing import StandardScaler

from glass.arrays import Array
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
_LARGEST_ERROR = 0.5  # largest error of log₁₀ that counts: a path that went elsewhere says nothing of its neighbours


class Corrected(NamedTuple):
    """Predictions after the correction; arrays of shape (n_pairs,)."""

    splitting: Array
    dw_probability: Array
    spread: Array  # size of the errors of log₁₀ of the splitting that are left, beside those in a glass without results


class _Glass(NamedTuple):
    """Results of one glass: processes of mean 0 and covariance amplitude² exp(−|z − z′|² / 2 LENGTH²)."""

    tree: KDTree  # places of all its results
    verdicts: GaussianProcessRegressor | None  # errors of the probability of a double well
    splittings: GaussianProcessRegressor | None  # errors of log₁₀ of the splitting
    learnt: GaussianProcessRegressor | None  # errors left by all double wells, also those that the models learnt from


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
        self._glasses = {
            int(conf): self._glass(rows, chances) for conf, rows in known.assign(new=is_new).groupby("conf")
        }

    def _glass(self, rows: pd.DataFrame, chances: Chances) -> _Glass:
        """Results of one glass: at most MOST for each process, of the smallest predicted splittings."""
        rows = rows.sort_values(QS, kind="stable")
        new, wells = rows[rows["new"]].head(MOST), rows[rows[DW] == 1]
        new_wells = wells[wells["new"]].head(MOST)
        chance = new[PROBABILITY].clip(0.02, 0.98).to_numpy()
        error = np.log10(new_wells["exact"].to_numpy()) - chances.expected(new_wells[QS].to_numpy())
        error = error.clip(-_LARGEST_ERROR, _LARGEST_ERROR)
        return _Glass(
            KDTree(self._standardised(rows)),
            self._process(new, new[DW].to_numpy() - chance, DW_AMPLITUDE, chance * (1 - chance)),
            self._process(new_wells, error, AMPLITUDE, DAMPING**2),
            self._process(wells.head(MOST), np.zeros(min(len(wells), MOST)), AMPLITUDE, NOISE**2),
        )

    def of_glasses(self, glasses: Iterable[int]) -> "LocalCorrection":
        """The same without what is known of other glasses: less to hand to a worker."""
        part, chosen = copy(self), set(glasses)
        part._glasses = {conf: glass for conf, glass in self._glasses.items() if conf in chosen}
        return part

    def _process(
        self, pairs: pd.DataFrame, errors: Array, amplitude: float, noise: float | Array
    ) -> GaussianProcessRegressor | None:
        """Gaussian process through the errors of some pairs; ``noise`` is a variance."""
        if pairs.empty:
            return None
        kernel = ConstantKernel(amplitude**2) * RBF(LENGTH)
        return GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(self._standardised(pairs), errors)

    def _standardised(self, pairs: pd.DataFrame) -> Array:
        return np.asarray(self._scaler.transform(shape_features(pairs, self._softening)))

    def correct(self, pairs: pd.DataFrame) -> Corrected:
        """Correct predictions: pairs with ``conf``, features, and ``QS`` and ``PROBABILITY`` as predicted."""
        logarithm, chance = np.log10(pairs[QS].to_numpy()), pairs[PROBABILITY].to_numpy(copy=True)
        spread, conf = np.ones(len(pairs)), pairs["conf"].to_numpy()
        for number, glass in self._glasses.items():
            here = np.flatnonzero(conf == number)
            if not len(here):
                continue
            places = self._standardised(pairs.iloc[here])
            near = np.isfinite(glass.tree.query(places, distance_upper_bound=_REACH)[0])
            here, places = here[near], places[near]
            if len(here) and glass.verdicts:
                chance[here] = (chance[here] + glass.verdicts.predict(places)).clip(0.001, 0.999)
            if len(here) and glass.splittings:
                logarithm[here] += glass.splittings.predict(places)
            if len(here) and glass.learnt:
                _, deviation = glass.learnt.predict(places, return_std=True)
                spread[here] = np.hypot(deviation, NOISE) / np.hypot(AMPLITUDE, NOISE)
        return Corrected(10.0**logarithm, chance, spread)
