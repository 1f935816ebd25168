"""Batch systems whose jobs are workers: a cluster of such jobs, by dask-jobqueue."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import UserError

SYSTEMS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}
"""Section of config.yaml to class of dask_jobqueue."""

_ROOT = Path(__file__).resolve().parents[2]


class Jobs:
    """A cluster of jobs that dask-jobqueue starts.

    Parameters
    ----------
    system : str
        One of SYSTEMS.
    options : dict
        Its section of config.yaml.
    """

    def __init__(self, system: str, options: dict[str, Any]) -> None:
        options = dict(options)
        self._name = f"cluster.{system}"
        self._count = options.pop("n_workers", 1)
        self._said: set[str] = set()
        self.cluster = _cluster(system, options)

    def replace(self) -> None:
        """Start jobs in place of those that are gone.

        Raises
        ------
        UserError
            If the batch system has refused jobs, and none is left.
        """
        jobs = list(self.cluster.workers.values())
        refused = list(dict.fromkeys(job.refused for job in jobs if job.refused is not None))
        if refused and not any(job.job_id for job in jobs):
            raise UserError(f"config.yaml: {self._name}: no job was taken: {refused[0]}; mend that section")
        for words in refused:
            if words not in self._said:
                print(f"{self._name}: a job was refused, work goes on with fewer: {words}", flush=True)
                self._said.add(words)
        self.cluster.scale(self._count)


def _cluster(system: str, options: dict[str, Any]) -> Any:
    """A cluster of dask-jobqueue, without jobs yet; those that the batch system refuses keep its words."""
    import dask_jobqueue
    from distributed.core import Status

    of_system: Any = getattr(dask_jobqueue, SYSTEMS[system])

    class Job(of_system.job_cls):  # type: ignore[misc]
        refused: str | None = None

        async def start(self) -> None:
            try:
                await super().start()
            except (RuntimeError, ValueError, OSError) as error:  # else a traceback in the log, and no end
                self.refused, self.status = _words(str(error)), Status.running

        async def close(self) -> None:
            await super().close()
            self.status = Status.closed  # the cluster looks at that as it ends

    class Cluster(of_system):  # type: ignore[misc]
        job_cls = Job

    prologue = [
        f"export PYTHONPATH={shlex.quote(str(_ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}",
        *options.pop("job_script_prologue", []),
    ]
    scheduler = {"dashboard": False, "dashboard_address": ":0", **options.pop("scheduler_options", {})}
    try:
        return Cluster(job_script_prologue=prologue, scheduler_options=scheduler, **{"processes": 1, **options})
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise UserError(f"config.yaml: cluster.{system}: {' '.join(str(error).split())}") from None


def _words(error: str) -> str:
    """What the batch system's command said, of all that dask-jobqueue says of its failure."""
    said = error.partition("\nstdout:\n")[2].replace("\nstderr:\n", "\n") or error
    return "; ".join(line.strip() for line in said.splitlines() if line.strip())


@contextmanager
def jobs(system: str, options: dict[str, Any]) -> Iterator[Jobs]:
    """Jobs of a batch system that end with the block."""
    started = Jobs(system, options)
    with started.cluster:
        started.replace()
        yield started
