"""How to continue the energy of a path beyond its two minima: candidates against exact splittings.

python -m benchmarks.continuation [--models 48] [--seed 0]

A minimum-energy path ends at the minima and turns into their softest mode just before. The splitting is that of a
one-dimensional Schrödinger equation along it, which needs V(x) beyond the ends as well. Here are random double wells of
one particle in two and three dimensions with scales as in real glasses: quanta of 0.02 to 0.05 ε along the line between
the minima, 0.009 to 0.017 ε for the softest mode. Their two lowest levels are known without any path, from a converged
basis. Each candidate continues the paths of 21, 41 and 81 images.

Kept are wells where tunnelling is the lowest excitation: splitting between 1e-4 and 2e-2 ε and below 0.7 quanta of the
softest mode of either well, one state in each well. Elsewhere E1 is a vibration across the path, and no
splitting along it means the same.

Two more rows are V + Z, with the zero-point energy across the path, and the straight line between the minima instead of
the path: what is not the continuation's fault.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline, CubicSpline
from scipy.linalg import eigh, eigh_tridiagonal
from scipy.optimize import brentq
from threadpoolctl import threadpool_limits

from glass.band import find_path
from glass.double_well import profile_of
from glass.path import Band, image_places
from glass.relaxation import Potential, answered, one_by_one
from glass.response.vibrations import hessian_by_differences, with_zero_point, zero_point_along
from glass.tunnelling import POINTS, NotResolvedError, Profile, lowest_levels

Array = NDArray[np.float64]
Curve = Callable[[Array], Array]

HBAR = 0.01563
"""ħ̃ of the soft spheres."""

IMAGES = (21, 41, 81)
TOLERANCE = 5e-5
"""ε/σ; the paths are relaxed to it."""

MAX_STEPS = 1000
HIGHEST = 0.27
"""ε above the lower minimum; basis functions of higher energy are left out."""

SPACING = 0.048
"""σ; of the grids of the basis."""

FARTHEST = 5.0
"""σ; a continuation that has not risen by then does not confine."""

RISE = 0.15
"""ε above the highest image; further up no state of interest is found."""

TALLEST = 0.12
"""ε; no barrier is higher, so that the basis suffices."""

KINDS = ("weakly coupled", "symmetric", "tilted", "tilted, k(x)")
"""In the first two the zero-point energies across are the same in both wells; in the last they change along the path.
In the weakly coupled ones the path is nearly straight: there one dimension is good, and the continuation decides."""


@dataclass(frozen=True)
class Mode:
    """A transverse oscillator ½ k(x) (q − g(x))²: k = stiffness exp(stiffening u), g = half (c₁u + c₂u² + c₃u³).

    Attributes
    ----------
    stiffness : float
        ε/σ².
    stiffening : float
        How k changes along u = x/half.
    bend : tuple of float
        c₁, c₂, c₃: they turn the axes of the wells against the line between the minima.
    """

    stiffness: float
    stiffening: float
    bend: tuple[float, float, float]


@dataclass(frozen=True)
class Model:
    """V = height (u² − 1)²/(1 + wall u²) + tilt u/(1 + u²) + the transverse oscillators, u = x/half.

    Attributes
    ----------
    height, tilt : float
        Barrier, and difference between the minima, in ε.
    half : float
        Half the distance along x between the minima in σ.
    wall : float
        The larger, the softer the outer walls; 0 is the quartic.
    modes : tuple of Mode
        One or two.
    """

    height: float
    tilt: float
    half: float
    wall: float
    modes: tuple[Mode, ...]

    def along_x(self, x: Array) -> Array:
        """V in ε at x in σ, where each q is g(x)."""
        u2 = (x / self.half) ** 2
        return np.asarray(self.height * (u2 - 1) ** 2 / (1 + self.wall * u2) + self.tilt * x / self.half / (1 + u2))

    def across(self, mode: Mode, x: Array) -> tuple[Array, Array]:
        """Stiffness k in ε/σ² and place g in σ."""
        u = x / self.half
        c1, c2, c3 = mode.bend
        return mode.stiffness * np.exp(mode.stiffening * u), self.half * u * (c1 + u * (c2 + u * c3))

    def __call__(self, positions: Array) -> tuple[float, Array]:
        """Energy in ε and forces in ε/σ at positions (1, 3); without a second mode, z has an oscillator of its own."""
        x, y, z = (float(value) for value in positions[0])
        u = x / self.half
        u2, bottom = u * u, 1 + self.wall * u * u
        energy = self.height * (u2 - 1) ** 2 / bottom + self.tilt * u / (1 + u2)
        slope = self.height * (4 * u * (u2 - 1) / bottom - 2 * self.wall * u * (u2 - 1) ** 2 / bottom**2)
        gradient = [(slope + self.tilt * (1 - u2) / (1 + u2) ** 2) / self.half, 0.0, 0.0]
        modes = self.modes if len(self.modes) == 2 else (*self.modes, Mode(1.0, 0.0, (0.0, 0.0, 0.0)))
        for axis, (mode, q) in enumerate(zip(modes, (y, z), strict=True), 1):
            c1, c2, c3 = mode.bend
            stiffness = mode.stiffness * float(np.exp(mode.stiffening * u))
            off = q - self.half * u * (c1 + u * (c2 + u * c3))
            energy += 0.5 * stiffness * off**2
            gradient[0] += 0.5 * stiffness * mode.stiffening / self.half * off**2
            gradient[0] -= stiffness * off * (c1 + u * (2 * c2 + 3 * u * c3))
            gradient[axis] = stiffness * off
        return energy, -np.array([gradient])

    def minima(self) -> Array:
        """The two minima in σ, shape (2, 1, 3)."""
        places = np.zeros((2, 1, 3))
        places[:, 0, 0] = -self.half, self.half
        for axis, mode in enumerate(self.modes, 1):
            places[:, 0, axis] = self.across(mode, places[:, 0, 0])[1]
        return places

    def softest_quantum(self) -> float:
        """ħ̃ω in ε of the softest mode of either minimum."""
        size, step = 1 + len(self.modes), 1e-4
        curvatures = []
        for place in self.minima():
            rows = [self(place - step * d)[1][0] - self(place + step * d)[1][0] for d in np.eye(3)[:size]]
            curvatures.append(np.linalg.eigvalsh(np.array(rows)[:, :size] / (2 * step))[0])
        return float(HBAR * np.sqrt(min(curvatures)))


def random_model(rng: np.random.Generator, kind: str) -> Model:
    """A double well of one of the KINDS; every third in three dimensions."""
    omega, soft = rng.uniform(0.02, 0.05) / HBAR, rng.uniform(0.009, 0.017) / HBAR
    wall, half = rng.uniform(0, 0.7), rng.uniform(0.08, 0.45)
    height = (1 + wall) * (omega * half) ** 2 / 8
    tilt = 0.0 if kind in KINDS[:2] else rng.uniform(0.02, 0.3) * height
    even = rng.random() < 0.5
    modes = []
    for number in range(1 + (rng.random() < 1 / 3)):
        frequency = soft if number == 0 else rng.uniform(0.5, 1.0) * omega
        c1, c2, c3 = rng.uniform(-1, 1, 3) * [0.7, 0.35, 0.2] * (0.25 if kind == KINDS[0] else 1.0)
        if kind in KINDS[:2]:
            c1, c2, c3 = (0.0, 2 * c2, 0.0) if even else (c1, 0.0, c3)
        stiffening = rng.uniform(-0.2, 0.2) if kind == KINDS[3] else 0.0
        modes.append(Mode(frequency**2, stiffening, (c1, c2, c3)))
    return Model(height, tilt, half, wall, tuple(modes))


def sinc_kinetic(x: Array) -> Array:
    """−(ħ̃²/2) d²/dx² in ε on an even grid in σ, for sinc functions."""
    apart = np.subtract.outer(np.arange(len(x)), np.arange(len(x)))
    apart[np.diag_indices(len(x))] = 1
    matrix = 2.0 * (-1.0) ** apart / apart.astype(float) ** 2
    matrix[np.diag_indices(len(x))] = np.pi**2 / 3
    return np.asarray(0.5 * (HBAR / (x[1] - x[0])) ** 2 * matrix)


def exact_levels(model: Model, spacing: float = SPACING, highest: float = HIGHEST) -> tuple[Array, Array]:
    """Two lowest levels in ε and each state's probability to be at x < 0, without any path.

    At each x of a grid the transverse oscillators are solved; their states up to an energy are the basis.
    """
    x = np.arange(-4 * model.half - 1, 4 * model.half + 1, spacing)
    bottom = model.along_x(x)
    x = x[bottom < bottom.min() + highest]
    energies, overlaps = model.along_x(x)[:, None], np.ones((len(x), 1, len(x), 1))
    for mode in model.modes:
        levels, states = _oscillators(model, mode, x, spacing, highest)
        overlap = np.einsum("xqn,yqm->xnym", states, states, optimize=True)
        energies = (energies[:, :, None] + levels[:, None, :]).reshape(len(x), -1)
        shape = len(x), energies.shape[1], len(x), energies.shape[1]
        overlaps = np.einsum("xayb,xnym->xanybm", overlaps, overlap).reshape(shape)
    kept = np.flatnonzero(energies < bottom.min() + highest)
    matrix = (sinc_kinetic(x)[:, None, :, None] * overlaps).reshape(energies.size, -1)[np.ix_(kept, kept)]
    matrix[np.diag_indices(len(kept))] += energies.ravel()[kept]
    lowest, states = eigh(matrix, subset_by_index=(0, 1), overwrite_a=True, check_finite=False)
    return lowest, (states[x[kept // energies.shape[1]] < 0] ** 2).sum(0)


def _oscillators(model: Model, mode: Mode, x: Array, spacing: float, highest: float) -> tuple[Array, Array]:
    """Levels (x, n) in ε of the oscillator at each x and its states (x, q, n) on a grid of q."""
    stiffness, centre = model.across(mode, x)
    reach = np.sqrt(2 * (highest + 0.05) / stiffness)
    q = np.arange((centre - reach).min(), (centre + reach).max(), spacing)
    count = int(highest / (HBAR * np.sqrt(stiffness.min()))) + 1
    potential = 0.5 * stiffness[:, None] * (q - centre[:, None]) ** 2
    levels, states = np.linalg.eigh(sinc_kinetic(q) + potential[:, None, :] * np.eye(len(q)))
    return levels[:, :count], states[:, :, :count]


@dataclass(frozen=True)
class End:
    """One end of a path, seen from the minimum; s in σ is the distance from it along the path.

    Attributes
    ----------
    inner : CubicHermiteSpline
        s to V − V(minimum) in ε.
    place : CubicSpline
        s to the positions (N, 3) in σ.
    barrier : float
        s of the highest image.
    energy : callable
        Positions to V − V(minimum) in ε.
    """

    inner: CubicHermiteSpline
    place: CubicSpline
    barrier: float
    energy: Callable[[Array], float]

    def turning(self) -> float:
        """Distance l where a parabola through (l, V(l)) has its turning point; the barrier's if it has none.

        V(l) = ħ̃ω/2 and l² = ħ̃/ω, so that V(l) = ħ̃²/(2 l²): an equation without ω. It has one solution.
        """

        def rising(s: float) -> float:
            return float(self.inner(s)) - (HBAR / s) ** 2 / 2

        high = self.barrier
        return float(brentq(rising, 1e-3 * high, high)) if rising(high) > 0 else high

    def outwards(self, s: float) -> Array:
        """Unit vector (N, 3) from the path's point at s to the minimum."""
        step = self.place(0.0) - self.place(s)
        return np.asarray(step / np.linalg.norm(step))


