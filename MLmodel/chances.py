"""The chance that a double well is a TLS, from how far predictions are off for pairs of glasses that were kept out."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.special import ndtr, stdtr
from sklearn.isotonic import isotonic_regression

from glass.arrays import Array

NEAR = 0.15  # log₁₀; errors count by how near their prediction is to that of the pair: a Gaussian of this width
SMOOTH = 0.04  # log₁₀; each error is widened by this, and by more where labels are few
_MANY = 1000  # degrees of freedom from which Student's distribution is the normal one to 2e-4, in a tenth of the time
_GRID = 200  # number of predictions for which the chance is calculated, and between which it is interpolated
SPREADS = np.linspace(0.4, 1.0, 4)  # sizes of errors, in those of the labelled pairs, for which chances are told too


class Chances(NamedTuple):
    """The chance of a TLS on a grid of predictions, from :func:`tls_chances`."""

    grid: Array  # log₁₀ of the predicted splitting in ε; shape (n_grid,)
    chances: Array  # probability of a TLS; shape (len(SPREADS), n_grid)
    means: Array  # log₁₀ of the exact splitting to be expected

    def __call__(self, splittings: Array, spread: Array | float = 1.0) -> Array:
        """Probability that double wells with these predicted splittings, in ε, are TLS.

        ``spread`` says how large errors are beside those of the labelled pairs, from SPREADS[0] to 1.
        """
        size = (np.asarray(spread) - SPREADS[0]) / (SPREADS[1] - SPREADS[0])
        place = (np.log10(splittings) - self.grid[0]) / (self.grid[1] - self.grid[0])
        found = map_coordinates(self.chances, np.broadcast_arrays(size, place), order=1, mode="nearest")
        return np.asarray(found.clip(0, 1))  # rounding

    def expected(self, splittings: Array) -> Array:
        """log₁₀ of the exact splittings to be expected where these, in ε, are predicted."""
        return np.asarray(np.interp(np.log10(splittings), self.grid, self.means))


def tls_chances(exact: Array, predicted: Array, threshold: float) -> Chances:
    """From predicted splittings in ε to the probability that the exact ones are below the threshold.

    P(p) = Σ w(p − p_k) F((log₁₀ threshold − p − t(p) − e_k) / width) / Σ w(p − p_k) over labelled pairs k: p is the
    logarithm of the prediction, t the linear trend of the errors log₁₀ exact − p_k and e_k what is left of them, of
    standard deviation σ; w is a Gaussian. An isotonic regression of P, each p weighing as much as labels are near, Σ
    w(p − p_k), makes it not rise with p. The slope of the trend is at least −1, where predictions tell nothing; a
    positive one is not continued beyond the p_k.

    What few labels leave open, n of them, hardly changes anything where they are many. F is the integral of Student's
    distribution with n − 2 degrees of freedom. The width, SMOOTH or Silverman's 1.06 σ n^(−1/5) if that is larger, is
    widened by the standard error of the trend. And where no label is a TLS, errors say nothing of splittings so small,
    and P is instead (n P + threshold / smallest) / (n + 1): a new splitting is below the smallest of n with a chance of
    1 / (n + 1), and there all values are taken as equally dense, as in the standard tunnelling model.

    ``exact``, ``predicted``, shape (n_labelled,): splittings of labelled double wells, and out-of-fold predictions.
    """
    known = np.log10(predicted)
    errors = np.log10(exact) - known
    centre, mean_error = known.mean(), errors.mean()
    spread = float(np.sum((known - centre) ** 2))
    slope = max(float((known - centre) @ errors) / spread, -1.0) if spread else -1.0
    errors -= mean_error + slope * (known - centre)
    freedom = max(len(known) - 2, 1)
    sigma = np.sqrt(errors @ errors / freedom)
    smooth = max(SMOOTH, 1.06 * sigma * len(known) ** -0.2)
    limit, lowest, highest = np.log10(threshold), known.min() - 1.0, known.max() + 1.0
    grid = np.linspace(lowest, highest, _GRID)
    chances, means, labels = np.empty((len(SPREADS), _GRID)), np.empty(_GRID), np.empty(_GRID)
    for k, place in enumerate(grid):
        inside, off = np.clip(place, known.min(), known.max()), place - centre
        weights = np.exp(-0.5 * ((inside - known) / NEAR) ** 2)
        width = np.hypot(smooth, sigma * np.sqrt(1 / len(known) + (off**2 / spread if spread else 0.0)))
        means[k] = place + mean_error + slope * ((inside if slope > 0 else place) - centre)
        scaled = (limit - means[k] - SPREADS[:, None] * errors) / (SPREADS[:, None] * width)
        below = ndtr(scaled) if freedom > _MANY else stdtr(freedom, scaled)
        chances[:, k] = below @ weights / weights.sum()
        labels[k] = np.exp(-0.5 * ((place - known) / NEAR) ** 2).sum()  # beyond them no end counts more than once
    chances = np.array([isotonic_regression(row, sample_weight=labels, increasing=False) for row in chances])
    if exact.min() >= threshold:
        chances = (len(known) * chances + threshold / exact.min()) / (len(known) + 1)
    return Chances(grid, chances, means)
