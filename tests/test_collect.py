"""Step 0: what is stored, what is computed anew, what is left out."""

import os
import shutil
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import synthetic
from pyarrow import feather
from steps import done, refused, run_process
from synthetic import left_out, read_minimum, read_pairs

from pipeline.errors import UserError
from pipeline.formats.minima import places_by_key
from pipeline.formats.pair_tables import NEIGHBOURHOOD, read_batches
from pipeline.transitions import read_transitions

COLUMNS = ["conf", "i", "j", "Delta_E", "displacement_0", "displacement_1", "displacement_2"]
COLUMNS += ["0to1", "0to2", "total_displacement", "PR"]


def table_of(root, conf=1):
    return root / f"Configurations/pairs/T0.1/Cnf-{conf}.feather"


def minima_of(root, conf=1):
    return sorted((root / f"Configurations/minima/T0.1/Cnf-{conf}").iterdir())


def test_all_pairs_of_every_glass_are_stored_with_the_same_columns(workspace):
    said = done("step0_collect", workspace, run=run_process)
    pairs = read_pairs(workspace)
    assert list(pairs) == COLUMNS + NEIGHBOURHOOD
    assert pairs["conf"].dtype == np.int64
    assert len(pairs) == 4 * 24 * 23 // 2
    assert (pairs["i"] < pairs["j"]).all()
    np.testing.assert_allclose(pairs["Delta_E"], 40 * (pairs["j"] - pairs["i"]), atol=1e-12)
    assert not left_out(workspace).size
    assert said.splitlines()[-2] == f"{len(pairs)} pairs, {len(pairs)} computed, 0 left out"


def test_new_minima_cost_only_their_pairs_and_the_table_is_the_same(workspace, tmp_path_factory):
    done("step0_collect", workspace)
    later = synthetic.make_workspace(tmp_path_factory.mktemp("later"), glasses=1)
    paths = minima_of(later)
    aside = tmp_path_factory.mktemp("aside")
    for path in [paths[0], *paths[5:10], paths[-1]]:
        path.rename(aside / path.name)
    done("step0_collect", later)
    assert len(read_pairs(later)) == 17 * 16 // 2
    for path in aside.iterdir():
        shutil.move(path, later / "Configurations/minima/T0.1/Cnf-1")
    assert f"276 pairs, {276 - 17 * 16 // 2} computed" in done("step0_collect", later)
    at_once = read_pairs(workspace)
    pd.testing.assert_frame_equal(read_pairs(later), at_once[at_once["conf"] == 1], check_exact=True)


def test_a_raised_ceiling_costs_only_the_pairs_above_the_old_one(workspace):
    (workspace / "config.yaml").write_text("pairs: {max_delta_E: 0.02}\n")
    done("step0_collect", workspace)
    few = len(read_pairs(workspace))
    (workspace / "config.yaml").write_text("")
    assert f"1104 pairs, {1104 - few} computed" in done("step0_collect", workspace)
    (workspace / "config.yaml").write_text("pairs: {max_delta_E: 0.02}\n")
    assert f"{few} pairs, nothing new computed" in done("step0_collect", workspace)
    assert len(read_pairs(workspace)) == few
    (workspace / "config.yaml").write_text("pairs: {max_delta_E: 1e-12}\n")
    assert "raise pairs.max_delta_E" in refused("step0_collect", workspace)


def test_a_rewritten_minimum_is_computed_anew_and_one_that_is_damaged_leaves_until_it_is_mended(workspace):
    done("step0_collect", workspace)
    old = read_pairs(workspace)
    paths = minima_of(workspace)
    _, positions, (cell, *_), _ = read_minimum(paths[3])
    diameters = read_minimum(paths[0]).diameters
    positions[0] += 0.3
    paths[3].write_text(synthetic.text_minimum(diameters, positions, np.diag(cell)))
    whole = paths[7].read_text()
    paths[7].write_text(whole[:900])
    assert "1081 pairs, 22 computed, 1 left out" in done("step0_collect", workspace)
    assert "1081 pairs, nothing new computed, 1 left out" in done("step0_collect", workspace)
    new = read_pairs(workspace)
    energies = [float(path.name.removesuffix(".conf.txt")) for path in (paths[3], paths[7])]
    touched = [(table["i"].isin(energies) | table["j"].isin(energies)) & (table["conf"] == 1) for table in (old, new)]
    rest = [table[~part].reset_index(drop=True) for table, part in zip((old, new), touched, strict=True)]
    pd.testing.assert_frame_equal(*(table[COLUMNS] for table in rest), check_exact=True)
    assert touched[1].sum() == 22
    of_glass = (table[table["conf"] == 1] for table in rest)  # what lies between pairs is not as before
    assert not np.array_equal(*(table["nearest_between"] for table in of_glass))
    shutil.rmtree(workspace / "Configurations/pairs")
    done("step0_collect", workspace)
    pd.testing.assert_frame_equal(read_pairs(workspace), new, check_exact=True)
    paths[7].write_text(whole)
    assert "1104 pairs, 23 computed, 0 left out" in done("step0_collect", workspace)


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: content[:-1] + b"x"])
def test_ones_own_damaged_table_is_made_again(tmp_path, damage):
    path = table_of(synthetic.make_workspace(tmp_path, glasses=1, n_minima=6))
    done("step0_collect", tmp_path)
    good = path.read_bytes()
    path.write_bytes(damage(good))
    assert "15 pairs, 15 computed" in done("step0_collect", tmp_path)
    assert path.read_bytes() == good