def ends_of(band: Band, potential: Potential) -> tuple[End, End]:
    """Both ends of a path."""
    x, v, top = band.lengths, band.energies, band.lengths[np.argmax(band.energies)]
    return (
        _end(x, v, band.slopes, band.positions, float(top), potential),
        _end((x[-1] - x)[::-1], v[::-1], -band.slopes[::-1], band.positions[::-1], float(x[-1] - top), potential),
    )


def _end(s: Array, energies: Array, slopes: Array, positions: Array, barrier: float, potential: Potential) -> End:
    lowest = float(energies[0])
    inner = CubicHermiteSpline(s, energies - lowest, slopes)
    return End(inner, CubicSpline(s, positions), barrier, lambda place: potential(place)[0] - lowest)


def parabola(curvature: float) -> Curve:
    """½ curvature s² in ε."""
    return lambda s: np.asarray(0.5 * curvature * s**2)


def at_the_end(end: End) -> Curve:
    """(a) Parabola with the profile's curvature at the minimum."""
    return parabola(float(end.inner(0.0, 2)))


def through_turning(end: End) -> Curve:
    """(b) Parabola through the profile's point where it has its turning point."""
    length = end.turning()
    return parabola(2 * float(end.inner(length)) / length**2)


def along_line(end: End, direction: Array, reach: float = 4.0, points: int = 16) -> Curve:
    """Energies on a line beyond the minimum, as far as so many turning points; then the last slope and curvature."""
    s = np.linspace(0, reach * end.turning(), points + 1)
    energies = [end.energy(end.place(0.0) + t * direction) for t in s]
    spline = CubicSpline(s, energies, bc_type=((1, 0.0), "not-a-knot"))
    slope, curvature = float(spline(s[-1], 1)), max(float(spline(s[-1], 2)), 0.0)

    def curve(t: Array) -> Array:
        more = np.maximum(t - s[-1], 0)
        return np.asarray(spline(np.minimum(t, s[-1])) + slope * more + 0.5 * curvature * more**2)

    return curve


