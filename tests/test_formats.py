"""One glass in every format in which people keep minima: the same pair, or one line that says why not."""

import gzip
import lzma
import re
from collections import namedtuple
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from steps import done, run
from synthetic import left_out

N, CELL = 24, np.diag([9.0, 8.0, 7.0])
KINDS = 1 + np.arange(N) % 3 // 2
MASSES, NAMES = {1: 63.5, 2: 91.2}, {1: "Cu", 2: "Zr"}
GRID = np.array([[i, j, k] for i in range(3) for j in range(4) for k in range(2)]) / [3, 4, 2] + 0.07
LOW = GRID @ CELL + np.random.default_rng(5).normal(0, 0.1, (N, 3))
HIGH = LOW.copy()
HIGH[4] += [0.2, 0.4, 0.1]
HIGH[9] -= [0.2, 0.4, 0.1]
E_LOW, E_HIGH = -72.0, -71.976
"""In eV; two atoms change places by √0.21 each, the others stay: d = √0.42, PR = 2."""

usage = namedtuple("usage", "free")
GLASS = "Configurations/minima/T0.1/Cnf-1"


def of(work, **minima_settings):
    """The folder of the only glass of a workspace in metal units."""
    settings = "".join(f"  {key}: {value}\n" for key, value in minima_settings.items())
    work.mkdir(exist_ok=True)
    (work / "config.yaml").write_text(
        "units: metal\npairs: {max_delta_E: 1.0}\n" + ("minima:\n" + settings) * bool(settings)
    )
    (work / GLASS).mkdir(parents=True, exist_ok=True)
    return work / GLASS


def is_right(work, minima=2, rows=1, **more):
    """Whether step 0 makes the one pair as it is."""
    said = done("step0_collect", work)
    table = pd.read_feather(work / "Configurations/pairs/T0.1/Cnf-1.feather")
    assert len(table) == rows, said + left_out(work).to_string()
    row = table.iloc[0]
    np.testing.assert_allclose(row["total_displacement"], 0.42**0.5, rtol=1e-6)
    np.testing.assert_allclose(row[["displacement_0", "PR"]].to_numpy(float), [0.21**0.5, 2.0], rtol=1e-6)
    assert row["Delta_E"] == pytest.approx(0.024, abs=1e-8)
    assert {name: row[name] for name in more} == more
    return said


def is_refused(work, *words):
    """Whether step 0 leaves a minimum out, or all, for a reason with these words."""
    ended = run("step0_collect", work)
    assert ended.returncode in (0, 2), ended.stderr
    assert not (work / "Configurations/pairs/T0.1/Cnf-1.feather").exists() or not len(
        pd.read_feather(work / "Configurations/pairs/T0.1/Cnf-1.feather")
    )
    reasons = " | ".join(left_out(work)["reason"])
    assert all(word in reasons for word in words), reasons
    for word in ("KeyError", "IndexError", "conversion error", "Error"):
        assert word not in reasons


def both(folder, text, name="{}.conf.txt", write=Path.write_text):
    for places, energy in ((LOW, E_LOW), (HIGH, E_HIGH)):
        write(folder / name.format(f"{energy / N:.10f}"), text(places))


def data(places, row, style="", head="", sections=(), ids=None):
    """Text of a LAMMPS data file; ``row(k)`` gives what stands between the id and the place of an atom."""
    ids = 1 + np.arange(N) if ids is None else ids
    atoms = [f"{ids[k]} {row(k)} {' '.join(map(repr, places[k].tolist()))}" for k in range(N)]
    box = "\n".join(f"0 {CELL[k, k]} {axis}lo {axis}hi" for k, axis in enumerate("xyz"))
    masses = ["Masses", "", *(f"{kind} {mass}  # {NAMES[kind]}" for kind, mass in MASSES.items()), ""]
    lines = ["made up", "", f"{N} atoms", "2 atom types", "", box, head, "", *sections, *masses]
    return "\n".join([*lines, f"Atoms{style}", "", *atoms, ""])


