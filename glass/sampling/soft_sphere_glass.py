"""Glasses of polydisperse soft spheres (:mod:`glass.soft_spheres`): a liquid in equilibrium, and its minima.

At number density 1 in a cubic, periodic box. Swap Monte Carlo: Ninarello, Berthier, Coslovich, Phys. Rev. X 7, 021039
(2017). Then molecular dynamics goes from minimum to minimum. Reduced units: lengths in σ, energies and temperatures in
ε, masses 1. Positions are unwrapped throughout: a particle that crosses the box edge does not jump.
"""

# ruff: noqa: NPY002  # inside compiled functions these are numba's own generators, seeded at each call

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numba
import numpy as np
from ase import Atoms

from glass.arrays import Array
from glass.kernels import nearest_image, sides_of
from glass.potentials.pairs import SKIN, have_moved
from glass.relaxation import Potential, Relaxed, relax
from glass.soft_spheres import CUTOFF, SoftSpheres, energy_and_forces, neighbours, pair_diameter, pair_energy

SMALLEST, LARGEST = 0.73, 1.62  # range of the diameters in σ, as in the public minima of Ciarella et al. (2023)
MC_STEP = 0.12  # side of the cube within which a particle is displaced, σ

_LIST_HOLDS = 0.5 * (SKIN - MC_STEP * 3**0.5 / 2)
"""Distance of a particle from where it was listed, σ, up to which the next trial still meets all its neighbours."""

SWAPS = 0.2  # fraction of the attempted moves that swap two diameters
HOT = 0.3  # temperature from which a glass is cooled, ε
WAVE_NUMBER = 7.0  # first peak of the structure factor, 1/σ: relaxation times are measured there, as is usual
FRAMES = 1000  # number of configurations kept while the liquid equilibrates; a multiple of 4 · BLOCKS
BLOCKS = 5  # number of parts of a quarter from which the standard error of its energy is taken
TIME_STEP = 0.005  # time step of the dynamics, σ √(m/ε)
COUPLING = 100  # time constant of the thermostat, in time steps


class Equilibrium(NamedTuple):
    """Energies and relaxation times in the third and fourth quarter of a run, as signs of equilibrium."""

    sweeps: int
    energies: tuple[float, float]  # potential energy per particle in ε
    errors: tuple[float, float]  # their standard errors
    times: tuple[float, float]  # relaxation times in sweeps; infinite where longer than the quarter

    @property
    def equilibrated(self) -> bool:
        """Twenty relaxation times long or more, and the energies agree within three standard errors."""
        drift = abs(self.energies[1] - self.energies[0])
        return self.sweeps >= 20 * max(self.times) and drift <= 3 * float(np.hypot(*self.errors))


def diameters(n: int) -> Array:
    """Diameters of n particles in σ, ascending: P(σ) ∝ σ⁻³ at the equally probable quantiles (k + ½)/n.

    Drawn at random instead, each glass would be a material of its own: energies would differ more by the draw than by
    the structure.
    """
    u = (np.arange(n) + 0.5) / n
    low, high = SMALLEST**-2, LARGEST**-2
    return np.asarray((low - u * (low - high)) ** -0.5)


@numba.njit(cache=True, error_model="numpy")
def _energy_of(i, positions, box, diameters, first, both):  # type: ignore[no-untyped-def]
    """Energy of particle i with all others."""
    energy, sides = 0.0, sides_of(box)
    x, y, z, own = positions[i, 0], positions[i, 1], positions[i, 2], diameters[i]
    for k in range(first[i], first[i + 1]):
        j = both[k]
        dx, dy, dz = nearest_image(x - positions[j, 0], y - positions[j, 1], z - positions[j, 2], sides)
        r2 = dx * dx + dy * dy + dz * dz
        sigma = pair_diameter(own, diameters[j])
        if r2 < (CUTOFF * sigma) ** 2:
            energy += pair_energy(sigma * sigma / r2)
    return energy


