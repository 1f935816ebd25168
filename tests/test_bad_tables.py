"""Damaged pair tables, pretraining sets and lists: one line that names the file, or made again."""

import os
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import synthetic
from pyarrow import feather
from steps import done, refused

from pipeline.errors import UserError
from pipeline.formats.pair_tables import open_table, read_batches
from pipeline.workspace import Workspace

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


@pytest.mark.slow
def test_a_ready_made_table_is_checked_by_step_0_before_another_step_reads_it(trained_copy):
    ready_made(trained_copy / "other").rename(trained_copy / f"Configurations/pairs/T{T}/mine.feather")
    said = refused("step2_classify_dw", trained_copy)
    assert "mine.feather: changed since step0_collect.py wrote it: run that step" in said


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
