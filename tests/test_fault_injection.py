"""A sample of the faults of tests/faults.py: steps killed and hindered at calls of the system, and run again."""

import os
import shutil
import subprocess
import sys

import pytest
from steps import LONGEST, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")]


def test_a_step_that_is_killed_or_hindered_anywhere_ends_with_the_same_files_when_it_is_run_again():
    sample = "step0_collect --every 3 --only rename fsync lock"
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
