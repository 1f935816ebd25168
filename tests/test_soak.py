"""Samples of what ``make soak`` tries: damaged files, and steps killed and hindered at calls of the system."""

import os
import shutil
import subprocess
import sys

import pytest
from fuzz import READERS, run
from steps import LONGEST, ROOT


@pytest.mark.slow
def test_no_reader_crashes_hangs_or_takes_what_is_impossible_for_good():
    found = run(READERS, 20, seed=0)
    assert {name: faults for name, (_, faults) in found.items() if faults} == {}
    for name, (kinds, _) in found.items():
        assert kinds["refused"] or kinds["unchanged"] > 10, name


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")
def test_a_step_that_is_killed_or_hindered_anywhere_ends_with_the_same_files_when_it_is_run_again():
    sample = "step0_collect --every 16 --only rename fsync lock"
    command = [sys.executable, str(ROOT / "tests" / "faults.py"), *sample.split()]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=LONGEST, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    if "can't attach" in ended.stderr:
        pytest.skip("strace may not attach to processes here")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = {tuple(words[:3]): words[3] for words in (line.split(maxsplit=3) for line in ended.stdout.splitlines())}
    expected = {("KILL", "rename"): "killed", ("EIO", "fsync"): "one line", ("ENOLCK", "lock"): "not hindered"}
    for (kind, call), outcome in expected.items():
        assert told["step0_collect", kind, call].startswith(f"{outcome}: "), told
