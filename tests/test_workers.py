"""Worker processes: results as they come, a count of their steps, and what becomes of a job whose worker dies."""

import errno
import os
import signal
import subprocess
import sys
from functools import partial

import pytest
from multiprocess.connection import Connection
from steps import ROOT

from pipeline.errors import UserError
from pipeline.settings import Settings
from pipeline.workers.local import Processes, run_apart
from pipeline.workers.pool import count_steps, worker_pool

TWO = Settings(processes=2)


def square(number):
    count_steps(number)
    return number**2


def end(folder, deaths, job):
    """Die, unless so many have died already."""
    if len(list(folder.iterdir())) < deaths:
        (folder / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return job


def interrupt(job):
    raise KeyboardInterrupt


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


def divide(job):
    return 1 / job


def generator(_):
    return (number for number in ())


def test_results_come_in_the_order_of_the_jobs_when_asked_and_steps_are_counted():
    with worker_pool(TWO) as workers:
        assert list(workers.results(square, range(20), in_order=True)) == [k**2 for k in range(20)]
        assert sorted(workers.results(square, range(20))) == [k**2 for k in range(20)]
        assert workers.steps == 2 * sum(range(20))


@pytest.mark.parametrize("in_order", [True, False])
def test_a_job_whose_workers_die_is_tried_three_times_and_then_named(tmp_path, in_order):
    with worker_pool(TWO) as workers, pytest.raises(UserError, match=r"3 worker processes died of it: SIGKILL"):
        list(workers.results(partial(end, tmp_path, 99), range(3), in_order))
    assert len(list(tmp_path.iterdir())) >= 3


def test_work_that_raises_keyboard_interrupt_is_given_up_without_a_traceback(capfd):
    with worker_pool(TWO) as workers, pytest.raises(UserError, match=r"3 worker processes died of it: exit status 130"):
        list(workers.results(interrupt, [1]))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_what_work_prints_goes_to_stderr(start, capfd):
    workers = Processes(1, start)
    assert list(workers.results(talk, [1])) == [1]
    workers.end()
    said = capfd.readouterr()
    assert said.out == ""
    assert "from Python" in said.err
    assert "from C" in said.err


@pytest.mark.parametrize("in_order", [True, False])
def test_work_goes_on_when_workers_die(tmp_path, in_order):
    with worker_pool(TWO) as workers:
        found = list(workers.results(partial(end, tmp_path, 2), range(8), in_order))
    assert (found if in_order else sorted(found)) == list(range(8))


def test_work_goes_on_when_a_pipe_fails_of_which_the_worker_never_hears(monkeypatch):
    send, left, here = Connection.send, [1], os.getpid()

    def failing(self, content):
        if os.getpid() == here and left:
            left.pop()
            raise OSError(errno.EIO, "Input/output error")
        send(self, content)

    with worker_pool(TWO) as workers:
        monkeypatch.setattr(Connection, "send", failing)
        assert sorted(workers.results(square, range(6))) == [0, 1, 4, 9, 16, 25]
    assert not left


def test_a_worker_that_can_not_be_prepared_is_an_error_of_its_job_and_prints_nothing(monkeypatch, capfd):
    def failing(_):
        raise OSError(errno.EIO, "Input/output error", "/proc/self/maps")

    monkeypatch.setattr("pipeline.workers.local.threadpool_limits", failing)
    workers = Processes(2, "fork")
    with pytest.raises(OSError, match="/proc/self/maps") as raised:
        list(workers.results(square, range(6)))
    workers.end()
    assert raised.value.errno == errno.EIO
    assert capfd.readouterr().err == ""


def test_a_failure_of_the_system_within_a_job_is_raised_and_no_death_of_its_worker():
    with worker_pool(TWO) as workers, pytest.raises(OSError, match=r"file\.conf") as raised:
        list(workers.results(gone, ["file.conf"]))
    assert raised.value.errno == errno.ESTALE


def test_what_is_given_up_is_told_of_in_place_of_its_result_and_the_rest_goes_on():
    with worker_pool(TWO) as workers:
        given_up = partial(workers.results, hang_at_3, range(6), time_limit=3, lost=lambda job, reason: (job, reason))
        assert list(given_up(in_order=True)) == [0, 1, 2, (3, "it took longer than 3 s"), 4, 5]
        assert sorted(workers.results(square, range(6))) == [0, 1, 4, 9, 16, 25]


def test_jobs_are_taken_no_faster_than_results_are():
    jobs = iter(range(1000))
    with worker_pool(TWO) as workers:
        results = workers.results(square, jobs, in_order=True)
        assert [next(results) for _ in range(10)] == [k**2 for k in range(10)]
        assert next(jobs) <= 10 + 2 * 5


def test_what_was_not_waited_for_does_not_turn_up_later():
    with worker_pool(TWO) as workers:
        next(workers.results(square, range(100, 120)))
        assert sorted(workers.results(square, range(5))) == [0, 1, 4, 9, 16]


def test_an_error_is_raised_where_results_are_waited_for_and_a_result_that_cannot_be_sent_is_one():
    with worker_pool(Settings(processes=1)) as workers:
        with pytest.raises(ZeroDivisionError):
            list(workers.results(divide, [1, 0]))
        with pytest.raises(RuntimeError, match="can't be sent"):
            list(workers.results(generator, [0]))


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
    if kind == "system":
        raise OSError(errno.ENOSPC, "No space left on device", "model")
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
        ("system", OSError, "No space left on device"),
        ("bug", RuntimeError, "log.txt: ZeroDivisionError"),
        ("killed", UserError, "log.txt: 1 worker process died of it: SIGKILL"),
    ],
)
def test_what_goes_wrong_apart_is_raised_here(tmp_path, kind, error, words):
    with pytest.raises(error, match=words):
        run_apart(partial(learn, kind), tmp_path / "log.txt")