ROWS = {
    "atomic": lambda k: f"{KINDS[k]}",
    "charge": lambda k: f"{KINDS[k]} {1.5 if KINDS[k] == 1 else -3.0}",
    "bond": lambda k: f"{1 + k // 2} {KINDS[k]}",
    "angle": lambda k: f"7 {KINDS[k]}",
    "molecular": lambda k: f"0 {KINDS[k]}",
    "full": lambda k: f"1 {KINDS[k]} {0.5 - k % 2}",
    "sphere": lambda k: f"{KINDS[k]} 1.25 2.0",
}


@pytest.mark.parametrize("flags", ["", " 0 -1 2"])
@pytest.mark.parametrize("style", ROWS)
def test_lammps_data_in_every_style_of_points(tmp_path, style, flags):
    def text(places):
        lines = data(places, ROWS[style], f" # {style}").split("\n")
        start = lines.index(f"Atoms # {style}") + 2
        return "\n".join([*lines[:start], *(line + flags * bool(line) for line in lines[start:])])

    both(of(tmp_path), text, "{}.data")
    is_right(tmp_path)


@pytest.mark.parametrize(("style", "clear"), [("atomic", True), ("charge", True), ("bond", False), ("sphere", True)])
def test_a_style_that_is_not_named_is_inferred_where_one_fits_and_asked_for_elsewhere(tmp_path, style, clear):
    rows = {**ROWS, "charge": lambda k: f"{KINDS[k]} {0.85 + 0.01 * k}"}
    both(of(tmp_path), lambda places: data(places, rows[style]), "{}.lmp")
    is_right(tmp_path) if clear else is_refused(tmp_path, "charge or molecular", "Atoms #")


def test_type_labels_gaps_in_ids_other_orders_and_latin_1(tmp_path):
    labels = ["Atom Type Labels", "", "1 Cu", "2 Zr", ""]
    order = np.random.default_rng(1).permutation(N)

    def text(places):
        lines = data(places, lambda k: f"{NAMES[KINDS[k]]} 0.0", " # charge", sections=labels, ids=3 * np.arange(N) + 5)
        head, _, atoms = lines.partition("Atoms # charge\n\n")
        head = head.replace("1 63.5", "Cu 63.5").replace("2 91.2", "Zr 91.2")
        rows = [f"{row}  # caf\xe9" for row in atoms.split("\n") if row]
        shuffled = [rows[k] for k in (order if places is LOW else order[::-1])]
        masses = head[head.index("Masses") :]
        return head.replace(masses, "") + "Atoms # charge\n\n" + "\n".join(shuffled) + "\n\n" + masses + "\n"

    both(of(tmp_path), text, "{}.data", lambda path, content: path.write_bytes(content.encode("latin-1")))
    is_right(tmp_path)


def test_a_triclinic_data_file_and_the_same_lattice_tilted_otherwise(tmp_path):
    for places, energy, xy in ((LOW, E_LOW, 4.5), (HIGH, E_HIGH, -4.5)):
        text = data(places, ROWS["atomic"], " # atomic", f"{xy} 0 0 xy xz yz")
        (of(tmp_path) / f"{energy / N:.10f}.data").write_text(text)
    is_right(tmp_path)


def test_packed_files_and_windows_lines(tmp_path):
    pack = lambda path, text: path.write_bytes(gzip.compress(text.replace("\n", "\r\n").encode("utf-8-sig")))  # noqa: E731
    both(of(tmp_path), lambda places: data(places, ROWS["full"], " # full"), "{}.data.gz", pack)
    is_right(tmp_path)


def dump(places, columns="id type x y z", row=None, flags=" pp pp pp", before="", bounds=None, order=range(N)):
    row = row or (lambda k: f"{k + 1} {KINDS[k]} " + " ".join(map(repr, places[k].tolist())))
    bounds = bounds or "\n".join(f"0 {side}" for side in np.diag(CELL))
    head = f"{before}ITEM: TIMESTEP\n7\nITEM: NUMBER OF ATOMS\n{N}\nITEM: BOX BOUNDS{flags}\n{bounds}\n"
    return head + f"ITEM: ATOMS {columns}\n" + "".join(row(k) + "\n" for k in order)


