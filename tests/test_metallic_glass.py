"""Glasses of doc/metallic-glass.md: their potentials, and a trajectory of minima from a structure."""

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from steps import done

from doc import flat_emt, kob_andersen, metallic_glass
from glass.double_well import potential_of
from glass.potentials.kob_andersen import calculator as ka_calculator
from pipeline.workspace import Workspace

T = "600"


def test_energy_and_forces_of_the_kob_andersen_mixture_are_sums_over_all_pairs(tmp_path):
    """By the five numbers of Kob, Andersen, Phys. Rev. Lett. 73, 1376 (1994), and LAMMPS's ``lj/smooth/linear``."""
    kob_andersen.write(tmp_path, glasses=1)
    atoms, rng = ase.io.read(tmp_path / "mixture-1.extxyz"), np.random.default_rng(2)
    lattice = atoms.cell[0, 0] / 6 * np.stack(np.meshgrid(*[np.arange(6)] * 3), -1).reshape(-1, 3)[:150]
    atoms.positions = rng.permutation(lattice) + rng.normal(0, 0.05, (150, 3))  # none on each other, some outside
    constants = {(1, 1): (1.0, 1.0), (1, 2): (1.5, 0.8), (2, 2): (0.5, 0.88)}
    total, expected = 0.0, np.zeros((150, 3))
    for i in range(150):
        for j in range(i):
            epsilon, sigma = constants[tuple(sorted(atoms.arrays["types"][[i, j]]))]
            step = atoms.get_distance(i, j, mic=True, vector=True)
            r, cut = np.linalg.norm(step), 2.5 * sigma

            def pair(x, epsilon=epsilon, sigma=sigma):
                return 4 * epsilon * ((sigma / x) ** 12 - (sigma / x) ** 6)

            def slope(x, epsilon=epsilon, sigma=sigma):
                return 4 * epsilon * (6 * (sigma / x) ** 6 - 12 * (sigma / x) ** 12) / x

            if r < cut:
                total += pair(r) - pair(cut) - (r - cut) * slope(cut)
                push = (slope(r) - slope(cut)) * step / r
                expected[i] += push
                expected[j] -= push
    energy, forces = potential_of(atoms, ka_calculator)(atoms.positions)
    assert energy == pytest.approx(total, rel=1e-12)
    np.testing.assert_allclose(forces, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("cells", [2, 3])
def test_flat_emt_is_that_of_ase(cells):
    """Moved so far that neighbours change, over the edges of the box and with an image of an atom as its neighbour."""
    rng = np.random.default_rng(1)
    atoms = bulk("Al", "fcc", a=3.85, cubic=True) * (cells, cells, cells)
    atoms.symbols = list(rng.choice(["Al", "Ni", "Au"], len(atoms)))
    ours, theirs = potential_of(atoms, flat_emt.calculator), potential_of(atoms, lambda _: EMT())
    for step in (0, 0.1, 0.3, 0.5):
        positions = atoms.positions + rng.normal(scale=step, size=(len(atoms), 3))
        (energy, forces), (energy_of_ase, forces_of_ase) = ours(positions), theirs(positions)
        assert energy == pytest.approx(energy_of_ase, rel=1e-12)
        np.testing.assert_allclose(forces, forces_of_ase, rtol=0, atol=1e-10 * abs(forces_of_ase).max())


@pytest.mark.slow
def test_a_trajectory_of_minima_goes_on_where_it_was_as_if_it_had_not_been_stopped(tmp_path):
    found = []
    for root, stops in ((tmp_path / "stopped", (4, 12)), (tmp_path / "whole", (12,))):
        metallic_glass.write(root, glasses=1, cells=2)
        how = ("--melt", 3000, "--cool", 300, "--dynamics", T, "--interval", 60)
        for quenches in stops:
            start = ("--start", root / "alloy-1.extxyz", "--quenches", quenches)
            assert f"{quenches} of {quenches} quenches" in done("simulate_glass", root, *how, *start)
        frames = ase.io.read(Workspace(root).at(T).glass(1) / "minima.extxyz", ":")
        found.append([frame.get_potential_energy() for frame in frames])
    assert len(found[0]) > 1
    for frame in frames:
        assert frame.get_chemical_formula() == "Al16Ni16"
        assert frame.arrays["id"].tolist() == [*range(1, 33)]  # so that no exchange of atoms is taken for disorder
        energy, forces = potential_of(frame, lambda _: EMT())(frame.positions)
        assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-11)
        assert np.linalg.norm(forces) < 1e-5  # eV/Å, a tenth of neb.force_tolerance
    assert found[0] == pytest.approx(found[1], abs=1e-9)  # the lists of neighbours are made anew
    transitions = [Workspace(tmp_path / name).at(T).transitions(1).read_text() for name in ("stopped", "whole")]
    assert transitions[0] == transitions[1]
    assert 0 < pd.read_csv(Workspace(tmp_path / "whole").at(T).transitions(1))["count"].sum() < 12
