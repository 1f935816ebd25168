"""Arrays, and the minimum image of a difference of positions."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def minimum_image(steps: Array, box: Array) -> Array:
    """Shortest of differences of positions and their periodic images, in σ.

    The compiled functions have :func:`glass.kernels.nearest_image`.

    Parameters
    ----------
    steps : ndarray of shape (..., 3)
        Differences of positions in σ.
    box : ndarray of shape (3,)
        Box lengths in σ.

    Returns
    -------
    ndarray of shape (..., 3)

    Examples
    --------
    >>> minimum_image(np.array([9.0, -1.0, 4.0]), np.full(3, 10.0))
    array([-1., -1.,  4.])
    """
    return np.asarray(steps - box * np.rint(steps / box))
