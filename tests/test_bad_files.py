"""Damaged pair tables and lists, and odd files among the minima: one line that names the file, or made again."""

import os
import shutil
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import synthetic
from pyarrow import feather
from steps import done, run_process

from pipeline.errors import UserError
from pipeline.formats.minima import places_by_key
from pipeline.formats.pair_tables import read_batches
from pipeline.transitions import read_transitions

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
    "its metadata damaged": lambda content: content.replace(b"reduced", b"r?duced"),
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


# Minima and transitions


def minima(root):
    return root / f"Configurations/minima/T{T}/Cnf-1"


def rejected(root):
    return synthetic.left_out(root, T).set_index("file")["reason"].to_dict()


def test_numbers_in_files_of_users_are_read_exactly(tmp_path):
    numbers = np.random.default_rng(0).random((200, 2))
    path = tmp_path / "a.csv"
    path.write_text("i,j,count\n" + "".join(f"{i!r},{j!r},1\n" for i, j in numbers.tolist()) + "0.1D-1,nothing,1\n")
    with pytest.raises(UserError, match="line 202"):
        read_transitions(path)
    path.write_text(path.read_text().replace("nothing", "5"))  # and so a column that pandas takes for text
    assert read_transitions(path)[["i", "j"]].to_numpy().tolist() == [*numbers.tolist(), [0.01, 5.0]]


ODD = {
    "1e300.conf.txt": "a total?",
    "fifo.conf": "not a file",
    "0.3.conf": "not a file that can be read",
    "0.3.conf.txt": "not a file that can be read",
    "fifo.extxyz": "not a file that can be read",
}


def test_odd_files_among_the_minima_are_one_rejected_entry_each(glass):
    for name in ODD:
        path = minima(glass) / name
        if "e300" in name:
            shutil.copy(next(minima(glass).iterdir()), path)
        else:
            os.mkfifo(path)
    said = done("step0_collect", glass, run=run_process)  # who reads such a pipe in this process waits for ever
    assert "15 pairs, 15 computed, 5 left out" in said
    for name, says in rejected(glass).items():
        assert ODD[name] in says
    assert len(places_by_key(minima(glass), 10)) == 7
