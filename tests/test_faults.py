"""Faults of the machine: full disks, file systems without locks, kills."""

import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest
import synthetic
from steps import LONGEST, ROOT, done, refused, started, started_python, stop, wait_until

from MLmodel.card import read_card
from pipeline.workspace import CLASSIFIER, Workspace

SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py"))
MODEL = "dw-classification-T01"


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
    with started_python("-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {STUBBORN!s}") as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "cleaning up\n"
        assert process.wait(LONGEST) == 143


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
