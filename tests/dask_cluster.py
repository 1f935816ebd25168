"""A real Dask cluster of this machine: a scheduler and workers, each a process of its own."""

import os
import signal
import subprocess
import sys
import time

from steps import LONGEST, ROOT

from pipeline.settings import ClusterSettings, Settings

_ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "4s",  # a frozen worker is found soon
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2",
    "DASK_DISTRIBUTED__WORKER__USE_FILE_LOCKING": "False",
}


class Cluster:
    """A scheduler whose address stands in a file; workers come and go."""

    def __init__(self, folder, workers):
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.scheduler = self._start("dask_scheduler", "--port", "0", "--scheduler-file", str(self.file))
        self.workers = []
        wait_for(self.file.exists)
        for _ in range(workers):
            self.add_worker()
        self.settings = Settings(cluster=ClusterSettings(scheduler_file=str(self.file)))

    def _start(self, module, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", *arguments]
        with (self.folder / "log.txt").open("a") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env={**os.environ, **_ENVIRONMENT}, stdout=log, stderr=log
            )

    def add_worker(self):
        scratch = self.folder / "scratch"
        options = ["--nthreads", "1", "--no-nanny", "--local-directory", str(scratch)]
        self.workers.append(self._start("dask_worker", "--scheduler-file", str(self.file), *options))
        return self.workers[-1]

    def kill(self, worker):
        worker.kill()
        worker.wait()
        self.workers.remove(worker)

    def end(self):
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


def wait_for(true):
    """Wait for something that other processes bring about."""
    deadline = time.monotonic() + LONGEST
    while not true():
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(0.02)
