"""Minima in formats that ASE reads: what is taken from a frame, why one is left out, what is computed anew."""

import gzip
import os
import re

import ase.io
import numpy as np
import pandas as pd
import pytest
import synthetic
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from steps import done, run
from synthetic import left_out, read_pairs

from pipeline.formats.configurations import MinimumError, Place
from pipeline.formats.minima import places_by_key, read_minima, read_place
from pipeline.glasses import load_glass

BOX = np.array([4.0, 5.0, 6.0])
SYMBOLS = "Cu4Zr6XPd"
N = 12
GLASS = "Configurations/minima/T0.1/Cnf-1"


def frame(seed, energy=None, symbols=SYMBOLS, cell=BOX, pbc=True, **arrays):
    """A made-up minimum; its energy per particle is 0.2 and a little more for each seed, unless given as a total."""
    places = np.random.default_rng(0).random((N, 3)) + 0.02 * np.random.default_rng(seed).normal(size=(N, 3))
    atoms = Atoms(symbols, scaled_positions=places, cell=cell, pbc=pbc)
    for name, values in arrays.items():
        atoms.set_array(name, np.asarray(values))
    atoms.calc = SinglePointCalculator(atoms, energy=N * (0.2 + seed * 1e-4) if energy is None else energy)
    return atoms


def without_energy(atoms):
    atoms.calc = None
    return atoms


def loaded(*paths):
    glass, fates = load_glass(read_minima(paths), 10, max_delta_e=1.0)
    return glass, synthetic.reasons(fates)


@pytest.mark.parametrize("name", ["many.extxyz", "many.xyz", "many.traj", "many.json", "many.extxyz.gz", "at@2.xyz"])
def test_every_frame_is_a_minimum_with_its_energy_per_particle(tmp_path, name):
    frames = [frame(seed) for seed in (3, 1, 2)]
    ase.io.write(tmp_path / name.replace("@", "-"), frames)
    (tmp_path / name.replace("@", "-")).rename(tmp_path / name)
    glass, rejected = loaded(tmp_path / name)
    assert not rejected
    assert glass.files == [f"{name}#1", f"{name}#2", f"{name}#0"]
    np.testing.assert_allclose(glass.energies, [0.2001, 0.2002, 0.2003], rtol=1e-12)
    np.testing.assert_allclose(glass.positions[0].T, np.mod(frames[1].positions, BOX), atol=1e-7)
    np.testing.assert_array_equal(glass.box, BOX)


def test_elements_masses_types_and_diameters_stand_in_a_frame(tmp_path):
    masses, types, diameters = np.linspace(1, 2, N), np.arange(N) % 3, np.linspace(0.7, 1.6, N)
    frames = [frame(1), frame(2, masses=masses, types=types, diameters=diameters)]
    for path, one in zip((tmp_path / "plain.extxyz", tmp_path / "own.extxyz"), frames, strict=True):
        ase.io.write(path, one)
    plain, own = (read_place(Place(tmp_path / name, 0)) for name in ("plain.extxyz", "own.extxyz"))
    for minimum in (plain, own):
        np.testing.assert_array_equal(minimum.system.numbers, frames[0].numbers)
    np.testing.assert_array_equal(plain.system.types, frames[0].numbers)
    np.testing.assert_array_equal(plain.system.masses, frames[0].get_masses())
    np.testing.assert_array_equal(plain.diameters, np.ones(N))
    np.testing.assert_array_equal(own.system.types, types)
    np.testing.assert_allclose(own.system.masses, masses, atol=1e-8)
    np.testing.assert_allclose(own.diameters, diameters, atol=1e-8)


TILTED = [[4.0, 0, 0], [0.5, 5, 0], [0, 0, 6]]
ODD = {
    "without energy": (without_energy(frame(9)), "no energy"),
    "an energy that is no number": (frame(9, energy=np.nan), "no energy"),
    "a tilted box": (frame(9, cell=TILTED), "another box"),
    "not periodic": (frame(9, pbc=[True, True, False]), "another periodic directions"),
    "other species": (frame(9, symbols="Cu5Zr5XPd"), "another species"),
    "species in another order": (frame(9, symbols="Zr6Cu4XPd"), "another species"),
    "other masses": (frame(9, masses=np.full(N, 2.0)), "another masses"),
    "a mass of zero": (frame(9, masses=np.arange(N)), "mass is not above zero"),
    "another box": (frame(9, cell=BOX + 0.1), "another box"),
    "types that are no whole numbers": (frame(9, types=np.full(N, 0.5)), "types are no whole numbers"),
    "the energy of another": (frame(9, energy=N * 0.2002), "the same energy to 10 decimals as many.extxyz#1"),
    "the place of another": (frame(1, energy=N * 0.25), "the same place as many.extxyz#0, but its energy"),
}