def line_backwards(end: End) -> Curve:
    """(c) Energies on the line from the path's turning point through the minimum."""
    return along_line(end, end.outwards(end.turning()))


def line_of_minima(end: End) -> Curve:
    """(d) Energies on the line through both minima."""
    return along_line(end, end.outwards(float(end.inner.x[-1])))


CANDIDATES: dict[str, Callable[[End], Curve]] = {
    "a parabola: curvature at the end": at_the_end,
    "b parabola: turning point": through_turning,
    "c line back from turning point": line_backwards,
    "d line through the minima": line_of_minima,
}


class Inside(NamedTuple):
    """A profile between its ends: path lengths in σ, V in ε and dV/dx in ε/σ of the images, each (n_images,)."""

    lengths: Array
    energies: Array
    slopes: Array


def splitting(profile: Inside, outside: tuple[Curve, Curve]) -> float:
    """E1 − E0 in ε along a path that is continued so at its ends; NaN if it is not confined.

    Parameters
    ----------
    profile : Inside
        V between the ends.
    outside : tuple of callable
        Distance beyond each end in σ to V − V(end) in ε.
    """
    far = np.linspace(0, FARTHEST, 5001)
    high = np.ptp(profile.energies) + RISE
    risen = [np.append(curve(far[:-1]), np.nan) > high for curve in outside]
    if not all(one.any() for one in risen):
        return np.nan
    left, right = (far[np.argmax(one)] for one in risen)
    end = profile.lengths[-1]
    x = np.linspace(-left, end + right, POINTS)
    between = CubicHermiteSpline(profile.lengths, profile.energies, profile.slopes)
    beyond = np.where(x < 0, outside[0](np.maximum(-x, 0)), outside[1](np.maximum(x - end, 0)))
    kinetic = 0.5 * (HBAR / (x[1] - x[0])) ** 2
    diagonal = between(np.clip(x, 0, end)) + beyond + 2 * kinetic
    levels = eigh_tridiagonal(
        diagonal, np.full(POINTS - 1, -kinetic), eigvals_only=True, select="i", select_range=(0, 1)
    )
    return float(levels[1] - levels[0])


