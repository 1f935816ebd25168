"""A metal of two species in eV, Å and u, from frames to splittings: nickel in silver, by ASE's EMT.

A nickel atom too small for its interstitial place sits beside the middle of its cage of silver, on one side or the
other; a second one further off makes the two sides differ.
"""

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase import Atom, Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from steps import done, refused
from synthetic import read_pairs

from doc import flat_emt, kob_andersen, metallic_glass
from glass.double_well import potential_of
from glass.potentials.kob_andersen import calculator as ka_calculator
from glass.relaxation import relax
from pipeline.formats.configurations import Place
from pipeline.formats.minima import read_atoms
from pipeline.formats.results import read_calculations, read_neb_results
from pipeline.workspace import Workspace

A0 = 4.06
"""Å; where EMT's silver is at rest."""

REDUCED = """\
neb:
  calculator: doc.flat_emt:calculator
  images: 11
  force_tolerance: 5.0e-3  # eV/Å
  max_steps: 50
  sigma: 1.0e-10           # m: Å
  mass: {mass}             # kg: u
  epsilon: 11604.5         # K: eV
tls_threshold: 8.6e-5      # eV: 1 K
processes: 1
"""

METAL = """\
units: metal
neb:
  calculator: doc.flat_emt:calculator
  images: 11
  force_tolerance: 5.0e-3  # eV/Å
  max_steps: 50
processes: 1
"""

U = 1.66054e-27


def relaxed(cell, side):
    """A minimum with the interstitial nickel on one side of the cage in that cell of the crystal."""
    atoms = bulk("Ag", "fcc", a=A0, cubic=True) * (2, 2, 4)
    atoms.symbols[0] = "Ni"
    atoms.append(Atom("Ni", A0 * np.array([0.5, 0.5, 0.5 + cell]) + [0, 0, 0.6 * side]))
    found = relax(potential_of(atoms, flat_emt.calculator), atoms.positions)
    atoms.positions = found.positions
    atoms.calc = SinglePointCalculator(atoms, energy=found.energy)
    return atoms


@pytest.fixture(scope="module")
def frames():
    return [relaxed(1, 1), relaxed(1, -1), relaxed(0, 1)]


def workspace(root, frames, masses=1.0, settings=METAL):
    """One glass, after step 0; ``masses``: times those of the elements."""
    folder = root / "Configurations/minima/T300/Cnf-1"
    folder.mkdir(parents=True)
    isotopes = [one.copy() for one in frames]
    for atoms, one in zip(isotopes, frames, strict=True):
        atoms.set_masses(masses * one.get_masses())
        atoms.calc = SinglePointCalculator(atoms, **one.calc.results)
    ase.io.write(folder / "minima.extxyz", isotopes, columns=["symbols", "positions", "masses"])
    (root / "config.yaml").write_text(settings)
    done("step0_collect", root)
    return root


def splitting(root):
    """Of the two sides of one cage."""
    pairs = read_pairs(root, "300")
    pairs.nsmallest(1, "total_displacement").to_csv(root / "pairs.csv", index=False)
    done("run_neb", root, "--pairs", root / "pairs.csv")
    return read_neb_results(Workspace(root).at("300"))["quantum_splitting"].item()


@pytest.mark.slow
def test_the_calculator_gets_the_metal_as_it_stands_in_the_file_and_every_pair_a_verdict(tmp_path, frames):
    root = workspace(tmp_path, frames, masses=0.5)
    atoms = read_atoms(Place(root / "Configurations/minima/T300/Cnf-1/minima.extxyz", 1))
    assert atoms.get_chemical_formula() == "Ag63Ni2"
    assert atoms.pbc.all()
    np.testing.assert_allclose(atoms.cell.lengths(), [2 * A0, 2 * A0, 4 * A0])
    np.testing.assert_allclose(atoms.get_masses(), 0.5 * frames[1].get_masses())
    atoms.calc = EMT()
    assert atoms.get_potential_energy() == pytest.approx(frames[1].get_potential_energy(), abs=1e-9)
    pairs = read_pairs(root, "300")
    assert len(pairs) == 3
    pairs.to_csv(root / "pairs.csv", index=False)
    assert "no minimum" not in done("run_neb", root, "--pairs", root / "pairs.csv")
    wells = pd.read_csv(root / "output_ML/T300/double_wells.csv")
    assert (wells["rearrangement"] > 0).all()
    near = pairs.nsmallest(1, "total_displacement").iloc[0]
    assert ((wells["i"] == near["i"]) & (wells["j"] == near["j"])).any()


