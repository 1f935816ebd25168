"""What moves a band: L-BFGS and its first Hessian, all images in one call, the close look at a coarse double well."""

import sys

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from soft_sphere_atoms import make_atoms

from glass.band import find_path, hidden_minimum, shoulders
from glass.batches import Batched, in_batches
from glass.double_well import examine, forces_of, potential_of
from glass.relaxation import FIRST_STEP, LBFGS, answered, bonds_inverse, one_by_one, relax
from glass.soft_spheres import SoftSpheres
from pipeline.settings import NebSettings
from pipeline.units import METAL
from search.calculator import find_calculator, load
from search.conversion import calculator_for_glass


def liquid(rng, n=60, side=5.0):
    grid = np.stack(np.meshgrid(*3 * [np.arange(4)]), -1).reshape(-1, 3)[:n]
    return make_atoms((grid + 0.1 * rng.normal(size=(n, 3))) * side / 4, rng.uniform(0.8, 1.4, n), [side] * 3)


# L-BFGS
def two_loops(gradient, moves, changes, inverse):
    """Algorithm 7.4 of Nocedal, Wright, Numerical Optimization."""
    q, alphas = gradient.copy(), []
    for s, y in zip(moves[::-1], changes[::-1], strict=True):
        alphas.append((s @ q) / (y @ s))
        q -= alphas[-1] * y
    s, y = moves[-1], changes[-1]
    r = (s @ y) / (y @ inverse @ y) * (inverse @ q)
    for s, y, alpha in zip(moves, changes, alphas[::-1], strict=True):
        r += s * (alpha - (y @ r) / (y @ s))
    return r


@pytest.mark.parametrize("preconditioned", [False, True])
def test_steps_are_those_of_the_two_loops_also_once_the_memory_is_full(preconditioned):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(90, 90))
    hessian = root @ root.T / 90 + np.eye(90)
    inverse = np.diag(rng.uniform(0.5, 2, 90)) if preconditioned else np.eye(90)
    step_of = LBFGS((lambda forces: (inverse @ forces.ravel()).reshape(forces.shape)) if preconditioned else None)
    x, places, gradients = rng.normal(size=90), [], []
    for count in range(30):
        gradient = hessian @ x
        places, gradients = [*places, x], [*gradients, gradient]
        step = step_of(x.reshape(30, 1, 3), -gradient.reshape(30, 1, 3)).ravel()
        if count:
            expected = -two_loops(gradient, np.diff(places, axis=0)[-20:], np.diff(gradients, axis=0)[-20:], inverse)
            np.testing.assert_allclose(step / np.linalg.norm(step), expected / np.linalg.norm(expected), atol=1e-8)
        else:
            assert np.linalg.norm(step.reshape(30, 3), axis=1).max() == pytest.approx(FIRST_STEP)
        x = x + step


def test_no_image_drifts():
    rng = np.random.default_rng(1)
    step = LBFGS()(rng.normal(size=(4, 10, 3)), rng.normal(size=(4, 10, 3)))
    np.testing.assert_allclose(step.mean(axis=1), 0, atol=1e-15)


def test_the_first_hessian_is_the_sum_over_bonds():
    rng = np.random.default_rng(2)
    atoms = liquid(rng, n=30)
    box, n = atoms.cell.lengths(), len(atoms)
    step = atoms.positions[:, None] - atoms.positions
    step -= box * np.round(step / box)
    r = np.linalg.norm(step, axis=2)
    nearest = np.sort(r, axis=1)[:, 1:4].mean(axis=1)
    hessian = np.zeros((n, 3, n, 3))
    for i in range(n):
        for j in range(i):
            apart = r[i, j] / (0.5 * (nearest[i] + nearest[j]))
            if apart < 1.6:
                block = np.exp(-3 * (apart - 1)) * np.outer(step[i, j], step[i, j]) / r[i, j] ** 2
                for a, b, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
                    hessian[a, :, b] += sign * block
    hessian = hessian.reshape(3 * n, 3 * n)
    hessian += 0.05 * hessian.diagonal().mean() * np.eye(3 * n)
    forces = rng.normal(size=(2, n, 3))
    expected = np.linalg.solve(hessian, forces.reshape(2, -1).T).T.reshape(forces.shape)
    np.testing.assert_allclose(bonds_inverse(atoms.positions, box)(forces), expected, rtol=1e-9, atol=1e-12)


