"""Shared by the compiled functions; apart from :mod:`glass.arrays`, as Numba takes its time to import."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

FAST = {"reassoc", "contract", "arcp", "nsz", "nnan"}
"""Sums may be reordered, so that they run on vector units; no input is NaN. In which order must not depend on whether a
function was compiled just now or loaded: those with sums are compiled into their callers only (``forceinline``)."""


@numba.njit(cache=True, inline="always")
def sides_of(box):  # type: ignore[no-untyped-def]
    """Lengths of an orthogonal box and one over each, for :func:`nearest_image`."""
    return box[0], box[1], box[2], 1.0 / box[0], 1.0 / box[1], 1.0 / box[2]


@numba.njit(cache=True, inline="always")
def nearest_image(x, y, z, sides):  # type: ignore[no-untyped-def]
    """Shortest of a difference of positions and its periodic images; ``sides`` as of :func:`sides_of`."""
    x -= sides[0] * np.rint(x * sides[3])
    y -= sides[1] * np.rint(y * sides[4])
    return x, y, z - sides[2] * np.rint(z * sides[5])


def in_threads(function: Callable[..., object], size: int, parts: Sequence[NDArray[Any]], *others: object) -> None:
    """Call a function with the others and parts of these arrays, in as many threads as Numba may use.

    The function lets go of Python's lock. Loops that Numba runs in parallel itself (``prange``) are as fast, but take a
    third longer to compile.
    """
    with ThreadPoolExecutor(numba.get_num_threads()) as threads:
        starts = range(0, len(parts[0]), size)
        list(threads.map(lambda start: function(*others, *(one[start : start + size] for one in parts)), starts))
