"""A real Slurm of one node, where it is installed and we are root; the scripts are those of doc/cluster.md."""

import os
import re
import shutil
import subprocess

import pytest
from dask_cluster import wait_for
from neb_glass import results
from steps import ROOT, done

from pipeline.locks import only_writer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.getuid() != 0 or not all(map(shutil.which, ("slurmctld", "slurmd", "sbatch", "munged"))), reason="no Slurm"
    ),
]

DOC = (ROOT / "doc" / "cluster.md").read_text()


def block(kind, word):
    """The first block of the page that holds a word."""
    return next(text for text in re.findall(rf"```{kind}\n(.*?)```", DOC, re.DOTALL) if word in text)


def said_by(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def slurm(base, tmp_path, monkeypatch):
    """One at a time, as all have the same ports."""
    folder = tmp_path / "slurm"
    with only_writer(base / "slurm.lock", "slurm", wait=True):
        monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        said_by(ROOT / "tests" / "slurm_node.sh", "start", folder)
        wait_for(lambda: "idle" in subprocess.run(["sinfo", "-h"], capture_output=True, text=True).stdout)
        yield folder
        said_by(ROOT / "tests" / "slurm_node.sh", "stop", folder)
        wait_for(lambda: not list(folder.glob("*.pid")))


def test_a_job_array_of_four_shares_comes_to_the_files_of_one_run(slurm, glass, calculated):
    script = block("bash", "--array")
    for old, new in {
        "/home/me/tls-finder": str(ROOT),
        "/scratch/me/glass": str(glass),
        "--top 400": f"--pairs {glass}/pairs.csv",
        "--cpus-per-task=8": "--cpus-per-task=1",
        "--mem=16G": "--mem=500M",
    }.items():
        assert old in script
        script = script.replace(old, new)
    (glass / "job.sh").write_text(script)
    said_by("sbatch", f"--output={glass}/job-%a.out", str(glass / "job.sh"))
    wait_for(lambda: not said_by("squeue", "-h"))
    for number in (1, 2, 3, 4):
        assert "once all shares have ended" in (glass / f"job-{number}.out").read_text()
    assert "no new pairs" in done("run_neb", glass, "--pairs", glass / "pairs.csv")
    assert results(glass) == results(calculated)
