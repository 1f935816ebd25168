"""Steps ended or hindered at every n-th call of the system, and run again; needs strace.

In a small workspace each step is killed on entering the n-th rename, write, fsync, unlink, truncate, mkdir and link,
for each n that an undisturbed run has, and gets errors as results of these and of opening, reading and locking. Killed
or not it must end as an undisturbed run or with one line and status 2; and run again without the fault it must end so
too, with files that equal those of an undisturbed run. ``make soak`` tries all calls; ``EVERY=K`` each K-th.
Steps are forked, so that this runs in a process of its own (tests/test_faults.py).

AutoGluon, which takes longest, learns once; trainings after that get what it learnt.
"""

import ctypes
import importlib
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import neb_glass
import numpy as np
import pandas as pd
import pytest
import synthetic
from neb_glass import T
from steps import LEARNING, LONGEST, ROOT

from example.make import write_neb_results
from MLmodel.learner import Fitted
from pipeline.workers import local
from pipeline.workspace import Workspace

STEPS = ["step0_collect", *LEARNING, "validate_dw", "validate_qs", "run_neb", "report"]
"""In their order."""

TRAININGS = {
    "step1_train_dw": f"dw-classification-T{T.replace('.', '')}",
    "step3_train_qs": f"qs-regression-T{T.replace('.', '')}",
}
"""Folders of their models."""

CALLS = {
    "rename": ("?rename,?renameat,?renameat2", "KILL EIO EACCES ENOSPC ESTALE"),
    "unlink": ("?unlink,?unlinkat,?rmdir", "KILL EIO EACCES"),
    "write": ("?write,?pwrite64,?writev", "KILL ENOSPC EIO"),
    "fsync": ("?fsync,?fdatasync", "KILL EIO ENOSPC ENOSYS"),
    "truncate": ("?truncate,?ftruncate", "KILL EIO"),
    "mkdir": ("?mkdir,?mkdirat", "KILL EACCES ENOSPC"),
    "link": ("?link,?linkat,?symlink,?symlinkat", "KILL EACCES ENOSYS"),
    "open": ("?open,?openat", "EACCES ESTALE EIO"),
    "read": ("?read,?pread64", "EIO ESTALE"),
    "lock": ("?flock", "ENOLCK ENOSYS ESTALE"),
}
"""Kinds of calls, with their names and what is tried: SIGKILL on entering, and errors as results."""


class Ended(NamedTuple):
    status: int  # minus the signal that killed it
    stderr: str

    @property
    def is_well(self):
        """Whether it ended as it should, or asked the user in one line to act."""
        says_why = self.status == 2 and self.stderr.count("\n") == 1 and self.stderr.startswith("error: ")
        return self.status == 0 or says_why


class Trial:
    """A small workspace before and after each step, in a folder; and steps in it, disturbed or not.

    Steps are forked from this process, which has imported all that they need.
    """

    def __init__(self, folder):
        self.folder, self.root, self.counts, self.after = folder, folder / "workspace", {}, {}
        self._make()

    def prepare(self, step):
        """Run the steps up to this one undisturbed, each once; its calls are counted."""
        for one in STEPS[: STEPS.index(step) + 1]:
            if one in self.counts:
                continue
            shutil.copytree(self.root, self.folder / one, symlinks=True)
            if one in TRAININGS:
                assert self.run(one).status == 0
                self._keep_what_was_learnt(one)
                self.restore(one)
            ended = self.run(one, f"--trace={','.join(names for names, _ in CALLS.values())}")
            assert ended.status == 0, f"{one} failed undisturbed: {ended.stderr}"
            self.counts[one], self.after[one] = _count(self.folder / "strace"), content(self.root)

    def _make(self):
        neb_glass.make_glass(self.root)
        glass = Workspace(self.root).at(T).glass(1)
        shutil.copytree(glass, glass.with_name("Cnf-2"))
        settings = synthetic.QUICK + "neb: {images: 9, max_steps: 50}\n"
        (self.root / "config.yaml").write_text(settings)
        pairs = synthetic.read_pairs(self.root, T).sample(frac=1, random_state=0)
        pairs[:3].to_csv(self.root / "pairs.csv", index=False)
        length = pairs["total_displacement"]
        labels = pairs.assign(is_dw=(length < length.median()).astype(int), quantum_splitting=0.02 * np.exp(-length))
        write_neb_results(Workspace(self.root).at(T), labels[3 : len(pairs) // 2])
        for path in ("Configurations/pairs", "output_ML"):
            shutil.rmtree(self.root / path)

    def _keep_what_was_learnt(self, step):
        learnt = self.root / "MLmodel" / TRAININGS[step]
        ours = ("card.json", "train.feather", "test.feather", "used.feather")
        shutil.copytree(learnt, self.folder / f"learnt-{step}", ignore=lambda _, names: set(names) & set(ours))

    def restore(self, step):
        shutil.rmtree(self.root)
        shutil.copytree(self.folder / step, self.root, symlinks=True)

    def run(self, step, *of_strace):
        """Run a step, under strace if that is told anything."""
        said, log = self.folder / "stderr", self.folder / "strace"
        learnt, ready = self.folder / f"learnt-{step}", None
        if learnt.exists():
            shutil.rmtree(ready := self.folder / "ready", ignore_errors=True)
            shutil.copytree(learnt, ready)
        child = os.fork()
        if child == 0:
            _in_child(step, self.root, said, ready)
        os.waitpid(child, os.WUNTRACED)
        if of_strace:
            command = ["strace", "-f", "-o", str(log), "-p", str(child), *of_strace]
            tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            if "attached" not in (line := tracer.stderr.readline()):
                os.kill(child, signal.SIGKILL)
                pytest.skip(f"strace can't attach to a process here: {line}")
        os.kill(child, signal.SIGCONT)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if of_strace:
            tracer.communicate()
        return Ended(status, said.read_text())

    def fault(self, step, call, fault, number):
        """Run a step with a fault at the n-th call, and again without; what became of it."""
        self.restore(step)
        what = f"signal={fault}" if fault == "KILL" else f"error={fault}"
        names, _ = CALLS[call]
        first = self.run(step, f"--trace={names}", f"--inject={names}:{what}:when={number}")
        again = self.run(step)
        killed = fault == "KILL" and first.status == -signal.SIGKILL
        assert first.is_well or killed, (number, *first)
        assert again.is_well, (number, *again)
        assert again.status != 0 or content(self.root) == self.after[step], number
        return "killed" if killed else {0: "not hindered", 2: "one line"}[first.status]


def _in_child(step, root, said, learnt: Path | None):
    """Be a step, once the parent lets it go on."""
    status = 1
    try:
        signal.alarm(LONGEST)
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1))  # PR_SET_PTRACER: anybody may trace this process
        for number, path in ((0, os.devnull), (1, os.devnull), (2, str(said))):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, number)
            os.close(file)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        script = ROOT / f"{step}.py"
        code = compile(script.read_text(), script, "exec")  # before any fault, as it is Python that reads it
        os.kill(os.getpid(), signal.SIGSTOP)
        if learnt is not None:
            vars(local)["run_apart"] = lambda job, *_: _taken(learnt, Path(job.args[4]))
        sys.argv = [str(script), "--workspace", str(root)]
        sys.argv += ["--pairs", str(root / "pairs.csv")] * (step == "run_neb")
        sys.modules["__main__"] = main = ModuleType("__main__")
        exec(code, vars(main))
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def _taken(learnt, folder):
    for path in learnt.iterdir():
        path.rename(folder / path.name)
    return Fitted(1e-6, was_cut=False, memory_ran_short=False)


