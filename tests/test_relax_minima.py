"""Minima that are none: relaxed, told from those that are there, and left out by every step from then on."""

from unittest import mock

import ase.io
import numpy as np
import pandas as pd
import pytest
from neb_glass import T, minima
from steps import done, refused, run

from glass.double_well import potential_of
from glass.soft_spheres import calculator
from pipeline.formats.configurations import Place
from pipeline.formats.lammps import energy_in_name, read_minimum, write_minimum
from pipeline.formats.minima import read_atoms
from pipeline.settings import Settings

pytestmark = pytest.mark.slow


def folder_of(root):
    return root / f"Configurations/minima/T{T}/Cnf-1"


def shaken(path):
    """A minimum beside itself, all particles displaced a little, under the energy it has there."""
    minimum, atoms = read_minimum(path), read_atoms(Place(path))
    positions = minimum.positions + np.random.default_rng(1).normal(0, 2e-3, minimum.positions.shape)
    energy = potential_of(atoms, calculator)(positions)[0] / len(positions)
    written = path.with_name(f"{energy:.10f}.conf")
    write_minimum(written, minimum.diameters, positions, minimum.box)
    return written


def relaxed_rows(root):
    table = pd.read_csv(folder_of(root) / "relaxed.csv", keep_default_na=False)
    return table[table["became"] != ""].set_index("name")


def test_what_falls_into_another_minimum_is_left_out_by_every_step(glass):
    path = minima(glass)[3]
    spoilt = shaken(path)
    assert "relaxed to new ones: 0, fell into another: 1, " in done("relax_minima", glass)
    row = relaxed_rows(glass).loc[spoilt.name]
    assert row["became"] == path.name
    assert row["max_force"] > Settings().neb.force_tolerance
    assert not (folder_of(glass) / "relaxed.extxyz").exists()
    assert spoilt.exists()
    assert f"relaxed to {path.name}" in done("step0_collect", glass)
    pairs = glass / "two.csv"
    pairs.write_text(f"conf,i,j\n1,{path.stem},{spoilt.stem}\n")
    said = refused("run_neb", glass, "--pairs", pairs)
    assert "no minimum" in said or "the minima of none" in said
    assert "nothing new to look at" in done("relax_minima", glass)


def test_a_new_minimum_is_written_beside_and_taken_by_step_0_and_run_neb(glass):
    first, second = (minima(glass)[k] for k in (3, 4))
    spoilt = shaken(first)
    before = read_atoms(Place(first))
    first.rename(glass / "original")
    done("step0_collect", glass)
    assert "relaxed to new ones: 1" in done("relax_minima", glass)
    (found,) = ase.io.read(folder_of(glass) / "relaxed.extxyz", ":")
    assert found.info["relaxed_from"] == spoilt.name
    energy = float(found.get_potential_energy()) / len(found)
    assert energy == pytest.approx(energy_in_name(first), abs=1e-10)
    step = found.positions - before.positions
    step -= np.diag(before.cell) * np.rint(step / np.diag(before.cell))
    assert np.abs(step - step.mean(0)).max() < 1e-5
    assert relaxed_rows(glass).loc[spoilt.name, "became"] == "relaxed.extxyz#0"
    said = done("step0_collect", glass)
    assert "another" not in said  # it is of the same system as the binary files
    assert f"{len(minima(glass))} minima" in said  # one is left out, one is new
    (glass / "two.csv").write_text(f"conf,i,j\n1,{energy!r},{second.stem}\n")
    assert "unfinished" not in done("run_neb", glass, "--pairs", glass / "two.csv")


def test_stopped_between_its_two_files_it_finds_the_minimum_it_has_written(glass):
    first = minima(glass)[3]
    shaken(first)
    first.unlink()
    with mock.patch("search.relaxing.add_rows", side_effect=KeyboardInterrupt):
        assert run("relax_minima", glass).returncode == 130
    done("relax_minima", glass)
    assert len(ase.io.read(folder_of(glass) / "relaxed.extxyz", ":")) == 1
    assert relaxed_rows(glass)["became"].tolist() == ["relaxed.extxyz#0"]


def test_another_calculator_than_that_of_the_minima_changes_nothing(glass):
    (glass / "other.py").write_text(
        "from ase.calculators.lj import LennardJones\n\ndef calculator(atoms):\n    return LennardJones(rc=2.0)\n"
    )
    (glass / "config.yaml").write_text("neb: {calculator: 'other:calculator'}\n")
    said = refused("relax_minima", glass)
    assert "the calculator's energy is" in said
    assert "neb.calculator" in said
    assert not (folder_of(glass) / "relaxed.csv").exists()


def test_the_published_minima_that_are_none_fall_into_others(real_minima, tmp_path):
    """Three of the 15 of Cnf-148750000; a quench of the authors stopped early."""
    names = ["2.044836437E-01", "2.044841370E-01", "2.045107544E-01", "2.044567519E-01", "2.044564056E-01"]
    folder = tmp_path / "Configurations/minima/T0.062/Cnf-148750000"
    folder.mkdir(parents=True)
    for path in real_minima:
        if path.name.removesuffix(".conf.txt") in names:
            (folder / path.name).symlink_to(path)
    done("relax_minima", tmp_path)
    table = pd.read_csv(folder / "relaxed.csv", keep_default_na=False).set_index("name")["became"]
    assert table["2.044836437E-01.conf.txt"] == "2.044567519E-01.conf.txt"
    assert table["2.044841370E-01.conf.txt"] == "2.044564056E-01.conf.txt"
    assert table["2.045107544E-01.conf.txt"] == "relaxed.extxyz#0"  # that into which it falls is not among these
    assert (table == "").sum() == 2
    said = done("step0_collect", tmp_path)
    assert "3 minima, 3 pairs" in said
