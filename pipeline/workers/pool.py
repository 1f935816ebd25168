"""Where work runs: on the cores of this machine, or on those of a cluster."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from pipeline.errors import UserError
from pipeline.settings import Settings
from pipeline.workers.local import Processes, count_steps

__all__ = ["Here", "Workers", "count_steps", "worker_pool"]


class Workers(Protocol):
    """What works, wherever it is; see :class:`pipeline.workers.local.Processes` for the meaning of all."""

    @property
    def count(self) -> int:
        """How many jobs run at a time."""

    @property
    def steps(self) -> int:
        """Steps that the jobs have counted so far with :func:`count_steps`."""

    def results(
        self,
        function: Callable[[Any], Any],
        jobs: Iterable[Any],
        in_order: bool = False,
        while_waiting: Callable[[], object] = lambda: None,
        time_limit: float | None = None,
        lost: Callable[[Any, str], Any] | None = None,
    ) -> Iterator[Any]:
        """Results of a function, as they are reached or in the order of the jobs."""


class Here:
    """No workers: this process does the jobs itself, one after the other, as each result is asked for."""

    count, steps = 1, 0

    def results(self, function: Callable[[Any], Any], jobs: Iterable[Any], *_: Any, **__: Any) -> Iterator[Any]:
        """Results in the order of the jobs."""
        return map(function, jobs)


@contextmanager
def worker_pool(settings: Settings, jobs: int | None = None) -> Iterator[Workers]:
    """Start workers, each single-threaded; they end with the block.

    Parameters
    ----------
    settings : Settings
        ``cluster``; without one, ``processes``.
    jobs : int, optional
        How many jobs there are: no more processes are started here.

    Raises
    ------
    UserError
        If the cluster does not answer, or can't be started.
    """
    if settings.cluster is not None:
        try:
            from pipeline.workers.dask_cluster import dask_workers
        except ModuleNotFoundError as error:
            raise UserError(
                f'config.yaml: cluster: {error.name} is not installed; pip install ".[cluster]", or cluster: null'
            ) from None
        with dask_workers(settings.cluster) as cluster:
            yield cluster
        return
    workers = Processes(settings.cores if jobs is None else min(settings.cores, jobs))
    try:
        yield workers
    finally:
        workers.end()
