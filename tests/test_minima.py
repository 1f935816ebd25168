"""Readers of minima, and the reasons for which a file is left out."""

import numpy as np
import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import FortranFile

from pipeline.formats.configurations import MinimumError
from pipeline.formats.keys import minimum_keys
from pipeline.formats.lammps import energy_in_name, read_minimum, write_minimum
from pipeline.formats.minima import read_minima
from pipeline.glasses import load_glass
from pipeline.settings import MinimaSettings

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


@given(st.permutations(range(12)), st.booleans())
def test_ids_may_come_in_any_order(tmp_path_factory, order, images):
    path = tmp_path_factory.mktemp("minimum") / "0.2.conf.txt"
    path.write_text(synthetic.text_minimum(DIAMETERS, POSITIONS, BOX, order, images))
    found = read_minimum(path)
    np.testing.assert_array_equal(found.diameters, DIAMETERS)
    np.testing.assert_array_equal(found.positions, POSITIONS)
    np.testing.assert_allclose(found.box, BOX, rtol=1e-15)


def test_binary_and_text_give_the_same(tmp_path):
    (tmp_path / "0.2.conf.txt").write_text(TEXT)
    write_binary(tmp_path / "0.2.conf")
    one, other = (read_minimum(path) for path in sorted(tmp_path.iterdir()))
    for name in ("diameters", "positions", "box"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-15)


