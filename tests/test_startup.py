"""What a step loads before it knows whether there is anything to do: libraries that only the work needs come later."""

import re
import subprocess
import sys

import pytest
from steps import ROOT

HEAVY = {"numba", "catboost", "lightgbm", "sklearn", "matplotlib", "autogluon", "ase.io", "dask"}


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
