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

import numpy as np
import pandas as pd
import pytest
import synthetic
from steps import LONGEST, ROOT

from example.make import write_neb_results
from MLmodel.learner import Fitted
from pipeline.workers import local
from pipeline.workspace import Workspace

T = "0.15"

_GLASS = "--glasses=2 --n-particles=80 --sweeps=300 --quenches=60 --interval=200 --sampling-temperature=0.1"
_QUICK = "{train_hours: 0.01, fast: true}"
_SETTINGS = f"classifier: {_QUICK}\npredictor: {_QUICK}\nprocesses: 1\nneb: {{images: 9, max_steps: 50}}\n"

_CHAIN = ("step0_collect", "step1_train_dw", "step2_classify_dw", "step3_train_qs", "step4_predict_qs")
STEPS = dict.fromkeys((*_CHAIN, "validate_dw", "validate_qs", "run_neb", "report"), ())
STEPS["run_neb"] = ("--pairs", "{root}/pairs.csv")
"""In their order, with their arguments."""

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
    """How a step ended."""

    status: int  # minus the signal that killed it
    stderr: str
    counts: dict[str, int]  # how often each kind of call was made, by the process or thread that made most

    @property
    def says_why(self):
        """Whether it asked the user to act, in one line."""
        return self.status == 2 and self.stderr.count("\n") == 1 and self.stderr.startswith("error: ")


class Trial:
    """A small workspace before and after each step, in a folder; and steps in it, disturbed or not.

    Steps are forked from this process, which has imported all that they need.
    """

    def __init__(self, folder):
        self.folder, self.root, self.counts, self.after = folder, folder / "workspace", {}, {}
        self._make()

    def prepare(self, step):
        """Run the steps up to this one undisturbed, each once; its calls are counted."""
        for one in [*STEPS][: [*STEPS].index(step) + 1]:
            if one in self.counts:
                continue
            if one == "run_neb":
                listed = pd.read_csv(Workspace(self.root).at(T).predicted("newpairs"))
                listed.head(3)[["conf", "i", "j"]].to_csv(self.root / "pairs.csv", index=False)
            shutil.copytree(self.root, self.folder / one, symlinks=True)
            if one in TRAININGS:
                assert self.run(one, None).status == 0
                self._keep_what_was_learnt(one)
                self.restore(one)
            ended = self.run(one, "trace")
            assert ended.status == 0, f"{one} failed undisturbed: {ended.stderr}"
            self.counts[one], self.after[one] = ended.counts, content(self.root)

    def _make(self):
        self.root.mkdir()
        (self.root / "config.yaml").write_text(_SETTINGS)
        for step, given in (("simulate_glass", ("-T", T, *_GLASS.split())), ("step0_collect", ())):
            ended = self.run(step, None, *given)
            assert ended.status == 0, ended.stderr
        pairs = synthetic.read_pairs(self.root, T).sample(frac=0.5, random_state=0)
        length = pairs["total_displacement"]
        labels = pairs.assign(is_dw=(length < length.median()).astype(int), quantum_splitting=0.02 * np.exp(-length))
        write_neb_results(Workspace(self.root).at(T), labels)
        for path in ("Configurations/pairs", "output_ML"):
            shutil.rmtree(self.root / path)

    def _keep_what_was_learnt(self, step):
        learnt = self.root / "MLmodel" / TRAININGS[step]
        ours = ("card.json", "train.feather", "test.feather", "used.feather")
        shutil.copytree(learnt, self.folder / f"learnt-{step}", ignore=lambda _, names: set(names) & set(ours))

    def restore(self, step):
        """The workspace as it is before a step."""
        shutil.rmtree(self.root)
        shutil.copytree(self.folder / step, self.root, symlinks=True)

    def run(self, step, inject, *arguments):
        """Run a step; ``inject``: what strace is told to inject, or ``trace`` to count calls; or no strace at all."""
        said, log = self.folder / "stderr", self.folder / "strace"
        learnt, ready = self.folder / f"learnt-{step}", self.folder / "ready"
        if learnt.exists():
            shutil.rmtree(ready, ignore_errors=True)
            shutil.copytree(learnt, ready)
        child = os.fork()
        if child == 0:
            given = [one.format(root=self.root) for one in arguments or STEPS.get(step, ())]
            _in_child(step, [*given, "--workspace", str(self.root)], said, ready if learnt.exists() else None)
        os.waitpid(child, os.WUNTRACED)
        tracer = None
        if inject is not None:
            calls = ",".join(names for names, _ in CALLS.values())
            options = [f"--trace={calls}"] if inject == "trace" else inject.split()
            command = ["strace", "-f", "-o", str(log), "-p", str(child), *options]
            tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            if "attached" not in (line := tracer.stderr.readline()):
                os.kill(child, signal.SIGKILL)
                pytest.skip(f"strace can't attach to a process here: {line}")
        os.kill(child, signal.SIGCONT)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if tracer is not None:
            tracer.communicate()
        return Ended(status, said.read_text(), _count(log) if inject == "trace" else {})

    def fault(self, step, call, fault, number):
        """Run a step with a fault at the n-th call, and again without; what became of it."""
        self.restore(step)
        what = f"signal={fault}" if fault == "KILL" else f"error={fault}"
        where = " ".join(f"-P {path}" for path in lock_files(self.root)) if call == "lock" else ""
        names, _ = CALLS[call]
        first = self.run(step, f"--trace={names} --inject={names}:{what}:when={number} {where}")
        again = self.run(step, None)
        killed = fault == "KILL" and first.status == -signal.SIGKILL
        assert first.status == 0 or first.says_why or killed, (number, *first)
        assert again.status == 0 or again.says_why, (number, *again)
        assert again.status != 0 or not differences(content(self.root), self.after[step]), number
        return "killed" if killed else {0: "not hindered", 2: "one line"}[first.status]