def line(k, values):
    return f"{k + 1} {KINDS[k]} " + " ".join(map(repr, np.asarray(values).tolist()))


SIDES = np.diag(CELL)
TILTED = "0 11.0 2.0\n-1.0 8.0 0.0\n0 7.0 -1.0"  # bounds of xlo 0, xhi 9, ylo 0, yhi 8; xy 2, xz 0, yz −1


@pytest.mark.parametrize(
    "text",
    [
        lambda places: dump(places, flags=""),
        lambda places: dump(places, before="ITEM: UNITS\nmetal\nITEM: TIME\n0.5\n", order=range(N - 1, -1, -1)),
        lambda places: dump(places, "id type xs ys zs", lambda k: line(k, places[k] / SIDES)),
        lambda places: dump(places, "id type xu yu zu", lambda k: line(k, places[k] + SIDES * [k % 3, -k % 2, 0])),
        lambda places: dump(places, "id type xsu ysu zsu", lambda k: line(k, places[k] / SIDES + [0, k % 2, 1])),
        lambda places: dump(
            places,
            "element x y z q id mol mass radius",
            lambda k: f"{NAMES[KINDS[k]]} {' '.join(map(repr, places[k].tolist()))} {k % 2 - 0.5} {k + 1} 1 2.5 0.6",
        ),
        lambda places: dump(places, flags=" xy xz yz pp pp pp", bounds=TILTED),
        lambda places: dump(places, flags=" pp pp ff"),
    ],
)
def test_dumps_with_any_columns_and_boxes(tmp_path, text):
    both(of(tmp_path), text, "{}.dump")
    is_right(tmp_path)


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_a_packed_file_that_is_damaged_is_left_out_and_said_so(tmp_path, ending, pack):
    folder = of(tmp_path)
    both(folder, lambda places: data(places, ROWS["atomic"], " # atomic"), "{}.data")
    whole = sorted(folder.iterdir())[0]
    packed = bytearray(pack(whole.read_bytes()))
    packed[18:60] = bytes(42)
    (folder / f"{whole.name}.{ending}").write_bytes(packed)
    whole.unlink()
    is_refused(tmp_path, "the packed file is damaged")


@pytest.mark.parametrize("lost", [3, N - 1])
def test_an_atom_whose_line_is_blank_is_not_passed_over(tmp_path, lost):
    both(
        of(tmp_path),
        lambda places: dump(
            places,
            "element x y z",
            lambda k: f"{NAMES[KINDS[k]]} {' '.join(map(repr, places[k].tolist()))}" * (k != lost),
        ),
        "{}.dump",
    )
    is_refused(tmp_path, "0 columns")


def test_many_snapshots_with_energies_beside_or_in_a_column(tmp_path):
    folder = of(tmp_path)
    (folder / "all.dump").write_text(dump(LOW) + dump(HIGH))
    (folder / "energies.csv").write_text(f"file,frame,energy\nall.dump,0,{E_LOW}\nall.dump,1,{E_HIGH}\n")
    is_right(tmp_path)
    (folder / "energies.csv").write_text(
        f"file,frame,energy\nall.dump,0,{E_LOW}\nall.dump,1,{E_HIGH}\nall.dump,2,-70\n"
    )
    assert "all.dump, frame 2, is not there" in run("step0_collect", tmp_path).stdout
    (folder / "energies.csv").unlink()
    is_refused_for_energy = run("step0_collect", tmp_path)
    assert "has no energy" in is_refused_for_energy.stdout
    folder = of(tmp_path, energy_key="c_pe")

    def with_column(places, energy):
        return dump(places, "id type x y z c_pe", lambda k: line(k, [*places[k], energy / N]))

    (folder / "all.dump").write_text(with_column(LOW, E_LOW) + with_column(HIGH, E_HIGH))
    is_right(tmp_path)


