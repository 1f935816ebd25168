"""Files that were damaged, or are none: each reader says so in one line, and a glass pays for its own files only."""

import json
import os
import re
import shutil
import sys
from contextlib import suppress

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import synthetic
from steps import done, refused, run_process

from MLmodel.card import read_card
from MLmodel.double_wells import read_double_wells
from MLmodel.labels import read_pretraining
from MLmodel.pair_csv import check_csv_units, csv_writer, read_csv_batches
from MLmodel.rounds import read_rounds
from MLmodel.tables import check_ready_made, open_table, read_batches
from pipeline.errors import UserError
from pipeline.exact import find_calculator
from pipeline.minima import load_glass, places_by_key, read_minima
from pipeline.neb_files import read_calculations, read_neb_results, read_pair_list
from pipeline.neb_records import read_records
from pipeline.settings import read_settings
from pipeline.stamps import made_from, mark_made, up_to_date
from pipeline.task import CLASSIFIER
from pipeline.transitions import read_transitions
from pipeline.units import REDUCED
from pipeline.workspace import Workspace

T = "0.1"

HUGE = "0.25e3088754526"
"""pandas' own reader of numbers crashes on so many digits in the exponent."""


@pytest.fixture
def glass(tmp_path):
    """A workspace with the minima of one made-up glass; their folder is ``minima`` below."""
    return synthetic.make_workspace(tmp_path, glasses=1, n_minima=6)


def minima(root):
    return root / f"Configurations/minima/T{T}/Cnf-1"


def rejected(root):
    return pd.read_csv(root / f"output_ML/T{T}/step0_rejected.csv").set_index("file")["reason"].to_dict()


def write_transitions(root, text):
    path = Workspace(root).transitions(T, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_transitions_that_are_nothing_but_a_header_are_none(glass):
    write_transitions(glass, "i,j,count\n")
    assert "15 pairs, 15 computed, 0 files rejected" in done("step0_collect", glass)
    assert (synthetic.read_pairs(glass)[["Tij", "Tji"]] == 0).all(axis=None)


def test_an_exponent_of_many_digits_in_transitions_is_named_by_its_line(glass):
    write_transitions(glass, f"i,j,count\n0.2,0.3,1\n{HUGE},0.26,1\n")
    ended = refused("step0_collect", glass, run=run_process)  # in this process it would end all tests
    assert "Cnf-1.csv: line 3: not two minima and a count" in ended


@pytest.mark.parametrize("number", [HUGE, "1e9999", "1_0", "infinity", "0x10", "1" * 400, "0.2e", "."])
@pytest.mark.parametrize("name", ["NON-DW.txt", "Qs_calculations.txt", "pairs.csv"])
def test_what_is_no_number_is_named_by_its_line(tmp_path, number, name):
    work = Workspace(tmp_path)
    path = work.neb(T) / name
    path.parent.mkdir(parents=True)
    lines = {
        "NON-DW.txt": f"Cnf-1 0.2_0.3\nCnf-1 {number}_0.26\n",
        "Qs_calculations.txt": f"Cnf-1 0.2_0.3 0.1\nCnf-1 0.2_0.26 {number}\n",
        "pairs.csv": f"conf,i,j\n{number},0.2,0.3\n",
    }
    path.write_text(lines[name])
    with pytest.raises(UserError, match=rf"{re.escape(name)}: line 2: "):
        read_pair_list(path) if name == "pairs.csv" else read_neb_results(work, T)


def test_numbers_in_files_of_users_are_read_exactly(tmp_path):
    numbers = np.random.default_rng(0).random((200, 2))
    path = tmp_path / "a.csv"
    path.write_text("i,j,count\n" + "".join(f"{i!r},{j!r},1\n" for i, j in numbers.tolist()) + "0.1D-1,nothing,1\n")
    with pytest.raises(UserError, match="line 202"):
        read_transitions(path)
    path.write_text(path.read_text().replace("nothing", "5"))  # and so a column that pandas takes for text
    assert read_transitions(path)[["i", "j"]].to_numpy().tolist() == [*numbers.tolist(), [0.01, 5.0]]


ODD = {
    "1e300.conf.txt": "its energy 1e+300 is too large to have 10 decimals",
    "fifo.conf": "the name gives no energy",
    "0.3.conf": "can't be read: Not a file",
    "0.3.conf.txt": "can't be read: Not a file",
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
    assert "15 pairs, 15 computed, 5 files rejected" in said
    for name, says in rejected(glass).items():
        assert ODD[name] in says
    assert len(places_by_key(minima(glass), 10)) == 7


def test_a_folder_that_can_not_be_read_is_one_rejected_entry(glass, monkeypatch):
    other = synthetic.make_glass(minima(glass).with_name("Cnf-2"), 6, seed=2)[0].parent
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(other) and access(path, mode))
    assert "15 pairs, 15 computed, 1 files rejected" in done("step0_collect", glass)
    assert "not readable" in rejected(glass)["Cnf-2"]


def test_a_header_that_claims_5000_digits_of_atoms_is_one_rejected_entry(glass):
    path = sorted(minima(glass).iterdir())[0]
    path.write_text(path.read_text().replace("40 atoms", "4" * 5000 + " atoms"))
    assert "10 pairs, 10 computed, 1 files rejected" in done("step0_collect", glass)
    assert "no line 'N atoms'" in rejected(glass)[path.name]


def reasons(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    return load_glass(read_minima([tmp_path / name]), 10)[1]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("\n3 1 ", "\n3 1e300 ", "type is no whole number"),
        ("-3.0 3.0 xlo", "-3.0 3_0 xlo", "'3_0' in the header is not a number"),
        ("Masses\n\n1 1", "Masses\n\n1 infinity", "'infinity' in the header is not a number"),
        ("-3.0 3.0 xlo", f"-3.0 {'3' * 400} xlo", "in the header is not a number"),
    ],
)
def test_numbers_that_nothing_can_have_are_told(tmp_path, old, new, says):
    text = synthetic.make_glass(tmp_path / "glass", 1)[0].read_text()
    assert old in text
    assert says in reasons(tmp_path, "0.2.conf.txt", text.replace(old, new, 1))["0.2.conf.txt"]


