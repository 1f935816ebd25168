"""Steps 0, 2 and 4 as command lines on glasses of made-up minima: time, processor, memory and disk of each.

python -m benchmarks.scale DIR [--glasses 1] [--minima 4500]

A glass of 4500 minima with 1500 particles has 10⁷ pairs, ten of them 10⁸; all are below pairs.max_delta_E. Their
particles lie as in ``benchmarks.collect``; a fifth of the pairs are under step 2's ceilings, as it prints. The models
learn from the pretraining sets of the example. DIR must be new or made by this benchmark: glasses in it are not made
again, the steps' results are.

Memory is what a step's processes hold together, a page that several share counted once: all of it, and without mapped
files, which are given back when memory is short. Looked at five times a second.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.collect import BOX, N_PARTICLES, write_binary
from example.make import EXAMPLE
from pipeline.workspace import CLASSIFIER, PREDICTOR, Workspace

ROOT = Path(__file__).resolve().parent.parent
T = "0.12"


@dataclass
class Cost:
    """What a step took."""

    seconds: float
    processor: float
    """s, of all its processes."""
    memory: float
    """MB at the peak."""
    own: float
    """MB at the peak, without mapped files."""
    said: str
    """Its last lines but one."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--glasses", type=int, default=1)
    parser.add_argument("--minima", type=int, default=4500)
    given = parser.parse_args()
    work = Workspace(given.folder)
    pairs = given.glasses * given.minima * (given.minima - 1) // 2
    make_workspace(work, given.glasses, given.minima)
    load = os.getloadavg()[0]
    print(f"{given.glasses} glasses of {given.minima} minima, N = {N_PARTICLES}: {pairs} pairs; load {load:.1f}")
    heading = ("step", "s", "CPU s", "µs a pair", "MB", "MB own", "disk MB")
    print("{:18} {:>8} {:>8} {:>9} {:>8} {:>8} {:>8}".format(*heading), flush=True)
    shutil.rmtree(work.at(T).pairs, ignore_errors=True)
    shutil.rmtree(work.root / "output_ML", ignore_errors=True)
    total = 0.0
    for step in ("step0_collect", "step1_train_dw", "step2_classify_dw", "step3_train_qs", "step4_predict_qs"):
        before = size_of(work.root)
        cost = run(step, work)
        print(
            f"{step:18} {cost.seconds:8.1f} {cost.processor:8.1f} {1e6 * cost.seconds / pairs:9.3f} "
            f"{cost.memory:8.0f} {cost.own:8.0f} {(size_of(work.root) - before) / 1e6:8.0f}  {cost.said}",
            flush=True,
        )
        total += cost.seconds if "train" not in step else 0
    print(f"steps 0, 2 and 4: {total / 60:.1f} min; load {os.getloadavg()[0]:.1f}")


def make_workspace(work: Workspace, glasses: int, minima: int) -> None:
    """Write the minima and copy the sets that the models learn from."""
    for conf in range(1, glasses + 1):
        if not work.at(T).glass(conf).exists():
            write_glass(work.at(T).glass(conf), minima, np.random.default_rng(conf))
    for task in (CLASSIFIER, PREDICTOR):
        there = Workspace(EXAMPLE).at(T).pretraining(task)
        target = work.at(T).pretraining(task)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(there, target)


def write_glass(folder: Path, minima: int, rng: np.random.Generator) -> None:
    """Minima as ``benchmarks.collect`` makes them up, within 1 ε."""
    part = folder.with_name(f"part-{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    base = rng.random((N_PARTICLES, 3)) * BOX
    energies = rng.choice(10**10 // N_PARTICLES, minima, replace=False) * 1e-10
    diameters = np.ones((N_PARTICLES, 1))
    for energy in energies:
        places = base + rng.normal(0, 0.01, base.shape)
        places[rng.choice(N_PARTICLES, 5)] += rng.normal(0, 0.2, (5, 3))
        write_binary(part / f"{energy:.10f}.conf", np.hstack([diameters, np.mod(places, BOX)]))
    part.rename(folder)


def run(step: str, work: Workspace) -> Cost:
    """Run a step and look at its processes until it ends."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, str(ROOT / f"{step}.py"), "--workspace", str(work.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak = [0.0, 0.0]
        watch = threading.Thread(target=watch_memory, args=(process, peak))
        watch.start()
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        watch.join()
    if process.returncode:
        raise SystemExit(process.returncode)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = next((line for line in lines if "under the ceilings" in line or "TLS expected" in line), "")
    return Cost(seconds, processor, peak[0] / 1e6, peak[1] / 1e6, said.partition(": /")[0])


def watch_memory(process: "subprocess.Popen[str]", peak: list[float]) -> None:
    """Raise ``peak`` to what the process and its children hold, until it ends."""
    while process.poll() is None:
        now = [0.0, 0.0]
        for pid in [process.pid, *children_of(process.pid)]:
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            held = {line.split(":")[0]: 1024.0 * int(line.split()[1]) for line in lines[1:]}
            now[0] += held["Pss"]
            now[1] += held["Pss"] - held.get("Pss_File", 0.0)
        peak[:] = map(max, peak, now)
        time.sleep(0.2)


def children_of(pid: int) -> list[int]:
    """All that the process started."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
