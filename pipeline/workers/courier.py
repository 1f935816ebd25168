"""What a Dask worker runs of a job: it hands it to a process of its own, and so outlives whatever the job does."""

import functools
import os
import platform
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import cloudpickle
from distributed import get_worker
from distributed.utils import sync

from pipeline.errors import UserError
from pipeline.version import __version__
from pipeline.workers.local import Processes

_own = threading.local()
"""The process of each thread of a Dask worker; it lives as long, so that what a job loads is there for the next."""


class Carried(NamedTuple):
    """A job on its way."""

    number: int
    """Which of all it is."""
    work: bytes
    """Function and job, pickled; the Dask worker does not look inside."""
    folder: str
    """From which relative paths count."""
    time_limit: float | None
    """s."""
    topic: str
    """Under which the start of the job, and the steps that it has counted since, are told."""
    version: str
    """Of the project and of Python, where the job comes from."""


def this_version() -> str:
    """Of the project and of Python: what must be the same everywhere."""
    return f"tls-finder {__version__} on Python {sys.version_info.major}.{sys.version_info.minor}"


def carry(carried: Carried) -> tuple[str, Any]:
    """Do a job.

    Returns
    -------
    kind : str
        ``result``; ``lost``, if it took too long or killed its processes; ``raised``.
    content : bytes or str
        The result, pickled; the reason; what was raised, pickled.
    """
    worker = get_worker()
    key = worker.get_current_task()
    if carried.version != this_version():
        reason = f"{platform.node()} has {this_version()}, this is {carried.version}; have the same on all nodes"
        return "raised", cloudpickle.dumps(UserError(f"cluster: {reason}"))
    if not hasattr(_own, "processes"):
        _own.processes = Processes(1, "spawn")  # a Dask worker has threads, with which forking is not safe
    told = before = _own.processes.steps
    # The scheduler has it before the job can do any harm.
    sync(worker.loop, worker.scheduler.log_event, topic=carried.topic, msg=[carried.number, 0])

    def look() -> None:
        nonlocal told
        if (steps := _own.processes.steps) != told:
            worker.log_event(carried.topic, [carried.number, steps - before])
            told = steps
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise _NotWantedError

    try:
        do = functools.partial(_do, folder=carried.folder)
        results = _own.processes.results(
            do, [carried.work], False, look, carried.time_limit, lost=lambda _, reason: ("lost", reason)
        )
        kind, content = next(results)
        results.close()
        look()
    except _NotWantedError:
        return "lost", "it was not wanted any more"
    except Exception as error:
        return "raised", _pickled(error)
    return kind, content


class _NotWantedError(Exception):
    """Nobody waits for the result: its process shall end."""


def _do(work: bytes, folder: str) -> tuple[str, bytes]:
    """Within the process: the job, in the folder of its step."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(
            f"{folder}: not there on {platform.node()} ({error.strerror}); a cluster needs a file system that all share"
        ) from None
    try:
        function, job = cloudpickle.loads(work)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"cluster: {platform.node()} can't load the work ({error}); install the same there, or set PYTHONPATH"
        ) from None
    return "result", cloudpickle.dumps(function(job))


def _pickled(error: Exception) -> bytes:
    try:
        return bytes(cloudpickle.dumps(error))
    except Exception:  # exceptions of anybody's making hold anything
        return bytes(cloudpickle.dumps(RuntimeError(f"{type(error).__name__}: {error}")))


def unpickled(content: bytes) -> Any:
    """The inverse: what a job returned or raised."""
    return cloudpickle.loads(content)


def pickled(function: Callable[[Any], Any], job: Any) -> bytes:
    """Function and job as :func:`carry` takes them; functions of scripts go whole, all others by name."""
    return bytes(cloudpickle.dumps((function, job)))
