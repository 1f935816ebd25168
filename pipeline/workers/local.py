"""Worker processes of this machine: they get functions and jobs, return results as they come, end with their parent.

Each has a pipe of its own and shares no lock, so that one that dies or hangs takes nothing with it but its job. Workers
of a ``pebble.ProcessPool`` share both: SIGKILL of idle ones broke it within half a second (3 of 3); within jobs that
return 8 MB it left the pool without results for 15 s, after 0, 11 and 19 of them (here: 243 in 20 s).
"""

import functools
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import methodcaller
from pathlib import Path
from pickle import PicklingError
from typing import Any

import multiprocess
from multiprocess import resource_tracker
from multiprocess.connection import wait
from multiprocess.pool import ExceptionWithTraceback
from threadpoolctl import threadpool_limits

from pipeline.errors import UserError
from pipeline.workers.base import LOOK_EVERY, End, Task, Workers

TO_END = 5.0  # seconds that a process has to end by itself after it has closed its pipe


class Processes(Workers):
    """Single-threaded worker processes, started by ``spawn`` or ``fork`` or the system's way.

    Temporary files of those that are spawned are removed with the last of them. With a ``log``, a file for what they
    print in place of stderr, they are not kept to one thread, and a job of which one dies is not tried again.
    """

    count = 1

    def __init__(self, count: int, start: str | None = None, log: Path | None = None) -> None:
        self._context = multiprocess.get_context(start)
        self.count = count
        self._log = log
        self._steps_of_ended = 0
        self._workers: list[_Worker] = []
        self._temporary = tempfile.TemporaryDirectory(prefix="tls-finder-") if start == "spawn" else None
        if start != "spawn":  # which takes seconds, and so waits for a job
            self._fill()
        if log is not None:
            self.tries = 1

    @property
    def steps(self) -> int:
        """Steps that the jobs have counted so far with :func:`count_steps`."""
        return self._steps_of_ended + sum(int(worker.counter.value) for worker in self._workers)

    def _start(self, function: Callable[[Any], Any], task: Task, time_limit: float | None) -> None:
        self._fill()
        next(worker for worker in self._workers if worker.task is None).give(function, task, time_limit)

    def _ended(self) -> list[End]:
        ready = wait([worker.connection for worker in self._busy], LOOK_EVERY)
        now = time.monotonic()
        received = [self._received(worker) for worker in self._busy if worker.connection in ready]
        ended = [end for end in received if end is not None]
        for worker in [worker for worker in self._busy if now > worker.until]:
            self._end(worker)
            ended.append(End(worker.task, "lost", f"it took longer than {worker.time_limit:g} s"))
        return ended

    def _stop(self) -> None:
        for worker in self._busy:
            self._end(worker)

    @property
    def _busy(self) -> list["_Worker"]:
        return [worker for worker in self._workers if worker.task is not None]

    def _received(self, worker: "_Worker") -> End | None:
        """Answer of a worker, or why it has died; None where it says that it has started."""
        task = worker.task
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join(TO_END)
            self._end(worker)
            return End(task, "died", exit_reason(worker.process.exitcode))
        if message is None:
            worker.started = True
            worker.until = time.monotonic() + worker.time_limit
            return None
        worker.task = None
        outcome, error = message
        return End(task, "result", outcome) if error is None else End(task, "raised", error)

    def _fill(self) -> None:
        while len(self._workers) < self.count:
            temporary = None if self._temporary is None else self._temporary.name
            self._workers.append(_Worker(self._context, self._log, temporary))

    def _end(self, worker: "_Worker") -> None:
        self._workers.remove(worker)
        worker.end()
        self._steps_of_ended += worker.counter.value

    def end(self) -> None:
        """End all of them, whatever they do."""
        for worker in list(self._workers):
            self._end(worker)
        if self._temporary is not None:
            self._temporary.cleanup()


