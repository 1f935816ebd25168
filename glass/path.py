"""Paths between two minima: images, tangents and lengths.

The Schrödinger equation takes the mass-weighted length s = ∫ (Σ m_a |dr_a|²)^½: with x_a = √m_a r_a the kinetic energy
of all particles is that of one of mass 1 in 3N dimensions. The centre of mass moves freely and is no part of a
tunnelling path: its motion is left out. Where all masses are 1, s is the plain length.
"""

from dataclasses import dataclass

import numba
import numpy as np
from scipy.interpolate import CubicSpline

from glass.arrays import Array, without_drift

END_POINT_DISTANCE = 0.02  # distance over all 3N coordinates below which a relaxed image is an end point, σ

GRADING = 0.8
"""Spacing of the images: 0 for equal distances, 1 for Chebyshev points. A path turns into the softest mode close to its
ends; graded images follow it there: they change the splitting on doubling as little as four times as many even ones."""


@dataclass(frozen=True)
class Band:
    """A band of images and what it says about the pair."""

    positions: Array  # (n_images, N, 3) In σ, unwrapped, without drift of the centre of mass; the end points included
    energies: Array  # (n_images,) Total energies in ε
    forces: Array  # (n_images, N, 3) True forces in ε/σ
    slopes: Array  # (n_images,) dV/dx in ε/σ; zero at the end points
    third_minimum: Array | None  # (N, 3) An intermediate minimum, neither end point
    converged: bool  # Whether the nudged force on every particle is within the tolerance
    force: float  # The largest of them in ε/σ
    steps: int  # Steps that the optimiser took

    @property
    def lengths(self) -> Array:
        """Path length in σ, see :func:`path_lengths`."""
        return path_lengths(self.positions)


def straight_line(start: Array, end: Array, box: Array, images: int) -> Array:
    """Images between two minima, closer to each other near the ends; minimum image, no drift of the centre of mass."""
    return np.asarray(start + image_places(images)[:, None, None] * without_drift(start, end, box))


def image_places(images: int) -> Array:
    """Places of the images along the path, from 0 to 1; shape (images,)."""
    even = np.linspace(0, 1, images)
    return np.asarray((1 - GRADING) * even + GRADING * 0.5 * (1 - np.cos(np.pi * even)))


def redistributed(positions: Array, images: int) -> Array:
    """Images on the spline through those given, shape (images, N, 3)."""
    lengths = path_lengths(positions)
    return np.asarray(CubicSpline(lengths, positions)(lengths[-1] * image_places(images)))


@numba.njit(cache=True)
def tangents(positions, energies):  # type: ignore[no-untyped-def]
    """Unit vectors along a path at its inner images, shape (n_images − 2, N, 3); improved tangent.

    Henkelman, Jónsson, J. Chem. Phys. 113, 9978 (2000).
    """
    found = np.empty((len(positions) - 2, *positions.shape[1:]))
    for k in range(1, len(positions) - 1):
        rise, fall = energies[k + 1] - energies[k], energies[k] - energies[k - 1]
        large, small = max(abs(rise), abs(fall)), min(abs(rise), abs(fall))
        if rise > 0 and fall > 0:
            ahead, behind = 1.0, 0.0
        elif rise < 0 and fall < 0:
            ahead, behind = 0.0, 1.0
        elif large == 0:
            ahead, behind = 1.0, 1.0
        elif rise + fall > 0:
            ahead, behind = large, small
        else:
            ahead, behind = small, large
        tangent = ahead * (positions[k + 1] - positions[k]) + behind * (positions[k] - positions[k - 1])
        found[k - 1] = tangent / np.sqrt((tangent * tangent).sum())
    return found


def path_lengths(positions: Array) -> Array:
    """Path length x in σ from the first image to each, x = Σ |r_{k+1} − r_k|; shape (n_images,)."""
    return _summed(np.diff(positions, axis=0))


def _summed(steps: Array) -> Array:
    """Lengths of steps (n_images − 1, N, 3), summed from zero."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(steps, axis=(1, 2)))])


def mass_weighted(steps: Array, masses: Array) -> Array:
    """Mass-weighted displacements √m_a Δr_a, without motion of the centre of mass."""
    if np.ptp(masses) > 0:
        steps = steps - np.average(steps, axis=-2, weights=masses)[..., None, :]
    return np.asarray(np.sqrt(masses)[:, None] * steps)


def lengths_and_slopes(band: Band, masses: Array) -> tuple[Array, Array]:
    """Mass-weighted path length s and dV/ds at the images of a band."""
    slopes, directions = band.slopes.copy(), tangents(band.positions, band.energies)
    stretched, plain = (np.linalg.norm(one, axis=(1, 2)) for one in (mass_weighted(directions, masses), directions))
    slopes[1:-1] /= stretched / plain
    return _summed(mass_weighted(np.diff(band.positions, axis=0), masses)), slopes
