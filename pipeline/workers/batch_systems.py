"""Clusters of jobs of a batch system, by dask-jobqueue."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask_jobqueue

from pipeline.errors import UserError

SYSTEMS = {
    "slurm": dask_jobqueue.SLURMCluster,
    "pbs": dask_jobqueue.PBSCluster,
    "sge": dask_jobqueue.SGECluster,
    "lsf": dask_jobqueue.LSFCluster,
    "htcondor": dask_jobqueue.HTCondorCluster,
    "oar": dask_jobqueue.OARCluster,
    "moab": dask_jobqueue.MoabCluster,
}
"""Section of config.yaml to class of dask-jobqueue."""

_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def batch_cluster(system: str, section: dict[str, Any]) -> Iterator[Any]:
    """Jobs whose workers can import the project; they are replaced as they are lost, and end with the block.

    Parameters
    ----------
    system : str
        One of SYSTEMS.
    section : dict
        Its section of config.yaml: ``n_workers``, and what dask-jobqueue takes.

    Raises
    ------
    UserError
        If dask-jobqueue does not know a key, or the batch system refuses a job.
    """
    options = dict(section)
    workers = options.pop("n_workers", 1)
    path = f"export PYTHONPATH={shlex.quote(str(_ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}"
    prologue = [path, *options.pop("job_script_prologue", [])]
    scheduler = {"dashboard": False, "dashboard_address": ":0", **options.pop("scheduler_options", {})}
    options = {"processes": 1, **options, "job_script_prologue": prologue, "scheduler_options": scheduler}
    try:
        cluster = SYSTEMS[system](n_workers=workers, **options)
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise UserError(f"config.yaml: cluster.{system}: {_in_one_line(error)}; mend that section") from None
    with cluster:
        cluster.adapt(minimum=workers, maximum=workers)
        yield cluster


def _in_one_line(error: Exception) -> str:
    """What the batch system's command said, of all that dask-jobqueue says of its failure; else its first sentence."""
    said = (
        str(error).partition("\nstdout:\n")[2].replace("\nstderr:\n", "\n") or str(error).partition(" Very likely")[0]
    )
    return "; ".join(line.strip() for line in said.splitlines() if line.strip())
