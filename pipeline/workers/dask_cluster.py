"""A Dask cluster that is there, or one of jobs of a batch system."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dask
from distributed import Client

from pipeline.errors import UserError
from pipeline.settings import ClusterSettings
from pipeline.workers.batch_systems import SYSTEMS, jobs
from pipeline.workers.dask_workers import DaskWorkers
from pipeline.workers.local import TRIES

_CONFIG = {
    "distributed.scheduler.allowed-failures": TRIES - 1,  # of a scheduler that is ours
    "distributed.admin.large-graph-warning-threshold": "1GB",
}


@contextmanager
def dask_workers(settings: ClusterSettings) -> Iterator["DaskWorkers"]:
    """Connect to a cluster, or start one that ends with the block.

    Raises
    ------
    UserError
        If there is none, or it can't be started.
    """
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what is wrong is said in one line, by us
    kind, value = settings.chosen
    with dask.config.set(_CONFIG):
        if kind in SYSTEMS:
            with jobs(kind, value) as started, _connected(kind, started.cluster) as client:
                yield DaskWorkers(client, f"cluster.{kind}", started.replace)
        else:
            if kind == "scheduler_file" and not Path(value).is_file():
                raise UserError(f"config.yaml: cluster.scheduler_file = {value}: no such file; start the scheduler")
            with _connected(kind, value) as client:
                yield DaskWorkers(client, f"cluster.{kind}", lambda: None)


@contextmanager
def _connected(kind: str, where: Any) -> Iterator[Client]:
    named = {"scheduler_file": where} if kind == "scheduler_file" else {"address": where}
    try:
        client = Client(**named, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"config.yaml: cluster.{kind} = {where}: no Dask scheduler answers there: {reason}") from None
    try:
        yield client
    finally:
        with suppress(Exception):  # it may be gone
            client.close(timeout=2)
