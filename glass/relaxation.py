"""Minima of any energy that comes with forces: the nearest one, and which of those found are the same."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from glass.arrays import Array, minimum_image

Potential = Callable[[Array], tuple[float, Array]]
"""A function that takes positions (N, 3) in σ and returns the total energy in ε and the forces (N, 3) in ε/σ."""

RELAX_FIRST_STEP = 0.1
"""σ; the first step of a relaxation has this length over all 3N coordinates: nothing is known of the curvature yet."""

_BLAS = ThreadpoolController()
"""L-BFGS-B works on small matrices; the threads of several processes at once make it ten times slower."""

RELAXED = 1e-4
"""ε/σ; a minimum has a smaller norm of the total gradient, as those of the public data have."""

RESTARTS = 5
"""A line search that fails for rounding ends L-BFGS early; a fresh start goes on."""


class Relaxed(NamedTuple):
    """Where a relaxation ended."""

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
        Most steps to take.
    """

    def scaled(flat: Array) -> tuple[float, Array]:
        energy, forces = potential(RELAX_FIRST_STEP * flat.reshape(-1, 3))
        return energy, -RELAX_FIRST_STEP * forces.ravel()

    # scipy's first step has length one, so that is what RELAX_FIRST_STEP is made to be.
    flat, left = positions.ravel() / RELAX_FIRST_STEP, max_steps
    tolerance = RELAX_FIRST_STEP * gradient_norm / np.sqrt(flat.size)  # scipy's is on the largest component
    for _ in range(RESTARTS):
        options = {"maxiter": left, "maxfun": 2 * left, "maxcor": 20, "gtol": tolerance, "ftol": 0.0}
        with _BLAS.limit(limits=1, user_api="blas"):
            found = minimize(scaled, flat, jac=True, method="L-BFGS-B", options=options)
        flat, left = found.x, left - found.nit
        norm = float(np.linalg.norm(found.jac)) / RELAX_FIRST_STEP
        if norm <= gradient_norm or left <= 0:
            break
    return Relaxed(float(found.fun), RELAX_FIRST_STEP * flat.reshape(-1, 3), norm)


class Minima:
    """The distinct minima of a trajectory and the transitions between them.

    Two quenches are one minimum if their energies per particle differ by ``SAME_ENERGY`` at most and no particle is
    displaced by ``SAME_POSITION``. For 300 soft spheres, those of one minimum differ by less than 2e-14 ε and 1e-5 σ,
    those of different minima by more than 4e-8 ε and 0.04 σ.
    """

    SAME_ENERGY, SAME_POSITION = 1e-9, 1e-3

    def __init__(self, box: Array) -> None:
        self.box = box
        self.positions: dict[str, Array] = {}
        """By name: the energy per particle with ten decimals, by which alone a minimum is known in files."""
        self.transitions: dict[tuple[str, str], int] = {}
        self.unrelaxed = 0
        """Quenches that did not reach a minimum; left out."""
        self.alike = 0
        """Quenches left out because another minimum has their name."""
        self._last: str | None = None

    def add(self, found: Relaxed) -> None:
        """Take the next quench of the trajectory."""
        name = self._name(found)
        if name is not None and self._last not in (None, name):
            step = (str(self._last), name)
            self.transitions[step] = self.transitions.get(step, 0) + 1
        self._last = name

    def _name(self, found: Relaxed) -> str | None:
        if not found.gradient_norm <= RELAXED:
            self.unrelaxed += 1
            return None
        energy = found.energy / len(found.positions)
        for name, other in self.positions.items():
            if abs(float(name) - energy) > self.SAME_ENERGY:
                continue
            step = minimum_image(found.positions - other, self.box)
            if np.linalg.norm(step, axis=1).max() < self.SAME_POSITION:
                return name
        name = f"{energy:.10f}"
        if name in self.positions:
            self.alike += 1
            return None
        self.positions[name] = found.positions
        return name
