"""A sample of the faults of tests/faults.py: steps killed and hindered at calls of the system, and run again."""

import shutil
import subprocess
import sys

import pytest
from steps import LONGEST, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")]


def test_a_step_that_is_killed_or_hindered_anywhere_ends_with_the_same_files_when_it_is_run_again():
    sample = "step0_collect --every 3 --only rename fsync lock"
    command = [sys.executable, str(ROOT / "tests" / "faults.py"), *sample.split()]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, cwd=ROOT)
    if "can't attach" in ended.stderr:
        pytest.skip("strace may not attach to processes here")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = {tuple(words[:3]): words[3] for words in (line.split(maxsplit=3) for line in ended.stdout.splitlines())}
    assert told["step0_collect", "KILL", "rename"] == "killed: 1"
    assert told["step0_collect", "EIO", "fsync"] == "one line: 2"
    assert told["step0_collect", "ENOLCK", "lock"] == "not hindered: 1"
