"""Faults of the machine: full disks, file systems without locks, others at work, kills; when nothing is new."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import psutil
import pytest
import synthetic
from steps import LONGEST, ROOT, done, refused, started, stop, wait_until

from MLmodel.card import read_card
from pipeline.errors import UserError
from pipeline.files import append_line, atomic_write, file_named, only_writer
from pipeline.workspace import CLASSIFIER, Workspace

SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py"))
MODEL = "dw-classification-T01"


def begun(code, *arguments):
    """A Python process that says that it has begun and waits for a line on its stdin."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while process.stdout.readline() != "begun\n":
        assert process.poll() is None
    return process


# Signals
@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_during_the_first_imports_is_one_line(script, tmp_path):
    (tmp_path / "numpy.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    command = [sys.executable, str(ROOT / f"{script}.py"), "--workspace", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, env=environment)
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr.startswith("interrupted: ")
    assert ended.stderr.count("\n") == 1


STUBBORN = """
import os, signal, sys
from pipeline import command
command.CLEAN_UP = 0.1
def step(given):
    try:
        print("begun", flush=True)
        sys.stdin.read()
    finally:
        print("cleaning up", flush=True)
        sys.stdin.read()
command.run_script(step, "")
"""
"""A step whose cleaning up never ends."""


def test_a_step_that_is_terminated_ends_even_if_its_cleaning_up_does_not():
    with begun(STUBBORN) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "cleaning up\n"
        assert process.wait(LONGEST) == 143


# Files
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
    root = synthetic.make_workspace(tmp_path, glasses=2, n_minima=5)
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
from pipeline.files import only_writer
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
    root = synthetic.make_workspace(tmp_path, glasses=1, n_minima=4)
    holder = begun(HOLDER, Workspace(root).lock("step0_collect", "0.1"), 0)
    assert f"process {holder.pid} on" in refused("step0_collect", root)
    assert not list(root.rglob("*.feather"))
    with started("step0_collect", root, "--wait") as waiting:
        assert waiting.stdout.readline().startswith(f"waiting for step2_classify_dw (process {holder.pid}")
        holder.communicate("\n")
        assert "6 pairs, 6 computed" in waiting.communicate(timeout=60)[0]


# Trainings
LONG = "classifier: {train_hours: 1, fast: false}\nprocesses: 1\nseed: 3\n"
"""Settings with which a training has not ended before it is stopped."""


@pytest.fixture
def training(trained_copy):
    """A workspace whose training of the classifier is at work, and that process."""
    log = trained_copy / f"MLmodel/{MODEL}.log"
    log.unlink()
    (trained_copy / "config.yaml").write_text(LONG)
    with started("step1_train_dw", trained_copy) as process:
        wait_until(lambda: log.exists() and "Fitting" in log.read_text(), process)
        yield trained_copy, process


def left_over(root):
    """What an unfinished training leaves."""
    return [path.name for path in (root / "MLmodel").glob(".[dq]*")]


def card_of(root):
    return read_card(Workspace(root).at("0.1"), CLASSIFIER)


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_training_that_is_ended_takes_its_process_along_and_leaves_the_last_model(training, sent, status):
    root, process = training
    before = card_of(root)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    assert stop(process, sent, group=False).returncode == status
    assert not psutil.wait_procs(children, timeout=LONGEST)[1]
    assert left_over(root) == ([f".{MODEL}.new"] if sent == signal.SIGKILL else [])
    assert card_of(root) == before
    (root / "config.yaml").write_text(synthetic.QUICK)
    assert "nothing new" in done("step2_classify_dw", root)
    assert "nothing new" in done("step1_train_dw", root)
    assert not left_over(root)


@pytest.mark.slow
def test_a_training_that_was_killed_while_it_replaced_the_model_is_mended(trained_copy):
    before = card_of(trained_copy)
    model = trained_copy / "MLmodel" / MODEL
    model.rename(model.with_name(f".{MODEL}.old"))
    assert "nothing new" in done("step1_train_dw", trained_copy)
    assert card_of(trained_copy) == before
    assert not left_over(trained_copy)


# Models
@pytest.mark.slow
def test_a_model_whose_files_changed_is_refused_with_what_changed_and_trained_anew(trained_copy):
    model = trained_copy / f"MLmodel/{MODEL}"
    (trained_copy / "output_ML/T0.1/DW_T0.1.csv").unlink()
    changed = model / "model.cbm"
    content = changed.read_bytes()
    changed.write_bytes(content[:-1] + b"x")
    assert f"{changed}: was changed since the training; run step1" in refused("step2_classify_dw", trained_copy)
    changed.unlink()
    assert f"{changed}: is missing" in refused("step2_classify_dw", trained_copy)
    changed.write_bytes(content)
    shutil.copy(model / "train.feather", model / "test.feather")
    assert "test.feather: was changed since the training; run step1" in refused("validate_dw", trained_copy)
    assert "model:" in done("step1_train_dw", trained_copy)
    done("step2_classify_dw", trained_copy)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")
def test_a_step_that_is_killed_or_hindered_by_the_system_ends_with_the_same_files_when_it_is_run_again():
    """A sample of ``make soak``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-n", "0", "tests/kills.py"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST)
    assert ended.returncode == 0, ended.stdout
