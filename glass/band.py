"""Nudged elastic band (NEB) between two minima, and early detection of an intermediate minimum.

Improved tangent: Henkelman, Jónsson, J. Chem. Phys. 113, 9978 (2000). All images are moved together by L-BFGS
(Sheppard, Terrell, Henkelman, J. Chem. Phys. 128, 134106 (2008)), in numbers beside other programs in
``benchmarks/neb.py``.
"""

from dataclasses import dataclass

import numba
import numpy as np
from scipy.interpolate import CubicHermiteSpline, CubicSpline

from glass.arrays import Array
from glass.path import END_POINT_DISTANCE, Band, halved, image_places
from glass.relaxation import LBFGS, RELAXED, Forces, Precondition

UPWIND = 0.4
"""Part of the tangent of a full band that is from the parabola through an image and the two uphill of it; the rest is
from that through both neighbours. Each is of second order in the spacing, and at 1/3 their errors cancel. Forces carry
bands downhill like a stream: with nothing from uphill they have kinks and do not converge. At the highest and lowest
images, and in bands before the full one, the tangent is the improved one, of first order."""

SPRING = 10.0
"""Constant of the springs between images, ε/σ². They space the images along the path and do not move the path."""

STAGES = ((7, 100.0), (11, 20.0), (21, 5.0))
"""Bands that are relaxed before the full one, if it has more images: number of images, and of force tolerances."""

FEWEST = 11  # number of images from which on a double well may be told

SETTLED, TOLERANCES_SETTLED = 1.0, 5000.0
"""Nudged force below which an image is relaxed to see whether it lies in an intermediate minimum, in ε/σ and in force
tolerances; the larger of the two counts. Where barriers are higher than those of soft spheres, so are forces on a path
that has nearly settled, and tolerances are chosen larger."""

LOOK_EVERY = 3
"""Number of steps between two searches for an intermediate minimum, and between two looks at an image that relaxes."""

DIVERGED = 30.0  # growth of the force above its smallest at which L-BFGS goes back there and takes shorter steps

PATIENCE, OFTEN = 25, 12
"""Number of steps without a smaller force after which a first band is left as it was then to one of more images: where
the path is curved, few may have no place to rest. One of second order that is not settled then goes back and takes
shorter steps; it is given up when it has done so OFTEN, and when it finds none for eight times as many: where V is
steep and hardly stiff across the path it never rests, and what it passes on its way is no third minimum."""

SHOULDER = 0.1  # depth of a shoulder in the largest slope above which it is looked at closely, see shoulders

INTERPOLATION = 0.05
"""Error of the cubic halfway between images, in the height of the profile, above which that place is looked at."""

WINDOW, WINDOW_IMAGES, WINDOW_STEPS, WINDOW_PATIENCE = 0.35, 15, 100, 40
"""Part of the path on either side of it that is then relaxed, number of images, and of steps at most, in all and with
no smaller force (with 15 for 40 two more of 1000 pairs had another verdict than with all images). Of five third minima
that 11 images and windows of 0.15 with 9 had missed, four are found so, of 0.25 with 11 two; of 90 double wells none is
lost."""

FALL = 0.05
"""An image that relaxes will not reach an end point if its total gradient is below this times the mean gradient on the
way down there: its height above it through its distance from it. Of 196 that did reach one, of soft spheres and of a
metal, none had less than 0.32; those that go to a third minimum are told in half the steps that they take to rest."""

FOLLOWED = 1000  # number of steps after which a relaxing image is given up


