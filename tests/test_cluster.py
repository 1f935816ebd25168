"""A real Dask cluster: the same results as here, and what becomes of a run whose workers, or scheduler, are lost."""

import errno
import os
import random
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

import neb_glass
import numpy as np
import pandas as pd
import pytest
from dask_cluster import Cluster, wait_for
from steps import done, refused, run_process, started, stop, wait_until
from test_relax_minima import folder_of, relaxed_rows, shaken
from test_workers import divide, end, hang_at_3, square

from pipeline.collect import GlassJob
from pipeline.errors import UserError
from pipeline.glass_pairs import update_tables
from pipeline.settings import ClusterSettings, Settings
from pipeline.stored_geometry import compute_from_file
from pipeline.workers.pool import SerialWorkers, worker_pool
from pipeline.workspace import Workspace, minimum_paths

pytest.importorskip("distributed")


def on(cluster):
    return Settings(cluster=ClusterSettings(scheduler_file=str(cluster.file)))


def made(folder, workers):
    folder.mkdir(exist_ok=True)
    cluster = Cluster(folder)
    for _ in range(workers):
        cluster.add_worker()
    return cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers, for tests that do them no harm."""
    cluster = made(tmp_path_factory.mktemp("cluster"), 2)
    yield cluster
    cluster.end()


@pytest.fixture
def fragile(tmp_path):
    """``fragile(n)``: a cluster with n workers, of which nothing is left after the test."""
    clusters = []

    def make(workers):
        clusters.append(made(tmp_path / "cluster", workers))
        return clusters[-1]

    yield make
    for one in clusters:
        one.end()


def with_cluster(root, cluster):
    """Let the steps of a workspace run on a cluster."""
    with (root / "config.yaml").open("a") as file:
        file.write(f"cluster: {{scheduler_file: {cluster.file}}}\n")


def end_dask_worker(folder, deaths, job):
    """Kill the Dask worker that runs this, unless so many have died already; but only job 0."""
    if job == 0 and len(list(folder.iterdir())) < deaths:
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


def text_of(name):
    return Path(name).read_text()


def test_results_are_those_of_processes_here_in_order_when_asked_with_steps_counted(cluster):
    with worker_pool(on(cluster)) as workers:
        assert list(workers.results(square, range(20), in_order=True)) == [k**2 for k in range(20)]
        assert sorted(workers.results(square, range(20))) == [k**2 for k in range(20)]
        assert workers.steps == 2 * sum(range(20))


def test_what_takes_too_long_or_kills_its_process_is_given_up_and_the_rest_goes_on(cluster, tmp_path):
    def lost(job, reason):
        return job, reason

    with worker_pool(on(cluster)) as workers:
        found = list(workers.results(hang_at_3, range(6), in_order=True, time_limit=5, lost=lost))
        assert found == [0, 1, 2, (3, "it took longer than 5 s"), 4, 5]
        (found,) = workers.results(partial(end, tmp_path, 99), [7], lost=lost)
        assert found[0] == 7
        assert "3 worker processes died of it: SIGKILL" in found[1]
        assert list(workers.results(partial(end, tmp_path, 0), [8])) == [8]


def test_jobs_are_taken_no_faster_than_results_are(cluster):
    jobs = iter(range(1000))
    with worker_pool(on(cluster)) as workers:
        results = workers.results(square, jobs, in_order=True)
        assert [next(results) for _ in range(10)] == [k**2 for k in range(10)]
        assert next(jobs) <= 10 + 2 * 7


def test_what_was_not_waited_for_does_not_turn_up_later(cluster):
    with worker_pool(on(cluster)) as workers:
        next(workers.results(square, range(100, 120)))
        assert sorted(workers.results(square, range(5))) == [0, 1, 4, 9, 16]


def test_an_error_is_raised_where_results_are_waited_for(cluster):
    with worker_pool(on(cluster)) as workers, pytest.raises(ZeroDivisionError):
        list(workers.results(divide, [1, 0]))


def test_relative_paths_are_those_of_the_step(cluster, tmp_path, monkeypatch):
    (tmp_path / "here.txt").write_text("found")
    monkeypatch.chdir(tmp_path)
    with worker_pool(on(cluster)) as workers:
        assert list(workers.results(text_of, ["here.txt"])) == ["found"]
        monkeypatch.setattr("os.getcwd", lambda: "/not/on/this/node")
        with pytest.raises(UserError, match=r"/not/on/this/node: not there on .*file system that all share"):
            list(workers.results(text_of, ["here.txt"]))


def test_another_version_on_a_node_and_a_function_that_it_can_not_import_are_named(cluster, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def work(job):\n    return job\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    with worker_pool(on(cluster)) as workers:
        with pytest.raises(UserError, match=r"can't load the work .*only_here"):
            list(workers.results(only_here.work, [1]))
        monkeypatch.setattr("pipeline.workers.dask_cluster.VERSION", "tls-finder 9.9 on Python 3.11")
        with pytest.raises(UserError, match=r"this is tls-finder 9\.9 on Python 3\.11; have the same"):
            list(workers.results(square, [1]))
    del sys.modules["only_here"]


@pytest.mark.slow
def test_a_job_that_takes_its_workers_with_it_is_given_up_after_three_and_the_rest_goes_on(fragile, tmp_path):
    dead = tmp_path / "dead"
    dead.mkdir()
    with worker_pool(on(fragile(4))) as workers:
        results = workers.results(partial(end_dask_worker, dead, 99), range(12), lost=lambda *given: given)
        found = sorted(results, key=str)
    assert len(list(dead.iterdir())) == 3
    assert [one for one in found if isinstance(one, int)] == sorted(range(1, 12), key=str)
    assert found[0] == (0, "3 workers of the cluster were lost with it")


@pytest.mark.slow
def test_workers_that_are_killed_at_random_and_one_that_is_frozen_cost_no_result(fragile, tmp_path):
    cluster, rng, frozen, found = fragile(3), random.Random(20), tmp_path / "frozen", []
    with worker_pool(on(cluster)) as workers:
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
def test_pair_tables_and_glasses_are_the_same_byte_by_byte(cluster, workspace, tmp_path_factory):
    options = {"--glasses": 2, "--n-particles": 80, "--sweeps": 200, "--quenches": 20, "--interval": 100}
    found = []
    for place in ("here", "elsewhere"):
        root = shutil.copytree(workspace, tmp_path_factory.mktemp("places") / place)
        if place == "elsewhere":
            with_cluster(root, cluster)
        said = done("simulate_glass", root, "-T", "0.15", *sum(options.items(), ()), run=run_process)
        said += done("step0_collect", root, run=run_process)
        files = {str(path.relative_to(root)): path for path in root.rglob("[!.]*.*") if path.is_file()}
        found.append((said.replace(str(root), ""), files))
    (said_here, here), (said_elsewhere, elsewhere) = found
    assert said_here == said_elsewhere
    assert {*here, "config.yaml"} == {*elsewhere, "config.yaml"}
    for name in {*here} - {"config.yaml"}:
        if "pairs/T0.15" in name:  # these say when their minima were made
            pd.testing.assert_frame_equal(*map(pd.read_feather, (here[name], elsewhere[name])), check_exact=True)
        else:
            assert here[name].read_bytes() == elsewhere[name].read_bytes(), name


def test_a_large_glass_is_computed_block_by_block_to_the_same_bytes(cluster, workspace, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.glass_pairs.LARGE", 100)
    monkeypatch.setattr("pipeline.stored_geometry.BATCH", 50)
    files = minimum_paths(Workspace(workspace).at("0.1").glass(1))
    job = GlassJob(tmp_path / "Cnf-1.feather", files, tmp_path / "none", "a glass")
    (made,) = update_tables([job], Settings(), SerialWorkers())
    here = job.table.read_bytes()
    job.table.unlink()
    with worker_pool(on(cluster)) as workers:
        assert list(update_tables([job], on(cluster), workers)) == [made]
        assert job.table.read_bytes() == here
        assert made.computed > 200
        (again,) = update_tables([job], on(cluster), workers)
    assert again.computed == 0
    assert job.table.read_bytes() == here


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file that can't be read is at hand")
def test_positions_that_a_node_can_not_read_or_only_in_part_are_a_failure_of_the_system(tmp_path):
    box, pairs = (1.0, 1.0, 1.0), (np.array([0]), np.array([1]))
    with pytest.raises(OSError, match="Input/output error"):
        compute_from_file((Path("/proc/self/mem"), (2, 3, 5), box), 1, pairs)  # nothing is at address 0
    (tmp_path / "positions").write_bytes(bytes(239))
    with pytest.raises(OSError, match="it ends too early") as raised:
        compute_from_file((tmp_path / "positions", (2, 3, 5), box), 1, pairs)  # 240 bytes
    assert raised.value.errno == errno.EIO


@pytest.mark.slow
def test_double_wells_and_lists_are_the_same_byte_by_byte(cluster, trained_copy):
    steps = ("step2_classify_dw", "step4_predict_qs")
    files = {path: path.read_bytes() for path in (trained_copy / "output_ML/T0.1").glob("[Dp]*.csv")}
    assert len(files) == 3
    for path in files:
        path.unlink()
    with_cluster(trained_copy, cluster)
    for step in steps:
        done(step, trained_copy, run=run_process)
    assert {path: path.read_bytes() for path in files} == files


@pytest.mark.slow
def test_exact_calculations_come_to_the_same_files(cluster, glass, calculated):
    with_cluster(glass, cluster)
    done("run_neb", glass, "--pairs", glass / "pairs.csv", run=run_process)
    assert neb_glass.results(glass) == neb_glass.results(calculated)


@pytest.mark.slow
def test_minima_that_are_none_relax_to_the_same_files(cluster, glass, tmp_path):
    gone, kept = (neb_glass.minima(glass)[k] for k in (3, 4))
    for path in (gone, kept):
        shaken(path)
    gone.unlink()
    elsewhere = shutil.copytree(glass, tmp_path / "elsewhere")
    with_cluster(elsewhere, cluster)
    said = [done("relax_minima", root, run=run_process).replace(str(root), "") for root in (glass, elsewhere)]
    assert said[0] == said[1]
    assert sorted(relaxed_rows(glass)["became"]) == sorted([kept.name, "relaxed.extxyz#0"])
    for name in ("relaxed.csv", "relaxed.extxyz"):
        assert (folder_of(glass) / name).read_bytes() == (folder_of(elsewhere) / name).read_bytes()


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


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_and_what_no_system_knows_are_named(glass, monkeypatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "2s")
    for text, words in (
        ("{scheduler: 'tcp://127.0.0.1:9'}", "cluster.scheduler = tcp://127.0.0.1:9: no Dask scheduler answers"),
        ("{scheduler_file: none.json}", "cluster.scheduler_file = none.json: no such file"),
        ("{slurm: {coers: 2}}", "config.yaml: cluster.slurm: Got unexpected keyword argument 'coers'"),
    ):
        (glass / "config.yaml").write_text(f"{neb_glass.SETTINGS}cluster: {text}\n")
        assert words in refused("run_neb", glass, "--pairs", glass / "pairs.csv", run=run_process)
