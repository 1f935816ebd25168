"""The chance that a double well is a TLS, from how far predictions are off for pairs of glasses that were kept out."""

from collections.abc import Callable

import numpy as np
from numpy.polynomial import Polynomial
from scipy.special import ndtr

from MLmodel.metrics import Array

NEAR = 0.15
"""log₁₀; errors count by how near their prediction is to that of the pair: a Gaussian of this width."""

SMOOTH = 0.04
"""log₁₀; each error is widened to a Gaussian of this width."""

_GRID = 400
"""The chance is calculated for so many predictions and interpolated between them."""


def tls_chances(exact: Array, predicted: Array, threshold: float) -> Callable[[Array], Array]:
    """From predicted splittings in ε to the probability that the exact ones are below the threshold.

    P(p) = Σ w(p − p_k) Φ((log₁₀ threshold − p − t(p) − e_k) / SMOOTH) / Σ w(p − p_k) over labelled pairs k: p is the
    logarithm of the prediction, t the linear trend of the errors log₁₀ exact − p_k and e_k what is left of them, w a
    Gaussian and Φ its integral. P does not rise with p.

    Parameters
    ----------
    exact, predicted : ndarray of shape (n_labelled,)
        Exact splittings of labelled double wells and their out-of-fold predictions, in ε.
    threshold : float
        In ε.

    Returns
    -------
    callable
        Arrays of any number of pairs; the curve is calculated once.
    """
    known = np.log10(predicted)
    errors = np.log10(exact) - known
    trend = Polynomial.fit(known, errors, 1 if np.ptp(known) else 0)
    errors -= trend(known)
    lowest, highest = known.min() - 1.0, known.max() + 1.0
    grid = np.linspace(lowest, highest, _GRID)
    chances = np.empty(_GRID)
    for k, place in enumerate(grid):
        inside = np.clip(place, known.min(), known.max())
        weights = np.exp(-0.5 * ((inside - known) / NEAR) ** 2)
        chances[k] = weights @ ndtr((np.log10(threshold) - place - trend(inside) - errors) / SMOOTH) / weights.sum()
    chances = np.minimum.accumulate(chances)
    return lambda splittings: np.asarray(np.interp(np.log10(splittings), grid, chances))