@numba.njit(cache=True, nogil=True)
def swap_monte_carlo(positions, box, diameters, temperature, sweeps, seed):  # type: ignore[no-untyped-def]
    """Sweeps of N attempted moves each; positions (N, 3), diameters (N,) change in place; change of the energy in ε."""
    np.random.seed(seed)
    n = positions.shape[0]
    largest, slack = np.full(n, diameters.max()), np.full(n, 0.5 * SKIN)  # whichever diameters they get by swaps
    first, both, _ = neighbours(positions, box, largest, slack, True)
    reference, holds = positions.copy(), np.full(1, _LIST_HOLDS)
    change, place = 0.0, np.empty(3)
    for _ in range(sweeps * n):
        i, swaps = np.random.randint(n), np.random.random() < SWAPS
        j = np.random.randint(n) if swaps else i
        place[:] = positions[i]
        before = _energy_of(i, positions, box, diameters, first, both)
        if swaps:  # the term of i with j counts twice before and after, and a swap leaves it as it is
            before += _energy_of(j, positions, box, diameters, first, both)
            diameters[i], diameters[j] = diameters[j], diameters[i]
        for axis in range(0 if swaps else 3):
            positions[i, axis] += MC_STEP * (np.random.random() - 0.5)
        after = _energy_of(i, positions, box, diameters, first, both)
        if swaps:
            after += _energy_of(j, positions, box, diameters, first, both)
        if np.random.random() < np.exp(min(0.0, (before - after) / temperature)):
            change += after - before
            if have_moved(positions[i : i + 1].reshape(1, 1, 3), reference[i : i + 1], holds):
                first, both, _ = neighbours(positions, box, largest, slack, True)
                reference[:] = positions
        else:
            positions[i] = place
            diameters[i], diameters[j] = diameters[j], diameters[i]
    return change


def relaxation_time(places: Array) -> float:
    """Frames until F_s(k) of unwrapped positions (n_frames, N, 3) has fallen to 1/e; infinite if it does not.

    F_s is the self-intermediate scattering function, along the three axes, at ``WAVE_NUMBER``.
    """
    places = WAVE_NUMBER * (places - places.mean(1, keepdims=True))
    for lag in range(1, len(places)):
        if np.cos(places[lag:] - places[:-lag]).mean() < 1 / np.e:
            return float(lag)
    return np.inf


