"""Workers here and on a Dask cluster: results as they come, and what becomes of a job whose worker dies or hangs."""

import errno
import os
import signal
import subprocess
import sys
from functools import partial

import pytest
from steps import ROOT

from pipeline.errors import UserError
from pipeline.settings import Settings
from pipeline.workers.local import Processes, run_apart
from pipeline.workers.pool import count_steps, worker_pool

TWO = Settings(processes=2)


@pytest.fixture(params=["here", "dask"])
def workers(request):
    """Two workers."""
    settings = TWO if request.param == "here" else request.getfixturevalue("cluster").settings
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
    return job


def hang_at_3(job):
    if job == 3:
        signal.pause()
    return job


def gone(job):
    raise OSError(errno.ESTALE, "Stale file handle", str(job))


def test_results_come_in_the_order_of_the_jobs_when_asked_and_steps_are_counted(workers):
    assert list(workers.results(square, range(20), in_order=True)) == [k**2 for k in range(20)]
    assert sorted(workers.results(square, range(20))) == [k**2 for k in range(20)]
    assert workers.steps == 2 * sum(range(20))


def test_what_takes_too_long_or_kills_its_process_is_given_up_and_the_rest_goes_on(workers, tmp_path):
    def lost(job, reason):
        return job, reason

    found = list(workers.results(hang_at_3, range(6), in_order=True, time_limit=5, lost=lost))
    assert found == [0, 1, 2, (3, "it took longer than 5 s"), 4, 5]
    (found,) = workers.results(partial(end, tmp_path, 99), [7], lost=lost)
    assert found[0] == 7
    assert "3 worker processes died of it: SIGKILL" in found[1]
    assert list(workers.results(partial(end, tmp_path, 0), [8])) == [8]


def test_jobs_are_taken_no_faster_than_results_are(workers):
    jobs = iter(range(1000))
    results = workers.results(square, jobs, in_order=True)
    assert [next(results) for _ in range(10)] == [k**2 for k in range(10)]
    assert next(jobs) <= 10 + 2 * 7


def test_a_failure_within_a_job_is_raised_where_results_are_waited_for(workers):
    with pytest.raises(OSError, match=r"file\.conf") as raised:
        list(workers.results(gone, ["file.conf"]))
    assert raised.value.errno == errno.ESTALE


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_what_work_prints_goes_to_stderr(start, capfd):
    workers = Processes(1, start)
    assert list(workers.results(talk, [1])) == [1]
    workers.end()
    said = capfd.readouterr()
    assert said.out == ""
    assert sorted(said.err.splitlines()) == ["from C", "from Python"]


SPAWNED = """
import sys, multiprocess
from tests.test_workers import square
from pipeline.settings import Settings
from pipeline.workers.pool import worker_pool
if __name__ == "__main__":
    multiprocess.set_start_method("spawn")
    with worker_pool(Settings(processes=2)) as workers:
        print(sorted(workers.results(square, [1, 2, 3])), workers.steps)
"""


def test_all_of_it_works_where_processes_are_spawned_as_on_macos(tmp_path):
    (tmp_path / "script.py").write_text(SPAWNED)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, str(tmp_path / "script.py")]
    said = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert said.stdout == "[1, 4, 9] 6\n"


def learn(kind):
    talk(1)
    if kind == "user":
        raise UserError("no model was trained")
    if kind == "bug":
        raise ZeroDivisionError
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.5, True


def test_what_runs_apart_returns_a_tuple_and_writes_its_output_to_a_file(tmp_path, capfd):
    log = tmp_path / "log.txt"
    assert run_apart(partial(learn, "well"), log) == (0.5, True)
    assert sorted(log.read_text().splitlines()) == ["from C", "from Python"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("user", UserError, "no model was trained"),
        ("bug", RuntimeError, "log.txt: ZeroDivisionError"),
        ("killed", UserError, "log.txt: 1 worker process died of it: SIGKILL"),
    ],
)
def test_what_goes_wrong_apart_is_raised_here(tmp_path, kind, error, words):
    with pytest.raises(error, match=words):
        run_apart(partial(learn, kind), tmp_path / "log.txt")
