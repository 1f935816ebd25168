"""The command line that all scripts share: what stops them, with which status, and what they say of folders."""

import errno
import re
import shlex
import signal
import subprocess
import sys

import pytest
from ruamel.yaml import YAML
from steps import ROOT, refused

from pipeline import __version__
from pipeline.command import run_script
from pipeline.settings import Settings, read_settings

SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py"))


@pytest.fixture(autouse=True)
def own_sigterm():
    """A step sets what happens on SIGTERM; the tests get theirs back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def status_of(step, workspace, monkeypatch, *arguments):
    """Exit status of a step that is a function."""
    monkeypatch.setattr(sys, "argv", ["step.py", "--workspace", str(workspace), *arguments])
    try:
        run_script(step, "What it does.")
    except SystemExit as end:
        return end.code
    return 0


def test_the_version_is_the_same_everywhere():
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^## {re.escape(__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS])
def test_what_a_user_can_do_something_about_is_one_line_with_the_file(tmp_path, monkeypatch, capsys, number):
    def step(command):
        raise OSError(number, "words of the system", "the/file.csv")

    assert status_of(step, tmp_path, monkeypatch) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: the/file.csv: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-T=--"], "-T=--: gives no value"),
        (["-T", "0.1\n0.2"], "no temperature 0.1 0.2 here"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
@pytest.mark.parametrize("closed", ["", "2>&-"])
def test_a_mistake_on_the_command_line_is_one_line_even_where_stderr_is_closed(tmp_path, arguments, words, closed):
    command = shlex.join([sys.executable, str(ROOT / "step0_collect.py"), "--workspace", str(tmp_path), *arguments])
    ended = subprocess.run(f"{command} {closed}", shell=True, capture_output=True, text=True)
    said = ended.stdout if closed else ended.stderr
    assert ended.returncode == 2
    assert said.count("\n") == 1
    assert words in said


@pytest.mark.parametrize("error", [MemoryError(), ImportError("x.so: failed to map segment from shared object")])
def test_too_little_memory_is_one_line(tmp_path, monkeypatch, capsys, error):
    def step(command):
        raise error

    assert status_of(step, tmp_path, monkeypatch) == 2
    assert capsys.readouterr().err.startswith("error: not enough memory; nothing is half-written")


def folders(root, *names):
    for name in names:
        (root / "NEB_calculations" / name).mkdir(parents=True)
    return root


def known(command):
    print(command.temperatures(lambda T: True, "nothing here"))


def test_one_temperature_under_two_names_is_refused(tmp_path, monkeypatch, capsys):
    assert status_of(known, folders(tmp_path, "T0.12", "T0.120"), monkeypatch) == 2
    assert "T0.12 and T0.120 are one temperature; give its folders one name" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["0.12", "T_0.12", "T=0.12", "T0.12_old"])
def test_a_folder_that_looks_like_a_temperature_and_is_none_is_named(tmp_path, monkeypatch, capsys, name):
    assert status_of(known, folders(tmp_path, "T0.1", name, "answers", "Trash"), monkeypatch) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{tmp_path / 'NEB_calculations' / name}: not read, as it is not named T and a number")
    assert second == "['0.1']"


@pytest.mark.slow
def test_where_neither_code_nor_home_is_writable_compiled_functions_are_kept_elsewhere(tmp_path):
    """As in a module on a cluster; it takes root to make it so."""
    script = f"""
        mkdir -p code && cp -r {ROOT}/glass code/ && rm -rf code/glass/__pycache__
        mount --bind code code && mount -o remount,ro,bind code || exit 77
        export HOME=$PWD/code/home PYTHONPATH=$PWD/code TMPDIR={tmp_path} && unset XDG_CACHE_HOME NUMBA_CACHE_DIR
        {sys.executable} -c 'import glass.features; print(glass.__file__)'
    """
    ended = subprocess.run(["unshare", "-m", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    if ended.returncode == 77 or "unshare" in ended.stderr:
        pytest.skip("nothing can be mounted here")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{tmp_path}/code/glass/__init__.py\n"
    assert f"compiled functions are kept in {tmp_path}/tls-finder-" in ended.stderr


# Settings
def test_the_shipped_file_holds_every_key_with_its_default():
    path = ROOT / "config.yaml"
    assert read_settings(path) == Settings()
    assert YAML(typ="safe", pure=True).load(path) == Settings().model_dump()


def test_the_workspace_goes_before_the_project_and_config_before_both(tmp_path):
    (tmp_path / "config.yaml").write_text("particles: 0\n")
    assert "particles = 0" in refused("step0_collect", tmp_path)
    other = tmp_path / "other.yaml"
    other.write_text("seed: -1\n")
    assert "seed = -1" in refused("step0_collect", tmp_path, "--config", other)
    assert "no such settings file" in refused("step0_collect", tmp_path, "--config", tmp_path / "none.yaml")


# What a step loads
HEAVY = {"pandas", "pyarrow", "numba", "catboost", "lightgbm", "sklearn", "matplotlib", "autogluon", "ase.io", "dask"}


@pytest.mark.parametrize(
    "script", ["step0_collect", "step1_train_dw", "step2_classify_dw", "step3_train_qs", "step4_predict_qs"]
)
def test_a_step_with_nothing_to_do_says_so_without_what_only_the_work_needs(trained_copy, script):
    command = [sys.executable, "-X", "importtime", ROOT / f"{script}.py", "--workspace", trained_copy]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "nothing new" in ended.stdout
    loaded = re.findall(r"^import time:.*\| +(\S+)$", ended.stderr, re.MULTILINE)
    assert "pipeline.settings" in loaded
    assert not set(loaded) & HEAVY
