"""Rearrangements: double wells of a glass whose displacement fields overlap.

The same few particles may move in many pairs of minima that differ elsewhere. The overlap of two pairs is the cosine of
the angle between their displacements over all 3N coordinates, without sign, as a pair has no direction.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from glass.arrays import Array
from glass.path import displacement

BLOCK = 1024
"""Number of rows of overlaps in memory at a time."""

EDGES = np.linspace(0, 1, 51)
"""Edges of the bins in which overlaps are counted."""


class Rearrangements(NamedTuple):
    """The double wells of one glass, sorted into rearrangements."""

    labels: NDArray[np.int64]
    """Equal for pairs of one rearrangement; numbered from 0 in the order of their first pairs; shape (n_pairs,)."""
    overlaps: NDArray[np.int64]
    """Number of pairs of double wells by overlap, between EDGES; shape (len(EDGES) − 1,)."""


def displacement_field(start: Array, end: Array, box: Array) -> Array:
    """Unit vector of the displacement between two minima: minimum image, no drift of the centre of mass.

    Parameters
    ----------
    start, end : ndarray of shape (N, 3)
        In σ.
    box : ndarray of shape (3,)
        Box lengths in σ.

    Returns
    -------
    ndarray of shape (3N,)
    """
    step = displacement(start, end, box)
    return np.asarray(step.ravel() / np.linalg.norm(step))


def participation(fields: NDArray[np.floating]) -> Array:
    """Participation ratio of each field, PR = (Σ|Δr|²)² / Σ|Δr|⁴ over the particles; shape (n_pairs,).

    Parameters
    ----------
    fields : ndarray of shape (n_pairs, 3N)
        As :func:`displacement_field` gives them.
    """
    squares = _square_displacements(fields)
    return np.asarray(squares.sum(axis=1) ** 2 / (squares**2).sum(axis=1))


def most_displaced(fields: NDArray[np.floating], particles: int) -> NDArray[np.int64]:
    """Indices of the particles that move most, the first the most; shape (n_pairs, min(particles, N)).

    Parameters
    ----------
    fields : ndarray of shape (n_pairs, 3N)
        As :func:`displacement_field` gives them.
    particles : int
        Number of particles.
    """
    return np.argsort(-_square_displacements(fields), axis=1, kind="stable")[:, :particles]


def _square_displacements(fields: NDArray[np.floating]) -> Array:
    """|Δr|² of each particle, shape (n_pairs, N)."""
    return np.asarray(np.square(fields.reshape(len(fields), -1, 3), dtype=np.float64).sum(axis=2))


def find_rearrangements(fields: NDArray[np.floating], overlap: float) -> Rearrangements:
    """Sort displacement fields into rearrangements: what overlaps enough is one, also through a third.

    Parameters
    ----------
    fields : ndarray of shape (n_pairs, 3N)
        As :func:`displacement_field` gives them, all of one glass.
    overlap : float
        Smallest overlap of two pairs that are one rearrangement.
    """
    count = len(fields)
    labels = np.arange(count)
    counted = np.zeros(len(EDGES) - 1, np.int64)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        cosines = np.clip(np.abs(fields[start:stop] @ fields[:stop].T), 0, 1)
        earlier = np.arange(stop) < np.arange(start, stop)[:, None]
        counted += np.histogram(cosines[earlier], EDGES)[0]
        one, other = np.nonzero(earlier & (cosines >= overlap))
        links = coo_array((np.ones(len(one), bool), (labels[one + start], labels[other])), shape=(count, count))
        labels = connected_components(links, directed=False)[1][labels]
    first = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first[1]))
    return Rearrangements(order[first[2]], counted)
