"""Every step ended or hindered at every n-th call of the system, and run again.

Run with: python tests/faults.py [STEP …] [--every K] [--only KIND …]

Needs strace. On a small workspace that it makes, each step is killed on entering the n-th rename, write, fsync, unlink,
truncate, mkdir and link, for each n that an undisturbed run has, and gets errors as results of these and of opening,
reading and locking. Killed or not it must end as an undisturbed run or with one line and status 2; and run again
without the fault it must end so too, with files that equal those of an undisturbed run.

AutoGluon, which takes longest, learns once; trainings after that get what it learnt.
"""

import argparse
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
import tempfile
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pandas as pd
import synthetic

from MLmodel.learner import Fitted
from pipeline.workers import local
from pipeline.workspace import Workspace

ROOT = Path(__file__).resolve().parent.parent
T = "0.15"
LONGEST = 1200  # s; what takes longer hangs, and is ended

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

    def __init__(self, folder, steps):
        self.folder, self.root = folder, folder / "workspace"
        self.counts = {}
        self.after = {}
        self._make()
        for step in STEPS:
            if step == "run_neb":
                listed = pd.read_csv(Workspace(self.root).at(T).predicted("newpairs"))
                listed.head(3)[["conf", "i", "j"]].to_csv(self.root / "pairs.csv", index=False)
            shutil.copytree(self.root, folder / step, symlinks=True)
            ended = self.run(step, "trace" if step in steps else None)
            if ended.status != 0:
                raise RuntimeError(f"{step} failed undisturbed: {ended.stderr}")
            if step in TRAININGS:
                self._keep_what_was_learnt(step)
                self.restore(step)
                ended = self.run(step, "trace" if step in steps else None)
            self.counts[step], self.after[step] = ended.counts, content(self.root)
            if step == steps[-1]:
                break

    def _make(self):
        self.root.mkdir()
        (self.root / "config.yaml").write_text(_SETTINGS)
        self.run("simulate_glass", None, "-T", T, *_GLASS.split())
        self.run("step0_collect", None)
        synthetic.write_neb(self.root, synthetic.read_pairs(self.root, T).sample(frac=0.5, random_state=0), T)
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
                raise RuntimeError(f"strace can't attach to a process: {line}")
        os.kill(child, signal.SIGCONT)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if tracer is not None:
            tracer.communicate()
        return Ended(status, said.read_text(), _count(log) if inject == "trace" else {})

    def try_fault(self, step, call, fault, number):
        """Run a step with a fault at the n-th call, and again without; what became of it, and details of a failure."""
        self.restore(step)
        what = f"signal={fault}" if fault == "KILL" else f"error={fault}"
        where = " ".join(f"-P {path}" for path in lock_files(self.root)) if call == "lock" else ""
        names, _ = CALLS[call]
        first = self.run(step, f"--trace={names} --inject={names}:{what}:when={number} {where}")
        again = self.run(step, None)
        details = f"{step}: {fault} at {call} {number}: status {first.status}, then {again.status}"
        for ended in (first, again):
            expected = (0, -signal.SIGKILL) if ended is first and fault == "KILL" else (0,)
            if ended.status not in expected and not ended.says_why:
                return "failed", f"{details}\n{ended.stderr[-1500:]}"
        if again.status != 0:
            return "one line, twice", f"{details}: {again.stderr}"
        differing = differences(content(self.root), self.after[step])
        if differing:
            return "failed", f"{details}: other files than undisturbed: {', '.join(differing)}"
        return {0: "not hindered", 2: "one line"}.get(first.status, "killed"), ""


def _in_child(step, arguments, said, learnt: Path | None):
    """Be a step, once the parent lets it go on."""
    status = 1
    try:
        signal.alarm(LONGEST)
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
        return {name: card[name] for name in ("data", "sets", "features", "pairs", "settings")}
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


def load(steps):
    """Import all that these steps need, so that those forked from here need not."""
    for step in steps:
        runpy.run_path(str(ROOT / f"{step}.py"), run_name="loaded")
    # Imported by the steps where work begins
    for module in ("pipeline.glass_pairs", "MLmodel.model", "MLmodel.learner", "MLmodel.ranking"):
        importlib.import_module(module)
    if steps != ["step0_collect"]:
        import autogluon.tabular  # noqa: F401


def main():
    """Try all faults and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", default=list(STEPS), help="default: all")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="only every K-th call (default: all)")
    parser.add_argument("--only", nargs="*", default=list(CALLS), metavar="KIND", help=f"of {', '.join(CALLS)}")
    given = parser.parse_args()
    load(given.steps)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), sorted(given.steps, key=list(STEPS).index))
        for step, counts in trial.counts.items():
            print(f"{step}: {', '.join(f'{call} {count}' for call, count in counts.items())}")
        for step in given.steps:
            for call in given.only:
                for fault in CALLS[call][1].split():
                    became = Counter()
                    for number in range(1, trial.counts[step][call] + 1, given.every):
                        outcome, details = trial.try_fault(step, call, fault, number)
                        became[outcome] += 1
                        if outcome == "failed":
                            print(details, flush=True)
                            failed += 1
                    told = ", ".join(f"{outcome}: {count}" for outcome, count in became.most_common()) or "never called"
                    print(f"{step:18} {fault:7} {call:9} {told}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
