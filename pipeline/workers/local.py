"""Worker processes of this machine: they get functions and jobs, return results as they come, end with their parent.

Each has a pipe of its own and holds no lock, so that one that dies or hangs takes nothing with it but its job.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pickle import PicklingError
from typing import Any, NamedTuple

import multiprocess
from multiprocess import resource_tracker
from multiprocess.connection import wait
from multiprocess.pool import ExceptionWithTraceback
from threadpoolctl import threadpool_limits

from pipeline.errors import UserError

TRIES = 3
"""A job is given up when so many workers have died of it."""

AHEAD = 4
"""Results that must wait for an earlier one are at most so many times the workers."""

TO_END = 5.0
"""s that a process has to end by itself which has closed its pipe."""

LOOK_EVERY = 0.5
"""s; so long at most without a word to who waits for results."""


class Processes:
    """So many single-threaded worker processes that are running.

    Parameters
    ----------
    count : int
        How many.
    start : str, optional
        How they start, ``spawn`` or ``fork``; default: the system's way.
    """

    def __init__(self, count: int, start: str | None = None) -> None:
        self._context = multiprocess.get_context(start)
        self._workers: list[_Worker] = []
        self.count = count
        self._steps_of_ended = 0
        self._fill()

    @property
    def steps(self) -> int:
        """Steps that the jobs have counted so far with :func:`count_steps`."""
        return self._steps_of_ended + sum(int(worker.counter.value) for worker in self._workers)

    def results(
        self,
        function: Callable[[Any], Any],
        jobs: Iterable[Any],
        in_order: bool = False,
        while_waiting: Callable[[], object] = lambda: None,
        time_limit: float | None = None,
        lost: Callable[[Any, str], Any] | None = None,
    ) -> Iterator[Any]:
        """Results of a function, as they are reached or in the order of the jobs.

        Jobs are taken as workers become free. A job whose worker dies is tried again, TRIES times in all.

        Parameters
        ----------
        function : callable
            Gets a job.
        jobs : iterable
            What to work on.
        in_order : bool
            Results in the order of the jobs.
        while_waiting : callable
            Called every half a second or so in which there is no result.
        time_limit : float, optional
            s; a job that takes longer is given up and its worker killed.
        lost : callable, optional
            Gets a job that was given up and the reason, and returns what to yield for it.

        Raises
        ------
        UserError
            If a job was given up, without ``lost``.
        Exception
            What the function raised.
        """
        tasks, next_out = _Tasks(jobs, lost), 0
        reached = tasks.reached
        try:
            while True:
                self._fill()
                for worker in self._workers:
                    room = not in_order or len(reached) < AHEAD * self.count
                    if worker.task is None and (task := tasks.next(room)) is not None:
                        worker.give(function, task, time_limit)
                busy = [worker for worker in self._workers if worker.task is not None]
                if not busy:
                    return
                ready = wait([worker.connection for worker in busy], LOOK_EVERY)
                if not ready:
                    while_waiting()
                for worker in busy:
                    if worker.connection in ready:
                        self._hear(worker, tasks)
                    elif time.monotonic() > worker.until:
                        task = worker.task
                        self._end(worker)
                        tasks.give_up(task, f"it took longer than {time_limit:g} s")
                while reached and (not in_order or next_out in reached):
                    yield reached.pop(next_out if in_order else next(iter(reached)))
                    next_out += 1
        finally:
            for worker in [worker for worker in self._workers if worker.task is not None]:
                self._end(worker)

    def _hear(self, worker: "_Worker", tasks: "_Tasks") -> None:
        """Take what a worker answers, or find that it has died; raises what the function raised."""
        task = worker.task
        try:
            outcome, error = worker.take()
        except (EOFError, OSError):
            reason = worker.died_of()
            self._end(worker)
            tasks.try_again(task, reason)
            return
        if error is not None:
            raise error
        tasks.reached[task.number] = outcome

    def _fill(self) -> None:
        """Start a worker for each that has ended."""
        self._workers += [_Worker(self._context) for _ in range(self.count - len(self._workers))]

    def _end(self, worker: "_Worker") -> None:
        self._workers.remove(worker)
        worker.end()
        self._steps_of_ended += worker.counter.value

    def end(self) -> None:
        """End all of them, whatever they do."""
        for worker in list(self._workers):
            self._end(worker)


class _Task(NamedTuple):
    """A job, which of all it is, and how many workers may still die of it."""

    number: int
    job: Any
    tries: int


class _Tasks:
    """The jobs of one call: those still to do, and what the others came to."""

    def __init__(self, jobs: Iterable[Any], lost: Callable[[Any, str], Any] | None) -> None:
        self._coming = (_Task(number, job, TRIES) for number, job in enumerate(jobs))
        self._again: deque[_Task] = deque()
        self._lost = lost
        self.reached: dict[int, Any] = {}
        """By their numbers; not yet taken."""

    def next(self, room: bool) -> _Task | None:
        """What to do next, if anything; something new only if there is room for its result."""
        if self._again:
            return self._again.popleft()
        return next(self._coming, None) if room else None

    def try_again(self, task: _Task, reason: str) -> None:
        """A worker has died of a job: another gets it, or it is given up."""
        if task.tries > 1:
            self._again.append(task._replace(tries=task.tries - 1))
        else:
            self.give_up(task, f"{TRIES} worker processes died of it: {reason}")

    def give_up(self, task: _Task, reason: str) -> None:
        self.reached[task.number] = given_up(task.job, reason, self._lost)


class _Worker:
    """One process and what it works on."""

    def __init__(self, context: Any) -> None:
        self.counter = context.RawValue("q", 0)  # no lock: this worker alone writes to it
        self.connection, others = context.Pipe()
        self.process = context.Process(target=_work, args=(others, self.counter), daemon=True)
        self.process.start()
        others.close()
        self.task: Any = None
        self.until = float("inf")

    def give(self, function: Callable[[Any], Any], task: _Task, time_limit: float | None) -> None:
        self.task = task
        self.until = float("inf") if time_limit is None else time.monotonic() + time_limit
        try:
            self.connection.send((function, task.job))
        except OSError:  # it has died idle, or will never hear of the job; the next look finds that
            self.process.kill()

    def take(self) -> tuple[Any, Exception | None]:
        """What the function returned, or raised; EOFError or OSError where the worker has died."""
        outcome, error = self.connection.recv()
        self.task = None
        return outcome, error

    def died_of(self) -> str:
        """Why a process ended that has closed its pipe, or ends now, as its pipe fails."""
        self.process.join(TO_END)
        self.process.kill()
        self.process.join()
        return exit_reason(self.process.exitcode)

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def exit_reason(status: int) -> str:
    """Why a process ended, from its exit status; below zero it is a signal."""
    if status >= 0:
        return f"exit status {status}"
    return signal.Signals(-status).name + (" (out of memory?)" if -status == signal.SIGKILL else "")


def given_up(job: Any, reason: str, lost: Callable[[Any, str], Any] | None) -> Any:
    """What to yield for a job that is given up; raises UserError where nobody says that."""
    if lost is None:
        raise UserError(f"a piece of work was given up: {reason}; run the step again")
    return lost(job, reason)


_counter: Any = None
"""The counter that a worker was handed when it started."""


def count_steps(number: int) -> None:
    """Count steps of a job, within a worker, so that progress can be shown while it runs."""
    if _counter is not None:
        _counter.value += number


def _work(connection: Any, counter: Any) -> None:
    """What a worker does until its parent is gone."""
    global _counter
    _counter = counter
    # To end is the parent's business: it kills.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    with suppress(OSError):  # stdout is for what the step says, not for what a user's calculator prints
        os.dup2(2, 1)
        sys.stdout = sys.stderr
    limited = False
    while True:
        try:
            function, job = connection.recv()
        except (EOFError, OSError):
            return
        try:
            if not limited:  # here, as it reads /proc: if that fails, it is told like a failure of the job
                threadpool_limits(1)
                limited = True
            outcome = function(job), None
        except KeyboardInterrupt:  # the work's own, as SIGINT is ignored
            os._exit(130)
        except Exception as error:
            outcome = None, ExceptionWithTraceback(error, error.__traceback__)
        try:
            connection.send(outcome)
        except OSError:  # nobody is there to hear it
            return
        except (TypeError, AttributeError, ValueError, PicklingError) as error:
            connection.send((None, RuntimeError(f"what {function} returned can't be sent: {error}")))


def end_with_parent() -> None:
    """A parent that was killed can't end its workers, who would wait for work forever."""
    multiprocess.parent_process().join()
    os._exit(1)


