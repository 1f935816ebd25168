"""Molecular dynamics of polydisperse soft spheres (:mod:`glass.soft_spheres`) from minimum to minimum, compiled.

Units as in :mod:`glass.sampling.liquid`. Positions are unwrapped: a particle that crosses the box edge does not jump.
"""

# ruff: noqa: NPY002  # inside compiled functions these are numba's own generators, seeded at each call

from collections.abc import Iterator

import numba
import numpy as np
from ase import Atoms

from glass.arrays import Array
from glass.potentials.pairs import SKIN, have_moved
from glass.relaxation import Potential, Relaxed, relax
from glass.soft_spheres import SoftSpheres, energy_and_forces, neighbours

TIME_STEP = 0.005  # time step of the dynamics, σ √(m/ε)
COUPLING = 100  # time constant of the thermostat, in time steps


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
