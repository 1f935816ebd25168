"""The model glass: its energies and forces against numbers and sums that this project did not write."""

import numpy as np
import pytest
from formulas import make_atoms, pair_energy_by_hand
from synthetic import read_minimum

from glass.response.elasticity import bonds_of
from glass.soft_spheres import SoftSpheres
from pipeline.formats.lammps import energy_in_name


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
