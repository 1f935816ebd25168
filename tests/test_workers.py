"""Worker processes: results as they come, a count of their steps, and a word when one is killed."""

import os
import signal
import subprocess
import sys

import pytest
from steps import ROOT

from pipeline.errors import UserError
from pipeline.workers import count_steps, worker_pool


def square(number):
    count_steps(number)
    return number**2


def end(_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_come_in_the_order_of_the_jobs_when_asked_and_steps_are_counted():
    with worker_pool(2) as workers:
        assert list(workers.results(square, range(20), in_order=True)) == [k**2 for k in range(20)]
        assert sorted(workers.results(square, range(20))) == [k**2 for k in range(20)]
        assert workers.steps == 2 * sum(range(20))


@pytest.mark.parametrize("in_order", [True, False])
def test_a_worker_that_is_killed_ends_the_work_with_a_word_instead_of_waiting_for_ever(in_order):
    with worker_pool(2) as workers, pytest.raises(UserError, match="a worker process was killed"):
        list(workers.results(end, range(3), in_order))


SPAWNED = """
import sys, multiprocess
from tests.test_workers import square
from pipeline.workers import worker_pool
if __name__ == "__main__":
    multiprocess.set_start_method("spawn")
    with worker_pool(2) as workers:
        print(sorted(workers.results(square, [1, 2, 3])), workers.steps)
"""


def test_all_of_it_works_where_processes_are_spawned_as_on_macos(tmp_path):
    (tmp_path / "script.py").write_text(SPAWNED)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, str(tmp_path / "script.py")]
    said = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert said.stdout == "[1, 4, 9] 6\n"