def test_a_position_too_far_out_to_say_where_in_the_box_it_is_is_told(tmp_path):
    text = synthetic.text_minimum(np.ones(2), np.array([[1.0, 1.0, 1.0], [1e17, 2.0, 2.0]]), np.array([6.0, 6.0, 6.0]))
    assert "box lengths out" in reasons(tmp_path, "0.2.conf.txt", text)["0.2.conf.txt"]


FRAME = '2\nLattice="4 0 0 0 5 0 0 0 6" Properties=species:S:1:pos:R:3{} {} pbc="T T T"\nCu 1 1 1{}\nCu 2 2 2{}\n'


@pytest.mark.parametrize(
    ("columns", "energy", "values", "says"),
    [
        ("", "energy=low", "", "no energy"),
        ("", 'energy="0.2 0.3"', "", "no energy"),
        (":diameters:S:1", "energy=0.4", " big", "diameters or masses"),
        (":diameters:R:2", "energy=0.4", " 1 1", "diameters or masses"),
        (":types:I:2", "energy=0.4", " 1 1", "types are no whole numbers"),
        (":types:I:1", "energy=0.4", " 9999999999", "types are no whole numbers|not readable"),
        (":Z:I:1", "energy=0.4", " 999", "atomic number|not readable"),
        (":Z:I:1", "energy=0.4", " -5", "atomic number|not readable"),
    ],
)
def test_a_frame_with_impossible_entries_is_told(tmp_path, columns, energy, values, says):
    told = reasons(tmp_path, "a.extxyz", FRAME.format(columns, energy, values, values))
    assert re.search(says, told["a.extxyz#0"] if "a.extxyz#0" in told else told["a.extxyz"])


