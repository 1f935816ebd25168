"""Workers of a Dask cluster or of jobs of a batch system; jobs in child processes: a crash costs no Dask worker."""

import logging
import os
import platform
import shlex
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import cloudpickle
import dask
import dask_jobqueue
from distributed import CancelledError, Client, Future, KilledWorker, get_worker
from distributed.core import Status

from pipeline import __version__
from pipeline.errors import UserError
from pipeline.messages import note
from pipeline.settings import ClusterSettings
from pipeline.workers import LOOK_EVERY, TRIES, End, Task, Workers
from pipeline.workers.local import Processes

SAY_AFTER = 10.0  # seconds without any worker, after which that is said

dask.config.set({"distributed.scheduler.allowed-failures": TRIES - 1})  # of a scheduler that is ours
dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})

VERSION = f"tls-finder {__version__} on Python {sys.version_info.major}.{sys.version_info.minor}"  # the same everywhere
_own = threading.local()  # child process of each thread of a Dask worker: what a job loads is there for the next


class DaskWorkers(Workers):
    """Workers of a cluster that is there, or is started and ends with them; UserError where that can't be.

    Each has one job, so that no job is blamed for another.
    """

    steps = 0  # of the jobs that have ended

    def __init__(self, settings: ClusterSettings) -> None:
        for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what is wrong is said in one line, by us
        kind, value = settings.chosen
        self._name = f"cluster.{kind}"
        self._done: SimpleQueue[Future] = SimpleQueue()
        self._running: dict[Future, Task] = {}
        self._look_at = 0.0
        self._say_at = time.monotonic() + SAY_AFTER
        if kind == "scheduler_file" and not Path(value).is_file():
            raise UserError(f"config.yaml: {self._name} = {value}: no such file; start the scheduler")
        self._cluster: Any = None  # jobs of a batch system, if it is that
        self._refused: set[str | None] = {None}  # what it said as it refused some
        if isinstance(value, dict):
            self._count = value.get("n_workers", 1)
            self._cluster = _cluster_of_jobs(self._name, {key: value[key] for key in value if key != "n_workers"})
        where = value if self._cluster is None else self._cluster
        named = {"scheduler_file" if kind == "scheduler_file" else "address": where}
        try:
            self._client = Client(**named, set_as_default=False)
        except (OSError, ValueError) as error:
            said = f"no Dask scheduler answers there: {_in_one_line(error)}"
            raise UserError(f"config.yaml: {self._name} = {where}: {said}") from None

    def end(self) -> None:
        """Leave the cluster, or end it where it was started."""
        with suppress(Exception):  # it may be gone
            self._client.close(timeout=2)
        if self._cluster is not None:
            self._cluster.close()

    def _start(self, function: Callable[[Any], Any], task: Task, time_limit: float | None) -> None:
        self._look()
        work = cloudpickle.dumps((function, task.job))  # functions of scripts go whole, all others by name
        key = f"tls-{task.number}-{uuid.uuid4().hex}"
        future = self._client.submit(_run_job, work, os.getcwd(), time_limit, VERSION, key=key, pure=False)
        self._running[future] = task
        future.add_done_callback(self._done.put)

    def _ended(self) -> list[End]:
        self._look()
        try:
            future = self._done.get(timeout=LOOK_EVERY)
            task = self._running.pop(future)
        except (Empty, KeyError):  # the second: of jobs that were stopped
            return []
        try:
            steps, kind, content = future.result()
        except KilledWorker as error:
            return [(task, "lost", f"{error.allowed_failures + 1} workers of the cluster were lost with it")]
        except (CancelledError, OSError):  # what the job raised comes as its result
            raise self._scheduler_lost() from None
        except Exception as error:
            if self._client.status != "running":
                raise self._scheduler_lost() from None
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise UserError(
                f"{self._name}: a worker can't do the work ({reason}); install it there, or set PYTHONPATH"
            ) from None
        self.steps += steps
        return [(task, kind, cloudpickle.loads(content) if kind == "result" else content)]

    def _stop(self) -> None:
        futures = list(self._running)
        self._running.clear()
        if futures and self._client.status == "running":
            with suppress(Exception):  # the scheduler may be lost
                self._client.cancel(futures)

    def _look(self) -> None:
        """See from time to time how many workers there are, and that there is a scheduler."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY
        try:
            threads = sum(self._client.nthreads().values())
        except Exception:
            raise self._scheduler_lost() from None
        if self._client.status != "running":
            raise self._scheduler_lost()
        self.count = max(threads, 1)
        if self._cluster is not None:  # jobs that are gone are replaced
            jobs = list(self._cluster.workers.values())
            refused = {job.refused for job in jobs} - {None}
            if refused and not any(job.job_id for job in jobs):
                raise UserError(f"config.yaml: {self._name}: no job was taken: {min(refused)}; mend that section")
            for words in refused - self._refused:
                note(f"{self._name}: a job was refused, work goes on with fewer: {words}")
            self._refused |= refused
            self._cluster.scale(self._count)
        if threads:
            self._say_at = now + SAY_AFTER
        elif now > self._say_at:
            note(f"{self._name}: no worker at {self._client.scheduler.address}; waiting for one")
            self._say_at = float("inf")

    def _scheduler_lost(self) -> UserError:
        return UserError(f"{self._name}: the Dask scheduler is lost; what was done is on disk: run the step again")


def _run_job(work: bytes, folder: str, time_limit: float | None, version: str) -> tuple[int, str, Any]:
    """Steps counted, kind and content of :class:`End`; runs in a Dask worker."""
    if version != VERSION:
        reason = f"{platform.node()} has {VERSION}, this is {version}; have the same on all nodes"
        return 0, "raised", UserError(f"cluster: {reason}")
    if not hasattr(_own, "processes"):
        _own.processes = Processes(1, "spawn")  # a Dask worker has threads, with which forking is not safe
    processes, worker = _own.processes, get_worker()
    key, before = worker.get_current_task(), processes.steps

    def check_wanted() -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise CancelledError

    how: Any = {"while_waiting": check_wanted, "time_limit": time_limit, "lost": lambda _, reason: ("lost", reason)}
    try:
        (end,) = processes.results(_do, [(work, folder)], **how)
    except Exception as error:
        end = "raised", error
    return processes.steps - before, *end


def _do(given: tuple[bytes, str]) -> tuple[str, bytes]:
    """Do a job in the folder of its step, in the child process."""
    work, folder = given
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(
            f"{folder}: not on {platform.node()} ({error.strerror}); a cluster needs a shared file system"
        ) from None
    try:
        function, job = cloudpickle.loads(work)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"cluster: {platform.node()} can't load the work ({error}); install it there, or set PYTHONPATH"
        ) from None
    return "result", cloudpickle.dumps(function(job))


_ROOT = Path(__file__).resolve().parents[2]


def _cluster_of_jobs(name: str, options: dict[str, Any]) -> Any:
    """Jobs of a batch system whose workers can import the project; ``options``: keys of its section in config.yaml.

    dask-jobqueue itself logs a refused job as a traceback and waits for it forever.
    """
    path = f"export PYTHONPATH={shlex.quote(str(_ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}"
    prologue = [path, *options.get("job_script_prologue", [])]
    scheduler = {"dashboard": False, "dashboard_address": ":0", **options.get("scheduler_options", {})}
    options = {"processes": 1, **options, "job_script_prologue": prologue, "scheduler_options": scheduler}
    try:
        system = next(one for one in dir(dask_jobqueue) if f"cluster.{one.lower()}" == f"{name}cluster")
        return _telling(getattr(dask_jobqueue, system))(**options)
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise UserError(f"config.yaml: {name}: {_in_one_line(error)}") from None


def _telling(system: Any) -> Any:
    """A class of dask-jobqueue whose jobs keep what the batch system said as it refused them."""

    class Job(system.job_cls):  # type: ignore[misc]
        refused: str | None = None

        async def start(self) -> None:
            try:
                await super().start()
            except (RuntimeError, ValueError, OSError) as error:
                self.refused, self.status = _in_one_line(error), Status.running

        async def close(self) -> None:
            await super().close()
            self.status = Status.closed  # the cluster looks at that as it ends

    return type(system.__name__, (system,), {"job_cls": Job})


def _in_one_line(error: Exception) -> str:
    """Words of the batch system's command in dask-jobqueue's message of its failure; else its first sentence."""
    said = (
        str(error).partition("\nstdout:\n")[2].replace("\nstderr:\n", "\n") or str(error).partition(" Very likely")[0]
    )
    return "; ".join(line.strip() for line in said.splitlines() if line.strip())