# All images in one call
def test_images_in_one_call_have_the_energies_and_forces_of_single_calls():
    rng = np.random.default_rng(3)
    atoms = liquid(rng)
    forces, cheap = forces_of(atoms, lambda _: SoftSpheres(), 5)
    assert cheap
    for width in (0.02, 0.3, 0.05):  # the list is made anew for the second, which holds the third
        images = atoms.positions + width * np.linspace(0, 1, 5)[:, None, None] * rng.normal(size=atoms.positions.shape)
        energies, found = forces(images, range(5))
        for positions, energy, force in zip(images, energies, found, strict=True):
            alone = make_atoms(positions, atoms.arrays["diameters"], atoms.cell.lengths())
            assert energy == pytest.approx(alone.get_potential_energy(), rel=1e-12)
            np.testing.assert_allclose(force, alone.get_forces(), rtol=1e-9, atol=1e-9)


def test_a_subclass_that_changes_single_calls_is_called_singly():
    class Doubled(SoftSpheres):
        def calculate(self, *given):
            super().calculate(*given)
            self.results = {name: 2 * value for name, value in self.results.items()}

    atoms = liquid(np.random.default_rng(4))
    (energy,), _ = forces_of(atoms, lambda _: Doubled(), 1)[0](atoms.positions[None], [0])
    assert energy == pytest.approx(2 * atoms.get_potential_energy(), rel=1e-12)


def lennard_jones(atoms, images):
    """Clusters in plain arrays, all pairs."""
    i, j = np.triu_indices(len(atoms), 1)
    step = images[:, i] - images[:, j]
    square = (step**2).sum(axis=2)
    pull = (24 * (2 * square**-6 - square**-3) / square)[..., None] * step
    forces = np.zeros_like(images)
    for image, one in zip(forces, pull, strict=True):
        np.add.at(image, i, one)
        np.subtract.at(image, j, one)
    return 4 * (square**-6 - square**-3).sum(axis=1), forces


def clusters():
    """Two minima of seven atoms, by kicks from one place."""
    rng = np.random.default_rng(0)
    atoms = Atoms("Ar7", 6 + rng.normal(0, 1, (7, 3)), cell=[12] * 3)
    potential = potential_of(atoms, lambda _: LennardJones(rc=50.0))
    start = relax(potential, atoms.positions)
    other = start
    while abs(other.energy - start.energy) < 0.1:
        other = relax(potential, start.positions + rng.normal(0, 0.25, (7, 3)))
    atoms.set_masses(np.ones(7))
    ends = atoms.copy(), atoms.copy()
    for end, one in zip(ends, (start, other), strict=True):
        end.positions = one.positions - one.positions.mean(0) + 6
    return ends


def test_a_function_on_arrays_gives_the_verdict_of_single_calls_of_ases_lennard_jones():
    start, end = clusters()
    calls = []

    def counted(atoms, images):
        calls.append(len(images))
        return lennard_jones(atoms, images)

    how = {"images": 11, "tolerance": 2e-3, "max_steps": 500, "hbar": 0.05}
    many = examine(start, end, lambda _: Batched(counted, at_most=4), **how)
    single = examine(start, end, lambda _: LennardJones(rc=50.0), **how)
    assert many.kind == single.kind != "unfinished"
    np.testing.assert_allclose(many.band.positions, single.band.positions, atol=1e-6)
    assert max(calls) == 4