def test_a_written_minimum_is_what_a_fortran_program_writes_and_reads_back(tmp_path):
    write_binary(tmp_path / "0.2.conf")
    write_minimum(tmp_path / "0.3.conf", DIAMETERS, POSITIONS, BOX)
    assert (tmp_path / "0.3.conf").read_bytes() == (tmp_path / "0.2.conf").read_bytes()
    found = read_minimum(tmp_path / "0.3.conf")
    for one, other in zip((found.diameters, found.positions, found.box), (DIAMETERS, POSITIONS, BOX), strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_box_length_means_a_cube(tmp_path):
    write_binary(tmp_path / "0.2.conf", box=[7.0])
    np.testing.assert_array_equal(read_minimum(tmp_path / "0.2.conf").box, [7.0, 7.0, 7.0])


def test_real_minima_are_read_whole(real_minima):
    found = read_minimum(real_minima[0])
    assert found.positions.shape == (1500, 3)
    np.testing.assert_allclose(found.box, 11.447142426, rtol=1e-12)
    assert (found.diameters.min() > 0.7) & (found.diameters.max() < 1.7)
    lines = [line.split() for line in real_minima[0].read_text().split("Atoms # charge")[1].split("\n") if line.strip()]
    assert {int(one[0]): [float(x) for x in one[3:6]] for one in lines} == dict(enumerate(found.positions.tolist(), 1))


TYPES = [1, 2, 2, 1, 3, 3, 1, 1, 1, 2, 2, 2]


def with_masses(*masses, types=TYPES):
    return synthetic.text_minimum(DIAMETERS, POSITIONS, BOX, types=types, masses=masses)


@pytest.mark.parametrize("order", [None, range(11, -1, -1)])
def test_types_masses_and_elements_stand_in_a_text_file(tmp_path, order):
    path = tmp_path / "0.2.conf.txt"
    masses = ("1 28.0855 # Si", "2  1.59994e1 # O", "3 2.5 # big")
    path.write_text(synthetic.text_minimum(DIAMETERS, POSITIONS, BOX, order, types=TYPES, masses=masses))
    system = read_minimum(path).system
    assert system.types.tolist() == TYPES
    assert system.numbers.tolist() == [{1: 14, 2: 8, 3: 0}[kind] for kind in TYPES]
    assert system.masses.tolist() == [{1: 28.0855, 2: 15.9994, 3: 2.5}[kind] for kind in TYPES]


@pytest.mark.parametrize(("masses", "types"), [(("1 1",), None), ((), None)])
def test_one_type_of_mass_one_is_no_species(tmp_path, masses, types):
    (tmp_path / "0.2.conf.txt").write_text(with_masses(*masses, types=types))
    system = read_minimum(tmp_path / "0.2.conf.txt").system
    assert (set(system.types), set(system.numbers), set(system.masses)) == ({1}, {0}, {1.0})


def test_without_a_section_of_masses_they_are_one(tmp_path):
    (tmp_path / "0.2.conf.txt").write_text(with_masses())
    system = read_minimum(tmp_path / "0.2.conf.txt").system
    assert (system.types.tolist(), set(system.numbers), set(system.masses)) == (TYPES, {0}, {1.0})


LAST = TEXT[: TEXT.index("Velocities")].rstrip().split("\n")[-1]
BROKEN = {
    "truncated in a line": (TEXT[: TEXT.index(LAST) + 20], "columns"),
    "truncated between lines": (TEXT[: TEXT.index(LAST)], "11 atoms where the header says 12"),
    "wrong count": (TEXT.replace("12 atoms", "13 atoms"), "12 atoms where the header says 13"),
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
    "a mass that is none": (with_masses("1 1", "2 x", "3 2"), "is not a number"),
    "a type that is none": (TEXT.replace(LAST, LAST.replace("12 1", "12 1.5", 1)), "types are no whole numbers"),
    "a type without an end": (TEXT.replace(LAST, LAST.replace("12 1", "12 1e300", 1)), "types are no whole numbers"),
    "a box with an underscore": (TEXT.replace("-2.5 2.5 ylo", "-2.5 2_5 ylo"), "'2_5' in the header is not a number"),
    "a box of 400 digits": (TEXT.replace("-2.5 2.5 ylo", f"-2.5 {'3' * 400} ylo"), "in the header is not a number"),
    "an infinite mass": (with_masses("1 infinity"), "'infinity' in the header is not a number"),
    "a count of 5000 digits": (TEXT.replace("12 atoms", "4" * 5000 + " atoms"), "N atoms"),
    "a place far out": (TEXT.replace(LAST, "12 1 1.0 1e17 0.0 0.0 0 0 0"), "box lengths out"),
    "empty": ("", "N atoms"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_text_file_is_told_with_its_reason(tmp_path, name):
    content, reason = BROKEN[name]
    path = tmp_path / "0.2.conf.txt"
    path.write_text(content)
    with pytest.raises(MinimumError, match=reason):
        read_minimum(path)


def without_velocities(decimals=8, last="2.12345678"):
    """A file that ends with its last coordinate, without line end."""
    places = [" ".join(f"{value:.{decimals}f}" for value in place) for place in POSITIONS]
    head = TEXT[: TEXT.index("Atoms #")] + "Atoms # charge\n\n"
    rows = [f"{k} 1 1.0 {place}" for k, place in enumerate(places, 1)]
    return head + "\n".join([*rows[:-1], f"12 1 1.0 0.5 0.5 {last}"])


@pytest.mark.parametrize("last", ["2.1234567", "2.", "2", "2.12345678e-0", "2.12345678e"])
def test_a_file_that_ends_within_its_last_number_is_told(tmp_path, last):
    (tmp_path / "0.2.conf.txt").write_text(without_velocities(last=last))
    with pytest.raises(MinimumError, match="truncated within its last number"):
        read_minimum(tmp_path / "0.2.conf.txt")


@pytest.mark.parametrize("last", ["2.12345678", "2.12345678\n", "2.1\n", "-1.123456789"])
def test_a_whole_file_needs_no_line_end(tmp_path, last):
    (tmp_path / "0.2.conf.txt").write_text(without_velocities(last=last))
    assert read_minimum(tmp_path / "0.2.conf.txt").positions[-1, 2] == float(last)


@pytest.mark.parametrize("keep", [0, 3, 20, 60, -5])
def test_a_truncated_binary_file_is_told(tmp_path, keep):
    path = tmp_path / "0.2.conf"
    write_binary(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MinimumError, match=r"truncated|header says|record"):
        read_minimum(path)


@given(st.binary(max_size=300))
def test_noise_is_never_taken_for_a_minimum(tmp_path_factory, content):
    for name in ("0.2.conf", "0.2.conf.txt"):
        path = tmp_path_factory.mktemp("noise") / name
        path.write_bytes(content)
        with pytest.raises(MinimumError):
            read_minimum(path)


@pytest.mark.parametrize(("name", "energy"), [("2.044726132E-01.conf.txt", 0.2044726132), ("-7.25.conf", -7.25)])
def test_the_energy_stands_in_the_name(tmp_path, name, energy):
    assert energy_in_name(tmp_path / name) == energy


@pytest.mark.parametrize("name", ["minimum.conf", "nan.conf", "1_0.conf.txt", ".conf", "1e999.conf", "0.\u0663.conf"])
def test_another_name_gives_no_energy(tmp_path, name):
    with pytest.raises(MinimumError, match="no energy"):
        energy_in_name(tmp_path / name)


@given(st.integers(-(10**14), 10**14), st.floats(-4e-11, 4e-11))
def test_labels_survive_float_noise(key, noise):
    assert minimum_keys(key / 1e10, 10) == key
    if abs(key) < 10**11:
        assert minimum_keys(key / 1e10 + noise, 10) == key


def minima(folder, **texts):
    """Files named by energy: e200 becomes 0.200.conf.txt."""
    paths = []
    for name, text in texts.items():
        paths.append(folder / f"0.{name[1:]}.conf.txt")
        paths[-1].write_text(text)
    return paths


def other_minimum(seed, box=BOX, diameters=DIAMETERS):
    rng = np.random.default_rng(seed)
    return synthetic.text_minimum(diameters, rng.random((len(diameters), 3)) * box - box / 2, box)


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (other_minimum(9, box=BOX * 1.01), "another box"),
        (other_minimum(9, diameters=DIAMETERS[:-1]), "another count of particles"),
        (other_minimum(9, diameters=DIAMETERS + 1e-3), "another diameters"),
        (with_masses("1 1", "2 1", "3 1"), "another species"),
    ],
)
def test_the_odd_one_out_in_a_glass_is_left_out_wherever_it_stands(tmp_path, odd, reason):
    for name in ("e100", "e205", "e300"):
        folder = tmp_path / name
        folder.mkdir()
        paths = minima(folder, e200=TEXT, e201=other_minimum(1), e202=other_minimum(2), **{name: odd})
        glass, fates = load_glass(read_minima(paths), 10)
        rejected = synthetic.reasons(fates)
        assert list(rejected) == [paths[-1].name]
        assert reason in rejected[paths[-1].name]
        assert len(glass.files) == 3


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (with_masses("1 2", "2 4", "3 1", types=TYPES[::-1]), "another species or order of species"),
        (with_masses("1 2", "2 4", "3 1.5"), "another masses"),
    ],
)
def test_species_and_masses_are_the_same_in_all_minima_of_a_glass(tmp_path, odd, reason):
    usual = with_masses("1 2", "2 4", "3 1")
    paths = minima(tmp_path, e200=usual, e202=odd, e203=usual)
    _, fates = load_glass(read_minima(paths), 10)
    assert reason in fates["0.202.conf.txt"].reason


