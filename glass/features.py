"""The features of pairs of minima: compiled functions on arrays."""

import numba
import numpy as np

from glass.arrays import Array, Index, shortest_period, vectors_of
from glass.features_rounded import AT_ONCE, GROUP, Fractions, group_maxima, insert, mth_largest, rounded_geometry
from glass.kernels import FAST, in_threads


def geometry_columns(particles: int) -> list[str]:
    """Names of the columns that :func:`pair_geometry` gives, in order, for M = ``particles``."""
    return [
        *(f"displacement_{k}" for k in range(particles)),
        *(f"0to{k}" for k in range(1, particles)),
        "total_displacement",
        "PR",
    ]


def pair_geometry(
    positions: Array,
    fractions: Fractions | None,
    box: Array,
    first: Index,
    second: Index,
    particles: int,
    drifts: bool = False,
) -> Array:
    """Geometric features of pairs of minima.

    Parameters
    ----------
    positions : ndarray of shape (n_minima, 3, N)
        In σ, wrapped into the box.
    fractions : ndarray of uint32 or None
        The same as :func:`glass.features_rounded.box_fractions` gives them; None for :func:`any_geometry`.
    box : ndarray of shape (3,)
        Box lengths in σ.
    first, second : ndarray of int64, shape (n_pairs,)
        The two minima of each pair, as indices. Fastest where minima that are near in the list recur.
    particles : int
        M, the number of most displaced particles to keep; at most N.
    drifts : bool, default False
        Take out the mean displacement of each pair; else it is taken for zero.

    Returns
    -------
    ndarray of shape (n_pairs, 2 M + 1)
        Columns as :func:`geometry_columns` names them, in σ but for the participation ratio,
        PR = (Σ|Δr|²)² / Σ|Δr|⁴. Every difference is a minimum image.

    Notes
    -----
    Ciarella et al., Nat. Commun. 14, 4229 (2023). From rounded coordinates where these leave a relative error below
    1e-6, else in double precision. Runs on as many cores as ``numba.set_num_threads`` allows.

    Examples
    --------
    Two particles in a box of 10 σ; the first moves by 0.2 σ through the edge:

    >>> from glass.features_rounded import box_fractions
    >>> box = np.full(3, 10.0)
    >>> places = np.array([[[9.9, 5.0], [0.0, 0.0], [0.0, 0.0]], [[0.1, 5.0], [0.0, 0.0], [0.0, 0.0]]])
    >>> pair_geometry(places, box_fractions(places, box), box, np.array([0]), np.array([1]), 2).round(6)
    array([[0.2, 0. , 5. , 0.2, 1. ]])
    """
    if fractions is None:
        return any_geometry(positions, box, first, second, particles)
    out = np.empty((len(first), 2 * particles + 1))
    rest = np.flatnonzero(~rounded_geometry(fractions, positions.shape[2], box, drifts, first, second, out))
    if len(rest):
        out[rest] = any_geometry(positions, box, first[rest], second[rest], particles, drifts)
    return out


@numba.njit(fastmath=FAST, cache=True, forceinline=True)
def _steps(a, b, box, inverse, sure, drifts, step, square):  # type: ignore[no-untyped-def]
    """Minimum-image b − a of every particle into ``step``, less their mean with ``drifts``; Σ|Δr|² and Σ|Δr|⁴."""
    n = step.shape[1]
    for k in range(np.uint64(0), np.uint64(n)):
        x, y, z = b[0, k] - a[0, k], b[1, k] - a[1, k], b[2, k] - a[2, k]
        u = np.rint(x * inverse[0, 0] + y * inverse[1, 0] + z * inverse[2, 0])
        v = np.rint(x * inverse[0, 1] + y * inverse[1, 1] + z * inverse[2, 1])
        w = np.rint(x * inverse[0, 2] + y * inverse[1, 2] + z * inverse[2, 2])
        step[0, k] = x - (u * box[0, 0] + v * box[1, 0] + w * box[2, 0])
        step[1, k] = y - (u * box[0, 1] + v * box[1, 1] + w * box[2, 1])
        step[2, k] = z - (u * box[0, 2] + v * box[1, 2] + w * box[2, 2])
        square[k] = step[0, k] ** 2 + step[1, k] ** 2 + step[2, k] ** 2
    for k in range(n):
        if square[k] > sure:
            _shorten(box, step, square, k)
    x, y, z = 0.0, 0.0, 0.0
    for k in range(n if drifts else 0):
        x += step[0, k]
        y += step[1, k]
        z += step[2, k]
    x, y, z = x / n, y / n, z / n
    two = 0.0
    four = 0.0
    for k in range(n):
        step[0, k] -= x
        step[1, k] -= y
        step[2, k] -= z
        square[k] = step[0, k] ** 2 + step[1, k] ** 2 + step[2, k] ** 2
        two += square[k]
        four += square[k] ** 2
    return two, four


