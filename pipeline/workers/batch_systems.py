"""Clusters of jobs of a batch system, by dask-jobqueue."""

import shlex
from pathlib import Path
from typing import Any

import dask_jobqueue
from distributed.core import Status

from pipeline.errors import UserError
from pipeline.messages import note

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


class BatchJobs:
    """Jobs of one of SYSTEMS whose workers can import the project; ``section`` of config.yaml: n_workers and its keys.

    dask-jobqueue itself logs a refused job as a traceback and waits for it forever.
    """

    def __init__(self, system: str, section: dict[str, Any]) -> None:
        options = dict(section)
        self._name = f"cluster.{system}"
        self._count = options.pop("n_workers", 1)
        self._said: set[str] = set()
        path = f"export PYTHONPATH={shlex.quote(str(_ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}"
        prologue = [path, *options.pop("job_script_prologue", [])]
        scheduler = {"dashboard": False, "dashboard_address": ":0", **options.pop("scheduler_options", {})}
        options = {"processes": 1, **options, "job_script_prologue": prologue, "scheduler_options": scheduler}
        try:
            self.cluster = _telling(SYSTEMS[system])(**options)
        except (TypeError, ValueError, RuntimeError, OSError) as error:
            raise UserError(f"config.yaml: {self._name}: {_in_one_line(error)}") from None

    def replace(self) -> None:
        """Start jobs in place of those that are gone; UserError if all were refused."""
        jobs = list(self.cluster.workers.values())
        refused = {job.refused for job in jobs} - {None}
        if refused and not any(job.job_id for job in jobs):
            raise UserError(f"config.yaml: {self._name}: no job was taken: {min(refused)}; mend that section")
        for words in refused - self._said:
            note(f"{self._name}: a job was refused, work goes on with fewer: {words}")
        self._said |= refused
        self.cluster.scale(self._count)


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
    """What the batch system's command said, of all that dask-jobqueue says of its failure; else its first sentence."""
    said = (
        str(error).partition("\nstdout:\n")[2].replace("\nstderr:\n", "\n") or str(error).partition(" Very likely")[0]
    )
    return "; ".join(line.strip() for line in said.splitlines() if line.strip())
