"""The minima of a glass as a file that other programs open."""

import re
import shutil

import ase.io
import numpy as np
import pandas as pd
import pytest
import synthetic
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import find_mic
from neb_glass import T, minima
from steps import ROOT, done, refused, run

from glass.double_well import potential_of
from glass.soft_spheres import calculator
from pipeline.formats.configurations import Place
from pipeline.formats.lammps import energy_in_name, write_minimum
from pipeline.formats.minima import places_by_key, read_atoms, read_place
from pipeline.workspace import Workspace

EXAMPLE_T, CONF = "0.12", 21
"""A glass of the example, in Fortran's binary format."""


@pytest.fixture
def root(tmp_path):
    """The forty lowest minima of that glass."""
    own, its = (Workspace(where).at(EXAMPLE_T).glass(CONF) for where in (tmp_path / "own", ROOT / "example"))
    own.mkdir(parents=True)
    for path in sorted(its.iterdir())[:40]:
        shutil.copy(path, own)
    return tmp_path / "own"


def exported(root):
    return Workspace(root).at(EXAMPLE_T).exported_minima(CONF)


def test_ase_and_step_0_read_what_the_binary_files_hold_lowest_energy_first(root, tmp_path):
    assert f"40 minima: {exported(root)}" in done("export_minima", root)
    frames, places = ase.io.read(exported(root), ":"), places_by_key(Workspace(root).at(EXAMPLE_T).glass(CONF), 10)
    assert [round(1e10 * frame.info["name"]) for frame in frames] == sorted(places)
    for frame, key in zip(frames, sorted(places), strict=True):
        minimum = read_place(places[key])
        np.testing.assert_allclose(frame.positions, minimum.positions, rtol=0, atol=1e-8)
        for diameters in (frame.arrays["diameters"], 2 * frame.arrays["radius"]):
            np.testing.assert_allclose(diameters, minimum.diameters, rtol=0, atol=2e-8)
        np.testing.assert_array_equal(frame.cell.lengths(), minimum.box)
        assert frame.get_potential_energy() == float(places[key].path.stem) * len(frame)
        assert frame.pbc.all()
    again = Workspace(tmp_path / "again").at(EXAMPLE_T).glass(CONF)
    again.mkdir(parents=True)
    shutil.copy(exported(root), again)
    for where in (root, tmp_path / "again"):
        done("step0_collect", where)
    one, other = (synthetic.read_pairs(where, EXAMPLE_T) for where in (root, tmp_path / "again"))
    assert len(one) > 100
    pd.testing.assert_frame_equal(one[["conf", "i", "j"]], other[["conf", "i", "j"]])
    pd.testing.assert_frame_equal(one, other, rtol=1e-6, atol=1e-6)


def test_a_minimum_that_is_seen_again_keeps_the_name_that_it_has_in_the_pair_table(root):
    folder = Workspace(root).at(EXAMPLE_T).glass(CONF)
    done("step0_collect", root)
    first = min(folder.iterdir(), key=energy_in_name)
    shutil.copy(first, folder / f"{energy_in_name(first) - 1e-7:.10f}.conf")
    assert "1 time seen again" in done("step0_collect", root)
    done("export_minima", root)
    assert ase.io.read(exported(root), 0).info["name"] == energy_in_name(first)


def test_elements_masses_and_types_of_the_input_are_kept(tmp_path):
    folder = Workspace(tmp_path).at("300").glass(1)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for name, energy in (("b", -3.0), ("a", -5.123456789012)):
        frame = ase.Atoms("AlNi3", rng.random((4, 3)), cell=[4, 5, 6], pbc=True, masses=[27, 58, 60, 62])
        frame.set_array("types", np.array([2, 1, 1, 1]))
        frame.calc = SinglePointCalculator(frame, energy=energy)
        ase.io.write(folder / f"{name}.extxyz", frame)
    done("export_minima", tmp_path)
    lowest, _ = ase.io.read(Workspace(tmp_path).at("300").exported_minima(1), ":")
    assert lowest.get_potential_energy() == pytest.approx(-5.123456789012, rel=1e-15)
    assert lowest.get_chemical_symbols() == ["Al", "Ni", "Ni", "Ni"]
    np.testing.assert_array_equal(lowest.get_masses(), [27, 58, 60, 62])
    np.testing.assert_array_equal(lowest.arrays["types"], [2, 1, 1, 1])


