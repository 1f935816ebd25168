"""A cluster: files of the same bytes as here, and what becomes of a run whose workers, or scheduler, are lost."""

import os
import random
import shutil
import signal
import sys
from functools import partial

import neb_glass
import pandas as pd
import pytest
from dask_cluster import Cluster, wait_for
from steps import ROOT, done, refused, run_process, started, stop, wait_until
from test_workers import square

from pipeline.errors import UserError
from pipeline.settings import ClusterSettings, Settings
from pipeline.workers.pool import worker_pool
from pipeline.workspace import Workspace

pytest.importorskip("dask_jobqueue")


@pytest.fixture
def fragile(tmp_path):
    """``fragile(n)``: a cluster with n workers, of which nothing is left after the test."""
    clusters = []

    def make(workers):
        (tmp_path / "cluster").mkdir()
        clusters.append(Cluster(tmp_path / "cluster", workers))
        return clusters[-1]

    yield make
    for one in clusters:
        one.end()


def with_cluster(root, cluster):
    """Let the steps of a workspace run on a cluster."""
    with (root / "config.yaml").open("a") as file:
        file.write(f"cluster: {{scheduler_file: {cluster.file}}}\n")


def end_dask_worker(folder, job):
    """Kill the Dask worker that runs this; but only of job 0."""
    if job == 0:
        (folder / str(os.getppid())).touch()
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()
    return job


def touch_and_wait(folder, job):
    """The first job waits for good, the first time; told is the process of the Dask worker."""
    if job == 0 and not (folder / "frozen").exists():
        (folder / "frozen").write_text(str(os.getppid()))
        signal.pause()
    return job


# The same as here
def simulate_and_collect(root):
    glass = "--glasses 2 --n-particles 80 --sweeps 200 --quenches 20 --interval 100"
    said = done("simulate_glass", root, "-T", "0.15", *glass.split(), run=run_process)
    return said + done("step0_collect", root, run=run_process)


def classify_and_predict(root):
    for path in (root / "output_ML/T0.1").glob("[Dp]*.csv"):
        path.unlink()
    return "".join(done(step, root, run=run_process) for step in ("step2_classify_dw", "step4_predict_qs"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "work"), [("workspace", simulate_and_collect), ("trained_copy", classify_and_predict)]
)
def test_files_are_the_same_as_here_byte_by_byte(cluster, tmp_path_factory, request, start, work):
    before = request.getfixturevalue(start)
    found = []
    for place in ("here", "elsewhere"):
        root = shutil.copytree(before, tmp_path_factory.mktemp("places") / place)
        if place == "elsewhere":
            with_cluster(root, cluster)
        said = [line.replace(str(root), "") for line in work(root).splitlines() if not line.endswith(" passed")]
        written = [path for path in root.rglob("[!.]*.*") if path.is_file() and path.suffix != ".lock"]
        files = {str(path.relative_to(root)): path for path in written}
        files.pop("config.yaml")
        found.append((said, files))
    (said_here, here), (said_elsewhere, elsewhere) = found
    assert said_here == said_elsewhere
    assert here.keys() == elsewhere.keys()
    for name, path in here.items():
        if "pairs/T0.15" in name:  # these say when their minima were made
            pd.testing.assert_frame_equal(*map(pd.read_feather, (path, elsewhere[name])), check_exact=True)
        else:
            assert path.read_bytes() == elsewhere[name].read_bytes(), name


# What nodes need