def test_batched_takes_a_function_on_arrays_or_a_calculator_by_its_name_loads_it_once_and_bounds_its_calls(tmp_path):
    start, end = clusters()
    (tmp_path / "in_one_call.py").write_text(
        "import numpy as np\n"
        "from test_band import lennard_jones\n"
        "made, calls = [], []\n"
        "def many(atoms, images):\n"
        "    calls.append(len(images))\n"
        "    return lennard_jones(atoms, images)\n"
        "def calculator(atoms):\n"
        "    made.append(1)\n"
        "    return many\n"
        "def wrong(atoms):\n"
        "    return 3\n"
    )
    neb = NebSettings(calculator="in_one_call:calculator", batched=True, batch_size=4)
    for _ in range(2):
        make = load(neb, find_calculator(neb, tmp_path), start)
        found = examine(start, end, make, images=11, tolerance=2e-3, max_steps=500, hbar=0.05)
        assert found.kind != "unfinished"
    module = sys.modules["in_one_call"]
    assert len(module.made) == 1
    assert max(module.calls) == 4
    with pytest.raises(TypeError, match="no function on arrays, torch-sim model or calculator with calculate_many"):
        find_calculator(NebSettings(calculator="in_one_call:wrong", batched=True), tmp_path)(start)


def test_a_torch_sim_model_gives_the_energies_and_forces_of_ases_lennard_jones():
    pytest.importorskip("torch_sim")
    from torch_sim.models.lennard_jones import LennardJonesModel

    start, end = clusters()
    calculator = in_batches(LennardJonesModel(sigma=1.0, epsilon=1.0, cutoff=5.9, use_neighbor_list=False), 1)
    energies, forces = calculator.calculate_many(start, np.stack([start.positions, end.positions]))
    for atoms, energy, force in zip((start, end), energies, forces, strict=True):
        atoms.calc = LennardJones(rc=5.9)
        assert energy == pytest.approx(atoms.get_potential_energy(), rel=1e-4)
        np.testing.assert_allclose(force, atoms.get_forces(), atol=1e-3)


def test_energies_of_many_configurations_come_in_the_units_of_the_workspace():
    start, end = clusters()
    images = np.stack([start.positions, end.positions])
    inside = calculator_for_glass(start, lambda _: Batched(lennard_jones), METAL)(start)
    energies, forces = inside.calculate_many(start, images / METAL.sigma)
    for k, positions in enumerate(images):
        start.positions = positions / METAL.sigma
        inside.calculate(start, ["energy", "forces"], ["positions"])
        assert energies[k] == pytest.approx(inside.results["energy"], rel=1e-12)
        np.testing.assert_allclose(forces[k], inside.results["forces"], atol=1e-9)


# The close look
def well(positions, narrow=0.0):
    """Quartic double well along x, with a narrow Gaussian well on its flank, which lies between the places of five."""
    x, y, z = positions[0]
    dip = narrow * np.exp(-(((x - 0.35) / 0.1) ** 2))
    slope = 4 * (x**2 - 1) * x + 2 * (x - 0.35) / 0.1**2 * dip
    return (x**2 - 1) ** 2 - dip + 5 * (y**2 + z**2), -np.array([[slope, 10 * y, 10 * z]])


@pytest.mark.parametrize("narrow", [0.0, 0.06, 0.3])
def test_a_minimum_between_the_images_of_a_coarse_band_is_found(narrow):
    def potential(positions):
        return well(positions, narrow)

    ends = np.array([[[-1.0, 0, 0]], [[1.0, 0, 0]]])
    coarse = find_path([potential] * 5, np.linspace(*ends, 5), 2e-3, 500)
    assert coarse.converged
    third = answered(hidden_minimum(coarse, 2e-3, 1.0), one_by_one([potential] * 41))
    assert (third is not None) == (narrow == 0.3)
    if third is not None:
        assert third[0, 0] == pytest.approx(0.35, abs=0.1)


def test_a_shoulder_is_where_the_slope_falls_and_rises_again():
    slopes = np.array([0, 1, 3, 1, 2, 0, -2, -1, -4, 0.0])
    energies = np.array([0, 1, 3, 5, 6.5, 7, 6, 4.5, 2, 0])
    assert shoulders(slopes, energies) == [3, 7]
    assert shoulders(-slopes[::-1], energies[::-1]) == [2, 6]
    slopes[[3, 7]] = 1.9, -2
    assert shoulders(slopes, energies) == []
