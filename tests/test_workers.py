"""Workers here and on a cluster: results as they come, the same files, and jobs whose worker is lost."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial

import pandas as pd
import pytest
from neb_glass import SETTINGS, results
from ruamel.yaml import YAML
from steps import ROOT, done, started, stop, wait_until

from pipeline.errors import UserError
from pipeline.settings import Settings, read_settings
from pipeline.workers import worker_pool
from pipeline.workers.local import Processes, count_steps, run_apart

TWO = Settings(processes=2)


@contextmanager
def dask_cluster(folder, workers):
    """A Dask scheduler and workers, each a process of its own; the settings for it, and the scheduler's process."""
    file, processes = folder / "scheduler.json", []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    environment |= {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2"}  # three tries, as of a scheduler of ours
    worker = ("dask_worker", "--nthreads=1", "--no-nanny", f"--local-directory={folder / 'scratch'}")
    with (folder / "log.txt").open("a") as log:
        for module, *options in (("dask_scheduler", "--port=0"), *[worker] * workers):
            command = [sys.executable, "-m", f"distributed.cli.{module}", f"--scheduler-file={file}", "--no-dashboard"]
            processes.append(subprocess.Popen([*command, *options], env=environment, stdout=log, stderr=log))
    try:
        wait_until(file.exists, processes[0])
        yield Settings(cluster={"scheduler_file": str(file)}), processes[0]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Settings for a cluster of two workers, for the tests that do them no harm."""
    with dask_cluster(tmp_path_factory.mktemp("cluster"), 2) as (settings, _):
        yield settings


@pytest.fixture(params=["here", "dask"])
def workers(request):
    settings = TWO if request.param == "here" else request.getfixturevalue("cluster")
    with worker_pool(settings) as workers:
        yield workers


def square(number):
    count_steps(number)
    return number**2


def end(folder, deaths, job):
    """Die, unless so many have died already."""
    if len(list(folder.iterdir())) < deaths:
        (folder / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return job


def talk(job):
    print("from Python")
    os.write(1, b"from C\n")
    count_steps(3)
    return job


def hang_at_3(job):
    if job == 3:
        signal.pause()
    return job


def gone(job):
    raise OSError(errno.ESTALE, "Stale file handle", str(job))


def test_results_come_in_the_order_of_the_jobs_when_asked_steps_are_counted_and_no_job_is_taken_long_before(workers):
    assert list(workers.results(square, range(20), in_order=True)) == [k**2 for k in range(20)]
    assert sorted(workers.results(square, range(20))) == [k**2 for k in range(20)]
    assert workers.steps == 2 * sum(range(20))
    jobs = iter(range(1000))
    results = workers.results(square, jobs, in_order=True)
    assert [next(results) for _ in range(10)] == [k**2 for k in range(10)]
    assert next(jobs) <= 10 + 2 * 7


def test_what_takes_too_long_or_kills_its_process_is_given_up_and_the_rest_goes_on(workers, tmp_path):
    def lost(job, reason):
        return job, reason

    found = list(workers.results(hang_at_3, range(6), in_order=True, time_limit=5, lost=lost))
    assert found == [0, 1, 2, (3, "it took longer than 5 s"), 4, 5]
    (found,) = workers.results(partial(end, tmp_path, 99), [7], lost=lost)
    assert found[0] == 7
    assert "3 worker processes died of it: SIGKILL" in found[1]
    assert list(workers.results(partial(end, tmp_path, 0), [8])) == [8]


def test_a_failure_within_a_job_is_raised_where_results_are_waited_for(workers):
    with pytest.raises(OSError, match=r"file\.conf") as raised:
        list(workers.results(gone, ["file.conf"]))
    assert raised.value.errno == errno.ESTALE


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_what_work_prints_goes_to_stderr_and_its_steps_are_counted(start, capfd):
    workers = Processes(1, start)  # as on Linux and on macOS
    assert list(workers.results(talk, [1])) == [1]
    workers.end()
    assert workers.steps == 3
    said = capfd.readouterr()
    assert said.out == ""
    assert sorted(said.err.splitlines()) == ["from C", "from Python"]


def learn(kind):
    talk(1)
    if kind == "user":
        raise UserError("no model was trained")
    if kind == "bug":
        raise ZeroDivisionError
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.5, True


def test_what_runs_apart_writes_its_output_to_a_file_and_what_goes_wrong_is_raised_here(tmp_path, capfd):
    log = tmp_path / "log.txt"
    assert run_apart(partial(learn, "well"), log) == (0.5, True)
    assert sorted(log.read_text().splitlines()) == ["from C", "from Python"]
    for kind, error, words in (
        ("user", UserError, "no model was trained"),
        ("bug", RuntimeError, "log.txt: ZeroDivisionError"),
        ("killed", UserError, "log.txt: 1 worker process died of it: SIGKILL"),
    ):
        with pytest.raises(error, match=words):
            run_apart(partial(learn, kind), log)
    assert capfd.readouterr() == ("", "")


# Files of a cluster, and clusters that are lost

DOC = (ROOT / "doc" / "cluster.md").read_text()


def put_commands(folder, monkeypatch, **commands):
    """Shell commands in place of those of a batch system."""
    for name, text in commands.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def block(kind, word):
    """The first block of doc/cluster.md that holds a word."""
    return next(text for text in re.findall(rf"```{kind}\n(.*?)```", DOC, re.DOTALL) if word in text)


def written(root):
    paths = [path for path in root.rglob("[!.]*.*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(root)): path for path in paths if path.name not in ("config.yaml", "said.txt")}


def use_cluster(root, settings):
    with (root / "config.yaml").open("a") as file:
        file.write(f"cluster: {json.dumps(settings)}\n")


@pytest.mark.slow
def test_files_are_the_same_as_here_byte_by_byte(cluster, trained, trained_copy, glass, calculated):
    for root in (trained_copy, glass):
        use_cluster(root, {"scheduler_file": cluster.cluster.scheduler_file})
    for name in ("Configurations/pairs", "output_ML"):
        shutil.rmtree(trained_copy / name)
    for step in ("step0_collect", "step2_classify_dw", "step4_predict_qs"):
        done(step, trained_copy)
    here, elsewhere = written(trained), written(trained_copy)
    assert here.keys() == elsewhere.keys()
    for name, path in here.items():
        if "pairs/T" in name:  # these say when their minima were made
            pd.testing.assert_frame_equal(*map(pd.read_feather, (path, elsewhere[name])), check_exact=True)
        else:
            assert path.read_bytes() == elsewhere[name].read_bytes(), name
    done("run_neb", glass, "--pairs", glass / "pairs.csv")
    assert results(glass) == results(calculated)


@pytest.mark.slow
def test_jobs_of_a_batch_system_come_to_the_same_files_and_end_with_the_run(tmp_path, monkeypatch, glass, calculated):
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    submit = f'set -m\nbash "$1" >/dev/null 2>&1 &\necho "Submitted batch job $!"\ntouch {jobs}/$!'
    put_commands(tmp_path, monkeypatch, sbatch=submit, scancel=f'kill -- "-$1"; rm {jobs}/"$1"')
    settings = YAML(typ="safe").load(block("yaml", "slurm:"))["cluster"]
    assert settings["slurm"].pop("interface") == "ib0"
    settings["slurm"] |= {"n_workers": 2, "cores": 1, "memory": "500MB", "log_directory": str(jobs)}
    use_cluster(glass, settings)
    done("run_neb", glass, "--pairs", glass / "pairs.csv")
    assert results(glass) == results(calculated)
    assert [*jobs.iterdir()] == []


def test_another_version_on_a_node_and_a_function_that_it_can_not_import_are_named(cluster, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def work(job):\n    return job\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    with worker_pool(cluster) as workers:
        with pytest.raises(UserError, match=r"can't load the work .*only_here"):
            list(workers.results(only_here.work, [1]))
        monkeypatch.setattr("pipeline.workers.dask_cluster.VERSION", "tls-finder 9.9 on Python 3.11")
        with pytest.raises(UserError, match=r"this is tls-finder 9\.9 on Python 3\.11; have the same"):
            list(workers.results(square, [1]))
    del sys.modules["only_here"]


def end_dask_worker(folder, job):
    if job == 0:
        (folder / str(os.getppid())).touch()
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()
    return job


@pytest.mark.slow
def test_workers_that_are_lost_cost_their_job_a_try_of_three_and_a_lost_scheduler_ends_the_run(
    tmp_path, glass, calculated
):
    dead = tmp_path / "dead"
    dead.mkdir()
    with dask_cluster(tmp_path, 4) as (settings, scheduler):
        with worker_pool(settings) as workers:
            jobs = workers.results(partial(end_dask_worker, dead), range(12), lost=lambda *given: given)
            first, *others = sorted(jobs, key=str)
        assert len(list(dead.iterdir())) == 3
        assert others == sorted(range(1, 12), key=str)
        assert first == (0, "3 workers of the cluster were lost with it")
        use_cluster(glass, {"scheduler_file": settings.cluster.scheduler_file})
        with started("run_neb", glass, "--pairs", glass / "pairs.csv") as process:
            wait_until(lambda: results(glass), process)
            scheduler.kill()
            ended = stop(process, 0)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "the Dask scheduler is lost; what was done is on disk" in ended.stderr
    (glass / "config.yaml").write_text(SETTINGS)
    done("run_neb", glass, "--pairs", glass / "pairs.csv")
    assert results(glass) == results(calculated)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of what was not started
@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ("{scheduler: 'tcp://127.0.0.1:9'}", "cluster.scheduler = tcp://127.0.0.1:9: no Dask scheduler answers"),
        ("{scheduler_file: none.json}", "cluster.scheduler_file = none.json: no such file"),
        ("{slurm: {coers: 2}}", "config.yaml: cluster.slurm: Got unexpected keyword argument 'coers'"),
        ("{slurm: {n_workers: 3, cores: 1, memory: 1GB}}", "cluster.slurm: no job was taken: sbatch: error: nope"),
        ("{sge: {cores: 1, memory: 1GB}}", "cluster.sge: no job was taken: "),
    ],
)
def test_a_cluster_that_does_not_answer_knows_a_key_or_takes_jobs_is_named(tmp_path, monkeypatch, cluster, words):
    put_commands(tmp_path, monkeypatch, sbatch='echo "sbatch: error: nope" >&2\nexit 1')
    (tmp_path / "config.yaml").write_text(f"cluster: {cluster}\n")
    settings = read_settings(tmp_path / "config.yaml")
    impatient = pytest.importorskip("dask").config.set({"distributed.comm.timeouts.connect": "2s"})
    with impatient, pytest.raises(UserError, match=re.escape(words)), worker_pool(settings) as workers:
        list(workers.results(square, [1]))
