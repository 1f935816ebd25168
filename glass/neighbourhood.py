"""Neighbourhood of a pair of minima: where the others of the glass lie.

With a third minimum on the way a pair is no double well, and the other minima are known. With d the total displacement,
over all other minima k:

nearest_between = min_k max(d_ik, d_kj) / d_ij: below 1, the pair is no edge of the relative neighbourhood graph
(Toussaint, Pattern Recognition 12, 261 (1980)). gabriel = min_k (d_ik² + d_kj²) / d_ij²: below 1, it is no edge of the
Gabriel graph (Gabriel, Sokal, Syst. Zool. 18, 259 (1969)); gabriel_between counts such k. nearest_i and nearest_j are
the distances of either minimum to its nearest, over d_ij.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from glass.arrays import Array, Index
from glass.kernels import FAST, in_threads

Array32 = NDArray[np.float32]
FAR = 10.0  # largest ratio: no other minimum is near, or there is none
_ROWS = 8  # number of minima whose pairs are looked at together, so that the distances of a third serve all of them
_COLUMNS = 256  # length of a run of their partners, which stays in the processor's first cache


class Squares(NamedTuple):
    """d² in σ² between the minima of a glass, of each with those from ``low`` to ``high``; infinite where not known.

    Memory follows from the number of pairs, not from that of all minima squared.
    """

    values: Array32  # row after row; symmetric, infinite on the diagonal
    begin: Index  # where the row of each minimum begins
    low: Index  # first minimum of the row
    high: Index  # one beyond its last

    @classmethod
    def unknown(cls, last: Index) -> "Squares":
        """Room for the pairs i < j < last[i]; ``last`` does not decrease."""
        low = np.searchsorted(last, np.arange(len(last)), side="right")
        ends = np.cumsum(last - low)
        return cls(np.full(ends[-1], np.inf, np.float32), ends - last + low, low, last)

    def put(self, first: Index, second: Index, squares: Array) -> None:
        """Note d² of pairs."""
        for one, other in ((first, second), (second, first)):
            self.values[self.begin[one] + other - self.low[one]] = squares


@numba.njit(fastmath=FAST, cache=True, forceinline=True)
def _is_less(x, y):  # type: ignore[no-untyped-def]
    return np.float32(1.0) if x < y else np.float32(0.0)


@numba.njit(fastmath=FAST, cache=True)
def _look_between(values, begin, low, high, i0, i1, j0, j1, own, largest, total, count):  # type: ignore[no-untyped-def]
    """Least max(d_ik², d_kj²), least d_ik² + d_kj², and how many k have the latter below d_ij², for a tile of pairs."""
    far = np.float32(np.inf)
    for a in range(i1 - i0):
        at = begin[i0 + a] - low[i0 + a]
        for q in range(j1 - j0):
            own[a, q] = values[at + j0 + q] if j0 + q < high[i0 + a] else far
            largest[a, q] = far
            total[a, q] = far
            count[a, q] = np.float32(0.0)
    k, last = low[i0], high[i1 - 1]
    while k < last:
        q0, q1 = max(j0, low[k]) - j0, min(j1, high[k]) - j0
        a0, a1 = max(low[k] - i0, 0), min(high[k], i1) - i0
        m = min(k + 3, last - 1)  # low and high do not decrease: what is alike at both ends is so between
        alike = max(j0, low[m]) - j0 == q0 and min(j1, high[m]) - j0 == q1
        alike &= max(low[m] - i0, 0) == a0 and min(high[m], i1) - i0 == a1
        if m == k + 3 and alike:  # four at a time: what is read and written of the pairs serves all of them
            at, bt, ct, dt = begin[k] - low[k], begin[k + 1] - low[k + 1], begin[k + 2] - low[k + 2], begin[m] - low[m]
            row_a, row_b = values[at + j0 + q0 : at + j0 + q1], values[bt + j0 + q0 : bt + j0 + q1]
            row_c, row_d = values[ct + j0 + q0 : ct + j0 + q1], values[dt + j0 + q0 : dt + j0 + q1]
            for a in range(a0, a1):
                w, x, y, z = values[at + i0 + a], values[bt + i0 + a], values[ct + i0 + a], values[dt + i0 + a]
                of, large, both, below = own[a, q0:q1], largest[a, q0:q1], total[a, q0:q1], count[a, q0:q1]
                for q in range(q1 - q0):  # written so that the compiler makes vector instructions of it
                    larger = min(max(w, row_a[q]), max(x, row_b[q]), max(y, row_c[q]), max(z, row_d[q]))
                    e, f, g, h = w + row_a[q], x + row_b[q], y + row_c[q], z + row_d[q]
                    large[q] = min(larger, large[q])
                    below[q] += (_is_less(e, of[q]) + _is_less(f, of[q])) + (_is_less(g, of[q]) + _is_less(h, of[q]))
                    both[q] = min(e, f, g, h, both[q])
            k += 4
            continue
        at = begin[k] - low[k]
        row = values[at + j0 + q0 : at + j0 + max(q0, q1)]
        for a in range(a0, a1):
            x = values[at + i0 + a]
            of, large, both, below = own[a, q0:q1], largest[a, q0:q1], total[a, q0:q1], count[a, q0:q1]
            for q in range(q1 - q0):
                large[q] = min(max(x, row[q]), large[q])
                below[q] += _is_less(x + row[q], of[q])
                both[q] = min(x + row[q], both[q])
        k += 1


@numba.njit(nogil=True, cache=True)
def _pair_neighbourhood(values, begin, low, high, nearest, out, rows, row_of):  # type: ignore[no-untyped-def]
    i0, i1 = rows[0], rows[-1] + 1
    own = np.empty((_ROWS, _COLUMNS), np.float32)
    largest = np.empty((_ROWS, _COLUMNS), np.float32)
    total = np.empty((_ROWS, _COLUMNS), np.float32)
    count = np.empty((_ROWS, _COLUMNS), np.float32)
    for j0 in range(i0 + 1, high[i1 - 1], _COLUMNS):
        j1 = min(j0 + _COLUMNS, high[i1 - 1])
        _look_between(values, begin, low, high, i0, i1, j0, j1, own, largest, total, count)
        for i in range(i0, i1):
            for j in range(max(j0, i + 1), min(j1, high[i])):
                p = row_of[i - i0] + j - i - 1
                square = np.float64(own[i - i0, j - j0])
                out[p, 0] = min(np.sqrt(largest[i - i0, j - j0] / square), FAR)
                out[p, 1] = min(total[i - i0, j - j0] / square, FAR * FAR)
                out[p, 2] = count[i - i0, j - j0]
                out[p, 3] = np.sqrt(nearest[i] / square)
                out[p, 4] = np.sqrt(nearest[j] / square)


def pair_neighbourhood(squares: Squares, start: int, stop: int) -> Array:
    """Neighbourhood of the pairs (i, j) that ``squares`` holds, with i from ``start`` to ``stop`` and i < j, in order.

    Runs on as many cores as ``numba.set_num_threads`` allows.

    Returns
    -------
    ndarray of shape (n_pairs, 5)
        nearest_between, gabriel, gabriel_between, nearest_i, nearest_j; ratios are cut at ``FAR``, gabriel at its
        square.

    Examples
    --------
    Three minima in a row, 1 σ and 2 σ apart; the first and the last have the middle one between them:

    >>> squares = Squares.unknown(np.array([3, 3, 3]))
    >>> squares.put(np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([1.0, 9.0, 4.0]))
    >>> pair_neighbourhood(squares, 0, 3).round(3)
    array([[ 3.   , 13.   ,  0.   ,  1.   ,  1.   ],
           [ 0.667,  0.556,  1.   ,  0.333,  0.667],
           [ 1.5  ,  2.5  ,  0.   ,  0.5  ,  1.   ]])
    """
    row_of = np.concatenate(([0], np.cumsum(squares.high[start:stop] - np.arange(start, stop) - 1)))
    out = np.empty((int(row_of[-1]), 5))
    nearest = np.minimum.reduceat(squares.values, squares.begin)
    in_threads(_pair_neighbourhood, _ROWS, (np.arange(start, stop), row_of), *squares, nearest, out)
    return out