@numba.njit(cache=True)
def _shorten(box, step, square, k):  # type: ignore[no-untyped-def]
    """Replace the difference of particle k by the shortest of its 27 images around."""
    x, y, z = step[0, k], step[1, k], step[2, k]
    for u in range(-1, 2):
        for v in range(-1, 2):
            for w in range(-1, 2):
                p = x + u * box[0, 0] + v * box[1, 0] + w * box[2, 0]
                q = y + u * box[0, 1] + v * box[1, 1] + w * box[2, 1]
                r = z + u * box[0, 2] + v * box[1, 2] + w * box[2, 2]
                if p * p + q * q + r * r < square[k]:
                    square[k] = p * p + q * q + r * r
                    step[0, k], step[1, k], step[2, k] = p, q, r


@numba.njit(cache=True)
def _apart(a, step, box, inverse, one, other):  # type: ignore[no-untyped-def]
    """Minimum-image distance of two particles, each at its mean position over the two minima."""
    apart = np.empty((3, 1))
    square = np.zeros(1)
    for axis in range(3):
        apart[axis, 0] = a[axis, other] - a[axis, one] + 0.5 * (step[axis, other] - step[axis, one])
    fractions = np.rint(apart[0, 0] * inverse[0] + apart[1, 0] * inverse[1] + apart[2, 0] * inverse[2])
    for axis in range(3):
        for row in range(3):
            apart[axis, 0] -= fractions[row] * box[row, axis]
        square[0] += apart[axis, 0] ** 2
    _shorten(box, apart, square, 0)
    return np.sqrt(square[0])


@numba.njit(nogil=True, cache=True)
def _any_geometry(positions, box, inverse, sure, drifts, m, first, second, out):  # type: ignore[no-untyped-def]
    n = positions.shape[2]
    step, square = np.empty((3, n)), np.zeros(-(-n // GROUP) * GROUP)
    groups = np.empty(square.shape[0] // GROUP)
    bits, group_bits = square.view(np.int64), groups.view(np.int64)
    values, top = np.empty(m), np.empty(m, np.int64)
    for p in range(first.shape[0]):
        a = positions[first[p]]
        b = positions[second[p]]
        two, four = _steps(a, b, box, inverse, sure, drifts, step, square)
        group_maxima(bits, group_bits)
        least = mth_largest(groups, values)
        values[:] = -1.0
        for group in range(groups.shape[0]):
            for k in range(group * GROUP, min((group + 1) * GROUP, n) if groups[group] >= least else 0):
                if square[k] >= least:
                    insert(square[k], k, values, top)
        for k in range(m):
            out[p, k] = np.sqrt(values[k])
            if k > 0:
                out[p, m + k - 1] = _apart(a, step, box, inverse, top[0], top[k])
        out[p, 2 * m - 1] = np.sqrt(two)
        out[p, 2 * m] = two * two / four if four > 0.0 else np.nan


def any_geometry(
    positions: Array, box: Array, first: Index, second: Index, particles: int, drifts: bool = True
) -> Array:
    """The same as :func:`pair_geometry` in any periodic cell, without the mean displacement of each pair.

    Half as fast: all in double precision, in two passes over the particles.
    """
    out = np.empty((len(first), 2 * particles + 1))
    vectors, sure = np.ascontiguousarray(vectors_of(box)), 0.25 * shortest_period(box) ** 2  # compiled once
    shared = positions, vectors, np.linalg.inv(vectors), sure, drifts, particles
    in_threads(_any_geometry, AT_ONCE, (first, second, out), *shared)
    return out
