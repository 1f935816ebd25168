"""What is written: whole or not at all, by one process at a time; and how a step knows that nothing is new."""

import errno
import os
import subprocess
import sys

import pytest
from steps import ROOT, done
from synthetic import make_workspace

from pipeline.files import append_line, atomic_write, write_text
from pipeline.stamps import made_from, mark_made, up_to_date


def other_process(code, *arguments):
    """A Python process that prints a line when it has begun and waits for a line on its stdin."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    return process


WRITER = """
import sys, pathlib
from pipeline.files import atomic_write
with atomic_write(pathlib.Path(sys.argv[1])) as part:
    with part.open("w") as file:
        file.write("first half, ")
        file.flush()
        print("begun", flush=True)
        sys.stdin.readline()
        file.write("second half")
"""


def test_of_two_that_write_one_file_each_leaves_it_whole(tmp_path):
    path = tmp_path / "table.csv"
    other = other_process(WRITER, path)
    with atomic_write(path) as part:
        part.write_text("mine, as long as a table")
    assert path.read_text() == "mine, as long as a table"
    other.communicate("\n")
    assert other.returncode == 0
    assert path.read_text() == "first half, second half"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_swept_by_the_next_and_a_living_ones_is_not(tmp_path):
    path = tmp_path / "table [1].csv"
    killed, alive = other_process(WRITER, path), other_process(WRITER, path)
    killed.kill()
    killed.communicate()
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_write(path) as part:
        part.write_text("whole")
    assert len(list(tmp_path.iterdir())) == 2
    alive.communicate("\n")
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail():
        with atomic_write(path) as part:
            part.write_text("half")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_line_is_added_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "results.txt"
    path.write_text("by another program, without an end of line")
    append_line(path, "one\n")
    assert path.read_text() == "by another program, without an end of line\none\n"
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:2]))
    with pytest.raises(OSError, match="No space left"):
        append_line(path, "two\n")
    assert path.read_text().endswith("\none\n")


@pytest.fixture
def made(tmp_path):
    source, output = tmp_path / "source", tmp_path / "output"
    source.write_text("what it is made from")
    output.write_text("what was made")
    mark_made([output], made_from([source], setting=3))
    return source, output


def test_an_output_is_up_to_date_until_it_its_inputs_or_settings_change(made):
    source, output = made
    assert up_to_date([output], made_from([source], setting=3))
    assert not up_to_date([output], made_from([source], setting=4))
    assert not up_to_date([output], made_from([source, output], setting=3))
    for path in made:
        before = path.read_text()
        path.write_text(before.upper())
        os.utime(path, ns=(0, 0))
        assert not up_to_date([output], made_from([source], setting=3))
        path.write_text(before)
        assert up_to_date([output], made_from([source], setting=3))  # another time, the same content
    source.unlink()
    assert not up_to_date([output], made_from([source], setting=3))


def test_an_input_that_changes_during_the_work_counts_as_changed(made):
    source, output = made
    inputs = made_from([source])
    source.write_text("another text of another length")
    mark_made([output], inputs)
    assert not up_to_date([output], made_from([source]))


def test_a_workspace_copied_without_times_is_not_computed_anew(tmp_path):
    root = make_workspace(tmp_path, glasses=2, n_minima=5)
    done("step0_collect", root)
    for path in root.rglob("*"):
        os.utime(path, ns=(10**18, 10**18))
    assert "20 pairs, nothing new computed" in done("step0_collect", root)
    minimum = next(root.rglob("*.conf.txt"))
    minimum.write_text(minimum.read_text().replace(" 0 0 0", " 0 0 1", 1))
    assert "20 pairs, 4 computed" in done("step0_collect", root)


def test_lines_and_files_are_written_where_the_file_system_can_not_sync(tmp_path, monkeypatch):
    def fsync(file):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "fsync", fsync)
    append_line(tmp_path / "lines", "one\n")
    write_text(tmp_path / "text", "two")
    assert (tmp_path / "lines").read_text() + (tmp_path / "text").read_text() == "one\ntwo"
