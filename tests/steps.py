"""The steps as a user runs them: within this process, which spares their imports, or as processes of their own."""

import io
import os
import runpy
import signal
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import multiprocess
from PIL import Image
from threadpoolctl import threadpool_limits

from pipeline.workers import SerialWorkers
from pipeline.workers.local import Processes

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 1200
"""s; a step that takes longer hangs."""

LEARNING = ("step1_train_dw", "step2_classify_dw", "step3_train_qs", "step4_predict_qs")
"""The steps after step 0, in their order."""


class Ended(NamedTuple):
    """How a step ended."""

    returncode: int
    stdout: str
    stderr: str


def run(script, workspace, *arguments, pictures=False, workers=False):
    """Run a step within this process, its jobs one after the other unless workers are asked for.

    Pictures, which would take most of the time, are blank unless asked for.
    """
    stdout, stderr, status = io.StringIO(), io.StringIO(), 0
    on_sigterm = signal.getsignal(signal.SIGTERM)
    with (
        mock.patch.object(sys, "argv", _command(script, workspace, *arguments)[1:]),
        mock.patch.object(sys, "path", [*sys.path]),
        mock.patch("pipeline.workers.local.Processes", _Forked if workers else _processes_of_training_only),
        nullcontext() if pictures else mock.patch("matplotlib.figure.Figure.savefig", _save_blank),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", DeprecationWarning)  # as Python does outside __main__
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)
            for name, module in list(sys.modules.items()):
                if f"{workspace}/" in str(getattr(module, "__dict__", {}).get("__file__")):
                    del sys.modules[name]  # a calculator of this workspace
    return Ended(status, stdout.getvalue(), stderr.getvalue())


def _save_blank(figure, path, **_):
    Image.new("L", (2, 2)).save(path, "png")


run_drawing = partial(run, pictures=True)
run_workers = partial(run, workers=True)


class _NoProcesses(SerialWorkers):
    """In place of processes."""

    def __init__(self, count, start=None):
        self._limits = threadpool_limits(1)  # as in a worker

    def end(self):
        self._limits.restore_original_limits()


def _processes_of_training_only(count, start=None, log=None):
    return _Forked(count, start, log) if log else _NoProcesses(count)


_PRELOADED = ["autogluon.tabular", "autogluon.tabular.models", "catboost", "sklearn", "search.exact"]


class _Forked(Processes):
    """Workers that are forked from a process that has imported what they need, which takes longer than their jobs."""

    def __init__(self, count, start=None, log=None):
        multiprocess.set_forkserver_preload(_PRELOADED)
        with mock.patch.dict(os.environ, PYTHONPATH=str(ROOT)):
            super().__init__(count, "forkserver", log)


def run_process(script, workspace, *arguments):
    """Run a step as a process of its own, with workers."""
    command = _command(script, workspace, *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=LONGEST)


def done(script, workspace, *arguments, run=run):
    """Run a step that must end well; what it printed."""
    ended = run(script, workspace, *arguments)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == "", ended.stderr
    return ended.stdout


def refused(script, workspace, *arguments, run=run):
    """Run a step that must ask the user to act; the one line it says."""
    ended = run(script, workspace, *arguments)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "Traceback" not in ended.stderr
    return ended.stderr


_UNDRAWN = f"""
import runpy, sys
from matplotlib.figure import Figure
sys.path[:1] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from steps import _save_blank
Figure.savefig = _save_blank
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@contextmanager
def started(script, workspace, *arguments):
    """Start a step, its pictures blank, in a process group of its own, of which nothing is left after the block."""
    command = [sys.executable, "-c", _UNDRAWN, *_command(script, workspace, *arguments)[1:]]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(command, **pipes, text=True, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until(true, process):
    """Wait for something that a running process brings about."""
    deadline = time.monotonic() + LONGEST
    while not true():
        assert process.poll() is None, "it ended before that"
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(0.05)


def stop(process, with_signal=signal.SIGINT, group=True):
    """Send a signal to a process, or like a terminal to its group too; its status and what it said in the end.

    That is told when all its children have ended as well: they hold its pipes.
    """
    (os.killpg if group else os.kill)(process.pid, with_signal)
    stdout, stderr = process.communicate(timeout=LONGEST)
    return Ended(process.returncode, stdout, stderr)


def _command(script, workspace, *arguments):
    return [sys.executable, str(ROOT / f"{script}.py"), "--workspace", str(workspace), *map(str, arguments)]
