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
def nearest_image(step, side, per_side):  # type: ignore[no-untyped-def]
    """Shortest of a difference along one axis and its periodic images; ``per_side`` is 1 / side."""
    return step - side * np.rint(step * per_side)


def in_threads(function: Callable[..., object], size: int, parts: Sequence[NDArray[Any]], *others: object) -> None:
    """Call a function with the others and parts of these arrays, in as many threads as Numba may use.

    The function lets go of Python's lock. Loops that Numba runs in parallel itself (``prange``) are as fast, but take a
    third longer to compile.
    """
    with ThreadPoolExecutor(numba.get_num_threads()) as threads:
        starts = range(0, len(parts[0]), size)
        list(threads.map(lambda start: function(*others, *(one[start : start + size] for one in parts)), starts))
