"""Readers of minima: what is taken from a file or frame, why one is left out, what is computed anew."""

import os

import ase.io
import numpy as np
import pandas as pd
import pytest
import synthetic
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import FortranFile
from steps import done
from synthetic import read_minimum, read_pairs

from glass.arrays import box_of
from pipeline.formats.configurations import MinimumError
from pipeline.formats.keys import minimum_keys
from pipeline.formats.lammps import energy_in_name, write_minimum
from pipeline.formats.minima import places_by_key, read_minima, read_place
from pipeline.glasses import load_glass
from pipeline.matching import minima_of, nearest_order
from pipeline.settings import Settings
from pipeline.workspace import Workspace
from search.density import glass_volumes

RNG = np.random.default_rng(0)
BOX = np.array([4.0, 5.0, 6.0])
DIAMETERS = RNG.uniform(0.7, 1.6, 12)
POSITIONS = RNG.random((12, 3)) * BOX - BOX / 2
TEXT = synthetic.text_minimum(DIAMETERS, POSITIONS, BOX)


def write_binary(path, box=BOX):
    """What a Fortran program writes, by scipy."""
    with FortranFile(path, "w") as file:
        file.write_record(np.int32(len(DIAMETERS)))
        file.write_record(np.asarray(box, dtype=np.float64))
        for diameter, place in zip(DIAMETERS, POSITIONS, strict=True):
            file.write_record(np.array([diameter, *place]))


def test_a_written_minimum_is_what_a_fortran_program_writes_and_reads_back_as_does_text(tmp_path):
    (tmp_path / "0.2.conf.txt").write_text(TEXT)
    write_binary(tmp_path / "0.2.conf")
    write_minimum(tmp_path / "0.3.conf", DIAMETERS, POSITIONS, BOX)
    assert (tmp_path / "0.3.conf").read_bytes() == (tmp_path / "0.2.conf").read_bytes()
    for path in tmp_path.iterdir():
        found = read_minimum(path)
        for one, other in zip((found.diameters, found.positions, found.box), (DIAMETERS, POSITIONS, BOX), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-15)


TYPES = [1, 2, 2, 1, 3, 3, 1, 1, 1, 2, 2, 2]


def with_masses(*masses):
    return synthetic.text_minimum(DIAMETERS, POSITIONS, BOX, types=TYPES, masses=masses)


def test_types_masses_and_elements_stand_in_a_text_file(tmp_path):
    path = tmp_path / "0.2.conf.txt"
    masses = ("1 28.0855 # Si", "2  1.59994e1 # O", "3 2.5 # big")
    path.write_text(synthetic.text_minimum(DIAMETERS, POSITIONS, BOX, range(11, -1, -1), types=TYPES, masses=masses))
    system = read_minimum(path).system
    assert system.types.tolist() == TYPES
    assert system.numbers.tolist() == [{1: 14, 2: 8, 3: 0}[kind] for kind in TYPES]
    assert system.masses.tolist() == [{1: 28.0855, 2: 15.9994, 3: 2.5}[kind] for kind in TYPES]


LAST = TEXT[: TEXT.index("Velocities")].rstrip().split("\n")[-1]
BROKEN = {
    "truncated between lines": (TEXT[: TEXT.index(LAST)], "11 atoms where the header says 12"),
    "a column missing": (TEXT.replace(" 0 0 0\n", " 0 0\n"), "8 columns"),
    "a number missing in one line": (TEXT.replace(LAST, LAST[:-2]), "columns"),
    "NaN": (TEXT.replace(LAST, "12 1 1.0 nan 0.0 0.0 0 0 0"), "not finite"),
    "not a number": (TEXT.replace(LAST, "12 1 1.0 x 0.0 0.0 0 0 0"), "'x' in an atom line is not a number"),
    "an id twice": (TEXT.replace(LAST, LAST.replace("12 1", "11 1", 1)), "stands there twice"),
    "a flat box": (TEXT.replace("zlo zhi", "zlo zhi\n1 0 0 avec\n0 1 0 bvec\n1 1 0 cvec"), "flat"),
    "half a general box": (TEXT.replace("zlo zhi", "zlo zhi\n1 0 0 avec"), "not all of avec"),
    "no box": (TEXT.replace("ylo yhi", "y"), "ylo yhi"),
    "a box without width": (TEXT.replace("-2.5 2.5 ylo", "2.5 2.5 ylo"), "box length"),
    "no atoms section": (TEXT.replace("Atoms #", "Bonds #"), "no section"),
    "no count": (TEXT.replace("12 atoms", ""), "N atoms"),
    "another style": (TEXT.replace("# charge", "# atomic"), "atom_style atomic"),
    "a type without mass": (with_masses("1 1", "3 2"), "no mass of type 2"),
    "a mass of zero": (with_masses("1 1", "2 0", "3 2"), "mass is not above zero"),
    "a type that is none": (TEXT.replace(LAST, LAST.replace("12 1", "12 1.5", 1)), "types are no whole numbers"),
    "a box with an underscore": (TEXT.replace("-2.5 2.5 ylo", "-2.5 2_5 ylo"), "'2_5' in the header or the masses"),
    "a box of 400 digits": (TEXT.replace("-2.5 2.5 ylo", f"-2.5 {'3' * 400} ylo"), "is not a number"),
    "an infinite mass": (with_masses("1 infinity"), "'infinity' in the header or the masses is not a number"),
    "a count of 5000 digits": (TEXT.replace("12 atoms", "4" * 5000 + " atoms"), "N atoms"),
    "a place far out": (TEXT.replace(LAST, "12 1 1.0 1e17 0.0 0.0 0 0 0"), "box lengths out"),
}