def _count(log):
    kind_of = {name.strip("?"): kind for kind, (names, _) in CALLS.items() for name in names.split(",")}
    made = re.findall(r"^(\d+) +(\w+)\(", log.read_text(errors="replace"), re.MULTILINE)
    counts = Counter((thread, kind_of[name]) for thread, name in made if name in kind_of)
    return {kind: max((n for (_, one), n in counts.items() if one == kind), default=0) for kind in CALLS}


def content(root):
    """What is in the files of a workspace, but for what differs between two undisturbed runs."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix not in (".lock", ".log")]
    names = {path: path.relative_to(root).as_posix() for path in files}
    return {name: _comparable(path) for path, name in names.items() if not re.search(r"/(autogluon/|model\.cbm)", name)}


def _comparable(path):
    if path.name == "card.json":
        card = json.loads(path.read_text())
        return {name: card[name] for name in ("data", "sources", "features", "pairs", "settings")}
    if path.name.endswith(".made-from.json"):
        record = json.loads(path.read_text())
        return sorted(record), sorted(record["files"])
    if path.name in ("calculations.csv", "rounds.csv"):  # a pair may be calculated twice
        rows = pd.read_csv(path).drop(columns=["cpu_seconds", "classifier", "predictor"], errors="ignore")
        return rows.drop_duplicates().sort_values(rows.columns[:3].tolist()).to_csv(index=False)
    if path.name in ("report.html", "rounds.png"):
        return path.stat().st_size > 0
    return path.read_bytes()


EVERY = int(os.environ.get("EVERY", 0))
"""Which calls are tried: each K-th; 0: each second rename of step 0."""

CASES = [(step, call, fault) for step in STEPS for call, (_, faults) in CALLS.items() for fault in faults.split()]
SAMPLE = {("step0_collect", "rename", "KILL"): "killed", ("step0_collect", "rename", "EIO"): "one line"}


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    for step in {step for step, *_ in (CASES if EVERY else SAMPLE)}:
        runpy.run_path(str(ROOT / f"{step}.py"), run_name="loaded")
    # Imported by the steps where work begins
    for module in ("pipeline.glass_pairs", "MLmodel.model", "MLmodel.learner", "MLmodel.ranking", "autogluon.tabular"):
        importlib.import_module(module)
    return Trial(tmp_path_factory.mktemp("kills"))


@pytest.mark.parametrize(("step", "call", "fault"), CASES if EVERY else SAMPLE)
def test_a_step_that_is_killed_or_hindered_anywhere_ends_with_the_same_files_when_it_is_run_again(
    trial, step, call, fault
):
    trial.prepare(step)
    numbers = range(1, trial.counts[step][call] + 1, EVERY or 2)
    became = Counter(trial.fault(step, call, fault, number) for number in numbers)
    print(f"{step} {fault} {call}:", ", ".join(f"{what}: {count}" for what, count in became.most_common()))
    assert EVERY or SAMPLE[step, call, fault] in became
