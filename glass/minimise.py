"""Minima of any energy that comes with forces: the nearest one, and which of those found are the same."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

Array = NDArray[np.float64]

Calculate = Callable[[Array], tuple[float, Array]]
"""Positions (N, 3) in σ to the total energy in ε and the forces (N, 3) in ε/σ."""

FIRST_STEP = 0.1
"""σ; length, over all 3N coordinates, of the step that is tried before anything is known of the curvature."""

_BLAS = ThreadpoolController()
"""L-BFGS-B works on small matrices; the threads of several processes at once make it ten times slower."""

RELAXED = 1e-4
"""ε/σ; largest norm of the total gradient of a minimum, as in the public data."""

RESTARTS = 5
"""A line search that fails for rounding ends L-BFGS early; a fresh start goes on."""


class Relaxed(NamedTuple):
    """Where a relaxation ended."""

    energy: float
    """Total energy in ε."""
    positions: Array
    """Shape (N, 3), in σ; unwrapped if they were so."""
    gradient: float
    """ε/σ; norm over all 3N coordinates. Above what was asked for, it did not converge."""


def relax(calculate: Calculate, positions: Array, gradient: float = 1e-5, max_steps: int = 10000) -> Relaxed:
    """Nearest minimum by L-BFGS.

    Parameters
    ----------
    calculate : callable
        Gives the total energy in ε and the forces (N, 3) in ε/σ at positions (N, 3) in σ.
    positions : ndarray of shape (N, 3)
        Where to start, in σ; left as they are.
    gradient : float
        ε/σ; norm of the total gradient at which to stop. Rounding of the energy allows no less than about 1e-6.
    max_steps : int
        Most steps to take.
    """

    def scaled(flat: Array) -> tuple[float, Array]:
        energy, forces = calculate(FIRST_STEP * flat.reshape(-1, 3))
        return energy, -FIRST_STEP * forces.ravel()

    # scipy's first step has length one, so that is what FIRST_STEP is made to be.
    flat, left = positions.ravel() / FIRST_STEP, max_steps
    tolerance = FIRST_STEP * gradient / np.sqrt(flat.size)  # scipy's is on the largest component
    for _ in range(RESTARTS):
        options = {"maxiter": left, "maxfun": 2 * left, "maxcor": 20, "gtol": tolerance, "ftol": 0.0}
        with _BLAS.limit(limits=1, user_api="blas"):
            found = minimize(scaled, flat, jac=True, method="L-BFGS-B", options=options)
        flat, left = found.x, left - found.nit
        norm = float(np.linalg.norm(found.jac)) / FIRST_STEP
        if norm <= gradient or left <= 0:
            break
    return Relaxed(float(found.fun), FIRST_STEP * flat.reshape(-1, 3), norm)


class Minima:
    """The distinct minima of a trajectory and the transitions between them.

    Two quenches are one minimum if their energies per particle differ by ``SAME_ENERGY`` at most and no particle is
    displaced by ``SAME_PLACE``. For 300 soft spheres, those of one minimum differ by less than 2e-14 ε and 1e-5 σ,
    those of different minima by more than 4e-8 ε and 0.04 σ.
    """

    SAME_ENERGY, SAME_PLACE = 1e-9, 1e-3

    def __init__(self, box: Array) -> None:
        self.box = box
        self.positions: dict[str, Array] = {}
        """By label: the energy per particle with ten decimals, by which alone a minimum is known to all others."""
        self.transitions: dict[tuple[str, str], int] = {}
        self.unrelaxed = 0
        """Quenches that did not reach a minimum; left out."""
        self.alike = 0
        """Quenches left out because another minimum has their label."""
        self._last: str | None = None

    def add(self, found: Relaxed) -> None:
        """Take the next quench of the trajectory."""
        label = self._label(found)
        if label is not None and self._last not in (None, label):
            step = (str(self._last), label)
            self.transitions[step] = self.transitions.get(step, 0) + 1
        self._last = label

    def _label(self, found: Relaxed) -> str | None:
        if not found.gradient <= RELAXED:
            self.unrelaxed += 1
            return None
        energy = found.energy / len(found.positions)
        for label, other in self.positions.items():
            if abs(float(label) - energy) > self.SAME_ENERGY:
                continue
            step = found.positions - other
            step -= self.box * np.rint(step / self.box)
            if np.linalg.norm(step, axis=1).max() < self.SAME_PLACE:
                return label
        label = f"{energy:.10f}"
        if label in self.positions:
            self.alike += 1
            return None
        self.positions[label] = found.positions
        return label
