"""Rearrangements: pairs of minima of a glass whose displacement fields overlap.

The same few particles may move in many pairs of minima that differ elsewhere. The overlap of two pairs is the cosine of
the angle between their displacements over all 3N coordinates, without sign, as a pair has no direction. Pairs are one
rearrangement where they overlap enough, also through a third: single linkage.

Once all minima of a glass are unwrapped to one of them, the displacement of a pair is x_j − x_i, and its overlaps with
many fields r follow from the products x·r of the minima, of which there are far fewer than pairs.
"""

from collections.abc import Sequence
from functools import partial

import numba
import numpy as np
from numpy.typing import NDArray

from glass.arrays import Array, Index, brought_near, minimum_image, shortest_period
from glass.kernels import FAST

BLOCK = 2048  # pairs whose fields, or overlaps, are in memory at a time
LEADER = 0.95
"""Overlap with a leader from which a pair follows it, so that it is compared in full with few others. All that is
found does not depend on it."""

Floats = NDArray[np.float32]


class Displacements:
    """Displacement fields of some pairs of minima of one glass: minimum image, no drift of the centre of mass.

    Parameters
    ----------
    positions : sequence of ndarray of shape (N, 3)
        Of each minimum, in σ.
    box : ndarray of shape (3,) or (3, 3)
        See :mod:`glass.arrays`.
    first, second : ndarray of int, shape (n_pairs,)
        The two minima of each pair.

    Attributes
    ----------
    coordinates : ndarray of shape (n_rows, 3N)
        Unwrapped minima: the displacement of a pair is ``coordinates[second] - coordinates[first]``, in σ. A pair in
        which a particle crosses half the box between the unwrapped minima has a row of its own for its second.
    lengths : ndarray of shape (n_pairs,)
        Total displacements in σ.
    """

    def __init__(self, positions: Sequence[Array], box: Array, first: Index, second: Index) -> None:
        self.first, self.second = first, second.copy()
        positions = [brought_near(one, positions[0], box) for one in positions]
        reach = box if box.ndim == 1 else shortest_period(box)
        self.coordinates = np.empty((len(positions), positions[0].size), np.float32)
        farthest = np.zeros(positions[0].shape)
        for row, one in enumerate(positions):
            step = minimum_image(one - positions[0], box)
            np.maximum(farthest, np.abs(step), out=farthest)
            self.coordinates[row] = (step - step.mean(axis=0)).ravel()
        own = []
        far = np.flatnonzero((farthest > reach / 4).any(axis=1))
        unwrapped = minimum_image(np.array([one[far] for one in positions]) - positions[0][far], box)
        for start in range(0, len(first) if len(far) else 0, BLOCK):
            steps = unwrapped[second[start : start + BLOCK]] - unwrapped[first[start : start + BLOCK]]
            for pair in start + np.flatnonzero((np.abs(steps) > reach / 2).any(axis=(1, 2))):
                step = minimum_image(positions[second[pair]] - positions[first[pair]], box)
                own.append(self.coordinates[first[pair]] + (step - step.mean(axis=0)).ravel())
                self.second[pair] = len(positions) + len(own) - 1
        if own:
            self.coordinates = np.vstack([self.coordinates, np.array(own, np.float32)])
        self.lengths = np.concatenate(
            [np.linalg.norm(self._steps(block), axis=1) for block in blocks(np.arange(len(first)))]
        )

    def _steps(self, pairs: Index) -> Floats:
        return np.asarray(self.coordinates[self.second[pairs]] - self.coordinates[self.first[pairs]])

    def fields(self, pairs: Index) -> Floats:
        """Unit vectors of the displacements of some pairs; shape (n, 3N)."""
        return np.asarray(self._steps(pairs) / self.lengths[pairs, None])

    def products(self, pairs: Index) -> Floats:
        """Products of all coordinates with the fields of some pairs, for :meth:`cosines`; shape (n_rows, n)."""
        return np.asarray(self.coordinates @ self.fields(pairs).T)

    def cosines(self, pairs: Index, products: Floats) -> Array:
        """Cosines of the angles between some pairs and those of ``products``; shape (n, n_others)."""
        steps = products[self.second[pairs]] - products[self.first[pairs]]
        return np.asarray(np.clip(steps / self.lengths[pairs, None], -1, 1))


def participation(fields: NDArray[np.floating]) -> Array:
    """Participation ratio of each field, PR = (Σ|Δr|²)² / Σ|Δr|⁴ over the particles; shape (n_pairs,)."""
    squares = _square_displacements(fields)
    return np.asarray(squares.sum(axis=1) ** 2 / (squares**2).sum(axis=1))


def most_displaced(fields: NDArray[np.floating], particles: int) -> NDArray[np.int64]:
    """Indices of the particles that move most, the first the most; shape (n_pairs, min(particles, N))."""
    return np.argsort(-_square_displacements(fields), axis=1, kind="stable")[:, :particles]