def test_another_version_on_a_node_and_a_function_that_it_can_not_import_are_named(cluster, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def work(job):\n    return job\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    with worker_pool(cluster.settings) as workers:
        with pytest.raises(UserError, match=r"can't load the work .*only_here"):
            list(workers.results(only_here.work, [1]))
        monkeypatch.setattr("pipeline.workers.dask_cluster.VERSION", "tls-finder 9.9 on Python 3.11")
        with pytest.raises(UserError, match=r"this is tls-finder 9\.9 on Python 3\.11; have the same"):
            list(workers.results(square, [1]))
    del sys.modules["only_here"]


# What is lost
@pytest.mark.slow
def test_a_job_that_takes_its_workers_with_it_is_given_up_after_three_and_the_rest_goes_on(fragile, tmp_path):
    dead = tmp_path / "dead"
    dead.mkdir()
    with worker_pool(fragile(4).settings) as workers:
        results = workers.results(partial(end_dask_worker, dead), range(12), lost=lambda *given: given)
        found = sorted(results, key=str)
    assert len(list(dead.iterdir())) == 3
    assert [one for one in found if isinstance(one, int)] == sorted(range(1, 12), key=str)
    assert found[0] == (0, "3 workers of the cluster were lost with it")


@pytest.mark.slow
def test_workers_that_are_killed_at_random_and_one_that_is_frozen_cost_no_result(fragile, tmp_path):
    cluster, rng, frozen, found = fragile(3), random.Random(20), tmp_path / "frozen", []
    with worker_pool(cluster.settings) as workers:
        for result in workers.results(partial(touch_and_wait, tmp_path), range(60)):
            found.append(result)
            if len(found) == 5:
                wait_for(lambda: frozen.exists() and frozen.read_text())
                os.kill(int(frozen.read_text()), signal.SIGSTOP)
            if len(found) in (10, 20, 30):
                cluster.add_worker()
                cluster.kill(rng.choice([one for one in cluster.workers if str(one.pid) != frozen.read_text()]))
    assert sorted(found) == list(range(60))


@pytest.mark.slow
def test_a_scheduler_that_is_lost_ends_the_run_with_one_line_and_what_was_done_is_there(fragile, glass, calculated):
    cluster = fragile(2)
    with_cluster(glass, cluster)
    with started("run_neb", glass, "--pairs", glass / "pairs.csv") as process:
        wait_until(lambda: neb_glass.results(glass), process)
        cluster.scheduler.kill()
        ended = stop(process, 0)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "the Dask scheduler is lost; what was done is on disk" in ended.stderr
    (glass / "config.yaml").write_text(neb_glass.SETTINGS)
    done("run_neb", glass, "--pairs", glass / "pairs.csv")
    assert neb_glass.results(glass) == neb_glass.results(calculated)


# What there is not
@pytest.mark.slow
@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ("{scheduler: 'tcp://127.0.0.1:9'}", "cluster.scheduler = tcp://127.0.0.1:9: no Dask scheduler answers"),
        ("{scheduler_file: none.json}", "cluster.scheduler_file = none.json: no such file"),
        ("{slurm: {coers: 2}}", "config.yaml: cluster.slurm: Got unexpected keyword argument 'coers'"),
        (
            "{slurm: {n_workers: 3, cores: 1, memory: 1GB, queue: nope}}",
            "cluster.slurm: no job was taken: sbatch: error: invalid partition specified: nope; sbatch: error: Batch",
        ),
    ],
)
def test_a_cluster_that_does_not_answer_knows_a_key_or_takes_jobs_is_named(tmp_path, monkeypatch, cluster, words):
    sbatch = tmp_path / "bin/sbatch"  # in place of Slurm's
    sbatch.parent.mkdir()
    sbatch.write_text("""#!/bin/sh
echo "sbatch: error: invalid partition specified: nope" >&2
echo "sbatch: error: Batch job submission failed: Invalid partition name specified" >&2
exit 1
""")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:/usr/bin:/bin")
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "2s")
    root = tmp_path / "own"
    folder = Workspace(root).at("0.12").glass(21)
    folder.mkdir(parents=True)
    for path in sorted(Workspace(ROOT / "example").at("0.12").glass(21).iterdir())[:3]:
        shutil.copy(path, folder)
    (root / "config.yaml").write_text(f"cluster: {cluster}\n")
    assert words in refused("export_minima", root, run=run_process)


def test_a_batch_system_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = Settings(cluster=ClusterSettings(sge={"cores": 1, "memory": "1GB"}))
    with pytest.raises(UserError, match=r"cluster.sge: no job was taken: .*qsub"), worker_pool(settings) as workers:
        list(workers.results(square, [1]))
