"""Minimum-energy path between two minima: nudged elastic band (NEB), early detection of an intermediate minimum.

Improved tangent: Henkelman, Jónsson, J. Chem. Phys. 113, 9978 (2000). All images are moved together by L-BFGS
(Sheppard, Terrell, Henkelman, J. Chem. Phys. 128, 134106 (2008)). ASE's NEB takes twelve times as long for a double
well of 1500 particles (``benchmarks/neb.py``): nine tenths of it go by outside the forces, and FIRE needs more steps.

The Schrödinger equation takes the mass-weighted length s = ∫ (Σ m_a |dr_a|²)^½: with x_a = √m_a r_a the kinetic energy
of all particles is that of one of mass 1 in 3N dimensions. The centre of mass moves freely and is no part of a
tunnelling path: its motion is left out. Where all masses are 1, s is the plain length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline

from glass.arrays import Array, minimum_image
from glass.relaxation import RELAXED, Potential, relax

SPRING = 10.0
"""Constant of the springs between images, ε/σ². They space the images along the path and do not move the path."""

LONGEST_STEP = 0.1
"""Largest displacement of a particle of an image in one step, σ."""

BAND_FIRST_STEP = 0.01
"""Largest displacement in the first step, when the curvature is not known yet, σ."""

MEMORY = 6
"""Number of the last steps from which L-BFGS takes the curvature."""

STAGES = ((11, 10.0), (21, 5.0))
"""Bands that are relaxed before the full one, if it has more images: number of images, and of force tolerances."""

GRADING = 0.8
"""Spacing of the images: 0 for equal distances, 1 for Chebyshev points. A path turns into the softest mode close to its
ends; graded images follow it there: they change the splitting on doubling as little as four times as many even ones."""

SETTLED = 0.1
"""Nudged force below which an image is relaxed to see whether it lies in an intermediate minimum, ε/σ."""

TOLERANCES_SETTLED = 500.0
"""The same in force tolerances, of which the default makes SETTLED; the larger of the two counts. Where barriers are
higher than those of soft spheres, so are forces on a path that has nearly settled, and tolerances are chosen larger."""

LOOK_EVERY = 10
"""Number of steps between two searches of the band for an intermediate minimum."""

DIVERGED = 30.0
"""Growth of the force above its smallest at which L-BFGS goes back there and takes shorter steps."""

END_POINT_DISTANCE = 0.02
"""Distance over all 3N coordinates below which a relaxed image is an end point, σ."""


@dataclass(frozen=True)
class Band:
    """A band of images and what it says about the pair.

    Attributes
    ----------
    positions : ndarray of shape (n_images, N, 3)
        In σ, unwrapped, without drift of the centre of mass; the end points included.
    energies : ndarray of shape (n_images,)
        Total energies in ε.
    forces : ndarray of shape (n_images, N, 3)
        True forces in ε/σ.
    slopes : ndarray of shape (n_images,)
        dV/dx in ε/σ; zero at the end points.
    third_minimum : ndarray of shape (N, 3) or None
        An intermediate minimum, neither end point.
    converged : bool
        Whether the nudged force on every particle is within the tolerance.
    force : float
        The largest of them in ε/σ.
    steps : int
        Steps that the optimiser took.
    """

    positions: Array
    energies: Array
    forces: Array
    slopes: Array
    third_minimum: Array | None
    converged: bool
    force: float
    steps: int

    @property
    def lengths(self) -> Array:
        """Path length in σ, see :func:`path_lengths`."""
        return path_lengths(self.positions)


def straight_line(start: Array, end: Array, box: Array, images: int) -> Array:
    """Images between two minima, closer to each other near the ends; minimum image, no drift of the centre of mass.

    Parameters
    ----------
    start, end : ndarray of shape (N, 3)
        In σ.
    box : ndarray of shape (3,)
        Box lengths in σ.
    images : int
        Number of images, the end points included.

    Returns
    -------
    ndarray of shape (images, N, 3)
    """
    return np.asarray(start + image_places(images)[:, None, None] * displacement(start, end, box))


def displacement(start: Array, end: Array, box: Array) -> Array:
    """Displacement between two minima in σ, shape (N, 3): minimum image, no drift; arguments as of straight_line."""
    step = minimum_image(end - start, box)
    return np.asarray(step - step.mean(0))


def find_path(
    potentials: Sequence[Potential], positions: Array, tolerance: float, max_steps: int, early: bool = True
) -> Band:
    """Relax a band until it is a minimum-energy path, or an intermediate minimum is detected.

    With ``early``, coarse bands are relaxed first (:func:`refined_paths`); most non-DW are detected there.

    Parameters
    ----------
    potentials : sequence of callable, n_images
        Each gives the total energy in ε and the forces (N, 3) in ε/σ at positions (N, 3) in σ; one for each image, as
        a neighbour list serves one place.
    positions : ndarray of shape (n_images, N, 3)
        To begin with, as :func:`straight_line` gives them; at least three.
    tolerance : float
        ε/σ; the band has converged once the nudged force on no particle is larger.
    max_steps : int
        Steps after which to give up.
    early : bool, default True
        Look for an intermediate minimum every LOOK_EVERY steps, in coarse bands first; else only once the full band
        has converged or ``max_steps`` are over.
    """
    if not early:
        return _relax_band(
            ElasticBand(potentials, positions.copy()), tolerance, max_steps, early, settled_force(tolerance)
        )
    *_, last = refined_paths(potentials, positions, tolerance, max_steps)
    return last


def refined_paths(
    potentials: Sequence[Potential], positions: Array, tolerance: float, max_steps: int
) -> Iterator[Band]:
    """The bands of STAGES and then the full one, each begun from the one before; arguments as of :func:`find_path`.

    A band that did not converge, or held an intermediate minimum, is the last one. ``steps`` counts those of all bands
    so far.
    """
    images, steps = len(positions), 0
    for count, times in (*((count, times) for count, times in STAGES if count < images), (images, 1.0)):
        elastic = ElasticBand(potentials[:count], _redistributed(positions, count))
        band = _relax_band(elastic, times * tolerance, max_steps - steps, True, settled_force(tolerance))
        steps += band.steps
        yield replace(band, steps=steps)
        if band.third_minimum is not None or not band.converged:
            return
        positions = band.positions


def continued_path(potentials: Sequence[Potential], positions: Array, tolerance: float, max_steps: int) -> Band:
    """Relax a band that begins with a path known before, whatever number of images that has.

    Parameters
    ----------
    potentials : sequence of callable, n_images
        As of :func:`find_path`.
    positions : ndarray of shape (n_known, N, 3)
        The known path in σ, unwrapped.
    tolerance, max_steps
        As of :func:`find_path`.
    """
    elastic = ElasticBand(potentials, _redistributed(positions, len(potentials)))
    return _relax_band(elastic, tolerance, max_steps, True, settled_force(tolerance))


def image_places(images: int) -> Array:
    """Places of the images along the path, from 0 to 1; shape (images,)."""
    even = np.linspace(0, 1, images)
    return np.asarray((1 - GRADING) * even + GRADING * 0.5 * (1 - np.cos(np.pi * even)))


def _redistributed(positions: Array, images: int) -> Array:
    """Images on the spline through those given, shape (images, N, 3)."""
    lengths = path_lengths(positions)
    return np.asarray(CubicSpline(lengths, positions)(lengths[-1] * image_places(images)))


def settled_force(tolerance: float) -> float:
    """Nudged force in ε/σ below which images are looked at, of a path to be relaxed to this force tolerance."""
    return max(SETTLED, TOLERANCES_SETTLED * tolerance)


def _relax_band(band: "ElasticBand", tolerance: float, max_steps: int, early: bool, settled: float) -> Band:
    step_of = _LBFGS()
    smallest, best, fraction = np.inf, band.positions, 1.0
    third = None
    for steps in range(max_steps + 1):
        nudged = band.nudged_forces()
        force = _largest(nudged)
        last = force <= tolerance or steps == max_steps or not np.isfinite(force)
        if last or (early and steps % LOOK_EVERY == LOOK_EVERY - 1):
            third = band.third_minimum(nudged, settled)
        if third is not None or last:
            break
        if force < smallest:
            smallest, best = force, band.positions.copy()
        elif force > max(DIVERGED * smallest, settled):
            smallest, fraction, step_of = 2 * smallest, 0.5 * fraction, _LBFGS()
            band.positions[:] = best
            band.evaluate()
            nudged = band.nudged_forces()
        else:
            fraction = min(1.0, 1.05 * fraction)
        band.positions[1:-1] += fraction * step_of(band.positions[1:-1], nudged)
        band.evaluate()
    return Band(band.positions, band.energies, band.forces, band.slopes(), third, force <= tolerance, force, steps)


class ElasticBand:
    """A band while it is relaxed; its end points stay.

    Parameters
    ----------
    potentials, positions
        As in :func:`find_path`; the positions change in place.
    """

    def __init__(self, potentials: Sequence[Potential], positions: Array) -> None:
        self.potentials = potentials
        self.positions = positions
        self.rest = np.diff(image_places(len(positions))) * (len(positions) - 1)
        self.energies = np.empty(len(positions))
        self.forces = np.zeros_like(positions)
        for k in (0, -1):
            self.energies[k], self.forces[k] = potentials[k](positions[k])
        self.evaluate()

    def evaluate(self) -> None:
        """Energies and forces of the inner images."""
        for k in range(1, len(self.positions) - 1):
            self.energies[k], self.forces[k] = self.potentials[k](self.positions[k])

    def nudged_forces(self) -> Array:
        """True force across the path and spring force along it, shape (n_images − 2, N, 3)."""
        along_path = tangents(self.positions, self.energies)
        along = _dot(self.forces[1:-1], along_path)
        spring = SPRING * np.diff(_distances(self.positions) / self.rest)
        along_path *= (spring - along)[:, None, None]
        along_path += self.forces[1:-1]
        return along_path

    def slopes(self) -> Array:
        """dV/dx at every image, zero at the end points; shape (n_images,)."""
        return np.concatenate([[0.0], -_dot(self.forces[1:-1], tangents(self.positions, self.energies)), [0.0]])

    def third_minimum(self, nudged: Array, settled: float) -> Array | None:
        """Minimum that is no end point, to which the lowest settled image in a dip of the profile relaxes.

        Hardly any force holds such an image, neither along the path nor across it.
        """
        slopes = self.slopes()
        dips = np.flatnonzero((slopes[1:-2] < 0) & (slopes[2:-1] > 0)) + 1
        images = np.unique([dips, dips + 1])
        for k in images[np.argsort(self.energies[images])]:
            if _largest(nudged[k - 1 : k]) > settled:
                continue
            found = relax(self.potentials[k], self.positions[k])
            away = min(np.linalg.norm(found.positions - end) for end in (self.positions[0], self.positions[-1]))
            if found.gradient_norm <= RELAXED and away >= END_POINT_DISTANCE:
                return found.positions
        return None


def tangents(positions: Array, energies: Array) -> Array:
    """Unit vectors along a path at its inner images, shape (n_images − 2, N, 3); improved tangent.

    Parameters
    ----------
    positions : ndarray of shape (n_images, N, 3)
        In σ.
    energies : ndarray of shape (n_images,)
        In ε.
    """
    rise, fall = np.diff(energies)[1:], np.diff(energies)[:-1]
    large, small = np.maximum(abs(rise), abs(fall)), np.minimum(abs(rise), abs(fall))
    upwards = rise + fall > 0
    ahead = np.where(upwards, large, small)
    behind = np.where(upwards, small, large)
    climbing, descending = (rise > 0) & (fall > 0), (rise < 0) & (fall < 0)
    ahead = np.where(climbing, 1.0, np.where(descending, 0.0, ahead))
    behind = np.where(descending, 1.0, np.where(climbing, 0.0, behind))
    flat = ahead + behind == 0
    ahead[flat] = behind[flat] = 1.0
    steps = np.diff(positions, axis=0)
    found = ahead[:, None, None] * steps[1:] + behind[:, None, None] * steps[:-1]
    found /= _norms(found)[:, None, None]
    return np.asarray(found)


class _LBFGS:
    """Steps from forces alone, without line searches, as a band has no energy of its own."""

    def __init__(self) -> None:
        self.moves: list[Array] = []
        self.changes: list[Array] = []
        self.last: tuple[Array, Array] | None = None

    def __call__(self, positions: Array, forces: Array) -> Array:
        place, downhill = positions.ravel(), forces.ravel()
        if self.last is not None:
            self._learn(place - self.last[0], self.last[1] - downhill)
        self.last = place.copy(), downhill
        step: Array = downhill.copy()
        weights = []
        for move, change in zip(reversed(self.moves), reversed(self.changes), strict=True):
            weights.append((move @ step) / (move @ change))
            step -= weights[-1] * change
        if self.moves:
            step *= (self.moves[-1] @ self.changes[-1]) / (self.changes[-1] @ self.changes[-1])
        for move, change, weight in zip(self.moves, self.changes, reversed(weights), strict=True):
            step += (weight - (change @ step) / (move @ change)) * move
        step = step.reshape(forces.shape)
        return np.asarray(step * min(1.0, (LONGEST_STEP if self.moves else BAND_FIRST_STEP) / _largest(step)))

    def _learn(self, move: Array, change: Array) -> None:
        """Keep the curvature along the last step; where it is not above zero, all that is known is out of date."""
        if move @ change > 1e-10 * np.linalg.norm(move) * np.linalg.norm(change):
            self.moves, self.changes = [*self.moves[1 - MEMORY :], move], [*self.changes[1 - MEMORY :], change]
        else:
            self.moves, self.changes = [], []


def _dot(one: Array, other: Array) -> Array:
    """Scalar product of the vectors of each image, shape (n_images,)."""
    return np.asarray(np.einsum("kia,kia->k", one, other))


def _norms(vectors: Array) -> Array:
    return np.sqrt(_dot(vectors, vectors))


def _distances(positions: Array) -> Array:
    return _norms(np.diff(positions, axis=0))


def path_lengths(positions: Array) -> Array:
    """Path length x in σ from the first image to each, x = Σ |r_{k+1} − r_k|; shape (n_images,)."""
    return np.concatenate([[0.0], np.cumsum(_distances(positions))])


def _largest(vectors: Array) -> float:
    """Largest length of any particle's vector."""
    return float(np.sqrt(np.einsum("kia,kia->ki", vectors, vectors).max()))


def mass_weighted(steps: Array, masses: Array) -> Array:
    """Mass-weighted displacements √m_a Δr_a, without motion of the centre of mass.

    Parameters
    ----------
    steps : ndarray of shape (..., N, 3)
        Displacements in σ; for equal masses without drift, as :func:`straight_line` makes them.
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
