"""Worker processes that end with their parent."""

import os
import signal
import threading
from typing import Any

import multiprocess
from threadpoolctl import threadpool_limits


def worker_pool(processes: int) -> Any:
    """Pool of single-threaded workers; Ctrl-C is the parent's business, which ends them."""
    return multiprocess.Pool(processes, _prepare)


def _prepare() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed can't end its workers, who would wait for work forever."""
    multiprocess.parent_process().join()
    os._exit(1)
