"""What a step says: how much of it, as one JSON object, and in which words it names the next step."""

import json
import os
import shlex
import subprocess
import sys

import pytest
from steps import ROOT, run

from pipeline import messages
from pipeline import progress as module
from pipeline.progress import Progress

SCRIPT = """
import sys
from pipeline.command import run_script
from pipeline.files import write_text
from pipeline.messages import detail, note, nothing_new, record, result
from pipeline.errors import UserError

def step(command):
    if command.workspace.root.name == "same":
        nothing_new("0.1", "nothing new")
        nothing_new("0.2", "nothing new")
    else:
        note("working")
        detail("a file")
        result("7 found")
        record("0.1", found=7)
        write_text(command.workspace.root / "a.csv", "a")
        write_text(command.workspace.root / ".a.csv.made-from.json", "hidden")
        if command.workspace.root.name == "bad":
            raise UserError("a.csv: mend it")
    command.say_next("step1_train_dw.py")

run_script(step, "What it does.")
"""


@pytest.fixture
def say(tmp_path):
    (tmp_path / "step.py").write_text(SCRIPT)

    def ended(workspace, *arguments):
        (tmp_path / workspace).mkdir(exist_ok=True)
        command = [sys.executable, "step.py", "--workspace", workspace, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return ended


def test_quiet_shows_results_and_v_also_the_files(say):
    said = {option: say("new", *option).stdout.splitlines()[:-1] for option in ((), ("--quiet",), ("-v",))}
    verbose = ["working", "a file", "7 found", f"wrote {os.path.join('new', 'a.csv')}"]
    assert said == {(): ["working", "7 found"], ("--quiet",): ["7 found"], ("-v",): verbose}


def test_json_is_one_object_also_where_the_user_must_act(say):
    said = json.loads(say("new", "--json").stdout)
    assert said["files"] == [os.path.join("new", "a.csv")]
    assert said["temperatures"] == {"0.1": {"found": 7}}
    assert (said["script"], said["status"], said["nothing_new"], said["error"]) == ("step.py", 0, False, None)
    assert "step1_train_dw.py --workspace new" in said["next"]
    ended = say("bad", "--json")
    assert ended.returncode == json.loads(ended.stdout)["status"] == 2
    assert json.loads(ended.stdout)["error"] == "a.csv: mend it"
    assert ended.stderr == "error: a.csv: mend it\n"


def test_nothing_new_is_one_line_for_all_temperatures_with_the_next_command(say):
    said = say("same").stdout
    assert said.count("\n") == 1
    assert said.startswith("T = 0.1, 0.2: nothing new; next: ")
    assert json.loads(say("same", "--json").stdout)["nothing_new"] is True


def test_the_next_command_can_be_pasted(say):
    following = say("new").stdout.splitlines()[-1].removeprefix("next: ")
    interpreter, script, *rest = shlex.split(following)
    assert os.access(interpreter, os.X_OK) or interpreter == "python"
    assert script == str(ROOT / "step1_train_dw.py")
    assert rest == ["--workspace", "new"]


def test_on_a_terminal_results_stand_between_two_rules_and_nothing_is_wider(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")  # no bold
    messages.begin()
    messages.note("word " * 30)
    messages.result("result " * 20)
    messages.say_next("python step1_train_dw.py")
    messages.end("step.py", "0")
    messages.begin()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    rules = [k for k, line in enumerate(lines) if "───" in line]
    assert [rules[0] < k < rules[1] for k, line in enumerate(lines) if "result" in line] == [True, True]
    assert lines[-2] == "next: python step1_train_dw.py"


@pytest.mark.parametrize("script", sorted(path.stem for path in ROOT.glob("*.py")))
def test_a_missing_library_is_one_line_with_the_way_to_get_it(script, tmp_path):
    command = [sys.executable, "-S", str(ROOT / f"{script}.py"), "-T", "0.1", "--workspace", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "has no library" in ended.stderr
    assert "bin/activate" in ended.stderr


@pytest.mark.parametrize("script", sorted(path.stem for path in ROOT.glob("*.py")))
def test_help_fits_80_columns_and_has_an_example(script, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = run(script, ".", "--help").stdout
    assert max(map(len, said.splitlines())) <= 80
    assert f"Example  python {script}.py" in said
    assert "which data:" in said


# Progress
@pytest.fixture
def no_terminal(monkeypatch):
    """As in a log file, where a line is due at every step."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    monkeypatch.setattr(module, "LOG_EVERY", 0.0)


def test_a_log_file_gets_a_line_now_and_then_with_the_time_left(no_terminal, capsys):
    assert list(Progress(range(3), desc="joining", unit="table")) == [0, 1, 2]
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert lines[-1].startswith("joining: 3 of 3 tables, 00:0")
    assert all(line.endswith(" left") for line in lines)
