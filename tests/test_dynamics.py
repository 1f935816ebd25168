"""Dynamics with any calculator: time step, temperature, and what a trajectory says of its sample."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from glass.double_well import potential_of
from glass.dynamics import STEPS_A_PERIOD, langevin, oddity, time_step

STIFF = np.linspace(1, 9, 300).reshape(100, 3)


def springs(positions):
    return 0.5 * float((STIFF * positions**2).sum()), -STIFF * positions


def test_the_time_step_is_a_part_of_the_fastest_period():
    masses = np.where(np.arange(100) == 99, 0.25, 1.0)  # ω = √(9/0.25) = 6
    step = time_step(springs, np.zeros((100, 3)), masses, np.random.default_rng(1))
    assert step * STEPS_A_PERIOD == pytest.approx(2 * np.pi / 6, rel=0.02)


def test_harmonic_springs_have_the_energy_of_equipartition():
    atoms = Atoms("H100", positions=np.zeros((100, 3)), masses=np.ones(100))
    move = langevin(atoms, springs, 0.07, np.random.default_rng(2))
    move(0.5, 600)
    energies = []
    for _ in range(60):
        move(0.5, 20)
        energies.append((springs(atoms.positions)[0], atoms.get_kinetic_energy()))
    assert np.mean(energies, axis=0) == pytest.approx([75, 75], rel=0.05)  # 300 degrees of freedom, kT/2 each


@pytest.mark.parametrize(
    ("visits", "energies", "says"),
    [
        ([0, 1, 2, 1, 0, 3, 2, 1] * 10, [0.0, 0.1, 0.2, 0.1], ""),
        ([0] * 80, [0.0], "it stays in its minimum"),
        (range(80), np.zeros(80), "its minima never come back"),
        ([0, 1, 2, 1, 0, 3] * 10 + [4, 5] * 30, [0.0, 0.1, 0.0, 0.1, -1.0, -1.0], "it crystallised"),
        ([-1] * 80, [], ""),
    ],
)
def test_a_sample_that_melts_crystallises_or_stays_is_told(visits, energies, says):
    said = oddity(list(visits), np.array(energies))
    assert said.startswith(says) if not says else says in said
    assert bool(said) == bool(says)


def test_forces_stay_where_a_calculator_writes_the_next_ones_over_them():
    """As ASE's EMT does; else differences of them are zero."""
    atoms = bulk("Al", "fcc", a=3.9) * (3, 3, 3)
    atoms.rattle(0.05, seed=1)
    potential = potential_of(atoms, lambda _: EMT())
    _, first = potential(atoms.positions)
    kept = first.copy()
    potential(1.01 * atoms.positions)
    np.testing.assert_array_equal(first, kept)
