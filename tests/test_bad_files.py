"""Files that were damaged, or are none: each reader says so in one line, and a glass pays for its own files only."""

import os
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import synthetic
from steps import done, refused, run_process
from synthetic import HUGE

from pipeline.errors import UserError
from pipeline.formats.minima import places_by_key
from pipeline.formats.results import read_neb_results, read_pair_list
from pipeline.formats.transitions import read_transitions
from pipeline.settings import read_settings
from pipeline.workspace import Workspace

T = "0.1"


@pytest.fixture
def glass(tmp_path):
    """A workspace with the minima of one made-up glass; their folder is ``minima`` below."""
    return synthetic.make_workspace(tmp_path, glasses=1, n_minima=6)


def minima(root):
    return root / f"Configurations/minima/T{T}/Cnf-1"


def rejected(root):
    return pd.read_csv(root / f"output_ML/T{T}/step0_rejected.csv").set_index("file")["reason"].to_dict()


def write_transitions(root, text):
    path = Workspace(root).at(T).transitions(1)
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
    path = work.at(T).neb / name
    path.parent.mkdir(parents=True)
    lines = {
        "NON-DW.txt": f"Cnf-1 0.2_0.3\nCnf-1 {number}_0.26\n",
        "Qs_calculations.txt": f"Cnf-1 0.2_0.3 0.1\nCnf-1 0.2_0.26 {number}\n",
        "pairs.csv": f"conf,i,j\n{number},0.2,0.3\n",
    }
    path.write_text(lines[name])
    with pytest.raises(UserError, match=rf"{re.escape(name)}: line 2: "):
        read_pair_list(path, 10) if name == "pairs.csv" else read_neb_results(work.at(T))


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


def test_a_name_that_is_no_utf_8_is_listed_with_question_marks(glass):
    (minima(glass) / os.fsdecode(b"gl\xe4s.conf")).touch()
    (minima(glass).with_name("Cnf-1\u0663")).mkdir()
    assert "15 pairs, 15 computed, 2 files rejected" in done("step0_collect", glass)
    assert set(rejected(glass)) == {"gl?s.conf", "Cnf-1\u0663"}
    assert (glass / "output_ML/report.html").exists() or "report.html" in done("report", glass)


def test_a_folder_that_can_not_be_read_is_one_rejected_entry(glass, monkeypatch):
    other = synthetic.make_glass(minima(glass).with_name("Cnf-2"), 6, seed=2)[0].parent
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(other) and access(path, mode))
    assert "15 pairs, 15 computed, 1 files rejected" in done("step0_collect", glass)
    assert "not readable" in rejected(glass)["Cnf-2"]


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
