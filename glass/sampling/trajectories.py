"""Trajectories with any calculator: Langevin dynamics by ASE, the minima visited, and what these say of the sample."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from ase import Atoms
from ase.md.langevin import Langevin
from ase.units import kB

from glass.arrays import Array, minimum_image
from glass.batches import Batched
from glass.relaxation import RELAXED, Potential, Relaxed, one_by_one

STEPS_A_PERIOD = 30  # time steps in the period of the stiffest vibration
COUPLING = 100  # time constant of the thermostat, in time steps

_ITERATIONS, _APART = 30, 0.01
"""Iterations of the power method; distance over all 3N coordinates of its differences, Å or σ."""

_ODD = 0.02  # fraction of quenches that come back below which a sample is not one glass


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


class Minima:
    """The distinct minima of a trajectory and the transitions between them.

    Two quenches are one minimum if their energies per particle differ by ``SAME_ENERGY`` at most and no particle is
    displaced by ``SAME_POSITION``. For 300 soft spheres, those of one minimum differ by less than 2e-14 ε and 1e-5 σ,
    those of different minima by more than 4e-8 ε and 0.04 σ.
    """

    SAME_ENERGY, SAME_POSITION = 1e-9, 1e-3

    def __init__(self, box: Array, relaxed: float = RELAXED, decimals: int = 10) -> None:
        self.box = box
        self.relaxed = relaxed
        """Norm of the gradient up to which a quench has reached a minimum."""
        self.decimals = decimals
        self.positions: dict[str, Array] = {}
        """Keys are names: the energy per particle with so many decimals, by which alone a minimum is known in files."""
        self.visits: list[str] = []
        """Their names in the order of the quenches; empty where one is left out."""
        self.unrelaxed = 0
        """Quenches that did not reach a minimum; left out."""
        self.alike = 0
        """Quenches left out because another minimum has their name."""

    @property
    def transitions(self) -> dict[tuple[str, str], int]:
        """Number of times that the trajectory went from one minimum straight to another."""
        return Counter((one, other) for one, other in pairwise(self.visits) if one and other and one != other)

    def add(self, found: Relaxed) -> str:
        """Take the next quench of the trajectory; name of its minimum, empty where it is left out."""
        self.visits.append(self._name(found))
        return self.visits[-1]

    def _name(self, found: Relaxed) -> str:
        if not found.gradient_norm <= self.relaxed:
            self.unrelaxed += 1
            return ""
        energy = found.energy / len(found.positions)
        for name, other in self.positions.items():
            if abs(float(name) - energy) > self.SAME_ENERGY:
                continue
            step = minimum_image(found.positions - other, self.box)
            if np.linalg.norm(step, axis=1).max() < self.SAME_POSITION:
                return name
        name = f"{energy:.{self.decimals}f}"
        if name in self.positions:
            self.alike += 1
            return ""
        self.positions[name] = found.positions
        return name


def oddity(visits: Sequence[int], energies: Array) -> str:
    """Oddity of a sample in words, by the minima that a trajectory at one temperature visits; empty if nothing."""
    seen = np.array([one for one in visits if one >= 0])
    if len(seen) < 40:
        return ""
    half = len(seen) // 2
    before, after = seen[:half], seen[half:]
    if len(np.unique(seen)) <= 2:
        return "it stays in its minimum: raise --dynamics or --interval"
    fall = energies[before].mean() - energies[after].mean()
    if not np.isin(after, before).any() and fall > 3 * energies[before].std():
        return f"its energy fell by {fall:.2g} a particle and it never came back: it crystallised or still ages"
    if len(seen) - len(np.unique(seen)) < _ODD * len(seen):
        return "its minima never come back: it is melting or flows; lower --dynamics"
    return ""
