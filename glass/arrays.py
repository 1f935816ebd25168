"""Arrays, periodic boxes, and the minimum image of a difference of positions.

A box is the lengths, shape (3,), of an orthogonal cell along the axes; else cell vectors as rows, shape (3, 3), reduced
after Minkowski, so that the minimum image is among the 27 around the nearest by fractions (Nguyen, Stehlé, ACM Trans.
Algorithms 5, 46 (2009)). A direction that does not repeat has a vector longer than any path.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]
OPEN = 1e9  # length of the vector along a direction that is not periodic, in the longest of the others
ROUNDED = 1e-6  # relative differences of cells that formats make by rounding
_AROUND = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T


def minimum_image(steps: Array, box: Array) -> Array:
    """Shortest of differences of positions and their periodic images, in σ.

    The compiled functions have :func:`glass.kernels.nearest_image`.

    Parameters
    ----------
    steps : ndarray of shape (..., 3)
        Differences of positions in σ.
    box : ndarray of shape (3,) or (3, 3)
        As :func:`box_of` gives it.

    Returns
    -------
    ndarray of shape (..., 3)

    Examples
    --------
    >>> minimum_image(np.array([9.0, -1.0, 4.0]), np.full(3, 10.0))
    array([-1., -1.,  4.])
    """
    if box.ndim == 1:
        return np.asarray(steps - box * np.rint(steps / box))
    flat = np.reshape(steps, (-1, 3))
    near = np.asarray(flat - np.rint(flat @ np.linalg.inv(box)) @ box)
    far = np.flatnonzero(np.linalg.norm(near, axis=1) > 0.5 * shortest_period(box))
    images = near[far, None] + _AROUND @ box
    near[far] = images[np.arange(len(far)), np.linalg.norm(images, axis=2).argmin(1)]
    return near.reshape(np.shape(steps))


def shortest_period(box: Array) -> float:
    """Length of the shortest vector after which a box repeats; no shorter difference than half of it has an image."""
    if box.ndim == 1:
        return float(box.min())
    lengths = np.linalg.norm(_AROUND @ box, axis=1)
    return float(lengths[lengths > 0].min())


def box_of(cell: ArrayLike, pbc: ArrayLike = True) -> Array:
    """Box of the cell with these vectors as rows, of which ``pbc`` repeat; ValueError if those lie in a plane or line.

    Examples
    --------
    >>> box_of([[0, 4, 0], [0, 0, 5], [-6, 0, 0]])
    array([6., 4., 5.])
    """
    from ase.geometry import complete_cell, minkowski_reduce

    vectors, periodic = np.asarray(cell, float).copy(), np.broadcast_to(pbc, 3)
    vectors[~periodic] = 0.0
    if np.linalg.matrix_rank(vectors) < periodic.sum():
        raise ValueError("the vectors of the cell lie in a plane or line")
    longest = np.abs(vectors).max() or 1.0
    small = np.abs(vectors) < 1e-8 * longest
    if periodic.all() and (small.sum(0) == 2).all() and (small.sum(1) == 2).all():
        return np.asarray(np.where(small, 0.0, np.abs(vectors)).sum(0))
    whole = complete_cell(vectors)
    whole[~periodic] *= OPEN * longest / np.linalg.norm(whole[~periodic], axis=1, keepdims=True)
    return np.asarray(minkowski_reduce(whole, periodic)[0])


def vectors_of(box: Array) -> Array:
    """The vectors of a box as rows, shape (3, 3)."""
    return np.diag(box) if box.ndim == 1 else box


def difference_of_cells(one: ArrayLike, other: ArrayLike) -> float:
    """Largest relative difference of two cells of vectors, shape (3, 3); of those of one lattice, of their rounding."""
    a, b = np.asarray(one, float), np.asarray(other, float)
    size = np.linalg.norm(a, axis=1).max()
    direct = float(np.abs(a - b).max() / size)
    if direct > ROUNDED and np.linalg.det(a):
        turns = np.rint(b @ np.linalg.inv(a))
        if 0.5 < abs(np.linalg.det(turns)) < 1.5:
            return min(direct, float(np.abs(turns @ a - b).max() / size))
    return direct


def common_shift(steps: Array, box: Array) -> Array:
    """First guess of how far a whole sample was shifted, through the periodic boundary; shape (3,).

    A median over the particles: those that moved by themselves do not count. It is near the mean, not equal to it.
    """
    return minimum_image(steps[0] + np.median(minimum_image(steps - steps[0], box), axis=0), box)


def brought_near(places: Array, reference: Array, box: Array) -> Array:
    """Places of a minimum shifted near another, so that minimum images are those of the particles' own displacements.

    By sixteenths of the box, lest it depend on which minimum is the other: most often by nothing.
    """
    coarse = shortest_period(box) / 16
    return np.asarray(places - coarse * np.rint(common_shift(places - reference, box) / coarse))


def without_drift(start: Array, end: Array, box: Array) -> Array:
    """Displacement of every particle between two minima in σ, shape (N, 3): minimum image, less the mean of all."""
    step = minimum_image(brought_near(end, start, box) - start, box)
    return np.asarray(step - step.mean(0))