def _in_child(step, arguments, said, learnt: Path | None):
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
        sys.argv = [str(script), *arguments]
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
    """Stand-in for AutoGluon: what it learnt before becomes what it learns."""
    for path in learnt.iterdir():
        path.rename(folder / path.name)
    return Fitted(1e-6, was_cut=False, memory_ran_short=False)


def _count(log):
    kind_of = {name.strip("?"): kind for kind, (names, _) in CALLS.items() for name in names.split(",")}
    made = re.findall(r"^(\d+) +(\w+)\(", log.read_text(errors="replace"), re.MULTILINE)
    counts = Counter((thread, kind_of[name]) for thread, name in made if name in kind_of)
    return {kind: max((n for (_, one), n in counts.items() if one == kind), default=0) for kind in CALLS}


def lock_files(root):
    """All locks of a workspace, there or not."""
    names = [f"{step}{temperature}" for step in STEPS for temperature in ("", f"-T{T}")]
    trainings = [root / "MLmodel" / ".locks" / f"{name}.lock" for name in TRAININGS.values()]
    return [*(root / "output_ML" / ".locks" / f"{name}.lock" for name in names), *trainings]


def content(root):
    """What is in the files of a workspace, but for what differs between two undisturbed runs."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_dir() or ".locks" in path.parts or path.suffix == ".log":
            continue
        if re.search(r"/(autogluon/|model\.cbm)", name):  # as random as the card
            continue
        found[name] = _comparable(path)
    return found


def _comparable(path):
    if path.name == "card.json":
        card = json.loads(path.read_text())
        return {name: card[name] for name in ("data", "sources", "features", "pairs", "settings")}
    if path.name.endswith(".made-from.json"):
        record = json.loads(path.read_text())
        return sorted(record), sorted(record["files"])
    if path.name == "calculations.csv":
        rows = pd.read_csv(path).drop(columns="cpu_seconds").drop_duplicates()  # one may be done twice
        return rows.sort_values(["conf", "i", "j"]).to_csv(index=False)
    if path.name == "rounds.csv":
        return pd.read_csv(path).drop(columns=["cpu_seconds", "classifier", "predictor"]).to_csv()
    if path.suffix == ".html" or path.name in ("rounds.png",):
        return path.stat().st_size > 0
    if path.suffix == ".csv" and path.name.startswith(("DW_T", "predictedQs")):
        return pd.read_csv(path).round(9).to_csv()
    return path.read_bytes()


def differences(found, expected):
    """Names of files that are missing, too many, or other than expected."""
    return sorted(name for name in found.keys() | expected.keys() if found.get(name, b"") != expected.get(name, b""))


EVERY = int(os.environ.get("EVERY", 0))
"""Which calls are tried: each K-th; 0: each 16th rename of step 0."""

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
    numbers = range(1, trial.counts[step][call] + 1, EVERY or 16)
    became = Counter(trial.fault(step, call, fault, number) for number in numbers)
    print(f"{step} {fault} {call}:", ", ".join(f"{what}: {count}" for what, count in became.most_common()))
    assert EVERY or SAMPLE[step, call, fault] in became