@pytest.mark.parametrize("name", ODD)
def test_a_frame_that_is_no_good_is_left_out_with_its_reason_and_the_others_go_on(tmp_path, name):
    odd, reason = ODD[name]
    for one in (frame(1), frame(2), odd, frame(3)):
        columns = ["symbols", "positions", *sorted(set(one.arrays) - {"numbers", "positions"})]
        ase.io.write(tmp_path / "many.extxyz", one, append=True, columns=columns)
    glass, rejected = loaded(tmp_path / "many.extxyz")
    assert list(rejected) == ["many.extxyz#2"]
    assert reason in rejected["many.extxyz#2"]
    assert glass.files == ["many.extxyz#0", "many.extxyz#1", "many.extxyz#3"]


def test_what_stands_before_the_place_where_a_file_breaks_is_kept(tmp_path):
    path = tmp_path / "many.extxyz"
    ase.io.write(path, [frame(seed) for seed in (1, 2, 3)])
    path.write_text(path.read_text()[:-60])
    glass, rejected = loaded(path)
    assert glass.files == ["many.extxyz#0", "many.extxyz#1"]
    assert list(rejected) == ["many.extxyz#2"]
    assert "truncated" in rejected["many.extxyz#2"]


def test_a_frame_whose_last_number_is_cut_is_left_out(tmp_path):
    path = tmp_path / "many.extxyz"
    ase.io.write(path, [frame(seed) for seed in (1, 2, 3)])
    path.write_text(path.read_text().rstrip()[:-1])
    assert list(loaded(path)[1]) == ["many.extxyz#2"]
    ase.io.write(path, [frame(seed) for seed in (1, 2, 3)])
    path.write_text(path.read_text().rstrip())
    assert loaded(path)[1] == {}


def test_a_packed_file_that_unpacks_to_more_than_minima_can_be_is_left_out(tmp_path):
    path = tmp_path / "many.extxyz.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(120):
            file.write(b" " * 10**6)
    reason = loaded(path)[1][path.name]
    assert re.search(r"its [\d.]+ MB unpack to more than 1\d\d MB", reason)


