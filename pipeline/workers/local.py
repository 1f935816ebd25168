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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
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
from pipeline.workers import LOOK_EVERY, TRIES, End, Task, Workers

TO_END = 5.0  # seconds that a process has to end by itself after it has closed its pipe


class Processes(Workers):
    """Single-threaded worker processes, started by ``spawn`` or ``fork`` or the system's way.

    Temporary files of those that are spawned are removed with the last of them. With a ``log``, a file for what they
    print in place of stderr, they are not kept to one thread, and a job of which one dies is not tried again.
    """

    def __init__(self, count: int, start: str | None = None, log: Path | None = None) -> None:
        self.count, self.tries = count, 1 if log else TRIES
        self._context, self._log = multiprocess.get_context(start), log
        self._temporary = tempfile.TemporaryDirectory(prefix="tls-finder-") if start == "spawn" else None
        self._counters: list[Any] = []  # of steps, one a process
        self._busy: dict[Any, _Worker] = {}  # by their connections
        # To spawn one takes seconds, and so waits for a job.
        self._idle = [] if start == "spawn" else [self._new_worker() for _ in range(count)]

    @property
    def steps(self) -> int:
        """Steps that the jobs have counted so far with :func:`count_steps`."""
        return sum(int(counter.value) for counter in self._counters)

    def _new_worker(self) -> "_Worker":
        counter = self._context.RawValue("q", 0)  # no lock: its worker alone writes to it
        self._counters.append(counter)
        connection, others = self._context.Pipe()
        given = (others, counter, self._log, None if self._temporary is None else self._temporary.name)
        process = self._context.Process(target=_work, args=given, daemon=True)
        _start_apart(process)
        others.close()
        return _Worker(process, connection)

    def _start(self, function: Callable[[Any], Any], task: Task, time_limit: float | None) -> None:
        worker = self._idle.pop() if self._idle else self._new_worker()
        worker.task, worker.until = task, float("inf")
        worker.time_limit = float("inf") if time_limit is None else time_limit
        self._busy[worker.connection] = worker
        try:
            worker.connection.send((function, task.job))
        except OSError:  # it has died idle, or will never hear of the job; the next look finds that
            worker.process.kill()

    def _ended(self) -> list[End]:
        ended: list[End] = []
        for connection in wait([*self._busy], LOOK_EVERY):
            worker = self._busy[connection]
            try:
                message = connection.recv()
            except (EOFError, OSError):
                worker.process.join(TO_END)
                self._end(worker)
                status = worker.process.exitcode
                reason = "no thread could be started (ulimit -u)" if status == os.EX_OSERR else f"exit status {status}"
                if status < 0:
                    reason = signal.Signals(-status).name + " (out of memory?)" * (status == -signal.SIGKILL)
                ended.append((worker.task, "died", reason))
                continue
            if message is None:
                worker.until = time.monotonic() + worker.time_limit
            else:
                self._idle.append(self._busy.pop(connection))
                ended.append((worker.task, *message))
        now = time.monotonic()
        for worker in [worker for worker in self._busy.values() if now > worker.until]:
            self._end(worker)
            ended.append((worker.task, "lost", f"it took longer than {worker.time_limit:g} s"))
        return ended

    def _end(self, worker: "_Worker") -> None:
        self._busy.pop(worker.connection, None)
        worker.connection.close()
        worker.process.kill()
        worker.process.join()

    def _stop(self) -> None:
        for worker in [*self._busy.values()]:
            self._end(worker)

    def end(self) -> None:
        """End all of them, whatever they do."""
        for worker in [*self._busy.values(), *self._idle]:
            self._end(worker)
        self._idle.clear()
        if self._temporary is not None:
            self._temporary.cleanup()


@dataclass
class _Worker:
    """One process and what it works on."""

    process: Any
    connection: Any
    task: Any = None
    time_limit: float = float("inf")
    until: float = float("inf")


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
            connection.send(_outcome(connection, None if log else 1))
        except OSError:  # nobody is there to hear it
            return
        except (TypeError, AttributeError, ValueError, PicklingError) as error:
            connection.send(("raised", RuntimeError(f"what a job returned can't be sent: {error}")))


_limit_threads = functools.cache(threadpool_limits)  # once a process, when what its jobs import is there


def _outcome(connection: Any, threads: int | None) -> tuple[str, Any]:
    """Result of the next job, or what it raised, as in :data:`End`."""
    try:
        function, job = connection.recv()
        connection.send(None)  # what the job imports is there: now its time begins
        _limit_threads(threads)  # reads /proc: if that fails, it is told like a failure of the job
        return "result", function(job)
    except KeyboardInterrupt:  # the work's own, as workers do not hear SIGINT
        os._exit(130)
    except Exception as error:
        return "raised", ExceptionWithTraceback(error, error.__traceback__)


def end_with_parent() -> None:
    """End with a parent that was killed and so can't end its workers, who would wait for work forever."""
    multiprocess.parent_process().join()
    os._exit(1)


def _start_apart(process: Any) -> None:
    """Start a process that hears neither Ctrl-C nor SIGTERM: this one ends it, by SIGKILL.

    This one hears them afterwards: another thread may get them at any time, and then Python handles them here. A
    process that is spawned does not import the script again, of which its jobs need nothing.
    """
    resource_tracker.ensure_running()  # as it starts, it would unblock them
    signals, came = (signal.SIGTERM, signal.SIGINT), set()
    main = vars(sys.modules["__main__"])
    script = main.pop("__file__", None)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {one: signal.signal(one, lambda number, _: came.add(number)) for one in signals if is_main}
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for one, handler in handlers.items():
            signal.signal(one, handler)
        if script is not None:
            main["__file__"] = script
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
