"""Many configurations in one call: the images of a band, and of the bands of several pairs."""

import sys
from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from formulas import make_atoms
from test_band import liquid

from glass.batches import Batched, in_batches, together
from glass.double_well import CalculatorFailedError, examine, forces_of, potential_of
from glass.relaxation import relax
from glass.soft_spheres import SoftSpheres
from pipeline.settings import NebSettings
from pipeline.units import METAL
from search.calculator import find_calculator, load
from search.conversion import calculator_for_glass


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


HOW = {"images": 11, "tolerance": 2e-3, "max_steps": 500, "hbar": 0.05}


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

    many = examine(start, end, lambda _: Batched(counted, at_most=4), **HOW)
    single = examine(start, end, lambda _: LennardJones(rc=50.0), **HOW)
    assert many.kind == single.kind != "unfinished"
    np.testing.assert_allclose(many.band.positions, single.band.positions, atol=1e-6)
    assert max(calls) == 4


IN_ONE_CALL = """
from test_batches import lennard_jones
made, calls = [], []
def many(atoms, images):
    calls.append(len(images))
    return lennard_jones(atoms, images)
def calculator(atoms):
    made.append(1)
    return many
def wrong(atoms):
    return 3
"""


def test_batched_takes_a_function_on_arrays_or_a_calculator_by_its_name_loads_it_once_and_bounds_its_calls(tmp_path):
    start, end = clusters()
    (tmp_path / "in_one_call.py").write_text(IN_ONE_CALL)
    neb = NebSettings(calculator="in_one_call:calculator", batched=True, batch_size=4)
    for _ in range(2):
        make = load(neb, find_calculator(neb, tmp_path), start)
        assert examine(start, end, make, **HOW).kind != "unfinished"
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


# Several pairs in one call
def washboard(atoms, images):
    """Wells at each whole x of the second particle from the first, joined by bent valleys."""
    x, y, z = (images[:, 1] - images[:, 0]).T
    off = y - 0.3 * np.sin(np.pi * x)
    slopes = np.stack([np.pi * np.sin(2 * np.pi * x) - 3 * np.pi * off * np.cos(np.pi * x), 10 * off, 10 * z], axis=1)
    return 0.5 * (1 - np.cos(2 * np.pi * x)) + 5 * (off**2 + z**2), np.stack([slopes, -slopes], axis=1)


def wells_apart():
    """Eight pairs of wells, half of them with others between."""
    numbers = (1, 2), (2, 3), (1, 3), (3, 4), (2, 4), (1, 4), (4, 5), (3, 5)
    return [tuple(Atoms("H2", [[-x / 2, 0, 0], [x / 2, 0, 0]]) for x in pair) for pair in numbers]


def test_pairs_that_share_calls_have_the_verdicts_and_splittings_of_single_ones_in_half_the_calls():
    pairs, calls = wells_apart(), []

    def counted(atoms, images):
        calls.append(len(images))
        return washboard(atoms, images)

    calculator = Batched(counted, at_most=64)
    single = [examine(*pair, lambda _: calculator, **HOW | {"images": 21, "way": "parabola"}) for pair in pairs]
    alone, calls[:] = calls[:], []
    shared = together(
        lambda pair: examine(*pair, lambda _: calculator, **HOW | {"images": 21, "way": "parabola"}), pairs, 12
    )
    assert Counter(one.kind for one in single) == {"double well": 4, "non-DW": 4}
    for one, other in zip(single, shared, strict=True):
        assert one.kind == other.kind
        assert (one.levels or 0) == pytest.approx(other.levels or 0, rel=1e-9)
    assert sum(calls) == sum(alone)
    assert len(calls) < len(alone) / 2
    assert max(calls) <= 64


def test_only_equal_atoms_share_a_call_and_each_job_fails_for_its_own_reason():
    calls = []

    def function(atoms, images):
        calls.append((len(atoms), len(images)))
        if (images > 100).any():
            raise ValueError("out of the box")
        return lennard_jones(atoms, images)

    calculator = Batched(function, at_most=64)

    def job(atoms):
        forces, _ = forces_of(atoms, lambda _: calculator, 1)
        try:
            return forces(atoms.positions[None], [0])[0][0]
        except CalculatorFailedError as error:
            return str(error)

    def places(count, shift=0.0):
        return Atoms(f"Ar{count}", np.arange(3.0 * count).reshape(-1, 3) + shift, cell=[30] * 3)

    near, far, small = together(job, [places(4), places(4, 1000.0), places(3)], 3)
    assert near == pytest.approx(lennard_jones(places(4), places(4).positions[None])[0][0])
    assert small == pytest.approx(lennard_jones(places(3), places(3).positions[None])[0][0])
    assert far == "the calculator failed: ValueError: out of the box"
    assert calls[0] == (4, 2)
    assert Counter(calls)[3, 1] == 1


def test_energies_in_a_column_are_refused_in_one_line():
    def column(atoms, images):
        energies, forces = lennard_jones(atoms, images)
        return energies[:, None], forces

    atoms = Atoms("Ar3", np.arange(9.0).reshape(-1, 3), cell=[30] * 3)
    forces, _ = forces_of(atoms, lambda _: Batched(column), 1)
    shapes = r"energies of shape \(1, 1\) and forces \(1, 3, 3\), not \(1,\) and \(1, 3, 3\)"
    with pytest.raises(CalculatorFailedError, match=f"the calculator failed: ValueError: {shapes}$"):
        forces(atoms.positions[None], [0])
