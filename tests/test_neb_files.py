"""Files of results and lists: what users and other programs write is read as meant, what steps write in full."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from moving_glass import HOW, LEVELS, PROFILE

from pipeline.formats.keys import Pair
from pipeline.formats.pair_lists import as_listed, copy_lines, read_list, write_list
from pipeline.formats.records import add_record, read_records
from pipeline.formats.results import (
    add_calculation,
    add_splitting,
    add_unfinished,
    merge_shares,
    read_calculations,
    read_neb_results,
    read_pair_list,
    read_unfinished,
    settle_unfinished,
    take_back_splitting,
)
from pipeline.workspace import QS, Workspace

T, ROW = "0.1", {"verdict": "non-DW", "fidelity": "", "cpu_seconds": 1.0}


@pytest.fixture
def work(tmp_path):
    work = Workspace(tmp_path)
    work.at(T).neb.mkdir(parents=True)
    return work


@pytest.mark.parametrize("text", ["1.06D-02", "1.06d-2", "1.06E-02", "0.0106", "106.D-4"])
def test_numbers_as_fortran_and_lines_as_windows_writes_them_are_read(work, text):
    line = f"Cnf-1 2.0D-01_0.3d0 {text}\r\n"
    (work.at(T).neb / "Qs_calculations.txt").write_bytes(b"\xef\xbb\xbf" + line.encode())
    assert read_neb_results(work.at(T))[["i", "j", "quantum_splitting"]].to_numpy().tolist() == [[0.2, 0.3, 0.0106]]


def test_a_splitting_that_was_typed_is_taken_back_however_it_stands_there_and_what_stood_there_stays_readable(work):
    one, other = (work.at(T).neb / name for name in ("Qs_calculations.txt", "Qs_calcuations.txt"))
    one.write_text("# mine\nCnf-1  0.20000000000000004_0.1  1.0D-02\n\nCnf-1 0.1_0.25 0.02\n")
    other.write_text("Cnf-1 0.1_0.2 0.03\n")
    take_back_splitting(work.at(T), Pair(1, 0.1, 0.2))
    assert read_neb_results(work.at(T))[["conf", "j"]].to_numpy().tolist() == [[1, 0.25]]
    assert one.read_text().splitlines()[::3] == ["# mine", "Cnf-1 0.1_0.25 0.02"]
    assert one.read_text().splitlines()[1].endswith("Cnf-1  0.20000000000000004_0.1  1.0D-02")
    assert other.read_text().endswith("Cnf-1 0.1_0.2 0.03\n")


def test_a_last_line_that_was_cut_is_left_out_and_told_everywhere(work, capsys):
    at, pair = work.at(T), Pair(2, 0.1, 0.2)
    add_record(at, pair, LEVELS, PROFILE, HOW)
    add_splitting(at, pair, 0.01)
    add_calculation(at, pair, ROW)
    add_unfinished(at, Pair(2, 0.1, 0.5), "why")
    for path, cut in (
        (at.new_splittings, b"Cnf-1 0.2_0.3"),
        (at.calculations, b"1,0.2"),
        (at.unfinished, "1,0.2,0.3,0.1 ε".encode()[:-1]),
        (at.neb_paths("jsonl"), b'{"conf": 1, "i"'),
    ):
        with path.open("ab") as file:
            file.write(cut)
        for _ in range(2):  # once it is told
            read = read_neb_results(at), read_calculations(at), read_unfinished(at), list(read_records(at))
            assert [len(one) for one in read] == [1, 1, 1, 1]
            assert read[1][["conf", "j", "cpu_seconds"]].to_numpy().tolist() == [[2, 0.2, 1.0]]
        assert capsys.readouterr().out.count("cut and left out") == 1
    add_splitting(at, Pair(2, 0.1, 0.4), 0.02)
    add_unfinished(at, Pair(2, 0.1, 0.6), "why")
    assert read_neb_results(at)["quantum_splitting"].tolist() == [0.01, 0.02]
    assert len(read_unfinished(at)) == 2
    at.unfinished.write_text("conf,i")  # a header that was cut
    add_unfinished(at, Pair(2, 0.1, 0.6), "why")
    assert read_unfinished(at)["reason"].tolist() == ["why"]


def test_unfinished_pairs_are_those_without_a_result_each_by_its_last_reason(work):
    at = work.at(T)
    for j in (0.2, 0.3, 0.4):
        add_unfinished(at, Pair(1, 0.1, j), f"first, at {j}")
    add_splitting(at, Pair(1, 0.2, 0.1), 0.01)
    add_unfinished(at, Pair(1, 0.1, 0.3), "again")
    expected = [[0.4, "first, at 0.4"], [0.3, "again"]]
    assert read_unfinished(at)[["j", "reason"]].to_numpy().tolist() == expected
    settle_unfinished(at)
    assert read_unfinished(at)[["j", "reason"]].to_numpy().tolist() == expected
    rows = ["conf,i,j,reason", '1,0.1000000000,0.4000000000,"first, at 0.4"', "1,0.1000000000,0.3000000000,again"]
    assert at.unfinished.read_text().splitlines() == rows


def test_results_of_a_share_are_no_end_of_a_line_that_was_cut(work):
    at = work.at(T)
    add_calculation(at, Pair(2, 0.1, 0.2), ROW)
    with at.calculations.open("a") as file:
        file.write("3,0.1,0.")
    add_calculation(at.of_share("1-of-2"), Pair(1, 0.1, 0.2), ROW)
    assert merge_shares(at) == ["results of the share 1-of-2 merged"]
    assert read_calculations(at)["conf"].tolist() == [2, 1]


@pytest.mark.parametrize("others", ["", "1,2D-1,0.3\n"])
def test_numbers_of_glasses_are_read_exactly_from_lists_of_pairs(tmp_path, others):
    path = tmp_path / "pairs.csv"
    path.write_text(f"conf,i,j\n{2**53 + 1},0.1,0.2\n{others}")
    assert read_pair_list(path, 10)["conf"].iloc[0] == 2**53 + 1


# Lists of pairs
STEP = "step4_predict_qs.py"


@pytest.fixture
def table():
    rng = np.random.default_rng(1)
    labels = rng.choice([0.2044810139, 0.2, -4.5000000001, 17.0, 5e-10], (2, 500))
    numbers = 10.0 ** rng.uniform(-12, 9, 500) * rng.choice([-1, 1], 500)
    return pd.DataFrame({"conf": 148750000, "i": labels[0], "j": labels[1], QS: numbers, "PR": 3.0})


def test_labels_have_all_their_digits_and_other_numbers_six_in_the_order_asked_for_and_what_is_unknown_is_empty(
    table, tmp_path
):
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
    table.loc[3, "PR"] = np.nan
    write_list(tmp_path / "list.csv", as_listed(table), 10, np.array([7, 3]))
    assert [line.split(",")[-1] for line in (tmp_path / "list.csv").read_text().splitlines()] == ["PR", "3.0", ""]
    write_list(tmp_path / "list.csv", as_listed(table), 10, np.arange(0))
    assert read_list(tmp_path / "list.csv", ["conf", QS], STEP).empty


@pytest.mark.parametrize("rows", [[7, 3, 499], []])
def test_copied_lines_are_the_bytes_of_the_same_rows_written_anew(table, tmp_path, rows, monkeypatch):
    monkeypatch.setattr("pipeline.formats.pair_lists._LETTERS", 1000)  # lines begin in one piece and end in the next
    order = np.random.default_rng(2).permutation(len(table))
    write_list(tmp_path / "all.csv", as_listed(table), 10, order)
    copy_lines(tmp_path / "all.csv", tmp_path / "some.csv", np.array(rows, np.int64))
    write_list(tmp_path / "anew.csv", as_listed(table), 10, order[np.array(rows, np.int64)])
    assert (tmp_path / "some.csv").read_bytes() == (tmp_path / "anew.csv").read_bytes()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("header", ["conf,i,j", "\ni,j,conf,reason", "conf,i,j,reason,mine", "j,mine,i,conf"])
def test_rows_go_below_the_columns_that_a_user_gave_unfinished_csv(work, header, shared):
    at = work.at(T)
    share = at.of_share("1-of-2") if shared else at
    cells = {"conf": "1", "i": "3", "j": "4", "reason": "mine", "mine": "7"}
    at.unfinished.write_text(f"{header}\n{','.join(cells[name] for name in header.strip().split(','))}\n")
    for pair in (Pair(2, 5, 6), Pair(2, 7, 8)):
        add_unfinished(share, pair, "no force")
    if shared:
        merge_shares(at)
    read = read_unfinished(at)
    assert read[["conf", "i", "j"]].to_numpy().tolist() == [[1, 3, 4], [2, 5, 6], [2, 7, 8]]
    assert read["reason"].tolist()[1:] == ["no force"] * 2
    assert "mine" not in header or "7" in at.unfinished.read_text()


def test_no_result_is_lost_where_what_stands_before_it_can_not_be_read(work):
    work.at(T).calculations.write_text("x,y\n1,2\n")
    add_calculation(work.at(T), Pair(1, 0.1, 0.2), ROW)
    assert work.at(T).calculations.read_text().splitlines()[-1].startswith("1,0.1000000000,0.2000000000,non-DW")
