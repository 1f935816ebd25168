"""What exact results say of the pairs of their glass that are like them: the same motion, at nearly the same ΔE.

Verdicts and splittings of one glass are taken as Gaussian processes (Rasmussen and Williams, Gaussian Processes for
Machine Learning, 2006, equations 2.25 and 2.26). Their covariance grows with the overlap of the displacement fields;
that of splittings falls with the distance in ΔE, that of verdicts with that in nearest_between. How much a result says,
and how often it misleads, is learnt from the results of all glasses of a temperature: the parameters of the largest
marginal likelihood (equation 2.30). What follows for a pair is an observation beside the model's prediction; both are
weighted by their inverse variances.
"""

from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import stdtr

from glass.arrays import Array
from glass.overlap import BLOCK, Displacements
from MLmodel.card import Card
from MLmodel.model import unseen_predictions
from MLmodel.ranking import known_answers
from pipeline.formats.keys import PAIR_COLUMNS, by_pair, minimum_keys, pair_index, rows_in
from pipeline.formats.pair_lists import DIGITS, SPLITTING_K
from pipeline.formats.pair_tables import OUT_OF_FOLD, PROBABILITY, TLS_PROBABILITY, read_batches
from pipeline.matching import read_displacements
from pipeline.settings import Settings
from pipeline.workspace import CLASSIFIER, DW, QS, StatePoint

MOST = 300
"""Largest number of results of a glass that are used, the latest."""

FEWEST = 10
"""With fewer results of a temperature nothing is said."""

SOFTENING = 0.001
"""ε; differences in ΔE count by ln(|ΔE| + SOFTENING)."""

NOTHING = 1e-3
"""Precision up to which likes have told nothing."""

FREEDOM = 4
"""Of Student's distribution for the errors that are left, as a path now and then goes elsewhere."""


class Process(NamedTuple):
    """Covariance a² |cos|^(2m) exp(−(x − x′)² / 2l²) of two pairs, noise b² of a result, and its weight."""

    amplitude: float
    power: int
    length: float
    noise: float
    weight: float = 1.0


VERDICTS = [
    Process(*one) for one in product([0.5], [10, 50, 250], [0.03, 0.1, 100.0], [0.1, 0.2, 0.35], [0.03, 0.1, 0.3, 1.0])
]
SPLITTINGS = [
    Process(*one) for one in product([0.15, 0.3], [5, 20, 80], [0.5, 1.0, 2.0], [0.003, 0.01, 0.03, 0.1, 0.25])
]
"""From which those are chosen that fit the results best; of the verdict 0 or 1, and of log₁₀ of the splitting."""


class Unseen(NamedTuple):
    """What the models say of glasses that they did not see."""

    chances: "pd.Series[float]"
    """Probability of a double well, by pair, of those that the classifier learnt from."""
    sigma: float
    """Standard deviation of the predictor's errors of log₁₀ of the splitting."""


def read_unseen(at: StatePoint, predictor: Card) -> Unseen:
    """What the models of a temperature say of glasses that they did not see."""
    exact, predicted = (np.log10(values) for values in unseen_predictions(at, predictor))
    used = by_pair(pd.concat(read_batches(at.model_set(CLASSIFIER, "used"), [*PAIR_COLUMNS, OUT_OF_FOLD])), at.decimals)
    return Unseen(used.loc[~used.index.duplicated(), OUT_OF_FOLD], float(np.std(exact - predicted)))


class Told(NamedTuple):
    """What the likes of some pairs tell of them; arrays of shape (n_pairs,)."""

    weighted: Array
    """The value, times the precision."""
    precision: Array
    """1 / variance; 0 without likes."""
    least: float
    """Chance of either verdict that n results leave at least: 1 / (n + 2), as Laplace's rule of succession."""


class _Results(NamedTuple):
    """Results of one glass."""

    known: Array
    """Verdict, or log₁₀ of the splitting."""
    places: Array
    """ln ΔE, or nearest_between for verdicts."""
    products: Array
    """As :meth:`Displacements.products` gives them."""
    cosines: Array
    """Among themselves."""
    predicted: Array
    """Probability of a double well by a model that did not see the glass."""