@pytest.mark.parametrize(
    ("name", "content"), [("a.xyz", ""), ("a.cif", "x"), ("a.traj", "x"), ("a.dat", "x"), ("a", "x")]
)
def test_a_file_that_ase_can_not_read_is_left_out(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    glass, rejected = loaded(tmp_path / name)
    assert glass is None
    assert list(rejected) == [name]


def reasons(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    return loaded(tmp_path / name)[1]


FRAME = '2\nLattice="4 0 0 0 5 0 0 0 6" Properties=species:S:1:pos:R:3{} {} pbc="T T T"\nCu 1 1 1{}\nCu 2 2 2{}\n'


@pytest.mark.parametrize(
    ("columns", "energy", "values", "says"),
    [
        ("", "energy=low", "", "no energy"),
        ("", 'energy="0.2 0.3"', "", "no energy"),
        (":diameters:S:1", "energy=0.4", " big", "diameters are no numbers"),
        (":diameters:R:2", "energy=0.4", " 1 1", "diameters are no numbers"),
        (":types:I:2", "energy=0.4", " 1 1", "types are no numbers"),
        (":types:I:1", "energy=0.4", " 9999999999", "types are no whole numbers|not readable"),
        (":Z:I:1", "energy=0.4", " 999", "atomic number|not readable"),
        (":Z:I:1", "energy=0.4", " -5", "atomic number|not readable"),
    ],
)
def test_a_frame_with_impossible_entries_is_told(tmp_path, columns, energy, values, says):
    told = reasons(tmp_path, "a.extxyz", FRAME.format(columns, energy, values, values))
    assert re.search(says, told["a.extxyz#0"] if "a.extxyz#0" in told else told["a.extxyz"])


@pytest.mark.parametrize("name", ["a.extxyz", "a.xyz"])
def test_a_frame_that_claims_more_atoms_than_could_be_counted_does_not_hang(tmp_path, name):
    frame = FRAME.format("", "energy=0.4", "", "")
    assert (
        "where the count of atoms of a frame should be"
        in reasons(tmp_path, name, frame.replace("2\n", "2000000000000\n", 1))[name]
    )


def dump(path, columns, rows, frames=1):
    """A text dump as LAMMPS writes it."""
    head = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{}\nITEM: BOX BOUNDS pp pp pp\n0 4\n0 5\n0 6\nITEM: ATOMS {}\n"
    lines = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    path.write_text((head.format(len(rows), columns) + lines) * frames)


def test_a_lammps_dump_is_a_minimum_of_the_energy_in_its_name_and_of_types_without_elements(tmp_path):
    places = frame(1).positions.tolist()
    rows = [(k + 1, 1 + k % 2, 0.8 + 0.01 * k, *place, 0, 0, 0) for k, place in enumerate(places)]
    for name in ("0.2001.lammpstrj", "dump.0.2001"):
        dump(tmp_path / name, "id type q x y z fx fy fz", rows[::-1])  # with forces, ASE says an energy of 0
        (minimum,) = read_minima([tmp_path / name])
        assert minimum.energy == pytest.approx(0.2001, rel=1e-14)
        np.testing.assert_allclose(minimum.positions, places)
        np.testing.assert_allclose(minimum.diameters, [row[2] for row in rows])
        assert minimum.system.types.tolist() == [1, 2] * 6
        assert not minimum.system.numbers.any()  # not hydrogen and helium
        assert (minimum.system.masses == 1).all()
    dump(
        tmp_path / "0.2002.dump",
        "id type element mass x y z",
        [(k, 1, "Ni", 58.7, *row[3:6]) for k, row in enumerate(rows)],
    )
    assert read_minima([tmp_path / "0.2002.dump"])[0].system.numbers.tolist() == [28] * N


def test_energies_of_a_dump_of_many_frames_and_of_a_numbered_file_are_not_known(tmp_path):
    rows = [(k + 1, 1, *place) for k, place in enumerate(frame(1).positions.tolist())]
    dump(tmp_path / "0.2001.dump", "id type x y z", rows, frames=2)
    dump(tmp_path / "3.dump", "id type x y z", rows)
    assert [one.reason for one in read_minima([tmp_path / "0.2001.dump", tmp_path / "3.dump"])] == [
        "the frame has no energy; give it in energies.csv"
    ] * 3


def test_minima_are_found_by_their_energies_in_files_and_frames(tmp_path):
    ase.io.write(tmp_path / "many.extxyz", [frame(3), without_energy(frame(4)), frame(1)])
    (tmp_path / "0.2002.conf").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder").mkdir()
    places = places_by_key(tmp_path, 10)
    assert {key: place.name for key, place in places.items()} == {
        2001000000: "many.extxyz#2",
        2002000000: "0.2002.conf",
        2003000000: "many.extxyz#0",
    }
    np.testing.assert_allclose(read_place(places[2001000000]).positions, frame(1).positions, atol=1e-7)
    ase.io.write(tmp_path / "many.extxyz", [frame(5), frame(1)])
    assert places_by_key(tmp_path, 10)[2001000000].name == "many.extxyz#1"
    with pytest.raises(MinimumError, match="no such frame"):
        read_place(places[2001000000])
    ase.io.write(tmp_path / "many.extxyz", [frame(7), frame(1)])  # of the same size, within the same second
    assert 2007000000 in places_by_key(tmp_path, 10)


# Step 0
@pytest.fixture
def workspace(tmp_path):
    """A glass of nine minima in two files, one frame of them without energy."""
    folder = tmp_path / GLASS
    folder.mkdir(parents=True)
    ase.io.write(folder / "a.extxyz", [*(frame(seed) for seed in range(5)), without_energy(frame(8))])
    ase.io.write(folder / "b.traj", [frame(seed) for seed in (9, 6, 7)])
    (tmp_path / "config.yaml").write_text(synthetic.QUICK)
    return tmp_path


def test_the_pairs_of_frames_are_those_of_all_minima_and_frames_left_out_are_listed(workspace):
    said = done("step0_collect", workspace)
    assert "28 pairs, 28 computed, 1 left out" in said
    assert "left out: Cnf-1/a.extxyz#5: the frame has no energy; give it in energies.csv" in said
    table = left_out(workspace)
    assert table.to_numpy().tolist() == [[1, "a.extxyz#5", "the frame has no energy; give it in energies.csv"]]
    pairs = read_pairs(workspace)
    np.testing.assert_allclose(pairs["Delta_E"], N * (pairs["j"] - pairs["i"]), atol=1e-12)
    first = pairs.iloc[0]
    step = frame(1).positions - frame(0).positions
    step -= BOX * np.rint(step / BOX)
    step -= step.mean(0)
    assert first[["i", "j"]].tolist() == [0.2, 0.2001]
    assert first["displacement_0"] == pytest.approx(np.linalg.norm(step, axis=1).max(), abs=1e-6)


def test_only_the_frames_of_a_file_that_changed_are_computed_again(workspace):
    done("step0_collect", workspace)
    folder = workspace / GLASS
    assert "28 pairs, nothing new computed" in done("step0_collect", workspace)
    os.utime(folder / "b.traj")
    assert "28 pairs, nothing new computed" in done("step0_collect", workspace)
    ase.io.write(folder / "b.traj", [frame(seed) for seed in (9, 6, 7, 5)])
    assert f"36 pairs, {36 - 10} computed" in done("step0_collect", workspace)  # 10: those within a.extxyz
    at_once = read_pairs(workspace)
    (workspace / "Configurations/pairs/T0.1/Cnf-1.feather").unlink()
    assert "36 pairs, 36 computed" in done("step0_collect", workspace)
    pd.testing.assert_frame_equal(read_pairs(workspace), at_once, check_exact=True)


def test_the_help_names_the_formats():
    said = run("step0_collect", ".", "--help").stdout
    assert all(name in said for name in (".conf.txt", ".conf", ".extxyz", ".xyz", ".traj", "ASE"))
