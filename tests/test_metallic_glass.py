"""The metallic glass of doc/metallic-glass.md: a tiny one, from nothing to tunnelling amplitudes."""

import shutil

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from steps import ROOT, done
from synthetic import read_pairs

from doc import flat_emt, metallic_glass
from glass.double_well import potential_of
from pipeline.workspace import Workspace

T = "600"


def test_it_is_read_in_two_minutes():
    assert len((ROOT / "doc/metallic_glass.py").read_text().splitlines()) <= 60


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


def make(root):
    """One glass of 32 atoms after step 0 and exact calculations of near pairs."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"CELLS": 2, "KELVIN": 600, "QUENCH": 200, "MINIMA": 60, "INTERVAL": 60}.items():
            patch.setattr(metallic_glass, name, value)
        metallic_glass.make_glass(2, root)
    (root / "config.yaml").write_text(
        metallic_glass.SETTINGS.replace("neb: {", "neb: {keep_paths: all, ") + "processes: 1\n"
    )
    done("step0_collect", root)
    pairs = read_pairs(root, T).query("Delta_E < 0.5 and nearest_between >= 1").nsmallest(8, "total_displacement")
    pairs.to_csv(root / "pairs.csv", index=False)
    done("run_neb", root, "--pairs", root / "pairs.csv")


@pytest.fixture(scope="module")
def metal(once):
    return once("metallic-glass", make)


def minima_file(root):
    return Workspace(root).glass(T, 2) / "minima.extxyz"


@pytest.mark.slow
def test_the_minima_are_minima_as_they_stand_in_the_file(metal):
    frames = ase.io.read(minima_file(metal), ":")
    assert len(frames) > 5
    for frame in frames:
        assert frame.get_chemical_formula() == "Al16Ni16"
        energy, forces = potential_of(frame, lambda _: EMT())(frame.positions)
        assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-11)
        assert np.linalg.norm(forces) < 1.5 * metallic_glass.FORCE  # positions are rounded to 1e-8 Å


@pytest.mark.slow
def test_the_forces_of_a_path_are_those_of_emt(metal):
    path = next(Workspace(metal).path(T, 2, "x", "y").parent.glob("*.extxyz"))
    for image in ase.io.read(path, ":")[::10]:
        energy, forces = potential_of(image, lambda _: EMT())(image.positions)
        assert image.get_potential_energy() == pytest.approx(energy, abs=1e-6)
        np.testing.assert_allclose(image.get_forces(), forces, rtol=0, atol=1e-6)  # positions are rounded to 1e-8 Å


@pytest.mark.slow
def test_lighter_atoms_have_larger_splittings_at_the_same_barrier(metal, tmp_path):
    light = shutil.copytree(metal, tmp_path / "light", ignore=shutil.ignore_patterns("NEB_calculations", "output_ML"))
    frames = ase.io.read(minima_file(light), ":")
    for frame in frames:
        frame.set_masses(0.1 * frame.get_masses())
    ase.io.write(minima_file(light), frames, columns=["symbols", "positions", "masses"])
    wells = pd.read_csv(Workspace(metal).calculated_double_wells(T))
    wells[["conf", "i", "j"]].to_csv(light / "pairs.csv", index=False)
    done("run_neb", light, "--pairs", light / "pairs.csv")
    of_light = pd.read_csv(Workspace(light).calculated_double_wells(T))
    both = wells.merge(of_light, on=["conf", "i", "j"], suffixes=("", "_light"))
    both = both[both["fidelity"] == both["fidelity_light"]]
    assert len(both)
    assert (both["quantum_splitting_light"] > both["quantum_splitting"]).all()
    np.testing.assert_allclose(both["barrier_light"], both["barrier"], rtol=1e-6)