def _covariance(process: Process, cosines: Array, one: Array, other: Array) -> Array:
    squares = np.maximum(np.square(cosines, dtype=float), 1e-300)
    apart = (one[:, None] - other) / process.length
    return np.asarray(process.amplitude**2 * np.exp(process.power * np.log(squares) - 0.5 * apart**2))


def _factor(process: Process, results: _Results) -> Array:
    covariance = _covariance(process, results.cosines, results.places, results.places)
    covariance[np.diag_indices_from(covariance)] = process.amplitude**2 + process.noise**2
    return np.asarray(cholesky(covariance, lower=True))


def most_likely(processes: list[Process], glasses: list[_Results]) -> Process:
    """The process under which the results of all glasses are most likely; each glass has a mean of its own."""

    def likelihood(process: Process) -> float:
        found = 0.0
        for results in glasses:
            factor, off = _factor(process, results), results.known - results.known.mean()
            found -= 0.5 * off @ cho_solve((factor, True), off) + np.log(np.diag(factor)).sum()
        return float(found)

    return max(processes, key=likelihood)


def most_true(processes: list[Process], glasses: list[_Results]) -> Process:
    """The process by which each verdict follows best from the model and all other results, as the log score says.

    Leaving one out: Rasmussen and Williams, equations 5.10 to 5.12.
    """

    def score(process: Process) -> float:
        found = 0.0
        for results in glasses:
            inverse = cho_solve((_factor(process, results), True), np.eye(len(results.known)))
            mean = results.known.mean()
            precision = np.diag(inverse)
            expected = results.known - inverse @ (results.known - mean) / precision
            chance = blended_chance(results.predicted, _told(process, expected, precision, results.known))
            found += np.log(np.where(results.known == 1, chance, 1 - chance)).sum()
        return float(found)

    return max(processes, key=score)


def _told(process: Process, expected: Array, precision: Array, known: Array) -> Told:
    """What results tell of a value, whose expectation and precision they give beside those of the prior."""
    prior, mean = 1 / (process.amplitude**2 + process.noise**2), known.mean()
    gain = np.maximum(precision - prior, 0)
    weighted = process.weight * (precision * (expected - mean) + gain * mean)
    return Told(weighted, process.weight * gain, 1 / (len(known) + 2))


def blended_chance(predicted: Array, told: Told) -> Array:
    """Probability of a double well: that of the model, and what likes tell, by their inverse variances."""
    variance = np.maximum(predicted * (1 - predicted), 1e-3)
    blended = ((predicted / variance + told.weighted) / (1 / variance + told.precision)).clip(
        told.least, 1 - told.least
    )
    return np.where(told.precision > NOTHING, blended, predicted)


def told_by(process: Process, results: _Results, cosines: Array, places: Array) -> Told:
    """What the results of a glass tell of some of its pairs: the posterior less the prior.

    Parameters
    ----------
    process, results
        What is known.
    cosines : ndarray of shape (n_pairs, n_results)
        Of the pairs with the results.
    places : ndarray of shape (n_pairs,)
        As those of the results.
    """
    factor, mean, variance = _factor(process, results), results.known.mean(), process.amplitude**2
    covariance = _covariance(process, cosines, places, results.places)
    explained = (solve_triangular(factor, covariance.T, lower=True) ** 2).sum(axis=0)
    precision = 1 / (np.maximum(variance - explained, 0) + process.noise**2)
    return _told(process, mean + covariance @ cho_solve((factor, True), results.known - mean), precision, results.known)


