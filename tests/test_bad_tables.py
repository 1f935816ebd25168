"""Damaged pair tables, pretraining sets and lists: one line that names the file, or made again."""

import os
import shutil
from contextlib import suppress
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import synthetic
from pyarrow import feather
from steps import done, refused

from MLmodel.labels import read_pretraining
from pipeline.errors import UserError
from pipeline.formats.pair_tables import open_table, read_batches
from pipeline.formats.ready_made import check_ready_made
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
    "its record damaged": lambda content: content.replace(b'"format": ', b'"format": {'),
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


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_table_without_minima_is_named(glass, damage):
    done("step0_collect", glass)
    path = table_of(glass)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    shutil.rmtree(Workspace(glass).at(T).minima / "Cnf-1")
    assert f"{path}: changed since step 0 made it" in refused("step0_collect", glass)


def pairs(**others):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"conf": 1, "i": np.arange(9) * 0.1, "j": np.arange(9) + 1.0, "Delta_E": rng.random(9)})
    return table.assign(total_displacement=rng.random(9), PR=2.0, **others)


def ready_made(root, **columns):
    """A ready-made table with some columns of other types or names."""
    folder = root / f"Configurations/pairs/T{T}"
    folder.mkdir(parents=True)
    table = pa.Table.from_pandas(pairs(), preserve_index=False)
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.append_column(name, values) if at < 0 else table.set_column(at, name, values)
    feather.write_feather(table, folder / "mine.feather", compression="uncompressed")
    return folder / "mine.feather"


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
    path = ready_made(tmp_path, Tij=column)
    assert "9 pairs, nothing new computed" in done("step0_collect", tmp_path)
    (rows,) = read_batches(path)
    assert rows["Tij"].dtype == np.float64
    np.testing.assert_array_equal(rows["Tij"], [np.nan if v is None else float(v) for v in column.to_pylist()])


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_an_infinity_is_found_in_every_precision(tmp_path, kind):
    ready_made(tmp_path, PR=pa.array(np.where(NINE == 4, np.inf, NINE).astype(kind)))
    assert "mine.feather: row 4: PR is not a finite number" in refused("step0_collect", tmp_path)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        (pa.array([2**53 + 1] * 9), None),
        (pa.array([7.0] * 9), None),
        (pa.array([2.0**53] * 9), "row 0: conf = 9007199254740992.0 is not exact in a column of floats"),
        (pa.array([1.5] * 9), "row 0: conf = 1.5 is not a whole number"),
        (pa.array([1, None] + [1] * 7), "row 1: conf = None is not a whole number"),
        (pa.array([-4] * 9), "row 0: conf = -4 is not a whole number"),
        (pa.array([2**63 + 1] * 9, pa.uint64()), "row 0: conf = 9223372036854775809 is"),
        (pa.array([True] * 9), "column conf holds bool, not numbers"),
    ],
)
def test_the_number_of_a_glass_is_exact_or_refused(tmp_path, numbers, says):
    path = ready_made(tmp_path, conf=numbers)
    if says:
        assert f"mine.feather: {says}" in refused("step0_collect", tmp_path)
    else:
        done("step0_collect", tmp_path)
        (rows,) = read_batches(path)
        assert rows["conf"].tolist() == [int(v) for v in numbers.to_pylist()]


@pytest.mark.parametrize("name", ["a,b", 'q"r', "", " ", "a\nb", "a[0]", "{x}", "a:b"])
def test_a_feature_whose_name_other_files_can_not_hold_is_named(tmp_path, name):
    ready_made(tmp_path, **{name: pa.array(NINE)})
    assert "can't be the name of a feature" in refused("step0_collect", tmp_path)


@pytest.mark.slow
def test_a_ready_made_table_is_checked_by_step_0_before_another_step_reads_it(trained_copy):
    ready_made(trained_copy / "other").rename(trained_copy / f"Configurations/pairs/T{T}/mine.feather")
    said = refused("step2_classify_dw", trained_copy)
    assert "mine.feather: changed since step0_collect.py wrote it: run that step" in said


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
    path = trained_copy / "MLmodel/qs-regression-T01/used.feather"
    path.write_bytes(path.read_bytes()[:-300])
    done("report", trained_copy)
    said = (trained_copy / "output_ML/report.html").read_text()
    assert "used.feather: missing, or changed since the training; run step3_train_qs.py" in said
