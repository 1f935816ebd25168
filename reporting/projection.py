"""The motion of a pair of minima on a plane: which particles move, and the plane in which they move most."""

import numpy as np
from numpy.typing import NDArray

from glass.arrays import Array, minimum_image


def main_axes(displacements: Array) -> Array:
    """Principal axes of some displacements: the first two span the plane that holds most of Σ |Δr|².

    Parameters
    ----------
    displacements : ndarray of shape (N, 3)
        In any unit.

    Returns
    -------
    ndarray of shape (3, 3)
        A row an axis, right-handed; along the first two the largest component is positive, whichever minimum is where.
    """
    _, axes = np.linalg.eigh(displacements.T @ displacements)
    axes = axes.T[::-1].copy()
    along = displacements @ axes[:2].T
    axes[:2] *= np.where(along[np.abs(along).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)[:, None]
    axes[2] = np.cross(axes[0], axes[1])
    return axes


def nearest_images(positions: Array, centre: Array, box: Array) -> Array:
    """Positions relative to a centre, each as its nearest periodic image.

    Parameters
    ----------
    positions : ndarray of shape (N, 3)
        In any unit.
    centre : ndarray of shape (3,)
        In the same.
    box : ndarray of shape (3,)
        Lengths of the orthogonal box, in the same.

    Returns
    -------
    ndarray of shape (N, 3)
        No component is larger than half the box.
    """
    apart = positions - centre
    return minimum_image(apart, box)


def movers(displacements: Array, part: float, most: int) -> NDArray[np.int64]:
    """Indices of the particles that move at least a part of the longest way, the one that moves most first.

    Parameters
    ----------
    displacements : ndarray of shape (N, 3)
        In any unit.
    part : float
        Between 0 and 1.
    most : int
        No more than so many.
    """
    ways = np.linalg.norm(displacements, axis=1)
    order = np.argsort(-ways, kind="stable")
    return np.asarray(order[ways[order] >= part * ways.max()][:most])
