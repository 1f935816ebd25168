"""Where work runs: on the cores of this machine, or on those of a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import UserError
from pipeline.settings import Settings
from pipeline.workers.base import SerialWorkers, Workers
from pipeline.workers.local import Processes, count_steps

__all__ = ["SerialWorkers", "Workers", "count_steps", "worker_pool"]


@contextmanager
def worker_pool(settings: Settings, jobs: int | None = None, calculator: bool = False) -> Iterator[Workers]:
    """Start workers, each single-threaded, on the cluster or as ``processes``; they end with the block.

    ``jobs``: no more processes are started here. ``calculator``: whether the jobs call ``neb.calculator``; one that is
    not ours may load a GPU or start threads when imported, which does not survive a fork: its workers are spawned.
    """
    if settings.cluster is not None:
        try:
            from pipeline.workers.dask_cluster import dask_workers  # an optional dependency
        except ModuleNotFoundError as error:
            raise UserError(f'config.yaml: cluster: {error.name} is not installed; pip install ".[cluster]"') from None
        with dask_workers(settings.cluster) as cluster:
            yield cluster
        return
    spawned = calculator and not str(settings.neb.calculator).startswith("glass.")
    count = settings.cores if jobs is None else min(settings.cores, jobs)
    workers = Processes(count, "spawn" if spawned else None)
    try:
        yield workers
    finally:
        workers.end()