def add_likes(
    at: StatePoint, pairs: pl.DataFrame, to_calculate: NDArray[np.bool_], unseen: Unseen, settings: Settings
) -> pl.DataFrame:
    """The list of step 4 after what the results of each glass tell of the pairs that are like them.

    Parameters
    ----------
    at : StatePoint
        Where results and minima are.
    pairs : polars.DataFrame
        With the columns of the list.
    to_calculate : ndarray of bool, shape (n_pairs,)
        Others stay as they are.
    unseen : Unseen
        What the models say of glasses that they did not see.
    settings : Settings
        ``tls_threshold``, ``neb.epsilon``, ``units``.
    """
    names, answers = pairs.select(PAIR_COLUMNS).to_pandas(), known_answers(at)
    results = np.flatnonzero(rows_in(names, answers.index, at.decimals))
    index = pair_index(names.iloc[results], at.decimals)
    found, values = answers.loc[index], pairs.select(PROBABILITY, QS, TLS_PROBABILITY).to_numpy().copy()
    honest = values[:, 0].copy()
    honest[results] = unseen.chances.reindex(index).fillna(pd.Series(honest[results], index)).clip(0.001, 0.999)
    softened = np.log(np.abs(pairs["Delta_E"].to_numpy()) + SOFTENING * settings.unit.epsilon)
    between = np.zeros(len(pairs))
    if "nearest_between" in pairs.columns:
        between = np.nan_to_num(pairs["nearest_between"].to_numpy())
    glasses = []
    for conf in np.unique(names["conf"].to_numpy()[results]).tolist():
        here = np.flatnonzero(names["conf"] == conf)
        one, other = (minimum_keys(names[name].to_numpy()[here], at.decimals) for name in ("i", "j"))
        there = read_displacements(at, conf, np.minimum(one, other), np.maximum(one, other))
        if there is not None:
            glasses.append((here[there.rows], there.displacements))
    for exact, places, choose, blend in (
        (found[DW].to_numpy(float), between, partial(most_true, VERDICTS), _blend_verdicts),
        (np.log10(found["exact"].to_numpy(float)), softened, partial(most_likely, SPLITTINGS), _blend_splittings),
    ):
        of_pair = np.full(len(pairs), np.nan)
        of_pair[results] = exact
        likes = [
            _results(displacements, *(one[rows] for one in (of_pair, places, honest)))
            for rows, displacements in glasses
        ]
        if sum(len(one.known) for one in likes) < FEWEST:
            continue
        process = choose([one for one in likes if len(one.known)])
        for known, (rows, displacements) in zip(likes, glasses, strict=True):
            left = np.flatnonzero(to_calculate[rows]) if len(known.known) else rows[:0]
            for start in range(0, len(left), BLOCK):
                some = left[start : start + BLOCK]
                said = told_by(process, known, displacements.cosines(some, known.products), places[rows[some]])
                values[rows[some]] = blend(values[rows[some]], said, unseen.sigma, settings.tls_threshold)
    columns = dict(zip((PROBABILITY, QS, TLS_PROBABILITY), values.T, strict=True))
    columns[SPLITTING_K] = settings.neb.epsilon * values[:, 1]
    return pairs.with_columns(pl.Series(name, column).round_sig_figs(DIGITS) for name, column in columns.items())


def _results(pairs: Displacements, values: Array, places: Array, predicted: Array) -> _Results:
    """The results of a glass among its pairs: those whose value is finite."""
    used = np.flatnonzero(np.isfinite(values))[-MOST:]
    fields = pairs.fields(used).astype(float)
    return _Results(values[used], places[used], pairs.products(used), fields @ fields.T, predicted[used])


def _blend_verdicts(values: Array, told: Told, _sigma: float, _threshold: float) -> Array:
    """Probability of a double well, splitting and probability of a TLS, with what likes tell of the verdict."""
    wells, splitting, tls = values.T
    blended = blended_chance(wells, told)
    return np.column_stack([blended, splitting, tls * blended / np.maximum(wells, 1e-12)])


def _blend_splittings(values: Array, told: Told, sigma: float, threshold: float) -> Array:
    """The same, with what they tell of log₁₀ of the splitting."""
    wells, splitting, tls = values.T
    precision = sigma**-2 + told.precision
    logarithm = (np.log10(splitting) * sigma**-2 + told.weighted) / precision
    chance, weight = stdtr(FREEDOM, (np.log10(threshold) - logarithm) * np.sqrt(precision)), told.precision / precision
    return np.column_stack([wells, 10.0**logarithm, (1 - weight) * tls + weight * wells * chance])
