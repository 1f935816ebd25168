"""Where work runs: on the cores of this machine, or on those of a cluster.

Jobs are drawn as workers become free, tried again where one dies, and come back in order.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pipeline.errors import UserError
from pipeline.settings import Settings

TRIES = 3  # number of workers that may die of a job before it is given up
AHEAD = 4  # maximum number of results, per worker, that wait for an earlier one
LOOK_EVERY = 0.5  # maximum seconds without a call of ``while_waiting``


class Task(NamedTuple):
    """A job, its number in the order of all, and how many workers may still die of it."""

    number: int
    job: Any
    tries: int


End = tuple[Task, str, Any]
"""A job that has ended: ``result`` and that, ``raised`` and the error; ``died`` (may be tried again) or ``lost`` (is
given up) and the reason."""


class Workers:
    """Workers, wherever they are."""

    count = 1  # jobs that run at a time
    tries = TRIES

    @property
    def steps(self) -> int:
        """Steps that the jobs have counted so far with :func:`pipeline.workers.local.count_steps`."""
        return 0

    def _start(self, function: Callable[[Any], Any], task: Task, time_limit: float | None) -> None:
        """Hand a job to a free worker."""
        raise NotImplementedError

    def _ended(self) -> list[End]:
        """Jobs that have ended, after LOOK_EVERY seconds at the latest."""
        raise NotImplementedError

    def _stop(self) -> None:
        """End all jobs that are running."""

    def end(self) -> None:
        """End all workers, whatever they do."""

    def results(
        self,
        function: Callable[[Any], Any],
        jobs: Iterable[Any],
        in_order: bool = False,
        while_waiting: Callable[[], object] = lambda: None,
        time_limit: float | None = None,
        lost: Callable[[Any, str], Any] | None = None,
    ) -> Iterator[Any]:
        """Results of a function, as they are reached or in the order of the jobs; drawn as workers become free.

        A job whose worker dies is tried again, TRIES times in all; one that takes longer than ``time_limit`` seconds
        is given up. ``lost`` gets a job that was given up and the reason, and returns its result; without it that is a
        UserError. ``while_waiting`` is called every half a second or so in which there is no result.
        """
        coming = (Task(number, job, self.tries) for number, job in enumerate(jobs))
        reached: dict[int, Any] = {}
        running = next_out = 0
        try:
            while True:
                while running < self.count and len(reached) < AHEAD * self.count and (new := next(coming, None)):
                    self._start(function, new, time_limit)
                    running += 1
                if not running:
                    return
                ended = self._ended()
                if not ended:
                    while_waiting()
                for task, kind, content in ended:
                    if kind == "raised":
                        raise content
                    if kind == "died" and task.tries > 1:
                        self._start(function, task._replace(tries=task.tries - 1), time_limit)
                        continue
                    running -= 1
                    if kind != "result":
                        died = f"{self.tries} worker process{'es' if self.tries > 1 else ''} died of it: "
                        reason = died * (kind == "died") + content
                        if lost is None:
                            raise UserError(f"a piece of work was given up: {reason}; run the step again")
                        content = lost(task.job, reason)
                    reached[task.number] = content
                while reached and (not in_order or next_out in reached):
                    yield reached.pop(next_out if in_order else next(iter(reached)))
                    next_out += 1
        finally:
            self._stop()


class SerialWorkers(Workers):
    """No workers: this process does the jobs, one after the other, as each result is asked for."""

    def results(self, function: Callable[[Any], Any], jobs: Iterable[Any], *_: Any, **__: Any) -> Iterator[Any]:
        """Results of a function, in the order of the jobs."""
        return map(function, jobs)


@contextmanager
def worker_pool(settings: Settings, jobs: int | None = None, calculator: bool = False) -> Iterator[Workers]:
    """Start workers, each single-threaded, on the cluster or as processes here; they end with the block.

    ``jobs``: no more processes are started here. ``calculator``: whether the jobs call ``neb.calculator``; one that is
    not ours may load a GPU or start threads when imported, which does not survive a fork: its workers are spawned.
    """
    workers: Workers
    if settings.cluster is not None:
        try:
            from pipeline.workers.dask_cluster import DaskWorkers  # an optional dependency
        except ModuleNotFoundError as error:
            raise UserError(f'config.yaml: cluster: {error.name} is not installed; pip install ".[cluster]"') from None
        workers = DaskWorkers(settings.cluster)
    else:
        from pipeline.workers.local import Processes

        spawned = calculator and not str(settings.neb.calculator).startswith("glass.")
        count = settings.cores if jobs is None else min(settings.cores, jobs)
        workers = Processes(count, "spawn" if spawned else None)
    try:
        yield workers
    finally:
        workers.end()
