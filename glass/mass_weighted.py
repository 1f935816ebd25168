"""Path of particles with masses: s = ∫ (Σ m_a |dr_a|²)^½, the length that the Schrödinger equation along a path takes.

With x_a = √m_a r_a the kinetic energy of all particles is that of one of mass 1 in 3N dimensions. The centre of mass
moves freely and is no part of a tunnelling path: its motion is left out. Where all masses are 1, s is the plain length.
"""

import numpy as np

from glass.arrays import Array
from glass.path import Band, tangents


def mass_weighted(steps: Array, masses: Array) -> Array:
    """√m_a Δr_a, without motion of the centre of mass.

    Parameters
    ----------
    steps : ndarray of shape (..., N, 3)
        Displacements in σ; for equal masses without drift, as :func:`glass.path.straight_line` makes them.
    masses : ndarray of shape (N,)
        In units of m.

    Returns
    -------
    ndarray of shape (..., N, 3)
        In σ √m.
    """
    if np.ptp(masses) > 0:
        steps = steps - np.average(steps, axis=-2, weights=masses)[..., None, :]
    return np.asarray(np.sqrt(masses)[:, None] * steps)


def lengths_and_slopes(band: Band, masses: Array) -> tuple[Array, Array]:
    """Mass-weighted path length s and dV/ds at the images of a band.

    Parameters
    ----------
    band : Band
        The path.
    masses : ndarray of shape (N,)
        In units of m.

    Returns
    -------
    lengths : ndarray of shape (n_images,)
        s in σ √m, ascending from 0.
    slopes : ndarray of shape (n_images,)
        dV/ds in ε/(σ √m); zero at the end points.
    """
    steps = _norms(mass_weighted(np.diff(band.positions, axis=0), masses))
    directions = tangents(band.positions, band.energies)
    stretched = _norms(mass_weighted(directions, masses)) / _norms(directions)
    lengths = np.concatenate([[0.0], np.cumsum(steps)])
    slopes = band.slopes.copy()
    slopes[1:-1] /= stretched
    return lengths, slopes


def _norms(vectors: Array) -> Array:
    return np.asarray(np.sqrt(np.einsum("kia,kia->k", vectors, vectors)))
