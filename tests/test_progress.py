"""Progress: nothing for what is quick, and lines in a log file for what is long."""

import pytest

from pipeline import progress as module
from pipeline.progress import progress


@pytest.fixture
def no_terminal(monkeypatch):
    """As in a log file, where a line is due at every step."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    monkeypatch.setattr(module, "LOG_EVERY", 0.0)


def test_a_log_file_gets_a_line_now_and_then_with_the_time_left(no_terminal, capsys):
    assert list(progress(range(3), desc="joining", unit="table")) == [0, 1, 2]
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert lines[-1].startswith("joining: 3 of 3 tables, 00:0")
    assert all(line.endswith(" left") for line in lines)


def test_the_words_of_the_field_have_their_plurals(no_terminal, capsys):
    with progress(desc="reading", unit="minimum") as bar:
        bar.update(2)
    assert "reading: 2 minima, " in capsys.readouterr().out


def test_quick_work_leaves_no_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    list(progress(range(100), desc="quick"))
    assert capsys.readouterr() == ("", "")