@pytest.mark.parametrize("name", [*BROKEN, 0, 3, 20, 60, -5])
def test_a_broken_text_file_and_a_binary_one_that_was_cut_are_told_with_the_reason(tmp_path, name):
    content, reason = BROKEN.get(name, (None, r"truncated|header says|record"))
    path = tmp_path / ("0.2.conf.txt" if content else "0.2.conf")
    if content:
        path.write_text(content)
    else:
        write_binary(path)
        path.write_bytes(path.read_bytes()[:name])
    with pytest.raises(MinimumError, match=reason):
        read_minimum(path)


def test_the_energy_stands_in_the_name(tmp_path):
    for name, energy in (("2.044726132E-01.conf.txt", 0.2044726132), ("-7.25.conf", -7.25)):
        assert energy_in_name(tmp_path / name) == energy
    for name in ("minimum.conf", "nan.conf", "1_0.conf.txt", ".conf", "1e999.conf", "0.\u0663.conf"):
        assert energy_in_name(tmp_path / name) is None


@given(st.integers(-(10**14), 10**14), st.floats(-4e-11, 4e-11))
def test_labels_survive_float_noise(key, noise):
    assert minimum_keys(key / 1e10, 10) == key
    if abs(key) < 10**11:
        assert minimum_keys(key / 1e10 + noise, 10) == key


@pytest.mark.parametrize("odd", ["0.1.conf", "0.25.conf", "0.4.conf"])
def test_the_odd_one_out_in_a_glass_is_left_out_wherever_it_stands(tmp_path, odd):
    paths = [tmp_path / name for name in (odd, "0.2.conf", "0.3.conf", "0.35.conf")]
    for seed, path in enumerate(paths):
        write_minimum(path, DIAMETERS, np.random.default_rng(seed).random((12, 3)), BOX * (1.01 if seed == 0 else 1))
    glass, fates = load_glass(read_minima(paths), tmp_path, Settings())
    ((name, reason),) = synthetic.reasons(fates).items()
    assert (name, len(glass.files)) == (odd, 3)
    assert "another box" in reason


def test_a_minimum_that_is_known_keeps_its_name_when_it_is_seen_again_lower(tmp_path):
    paths = [tmp_path / f"{name}.conf.txt" for name in ("0.2", "0.2000001")]
    for path, shift in zip(paths, (0, 1e-7), strict=True):
        path.write_text(synthetic.text_minimum(DIAMETERS, POSITIONS + shift, BOX))
    for known, used in (((), "0.2.conf.txt"), ({0.2000001}, "0.2000001.conf.txt")):
        glass, fates = load_glass(read_minima(paths), tmp_path, Settings(), known=known)
        assert glass.files == [used]
        assert {fate.minimum for fate in fates.values()} == {float(used.removesuffix(".conf.txt"))}


# Frames of formats that ASE reads
SYMBOLS = "Cu4Zr6XPd"
N = 12


def frame(seed, energy=None, symbols=SYMBOLS, cell=BOX, pbc=True, **arrays):
    """A made-up minimum; its energy per particle is 0.2 and a little more for each seed, unless given as a total."""
    places = np.random.default_rng(0).random((N, 3)) + 0.02 * np.random.default_rng(seed).normal(size=(N, 3))
    places = places[: len(Atoms(symbols))]
    atoms = Atoms(symbols, scaled_positions=places, cell=cell, pbc=pbc)
    for name, values in arrays.items():
        atoms.set_array(name, np.asarray(values))
    atoms.calc = SinglePointCalculator(atoms, energy=N * (0.2 + seed * 1e-4) if energy is None else energy)
    return atoms


def without_energy(atoms):
    atoms.calc = None
    return atoms


@pytest.mark.parametrize("told", [np.array(N * 0.2), np.array([N * 0.2]), np.float32(N * 0.2), str(N * 0.2)])
def test_an_energy_that_a_program_wrote_as_an_array_or_as_text_is_a_number(tmp_path, told):
    atoms = without_energy(frame(5))
    atoms.info["energy"] = told
    ase.io.write(tmp_path / "a.traj", atoms)
    assert [one.energy for one in read_minima([tmp_path / "a.traj"])] == [pytest.approx(0.2)]


