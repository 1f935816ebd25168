"""Shared by the compiled functions; apart from :mod:`glass.arrays`, as Numba takes its time to import."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

FAST = {"reassoc", "contract", "arcp", "nsz", "nnan"}
"""Sums may be reordered, so that they run on vector units; no input is NaN. In which order must not depend on whether a
function was compiled just now or loaded: those with sums are compiled into their callers only (``forceinline``)."""


@numba.njit(cache=True, inline="always")
def nearest_image(step, side, per_side):  # type: ignore[no-untyped-def]
    """Shortest of a difference along one axis and its periodic images; ``per_side`` is 1 / side."""
    return step - side * np.rint(step * per_side)


def in_threads(function: Callable[[slice], object], count: int, size: int) -> None:
    """Call a function that lets go of Python's lock for parts of ``count``, on as many threads as Numba may use.

    Loops that Numba itself runs in parallel (``prange``) are as fast, but take a third longer to compile.
    """
    with ThreadPoolExecutor(numba.get_num_threads()) as threads:
        list(threads.map(function, [slice(start, min(start + size, count)) for start in range(0, count, size)]))
