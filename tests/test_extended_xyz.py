"""Extended XYZ as people write it, and what is said of files that are no good."""

import numpy as np
import pytest
from small_metal import CELL, E_HIGH, E_LOW, HIGH, KINDS, LOW, NAMES, N, frames, is_refused, is_right, numbers, of, xyz


def named(names, places):
    return lambda k: f"{names[KINDS[k] - 1]} " + numbers(places[k])


OBLIQUE = CELL + np.array([[0, 0, 0], [3.0, 0, 0], [1.0, -2.0, 0]])
XYZ = {
    "as it is": frames(xyz),
    "blank lines between frames": "\n" + xyz(LOW, E_LOW) + "\n\n" + xyz(HIGH, E_HIGH) + "\n",
    "species A and B": frames(lambda p, e: xyz(p, e, row=named("AB", p))),
    "species 1 and 2": frames(lambda p, e: xyz(p, e, row=named("12", p))),
    "permuted axes": frames(lambda p, e: xyz(p, e, cell=CELL[[1, 2, 0]])),
    "left-handed axes": frames(lambda p, e: xyz(p, e, cell=CELL * [[1], [-1], [1]])),
    "a sheared cell": frames(lambda p, e: xyz(p, e, cell=OBLIQUE)),
    "exponents of Fortran": frames(
        lambda p, e: xyz(
            p, e, row=lambda k: f"{NAMES[KINDS[k]]} " + " ".join(f"{x:.15E}".replace("E", "D") for x in p[k])
        )
    ),
    "a film": frames(lambda p, e: xyz(p, e, pbc="T T F")),
    "a wire in the open": frames(lambda p, e: xyz(p, e, pbc="F T F", cell=CELL * [[0], [1], [0]])),
    "boxes that differ by rounding": xyz(LOW, E_LOW) + xyz(HIGH, E_HIGH, cell=CELL * (1 + 2e-7)),
    "drift": xyz(LOW, E_LOW) + xyz(HIGH + np.array([4.4, -0.3, 3.6]), E_HIGH),
    "a frame without an energy": xyz(LOW, E_LOW).replace("energy", "step") + frames(xyz),
    "shuffled, with ids": frames(
        lambda p, e: xyz(
            p,
            e,
            columns="id:I:1:species:S:1:mass:R:1:radius:R:1:pos:R:3",
            row=lambda k: f"{5 * k + 2} {NAMES[KINDS[k]]} 3.5 0.7 " + numbers(p[k]),
            order=list(np.random.default_rng(int(e == E_LOW)).permutation(N)),
        )
    ),
    "a minimum again": frames(xyz) + xyz(LOW + 3e-6 * np.random.default_rng(1).normal(size=(N, 3)) + 0.6, E_LOW + 1e-7),
}


@pytest.mark.parametrize("case", XYZ)
def test_extended_xyz_as_people_write_it(tmp_path, case):
    (of(tmp_path) / "m.extxyz").write_text(XYZ[case])
    is_right(tmp_path)


REFUSED = {
    "an energy under another name": (frames(xyz).replace("energy", "dft_energy"), ["dft_energy", "minima.energy_key"]),
    "no cell": (frames(lambda p, e: xyz(p, e, comment=f"energy={e}")), ["Lattice"]),
    "boxes under pressure": (xyz(LOW, E_LOW) + xyz(HIGH, E_HIGH, cell=CELL * 1.001), ["another box (by 0.001"]),
    "ids twice": (
        frames(lambda p, e: xyz(p, e, columns="id:I:1:pos:R:3", row=lambda k: f"{k // 2} " + numbers(p[k]))),
        ["twice"],
    ),
    "other units": (frames(xyz).replace("energy=", "units=reduced energy="), ["units"]),
    "a number that is cut": (frames(xyz).rstrip()[:-3], ["truncated"]),
    "a column too few": (frames(xyz).replace("pos:R:3", "pos:R:2"), ["columns"]),
    "no energy at all": (frames(xyz).replace("energy=", "e_dft_without="), ["no energy"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_extended_xyz_that_is_no_good_is_told_in_words(tmp_path, case):
    text, words = REFUSED[case]
    (of(tmp_path) / "m.extxyz").write_text(text)
    is_refused(tmp_path, *words)


def test_another_name_of_the_energy_is_read_where_it_is_set(tmp_path):
    (of(tmp_path, energy_key="dft_energy") / "m.extxyz").write_text(frames(xyz).replace("energy", "dft_energy"))
    is_right(tmp_path)


@pytest.mark.parametrize("shift", [0.0, 3.3])
@pytest.mark.parametrize("count", [3, 12])
def test_equal_atoms_in_another_order_are_noticed_or_matched(tmp_path, shift, count):
    equal = np.flatnonzero(KINDS == 1)[:count]
    order = np.arange(N)
    order[equal] = np.roll(equal, 1)
    (of(tmp_path) / "m.extxyz").write_text(xyz(LOW, E_LOW) + xyz(HIGH[order] + shift, E_HIGH))
    is_refused(tmp_path, f"{count} particles stand in another order than in m.extxyz#0", "match_atoms")
    of(tmp_path, match_atoms="true")
    is_right(tmp_path)
