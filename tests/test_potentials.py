"""Compiled potentials against numbers and sums that this project did not write; a trajectory of a metallic glass."""

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from formulas import make_atoms, pair_energy_by_hand
from steps import done
from synthetic import read_minimum

from doc import flat_emt, kob_andersen, metallic_glass
from glass.double_well import potential_of
from glass.potentials.kob_andersen import calculator as ka_calculator
from glass.response.elasticity import bonds_of
from glass.soft_spheres import SoftSpheres
from pipeline.formats.lammps import energy_in_name
from pipeline.workspace import Workspace


def liquid(n=120):
    rng = np.random.default_rng(3)
    diameters = rng.uniform(0.73, 1.62, n)
    grid = np.stack(np.meshgrid(*3 * [np.arange(5)]), -1).reshape(-1, 3)[:n]
    return make_atoms(grid + 0.1 * rng.normal(size=(n, 3)), diameters, [5.0] * 3)


def brute_force_energy(atoms):
    """Over all pairs, each at its nearest image."""
    d = atoms.get_array("diameters")
    step = atoms.positions[:, None] - atoms.positions
    step -= atoms.cell.lengths() * np.round(step / atoms.cell.lengths())
    energies = pair_energy_by_hand(np.sqrt((step**2).sum(-1)) + 99 * np.eye(len(d)), d[:, None], d)
    return energies.sum() / 2


@pytest.mark.slow
def test_every_real_minimum_has_the_energy_in_its_name(real_minima):
    for path in real_minima:
        minimum = read_minimum(path)
        atoms = make_atoms(minimum.positions, minimum.diameters, minimum.box)
        assert abs(atoms.get_potential_energy() / len(atoms) - energy_in_name(path)) < 1e-10, path.name


def test_energy_in_an_oblong_box_is_the_sum_over_all_pairs():
    """Two by two by three boxes of the liquid, each with its particles in the same places."""
    atoms = liquid().repeat((2, 2, 3))
    atoms.calc = SoftSpheres()
    assert atoms.get_potential_energy() == pytest.approx(brute_force_energy(atoms), rel=1e-11)
    assert atoms.get_potential_energy() == pytest.approx(12 * liquid().get_potential_energy(), rel=1e-11)


def test_the_neighbour_list_is_renewed_as_particles_move_also_by_whole_boxes_and_diameters_change():
    atoms = liquid()
    rng = np.random.default_rng(1)
    for _ in range(20):
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        atoms.positions[:3] += rng.integers(-2, 3, (3, 3)) * atoms.cell.lengths()
        assert atoms.get_potential_energy() == pytest.approx(brute_force_energy(atoms), rel=1e-10)
    atoms.set_array("diameters", np.roll(atoms.get_array("diameters"), 1))
    assert atoms.get_potential_energy() == pytest.approx(brute_force_energy(atoms), rel=1e-10)
    atoms.set_cell(1.1 * atoms.cell, scale_atoms=True)
    assert atoms.get_potential_energy() == pytest.approx(brute_force_energy(atoms), rel=1e-10)


CELLS = {
    "triclinic": ([[6.0, 0, 0], [3.1, 5.0, 0], [-1.0, 2.2, 5.5]], [1, 1, 1]),
    "film": ([[6.0, 0, 0], [3.1, 5.0, 0], [0, 0, 0]], [1, 1, 0]),
    "small": ([[3.0, 0, 0], [0, 3.2, 0], [0, 0, 2.9]], [1, 1, 1]),
}


@pytest.mark.parametrize(("cell", "pbc"), CELLS.values(), ids=CELLS)
def test_in_any_cell_energies_forces_and_virial_are_those_of_the_sum_over_images(cell, pbc):
    rng, across = np.random.default_rng(2), (3, 3, 3) if cell[0][0] == 3 else (5, 5, 5)
    n = int(np.prod(across))
    whole = np.where(np.any(cell, axis=1)[:, None], cell, np.diag([0, 0, 5.0]))
    atoms = make_atoms(
        (list(np.ndindex(across)) + rng.normal(0, 0.05, (n, 3))) / across @ whole, rng.uniform(0.8, 1.4, n), cell
    )
    atoms.pbc = pbc
    shifts = np.array(list(np.ndindex(7, 7, 7))) - 3
    shifts = shifts[(shifts[:, ~atoms.pbc] == 0).all(1)] @ np.array(cell)
    diameters = atoms.get_array("diameters")

    def energy(positions, images):
        apart = np.linalg.norm(positions[:, None, None] - positions[None, :, None] - images, axis=3)
        apart[np.arange(n), np.arange(n), len(images) // 2] = 1e3
        return 0.5 * pair_energy_by_hand(apart, diameters[:, None, None], diameters[None, :, None]).sum()

    for step in (0.0, 0.3):  # within the list, and beyond it
        atoms.positions[0] += step
        assert atoms.get_potential_energy() == pytest.approx(energy(atoms.positions, shifts), rel=1e-9)
    forces, virial = atoms.get_forces(), bonds_of(atoms, atoms.calc).virial()
    for axis in range(3):
        two = [atoms.positions + sign * 1e-6 * np.eye(n)[:, :1] * np.eye(3)[axis] for sign in (1, -1)]
        slope = np.subtract(*(energy(one, shifts) for one in two)) / 2e-6
        assert forces[0, axis] == pytest.approx(-slope, rel=1e-5, abs=1e-4)
    strained = [
        energy(atoms.positions @ (np.eye(3) + t), shifts @ (np.eye(3) + t))
        for t in np.diag([1e-6, 0, 0]) * [[[1]], [[-1]]]
    ]
    assert virial[0] == pytest.approx(np.subtract(*strained) / 2e-6, rel=1e-5)


# Glasses of doc/metallic-glass.md
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
