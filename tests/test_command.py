"""The command line that all scripts share: what stops them and with which status, what they say, what they load."""

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys

import pytest
from ruamel.yaml import YAML
from steps import ROOT, refused, run

from pipeline import __version__, messages
from pipeline.command import run_script
from pipeline.errors import UserError
from pipeline.files import write_text
from pipeline.settings import Settings, read_settings

SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py"))


def status_of(step, workspace, monkeypatch, *arguments):
    """Exit status of a step that is a function."""
    monkeypatch.setattr(sys, "argv", ["step.py", "--workspace", str(workspace), *arguments])
    before = signal.getsignal(signal.SIGTERM)
    try:
        run_script(step, "What it does.")
    except SystemExit as end:
        return end.code
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def test_the_version_is_the_same_everywhere():
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^## {re.escape(__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        *(
            (OSError(n, "words", "the/file.csv"), "the/file.csv: ")
            for n in (errno.ENOSPC, errno.EFBIG, errno.EACCES, errno.EROFS)
        ),
        *((one, "not enough memory; nothing is half-written") for one in (MemoryError(), ImportError("bad_alloc"))),
    ],
)
def test_what_a_user_can_do_something_about_is_one_line(tmp_path, monkeypatch, capsys, error, says):
    def step(command):
        raise error

    assert status_of(step, tmp_path, monkeypatch) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {says}")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-T=--"], "-T=--: gives no value"),
        (["-T", "0.1\n0.2"], "no temperature 0.1 0.2 here"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_even_where_stderr_is_closed(tmp_path, arguments, words):
    command = shlex.join([sys.executable, str(ROOT / "step0_collect.py"), "--workspace", str(tmp_path), *arguments])
    ended = subprocess.run(f"{command} 2>&-", shell=True, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.count("\n")) == (2, 1)
    assert words in ended.stdout


@pytest.mark.parametrize("written", ["0.1", "T0.1"])
def test_a_temperature_is_named_by_its_folder_or_its_number(tmp_path, monkeypatch, capsys, written):
    (tmp_path / "NEB_calculations/T0.1").mkdir(parents=True)
    step = lambda command: print(command.temperatures(lambda T: True, "none"))  # noqa: E731
    assert status_of(step, tmp_path, monkeypatch, "-T", written) == 0
    assert capsys.readouterr().out == "['0.1']\n"


@pytest.mark.parametrize("name", ["0.12", "T_0.12", "T=0.12", "T0.12_old", "T0.10"])
def test_a_folder_that_looks_like_a_temperature_and_is_none_or_one_that_is_there_is_named(
    tmp_path, monkeypatch, capsys, name
):
    for one in ("T0.1", name, "answers", "Trash"):
        (tmp_path / "NEB_calculations" / one).mkdir(parents=True)
    status = status_of(lambda command: print(command.temperatures(lambda T: True, "none")), tmp_path, monkeypatch)
    stdout, stderr = capsys.readouterr()
    if name == "T0.10":
        assert (status, stderr.count("\n")) == (2, 1)
        assert "T0.1 and T0.10 are one temperature; give its folders one name" in stderr
    else:
        folder = tmp_path / "NEB_calculations" / name
        assert stdout.startswith(f"{folder}: not read, as it is not named T and a number")
        assert stdout.endswith("\n['0.1']\n")


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


# What a step says
def some_step(command):
    if command.workspace.root.name == "same":
        messages.nothing_new("0.1", "nothing new")
        messages.nothing_new("0.2", "nothing new")
    else:
        messages.note("working")
        messages.detail("a file")
        messages.result("7 found")
        messages.record("0.1", found=7)
        write_text(command.workspace.root / "a.csv", "a")
        write_text(command.workspace.root / ".a.csv.made-from.json", "hidden")
        if command.workspace.root.name == "bad":
            raise UserError("a.csv: mend it")
    command.say_next("step1_train_dw.py")


@pytest.fixture
def say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def ended(workspace, *arguments):
        (tmp_path / workspace).mkdir(exist_ok=True)
        return status_of(some_step, workspace, monkeypatch, *arguments), *capsys.readouterr()

    return ended


def test_quiet_shows_results_and_v_also_the_files(say):
    said = {option: say("new", *option)[1].splitlines()[:-1] for option in ((), ("--quiet",), ("-v",))}
    verbose = ["working", "a file", "7 found", f"wrote {os.path.join('new', 'a.csv')}"]
    assert said == {(): ["working", "7 found"], ("--quiet",): ["7 found"], ("-v",): verbose}


def test_json_is_one_object_also_where_the_user_must_act(say):
    said = json.loads(say("new", "--json")[1])
    assert said["files"] == [os.path.join("new", "a.csv")]
    assert said["temperatures"] == {"0.1": {"found": 7}}
    assert (said["script"], said["status"], said["nothing_new"], said["error"]) == ("step.py", 0, False, None)
    assert "step1_train_dw.py --workspace new" in said["next"]
    status, stdout, stderr = say("bad", "--json")
    assert status == json.loads(stdout)["status"] == 2
    assert json.loads(stdout)["error"] == "a.csv: mend it"
    assert stderr == "error: a.csv: mend it\n"


def test_nothing_new_is_one_line_for_all_temperatures_with_the_next_command(say):
    _, said, _ = say("same")
    assert said.count("\n") == 1
    assert said.startswith("T = 0.1, 0.2: nothing new; next: ")
    assert json.loads(say("same", "--json")[1])["nothing_new"] is True


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("NO_COLOR", "1")])
def test_on_a_terminal_results_stand_between_two_rules_and_nothing_is_wider(monkeypatch, capsys, name, value):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    messages.begin()
    messages.note("word " * 30)
    messages.result("result " * 20)
    messages.say_next("python step1_train_dw.py")
    messages.end("step.py")
    messages.begin()
    lines = capsys.readouterr().out.splitlines()
    assert not any("\x1b" in line for line in lines)
    assert max(map(len, lines)) <= 80
    rules = [k for k, line in enumerate(lines) if "───" in line]
    assert [rules[0] < k < rules[1] for k, line in enumerate(lines) if "result" in line] == [True, True]
    assert lines[-2] == "next: python step1_train_dw.py"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_missing_library_is_one_line_with_the_way_to_get_it(script, tmp_path):
    command = [sys.executable, "-S", str(ROOT / f"{script}.py"), "-T", "0.1", "--workspace", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "has no library" in ended.stderr
    assert "bin/activate" in ended.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_fits_80_columns_and_has_an_example(script, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = run(script, ".", "--help").stdout
    assert max(map(len, said.splitlines())) <= 80
    assert f"Example  python {script}.py" in said
    assert "which data:" in said


def test_a_log_file_gets_a_line_now_and_then_with_the_time_left(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    monkeypatch.setattr(messages, "LOG_EVERY", 0.0)
    assert list(messages.Progress(range(3), desc="joining", unit="table")) == [0, 1, 2]
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert lines[-1].startswith("joining: 3 of 3 tables, 00:0")
    assert all(line.endswith(" left") for line in lines)
