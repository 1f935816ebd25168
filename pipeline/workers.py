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

    def __init__(self, pool: Any, processes: Collection[Any]) -> None:
        self._pool = pool
        self._processes = processes

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
def worker_pool(count: int, initializer: Callable[..., object] | None = None, *arguments: Any) -> Iterator[Workers]:
    """Start single-threaded workers; they end with the block.

    Parameters
    ----------
    count : int
        How many.
    initializer : callable, optional
        Called in each worker first, with ``arguments``: what can't travel with a job, such as a shared counter.
    """
    others = set(multiprocess.active_children())
    with multiprocess.Pool(count, _prepare, (initializer, arguments)) as pool:
        yield Workers(pool, set(multiprocess.active_children()) - others)


def _prepare(initializer: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business, which ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*arguments)


def _end_with_parent() -> None:
    """A parent that was killed can't end its workers, who would wait for work forever."""
    multiprocess.parent_process().join()
    os._exit(1)