def relaxed_band(
    positions: Array,
    forces: Forces,
    tolerance: float,
    max_steps: int,
    settled: float,
    step_of: LBFGS,
    patience: float = np.inf,
    whole: Band | None = None,
    fine: bool = False,
) -> Band:
    """Relax one band, ``positions`` (n_images, N, 3) in σ, in place.

    It has converged once the nudged force on no particle is above ``tolerance`` in ε/σ. ``settled`` as of
    :data:`SETTLED`; ``step_of`` moves it; ``patience`` as :data:`PATIENCE`. ``whole`` is the band of both minima
    where these are part of a path; ``fine`` as of :data:`UPWIND`.

    A band that is given up has neither converged nor a third minimum, and took fewer than ``max_steps``.
    """
    band = ElasticBand(positions, forces, step_of.precondition, whole)
    if step_of.images:  # of a band of fewer
        before = step_of.images + 2
        between = CubicSpline(image_places(before), np.eye(before)[:, 1:-1])(image_places(len(positions)))
        step_of.carry_over(between[1:-1], positions[1:-1])
    band.evaluate(range(len(positions)))
    state = positions, band.energies, band.forces
    smallest, best, fraction, reached, times = np.inf, [one.copy() for one in state], 1.0, 0, 0
    settled = min(settled, SETTLED) if fine else settled  # it begins near its path
    third = None
    for steps in range(max_steps + 1):
        nudged, slopes, largest = nudged_forces(*state, band.rest, fine)
        force = float(largest.max())
        converged = force <= tolerance
        last = converged or steps == max_steps or not np.isfinite(force)
        if last or (steps % LOOK_EVERY == LOOK_EVERY - 1 and not (fine and force > settled)):
            third = band.third_minimum(slopes, largest, settled)
        if third is not None or last:
            break
        if force < smallest:
            smallest, best, reached = force, [one.copy() for one in state], steps
        diverged = force > max(DIVERGED * smallest, settled)
        limit = (PATIENCE if force > settled else 8 * PATIENCE) if fine else patience
        wild = diverged or steps - reached > limit
        times += wild
        if fine and wild and (times > OFTEN or force <= settled):
            break
        if wild:
            for one, was in zip(state, best, strict=True):
                one[:] = was
            nudged, slopes, largest = nudged_forces(*state, band.rest, fine)
            force = float(largest.max())
            if patience < np.inf:
                break
            smallest, fraction, reached = 2 * smallest, 0.5 * fraction, steps
            step_of.forget()
        elif force > smallest:
            fraction = min(1.0, 1.05 * fraction)
        positions[1:-1] += fraction * step_of(positions[1:-1], nudged)
        band.evaluate()
    return Band(positions, band.energies, band.forces, slopes, third, converged, force, steps)


def hidden_minimum(
    band: Band, forces: Forces, tolerance: float, settled: float, precondition: Precondition | None = None
) -> Array | None:
    """Place on the way to a third minimum that a converged band of few images has passed by; None if there is none.

    Places halfway between images show where another may hide: in a dip, at a shoulder, where the cubic between images
    is far off. A window there is relaxed as a band of its own. Arguments as of :func:`relaxed_band`.
    """
    spline = CubicSpline(band.lengths, band.positions)
    lengths = halved(band.lengths)
    fine = ElasticBand(spline(lengths), forces, precondition)
    fine.energies[::2], fine.forces[::2] = band.energies, band.forces
    fine.evaluate(range(1, len(lengths), 2))
    _, slopes, largest = nudged_forces(fine.positions, fine.energies, fine.forces, fine.rest, False)
    third = fine.third_minimum(slopes, largest, settled)
    off = np.abs(fine.energies - CubicHermiteSpline(band.lengths, band.energies, band.slopes)(lengths))
    doubtful = shoulders(slopes, fine.energies)
    if off.max() > INTERPOLATION * np.ptp(band.energies):
        doubtful = doubtful or [int(np.argmax(off))]
    for k in doubtful:
        if third is None:
            first, last = np.clip(lengths[k] + lengths[-1] * WINDOW * np.array([-1, 1]), 0, lengths[-1])
            images = spline(first + (last - first) * image_places(WINDOW_IMAGES))
            step_of = LBFGS(precondition)
            part = relaxed_band(images, forces, tolerance, WINDOW_STEPS, settled, step_of, WINDOW_PATIENCE, band)
            third = part.third_minimum
    return third


def shoulders(slopes: Array, energies: Array) -> list[int]:
    """Images, one a way up to the highest image at most, where the slope falls and rises again by more than SHOULDER.

    A simple double well has none; a path that passes by another minimum does.
    """
    top, found = int(np.argmax(energies)), []
    for way, images in ((slopes, range(top + 1)), (-slopes, range(len(slopes) - 1, top - 1, -1))):
        rise = way[images]
        before, after = np.maximum.accumulate(rise), np.maximum.accumulate(rise[::-1])[::-1]
        dips = np.minimum(before, after) - rise
        if dips.max() > SHOULDER * rise.max():
            found.append(images[int(np.argmax(dips))])
    return found