def without_path(ends: tuple[End, End]) -> float:
    """E1 − E0 in ε on the straight line through the minima."""
    first, last = (end.place(0.0) for end in ends)
    distance = float(np.linalg.norm(last - first))
    x = np.linspace(0, distance, 81)
    energies = np.array([ends[0].energy(first + s / distance * (last - first)) for s in x])
    slopes = np.asarray(CubicSpline(x, energies, bc_type="clamped")(x, 1))
    return splitting(Inside(x, energies, slopes), (line_of_minima(ends[0]), line_of_minima(ends[1])))


def path_of(model: Model, images: int) -> Band | None:
    """None where there is no path without a third minimum, or it takes too long."""
    start, end = model.minima()
    line = start + image_places(images)[:, None, None] * (end - start)
    band = find_path([model] * images, line, TOLERANCE, MAX_STEPS)
    return band if band.converged and band.third_minimum is None else None


def exact_splitting(model: Model) -> float | None:
    """In ε; None where tunnelling is not clearly the lowest excitation, or out of the range of interest."""
    if model.height > TALLEST:
        return None
    levels, left = exact_levels(model)
    found = float(levels[1] - levels[0])
    fits = 1e-4 < found < min(2e-2, 0.7 * model.softest_quantum()) and abs(left.sum() - 1) < 0.25
    return found if fits else None