def test_a_glass_is_written_again_only_when_its_minima_or_the_file_changed(root):
    done("export_minima", root)
    assert "nothing new" in done("export_minima", root)
    next(Workspace(root).at(EXAMPLE_T).glass(CONF).iterdir()).unlink()
    assert f"39 minima: {exported(root)}" in done("export_minima", root)
    exported(root).write_text("")
    assert f"39 minima: {exported(root)}" in done("export_minima", root)
    for path in Workspace(root).at(EXAMPLE_T).glass(CONF).iterdir():
        path.write_bytes(b"")
    assert "Cnf-21: no usable minimum" in done("export_minima", root)
    assert not exported(root).exists()
    shutil.rmtree(root / "Configurations")
    assert "no minima under Configurations/minima" in refused("export_minima", root)
    (root / "Configurations/minima/T0.1/glass-1").mkdir(parents=True)
    assert "put folders Cnf-{number} there" in refused("export_minima", root)


# Minima that are none
def folder_of(root):
    return root / f"Configurations/minima/T{T}/Cnf-1"


def became(folder):
    """What became of each minimum that was none."""
    table = pd.read_csv(folder / "relaxed.csv", keep_default_na=False).set_index("name")["became"]
    return table[table != ""].to_dict()


@pytest.mark.slow
def test_a_new_minimum_is_written_beside_and_taken_by_step_0_and_run_neb(glass):
    first, second = (minima(glass)[k] for k in (3, 4))
    before = read_atoms(Place(first))
    places = before.positions + np.random.default_rng(1).normal(0, 2e-3, before.positions.shape)
    energy = potential_of(before, calculator)(places)[0] / len(places)
    spoilt = first.with_name(f"{energy:.10f}.conf")  # the minimum beside itself, under the energy it has there
    write_minimum(spoilt, before.arrays["diameters"], places, before.cell.lengths())
    first.rename(glass / "original")
    done("step0_collect", glass)
    assert "relaxed to new ones: 1" in done("relax_minima", glass)
    (found,) = ase.io.read(folder_of(glass) / "relaxed.extxyz", ":")
    assert found.info["relaxed_from"] == spoilt.name
    energy = float(found.get_potential_energy()) / len(found)
    assert energy == pytest.approx(energy_in_name(first), abs=1e-10)
    step, _ = find_mic(found.positions - before.positions, before.cell)
    assert np.abs(step - step.mean(0)).max() < 1e-5
    assert became(folder_of(glass)) == {spoilt.name: "relaxed.extxyz#0"}
    said = done("step0_collect", glass)
    assert "another" not in said  # it is of the same system as the binary files
    assert f"{len(minima(glass))} minima" in said  # one is left out, one is new
    assert "are minima: 1, relaxed to new ones: 0" in done("relax_minima", glass)
    assert "nothing new to look at" in done("relax_minima", glass)
    for name, says in ((spoilt.stem, "holds the minima of none"), (repr(energy), "1 pair to calculate")):
        (glass / "two.csv").write_text(f"conf,i,j\n1,{name},{second.stem}\n")
        ended = run("run_neb", glass, "--pairs", glass / "two.csv")
        assert says in ended.stdout + ended.stderr
        assert "unfinished" not in ended.stdout


@pytest.mark.slow
def test_another_calculator_than_that_of_the_minima_changes_nothing(glass):
    (glass / "other.py").write_text(
        "from ase.calculators.lj import LennardJones\ncalculator = lambda _: LennardJones()\n"
    )
    (glass / "config.yaml").write_text("neb: {calculator: 'other:calculator'}\n")
    assert re.search("the calculator's energy is .*neb.calculator", refused("relax_minima", glass))
    assert not (folder_of(glass) / "relaxed.csv").exists()


@pytest.mark.slow
def test_the_published_minima_that_are_none_fall_into_others(real_minima, tmp_path):
    """Three of the 15 of Cnf-148750000; a quench of the authors stopped early."""
    names = [
        f"{one}E-01.conf.txt" for one in ("2.044836437", "2.044841370", "2.045107544", "2.044567519", "2.044564056")
    ]
    folder = tmp_path / "Configurations/minima/T0.062/Cnf-148750000"
    folder.mkdir(parents=True)
    for path in real_minima:
        if path.name in names:
            (folder / path.name).symlink_to(path)
    done("relax_minima", tmp_path)
    into = [*names[3:], "relaxed.extxyz#0"]  # that into which the last falls is not among these
    assert became(folder) == dict(zip(names[:3], into, strict=True))
    assert "3 minima, 3 pairs" in done("step0_collect", tmp_path)
