"""What is written: whole or not at all, by one process at a time; and how a step knows that nothing is new."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from steps import ROOT, done, refused, started_python
from synthetic import make_workspace

from pipeline.errors import UserError
from pipeline.files import append_line, atomic_write, file_named
from pipeline.locks import only_writer
from pipeline.workspace import Workspace


def begun(code, *arguments):
    """A Python process that says that it has begun and waits for a line on its stdin."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while process.stdout.readline() != "begun\n":
        assert process.poll() is None
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


def test_of_two_that_write_one_file_each_leaves_it_whole_and_what_a_killed_one_left_is_swept(tmp_path):
    path = tmp_path / "table [1].csv"
    killed, alive = begun(WRITER, path), begun(WRITER, path)
    killed.kill()
    killed.communicate()
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_write(path) as part:
        part.write_text("mine, as long as a table")
    assert path.read_text() == "mine, as long as a table"
    assert len(list(tmp_path.iterdir())) == 2
    alive.communicate("\n")
    assert path.read_text() == "first half, second half"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_is_told_as_such_whichever_library_writes():
    with pytest.raises(OSError, match="space") as said, open("/dev/full", "wb") as full, file_named(Path("list.csv")):
        pl.DataFrame({"x": range(100_000)}).write_csv(full)
    assert (said.value.errno, said.value.filename) == (errno.ENOSPC, "list.csv")


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


def test_a_workspace_copied_without_times_is_not_computed_anew(tmp_path):
    root = make_workspace(tmp_path, glasses=2, n_minima=5)
    done("step0_collect", root)
    for path in root.rglob("*"):
        os.utime(path, ns=(10**18, 10**18))
    assert "20 pairs, nothing new computed" in done("step0_collect", root)
    minimum = next(root.rglob("*.conf.txt"))
    minimum.write_text(minimum.read_text().replace(" 0 0 0", " 0 0 1", 1))
    assert "20 pairs, 4 computed" in done("step0_collect", root)


# Locks
HOLDER = """
import fcntl, os, pathlib, sys
from pipeline.locks import only_writer
def fail(*_): raise OSError(int(sys.argv[2]), os.strerror(int(sys.argv[2])))
if sys.argv[2] != "0": fcntl.flock = fail
with only_writer(pathlib.Path(sys.argv[1]), "step2_classify_dw"):
    print("begun", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(params=[0, errno.ENOLCK, errno.ENOSYS])
def missing(monkeypatch, request):
    """What the file system says that has no locks; 0 where it has them."""

    def fail(*_):
        raise OSError(request.param, os.strerror(request.param))

    if request.param:
        monkeypatch.setattr(fcntl, "flock", fail)
    return request.param


def test_who_is_at_work_is_named_until_it_ends_however_it_ends(tmp_path, missing):
    path = tmp_path / "output_ML" / ".locks" / "step2.lock"
    holder = begun(HOLDER, path, missing)
    words = rf"{tmp_path}: step2_classify_dw \(process {holder.pid} on .*--wait" + (".*remove" if missing else "$")
    with pytest.raises(UserError, match=words), only_writer(path, "me"):
        pass
    holder.kill()
    holder.communicate()
    for _ in range(2):
        other = pytest.raises(UserError, match=rf"me \(process {os.getpid()} on")
        with only_writer(path, "me"), other, only_writer(path, "other"):
            pass


@pytest.mark.parametrize("missing", [errno.ENOLCK], indirect=True)
def test_a_holder_on_another_machine_is_not_taken_for_dead(tmp_path, missing):
    path = tmp_path / "output_ML" / ".locks" / "step2.lock"
    path.parent.mkdir(parents=True)
    path.write_text("step2_classify_dw (process 7 on elsewhere, since yesterday)\n")
    path.with_suffix(".held").write_text("4194399\nelsewhere\n")
    words = rf"process 7 on elsewhere.*remove {path.with_suffix('.held')}"
    with pytest.raises(UserError, match=words), only_writer(path, "me"):
        pass


def test_a_step_says_who_writes_the_same_files_or_waits(tmp_path):
    root = make_workspace(tmp_path, glasses=1, n_minima=4)
    holder = begun(HOLDER, Workspace(root).lock("step0_collect", "0.1"), 0)
    assert f"process {holder.pid} on" in refused("step0_collect", root)
    assert not list(root.rglob("*.feather"))
    with started_python(ROOT / "step0_collect.py", "--workspace", root, "--wait") as waiting:
        assert waiting.stdout.readline().startswith(f"waiting for step2_classify_dw (process {holder.pid}")
        holder.communicate("\n")
        assert "6 pairs, 6 computed" in waiting.communicate(timeout=60)[0]
