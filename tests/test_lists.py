"""The lists of pairs: lines kept as they are, sorted in parts, the same whatever works on them."""

import numpy as np
import pandas as pd
import pytest
from steps import refused

from MLmodel.card import read_card
from MLmodel.classified import classify_tables
from MLmodel.ranking import write_lists
from pipeline.errors import UserError
from pipeline.formats import csv_lines, sorted_lines
from pipeline.formats.csv_lines import parts_of, read_lines, read_numbers, with_numbers
from pipeline.formats.pair_csv import csv_writer
from pipeline.formats.possible import PROBABILITY, TLS_PROBABILITY
from pipeline.formats.sorted_lines import let_wait, merged
from pipeline.settings import Settings
from pipeline.units import REDUCED
from pipeline.workspace import CLASSIFIER, PREDICTOR, QS, Workspace


@pytest.fixture
def table():
    rng = np.random.default_rng(1)
    count = 500
    return pd.DataFrame(
        {
            "conf": np.sort(rng.integers(1, 9, count)),
            "i": rng.random(count),
            "j": rng.random(count).round(3),
            PROBABILITY: rng.random(count),
            "own": rng.choice([1.0, 1e-9, 1e22, 0.1 + 0.2], count),
        }
    )


@pytest.fixture
def path(table, tmp_path):
    with csv_writer(tmp_path / "pairs.csv", list(table), REDUCED) as write:
        write(table)
    return tmp_path / "pairs.csv"


def lines_of(lines):
    return lines.text.tobytes().decode().splitlines()


def in_parts(path, monkeypatch):
    monkeypatch.setattr(csv_lines, "PART", 3000)
    parts = parts_of(path)
    assert len(parts) > 5
    return [read_lines(path, part) for part in parts]


def test_parts_of_a_file_are_all_its_lines_but_the_first(path, monkeypatch):
    whole = path.read_text().splitlines()[1:]
    assert [line for part in in_parts(path, monkeypatch) for line in lines_of(part)] == whole


def test_a_file_edited_elsewhere_is_read_too(path, monkeypatch):
    whole = path.read_text()
    expected = whole.splitlines()[1:]
    path.write_bytes(whole.replace("\n", "\r\n\r\n").rstrip().encode())
    assert [line for part in in_parts(path, monkeypatch) for line in lines_of(part)] == expected
    path.write_text(whole.splitlines()[0] + "\n")
    assert parts_of(path) == []


def test_numbers_of_a_part_are_those_of_the_file_and_a_bad_one_is_named_by_its_line(path, table, monkeypatch):
    read = [read_numbers(path, lines, list(table)) for lines in in_parts(path, monkeypatch)]
    pd.testing.assert_frame_equal(pd.concat(read, ignore_index=True), table, check_exact=True)
    lines = path.read_text().splitlines(keepends=True)
    lines[400] = lines[400].replace(",", ",x", 1)
    path.write_text("".join(lines))
    with pytest.raises(UserError, match=r"pairs\.csv: .*(401|x0)"):
        [read_numbers(path, part, list(table)) for part in in_parts(path, monkeypatch)]


def test_new_numbers_are_put_in_and_one_is_replaced_and_the_rest_stays_as_it_is(path, table):
    lines = read_lines(path, parts_of(path)[0])
    rng = np.random.default_rng(2)
    one, two, other = rng.random((3, len(table))) * [[1e-9], [1.0], [1e9]]
    for before, after, *new in zip(
        lines_of(lines), lines_of(with_numbers(lines, 3, [one, two], 3, other)), one, two, other, strict=True
    ):
        fields = before.split(",")
        assert after.split(",")[:3] + after.split(",")[6:] == fields[:3] + fields[4:]
        assert [float(field) for field in after.split(",")[3:6]] == new


@pytest.mark.parametrize("parts", [1, 7])
def test_merged_parts_are_sorted_by_both_keys_and_equal_ones_stay_in_order(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(sorted_lines, "_AT_A_TIME", 40)
    monkeypatch.setattr(sorted_lines, "_SAMPLED", 4)
    rng = np.random.default_rng(3)
    first, second = rng.integers(0, 20, 600) / 7, rng.integers(0, 5, 600) / 3
    text = [f"{k}," + "x" * int(rng.integers(0, 90)) for k in range(600)]
    chosen = rng.random(600) < 0.7
    (tmp_path / "lines").write_text("header\n" + "\n".join(text))
    lines = read_lines(tmp_path / "lines", parts_of(tmp_path / "lines")[0])
    waiting = [
        let_wait(tmp_path / str(part[0]), lines.take(part), (first + 1j * second)[part], chosen[part])
        for part in np.array_split(np.arange(600), parts)
    ]
    expected = [text[k] for k in np.lexsort((second, first)) if chosen[k]]
    pieces = [lines_of(piece) for piece in merged(waiting)]
    assert [line for piece in pieces for line in piece] == expected
    assert max(map(len, pieces)) < 200
    assert list(merged([])) == []


def test_columns_that_step_2_does_not_write_so_are_refused(trained_copy):
    path = trained_copy / "output_ML/T0.1/DW_T0.1.csv"
    table = pd.read_csv(path)
    table[["i", "conf", *table.columns[2:]]].to_csv(path, index=False)
    assert "not those that step2_classify_dw.py writes" in refused("step4_predict_qs", trained_copy)


def test_the_same_bytes_come_out_whatever_the_number_of_workers_and_parts(trained_copy, monkeypatch):
    work = Workspace(trained_copy)
    tables = work.at("0.1").pair_tables
    cards = {task: read_card(work.at("0.1"), task) for task in (CLASSIFIER, PREDICTOR)}
    written = {name: work.at("0.1").classified.with_name(name) for name in ("wells", "every", "new")}
    found = []
    for processes, part in ((1, 1 << 24), (1, 5000), (2, 5000), (3, 5000)):
        monkeypatch.setattr(csv_lines, "PART", part)
        settings = Settings(processes=processes)
        numbers = classify_tables(work, cards[CLASSIFIER], settings, tables, written["wells"])
        numbers += write_lists(work, cards[PREDICTOR], settings, *written.values())
        found.append((np.round(np.hstack(numbers), 9).tolist(), *(path.read_bytes() for path in written.values())))
        assert not list(written["wells"].parent.glob(".*spool"))
    assert all(one == found[0] for one in found[1:])
    assert pd.read_csv(written["every"])[QS].is_monotonic_increasing
    assert pd.read_csv(written["new"])[TLS_PROBABILITY].is_monotonic_decreasing
    assert found[0][1:] == tuple(path.read_bytes() for path in (work.at("0.1").classified, *lists(work)))


def lists(work):
    return [work.at("0.1").predicted(pairs) for pairs in ("allpairs", "newpairs")]
