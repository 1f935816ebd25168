"""The geometry of pairs of minima from rounded coordinates, twice as fast as in full: compiled functions.

Coordinates are unsigned integers in units of 2⁻³² of the box, which have the minimum image for nothing: their
difference overflows just where a particle left the box on one side and came back on the other, and read as a signed
integer it is the shorter way. All particles are taken in single precision, which vector units do 16 at a time, the few
most displaced in double. Lengths are in the longest side of the box until they are written.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from glass.arrays import Array, Index
from glass.kernels import FAST, in_threads

Fractions = NDArray[np.uint32]

GROUP = 64
"""Particles whose largest displacement is found together. Coordinates are padded to whole groups, so that vector units
have no remainder."""

AT_ONCE = 4096  # pairs of a call of a compiled function

_RUN = 4 * GROUP
"""Number of particles summed in single precision, before double: few, as a processor with short vectors adds more of
them one after the other."""

_STEP = 2.0**-32  # unit to which coordinates are rounded, in box lengths
_ERROR = 4e-7  # relative error that the rounding of coordinates may leave

_SHORTEST = (np.sqrt(3) * _STEP / _ERROR) ** 2
"""Square distance above which the error is small enough: it is below √3 _STEP."""

_ROUGHEST = (_ERROR / (10 * _STEP)) ** 2
"""Sums are good enough while max|Δr|² < _ROUGHEST · Σ|Δr|⁴.