def random_start(n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Positions, box and diameters of a liquid at the temperature HOT, from random points.

    Monte Carlo moves that lower the energy are always taken, so that overlaps go within a few sweeps.
    """
    box = np.full(3, n ** (1 / 3))
    positions = rng.random((n, 3)) * box
    sizes = rng.permutation(diameters(n))
    swap_monte_carlo(positions, box, sizes, HOT, 2000, rng.integers(2**31))
    return positions, box, sizes


def equilibrate(
    positions: Array,
    box: Array,
    sizes: Array,
    temperature: float,
    sweeps: int,
    rng: np.random.Generator,
    done: Callable[[int], object] = lambda _: None,
) -> Equilibrium:
    """Cool from HOT in a tenth of the sweeps, then equilibrate; positions and sizes change in place.

    ``done`` is called every now and then with the sweeps made since its last call.
    """
    for hotter in np.geomspace(max(HOT, temperature), temperature, 20):
        swap_monte_carlo(positions, box, sizes, hotter, max(1, sweeps // 200), rng.integers(2**31))
    every = -(-sweeps // FRAMES)
    energies, places = np.empty(FRAMES), np.empty((FRAMES, *positions.shape))
    for k in range(FRAMES):
        swap_monte_carlo(positions, box, sizes, temperature, every, rng.integers(2**31))
        energies[k], places[k] = soft_spheres(box, sizes)(positions)[0] / len(sizes), positions
        done(every)

    def quarter(part: slice) -> tuple[float, float, float]:
        blocks = energies[part].reshape(BLOCKS, -1).mean(1)
        error = np.std(blocks, ddof=1) / np.sqrt(BLOCKS)
        return float(energies[part].mean()), float(error), every * relaxation_time(places[part])

    third, fourth = (quarter(slice(k * FRAMES // 4, (k + 1) * FRAMES // 4)) for k in (2, 3))
    return Equilibrium(every * FRAMES, *zip(third, fourth, strict=True))


@numba.njit(cache=True, nogil=True)
def molecular_dynamics(positions, velocities, box, diameters, temperature, steps, seed):  # type: ignore[no-untyped-def]
    """Velocity Verlet with Bussi's thermostat, J. Chem. Phys. 126, 014101 (2007); arrays (N, 3) change in place.

    ASE's own Bussi gives the same ensemble, but takes ten times as long for a step of 300 particles. The total momentum
    stays zero, so that 3N − 3 degrees of freedom have ``temperature``; 0 leaves the thermostat out.
    Potential and kinetic energy after each step, shape (steps, 2).
    """
    np.random.seed(seed)
    n = positions.shape[0]
    freedom = 3 * n - 3
    decay = np.exp(-1.0 / COUPLING)
    forces = np.empty_like(positions)
    slack = np.full(n, 0.5 * SKIN)
    start, partner, square = neighbours(positions, box, diameters, slack)
    reference = positions.copy()
    energy_and_forces(positions, box, start, partner, square, forces)
    energies = np.empty((steps, 2))
    for step in range(steps):
        if temperature > 0:
            share = (1 - decay) * 0.5 * temperature / (0.5 * np.sum(velocities**2))
            noise = np.random.standard_normal()
            others = 2.0 * np.random.standard_gamma(0.5 * (freedom - 1))
            velocities *= np.sqrt(decay + share * (others + noise**2) + 2 * noise * np.sqrt(decay * share))
        velocities += 0.5 * TIME_STEP * forces
        positions += TIME_STEP * velocities
        if have_moved(positions.reshape(1, n, 3), reference, slack):
            start, partner, square = neighbours(positions, box, diameters, slack)
            reference[:] = positions
        energies[step, 0] = energy_and_forces(positions, box, start, partner, square, forces)
        velocities += 0.5 * TIME_STEP * forces
        energies[step, 1] = 0.5 * np.sum(velocities**2)
    return energies


def soft_spheres(box: Array, diameters: Array) -> Potential:
    """Total energy in ε and forces in ε/σ, shape (N, 3), as a function of the positions (N, 3) in σ."""
    atoms, model = Atoms(numbers=np.zeros(len(diameters)), cell=box, pbc=True), SoftSpheres()
    atoms.set_array("diameters", diameters)

    def potential(positions: Array) -> tuple[float, Array]:
        energies, forces = model.calculate_many(atoms, positions[None])
        return float(energies[0]), forces[0]

    return potential


def quench(positions: Array, box: Array, diameters: Array) -> Relaxed:
    """Nearest minimum, without drift of the centre of mass."""
    found = relax(soft_spheres(box, diameters), positions)
    return found._replace(positions=found.positions - (found.positions.mean(0) - positions.mean(0)))


def sample(
    positions: Array,
    box: Array,
    sizes: Array,
    temperature: float,
    quenches: int,
    interval: int,
    rng: np.random.Generator,
) -> Iterator[Relaxed]:
    """Minima that a trajectory visits, a quench every ``interval`` time steps."""
    place = quench(positions, box, sizes).positions
    centre = place.mean(0)
    velocities = rng.normal(0, np.sqrt(temperature), place.shape)
    velocities -= velocities.mean(0)
    molecular_dynamics(place, velocities, box, sizes, temperature, 20 * COUPLING, rng.integers(2**31))
    for _ in range(quenches):
        molecular_dynamics(place, velocities, box, sizes, temperature, interval, rng.integers(2**31))
        velocities -= velocities.mean(0)  # rounding only
        place -= place.mean(0) - centre
        yield quench(place, box, sizes)