TILTED = [[4.0, 0, 0], [0.5, 5, 0], [0, 0, 6]]
ODD = {
    "without energy": (without_energy(frame(9)), "no energy"),
    "an energy that is no number": (frame(9, energy=np.nan), "no energy"),
    "a tilted box": (frame(9, cell=TILTED), "another box"),
    "not periodic": (frame(9, pbc=[True, True, False]), "another periodic directions"),
    "a free cluster": (frame(9, pbc=False), "another periodic directions"),
    "other species": (frame(9, symbols="Cu5Zr5XPd"), "another species"),
    "species in another order": (frame(9, symbols="Zr6Cu4XPd"), "another species"),
    "other masses": (frame(9, masses=np.full(N, 2.0)), "another masses"),
    "a mass of zero": (frame(9, masses=np.arange(N)), "mass is not above zero"),
    "other diameters": (frame(9, diameters=DIAMETERS), "another diameters"),
    "a particle less": (frame(9, symbols="Cu4Zr6X"), "another count of particles"),
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
    glass, fates = load_glass(read_minima([tmp_path / "many.extxyz"]), tmp_path, Settings())
    assert list(rejected := synthetic.reasons(fates)) == ["many.extxyz#2"]
    assert reason in rejected["many.extxyz#2"]
    assert glass.files == ["many.extxyz#0", "many.extxyz#1", "many.extxyz#3"]


def test_a_name_is_that_of_the_minimum_which_step_0_used_whatever_other_frame_has_the_same_to_ij_decimals(tmp_path):
    at = Workspace(tmp_path).at("0.1")
    at.glass(1).mkdir(parents=True)
    energies = {1: 0.2, 2: 0.2 + 1e-7 + 2e-11, 3: 0.2 + 1e-7}
    frames = [frame(seed, energy=N * energy) for seed, energy in energies.items()]
    wider = frame(4, energy=N * 0.1)
    wider.set_cell(1.1 * wider.cell)
    ase.io.write(at.glass(1) / "many.extxyz", [*frames, frame(1, energy=N * (0.2 + 1e-7 - 2e-11)), wider])
    done("step0_collect", tmp_path)
    status = pd.read_csv(at.seen_minima).set_index("file")["status"].sort_index()
    assert status.tolist() == ["used", "left out", "used", "seen again", "left out"]
    assert glass_volumes(at).to_dict() == {1: pytest.approx(frames[0].get_volume())}
    names = [place.name for _, place in sorted(minima_of(at, 1).items())]
    assert [name for name in names if status[name] != "left out"] == status.index[status == "used"].tolist()


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
def test_only_the_frames_of_a_file_that_changed_are_computed_again(tmp_path):
    folder = tmp_path / "Configurations/minima/T0.1/Cnf-1"
    folder.mkdir(parents=True)
    ase.io.write(folder / "a.extxyz", [*(frame(seed) for seed in range(5)), without_energy(frame(8))])
    ase.io.write(folder / "b.traj", [frame(seed) for seed in (9, 6, 7)])
    assert "28 pairs, 28 computed" in done("step0_collect", tmp_path)
    os.utime(folder / "b.traj")
    assert "28 pairs, nothing new computed" in done("step0_collect", tmp_path)
    ase.io.write(folder / "b.traj", [frame(seed) for seed in (9, 6, 7, 5)])
    assert f"36 pairs, {36 - 10} computed" in done("step0_collect", tmp_path)  # 10: those within a.extxyz
    at_once = read_pairs(tmp_path)
    (tmp_path / "Configurations/pairs/T0.1/Cnf-1.feather").unlink()
    assert "36 pairs, 36 computed" in done("step0_collect", tmp_path)
    pd.testing.assert_frame_equal(read_pairs(tmp_path), at_once, check_exact=True)


@pytest.mark.parametrize("repeats", ["yyy", "yyn", "nyn", "nnn"])
@pytest.mark.parametrize("tilt", [0.0, 2.0])
def test_particles_that_were_shuffled_and_shifted_are_brought_back_in_any_cell(tilt, repeats):
    rng, cell = np.random.default_rng(1), np.array([[6.0, 0, 0], [tilt, 5.0, 0], [tilt, -1.0, 7.0]])
    box, kinds = box_of(cell, np.array([one == "y" for one in repeats])), np.arange(90) % 3
    one, order = rng.random((90, 3)) @ cell, np.arange(90)
    for kind in range(3):
        order[kinds == kind] = rng.permutation(order[kinds == kind])
    other = (one + rng.normal(0, 0.02, one.shape) + rng.uniform(-9, 9, 3))[order]
    np.testing.assert_array_equal(order[nearest_order(one, other, kinds, box, 1.3)], np.arange(90))