class _Worker:
    """One process and what it works on."""

    def __init__(self, context: Any, log: Path | None, temporary: str | None) -> None:
        self.counter = context.RawValue("q", 0)  # no lock: this worker alone writes to it
        self.connection, others = context.Pipe()
        self.process = context.Process(target=_work, args=(others, self.counter, log, temporary), daemon=True)
        with _signals_blocked(), _script_hidden(temporary is not None):
            self.process.start()
        others.close()
        self.task: Any = None
        self.started = False
        self.time_limit = self.until = float("inf")

    def give(self, function: Callable[[Any], Any], task: Task, time_limit: float | None) -> None:
        self.task = task
        self.time_limit = float("inf") if time_limit is None else time_limit
        self.until = time.monotonic() + self.time_limit if self.started else float("inf")
        try:
            self.connection.send((function, task.job))
        except OSError:  # it has died idle, or will never hear of the job; the next look finds that
            self.process.kill()

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def exit_reason(status: int) -> str:
    """Why a process ended, from its exit status; below zero it is a signal."""
    if status >= 0:
        return "no thread could be started (ulimit -u)" if status == os.EX_OSERR else f"exit status {status}"
    return signal.Signals(-status).name + (" (out of memory?)" if -status == signal.SIGKILL else "")


_counter: Any = None  # the counter that a worker was handed when it started


def count_steps(number: int) -> None:
    """Count steps of a job, within a worker, so that progress can be shown while it runs."""
    if _counter is not None:
        _counter.value += number


def _work(connection: Any, counter: Any, log: Path | None, temporary: str | None) -> None:
    """Do jobs, within a worker, until the parent is gone."""
    global _counter
    _counter, tempfile.tempdir = counter, temporary
    try:
        threading.Thread(target=end_with_parent, daemon=True).start()
    except RuntimeError:
        os._exit(os.EX_OSERR)
    with suppress(OSError):  # stdout is for what the step says, not for what a user's calculator prints
        if log is not None:
            os.dup2(os.open(log, os.O_WRONLY | os.O_TRUNC), 2)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
    while True:
        try:
            connection.send(_outcome(connection, threads=None if log else 1))
        except OSError:  # nobody is there to hear it
            return
        except (TypeError, AttributeError, ValueError, PicklingError) as error:
            connection.send((None, RuntimeError(f"what a job returned can't be sent: {error}")))


def _outcome(connection: Any, threads: int | None) -> tuple[Any, Exception | None]:
    """Result of the next job, or what it raised."""
    try:
        function, job = connection.recv()
        _begin(connection, threads)
        return function(job), None
    except KeyboardInterrupt:  # the work's own, as workers do not hear SIGINT
        os._exit(130)
    except Exception as error:
        return None, ExceptionWithTraceback(error, error.__traceback__)


@functools.cache
def _begin(connection: Any, threads: int | None) -> None:
    """Begin the first job once what it imports is there: now its time begins."""
    connection.send(None)
    threadpool_limits(threads)  # here, as it reads /proc: if that fails, it is told like a failure of the job


def end_with_parent() -> None:
    """End with a parent that was killed and so can't end its workers, who would wait for work forever."""
    multiprocess.parent_process().join()
    os._exit(1)


@contextmanager
def _script_hidden(spawned: bool) -> Iterator[None]:
    """Let a process that is spawned in the block not import the script again, of which its jobs need nothing."""
    main = vars(sys.modules["__main__"])
    path = main.pop("__file__", None) if spawned else None
    try:
        yield
    finally:
        if path is not None:
            main["__file__"] = path


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Let no process that starts in the block hear Ctrl-C or SIGTERM: this one ends it, by SIGKILL.

    This one hears them after the block: another thread may get them at any time, and then Python handles them here.
    """
    resource_tracker.ensure_running()  # as it starts, it would unblock them
    signals, came = (signal.SIGTERM, signal.SIGINT), set()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {one: signal.signal(one, lambda number, _: came.add(number)) for one in signals if is_main}
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for one, handler in handlers.items():
            signal.signal(one, handler)
        for number in came:
            signal.raise_signal(number)


def run_apart(function: Callable[[], Any], log: Path, while_waiting: Callable[[], object] = lambda: None) -> Any:
    """Run a picklable function in a new process, its output in ``log``; UserError if it was killed."""

    def lost(_: object, reason: str) -> None:
        raise UserError(f"{log}: {reason}")

    log.touch()
    workers = Processes(1, "spawn", log)
    try:
        (outcome,) = workers.results(methodcaller("__call__"), [function], while_waiting=while_waiting, lost=lost)
    except (UserError, OSError):
        raise
    except Exception as error:
        raise RuntimeError(f"{log}: {type(error).__name__}: {error}") from error
    finally:
        workers.end()
    return outcome