def cases(count: int, seed: int) -> Iterator[tuple[str, Model, float, list[Band]]]:
    """Kind, model, exact splitting in ε and its paths, ``count`` in all, the kinds in turn."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        while True:
            model = random_model(rng, kind)
            exact = exact_splitting(model)
            if exact is None:
                continue
            bands = [band for images in IMAGES if (band := path_of(model, images)) is not None]
            if len(bands) == len(IMAGES):
                break
        yield kind, model, exact, bands


def ratios(model: Model, exact: float, bands: list[Band]) -> dict[str, list[float]]:
    """Splitting over the exact one by each way, for 21, 41 and 81 images."""
    found: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    straight, used, with_z = [], [], []
    for band in bands:
        profile, ends = Inside(band.lengths, band.energies, band.slopes), ends_of(band, model)
        for name, candidate in CANDIDATES.items():
            found[name].append(splitting(profile, (candidate(ends[0]), candidate(ends[1]))) / exact)
        along = answered(profile_of(band, HBAR), one_by_one([model]))
        low, high = lowest_levels(along, HBAR)
        used.append((high - low) / exact)
        with_z.append(_with_zero_point(band, model, along) / exact)
        straight.append(without_path(ends) / exact)
    return found | {
        "d as run_neb.py has it": used,
        "d with the zero-point energy, V + Z": with_z,
        "no path": straight,
    }


def _with_zero_point(band: Band, model: Model, along: Profile) -> float:
    """E1 − E0 in ε of V + Z; NaN where it does not hold two states."""
    hessian = partial(hessian_by_differences, model)
    place = zero_point_along(band.positions, band.energies, np.ones(1), along, hessian, HBAR)
    try:
        low, high = lowest_levels(with_zero_point(along, *place), HBAR)
    except NotResolvedError:
        return np.nan
    return high - low


def basis_change(model: Model, exact: float) -> float:
    """Relative change of the exact splitting with a finer grid and a higher ceiling."""
    levels, _ = exact_levels(model, 0.8 * SPACING, 1.25 * HIGHEST)
    return float(abs((levels[1] - levels[0]) / exact - 1))


def print_table(title: str, table: list[dict[str, list[float]]]) -> None:
    """Errors at 41 images and changes on doubling the images."""
    print(
        f"\n{title}: {len(table)} models\n{'':40s} |log ratio|: median, 90 %, worst;   bias; 21→41, 41→81: median, 90 %"
    )
    for name in table[0]:
        values = np.array([row[name] for row in table])
        off = np.log(values[:, 1])
        off = off[np.isfinite(off)]
        changes = np.abs(values[:, 1:] / values[:, :-1] - 1)
        numbers = [*np.quantile(np.abs(off), [0.5, 0.9, 1]), np.median(off)]
        numbers += [quantile for column in changes.T for quantile in np.nanquantile(column, [0.5, 0.9])]
        lost = f"  not confined: {len(values) - len(off)}" if len(off) < len(values) else ""
        print(f"{name:40s} {numbers[0]:8.3f} {numbers[1]:8.3f} {numbers[2]:8.3f} {numbers[3]:+8.3f}   ", end="")
        print(*(f"{number:8.2%}" for number in numbers[4:]), lost)


def main() -> None:
    """Print a table for each kind of model and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tables: dict[str, list[dict[str, list[float]]]] = {kind: [] for kind in KINDS}
    change = 0.0
    for kind, model, exact, bands in cases(given.models, given.seed):
        tables[kind].append(ratios(model, exact, bands))
        if len(model.modes) == 1:
            change = max(change, basis_change(model, exact))
    for kind, table in tables.items():
        if table:
            print_table(kind, table)
    print_table("all", [row for table in tables.values() for row in table])
    print(f"\na larger basis changes the exact splittings in two dimensions by {change:.1e} at most")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