@pytest.mark.parametrize("name", ["a.extxyz", "a.xyz"])
def test_a_frame_that_claims_more_atoms_than_could_be_counted_does_not_hang(tmp_path, name):
    frame = FRAME.format("", "energy=0.4", "", "")
    assert "the file ends too early" in reasons(tmp_path, name, frame.replace("2\n", "2000000000000\n", 1))[name]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("classifier: {train_hours: 1e306}", ["classifier.train_hours = 1e+306", "10000"]),
        ("neb: {time_limit: 1e300}", ["neb.time_limit = 1e+300"]),
        ("neb: {images: 1000000000}", ["neb.images = 1000000000"]),
        ("neb: {sigma: 1e-300}", ["neb.sigma = 1e-300"]),
        ("seed: 2001-99-99", ["seed = '2001-99-99'", "integer"]),
        ("seed: " + "9" * 5000, ["not readable as YAML"]),
        ("[" * 5000, ["too deeply nested"]),
        ("seed: !!bool maybe", ["not readable as YAML"]),
        ("seed: !!timestamp today", ["not readable as YAML"]),
        ("seed: !!int ''", ["not readable as YAML"]),
        ("a: &a [x, x]\nb: &b [*a, *a]", ["copies (*name) are not allowed"]),
        ("pretraining: '" + "x" * 100_000 + "'", ["pretraining", "…"]),
    ],
)
def test_settings_that_nothing_can_have_are_told_in_one_short_line(tmp_path, text, words):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_settings(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1500
    for word in ["config.yaml", *words]:
        assert word in str(error.value)


# Tables
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
    shutil.rmtree(minima(glass))
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
    synthetic.make_glass(glass / "other", 1, seed=9)[0].rename(minima(glass) / "0.19.conf.txt")
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
            check_ready_made(path, 10) if place == "pairs" else read_pretraining(path, CLASSIFIER)


def test_a_pretraining_set_with_half_a_glass_is_named(tmp_path):
    pairs(is_dw=1).assign(conf=1.5).to_feather(tmp_path / "a.feather")
    with pytest.raises(UserError, match=r"a\.feather: row 0: conf = 1\.5 is not a whole number"):
        read_pretraining(tmp_path / "a.feather", CLASSIFIER)


def test_a_pipe_in_the_place_of_a_table_is_named(tmp_path):
    os.mkfifo(tmp_path / "a.feather")
    with pytest.raises(UserError, match=r"a\.feather: not a file"):
        open_table(tmp_path / "a.feather")


# Lists
@pytest.fixture
def listed(tmp_path):
    """A list as step 2 writes it."""
    path = tmp_path / "DW_T0.1.csv"
    table = pairs(dw_probability=0.5, gabriel=np.nan)
    with csv_writer(path, list(table), REDUCED) as write:
        write(table)
    pd.testing.assert_frame_equal(pd.concat(read_csv_batches(path)), table, check_exact=True)
    return path


@pytest.mark.parametrize(
    ("column", "text", "says"),
    [
        ("conf", "1.5", "invalid value '1.5'"),
        ("conf", "", "line 4: conf is not a finite number"),
        ("conf", "-1", "line 4: conf = -1"),
        ("i", "", "line 4: i is not a finite number"),
        ("Delta_E", "1e400", "line 4: Delta_E is not a finite number"),
        ("PR", "two", "invalid value 'two'"),
        ("dw_probability", "1.5", r"line 4: dw_probability = 1\.5 is not from 0 to 1"),
        ("total_displacement", "-0.1", r"line 4: total_displacement = -0\.1"),
        ("units", "red", "the units are not the same in all"),
        ("i", HUGE, "line 4: i is not a finite number"),
    ],
)
def test_a_damaged_list_is_named(listed, column, text, says):
    lines = listed.read_text().splitlines()
    cells = lines[3].split(",")
    cells[lines[0].split(",").index(column)] = text
    listed.write_text("\n".join([*lines[:3], ",".join(cells), *lines[4:]]) + "\n")
    with pytest.raises(UserError, match=rf"DW_T0\.1\.csv: .*{says}"):
        list(read_csv_batches(listed))


def test_units_that_are_a_long_text_are_told_in_a_short_line(listed):
    listed.write_text(listed.read_text().replace('"reduced"', "9" * 5000))
    with pytest.raises(UserError, match=r"DW_T0\.1\.csv: made with units: 9+…") as error:
        check_csv_units(listed, REDUCED, "run step 2")
    assert len(str(error.value)) < 1000


def test_a_column_with_a_long_name_is_told_in_a_short_line(listed):
    header, first, *rest = listed.read_text().splitlines()
    cells = first.split(",")
    cells[header.split(",").index("Delta_E")] = ""
    listed.write_text("\n".join([header.replace("Delta_E", "9" * 5000), ",".join(cells), *rest]) + "\n")
    with pytest.raises(UserError, match=r"line 2: 9+… is not a finite number") as error:
        list(read_csv_batches(listed))
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("cut", [4, 12, 40])
def test_a_list_whose_last_line_is_cut_is_named(listed, cut):
    listed.write_text(listed.read_text()[:-cut])
    with pytest.raises(UserError, match=r"DW_T0\.1\.csv: not readable"):
        list(read_csv_batches(listed))


@pytest.mark.parametrize("header", ["", "conf,conf,j\n", "a,b\n1,2\n", "\xff"])
def test_a_list_without_its_columns_is_named(listed, header):
    listed.write_bytes(header.encode("latin1"))
    with pytest.raises(UserError, match=r"DW_T0\.1\.csv: not readable"):
        list(read_csv_batches(listed))


@pytest.mark.slow
def test_step_4_does_not_believe_a_damaged_list(trained_copy):
    path = Workspace(trained_copy).double_wells(T)
    lines = path.read_text().splitlines(keepends=True)
    for damaged in ([*lines[:-1], lines[-1][:50]], [*lines[:2], "1.5," + lines[2].partition(",")[2]]):
        path.write_text("".join(damaged))
        assert str(path) in refused("step4_predict_qs", trained_copy)


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


# What the steps keep for themselves
@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("nebs", "", "line 3"),
        ("round", "", "line 3"),
        ("tls", "2.5", "line 3"),
        ("tls", HUGE, "line 3: tls = 0.25e3088"),
    ],
)
def test_a_round_without_its_counts_is_named(tmp_path, column, value, says):
    path = tmp_path / "rounds.csv"
    row = {"round": 1, "list": "12e345678901", "nebs": 30, "tls": 4}
    pd.DataFrame([row, {**row, column: value}]).to_csv(path, index=False)
    with pytest.raises(UserError, match=rf"rounds\.csv: {says}"):
        read_rounds(path)


