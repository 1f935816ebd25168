"""Worker processes that end with their parent."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import multiprocess
from threadpoolctl import threadpool_limits

from pipeline.errors import UserError


def worker_pool(processes: int) -> Any:
    """Pool of single-threaded workers; Ctrl-C is the parent's business, which ends them."""
    return multiprocess.Pool(processes, _prepare)


def as_they_come(pool: Any, function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Any]:
    """Results in the order in which they are reached.

    Raises
    ------
    UserError
        If a worker was ended from outside.
    """
    workers = list(pool._pool)
    results = pool.imap_unordered(function, jobs)
    while True:
        try:
            yield results.next(timeout=1)
        except StopIteration:
            return
        except multiprocess.TimeoutError:
            check_alive(workers)


def check_alive(workers: Iterable[Any]) -> None:
    """Raise UserError if a worker was ended from outside: a pool would wait for its result forever."""
    if not all(worker.is_alive() for worker in workers):
        raise UserError("a worker process was ended, perhaps for want of memory; run again")


def _prepare() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed can't end its workers, who would wait for work forever."""
    multiprocess.parent_process().join()
    os._exit(1)
