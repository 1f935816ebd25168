"""The minima of a glass as a file that other programs open."""

import shutil

import ase.io
import numpy as np
import pandas as pd
import pytest
import synthetic
from ase.calculators.singlepoint import SinglePointCalculator
from steps import ROOT, done, refused

from pipeline.formats.minima import places_by_key, read_place
from pipeline.workspace import Workspace

T, CONF = "0.12", 21
"""A glass of the example, in Fortran's binary format."""


@pytest.fixture
def root(tmp_path):
    """The forty lowest minima of that glass."""
    own, its = (Workspace(where).at(T).glass(CONF) for where in (tmp_path / "own", ROOT / "example"))
    own.mkdir(parents=True)
    for path in sorted(its.iterdir())[:40]:
        shutil.copy(path, own)
    return tmp_path / "own"


def exported(root):
    return Workspace(root).at(T).exported_minima(CONF)


def test_ase_reads_what_the_binary_files_hold_lowest_energy_first(root):
    assert f"40 minima: {exported(root)}" in done("export_minima", root)
    frames = ase.io.read(exported(root), ":")
    names = [frame.info["name"] for frame in frames]
    assert names == sorted(names)
    places = places_by_key(Workspace(root).at(T).glass(CONF), 10)
    assert [round(1e10 * name) for name in names] == sorted(places)
    for frame, key in zip(frames, sorted(places), strict=True):
        minimum = read_place(places[key])
        np.testing.assert_allclose(frame.positions, minimum.positions, rtol=0, atol=1e-8)
        np.testing.assert_allclose(frame.arrays["diameters"], minimum.diameters, rtol=0, atol=1e-8)
        np.testing.assert_allclose(2 * frame.arrays["radius"], minimum.diameters, rtol=0, atol=2e-8)
        np.testing.assert_array_equal(frame.cell.lengths(), minimum.box)
        assert frame.get_potential_energy() == float(places[key].path.stem) * len(frame)
        assert frame.pbc.all()


def test_step_0_makes_the_same_pairs_of_the_exported_file(root, tmp_path):
    done("step0_collect", root)
    done("export_minima", root)
    again = Workspace(tmp_path / "again").at(T).glass(CONF)
    again.mkdir(parents=True)
    shutil.copy(exported(root), again)
    done("step0_collect", tmp_path / "again")
    one, other = (synthetic.read_pairs(where, T) for where in (root, tmp_path / "again"))
    assert len(one) > 100
    pd.testing.assert_frame_equal(one[["conf", "i", "j"]], other[["conf", "i", "j"]])
    pd.testing.assert_frame_equal(one, other, rtol=1e-6, atol=1e-6)


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


def test_a_bad_minimum_is_named_and_passed_over(root):
    folder = Workspace(root).at(T).glass(CONF)
    (folder / "0.2.conf").write_bytes(b"\0" * 10)
    said = done("export_minima", root)
    assert "Cnf-21: left out: 0.2.conf: the first record is not one int32" in said
    assert len(ase.io.read(exported(root), ":")) == 40


def test_a_glass_is_written_again_only_when_its_minima_or_the_file_changed(root):
    done("export_minima", root)
    assert "nothing new" in done("export_minima", root)
    next(Workspace(root).at(T).glass(CONF).iterdir()).unlink()
    assert f"39 minima: {exported(root)}" in done("export_minima", root)
    exported(root).write_text("")
    assert f"39 minima: {exported(root)}" in done("export_minima", root)
    for path in Workspace(root).at(T).glass(CONF).iterdir():
        path.write_bytes(b"")
    assert "Cnf-21: no usable minimum" in done("export_minima", root)
    assert not exported(root).exists()


def test_an_empty_folder_is_named_and_the_other_glasses_are_written(root):
    done("export_minima", root)
    work = Workspace(root)
    work.at(T).glass(3).mkdir()
    work.at(T).exported_minima(3).write_text("of minima that are gone")
    work.at(T).glass(30).mkdir()
    (work.at(T).glass(21) / "0.2.conf").touch()
    said = done("export_minima", root)
    assert f"Cnf-3: nothing in it: {work.at(T).glass(3)}" in said
    assert f"Cnf-30: nothing in it: {work.at(T).glass(30)}" in said
    assert f"Cnf-21: 40 minima: {exported(root)}" in said
    assert not work.at(T).exported_minima(3).exists()


def test_where_there_is_no_glass_one_line_says_where_to_put_it(tmp_path):
    assert "no minima under Configurations/minima" in refused("export_minima", tmp_path)
    (tmp_path / "Configurations/minima/T0.1/glass-1").mkdir(parents=True)
    assert "put folders Cnf-{number} there" in refused("export_minima", tmp_path)
