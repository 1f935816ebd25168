"""Batch systems that refuse jobs, and keys that they do not have; the system is a script here, in place of Slurm."""

import contextlib
import shutil
import socket
import warnings

import pytest
from steps import ROOT, refused, run_process
from test_workers import square

from pipeline.errors import UserError
from pipeline.settings import ClusterSettings, Settings
from pipeline.workers.pool import worker_pool
from pipeline.workspace import Workspace

pytest.importorskip("dask_jobqueue")

REFUSE = """echo "sbatch: error: invalid partition specified: nope" >&2
echo "sbatch: error: Batch job submission failed: Invalid partition name specified" >&2
exit 1
"""


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """``sbatch(script)``: what the command does; without one there is none."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))

    def make(script):
        for name, text in (("sbatch", script), ("scancel", "kill $1")):
            (folder / name).write_text(f"#!/bin/sh\n{text.format(folder=folder)}")
            (folder / name).chmod(0o755)

    return make


def one_glass(root):
    folder = Workspace(root).at("0.12").glass(21)
    folder.mkdir(parents=True)
    for path in sorted(Workspace(ROOT / "example").at("0.12").glass(21).iterdir())[:3]:
        shutil.copy(path, folder)
    return root


@pytest.mark.slow
def test_a_system_that_refuses_all_jobs_ends_the_step_with_its_own_words(tmp_path, sbatch):
    sbatch(REFUSE)
    root = one_glass(tmp_path / "own")
    (root / "config.yaml").write_text("cluster: {slurm: {n_workers: 3, cores: 1, memory: 1GB, queue: nope}}\n")
    words = "cluster.slurm: no job was taken: sbatch: error: invalid partition specified: nope; sbatch: error: Batch"
    assert words in refused("export_minima", root, run=run_process)


def test_a_system_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    options = {"cores": 1, "memory": "1GB"}
    with (
        pytest.raises(UserError, match=r"cluster.sge: no job was taken: .*qsub"),
        worker_pool(Settings(cluster=ClusterSettings(sge=options))) as workers,
    ):
        list(workers.results(square, [1]))


def test_two_clusters_on_one_machine_do_not_ask_for_one_port(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = Settings(cluster=ClusterSettings(sge={"cores": 1, "memory": "1GB"}))
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # somebody has it already
            taken.bind(("", 8787))  # Dask's default
            taken.listen()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with worker_pool(settings):
                pass
