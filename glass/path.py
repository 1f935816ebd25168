"""Paths between two minima: images, tangents and lengths.

The Schrödinger equation takes the mass-weighted length s = ∫ (Σ m_a |dr_a|²)^½: with x_a = √m_a r_a the kinetic energy
of all particles is that of one of mass 1 in 3N dimensions. The centre of mass moves freely and is no part of a
tunnelling path: its motion is left out. Where all masses are 1, s is the plain length.
"""

from dataclasses import dataclass

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
    lengths = chord_lengths(positions)
    return np.asarray(CubicSpline(lengths, positions)(lengths[-1] * image_places(images)))


def path_lengths(positions: Array) -> Array:
    """Path length x in σ from the first image to each along the cubic spline through them; shape (n_images,).

    A chord falls short of the curve by the third power of its length, its two halves by a quarter of that: hence their
    (4 halves − whole) / 3.
    """
    chords = chord_lengths(positions)
    halves = np.diff(chord_lengths(CubicSpline(chords, positions)(halved(chords))))
    return np.append(0.0, np.cumsum((4 * (halves[::2] + halves[1::2]) - np.diff(chords)) / 3))


def chord_lengths(positions: Array) -> Array:
    """Lengths of the straight lines between images, summed from the first to each; shape (n_images,)."""
    return np.append(0.0, np.cumsum(np.linalg.norm(np.diff(positions, axis=0), axis=(1, 2))))


def halved(places: Array) -> Array:
    """Places along a path, and those halfway between them."""
    return np.asarray(np.interp(np.arange(0, len(places) - 0.5, 0.5), range(len(places)), places))


def directions(positions: Array) -> Array:
    """Derivative of the cubic spline through images by its parameter, at each of them; shape (n_images, N, 3)."""
    chords = chord_lengths(positions)
    return np.asarray(CubicSpline(chords, positions)(chords, 1))


def sharpest_bend(positions: Array) -> float:
    """Largest angle in degrees between the steps to and from an image."""
    steps = np.diff(positions, axis=0)
    steps /= np.linalg.norm(steps, axis=(1, 2))[:, None, None]
    return float(np.degrees(np.arccos(np.clip((steps[1:] * steps[:-1]).sum((1, 2)), -1, 1))).max())


def mass_weighted(steps: Array, masses: Array) -> Array:
    """Mass-weighted displacements √m_a Δr_a, without motion of the centre of mass."""
    if np.ptp(masses) > 0:
        steps = steps - np.average(steps, axis=-2, weights=masses)[..., None, :]
    return np.asarray(np.sqrt(masses)[:, None] * steps)


def lengths_and_slopes(band: Band, masses: Array) -> tuple[Array, Array]:
    """Mass-weighted path length s and dV/ds at the images of a band."""
    along = directions(band.positions)
    stretched, plain = (np.linalg.norm(one, axis=(1, 2)) for one in (mass_weighted(along, masses), along))
    return path_lengths(mass_weighted(band.positions, masses)), band.slopes * plain / stretched
