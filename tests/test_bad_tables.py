"""Damaged pair tables, pretraining sets and lists: one line that names the file, or made again."""

import os
import re
import shutil
from contextlib import suppress

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import synthetic
from steps import done, refused

from MLmodel.labels import read_pretraining
from pipeline.errors import UserError
from pipeline.formats.pair_tables import check_ready_made, open_table, read_batches
from pipeline.workspace import CLASSIFIER, Workspace

T = "0.1"


@pytest.fixture
def glass(tmp_path):
    """A workspace with the minima of one made-up glass; their folder is ``minima`` below."""
    return synthetic.make_workspace(tmp_path, glasses=1, n_minima=6)


def table_of(root, conf=1):
    return root / f"Configurations/pairs/T{T}/Cnf-{conf}.feather"


DAMAGE = {
    "emptied": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "its end overwritten": lambda content: content[:-300] + bytes(200) + content[-100:],
    "its record damaged": lambda content: content.replace(b'"format": 2', b'"format": {2'),
    "a field of its record of another kind": lambda content: content.replace(b'"rejected": {}', b'"rejected": 17'),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_ones_own_damaged_table_is_made_again(glass, damage):
    done("step0_collect", glass)
    path = table_of(glass)
    good = path.read_bytes()
    path.write_bytes(DAMAGE[damage](good))
    assert path.read_bytes() != good
    assert "15 pairs, 15 computed" in done("step0_collect", glass)
    assert path.read_bytes() == good


@pytest.mark.parametrize("damage", ["emptied", "cut", "its end overwritten"])
def test_a_damaged_table_without_minima_is_named(glass, damage):
    done("step0_collect", glass)
    path = table_of(glass)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    shutil.rmtree(Workspace(glass).at(T).minima / "Cnf-1")
    assert str(path) in refused("step0_collect", glass)


def with_values(path, change):
    """The same table with other values, as on a disk that forgets."""
    with pa.ipc.open_file(path.read_bytes()) as reader:
        table = reader.read_all()
    columns = {name: table[name].to_numpy().copy() for name in table.column_names}
    change(columns)
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_batch(pa.record_batch([pa.array(one) for one in columns.values()], schema=table.schema))


def spoil(columns):
    columns["total_displacement"][3] = -1.0
    columns["PR"][4] = np.inf
    columns["i"][5] = 1e300
    columns["j"][6] = np.nan
    columns["i"][7], columns["j"][7] = columns["j"][7], columns["i"][7]
    columns["displacement_0"][8] = 1e-300


def test_impossible_values_in_ones_own_table_are_not_taken_over(glass):
    done("step0_collect", glass)
    with_values(table_of(glass), spoil)
    synthetic.make_glass(glass / "other", 1, seed=9)[0].rename(Workspace(glass).at(T).minima / "Cnf-1/0.19.conf.txt")
    assert "1 files rejected" in done("step0_collect", glass)  # a minimum of another glass, so that all is written anew
    written = table_of(glass).read_bytes()
    table_of(glass).unlink()
    done("step0_collect", glass)
    made = pd.read_feather(table_of(glass))
    table_of(glass).write_bytes(written)
    pd.testing.assert_frame_equal(pd.read_feather(table_of(glass)), made, check_exact=True)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("total_displacement", -1.0, "row 3: total_displacement = -1.0 is not from 0"),
        ("PR", np.inf, "row 3: PR is not a finite number"),
        ("Delta_E", np.nan, "row 3: Delta_E is not a finite number"),
        ("0to1", 1e300, "row 3: 0to1 = 1e"),
        ("nearest_i", np.inf, "row 3: nearest_i is not a finite number"),
        ("conf", -4, "row 3: conf = -4 is not a whole number"),
    ],
)
def test_impossible_values_in_a_table_are_named_by_all_that_read_it(glass, name, value, says):
    done("step0_collect", glass)
    path = table_of(glass)
    with_values(path, lambda columns: columns[name].__setitem__(3, value))
    with pytest.raises(UserError, match=rf"Cnf-1\.feather: {re.escape(says)}.*step0_collect"):
        list(read_batches(path))


def pairs(**others):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"conf": 1, "i": np.arange(9) * 0.1, "j": np.arange(9) + 1.0, "Delta_E": rng.random(9)})
    return table.assign(total_displacement=rng.random(9), PR=2.0, **others)


@pytest.mark.parametrize("place", ["pairs", "pretraining"])
def test_bits_flipped_anywhere_in_a_table_of_users_are_named_or_do_no_harm(tmp_path, place):
    path = tmp_path / "table.feather"
    pairs(is_dw=1).to_feather(path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        spoilt = bytearray(content)
        spoilt[rng.integers(len(spoilt))] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoilt)
        with suppress(UserError):
            check_ready_made(path, 10) if place == "pairs" else read_pretraining(path, CLASSIFIER, 10)


def test_a_pretraining_set_with_half_a_glass_is_named(tmp_path):
    pairs(is_dw=1).assign(conf=1.5).to_feather(tmp_path / "a.feather")
    with pytest.raises(UserError, match=r"a\.feather: row 0: conf = 1\.5 is not a whole number"):
        read_pretraining(tmp_path / "a.feather", CLASSIFIER, 10)


def test_a_pipe_in_the_place_of_a_table_is_named(tmp_path):
    os.mkfifo(tmp_path / "a.feather")
    with pytest.raises(UserError, match=r"a\.feather: not a file"):
        open_table(tmp_path / "a.feather")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["emptied", "cut", "its end overwritten"])
def test_step_4_does_not_believe_double_wells_that_were_changed(trained_copy, damage):
    path = Workspace(trained_copy).at(T).classified_features
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    said = refused("step4_predict_qs", trained_copy)
    assert f"{path}: changed since step2_classify_dw.py wrote it: run that step" in said


@pytest.mark.slow
def test_the_report_passes_over_a_damaged_set_of_a_model(trained_copy):
    path = trained_copy / "MLmodel/qs-regression-T01-test.feather"
    numbers = pd.read_feather(path)["quantum_splitting"]
    table = pd.DataFrame({"temperature": 0.1, "exact_epsilon": numbers, "predicted_epsilon": numbers})
    table.to_csv(trained_copy / "output_ML/qs-true_vs_AI_testset.csv", index=False)
    done("report", trained_copy)
    assert "trained again since" not in (page := trained_copy / "output_ML/report.html").read_text()
    path.write_bytes(path.read_bytes()[:-300])
    done("report", trained_copy)
    assert "The predictor was trained again since" in page.read_text()