def run_apart(
    function: Callable[[], Any],
    log: Path,
    while_waiting: Callable[[], object] = lambda: None,
    every: float = LOOK_EVERY,
) -> Any:
    """Run one function in a new process, which ends with this one and whose output goes to a file.

    Parameters
    ----------
    function : callable
        Takes nothing; it and what it returns can be pickled, such as a ``functools.partial``.
    log : Path
        Gets all that the process prints, from Python or from C.
    while_waiting : callable
        Called every so often until the function has returned.
    every : float
        Seconds between these calls.

    Raises
    ------
    UserError, OSError
        As the function raised it; or UserError if the process was killed.
    RuntimeError
        If the function raised anything else: its traceback stands in the log.
    """
    log.touch()
    answer, others = (context := multiprocess.get_context("spawn")).Pipe(duplex=False)
    process = context.Process(target=_answer, args=(function, str(log), others))
    try:
        with _signals_blocked():
            process.start()
        others.close()
        while not answer.poll(every):
            while_waiting()
        outcome = answer.recv()
    except EOFError:
        process.join()
        raise UserError(f"{log}: the process that writes it was lost: {exit_reason(process.exitcode)}") from None
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
        answer.close()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _answer(function: Callable[[], Any], log: str, answer: Any) -> None:
    """Send what a function returns, within its process."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        outcome = function()
    except (UserError, OSError) as error:
        outcome = error
    except Exception as error:
        traceback.print_exc()
        outcome = RuntimeError(f"{log}: {type(error).__name__}: {error}")
    answer.send(outcome)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Let no process that starts in the block hear Ctrl-C or SIGTERM: to end it is the business of this one."""
    resource_tracker.ensure_running()  # it would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
