"""Relaxation by L-BFGS from forces: of a place to its nearest minimum, of a band to its path."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numba
import numpy as np
from scipy.optimize import minimize
from scipy.sparse import coo_array, csc_array, eye_array
from scipy.sparse.linalg import splu
from threadpoolctl import ThreadpoolController

from glass.arrays import Array, minimum_image

Potential = Callable[[Array], tuple[float, Array]]
"""A function that takes positions (N, 3) in σ and returns the total energy in ε and the forces (N, 3) in ε/σ."""

Forces = Callable[[Array, Sequence[int]], tuple[Array, Array]]
"""A function that takes the positions (k, N, 3) in σ of k images and their numbers in the band, and returns the total
energies (k,) in ε and the forces (k, N, 3) in ε/σ."""

Precondition = Callable[[Array], Array]
"""A function that applies the inverse of an approximate Hessian to forces of shape (k, N, 3)."""

RELAX_FIRST_STEP = 0.1  # length of the first step over all 3N coordinates, σ: nothing is known of the curvature yet

one_blas_thread = partial(ThreadpoolController().limit, limits=1, user_api="blas")
"""L-BFGS works on small matrices; the threads of several processes at once make it ten times slower."""

RELAXED = 1e-4  # norm of the total gradient below which a place is a minimum, ε/σ, as those of the public data are
RESTARTS = 5  # number of runs of L-BFGS: a line search that fails for rounding ends one early


LONGEST_STEP = 0.1  # largest displacement of a particle in one step, σ
FIRST_STEP = 0.01  # longest first step, when the curvature is not known yet, σ
MEMORY = 20  # number of the last steps from which L-BFGS takes the curvature


class Relaxed(NamedTuple):
    """Result of a relaxation."""

    energy: float  # total energy in ε
    positions: Array  # shape (N, 3), in σ; unwrapped if they were so
    gradient_norm: float  # ε/σ; norm over all 3N coordinates. Above what was asked for, it did not converge


def relax(potential: Potential, positions: Array, gradient_norm: float = 1e-5, max_steps: int = 10000) -> Relaxed:
    """Nearest minimum by L-BFGS, to this norm of the total gradient in ε/σ; rounding allows no less than about 1e-6."""

    def scaled(flat: Array) -> tuple[float, Array]:
        energy, forces = potential(RELAX_FIRST_STEP * flat.reshape(-1, 3))
        return energy, -RELAX_FIRST_STEP * forces.ravel()

    # scipy's first step has length one, so that is what RELAX_FIRST_STEP is made to be.
    flat, steps_left = positions.ravel() / RELAX_FIRST_STEP, max_steps
    tolerance = RELAX_FIRST_STEP * gradient_norm / np.sqrt(flat.size)  # scipy's is on the largest component
    for _ in range(RESTARTS):
        options = {"maxiter": steps_left, "maxfun": 2 * steps_left, "maxcor": 20, "gtol": tolerance, "ftol": 0.0}
        with one_blas_thread():
            found = minimize(scaled, flat, jac=True, method="L-BFGS-B", options=options)
        flat, steps_left = found.x, steps_left - found.nit
        norm = float(np.linalg.norm(found.jac)) / RELAX_FIRST_STEP
        if norm <= gradient_norm or steps_left <= 0:
            break
    return Relaxed(float(found.fun), RELAX_FIRST_STEP * flat.reshape(-1, 3), norm)


def one_by_one(potentials: Sequence[Potential]) -> Forces:
    """Forces from a potential for each image, as a neighbour list serves one place; more images share them."""

    def forces(images: Array, numbers: Sequence[int]) -> tuple[Array, Array]:
        found = [potentials[k % len(potentials)](positions) for k, positions in zip(numbers, images, strict=True)]
        return np.array([energy for energy, _ in found]), np.array([force for _, force in found])

    return forces


class LBFGS:
    """Steps from forces alone, without line searches, as a band has no energy of its own."""

    def __init__(self, precondition: Precondition | None = None) -> None:
        self.precondition = precondition
        self.images = 0  # before the first step

    def forget(self) -> None:
        """Begin anew."""
        self.images = 0

    def __call__(self, positions: Array, forces: Array) -> Array:
        """Next displacement in σ at positions (k, N, 3) with forces of the same shape; no drift of an image."""
        if not self.images:
            self.images, self._learnt = len(positions), 0
            self._vectors, self._products = np.zeros((2 * MEMORY + 3, positions.size)), np.zeros((3, MEMORY, MEMORY))
            self._vectors[-3] = positions.ravel()
        downhill = forces if self.precondition is None else self.precondition(forces)
        self._learnt, step = lbfgs_step(positions, forces, downhill, self._learnt, self._vectors, self._products)
        return np.asarray(step)

    def carry_over(self, weights: Array, positions: Array) -> None:
        """Go on at ``positions`` (k_new, N, 3) with what was learnt of k images, summed with ``weights`` (k_new, k).

        Scalar products are taken to grow as the number of images.
        """
        rows = self._vectors.reshape(len(self._vectors), self.images, -1)
        self._vectors = (weights @ rows).reshape(len(rows), -1)
        self._vectors[-3] = positions.ravel()
        self._products *= len(positions) / self.images
        self.images = len(positions)


@numba.njit(cache=True)
def lbfgs_step(positions, forces, downhill, count, vectors, products):  # type: ignore[no-untyped-def]
    """Learn from the last step, and the next one; see :class:`LBFGS`.

    The compact form of Byrd, Nocedal, Schnabel, Math. Program. 63, 129 (1994), with moves s, changes y of the gradient
    and z = H₀ y. ``vectors``: moves, changes z, place, forces and H₀ forces of the last call; ``products``: s_i · y_j,
    y_i · z_j, then s_i and z_i times the last forces; ``count``: steps learnt from, the last MEMORY are remembered.
    """
    memory, size = products.shape[1], positions.size
    moves, changes, last = vectors[:memory], vectors[memory : 2 * memory], vectors[2 * memory :]
    place, pull, down = positions.copy().reshape(size), forces.copy().reshape(size), downhill.copy().reshape(size)
    move, change = place - last[0], last[1] - pull
    slope = np.dot(move, change)
    learnt = slope > 1e-10 * np.sqrt(np.dot(move, move) * np.dot(change, change))
    if learnt:
        new = count % memory
        count += 1
        moves[new], changes[new] = move, last[2] - down
        products[2, 0, new], products[2, 1, new] = np.dot(move, last[1]), np.dot(changes[new], last[1])
    elif np.dot(move, move) > 0:
        count = 0  # the curvature is not above zero: all that is known is out of date
    known = min(count, memory)
    order = np.arange(count - known, count) % memory
    last[0], last[1], last[2], step = place, pull, down, down.copy()
    if known > 0:
        by_moves, by_changes = np.dot(moves[:known], pull), np.dot(changes[:known], pull)
        newest = order[known - 1]
        if learnt:
            products[0, :known, newest] = products[2, 0, :known] - by_moves
            products[1, :known, newest] = products[2, 1, :known] - by_changes
            products[1, newest, :known] = products[1, :known, newest]
            products[0, newest, newest] = slope
        products[2, 0, :known], products[2, 1, :known] = by_moves, by_changes
        along, scale = _coefficients(by_moves, by_changes, products, order)
        step = scale * down + np.dot(along[0], moves[:known]) + np.dot(along[1], changes[:known])
    return count, _clipped(step.reshape(positions.shape), LONGEST_STEP if known > 0 else FIRST_STEP)


@numba.njit(cache=True)
def _coefficients(by_moves, by_changes, products, order):  # type: ignore[no-untyped-def]
    """Coefficients of moves and changes, shape (2, known), and of H₀ in the inverse Hessian times the forces."""
    known = len(order)
    slopes, overlaps = products[0], products[1]
    newest = order[-1]
    scale = slopes[newest, newest] / overlaps[newest, newest]
    along = np.zeros((2, known))
    for a in range(known - 1, -1, -1):  # R t = Sᵀ f, R the upper triangle of the slopes
        i = order[a]
        t = by_moves[i]
        for b in range(a + 1, known):
            t -= slopes[i, order[b]] * along[1, order[b]]
        along[1, i] = t / slopes[i, i]
    for a in range(known):  # Rᵀ u = (D + scale Yᵀ Z) t − scale Zᵀ f
        i = order[a]
        t = slopes[i, i] * along[1, i] - scale * by_changes[i]
        for b in range(known):
            t += scale * overlaps[i, order[b]] * along[1, order[b]]
        for b in range(a):
            t -= slopes[order[b], i] * along[0, order[b]]
        along[0, i] = t / slopes[i, i]
    along[1] *= -scale
    return along, scale


@numba.njit(cache=True)
def _clipped(steps, longest):  # type: ignore[no-untyped-def]
    """Steps (k, N, 3) without drift of an image, shortened so that no particle moves further than ``longest``."""
    images, particles, _ = steps.shape
    far = 0.0
    for k in range(images):
        for axis in range(3):
            if particles > 1:
                steps[k, :, axis] -= steps[k, :, axis].mean()
        for i in range(particles):
            far = max(far, steps[k, i, 0] ** 2 + steps[k, i, 1] ** 2 + steps[k, i, 2] ** 2)
    return steps * min(1.0, longest / np.sqrt(far)) if far > 0 else steps


def bonds_inverse(positions: Array, box: Array) -> Precondition:
    """Inverse of an approximate Hessian from places alone: Σ c n nᵀ over bonds of direction n.

    After Packwood et al., J. Chem. Phys. 144, 164109 (2016), where c (n nᵀ + 1) is taken; c = exp(−3 (r/r₀ − 1)) for
    r < 1.6 r₀, r₀ the mean distance of the two particles' three nearest neighbours. Its scale makes no difference.
    """
    count = len(positions)
    steps = [np.delete(minimum_image(positions - one, box), k, 0) for k, one in enumerate(positions)]
    lengths = [np.maximum(np.linalg.norm(some, axis=1), 1e-9) for some in steps]
    nearest = np.array([np.sort(some)[:3].mean() for some in lengths])
    rows, columns, blocks = [], [], []
    for i in range(count):
        others = np.delete(np.arange(count), i)
        apart = lengths[i] / (0.5 * (nearest[i] + nearest[others]))
        near = apart < 1.6
        directions = steps[i][near] / lengths[i][near, None]
        block = np.exp(-3 * (apart[near] - 1))[:, None, None] * directions[:, :, None] * directions[:, None, :]
        rows.append(np.full(near.sum() + 1, i))
        columns.append(np.append(others[near], i))
        blocks.append(np.concatenate([-block, block.sum(0)[None]]))
    first, second, block = np.concatenate(rows), np.concatenate(columns), np.concatenate(blocks)
    axis = np.arange(3)
    where = np.broadcast_arrays(3 * first[:, None, None] + axis[:, None], 3 * second[:, None, None] + axis)
    hessian = coo_array((block.ravel(), tuple(one.ravel() for one in where))).tocsc()
    hessian = hessian + 0.05 * hessian.diagonal().mean() * eye_array(3 * count, format="csc")
    solve = splu(csc_array(hessian), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve
    return lambda forces: np.ascontiguousarray(solve(forces.reshape(len(forces), -1).T).T).reshape(forces.shape)
