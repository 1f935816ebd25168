"""A metal of two species in eV, Å and u, from frames to splittings: nickel in silver, by ASE's EMT.

A nickel atom too small for its interstitial place sits beside the middle of its cage of silver, on one side or the
other; a second one further off makes the two sides differ.
"""

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase import Atom
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from steps import done
from synthetic import read_pairs

from glass.double_well import potential_of
from glass.relaxation import relax
from pipeline.formats.configurations import Place
from pipeline.formats.minima import read_atoms
from pipeline.formats.results import read_neb_results
from pipeline.workspace import Workspace

pytestmark = pytest.mark.slow

A0 = 4.06
"""Å; where EMT's silver is at rest."""

CALCULATOR = """\
from ase.calculators.emt import EMT


def calculator(atoms):
    return EMT()
"""

REDUCED = """\
neb:
  calculator: metal_by_emt:calculator
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
  calculator: metal_by_emt:calculator
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
    found = relax(potential_of(atoms, lambda _: EMT()), atoms.positions)
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
    (root / "metal_by_emt.py").write_text(CALCULATOR)
    (root / "config.yaml").write_text(settings)
    done("step0_collect", root)
    return root


def splitting(root):
    """Of the two sides of one cage."""
    pairs = read_pairs(root, "300")
    pairs.nsmallest(1, "total_displacement").to_csv(root / "pairs.csv", index=False)
    done("run_neb", root, "--pairs", root / "pairs.csv")
    return read_neb_results(Workspace(root).at("300"))["quantum_splitting"].item()


def test_the_calculator_gets_the_metal_as_it_stands_in_the_file(tmp_path, frames):
    root = workspace(tmp_path, frames, masses=0.5)
    atoms = read_atoms(Place(root / "Configurations/minima/T300/Cnf-1/minima.extxyz", 1))
    assert atoms.get_chemical_formula() == "Ag63Ni2"
    assert atoms.pbc.all()
    np.testing.assert_allclose(atoms.cell.lengths(), [2 * A0, 2 * A0, 4 * A0])
    np.testing.assert_allclose(atoms.get_masses(), 0.5 * frames[1].get_masses())
    atoms.calc = EMT()
    assert atoms.get_potential_energy() == pytest.approx(frames[1].get_potential_energy(), abs=1e-9)


def test_every_pair_of_a_metal_gets_a_verdict(tmp_path, frames):
    root = workspace(tmp_path, frames)
    pairs = read_pairs(root, "300")
    assert len(pairs) == 3
    pairs.to_csv(root / "pairs.csv", index=False)
    said = done("run_neb", root, "--pairs", root / "pairs.csv")
    assert "no minimum" not in said
    wells = pd.read_csv(root / "output_ML/T300/double_wells.csv")
    assert (wells["rearrangement"] > 0).all()
    near = pairs.nsmallest(1, "total_displacement").iloc[0]
    assert ((wells["i"] == near["i"]) & (wells["j"] == near["j"])).any()


def test_lighter_isotopes_have_a_larger_splitting_and_masses_are_in_the_unit_of_the_settings(tmp_path, frames):
    """The two sides differ by more than a vibration: the splitting grows, but by less than √10, that of a vibration."""
    of_elements = splitting(workspace(tmp_path / "elements", frames))
    light = splitting(workspace(tmp_path / "light", frames, masses=0.1))
    assert 1.5 * of_elements < light < np.sqrt(10) * of_elements
    one, ten = (
        splitting(workspace(tmp_path / f"{unit}", frames, masses, REDUCED.format(mass=unit)))
        for unit, masses in ((U, 0.1), (U / 10, 1.0))
    )
    assert one == pytest.approx(ten, rel=1e-9)
    assert one == pytest.approx(light, rel=0.05)  # as far as this force_tolerance goes
