"""Rearrangements: pairs of minima of a glass whose displacement fields overlap.

The same few particles may move in many pairs of minima that differ elsewhere. The overlap of two pairs is the cosine of
the angle between their displacements over all 3N coordinates, without sign, as a pair has no direction. Pairs are one
rearrangement where they overlap enough, also through a third: single linkage.

Once all minima of a glass are unwrapped to one of them, the displacement of a pair is x_j − x_i, and its overlaps with
many fields r follow from the products x·r of the minima, of which there are far fewer than pairs.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from glass.arrays import Array, Index, brought_near, minimum_image, shortest_period

BLOCK = 2048
"""Number of pairs whose fields, or overlaps, are in memory at a time."""

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
        self.lengths = np.concatenate([np.linalg.norm(self._steps(block), axis=1) for block in _blocks(len(first))])

    def _steps(self, pairs: Index) -> Floats:
        return np.asarray(self.coordinates[self.second[pairs]] - self.coordinates[self.first[pairs]])

    def fields(self, pairs: Index) -> Floats:
        """Unit vectors of the displacements of some pairs; shape (n, 3N)."""
        return np.asarray(self._steps(pairs) / self.lengths[pairs, None])

    def products(self, pairs: Index) -> Array:
        """Products of all coordinates with the fields of some pairs, for :meth:`cosines`; shape (n_rows, n)."""
        fields = self.fields(pairs).T.astype(float)
        return np.vstack([self.coordinates[block].astype(float) @ fields for block in _blocks(len(self.coordinates))])

    def cosines(self, pairs: Index, products: Array) -> Array:
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


def find_rearrangements(pairs: Displacements, overlap: float) -> Index:
    """Sort pairs into rearrangements.

    A pair follows the leader that it overlaps most, or is one. Leaders are linked through all pairs that overlap two
    of them; where that leaves two apart, those of their followers are compared that can still be near enough by the
    angles that are known. Numbers (n_pairs,), equal for pairs of one rearrangement, in the order of their first pairs.
    """
    leader, products = _follow(pairs, max(LEADER, overlap))
    reach = np.arccos(overlap)
    labels, own = np.arange(products.shape[1]), np.empty(len(leader))
    for block in _blocks(len(leader)):
        angles = np.arccos(np.abs(pairs.cosines(block, products)))
        own[block] = angles[np.arange(len(block)), leader[block]]
        one, other = np.nonzero(angles <= reach)
        labels = _link(labels, leader[block[one]], other)
    widest = np.zeros(len(labels))
    np.maximum.at(widest, leader, own)
    near = []
    for block in _blocks(len(leader)):
        angles = np.arccos(np.abs(pairs.cosines(block, products)))
        apart = labels[leader[block]][:, None] != labels
        one, other = np.nonzero(apart & (angles <= reach + widest))
        near.append(np.array([block[one], other, angles[one, other]]))
    labels = _compare_followers(pairs, leader, own, labels, np.concatenate(near, axis=1), reach)
    found = labels[leader]
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _compare_followers(
    pairs: Displacements, leader: Index, own: Array, labels: Index, near: Array, reach: float
) -> Index:
    """Labels of the leaders after comparing pairs with followers of leaders nearby: rows of pair, leader, angle."""
    which = near[1].astype(np.int64)
    for one in np.unique(which):
        candidate, angle = near[0, which == one].astype(np.int64), near[2, which == one]
        apart = labels[leader[candidate]] != labels[one]
        followers = np.flatnonzero(leader == one)
        followers = followers[own[followers] >= angle[apart].min(initial=np.pi) - reach]
        candidate = candidate[apart]
        for block in _blocks(len(candidate)) if len(followers) else ():
            for some in _blocks(len(followers)):
                cosines = pairs.fields(candidate[block]) @ pairs.fields(followers[some]).T
                linked = candidate[block][(np.arccos(np.clip(np.abs(cosines), 0, 1)) <= reach).any(axis=1)]
                labels = _link(labels, leader[linked], np.full(len(linked), one))
    return labels


def _follow(pairs: Displacements, overlap: float) -> tuple[Index, Array]:
    """Leader of each pair, which it overlaps at least so much, and the products of the coordinates with all leaders."""
    leader = np.empty(len(pairs.first), np.int64)
    products = np.empty((len(pairs.coordinates), 0))
    for block in _blocks(len(leader)):
        cosines = np.abs(pairs.cosines(block, products))
        if cosines.size:
            leader[block] = cosines.argmax(axis=1)
        left = block[cosines.max(axis=1, initial=-1) < overlap]
        fields = pairs.fields(left)
        follows = np.abs(fields @ fields.T) >= overlap
        np.fill_diagonal(follows, True)
        free = np.ones(len(left), bool)
        new: list[int] = []
        while free.any():
            one = int(free.argmax())
            leader[left[free & follows[one]]] = products.shape[1] + len(new)
            free &= ~follows[one]
            new.append(int(left[one]))
        if new:
            products = np.hstack([products, pairs.products(np.array(new))])
    return leader, products


def _link(labels: Index, one: Index, other: Index) -> Index:
    """Labels of leaders after some of them are linked."""
    links = coo_array((np.ones(len(one), bool), (labels[one], labels[other])), shape=(len(labels), len(labels)))
    return np.asarray(connected_components(links, directed=False)[1][labels], np.int64)


def _blocks(count: int) -> list[Index]:
    """The numbers below a count in blocks."""
    return [np.arange(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]
