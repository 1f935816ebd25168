"""The nearest minimum of any energy that comes with forces."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from glass.arrays import Array

Potential = Callable[[Array], tuple[float, Array]]
"""A function that takes positions (N, 3) in σ and returns the total energy in ε and the forces (N, 3) in ε/σ."""

RELAX_FIRST_STEP = 0.1
"""Length of the first step over all 3N coordinates, σ: nothing is known of the curvature yet."""

_BLAS = ThreadpoolController()
"""L-BFGS-B works on small matrices; the threads of several processes at once make it ten times slower."""

RELAXED = 1e-4
"""Norm of the total gradient below which a place is a minimum, ε/σ, as those of the public data are."""

RESTARTS = 5
"""Number of runs of L-BFGS: a line search that fails for rounding ends one early."""


class Relaxed(NamedTuple):
    """Result of a relaxation."""

    energy: float
    """Total energy in ε."""
    positions: Array
    """Shape (N, 3), in σ; unwrapped if they were so."""
    gradient_norm: float
    """ε/σ; norm over all 3N coordinates. Above what was asked for, it did not converge."""


def relax(potential: Potential, positions: Array, gradient_norm: float = 1e-5, max_steps: int = 10000) -> Relaxed:
    """Nearest minimum by L-BFGS.

    Parameters
    ----------
    potential : callable
        Gives the total energy in ε and the forces (N, 3) in ε/σ at positions (N, 3) in σ.
    positions : ndarray of shape (N, 3)
        Where to start, in σ; left as they are.
    gradient_norm : float
        ε/σ; norm of the total gradient at which to stop. Rounding of the energy allows no less than about 1e-6.
    max_steps : int
        Largest number of steps.
    """

    def scaled(flat: Array) -> tuple[float, Array]:
        energy, forces = potential(RELAX_FIRST_STEP * flat.reshape(-1, 3))
        return energy, -RELAX_FIRST_STEP * forces.ravel()

    # scipy's first step has length one, so that is what RELAX_FIRST_STEP is made to be.
    flat, steps_left = positions.ravel() / RELAX_FIRST_STEP, max_steps
    tolerance = RELAX_FIRST_STEP * gradient_norm / np.sqrt(flat.size)  # scipy's is on the largest component
    for _ in range(RESTARTS):
        options = {"maxiter": steps_left, "maxfun": 2 * steps_left, "maxcor": 20, "gtol": tolerance, "ftol": 0.0}
        with _BLAS.limit(limits=1, user_api="blas"):
            found = minimize(scaled, flat, jac=True, method="L-BFGS-B", options=options)
        flat, steps_left = found.x, steps_left - found.nit
        norm = float(np.linalg.norm(found.jac)) / RELAX_FIRST_STEP
        if norm <= gradient_norm or steps_left <= 0:
            break
    return Relaxed(float(found.fun), RELAX_FIRST_STEP * flat.reshape(-1, 3), norm)
