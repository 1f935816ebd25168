"""Folders of single minima and formats that ASE reads; one trajectory in every format; time order and transitions."""

import re
from collections import namedtuple

import ase.io
import numpy as np
import pandas as pd
import pytest
import small_metal as metal
from ase import Atoms
from small_metal import CELL, E_HIGH, E_LOW, HIGH, KINDS, LOW, N, both, data, dump, frames, is_right, line, of, xyz
from steps import done, run

usage = namedtuple("usage", "free")


ORDER, COUNTS = np.argsort(KINDS, kind="stable"), np.bincount(KINDS)[1:]  # as in a POTCAR of two elements


def lines(rows, form):
    return ["".join(f"{x:{form}}" for x in row) for row in np.atleast_2d(rows)]


def outcar(places, energy):
    """As VASP 5.4 writes it, of three steps the last of which is relaxed; the parts that are read."""
    parts = [" vasp.5.4.4.18Apr17", *(f" POTCAR:    PAW_PBE {name} 08Apr2002" for name in [*metal.NAMES.values()] * 2)]
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


def test_of_a_calculation_with_vasp_in_a_folder_of_its_own_the_last_step_is_the_minimum(tmp_path):
    for k, (places, energy) in enumerate(metal.MINIMA):
        (of(tmp_path) / f"min_{k}").mkdir()
        (of(tmp_path) / f"min_{k}" / "OUTCAR").write_text(outcar(places, energy))
    is_right(tmp_path)


@pytest.mark.parametrize("top", [True, False])
def test_energies_of_files_without_any_stand_beside_them_or_beside_their_folders(tmp_path, top):
    for k, (places, energy) in enumerate(metal.MINIMA):
        folder = of(tmp_path) / f"min_{k}"
        folder.mkdir()
        ase.io.write(folder / "POSCAR", Atoms([metal.NAMES[kind] for kind in KINDS], places, cell=CELL, pbc=True))
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


def ways(cell):
    """How a minimum of a trajectory may be written: name of the file, and its text."""
    xy, xz, yz = tilts = cell[1, 0], cell[2, 0], cell[2, 1]
    is_tilted, inverse = any(tilts), np.linalg.inv(cell)
    lows, highs = ([limit(0, xy, xz, xy + xz), limit(0, yz), 0] for limit in (min, max))
    bounds = np.column_stack([lows, metal.SIDES + highs, tilts])[:, : 3 if is_tilted else 2]
    box = {"bounds": "\n".join(map(metal.numbers, bounds)), "flags": " xy xz yz" * is_tilted + " pp pp pp"}

    def dumped(places, columns="x y z", **more):
        return dump(places, f"id type {columns}", lambda k: line(k, places[k]), **box, **more)

    return {
        "data": ("{}.data", lambda p, e, rng: data(p, "atomic", head=f"{metal.numbers(tilts)} xy xz yz" * is_tilted)),
        "dumps, wrapped": ("{}.dump", lambda p, e, rng: dumped((p @ inverse % 1) @ cell, order=rng.permutation(N))),
        "dumps, unwrapped": ("{}.dump", lambda p, e, rng: dumped(p + rng.integers(-2, 3, p.shape) @ cell, "xu yu zu")),
        "dumps, scaled": ("{}.dump", lambda p, e, rng: dumped(p @ inverse % 1, "xs ys zs")),
        "extended XYZ": ("{}.xyz", lambda p, e, rng: xyz(p + rng.integers(-2, 3, 3) @ cell, e, cell=cell)),
        "extended XYZ, drifting": ("{}.xyz", lambda p, e, rng: xyz(p + rng.uniform(-20, 20, 3), e, cell=cell)),
    }