def xyz(places, energy, comment=None, row=None, order=range(N), columns="species:S:1:pos:R:3", pbc="T T T", cell=CELL):
    lattice = " ".join(map(repr, np.asarray(cell).ravel().tolist()))
    comment = comment or f'Lattice="{lattice}" Properties={columns} energy={energy} pbc="{pbc}"'
    row = row or (lambda k: f"{NAMES[KINDS[k]]} " + " ".join(map(repr, places[k].tolist())))
    return "\n".join([str(len(order)), comment, *(row(k) for k in order)]) + "\n"


def frames(make):
    return make(LOW, E_LOW) + make(HIGH, E_HIGH)


def named(names, places):
    return lambda k: f"{names[KINDS[k] - 1]} " + " ".join(map(repr, places[k].tolist()))


OBLIQUE = CELL + np.array([[0, 0, 0], [3.0, 0, 0], [1.0, -2.0, 0]])
XYZ = {
    "as it is": frames(xyz),
    "blank lines between frames": "\n" + xyz(LOW, E_LOW) + "\n\n" + xyz(HIGH, E_HIGH) + "\n",
    "species A and B": frames(lambda p, e: xyz(p, e, row=named("AB", p))),
    "species 1 and 2": frames(lambda p, e: xyz(p, e, row=named("12", p))),
    "permuted axes": frames(lambda p, e: xyz(p, e, cell=CELL[[1, 2, 0]])),
    "left-handed axes": frames(lambda p, e: xyz(p, e, cell=CELL * [[1], [-1], [1]])),
    "a sheared cell": frames(lambda p, e: xyz(p, e, cell=OBLIQUE)),
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
            row=lambda k: f"{5 * k + 2} {NAMES[KINDS[k]]} 3.5 0.7 " + " ".join(map(repr, p[k].tolist())),
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
        frames(
            lambda p, e: xyz(
                p, e, columns="id:I:1:pos:R:3", row=lambda k: f"{k // 2} " + " ".join(map(repr, p[k].tolist()))
            )
        ),
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


def test_a_folder_for_each_minimum_and_formats_of_ase(tmp_path):
    folder = of(tmp_path)
    for k, (places, energy) in enumerate(((LOW, E_LOW), (HIGH, E_HIGH))):
        atoms = Atoms([NAMES[kind] for kind in KINDS], positions=places, cell=CELL, pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
        (folder / f"min_{k}").mkdir()
        ase.io.write(folder / f"min_{k}" / "relaxed.traj", atoms)
    is_right(tmp_path)
    assert sorted(pd.read_csv(tmp_path / "output_ML/T0.1/minima.csv")["file"]) == [
        f"min_{k}/relaxed.traj#0" for k in (0, 1)
    ]


ORDER, COUNTS = np.argsort(KINDS, kind="stable"), np.bincount(KINDS)[1:]  # as in a POTCAR of two elements


def lines(rows, form):
    return ["".join(f"{x:{form}}" for x in row) for row in np.atleast_2d(rows)]


def outcar(places, energy):
    """As VASP 5.4 writes it, of three steps the last of which is relaxed; the parts that are read."""
    parts = [" vasp.5.4.4.18Apr17", *(f" POTCAR:    PAW_PBE {name} 08Apr2002" for name in [*NAMES.values()] * 2)]
    parts += ["   ISPIN  =      1    spin polarized?", f"   ions per type =     {COUNTS[0]:6d}{COUNTS[1]:6d}", ""]
    for left in (2, 1, 0):
        total = f"{energy + 1.5 * left:18.8f}"
        parts += [f"-------------- Iteration {3 - left:4d}(   1)  --------------", "  volume of cell :      504.00"]
        parts += ["      direct lattice vectors                 reciprocal lattice vectors"]
        parts += [*lines(np.hstack([CELL, np.linalg.inv(CELL).T]), "13.9f"), ""]
        parts += [" POSITION                                       TOTAL-FORCE (eV/Angst)", " " + "-" * 83]
        parts += [*lines(np.hstack([places[ORDER] + 0.1 * left, np.zeros((N, 3))]), "13.5f"), " " + "-" * 83, ""]
        parts += ["  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)", "  " + "-" * 51]
        parts += [f"  free  energy   TOTEN  = {total} eV", ""]
        parts += [f"  energy  without entropy= {total}  energy(sigma->0) = {total}", ""]
    return "\n".join([*parts, " General timing and accounting informations for this job:", ""])


def vasprun(places, energy):
    def vectors(name, rows):
        return f'<varray name="{name}">' + "".join(f"<v>{line}</v>\n" for line in lines(rows, "18.10f")) + "</varray>"

    def structure(shift, name=""):
        scaled = (places[ORDER] + shift) @ np.linalg.inv(CELL)
        return f"<structure{name}><crystal>{vectors('basis', CELL)}</crystal>{vectors('positions', scaled)}</structure>"

    def energies(left):
        names = ("e_fr_energy", "e_wo_entrp", "e_0_energy")
        return "<energy>" + "".join(f'<i name="{name}">{energy + left:.8f}</i>' for name in names) + "</energy>"

    atoms = "".join(f"<rc><c>{NAMES[KINDS[k]]}</c><c>{KINDS[k]}</c></rc>" for k in ORDER)
    text = f'<modeling><atominfo><atoms>{N}</atoms><array name="atoms"><set>{atoms}</set></array></atominfo>'
    text += f"<kpoints>{vectors('kpointlist', np.zeros(3))}{vectors('weights', np.ones(1))}</kpoints>"
    text += structure(0.3, ' name="initialpos"')
    for left in (2, 1, 0):
        text += f"<calculation><scstep>{energies(left)}</scstep>{structure(0.1 * left)}"
        text += f"{vectors('forces', np.zeros((N, 3)))}{energies(left)}</calculation>\n"
    return text + "</modeling>\n"


@pytest.mark.parametrize(("name", "write"), [("OUTCAR", outcar), ("vasprun.xml", vasprun)])
def test_of_a_calculation_with_vasp_in_a_folder_of_its_own_the_last_step_is_the_minimum(tmp_path, name, write):
    for k, (places, energy) in enumerate(((LOW, E_LOW), (HIGH, E_HIGH))):
        (of(tmp_path) / f"min_{k}").mkdir()
        (of(tmp_path) / f"min_{k}" / name).write_text(write(places, energy))
    is_right(tmp_path)


@pytest.mark.parametrize("top", [True, False])
def test_energies_of_files_without_any_stand_beside_them_or_beside_their_folders(tmp_path, top):
    for k, (places, energy) in enumerate(((LOW, E_LOW), (HIGH, E_HIGH))):
        folder = of(tmp_path) / f"min_{k}"
        folder.mkdir()
        ase.io.write(folder / "POSCAR", Atoms([NAMES[kind] for kind in KINDS], places, cell=CELL, pbc=True))
        with (of(tmp_path) / "energies.csv" if top else folder / "energies.csv").open("a") as file:
            file.write("file,energy\n" * (not top or k == 0) + f"min_{k}/POSCAR,{energy}\n"[6 * (not top) :])
    is_right(tmp_path)
    if top:
        with (of(tmp_path) / "energies.csv").open("a") as file:
            file.write("min_7/POSCAR,-71\n")
        assert "energies.csv: min_7/POSCAR is not there" in run("step0_collect", tmp_path).stdout


def trajectory():
    """Eight minima that differ by pairs of moved atoms and a little everywhere, their centre at rest; and energies."""
    rng = np.random.default_rng(12)
    for k in range(8):
        places = LOW + rng.normal(0, 0.02, (N, 3))
        places[rng.choice(N, 2, replace=False)] += rng.normal(0, 0.4, 3) * [[1], [-1]]
        yield places - (places - LOW).mean(0), E_LOW + 0.004 * k


WAYS = {
    "data": ("{}.data", lambda p, e, rng: data(p, ROWS["atomic"], " # atomic")),
    "dumps, wrapped": ("{}.dump", lambda p, e, rng: dump(p % SIDES)),
    "dumps, unwrapped": (
        "{}.dump",
        lambda p, e, rng: dump(p, "id type xu yu zu", lambda k: line(k, p[k] + SIDES * rng.integers(-2, 3, 3))),
    ),
    "dumps, scaled": ("{}.dump", lambda p, e, rng: dump(p, "id type xs ys zs", lambda k: line(k, p[k] / SIDES % 1))),
    "dumps, shuffled": ("{}.dump", lambda p, e, rng: dump(p, order=rng.permutation(N))),
    "extended XYZ": ("{}.xyz", lambda p, e, rng: xyz(p, e)),
    "extended XYZ, shifted by cells": ("{}.xyz", lambda p, e, rng: xyz(p + CELL.T @ rng.integers(-2, 3, 3), e)),
    "extended XYZ, drifting": ("{}.xyz", lambda p, e, rng: xyz(p + rng.uniform(-20, 20, 3), e)),
}


def test_one_trajectory_gives_one_table_in_every_format(tmp_path):
    tables = {}
    for way, (name, text) in WAYS.items():
        folder, rng = of(tmp_path / way), np.random.default_rng(3)
        for places, energy in trajectory():
            (folder / name.format(f"{energy / N:.16f}")).write_text(text(places, energy, rng))
        assert ("drifts" in done("step0_collect", tmp_path / way)) == ("drifting" in way)
        tables[way] = pd.read_feather(tmp_path / way / "Configurations/pairs/T0.1/Cnf-1.feather")
    assert len(tables["data"]) == 28
    for way, table in tables.items():  # from other places rounded coordinates leave up to 1e-6 of a feature
        tolerance = {"rtol": 1e-6, "atol": 1e-8} if "drifting" in way else {"rtol": 1e-9, "atol": 1e-9}
        pd.testing.assert_frame_equal(table, tables["data"], **tolerance)


def test_files_of_one_frame_are_in_time_order_by_the_numbers_in_their_names_where_that_is_set(tmp_path):
    rng, visits = np.random.default_rng(0), [0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1]
    for k, at in enumerate(visits):
        places = (LOW, HIGH)[at] + 1e-8 * rng.normal(size=(N, 3))
        (of(tmp_path) / f"quench{k}.xyz").write_text(xyz(places, (E_LOW, E_HIGH)[at] + 1e-9 * rng.random()))
    is_right(tmp_path)
    assert "Tij" not in pd.read_feather(tmp_path / "Configurations/pairs/T0.1/Cnf-1.feather")
    of(tmp_path, time_order="true")
    is_right(tmp_path, Tij=4.0, Tji=3.0)
    both(of(tmp_path / "named", time_order="true"), lambda places: data(places, ROWS["atomic"], " # atomic"), "{}.data")
    is_right(tmp_path / "named")
    assert "Tij" not in pd.read_feather(tmp_path / "named/Configurations/pairs/T0.1/Cnf-1.feather")


def test_more_pairs_than_memory_or_disk_hold_are_told_with_a_limit_that_fits(tmp_path, monkeypatch):
    for k, (places, energy) in enumerate(trajectory()):
        (of(tmp_path) / f"{k}.xyz").write_text(xyz(places, energy))
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(20 * 160))
    said = run("step0_collect", tmp_path)
    assert said.returncode == 2
    found = re.search(r"its 28 pairs need .* MB on disk .*, or lower pairs.max_delta_E .*: (\S+) gives", said.stderr)
    (tmp_path / "config.yaml").write_text(f"units: metal\npairs: {{max_delta_E: {found[1]}}}\n")
    assert re.search(r"\b[1-9]\d? pairs?, ", done("step0_collect", tmp_path))


def test_totals_in_names_are_noticed(tmp_path):
    for places, energy in ((LOW, E_LOW), (HIGH, E_HIGH)):
        (of(tmp_path) / f"{energy}.data").write_text(data(places, ROWS["atomic"], " # atomic"))
    is_refused(tmp_path, "total", "24")


def test_a_trajectory_gives_transitions_and_a_file_of_the_user_stays(tmp_path):
    rng = np.random.default_rng(3)
    visits = [0, 1, 1, 0, 1, 0, 0]
    text = "".join(
        xyz((LOW, HIGH)[k] + 1e-8 * rng.normal(size=(N, 3)), (E_LOW, E_HIGH)[k] + 1e-9 * rng.random()) for k in visits
    )
    (of(tmp_path) / "run.extxyz").write_text(text)
    is_right(tmp_path, Tij=2.0, Tji=2.0)
    path = tmp_path / "Configurations/transitions/T0.1/Cnf-1.csv"
    assert pd.read_csv(path)["count"].tolist() == [2, 2]
    of(tmp_path, time_order="false")
    done("step0_collect", tmp_path)
    assert not path.exists()
    assert "Tij" not in pd.read_feather(tmp_path / "Configurations/pairs/T0.1/Cnf-1.feather")
    path.write_text(f"i,j,count\n{E_LOW / N},{E_HIGH / N},5\n{E_LOW / N},-1.5,7\n")
    of(tmp_path, time_order="true")
    said = is_right(tmp_path, Tij=5.0, Tji=0.0)
    assert "7 transitions from or to unknown minima" in said


@pytest.mark.parametrize("name", ["dump", "data", "extxyz"])
def test_a_file_that_is_cut_anywhere_gives_no_other_number(tmp_path, name):
    text = {"dump": dump(HIGH), "data": data(HIGH, ROWS["atomic"], " # atomic"), "extxyz": xyz(HIGH, E_HIGH)}[name]
    folder = of(tmp_path)
    (folder / "low.extxyz").write_text(xyz(LOW, E_LOW))
    path = folder / (f"{E_HIGH / N:.10f}.{name}" if name != "extxyz" else "high.extxyz")
    for end in [*np.linspace(0, len(text) - 30, 12).astype(int), *range(len(text) - 20, len(text) - 1, 3)]:
        path.write_text(text[:end])
        run("step0_collect", tmp_path)
        table = tmp_path / "Configurations/pairs/T0.1/Cnf-1.feather"
        if table.exists() and len(pairs := pd.read_feather(table)):
            assert pairs["total_displacement"][0] == pytest.approx(0.42**0.5, rel=1e-6), end
            table.unlink()


def test_counts_follow_minima_that_were_relaxed_or_seen_again(tmp_path):
    middle = HIGH + np.random.default_rng(8).normal(0, 0.02, (N, 3))
    folder = of(tmp_path)
    (folder / "m.extxyz").write_text(frames(xyz) + xyz(middle, E_HIGH + 0.004) + xyz(LOW + 1e-7, E_LOW + 1e-6))
    names = [energy / N for energy in (E_LOW, E_HIGH, E_HIGH + 0.004, E_LOW + 1e-6)]
    path = tmp_path / "Configurations/transitions/T0.1/Cnf-1.csv"
    path.parent.mkdir(parents=True)
    path.write_text(
        "i,j,count\n" + "".join(f"{names[i]!r},{names[j]!r},{n}\n" for i, j, n in ((0, 1, 3), (2, 3, 5), (2, 1, 9)))
    )
    relaxed = "name,energy,max_force,became,displacement\n"
    (folder / "relaxed.csv").write_text(f"{relaxed}m.extxyz#2,{names[2]!r},0.5,m.extxyz#1,0.1\n")
    is_right(tmp_path, Tij=3.0, Tji=5.0)  # from HIGH to itself is no transition