def _square_displacements(fields: NDArray[np.floating]) -> Array:
    """|Δr|² of each particle, shape (n_pairs, N)."""
    return np.asarray(np.square(fields.reshape(len(fields), -1, 3), dtype=np.float64).sum(axis=2))


def find_rearrangements(pairs: Displacements, overlap: float, labels: Index | None = None) -> Index:
    """Sort pairs into rearrangements.

    Pairs follow a leader that they overlap by LEADER, or are one. Leaders are compared with all pairs; of their
    followers those that can still link what this leaves apart, by the angles that are known.

    Parameters
    ----------
    pairs, overlap
        Which, and from which overlap on they are linked.
    labels : ndarray of int, shape (n_pairs,), optional
        What was found before: equal for pairs of one rearrangement, -1 for those that are new.

    Returns
    -------
    ndarray of int, shape (n_pairs,)
        Equal for pairs of one rearrangement, in the order of their first pairs.
    """
    count, reach, least = len(pairs.first), np.arccos(overlap), max(LEADER, overlap)
    parent, is_new = np.arange(count), np.ones(count, bool) if labels is None else labels < 0
    if labels is not None:
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        parent = np.where(is_new, parent, first[inverse])
    leader, nearness, is_leader = np.full(count, -1), np.zeros(count, np.float32), np.zeros(count, bool)
    link = partial(_link, pairs.first, pairs.second, pairs.lengths, parent, leader, nearness, overlap)
    while len(left := np.flatnonzero(is_new & (nearness < least))[:BLOCK]):
        fields, free = pairs.fields(left), np.ones(len(left), bool)
        alike = np.abs(fields @ fields.T) >= least
        for one in range(len(left)):  # a leader, unless it follows an earlier one
            if free[one]:
                free[one + 1 :] &= ~alike[one, one + 1 :]
        some = left[free]
        leader[some], nearness[some] = some, 1
        link(pairs.products(some), some, is_leader)
        is_leader[some] = True
    follows = np.flatnonzero(is_new & ~is_leader)
    labels, nearest = _roots(parent), np.zeros(count, np.float32)
    for some in blocks(np.unique(leader[follows])):
        nearest[some] = _nearest(pairs.first, pairs.second, pairs.lengths, pairs.products(some), some, labels)
    near, own = (np.arccos(np.minimum(one, 1)) for one in (nearest[leader[follows]], nearness[follows]))
    follows = follows[near <= reach + own]
    for some in blocks(follows[np.argsort(labels[follows], kind="stable")]):
        label = labels[some[0]] if labels[some[0]] == labels[some[-1]] else -1
        link(pairs.products(some), some, is_leader | (labels == label))
    _, first, inverse = np.unique(_roots(parent), return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _roots(parent: Index) -> Index:
    """The pair that all of a rearrangement lead to."""
    while (parent[parent] != parent).any():
        parent = parent[parent]
    return parent


@numba.njit(cache=True)
def _root(parent, one):  # type: ignore[no-untyped-def]
    while parent[one] != one:
        parent[one] = parent[parent[one]]
        one = parent[one]
    return one


@numba.njit(fastmath=FAST, cache=True)
def _link(first, second, lengths, parent, leader, nearness, overlap, products, columns, left_out):  # type: ignore[no-untyped-def]
    """Link pairs with those of the columns that they overlap enough; they follow the one that they overlap most."""
    for pair in range(len(first)):
        if left_out[pair]:
            continue
        one, other = products[first[pair]], products[second[pair]]
        largest = np.float32(0)
        for k in range(len(columns)):
            largest = max(largest, abs(other[k] - one[k]))
        if largest < overlap * lengths[pair]:
            continue
        for k in range(len(columns)):
            cosine = abs(other[k] - one[k]) / lengths[pair]
            if cosine >= overlap:
                parent[_root(parent, pair)] = _root(parent, columns[k])
                if cosine > nearness[pair]:
                    nearness[pair], leader[pair] = cosine, columns[k]


@numba.njit(fastmath=FAST, cache=True)
def _nearest(first, second, lengths, products, columns, labels):  # type: ignore[no-untyped-def]
    """Largest overlap of the pairs of the columns with one of another label; shape (n_columns,)."""
    nearest, own = np.zeros(len(columns), np.float32), labels[columns]
    for pair in range(len(first)):
        one, other, per_length, label = products[first[pair]], products[second[pair]], 1 / lengths[pair], labels[pair]
        for k in range(len(columns)):
            cosine = abs(other[k] - one[k]) * per_length
            nearest[k] = max(nearest[k], cosine if own[k] != label else np.float32(0))
    return nearest


def blocks(pairs: Index, size: int | None = None) -> list[Index]:
    """Pairs in blocks of this size, by default BLOCK."""
    size = size or BLOCK
    return [pairs[start : start + size] for start in range(0, len(pairs), size)]