@pytest.mark.parametrize("tilted", [False, True])
def test_one_trajectory_gives_one_table_in_every_format(tmp_path, tilted):
    cell, tables = CELL + tilted * np.array([[0, 0, 0], [2.5, 0, 0], [1.0, -1.5, 0]]), {}
    for way, (name, text) in ways(cell).items():
        folder, rng = of(tmp_path / way), np.random.default_rng(3)
        for places, energy in trajectory():
            (folder / name.format(f"{energy / N:.16f}")).write_text(text(places, energy, rng))
        assert ("drifts" in done("step0_collect", tmp_path / way)) == ("drifting" in way)
        tables[way] = pd.read_feather(tmp_path / way / "Configurations/pairs/T0.1/Cnf-1.feather")
    assert len(tables["data"]) == 28
    for way, table in tables.items():
        # in an orthogonal cell features come from coordinates rounded to 2⁻³² of it, which are others after a shift
        rounded = "drifting" in way and not tilted
        tolerance = {"rtol": 1e-6, "atol": 1e-8} if rounded else {"rtol": 1e-9, "atol": 1e-9}
        pd.testing.assert_frame_equal(table, tables["data"], **tolerance)


def visited(order):
    """Frames of a trajectory that comes to the low and the high minimum in this order."""
    rng = np.random.default_rng(0)
    for k in order:
        yield xyz((LOW, HIGH)[k] + 1e-8 * rng.normal(size=(N, 3)), (E_LOW, E_HIGH)[k] + 1e-9 * rng.random())


def test_files_of_one_frame_are_in_time_order_by_the_numbers_in_their_names_where_that_is_set(tmp_path):
    for k, text in enumerate(visited([0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1])):
        (of(tmp_path) / f"quench{k}.xyz").write_text(text)
    is_right(tmp_path)
    assert "Tij" not in pd.read_feather(tmp_path / "Configurations/pairs/T0.1/Cnf-1.feather")
    of(tmp_path, time_order="true")
    is_right(tmp_path, Tij=4.0, Tji=3.0)
    both(of(tmp_path / "named", time_order="true"), lambda places: data(places, "atomic"), "{}.data")
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


def test_files_of_one_minimum_whose_names_hold_a_hash_are_no_frames_of_one_file(tmp_path):
    folder, rows = of(tmp_path), ["file,energy"]
    for k, at in enumerate([0, 1, 0, 1]):
        (folder / f"quench#{k}.data").write_text(data((LOW, HIGH)[at], "atomic"))
        rows.append(f"quench#{k}.data,{(E_LOW, E_HIGH)[at]}")
    (folder / "energies.csv").write_text("\n".join(rows) + "\n")
    is_right(tmp_path)  # a trajectory would have been back where it was
    assert not (tmp_path / "Configurations/transitions").exists()


def test_a_trajectory_gives_transitions_and_a_file_of_the_user_stays(tmp_path):
    (of(tmp_path) / "from-melt.extxyz").write_text("".join(visited([0, 1, 1, 0, 1, 0, 0])))
    is_right(tmp_path, Tij=2.0, Tji=2.0)
    path = tmp_path / "Configurations/transitions/T0.1/Cnf-1.csv"
    assert pd.read_csv(path)["count"].tolist() == [2, 2]
    of(tmp_path, time_order="false")
    done("step0_collect", tmp_path)
    assert not path.exists()
    assert "Tij" not in pd.read_feather(tmp_path / "Configurations/pairs/T0.1/Cnf-1.feather")
    there = f"{E_LOW / N},{E_HIGH / N}"
    path.write_text(f"i,j,count\n{there},2\n{E_LOW / N},-1.5,7\n{E_HIGH / N},{E_LOW / N},1\n{there},3\n")
    of(tmp_path, time_order="true")
    said = is_right(tmp_path, Tij=5.0, Tji=1.0)
    assert "7 transitions from or to unknown minima" in said
    assert "1 pair, nothing new computed" in said


@pytest.mark.parametrize("name", ["dump", "data", "extxyz"])
def test_a_file_that_is_cut_anywhere_gives_no_other_number(tmp_path, name):
    text = {"dump": dump(HIGH), "data": data(HIGH, "atomic"), "extxyz": xyz(HIGH, E_HIGH)}[name]
    folder = of(tmp_path)
    (folder / "low.extxyz").write_text(xyz(LOW, E_LOW))
    path = folder / (f"{E_HIGH / N:.10f}.{name}" if name != "extxyz" else "high.extxyz")
    for end in [*np.linspace(0, len(text) - 30, 6).astype(int), *range(len(text) - 20, len(text) - 1, 3)]:
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
