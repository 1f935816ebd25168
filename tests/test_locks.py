"""One writer at a time: who is at work is named, also where the file system has no locks, and however it ended."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest
from steps import ROOT, refused, started_python
from synthetic import make_workspace

from pipeline.errors import UserError
from pipeline.locks import only_writer
from pipeline.workspace import Workspace

HOLDER = """
import fcntl, os, pathlib, sys
from pipeline.locks import only_writer
def fail(*_): raise OSError(int(sys.argv[2]), os.strerror(int(sys.argv[2])))
if sys.argv[2] != "0": fcntl.flock = fail
with only_writer(pathlib.Path(sys.argv[1]), "step2_classify_dw"):
    print("begun", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(params=[0, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def missing(monkeypatch, request):
    """What the file system says that has no locks; 0 where it has them."""

    def fail(*_):
        raise OSError(request.param, os.strerror(request.param))

    if request.param:
        monkeypatch.setattr(fcntl, "flock", fail)
    return request.param


def held(path, missing=0):
    """Start another process that holds a lock."""
    command = [sys.executable, "-c", HOLDER, str(path), str(missing)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while process.stdout.readline() != "begun\n":
        assert process.poll() is None
    return process


def test_who_is_at_work_is_named_until_it_ends_however_it_ends(tmp_path, missing):
    path = tmp_path / "output_ML" / ".locks" / "step2.lock"
    holder = held(path, missing)
    words = rf"{tmp_path}: step2_classify_dw \(process {holder.pid} on .*--wait" + (".*remove" if missing else "$")
    with pytest.raises(UserError, match=words), only_writer(path, "me"):
        pass
    holder.kill()
    holder.communicate()
    for _ in range(2):
        other = pytest.raises(UserError, match=rf"me \(process {os.getpid()} on")
        with only_writer(path, "me"), other, only_writer(path, "other"):
            pass


def test_a_holder_on_another_machine_is_not_taken_for_dead(tmp_path, monkeypatch):
    path = tmp_path / "output_ML" / ".locks" / "step2.lock"
    path.parent.mkdir(parents=True)
    path.write_text("step2_classify_dw (process 7 on elsewhere, since yesterday)\n")
    path.with_suffix(".held").write_text("4194399\nelsewhere\n")

    def fail(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fail)
    words = rf"process 7 on elsewhere.*remove {path.with_suffix('.held')}"
    with pytest.raises(UserError, match=words), only_writer(path, "me"):
        pass


def test_a_step_says_who_writes_the_same_files_or_waits(tmp_path):
    root = make_workspace(tmp_path, glasses=1, n_minima=4)
    holder = held(Workspace(root).lock("step0_collect", "0.1"))
    assert f"process {holder.pid} on" in refused("step0_collect", root)
    assert not list(root.rglob("*.feather"))
    with started_python(ROOT / "step0_collect.py", "--workspace", root, "--wait") as waiting:
        assert waiting.stdout.readline().startswith(f"waiting for step2_classify_dw (process {holder.pid}")
        holder.communicate("\n")
        assert "6 pairs, 6 computed" in waiting.communicate(timeout=60)[0]
