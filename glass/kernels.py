"""Shared by the compiled functions; apart from :mod:`glass.arrays`, as Numba takes its time to import."""

import numba
import numpy as np

FAST = {"reassoc", "contract", "arcp", "nsz", "nnan"}
"""Sums may be reordered, so that they run on vector units; no input is NaN. In which order must not depend on whether a
function was compiled just now or loaded: those with sums are compiled into their callers only (``forceinline``)."""


@numba.njit(cache=True, inline="always")
def nearest_image(step, side, per_side):  # type: ignore[no-untyped-def]
    """Shortest of a difference along one axis and its periodic images; ``per_side`` is 1 / side."""
    return step - side * np.rint(step * per_side)
