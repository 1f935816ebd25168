"""How far a splitting along one path can be believed: against models with exact splittings, by ways to continue V(x).

python -m benchmarks.continuation [--models 48] [--seed 0]

Random double wells of one particle in two and three dimensions with scales as in real glasses: quanta of 0.02 to 0.05 ε
along the line between the minima, 0.009 to 0.017 ε for the softest mode, into which the path turns at its ends. Their
two lowest levels are known without any path, from a converged basis. Kept are wells where tunnelling is the lowest
excitation: splitting between 1e-4 and 2e-2 ε and below 0.7 quanta of the softest mode of either well, one state in each
well; elsewhere E1 is a vibration across the path. Paths have 21, 31 and 41 images. The last row has the straight line
between the minima instead of the path: what is not the continuation's fault.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.linalg import eigh
from threadpoolctl import threadpool_limits

from glass.arrays import Array
from glass.double_well import WayBeyond, examined, profile_of
from glass.path import Band, image_places
from glass.relaxation import one_by_one
from glass.response.vibrations import hessian_by_differences, with_zero_point
from glass.tunnelling import NotResolvedError, Profile, lowest_levels

HBAR = 0.01563  # of the soft spheres
IMAGES, TOLERANCE, MAX_STEPS = (21, 31, 41), 5e-5, 1000  # of the paths; ε/σ
HIGHEST = 0.27  # ε above the lower minimum; basis functions of higher energy are left out
SPACING = 0.048  # σ, of the grids of the basis
TALLEST = 0.12  # ε; no barrier is higher, so that the basis suffices
WAYS: tuple[WayBeyond, ...] = ("line", "parabola")

KINDS = ("weakly coupled", "symmetric", "tilted", "tilted, k(x)")
"""In the first two the zero-point energies across are the same in both wells; in the last they change along the path.
In the weakly coupled ones the path is nearly straight: there one dimension is good, and the continuation decides."""


@dataclass(frozen=True)
class Mode:
    """A transverse oscillator ½ k(x) (q − g(x))²: k = stiffness exp(stiffening u), g = half (c₁u + c₂u² + c₃u³)."""

    stiffness: float  # ε/σ²
    stiffening: float  # How k changes along u = x/half
    bend: tuple[float, float, float]  # c₁, c₂, c₃: they turn the axes of the wells against the line between the minima


@dataclass(frozen=True)
class Model:
    """V = height (u² − 1)²/(1 + wall u²) + tilt u/(1 + u²) + the transverse oscillators, u = x/half."""

    height: float  # Barrier, and difference between the minima, in ε
    tilt: float
    half: float  # Half the distance along x between the minima in σ
    wall: float  # The larger, the softer the outer walls; 0 is the quartic
    modes: tuple[Mode, ...]  # One or two

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


def exact_levels(model: Model) -> tuple[Array, Array]:
    """Two lowest levels in ε and each state's probability to be at x < 0, without any path.

    At each x of a grid the transverse oscillators are solved; their states up to an energy are the basis.
    """
    x = np.arange(-4 * model.half - 1, 4 * model.half + 1, SPACING)
    bottom = model.along_x(x)
    x = x[bottom < bottom.min() + HIGHEST]
    energies, overlaps = model.along_x(x)[:, None], np.ones((len(x), 1, len(x), 1))
    for mode in model.modes:
        levels, states = _oscillators(model, mode, x)
        overlap = np.einsum("xqn,yqm->xnym", states, states, optimize=True)
        energies = (energies[:, :, None] + levels[:, None, :]).reshape(len(x), -1)
        shape = len(x), energies.shape[1], len(x), energies.shape[1]
        overlaps = np.einsum("xayb,xnym->xanybm", overlaps, overlap).reshape(shape)
    kept = np.flatnonzero(energies < bottom.min() + HIGHEST)
    matrix = (sinc_kinetic(x)[:, None, :, None] * overlaps).reshape(energies.size, -1)[np.ix_(kept, kept)]
    matrix[np.diag_indices(len(kept))] += energies.ravel()[kept]
    lowest, states = eigh(matrix, subset_by_index=(0, 1), overwrite_a=True, check_finite=False)
    return lowest, (states[x[kept // energies.shape[1]] < 0] ** 2).sum(0)


def _oscillators(model: Model, mode: Mode, x: Array) -> tuple[Array, Array]:
    """Levels (x, n) in ε of the oscillator at each x and its states (x, q, n) on a grid of q."""
    stiffness, centre = model.across(mode, x)
    reach = np.sqrt(2 * (HIGHEST + 0.05) / stiffness)
    q = np.arange((centre - reach).min(), (centre + reach).max(), SPACING)
    count = int(HIGHEST / (HBAR * np.sqrt(stiffness.min()))) + 1
    potential = 0.5 * stiffness[:, None] * (q - centre[:, None]) ** 2
    levels, states = np.linalg.eigh(sinc_kinetic(q) + potential[:, None, :] * np.eye(len(q)))
    return levels[:, :count], states[:, :, :count]


def path_of(model: Model, images: int) -> Band | None:
    """None where there is no path without a third minimum, or it takes too long."""
    start, end = model.minima()
    line = start + image_places(images)[:, None, None] * (end - start)
    band = examined(line, one_by_one([model]), images, TOLERANCE, max_steps=MAX_STEPS, hbar=HBAR).band
    return band if band is not None and band.converged and band.third_minimum is None else None


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
    """Splitting over the exact one by each way, for 21, 31 and 41 images."""
    forces, found = one_by_one([model] * max(IMAGES)), []
    for band in bands:
        line, published = (profile_of(band, forces, HBAR, way=way) for way in WAYS)
        step = band.positions[-1] - band.positions[0]
        places = band.positions[0] + image_places(len(band.positions))[:, None, None] * step
        energies, pulls = forces(places, range(len(places)))
        slopes = -(pulls * step).sum((1, 2)) / np.linalg.norm(step)
        straight = profile_of(replace(band, positions=places, energies=energies, slopes=slopes), forces, HBAR)
        hessian = partial(hessian_by_differences, model)
        profiles = (published, line, with_zero_point(line, band.positions, np.ones(1), hessian, HBAR), straight)
        found.append([_splitting(profile) / exact for profile in profiles])
    names = ("parabola, as published", "line through the minima, used", "V + Z on that line", "no path")
    return dict(zip(names, np.transpose(found).tolist(), strict=True))


def _splitting(profile: Profile) -> float:
    """E1 − E0 in ε; NaN where it does not hold two states."""
    try:
        low, high = lowest_levels(profile, HBAR)
    except NotResolvedError:
        return np.nan
    return high - low


def print_table(title: str, table: list[dict[str, list[float]]]) -> None:
    """Errors at 31 images and changes from the band before."""
    print(
        f"\n{title}: {len(table)} models\n{'':40s} |log ratio|: median, 90 %, worst;   bias; 21→31, 31→41: median, 90 %"
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
    for kind, model, exact, bands in cases(given.models, given.seed):
        tables[kind].append(ratios(model, exact, bands))
    for kind, table in tables.items():
        if table:
            print_table(kind, table)
    print_table("all", [row for table in tables.values() for row in table])


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