def test_the_name_of_a_list_that_looks_like_a_number_stays_text(tmp_path):
    pd.DataFrame([{"round": 1, "list": "12e345678901", "nebs": 1, "tls": 0}]).to_csv(
        tmp_path / "rounds.csv", index=False
    )
    assert read_rounds(tmp_path / "rounds.csv")["list"].to_list() == ["12e345678901"]


@pytest.mark.parametrize(
    "row", ["1,0.1,,0.01,1,full", "1.5,0.1,0.2,0.01,1,full", "1,0.1,0.2,-1,1,full", f"1,{HUGE},0.2,1,1,"]
)
def test_a_double_well_that_none_can_be_is_named(tmp_path, row):
    work = Workspace(tmp_path)
    path = work.calculated_double_wells(T)
    path.parent.mkdir(parents=True)
    path.write_text(f"conf,i,j,quantum_splitting,rearrangement,fidelity\n1,0.1,0.2,0.01,1,full\n{row}\n")
    with pytest.raises(UserError, match=r"double_wells\.csv: line 3"):
        read_double_wells(work, T)


@pytest.mark.parametrize("cells", ["-1,7,1", "41,0.5,1", "41,7,-1", "many,7,1", f"41,7,{HUGE}"])
def test_a_cost_that_nothing_can_have_is_named(tmp_path, cells):
    path = Workspace(tmp_path).calculations(T)
    path.parent.mkdir(parents=True)
    path.write_text(
        f"conf,i,j,verdict,fidelity,images,steps,cpu_seconds\n1,0.1,0.2,non-DW,,41,7,1\n1,0.1,0.3,non-DW,,{cells}\n"
    )
    with pytest.raises(UserError, match=r"calculations\.csv: line 3"):
        read_calculations(Workspace(tmp_path), T)