ODD = {
    "1e300.conf.txt": "a total?",
    "fifo.conf": "not a file",
    "0.3.conf": "not a file that can be read",
    "0.3.conf.txt": "not a file that can be read",
    "fifo.extxyz": "not a file that can be read",
    **dict.fromkeys(("../Cnf-9", "../Cnf-x", "../Cnf-01", "0.2.conf", "../notes.txt", "0.4.txt", "0.5.conf.txt"), ""),
}


def test_odd_files_and_folders_among_the_minima_are_one_rejected_entry_each(tmp_path):
    minima = minima_of(synthetic.make_workspace(tmp_path, glasses=1, n_minima=6))
    folder, names = minima[0].parent, iter(ODD)
    shutil.copy(minima[0], folder / next(names))
    for make in [os.mkfifo] * 4 + [os.mkdir] * 4 + [Path.touch] * 2:
        make(folder / next(names))
    (folder / next(names)).symlink_to("nowhere")
    said = done("step0_collect", tmp_path, run=run_process)  # who reads such a pipe in this process waits for ever
    assert "15 pairs, 15 computed, 12 left out" in said
    assert sum(line.startswith("left out: ") for line in said.splitlines()) == 5
    assert "\nand 7 more; what became of each file and frame: " in said
    listed = left_out(tmp_path).set_index("file")["reason"]
    assert {*listed.index} == {Path(name).name for name in ODD}
    assert all(says in listed[Path(name).name] for name, says in ODD.items())
    assert len(places_by_key(folder, 10)) == 9  # by their names, and does not wait either


def test_numbers_in_files_of_users_are_read_exactly(tmp_path):
    numbers = np.random.default_rng(0).random((200, 2))
    path = tmp_path / "a.csv"
    path.write_text("i,j,count\n" + "".join(f"{i!r},{j!r},1\n" for i, j in numbers.tolist()) + "0.1D-1,nothing,1\n")
    with pytest.raises(UserError, match="line 202"):
        read_transitions(path)
    path.write_text(path.read_text().replace("nothing", "5"))  # and so a column that pandas takes for text
    assert read_transitions(path)[["i", "j"]].to_numpy().tolist() == [*numbers.tolist(), [0.01, 5.0]]


def ready_made(root, change=lambda table: table):
    """A workspace with a ready-made table and no minima."""
    folder = root / "Configurations/pairs/T0.1"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"conf": 5, "i": np.arange(20) // 2, "j": 30 + np.arange(20)})
    for name in (*COLUMNS[3:], "my_feature"):
        table[name] = rng.random(20)
    change(table).to_feather(folder / "database.feather")
    return root


NINE = np.arange(9.0)


@pytest.mark.parametrize(
    "column",
    [
        *(pa.array(NINE.astype(kind)) for kind in ("f2", "f4", "i1", "u2", "i8", "?")),
        pa.array([None if k == 3 else k for k in range(9)], pa.int32()),
        pa.array(NINE).dictionary_encode(),
        pa.array([Decimal(k) / 4 for k in range(9)]),
    ],
    ids=lambda column: str(column.type),
)
def test_columns_of_every_numeric_type_are_features_in_double_precision(tmp_path, column):
    path = ready_made(tmp_path, lambda table: table[:9]) / "Configurations/pairs/T0.1/database.feather"
    feather.write_feather(feather.read_table(path).append_column("Tij", column), path, compression="uncompressed")
    assert "9 pairs, nothing new computed" in done("step0_collect", tmp_path)
    (rows,) = read_batches(path)
    assert rows["Tij"].dtype == np.float64
    np.testing.assert_array_equal(rows["Tij"], [np.nan if v is None else float(v) for v in column.to_pylist()])


def test_a_ready_made_table_is_checked_once_and_used_as_it_is(tmp_path):
    ready_made(tmp_path)
    table = tmp_path / "Configurations/pairs/T0.1/database.feather"
    before = table.read_bytes()
    assert "ready-made table: 20 pairs" in done("step0_collect", tmp_path)
    assert "20 pairs, nothing new computed" in done("step0_collect", tmp_path)
    assert table.read_bytes() == before
    shutil.copytree(tmp_path / "Configurations/pairs/T0.1", tmp_path / "Configurations/pairs/T01")
    assert "would share one model" in refused("step0_collect", tmp_path)


def test_tables_made_with_other_ij_decimals_are_refused_until_they_are_made_anew(trained_copy):
    (trained_copy / "config.yaml").write_text(synthetic.QUICK + "ij_decimals: 8\n")
    assert "made with ij_decimals: 10, but config.yaml says 8; run step0" in refused("step2_classify_dw", trained_copy)
    assert "run step2_classify_dw.py" in refused("step4_predict_qs", trained_copy)
    done("step0_collect", trained_copy)
    done("step2_classify_dw", trained_copy)


def test_a_table_whose_minima_are_gone_is_kept_and_a_glass_in_two_tables_refused(workspace):
    done("step0_collect", workspace)
    ready_made(workspace, lambda table: table.assign(conf=2))
    assert "holds the glass 2" in refused("step0_collect", workspace)
    (workspace / "Configurations/pairs/T0.1/database.feather").unlink()
    shutil.rmtree(workspace / "Configurations/minima")
    assert "1104 pairs, nothing new computed" in (said := done("step0_collect", workspace))
    assert said.count("minima are gone, kept") == 4
    (workspace / "config.yaml").write_text("particles: 2\n")
    assert "made with other ij_decimals or particles" in refused("step0_collect", workspace)
