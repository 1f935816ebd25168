"""A Dask cluster that is there, or one of jobs of a batch system, which dask-jobqueue starts."""

import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dask
from distributed import Client

from pipeline.dask_workers import DaskWorkers
from pipeline.errors import UserError
from pipeline.processes import TRIES
from pipeline.settings import ClusterSettings

_CONFIG = {
    "distributed.scheduler.allowed-failures": TRIES - 1,  # of a scheduler that is ours
    "distributed.admin.large-graph-warning-threshold": "1GB",
}

_SYSTEMS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}
"""Section of config.yaml to class of dask_jobqueue."""

_ROOT = Path(__file__).resolve().parent.parent


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
        if kind in _SYSTEMS:
            with _started(kind, dict(value or {})) as (cluster, count), _connected(kind, cluster) as client:
                yield DaskWorkers(client, f"cluster.{kind}", lambda: cluster.scale(count))
        else:
            if kind == "scheduler_file" and not Path(value).is_file():
                raise UserError(f"config.yaml: cluster.scheduler_file = {value}: no such file; start the scheduler")
            with _connected(kind, value) as client:
                yield DaskWorkers(client, f"cluster.{kind}", lambda: None)


@contextmanager
def _started(system: str, options: dict[str, Any]) -> Iterator[tuple[Any, int]]:
    """A cluster of jobs, and how many workers it shall have."""
    import dask_jobqueue

    count = options.pop("n_workers", 1)
    prologue = [
        f"export PYTHONPATH={shlex.quote(str(_ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}",
        *options.pop("job_script_prologue", []),
    ]
    scheduler = {"dashboard": False, "dashboard_address": None, **options.pop("scheduler_options", {})}
    try:
        cluster = getattr(dask_jobqueue, _SYSTEMS[system])(
            job_script_prologue=prologue, scheduler_options=scheduler, **{"processes": 1, **options}
        )
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise UserError(f"config.yaml: cluster.{system}: {' '.join(str(error).split())}") from None
    with cluster:
        cluster.scale(count)
        yield cluster, count


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