The difference of two coordinates has an error of √⅙ _STEP, one standard deviation; hence PR a relative one of at most
4 √⅙ _STEP max|Δr| / √Σ|Δr|⁴, and d a quarter of it. Six of them are 10 _STEP max|Δr| / √Σ|Δr|⁴.
"""


def box_fractions(positions: Array, box: Array) -> Fractions:
    """Coordinates as fractions of the box, in units of 2⁻³²."""
    count, _, n = positions.shape
    fractions = np.zeros((count, 3, -(-n // GROUP) * GROUP), np.uint32)
    for minimum, places in zip(fractions, positions, strict=True):
        minimum[:, :n] = (places * (1 / (box * _STEP))[:, None]).astype(np.int64)
    return fractions


def rounded_geometry(
    fractions: Fractions, n: int, box: Array, drifts: bool, first: Index, second: Index, out: Array
) -> NDArray[np.bool_]:
    """Write the geometry of pairs of minima, and say for which of them rounded coordinates are good enough."""
    good = np.zeros(len(first), np.bool_)
    longest = float(box.max())
    shared = fractions, n, tuple(box / longest * _STEP), longest, drifts
    in_threads(_rounded_geometry, AT_ONCE, (first, second, out, good), *shared)
    return good


@numba.njit(nogil=True, cache=True)
def _rounded_geometry(fractions, n, scale, longest, drifts, first, second, out, good):  # type: ignore[no-untyped-def]
    square = np.zeros(fractions.shape[2], np.float32)
    last = n if drifts else square.shape[0]  # the padding, which does not move, moves against the others
    groups = np.empty(fractions.shape[2] // GROUP, np.float32)
    values = np.empty(out.shape[1] // 2)
    top = np.empty(out.shape[1] // 2, np.int64)
    bits, group_bits = square.view(np.int32), groups.view(np.int32)
    # Arrays are handed on whole: to count who holds a part of one costs as much as the work on it.
    for p in range(first.shape[0]):
        i, j = first[p], second[p]
        shift = _mean_steps(fractions, i, j, n) if drifts else (np.uint32(0), np.uint32(0), np.uint32(0))
        two, four = _squares(fractions, i, j, shift, scale, square, last)
        group_maxima(bits, group_bits)
        least = mth_largest(groups, values)
        if values[0] >= _ROUGHEST * four:
            continue
        # M groups reach the M-th largest of their maxima: what is below it by more than single precision is not
        # among the M most displaced.
        least = np.float32(least * (1 - 1e-6))
        _sort(fractions, i, j, shift, scale, n, square, groups, least, values, top)
        if values[-1] > _SHORTEST:
            good[p] = _write_row(fractions, i, j, scale, longest, two, four, square, values, top, out, p)


@numba.njit(cache=True, forceinline=True)
def _squares(fractions, i, j, shift, scale, square, last):  # type: ignore[no-untyped-def]
    """|Δr|² of the particles up to ``last`` into ``square``; returns Σ|Δr|² and Σ|Δr|⁴."""
    two = 0.0
    four = 0.0
    for start in range(0, last, _RUN):
        some = _some_squares(fractions, i, j, shift, scale, start, min(start + _RUN, last), square)
        two += some[0]
        four += some[1]
    return two, four


@numba.njit(fastmath=FAST, cache=True, forceinline=True)
def _some_squares(fractions, i, j, shift, scale, start, stop, square):  # type: ignore[no-untyped-def]
    width, depth, height = np.float32(scale[0]), np.float32(scale[1]), np.float32(scale[2])
    two = np.float32(0.0)
    four = np.float32(0.0)
    for k in range(np.uint64(start), np.uint64(stop)):  # unsigned: else each index is checked for being negative
        x = np.float32(_steps(fractions[i, 0, k] - shift[0], fractions[j, 0, k])) * width
        y = np.float32(_steps(fractions[i, 1, k] - shift[1], fractions[j, 1, k])) * depth
        z = np.float32(_steps(fractions[i, 2, k] - shift[2], fractions[j, 2, k])) * height
        r2 = x * x + y * y + z * z
        square[k] = r2
        two += r2
        four += r2 * r2
    return two, four


@numba.njit(cache=True)
def _mean_steps(fractions, i, j, n):  # type: ignore[no-untyped-def]
    """Mean displacement of a pair along each axis in units of _STEP, of n particles."""
    x, y, z = np.int64(0), np.int64(0), np.int64(0)
    for k in range(np.uint64(0), np.uint64(n)):
        x += _steps(fractions[i, 0, k], fractions[j, 0, k])
        y += _steps(fractions[i, 1, k], fractions[j, 1, k])
        z += _steps(fractions[i, 2, k], fractions[j, 2, k])
    return np.uint32(np.int64(np.rint(x / n))), np.uint32(np.int64(np.rint(y / n))), np.uint32(np.int64(np.rint(z / n)))


@numba.njit(cache=True)
def _steps(one, other):  # type: ignore[no-untyped-def]
    """Minimum image of one − other in units of _STEP."""
    return np.int32(one - other)


@numba.njit(cache=True)
def group_maxima(bits, maxima):  # type: ignore[no-untyped-def]
    """Largest element of each GROUP of ``bits`` into ``maxima``.

    Floats that are not negative are in the order of their bits, and a maximum of integers runs on vector units.
    """
    for group in range(maxima.shape[0]):
        maxima[group] = _maximum(bits, group * GROUP, (group + 1) * GROUP)


@numba.njit(cache=True)
def _maximum(bits, start, stop):  # type: ignore[no-untyped-def]
    largest = np.int32(0)
    for k in range(np.uint64(start), np.uint64(stop)):
        largest = max(largest, bits[k])
    return largest


@numba.njit(cache=True)
def mth_largest(groups, values):  # type: ignore[no-untyped-def]
    """The M-th largest of ``groups``, 0 where there are fewer; all M of them into ``values``, descending."""
    for k in range(values.shape[0]):
        values[k] = 0.0
    for group in range(groups.shape[0]):
        value = np.float64(groups[group])
        for k in range(values.shape[0]):  # no branch, as the processor could not foresee it
            larger = max(values[k], value)
            value = min(values[k], value)
            values[k] = larger
    return values[-1]


@numba.njit(cache=True)
def _sort(fractions, i, j, shift, scale, n, square, groups, least, values, top):  # type: ignore[no-untyped-def]
    """Most displaced particles into ``top``, descending, and their |Δr|² into ``values``; none has less than ``least``.

    Only groups that reach that are searched.
    """
    values[:] = -1.0
    for group in range(groups.shape[0]):
        if groups[group] < least:
            continue
        for k in range(group * GROUP, min((group + 1) * GROUP, n)):
            if square[k] < least:
                continue
            x = _steps(fractions[i, 0, k] - shift[0], fractions[j, 0, k]) * scale[0]
            y = _steps(fractions[i, 1, k] - shift[1], fractions[j, 1, k]) * scale[1]
            z = _steps(fractions[i, 2, k] - shift[2], fractions[j, 2, k]) * scale[2]
            insert(x * x + y * y + z * z, k, values, top)


@numba.njit(cache=True)
def insert(r2, k, values, top):  # type: ignore[no-untyped-def]
    """Put particle k and its |Δr|² among the largest in ``top`` and ``values``, descending."""
    place = top.shape[0] - 1
    if r2 > values[place]:
        while place > 0 and values[place - 1] < r2:
            values[place], top[place] = values[place - 1], top[place - 1]
            place -= 1
        values[place], top[place] = r2, k


@numba.njit(cache=True)
def _write_row(fractions, i, j, scale, longest, two, four, square, values, top, out, p):  # type: ignore[no-untyped-def]
    """Write the row of a pair; whether no distance in it is too short for rounded coordinates."""
    m = top.shape[0]
    shortest = np.inf
    for k in range(m):
        out[p, k] = np.sqrt(values[k]) * longest
        rounded = np.float64(square[top[k]])
        two += values[k] - rounded
        four += values[k] * values[k] - rounded * rounded
        if k > 0:
            r2 = 0.0
            for axis in range(3):
                step = _steps(_mean(fractions, i, j, axis, top[k]), _mean(fractions, i, j, axis, top[0])) * scale[axis]
                r2 += step * step
            shortest = min(shortest, r2)
            out[p, m + k - 1] = np.sqrt(r2) * longest
    out[p, 2 * m - 1] = np.sqrt(two) * longest
    out[p, 2 * m] = two * two / four
    return shortest > _SHORTEST


@numba.njit(cache=True)
def _mean(fractions, i, j, axis, k):  # type: ignore[no-untyped-def]
    """Mean place of particle k over both minima."""
    return np.uint32(fractions[j, axis, k] + (_steps(fractions[i, axis, k], fractions[j, axis, k]) >> 1))
