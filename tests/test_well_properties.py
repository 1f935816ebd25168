"""What double_wells.csv says of a double well besides its splitting."""

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from neb_glass import T, minima
from soft_sphere_atoms import make_atoms
from steps import done

from glass.double_well import Verdict
from glass.path import Band
from glass.response.strain import coupling
from glass.soft_spheres import calculator
from pipeline.formats.lammps import energy_in_name, read_minimum
from pipeline.settings import NebSettings
from search.well_properties import DIPOLE, GAMMA, properties_of


def double_wells(root):
    return pd.read_csv(root / f"output_ML/T{T}/double_wells.csv")


def atoms_of(root, energy):
    named = {round(energy_in_name(path), 10): path for path in minima(root)}
    minimum = read_minimum(named[round(energy, 10)])
    return make_atoms(minimum.positions, minimum.diameters, minimum.box)


def test_charges_that_move_make_a_dipole_moment():
    """½ Σ q Δr: a charge of 2 that goes by (0.3, 0, −0.1) and one of −2 that stays."""
    atoms = Atoms("Ar2", [[0, 0, 0], [1.5, 0, 0]], cell=[8, 8, 8], pbc=True)
    atoms.set_initial_charges([2.0, -2.0])
    positions = np.stack([atoms.positions, atoms.positions + np.array([[0.3, 0, -0.1], [0, 0, 0]])])
    band = Band(positions, np.zeros(2), np.zeros_like(positions), np.zeros(2), None, True, 0.0, 0)
    moved = atoms.copy()
    moved.positions = positions[1]
    found = properties_of(atoms, moved, Verdict("double well", band=band), lambda _: LennardJones(), NebSettings())
    assert [found[name] for name in DIPOLE] == pytest.approx([0.3, 0, -0.1])
    assert set(GAMMA) < set(found)


@pytest.mark.slow
def test_every_double_well_has_the_coupling_of_its_two_minima(calculated):
    table = double_wells(calculated)
    assert table[GAMMA].notna().all(axis=None)
    row = table.iloc[-1]
    expected = coupling(atoms_of(calculated, row["i"]), atoms_of(calculated, row["j"]), calculator)
    np.testing.assert_allclose(row[GAMMA].to_numpy(float), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_published_convention_is_told_before_it_is_mixed_with_the_line(calculated):
    table = double_wells(calculated)
    settings = calculated / "config.yaml"
    settings.write_text(settings.read_text().replace("neb: {", "neb: {continuation: parabola, refine_below: .inf, "))
    pair = calculated / "one.csv"
    table[["conf", "i", "j"]].head(1).to_csv(pair, index=False)
    results = calculated / f"NEB_calculations/T{T}/Qs_calculations.txt"
    kept = [line for line in results.read_text().splitlines(True) if str(table["i"][0])[:10] not in line]
    results.write_text("".join(kept))
    said = done("run_neb", calculated, "--pairs", pair)
    assert "parabola and walls" in said
    assert "straight line" in said


@pytest.mark.slow
def test_the_smallest_splittings_get_a_second_one_with_the_zero_point_energy_and_only_once(calculated):
    settings = calculated / "config.yaml"
    settings.write_text(settings.read_text().replace("neb: {", "neb: {refine_below: .inf, keep_paths: all, "))
    done("run_neb", calculated, "--refine", 3)
    before = double_wells(calculated)
    said = done("run_neb", calculated, "--zero-point", 2)
    assert said.count("with the zero-point energy") + said.count("does not hold two states") == 2
    table = double_wells(calculated)
    pd.testing.assert_series_equal(table["quantum_splitting"], before["quantum_splitting"])
    second = table["quantum_splitting_zp"].dropna()
    assert (second > 0).all()
    assert second.index.max() < 2
    assert table["zero_point_difference"].head(2).notna().all()
    assert "have their second splitting already" in done("run_neb", calculated, "--zero-point", 2) or second.empty