RECORD = {"conf": 1, "i": 0.1, "j": 0.2, "levels": [0.01, 0.02]} | {
    name: [0.0, 0.1, 0.2] for name in ("lengths", "energies", "slopes")
}


@pytest.mark.parametrize(
    "change",
    [
        {"conf": 1.5},
        {"conf": "1"},
        {"i": None},
        {"j": 1e300},
        {"levels": [0.01, 1e400]},
        {"lengths": [0.0, 0.2, 0.1]},
        {"energies": [0.0, float("nan"), 0.0]},
        {"hbar": 0},
        {"force": -1},
        {"units": 4},
        {"symmetrised": {}},
    ],
)
def test_a_record_that_none_can_be_is_named_by_its_line(tmp_path, change):
    path = Workspace(tmp_path).neb_paths(T, "jsonl")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(RECORD) + "\n" + json.dumps({**RECORD, **change}) + "\n")
    with pytest.raises(UserError, match=r"neb_paths\.jsonl: line 2 is damaged"):
        list(read_records(Workspace(tmp_path), T))


@pytest.mark.parametrize("line", ["[" * 50_000, "9" * 5000, "null", "7", '"a"', "\0"])
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    path = Workspace(tmp_path).neb_paths(T, "jsonl")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(RECORD) + "\n" + line + "\n")
    with pytest.raises(UserError, match=r"neb_paths\.jsonl: line 2 is damaged"):
        list(read_records(Workspace(tmp_path), T))


CARD = {"format": 2, "task": "", "temperature": T, "features": ["PR"], "autogluon": "a", "trained": "", "settings": {}}
CARD |= {"versions": {}, "data": "", "pairs": {}, "sources": {}, "seconds_per_pair": 1.0, "sets": {}, "program": "1"}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(CARD)[:80],
        "[" * 50_000,
        json.dumps({**CARD, "features": "PR"}),
        json.dumps({**CARD, "sets": None}),
        json.dumps({**CARD, "pairs": {"train": "many"}}),
        json.dumps({**CARD, "seconds_per_pair": "long"}),
    ],
)
def test_a_damaged_card_is_named(tmp_path, content):
    path = Workspace(tmp_path).card(CLASSIFIER, T)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(CARD))
    assert read_card(Workspace(tmp_path), CLASSIFIER, T).features == ["PR"]
    path.write_text(content)
    with pytest.raises(UserError, match=r"card\.json: .*remove"):
        read_card(Workspace(tmp_path), CLASSIFIER, T)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": [], "output": 7}', '{"files": 7}', "[" * 50_000, "\xff"])
def test_a_damaged_stamp_says_nothing_and_the_output_is_made_again(tmp_path, content):
    output = tmp_path / "output"
    output.write_text("made")
    mark_made([output], made_from([]))
    assert up_to_date([output], made_from([]))
    output.with_name(".output.made-from.json").write_bytes(content.encode("latin1"))
    assert not up_to_date([output], made_from([]))


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("raise RuntimeError('no\\nlicence')", "RuntimeError: no licence"),
        ("class Ended(BaseException):\n    pass\nraise Ended('at once')", "Ended: at once"),
        ("def calculator(", "SyntaxError"),
        ("calculator = 3", "calculator is no function"),
    ],
)
def test_a_calculator_module_that_raises_when_it_is_imported_is_named(tmp_path, monkeypatch, module, says):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "calculator_of_a_user.py").write_text(module)
    sys.modules.pop("calculator_of_a_user", None)
    with pytest.raises(UserError, match=says) as error:
        find_calculator("calculator_of_a_user:calculator", tmp_path)
    assert "\n" not in str(error.value)
