"""Files that were damaged, or are none: each reader says so in one line, and a glass pays for its own files only."""

import os
import shutil

import numpy as np
import pytest
import synthetic
from steps import done, run_process

from pipeline.errors import UserError
from pipeline.formats.minima import places_by_key
from pipeline.formats.transitions import read_transitions
from pipeline.workspace import Workspace

T = "0.1"


@pytest.fixture
def glass(tmp_path):
    """A workspace with the minima of one made-up glass; their folder is ``minima`` below."""
    return synthetic.make_workspace(tmp_path, glasses=1, n_minima=6)


def minima(root):
    return root / f"Configurations/minima/T{T}/Cnf-1"


def rejected(root):
    return synthetic.left_out(root, T).set_index("file")["reason"].to_dict()


def write_transitions(root, text):
    path = Workspace(root).at(T).transitions(1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_transitions_that_are_nothing_but_a_header_are_none(glass):
    write_transitions(glass, "i,j,count\n")
    assert "15 pairs, 15 computed, 0 left out" in done("step0_collect", glass)
    assert (synthetic.read_pairs(glass)[["Tij", "Tji"]] == 0).all(axis=None)


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


def test_a_name_that_is_no_utf_8_is_listed_with_question_marks(glass):
    (minima(glass) / os.fsdecode(b"gl\xe4s.conf")).touch()
    (minima(glass).with_name("Cnf-1\u0663")).mkdir()
    assert "15 pairs, 15 computed, 2 left out" in done("step0_collect", glass)
    assert set(rejected(glass)) == {"gl?s.conf", "Cnf-1\u0663"}
    assert (glass / "output_ML/report.html").exists() or "report.html" in done("report", glass)


def test_a_folder_that_can_not_be_read_is_one_rejected_entry(glass, monkeypatch):
    other = synthetic.make_glass(minima(glass).with_name("Cnf-2"), 6, seed=2)[0].parent
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(other) and access(path, mode))
    assert "15 pairs, 15 computed, 1 left out" in done("step0_collect", glass)
    assert "not readable" in rejected(glass)["Cnf-2"]
