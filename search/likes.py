"""Verdicts and splittings told by exact results of pairs that are alike: the same motion, at nearly the same ΔE.

Gaussian processes of one glass (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006), with parameters
of the largest marginal likelihood (equation 2.30) of all glasses of a temperature. Their covariance grows with the
overlap of the displacements and falls with the distance in ΔE, of verdicts in nearest_between.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import stdtr
from threadpoolctl import threadpool_limits

from glass.arrays import Array, Index
from glass.overlap import Displacements, blocks
from MLmodel.chances import tls_chances
from MLmodel.labels import rows_of
from MLmodel.ranking import known_answers
from pipeline.formats.keys import PAIR_COLUMNS, minimum_keys, pair_index, rows_in
from pipeline.formats.pair_lists import DIGITS, SPLITTING_K
from pipeline.formats.pair_tables import PROBABILITY, TLS_PROBABILITY
from pipeline.matching import Known, read_displacements, rows_with_minima
from pipeline.settings import Settings
from pipeline.workspace import CLASSIFIER, DW, QS, StatePoint, Task

MOST = 300  # largest number of results of a glass that are used
FEWEST = 10  # with fewer results of a temperature nothing is said
SOFTENING = 0.001  # ε; differences in ΔE count by ln(|ΔE| + SOFTENING)
FREEDOM = 4  # of Student's distribution, for the errors that are left, as a path now and then goes elsewhere
SHARE = 0.75  # weight of likes in the probability of a double well, where they explain all (doc/search.md)
OVERLAP, OF_A_WELL = 0.95, 0.2  # with a calculated double well; part of such pairs that are some too (doc/search.md)
_COLUMNS = [*PAIR_COLUMNS, "Delta_E", "nearest_between"]  # of pairs that are looked at, where there are such


class Process(NamedTuple):
    """Covariance a² |cos|^(2m) exp(−(x − x′)² / 2l²) of two pairs, and noise b² of a result."""

    amplitude: float
    power: int
    length: float
    noise: float


PROCESSES = {
    DW: [Process(*one) for one in product([0.5], [10, 50, 250], [0.03, 0.1, 100.0], [0.1, 0.2, 0.35])],
    QS: [Process(*one) for one in product([0.15, 0.3], [5, 20, 80], [0.5, 1.0, 2.0], [0.003, 0.01, 0.03, 0.1, 0.25])],
}
"""Candidates, of which those are taken that fit best: for the verdict 0 or 1, and for log₁₀ of the splitting."""


class Told(NamedTuple):
    """What results tell of some pairs: mean and variance with the noise of a result; arrays of shape (n_pairs,)."""

    mean: Array
    variance: Array
    prior_mean: float
    prior_variance: float


class Results(NamedTuple):
    """Results of one glass."""

    known: Array  # verdict, or log₁₀ of the splitting
    places: Array  # ln ΔE, or nearest_between for verdicts
    products: NDArray[np.float32]  # as Displacements.products gives them
    cosines: Array  # among themselves


def covariance(process: Process, cosines: Array, one: Array, other: Array) -> Array:
    """Covariance of pairs whose fields have these cosines, at two sets of places, without noise."""
    squares = np.maximum(np.square(cosines, dtype=float), 1e-300)
    apart = (one[:, None] - other) / process.length
    return np.asarray(process.amplitude**2 * np.exp(process.power * np.log(squares) - 0.5 * apart**2))


def _factor(process: Process, results: Results) -> Array:
    among = covariance(process, results.cosines, results.places, results.places)
    among[np.diag_indices_from(among)] = process.amplitude**2 + process.noise**2
    return np.asarray(cholesky(among, lower=True))


def likelihood(process: Process, results: Results) -> float:
    """Logarithm of the likelihood of the results of a glass, which has a mean of its own, less a constant."""
    factor, off = _factor(process, results), results.known - results.known.mean()
    return -float(0.5 * off @ cho_solve((factor, True), off) + np.log(np.diag(factor)).sum())


def told_by(process: Process, results: Results, cosines: Array, places: Array) -> Told:
    """Tell pairs of a glass, at these places, by its results; ``cosines`` with them, shape (n_pairs, n_results)."""
    factor, mean, prior = _factor(process, results), results.known.mean(), process.amplitude**2
    shared = covariance(process, cosines, places, results.places)
    explained = (solve_triangular(factor, shared.T, lower=True) ** 2).sum(axis=0)
    expected = mean + shared @ cho_solve((factor, True), results.known - mean)
    return Told(expected, np.maximum(prior - explained, 0) + process.noise**2, mean, prior + process.noise**2)


def told_without(process: Process, results: Results) -> Told:
    """Each result of a glass told by all others: Rasmussen and Williams, equations 5.10 to 5.12."""
    mean = results.known.mean()
    inverse = cho_solve((_factor(process, results), True), np.eye(len(results.known)))
    variance = 1 / np.diag(inverse)
    expected = results.known - inverse @ (results.known - mean) * variance
    return Told(expected, variance, mean, process.amplitude**2 + process.noise**2)


def blended_verdict(chance: Array, told: Told, number: int) -> Array:
    """Probability of a double well: that of the model, and what a number of results tell.

    They leave either verdict a chance of 1 / (number + 2), as Laplace's rule of succession.
    """
    share = SHARE * (1 - told.variance / told.prior_variance).clip(0)
    return np.asarray((1 - share) * chance + share * told.mean.clip(1 / (number + 2), 1 - 1 / (number + 2)))


def blended_tls(
    splitting: Array, tls: Array, sigma: float, told: Told, threshold: float, wells: Array | float = 1.0
) -> tuple[Array, Array]:
    """Splittings and chances to be a TLS blended with likes; ``sigma`` is the model's error of log₁₀ of the splitting.

    ``wells`` are the chances to be a double well at all.
    """
    gain = np.maximum(1 / told.variance - 1 / told.prior_variance, 0)
    weighted = (told.mean - told.prior_mean) / told.variance + gain * told.prior_mean
    precision = sigma**-2 + gain
    logarithm, share = (np.log10(splitting) * sigma**-2 + weighted) / precision, gain / precision
    return 10.0**logarithm, (1 - share) * tls + share * (wells * tls_chance(logarithm, precision, threshold))


def tls_chance(logarithm: Array, precision: Array, threshold: float) -> Array:
    """Probability of a splitting below the threshold, whose log₁₀ is known to this precision."""
    return np.asarray(stdtr(FREEDOM, (np.log10(threshold) - logarithm) * np.sqrt(precision)))


Glass = tuple[Index, Known]  # rows of pairs of a glass, and their displacements


def glasses_of(at: StatePoint, pairs: pd.DataFrame | pl.DataFrame, first: int | None = None) -> Iterator[Glass]:
    """Rows and displacements of the pairs, with both minima there, of each glass that one of the ``first`` is of."""
    conf_of_pair = pairs["conf"].to_numpy()
    for conf in np.intersect1d(conf_of_pair[:first], list(at.glasses)).tolist():
        here = np.flatnonzero(conf_of_pair == conf)
        one, other = (minimum_keys(pairs[name].to_numpy()[here], at.decimals) for name in ("i", "j"))
        there = read_displacements(at, conf, np.minimum(one, other), np.maximum(one, other))
        if there is not None:
            yield here[there.rows], there


def _learn(
    what: str, exact: Array, pairs: pl.DataFrame, glasses: Iterable[Glass], settings: Settings
) -> tuple[Process, Array, list[tuple[Index, Displacements, Index, Results]]]:
    """The process that fits best to what is exact (NaN: not known), places, and of each glass its rows and results."""
    values, places, found = exact, np.zeros(len(pairs)), []
    if what == QS:
        values = np.log10(exact)
        places = np.log(np.abs(pairs["Delta_E"].to_numpy()) + SOFTENING * settings.unit.epsilon)
    elif "nearest_between" in pairs:
        places = np.nan_to_num(pairs["nearest_between"].to_numpy())
    for here, (_, displacements, _) in glasses:
        used = np.flatnonzero(np.isfinite(values[here]))
        used = np.sort(np.random.default_rng(0).permutation(used)[:MOST])
        rows, fields = here[used], displacements.fields(used).astype(float)
        results = Results(values[rows], places[rows], displacements.products(used), fields @ fields.T)
        if len(rows):
            found.append((here, displacements, rows, results))
    if sum(len(rows) for _, _, rows, _ in found) < FEWEST:
        found = []  # which tell nothing
    with threadpool_limits(1, "blas"):  # on two threads a matrix of 300 takes 0.4 ms, and 45 beside other work
        process = max(PROCESSES[what], key=lambda one: sum(likelihood(one, results) for *_, results in found))
    return process, places, found


def least_chances(at: StatePoint, labels: pd.DataFrame) -> Callable[[pl.DataFrame], Array] | None:
    """Function to the smallest probabilities of a double well: OF_A_WELL for pairs that overlap one by OVERLAP, else 0.

    ``labels``: PAIR_COLUMNS and verdicts of pairs that were calculated; non-DW have none. None where the minima of no
    double well are there: another glass may have the number of one.
    """
    is_well = labels[DW] == 1
    wells, non_dw = pl.from_pandas(labels.loc[is_well, PAIR_COLUMNS]), pair_index(labels[~is_well], at.decimals)
    if not any(True for _ in glasses_of(at, wells)):
        return None
    first = len(wells)

    def chances(pairs: pl.DataFrame) -> Array:
        least, names = np.zeros(len(pairs)), pairs.select(PAIR_COLUMNS)
        for here, (_, displacements, _) in glasses_of(at, pl.concat([wells, names]), first):
            for known in blocks(np.flatnonzero(here < first), MOST):
                products = displacements.products(known)
                for some in blocks(np.flatnonzero(here >= first)):
                    alike = (np.abs(displacements.cosines(some, products)) >= OVERLAP).any(axis=1)
                    least[here[some[alike]] - first] = OF_A_WELL
        least[rows_in(names.to_pandas(), non_dw, at.decimals)] = 0
        return least

    return chances


def add_likes(
    at: StatePoint, pairs: pl.DataFrame, to_calculate: NDArray[np.bool_], sigma: float, settings: Settings
) -> pl.DataFrame:
    """The list of step 4 after what the results of each glass tell of those ``to_calculate``, shape (n_pairs,).

    ``sigma`` is the standard deviation of the predictor's errors of log₁₀, in glasses that it did not see.
    """
    if not len(rows_with_minima(at, pairs["conf"].to_numpy())):
        return pairs
    columns = [name for name in _COLUMNS if name in pairs.columns]
    answers, left = known_answers(at).rename(columns={"exact": QS}), np.flatnonzero(to_calculate)
    answers = answers[answers.index.isin(list(at.glasses), level="glass")]  # also of pairs that step 2 leaves out
    paths = map(at.glass_pairs, answers.index.unique("glass"))  # of a table that was taken away what step 2 kept
    tables = sorted({table if table.exists() else at.classified_features for table in paths})
    rows_known = rows_of(tables, answers.index, at.decimals, columns)
    rows_known = rows_known[~rows_known.index.duplicated()].join(answers[[DW, QS]])
    known = pl.from_pandas(rows_known.astype(dict.fromkeys([*columns[3:], DW, QS], float)))
    first, every = len(known), pl.concat([known.select(columns), pairs[left].select(columns)])
    glasses = list(glasses_of(at, every, first))
    wells, splitting, tls = pairs.select(PROBABILITY, QS, TLS_PROBABILITY).to_numpy().T.copy()
    for what in (DW, QS):
        exact = np.append(known[what].to_numpy(), np.full(len(left), np.nan))
        process, places, found = _learn(what, exact, every, glasses, settings)
        for here, displacements, rows, results in found:
            for some in blocks(np.flatnonzero(here >= first)):
                told = told_by(process, results, displacements.cosines(some, results.products), places[here[some]])
                row = left[here[some] - first]
                if what == DW:
                    blended = blended_verdict(wells[row], told, len(rows))
                    tls[row] *= blended / np.maximum(wells[row], 1e-12)
                    wells[row] = blended
                else:
                    threshold, predicted = settings.tls_threshold, (splitting[row], tls[row])
                    splitting[row], tls[row] = blended_tls(*predicted, sigma, told, threshold, wells[row])
    new = {PROBABILITY: wells, QS: splitting, TLS_PROBABILITY: tls, SPLITTING_K: settings.neb.epsilon * splitting}
    return pairs.with_columns(pl.Series(name, column).round_sig_figs(DIGITS) for name, column in new.items())


TOLD = "results of glasses with minima, each told from the others of its glass and what was predicted without it"
"""Heading of the figures of :func:`held_out`."""


class HeldOut(NamedTuple):
    """Labelled pairs that have likes, each told from all other results of its glass; arrays of shape (n_pairs,)."""

    exact: Array  # whether a pair is a double well, or its splitting
    predicted: Array  # probability or splitting: the model's without the glass, blended with what likes tell
    chance: Array  # probability of a double well, or of a TLS


def held_out(at: StatePoint, task: Task, used: pd.DataFrame, unseen: Array, settings: Settings) -> HeldOut | None:
    """How well likes tell results that are known; None where too few are of glasses with minima.

    ``used``: labelled pairs; ``unseen``, shape (n_pairs,): what was predicted for them without their glass.
    """
    truth, threshold = used[task.target].to_numpy(float), settings.tls_threshold
    process, _, glasses = _learn(task.target, truth, pl.from_pandas(used), glasses_of(at, used), settings)
    if not glasses:
        return None
    predicted, chance = unseen.copy(), unseen.copy()
    if task != CLASSIFIER:
        sigma = float(np.std(np.log10(unseen) - np.log10(truth)))
        chance = tls_chances(truth, unseen, threshold)(unseen)
    for _, _, rows, results in glasses:
        told = told_without(process, results)
        if task == CLASSIFIER:
            predicted[rows] = chance[rows] = blended_verdict(unseen[rows], told, len(rows) - 1)
        else:
            predicted[rows], chance[rows] = blended_tls(unseen[rows], chance[rows], sigma, told, threshold)
    there = np.concatenate([rows for _, _, rows, _ in glasses])
    return HeldOut(truth[there], predicted[there], chance[there])
