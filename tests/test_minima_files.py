"""Minima in LAMMPS data, dumps and extended XYZ as people have them, and what is said of files that are no good."""

import gzip
import lzma

import numpy as np
import pytest
import small_metal as metal
from small_metal import CELL, E_HIGH, E_LOW, HIGH, KINDS, LOW, NAMES, ROWS, SIDES, N, both, frames, line, numbers
from steps import run


def data(style, **more):
    return lambda places: metal.data(places, style, **more)


def with_labels(places):
    """Type labels, gaps in ids, another order in each file, masses behind the atoms, comments."""
    labels = ["Atom Type Labels", "", "1 Cu", "2 Zr", ""]
    named = {"row": lambda k: f"{NAMES[KINDS[k]]} 0.0", "sections": labels, "ids": 3 * np.arange(N) + 5}
    text = metal.data(places, "charge", **named)
    head, _, atoms = text.partition("Atoms # charge\n\n")
    head, _, masses = head.replace("1 63.5", "Cu 63.5").replace("2 91.2", "Zr 91.2").partition("Masses")
    rows = [f"{row}  # caf\xe9" for row in atoms.split("\n") if row]
    order = np.random.default_rng(int(places is LOW)).permutation(N)
    return head + "Atoms # charge\n\n" + "\n".join(rows[k] for k in order) + f"\n\nMasses{masses}\n"


def dump(row=None, columns="id type x y z", **more):
    return lambda places: metal.dump(places, columns, row and (lambda k: row(k, places[k])), **more)


def species(k, place):
    return f"{NAMES[KINDS[k]]} {numbers(place)}"


def xyz(row=None, **more):
    return frames(lambda p, e: metal.xyz(p, e, row=row and (lambda k: row(k, p[k])), **more))