@dataclass
class ElasticBand:
    """A band while it is relaxed; its end points stay. Arguments as of :func:`relaxed_band`."""

    positions: Array
    forces_at: Forces
    precondition: Precondition | None = None
    whole: "Band | ElasticBand | None" = None

    def __post_init__(self) -> None:
        self.rest = np.diff(image_places(len(self.positions))) * (len(self.positions) - 1)
        self.energies, self.forces = np.empty(len(self.positions)), np.zeros_like(self.positions)

    def evaluate(self, images: range | None = None) -> None:
        """Energies and forces of these images, by default of all but the end points."""
        images = range(1, len(self.positions) - 1) if images is None else images
        some = slice(images.start, images.stop, images.step)
        self.energies[some], self.forces[some] = self.forces_at(self.positions[some], images)

    def third_minimum(self, slopes: Array, largest: Array, settled: float) -> Array | None:
        """Place on the way to a minimum that is no end point, from the lowest settled images in dips of the profile.

        Hardly any force holds such an image, neither along the path nor across it.
        """
        dips = np.flatnonzero((slopes[1:-2] < 0) & (slopes[2:-1] > 0)) + 1
        images = np.unique([dips, dips + 1])
        for k in images[np.argsort(self.energies[images])]:
            if largest[k - 1] <= settled:
                found = self.followed(int(k))
                if found is not None:
                    return found
        return None

    def followed(self, image: int) -> Array | None:
        """Place from which an image that is relaxed will not reach an end point; None if it does, or can't be told.

        An end point is at most as high above the bottom of its basin as its own gradient allows.
        """
        of_image, of_ends, whole = [image], [0, -1], self.whole or self
        place, energy, force = self.positions[of_image], self.energies[of_image], self.forces[of_image]
        ends, bottoms = whole.positions[of_ends], whole.energies[of_ends]
        slack = np.linalg.norm(whole.forces[of_ends], axis=(1, 2))
        step_of = LBFGS(self.precondition)
        for steps in range(FOLLOWED):
            if steps % LOOK_EVERY == 0:
                gradient = float(np.linalg.norm(force))
                distances = np.linalg.norm(place - ends, axis=(1, 2))
                if distances.min() < END_POINT_DISTANCE or not np.isfinite(gradient):
                    return None
                heights = energy - bottoms + slack * distances
                if gradient <= RELAXED or ((heights <= 0) | (gradient * distances <= FALL * heights)).all():
                    return np.asarray(place[0])
            place = place + step_of(place, force)
            energy, force = self.forces_at(place, of_image)
        return None


@numba.njit(cache=True)
def tangents(positions, energies, fine):  # type: ignore[no-untyped-def]
    """Unit vectors along a path at its inner images, shape (n_images − 2, N, 3); ``fine``: as UPWIND says."""
    steps = positions[1:] - positions[:-1]
    lengths = np.array([np.sqrt((step * step).sum()) for step in steps])
    found = np.empty((len(steps) - 1, *positions.shape[1:]))
    for k in range(len(found)):
        rise, fall = energies[k + 2] - energies[k + 1], energies[k] - energies[k + 1]
        ahead, behind = (k + 1, k) if rise > fall else (k, k + 1)  # uphill, and downhill
        beyond = 2 * ahead - behind
        if rise * fall >= 0:  # the highest or lowest image of three
            weights = np.array([max(abs(rise), abs(fall)), min(abs(rise), abs(fall)), 0.0])
            if not weights[0] > 0:
                weights[:2] = 1.0
        elif fine and 0 <= beyond < len(steps):
            central = (1.0 - UPWIND) / (lengths[ahead] + lengths[behind])
            upwind = UPWIND / (lengths[ahead] + lengths[beyond])
            weights = np.array([1.0 / lengths[ahead] - central + upwind, central, -upwind])
            weights[1] *= lengths[ahead] / lengths[behind]
            weights[2] *= lengths[ahead] / lengths[beyond]
        else:
            weights = np.array([1.0, 0.0, 0.0])
        tangent = weights[0] * steps[ahead] + weights[1] * steps[behind]
        if weights[2] < 0:
            tangent += weights[2] * steps[beyond]
        found[k] = tangent / np.sqrt((tangent * tangent).sum())
    return found


@numba.njit(cache=True)
def nudged_forces(positions, energies, forces, rest, fine):  # type: ignore[no-untyped-def]
    """True force across the path and spring force along it."""
    nudged = tangents(positions, energies, fine)
    slopes, largest = np.zeros(len(positions)), np.zeros(len(nudged))
    before = np.sqrt(((positions[1] - positions[0]) ** 2).sum()) / rest[0]
    for k in range(len(nudged)):
        after = np.sqrt(((positions[k + 2] - positions[k + 1]) ** 2).sum()) / rest[k + 1]
        slopes[k + 1] = -(forces[k + 1] * nudged[k]).sum()
        nudged[k] = forces[k + 1] + (SPRING * (after - before) + slopes[k + 1]) * nudged[k]
        for i in range(nudged.shape[1]):
            square = nudged[k, i, 0] ** 2 + nudged[k, i, 1] ** 2 + nudged[k, i, 2] ** 2
            if not square <= largest[k]:
                largest[k] = square
        before = after
    return nudged, slopes, np.sqrt(largest)
