"""Molecular dynamics with any calculator, by ASE."""

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.md.langevin import Langevin
from ase.units import kB

from glass.arrays import Array
from glass.batches import Batched
from glass.relaxation import Potential, one_by_one

STEPS_A_PERIOD = 30  # time steps in the period of the stiffest vibration
COUPLING = 100  # time constant of the thermostat, in time steps

_ITERATIONS, _APART = 30, 0.01
"""Iterations of the power method; distance over all 3N coordinates of its differences, Å or σ."""


def time_step(potential: Potential, positions: Array, masses: Array, rng: np.random.Generator) -> float:
    """Time step in the unit of time √(mass · length²/energy), from the stiffest vibration at a minimum.

    Power method on the mass-weighted Hessian, of which differences of forces give the products.
    """
    root, way, square = np.sqrt(masses)[:, None], rng.normal(size=positions.shape), 0.0
    for _ in range(_ITERATIONS):
        step = way / root
        step *= _APART / np.linalg.norm(step)
        pull = (potential(positions - step)[1] - potential(positions + step)[1]) / (2 * root)
        square, way = float(np.linalg.norm(pull) / np.linalg.norm(root * step)), pull
    return float(2 * np.pi / square**0.5 / STEPS_A_PERIOD)


def langevin(atoms: Atoms, potential: Potential, step: float, rng: np.random.Generator) -> Callable[[float, int], None]:
    """Function that moves atoms by Langevin dynamics: k_B T and number of steps.

    The centre of mass is let free; whoever compares positions takes its motion out.
    """
    atoms.calc = Batched(lambda _, images: one_by_one([potential])(images, [0]))
    md = Langevin(atoms, step, temperature_K=0, friction=1 / (COUPLING * step), fixcm=False, rng=rng)

    def move(temperature: float, steps: int) -> None:
        md.set_temperature(temperature_K=temperature / kB)
        md.run(steps)

    return move
