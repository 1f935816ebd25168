"""Worker processes: they get functions and jobs, return results as they come, and end with their parent."""

import os
import signal
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import multiprocess
from threadpoolctl import threadpool_limits

from pipeline.errors import UserError


class Workers:
    """Worker processes that are running; see :func:`worker_pool`."""

    def __init__(self, pool: Any, processes: Collection[Any], counter: Any) -> None:
        self._pool = pool
        self._processes = processes
        self._counter = counter

    @property
    def steps(self) -> int:
        """Steps that the jobs have counted so far with :func:`count_steps`."""
        return int(self._counter.value)

    def results(
        self,
        function: Callable[[Any], Any],
        jobs: Iterable[Any],
        in_order: bool = False,
        while_waiting: Callable[[], object] = lambda: None,
    ) -> Iterator[Any]:
        """Results of a function, as they are reached or in the order of the jobs.

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

        Raises
        ------
        UserError
            If a worker was killed.
        """
        coming = (self._pool.imap if in_order else self._pool.imap_unordered)(function, jobs)
        while True:
            try:
                result = coming.next(timeout=0.5)
            except StopIteration:
                return
            except multiprocess.TimeoutError:
                while_waiting()
                self._check_alive()
            else:
                yield result

    def _check_alive(self) -> None:
        """A pool would wait forever for the result of a worker that was killed."""
        if not all(process.is_alive() for process in self._processes):
            raise UserError("a worker process was killed (out of memory?); run the step again")


@contextmanager
def worker_pool(count: int) -> Iterator[Workers]:
    """Start so many single-threaded workers; they end with the block."""
    others = set(multiprocess.active_children())
    counter = multiprocess.Value("q", 0)
    with multiprocess.Pool(count, _prepare, (counter,)) as pool:
        try:
            yield Workers(pool, set(multiprocess.active_children()) - others, counter)
        finally:
            for process in set(multiprocess.active_children()) - others:
                process.terminate = process.kill  # how the pool ends those that are at work


_counter: Any = None
"""The counter that a worker was handed when it started."""


def count_steps(number: int) -> None:
    """Count steps of a job, within a worker, so that progress can be shown while it runs."""
    if _counter is not None:
        with _counter.get_lock():
            _counter.value += number


def _prepare(counter: Any) -> None:
    global _counter
    _counter = counter
    # To end is the parent's business: a worker that waits for work and dies of a signal to all of its group would take
    # with it the lock of the queue, for which the parent then waits.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed can't end its workers, who would wait for work forever."""
    multiprocess.parent_process().join()
    os._exit(1)