def test_a_second_file_with_the_same_label_is_left_out(tmp_path):
    paths = minima(tmp_path, e2=TEXT, e20000000000001=other_minimum(1), e2001=other_minimum(2))
    glass, fates = load_glass(read_minima(paths), 10)
    assert synthetic.reasons(fates) == {"0.20000000000001.conf.txt": "the same energy to 10 decimals as 0.2.conf.txt"}
    assert glass.energies.tolist() == [0.2, 0.2001]


def test_a_minimum_at_the_place_of_another_is_that_seen_again_even_through_the_edge(tmp_path):
    shifted = np.where(RNG.random((12, 3)) < 0.5, POSITIONS + BOX, POSITIONS + 1e-6) + 0.3
    paths = minima(tmp_path, e200=TEXT, e201=synthetic.text_minimum(DIAMETERS, shifted, BOX), e202=other_minimum(2))
    glass, fates = load_glass(read_minima(paths), 10)
    assert [fate.status for fate in fates.values()] == ["used", "seen again", "used"]
    assert fates["0.201.conf.txt"] == ("seen again", 0.2, "0.200.conf.txt")
    assert len(glass.files) == 2


def test_the_place_of_another_with_another_energy_is_left_out(tmp_path):
    again = synthetic.text_minimum(DIAMETERS, POSITIONS + 1e-6, BOX)
    _, fates = load_glass(read_minima(minima(tmp_path, e200=TEXT, e201=again)), 10, max_delta_e=1.0)
    assert "the same place as 0.200.conf.txt, but its energy is 0.012 higher" in fates["0.201.conf.txt"].reason


@pytest.mark.parametrize(("same_place", "count"), [(None, 1), (1e-5, 2)])
def test_how_near_two_minima_are_one_is_a_setting(tmp_path, same_place, count):
    moved = POSITIONS.copy()
    moved[-1, 2] += 1e-4  # 5e-4 distances between particles are 1.1e-3
    paths = minima(tmp_path, e200=TEXT, e201=synthetic.text_minimum(DIAMETERS, moved, BOX))
    glass, _ = load_glass(read_minima(paths), 10, MinimaSettings(same_place=same_place))
    assert len(glass.files) == count


def test_a_minimum_that_is_known_keeps_its_name_when_it_is_seen_again_lower(tmp_path):
    paths = minima(tmp_path, e2=TEXT, e2000001=synthetic.text_minimum(DIAMETERS, POSITIONS + 1e-7, BOX))
    for known, used in (((), "0.2.conf.txt"), ({2_000_001_000}, "0.2000001.conf.txt")):
        glass, fates = load_glass(read_minima(paths), 10, known=known)
        assert glass.files == [used]
        assert {fate.minimum for fate in fates.values()} == {float(used.removesuffix(".conf.txt"))}


def test_a_glass_without_a_usable_file_is_none(tmp_path):
    glass, fates = load_glass(read_minima(minima(tmp_path, e200="", e201="")), 10)
    assert glass is None
    assert len(synthetic.reasons(fates)) == 2