low, high = metal.xyz(LOW, E_LOW), metal.xyz(HIGH, E_HIGH)
ENERGIES = f"file,frame,energy\nall.dump,0,{E_LOW}\nall.dump,1,{E_HIGH}\n"
GOOD = {
    **{f"{style}{flags}": ("{}.data", data(style, flags=flags)) for style in ROWS for flags in ("", " 0 -1 2")},
    "atomic, inferred": ("{}.lmp", data("atomic", named=False)),
    "sphere, inferred": ("{}.lmp", data("sphere", named=False)),
    "charge, inferred": ("{}.lmp", data("charge", named=False, row=lambda k: f"{KINDS[k]} {0.85 + 0.01 * k}")),
    "type labels, gaps in ids": ("{}.data", lambda places: with_labels(places).encode("latin-1")),
    "tilted by half of the cell": (
        "{}.data",
        lambda places: metal.data(places, "atomic", head=f"{4.5 if places is LOW else -4.5} 0 0 xy xz yz"),
    ),
    "packed, Windows": (
        "{}.data.gz",
        lambda places: gzip.compress(data("full")(places).replace("\n", "\r\n").encode("utf-8-sig")),
    ),
    "dump without boundaries": ("{}.dump", dump(flags="")),
    "dump with units and time": ("{}.dump", dump(before="ITEM: UNITS\nmetal\nITEM: TIME\n0.5\n")),
    "dump, scaled and unwrapped": (
        "{}.dump",
        dump(lambda k, place: line(k, place / SIDES + [0, k % 2, 1]), "id type xsu ysu zsu"),
    ),
    "dump with many columns": (
        "{}.dump",
        dump(lambda k, place: f"{species(k, place)} {k % 2 - 0.5} {k + 1} 1 2.5", "element x y z q id mol mass"),
    ),
    "dump with a density around each atom": (
        "{}.dump",
        dump(lambda k, place: f"{line(k, place)} 0.9", "id type x y z density"),
    ),
    "dump of a film": ("{}.dump", dump(flags=" pp pp ff")),
    "blank lines between frames": ("m.extxyz", f"\n{low}\n\n{high}\n"),
    "species A and B": ("m.extxyz", xyz(lambda k, place: f"{'AB'[KINDS[k] - 1]} {numbers(place)}")),
    "species 1 and 2": ("m.extxyz", xyz(lambda k, place: f"{KINDS[k]} {numbers(place)}")),
    "permuted axes": ("m.extxyz", xyz(cell=CELL[[1, 2, 0]])),
    "left-handed axes": ("m.extxyz", xyz(cell=CELL * [[1], [-1], [1]])),
    "a sheared cell": ("m.extxyz", xyz(cell=CELL + np.array([[0, 0, 0], [3.0, 0, 0], [1.0, -2.0, 0]]))),
    "exponents of Fortran": (
        "m.extxyz",
        xyz(lambda k, p: f"{NAMES[KINDS[k]]} " + " ".join(f"{x:.15E}".replace("E", "D") for x in p)),
    ),
    "a film": ("m.extxyz", xyz(pbc="T T F")),
    "a free cluster": ("m.extxyz", xyz(pbc="F F F")),
    "a wire in the open": ("m.extxyz", xyz(pbc="F T F", cell=CELL * [[0], [1], [0]])),
    "boxes that differ by rounding": ("m.extxyz", low + metal.xyz(HIGH, E_HIGH, cell=CELL * (1 + 2e-7))),
    "a frame without an energy": ("m.extxyz", low.replace("energy", "step") + low + high),
    "shuffled, with ids": (
        "m.extxyz",
        frames(
            lambda p, e: metal.xyz(
                p,
                e,
                columns="id:I:1:species:S:1:mass:R:1:radius:R:1:pos:R:3",
                row=lambda k: f"{5 * k + 2} {NAMES[KINDS[k]]} 3.5 0.7 " + numbers(p[k]),
                order=list(np.random.default_rng(int(e == E_LOW)).permutation(N)),
            )
        ),
    ),
    "a minimum again": (
        "m.extxyz",
        low + high + metal.xyz(LOW + 3e-6 * np.random.default_rng(1).normal(size=(N, 3)) + 0.6, E_LOW + 1e-7),
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_minima_as_people_write_them(tmp_path, case):
    name, text = GOOD[case]
    both(metal.of(tmp_path), text, name)
    assert ("no direction is periodic" in metal.is_right(tmp_path)) == (case == "a free cluster")


def damaged(pack):
    def text(places):
        packed = bytearray(pack(data("atomic")(places).encode()))
        packed[18:60] = bytes(42)
        return packed

    return text


def blank(lost):
    return dump(lambda k, place: species(k, place) * (k != lost), "element x y z")


BAD = {
    "bond, not named": ("{}.lmp", data("bond", named=False), ["charge or molecular", "Atoms #"]),
    "gzip, damaged": ("{}.data.gz", damaged(gzip.compress), ["the packed file is damaged"]),
    "xz, damaged": ("{}.data.xz", damaged(lzma.compress), ["the packed file is damaged"]),
    "a blank line for an atom": ("{}.dump", blank(3), ["0 columns"]),
    "a blank line for the last atom": ("{}.dump", blank(N - 1), ["0 columns"]),
    "an energy under another name": (
        "m.extxyz",
        (low + high).replace("energy", "dft_energy"),
        ["dft_energy", "minima.energy_key"],
    ),
    "no cell": ("m.extxyz", frames(lambda p, e: metal.xyz(p, e, comment=f"energy={e}")), ["Lattice"]),
    "boxes under pressure": (
        "m.extxyz",
        low + metal.xyz(HIGH, E_HIGH, cell=CELL * 1.001),
        ["another box (by 0.001"],
    ),
    "ids twice": ("m.extxyz", xyz(lambda k, p: f"{k // 2} {numbers(p)}", columns="id:I:1:pos:R:3"), ["twice"]),
    "other units": ("m.extxyz", (low + high).replace("energy=", "units=reduced energy="), ["units"]),
    "a number that is cut": ("m.extxyz", (low + high).rstrip()[:-3], ["truncated"]),
    "a frame that is cut": ("m.extxyz", (low + high)[:-60], ["truncated"]),
    "a column too few": ("m.extxyz", (low + high).replace("pos:R:3", "pos:R:2"), ["columns"]),
    "places that are text": ("m.extxyz", (low + high).replace("pos:R:3", "pos:S:3"), ["no three columns pos:R:3"]),
    "a dump that names no columns": ("{}.dump", dump(columns=""), ["ITEM: ATOMS names no columns"]),
    "no energy at all": ("m.extxyz", (low + high).replace("energy=", "e_dft_without="), ["no energy"]),
}


@pytest.mark.parametrize("case", BAD)
def test_minima_that_are_no_good_are_left_out_and_said_so_in_words(tmp_path, case):
    name, text, words = BAD[case]
    both(metal.of(tmp_path), text, name)
    metal.is_refused(tmp_path, *words)


def test_totals_in_names_are_noticed(tmp_path):
    for places, energy in metal.MINIMA:
        (metal.of(tmp_path) / f"{energy}.data").write_text(data("atomic")(places))
    metal.is_refused(tmp_path, "total", "24")


def test_many_snapshots_with_energies_beside_or_in_a_column(tmp_path):
    folder = metal.of(tmp_path)
    (folder / "all.dump").write_text(frames(lambda p, e: dump()(p)))
    (folder / "energies.csv").write_text(ENERGIES)
    metal.is_right(tmp_path)
    (folder / "energies.csv").write_text(ENERGIES + "all.dump,2,-70\n")
    assert "all.dump, frame 2, is not there" in run("step0_collect", tmp_path).stdout
    (folder / "energies.csv").unlink()
    assert "has no energy" in run("step0_collect", tmp_path).stdout
    metal.of(tmp_path, energy_key="c_pe")
    with_column = frames(lambda p, e: dump(lambda k, x: line(k, [*x, e / N]), "id type x y z c_pe")(p))
    (folder / "all.dump").write_text(with_column)
    metal.is_right(tmp_path)


@pytest.mark.parametrize("shift", [0.0, 3.3])
@pytest.mark.parametrize("count", [3, 12])
def test_equal_atoms_in_another_order_are_noticed_or_matched(tmp_path, shift, count):
    equal = np.flatnonzero(KINDS == 1)[:count]
    order = np.arange(N)
    order[equal] = np.roll(equal, 1)
    (metal.of(tmp_path) / "m.extxyz").write_text(low + metal.xyz(HIGH[order] + shift, E_HIGH))
    metal.is_refused(tmp_path, f"{count} particles stand in another order than in m.extxyz#0", "match_atoms")
    metal.of(tmp_path, match_atoms="true")
    metal.is_right(tmp_path)