@pytest.mark.slow
def test_masses_are_in_the_unit_of_the_settings(tmp_path, frames):
    one, ten = (
        splitting(workspace(tmp_path / f"{unit}", frames, masses, REDUCED.format(mass=unit)))
        for unit, masses in ((U, 0.1), (U / 10, 1.0))
    )
    assert one == pytest.approx(ten, rel=1e-9)


# The glasses of doc/metallic-glass.md
T = "600"


def mixture(rng, side=5.0):
    """150 particles near a lattice, so that none lie on each other, some outside the box."""
    places = np.stack(np.meshgrid(*[np.arange(6)] * 3), -1).reshape(-1, 3)[:150] * side / 6
    atoms = Atoms("X" * 150, places + rng.normal(0, 0.05, (150, 3)), cell=[side] * 3, pbc=True)
    atoms.set_array("types", rng.permutation([1] * 120 + [2] * 30))
    return atoms


def test_energy_and_forces_of_the_kob_andersen_mixture_are_sums_over_all_pairs():
    """By the five numbers of Kob, Andersen, Phys. Rev. Lett. 73, 1376 (1994), and LAMMPS's ``lj/smooth/linear``."""
    atoms = mixture(np.random.default_rng(2))
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


def test_images_of_the_mixture_in_one_call_have_the_energies_and_forces_of_single_calls():
    rng = np.random.default_rng(4)
    atoms = mixture(rng)
    images = atoms.positions + np.linspace(0, 0.3, 5)[:, None, None] * rng.normal(size=(150, 3))
    energies, forces = ka_calculator(atoms).calculate_many(atoms, images)
    for positions, energy, force in zip(images, energies, forces, strict=True):
        alone = potential_of(atoms, ka_calculator)(positions)
        assert energy == pytest.approx(alone[0], rel=1e-12)
        np.testing.assert_allclose(force, alone[1], rtol=1e-9, atol=1e-12 * np.abs(force).max())


def test_the_forces_of_the_mixture_are_slopes_of_its_energy():
    rng = np.random.default_rng(3)
    atoms = mixture(rng)
    potential = potential_of(atoms, ka_calculator)
    way = rng.normal(size=(150, 3))
    ahead, back = (potential(atoms.positions + step * way)[0] for step in (1e-6, -1e-6))
    assert -(potential(atoms.positions)[1] * way).sum() == pytest.approx((ahead - back) / 2e-6, rel=1e-6)


@pytest.mark.slow
def test_a_kob_andersen_glass_goes_from_nothing_to_verdicts(tmp_path):
    kob_andersen.write(tmp_path, glasses=1)
    start = ("--start", tmp_path / "mixture-1.extxyz", "--melt", 1.0, "--cool", 900)
    done("simulate_glass", tmp_path, *start, "--dynamics", 0.6, "--interval", 50, "--quenches", 15)
    frames = ase.io.read(Workspace(tmp_path).at("0.6").glass(1) / "minima.extxyz", ":")
    for frame in frames:
        energy, forces = potential_of(frame, ka_calculator)(frame.positions)
        assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-9)
        assert np.linalg.norm(forces) < 2e-4  # ε/σ, neb.force_tolerance
    done("step0_collect", tmp_path)
    pairs = read_pairs(tmp_path, "0.6").nsmallest(2, "total_displacement")
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    done("run_neb", tmp_path, "--pairs", tmp_path / "pairs.csv")
    assert len(read_calculations(Workspace(tmp_path).at("0.6"))) == 2


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


def simulated(root, quenches, cool=900):
    """What simulate_glass.py says."""
    start = ("--start", root / "alloy-1.extxyz", "--melt", 3000, "--cool", cool)
    more = ("--dynamics", T, "--interval", 60, "--quenches", quenches)
    return done("simulate_glass", root, *start, *more)


def minima_file(root):
    return Workspace(root).at(T).glass(1) / "minima.extxyz"


@pytest.mark.slow
def test_a_trajectory_of_minima_goes_on_where_it_was_as_if_it_had_not_been_stopped(tmp_path):
    found = []
    for root, stops in ((tmp_path / "stopped", (4, 12)), (tmp_path / "whole", (12,))):
        metallic_glass.write(root, glasses=1, cells=2)
        for quenches in stops:
            assert f"{quenches} of {quenches} quenches" in simulated(root, quenches, cool=300)
        frames = ase.io.read(minima_file(root), ":")
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


@pytest.mark.slow
def test_a_structure_that_is_none_is_refused_in_one_line(tmp_path):
    metallic_glass.write(tmp_path, glasses=1, cells=2)
    assert "--dynamics T" in refused("simulate_glass", tmp_path, "--start", tmp_path / "alloy-1.extxyz")
    wrong = ("--start", tmp_path / "config.yaml", "--dynamics", 300)
    assert "no structure that ASE reads" in refused("simulate_glass", tmp_path, *wrong)
