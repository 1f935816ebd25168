"""The lists of pairs: six digits, whole labels, in order, the same whatever works on them."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from pipeline.formats.pair_lists import as_listed, read_list, write_list
from pipeline.workspace import QS

STEP = "step4_predict_qs.py"


@pytest.fixture
def table():
    rng = np.random.default_rng(1)
    labels = rng.choice([0.2044810139, 0.2, -4.5000000001, 17.0, 5e-10], (2, 500))
    numbers = 10.0 ** rng.uniform(-12, 9, 500) * rng.choice([-1, 1], 500)
    return pd.DataFrame({"conf": 148750000, "i": labels[0], "j": labels[1], QS: numbers, "PR": 3.0})


def test_labels_have_all_their_digits_and_other_numbers_six(table, tmp_path):
    write_list(tmp_path / "list.csv", pl.concat([as_listed(table[:200]), as_listed(table[200:])]), 10)
    head, *lines = (tmp_path / "list.csv").read_text().splitlines()
    assert head == "conf,i,j,quantum_splitting,PR"
    for line, row in zip(lines, table.itertuples(), strict=True):
        conf, i, j, splitting, _ = line.split(",")
        assert (conf, i, j) == ("148750000", f"{row.i:.10f}", f"{row.j:.10f}")
        assert float(splitting) == float(f"{row.quantum_splitting:.6g}")
        assert len(splitting.partition("e")[0].strip("-0.").replace(".", "")) <= 10  # no tail of rounding
    read = read_list(tmp_path / "list.csv", ["conf", "i", "j", "PR"], STEP)
    pd.testing.assert_frame_equal(read, table[["conf", "i", "j", "PR"]], check_exact=True)


def test_rows_come_in_the_order_that_is_asked_for_and_what_is_unknown_is_empty(table, tmp_path):
    table.loc[3, "PR"] = np.nan
    write_list(tmp_path / "list.csv", as_listed(table), 10, np.array([7, 3]))
    assert [line.split(",")[-1] for line in (tmp_path / "list.csv").read_text().splitlines()] == ["PR", "3.0", ""]
    write_list(tmp_path / "list.csv", as_listed(table), 10, np.arange(0))
    assert (tmp_path / "list.csv").read_text() == "conf,i,j,quantum_splitting,PR\n"
    assert read_list(tmp_path / "list.csv", ["conf", QS], STEP).empty
