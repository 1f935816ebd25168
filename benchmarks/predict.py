"""Steps 2 and 4: pairs per second and memory on tables of two sizes, beside one AutoGluon call on the whole table.

Run with: python -m benchmarks.predict
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import multiprocess
import numpy as np
import pandas as pd

from MLmodel.card import find_card
from MLmodel.model import Model
from pipeline.neb_files import write_neb_results
from pipeline.task import CLASSIFIER, DW, QS
from pipeline.units import REDUCED
from pipeline.workspace import Workspace

ROOT = Path(__file__).resolve().parent.parent
SIZES = (500_000, 3_000_000)
T = "0.1"


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(Path(folder))
        (work.root / "config.yaml").write_text("classify: {max_delta_E: .inf, max_distance: .inf}\n")
        print("training both models on 10000 made-up pairs", flush=True)
        in_own_process(put_table, work, 10_000)
        in_own_process(write_results, work)
        for step in ("step1_train_dw", "step3_train_qs"):
            run(step, work)
        taken: dict[str, list[float]] = {"step2_classify_dw": [], "step4_predict_qs": []}
        for size in SIZES:
            in_own_process(put_table, work, size)
            for step, seconds in taken.items():
                spent, memory = run(step, work)
                seconds.append(spent)
                print(f"{step}: {size} pairs in {spent:.1f} s with start-up, {memory:.0f} MB at most", flush=True)
        for step, (small, large) in taken.items():
            print(f"{step}: {(SIZES[1] - SIZES[0]) / (large - small):.0f} pairs/s (from the difference)")
        whole_table(work)


def in_own_process(target: Callable[..., None], *arguments: object) -> None:
    """Keep this process small: the memory that a step reports is at least that of the process it was started from."""
    process = multiprocess.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    process.join()


def put_table(work: Workspace, size: int) -> None:
    """A ready-made table of made-up pairs."""
    rng = np.random.default_rng(size)
    top = np.sort(rng.gamma(2.0, 0.1, (size, 3)))[:, ::-1]
    table = pd.DataFrame({"conf": rng.integers(1, 50, size), "i": np.arange(size), "j": np.arange(size) + 0.5})
    table["Delta_E"] = rng.gamma(0.5, 0.05, size)
    table[[f"displacement_{k}" for k in range(3)]] = top
    table["0to1"], table["0to2"] = rng.gamma(8.0, 0.15, (2, size))
    table["total_displacement"] = 1.3 * np.sqrt((top**2).sum(axis=1))
    table["PR"] = 1 + rng.gamma(2.0, 1.5, size)
    work.pairs(T).mkdir(parents=True, exist_ok=True)
    table.to_feather(work.pairs(T) / "made-up.feather")


def write_results(work: Workspace) -> None:
    """NEB results by a rule; four of five pairs are double wells."""
    table = pd.read_feather(work.pairs(T) / "made-up.feather")
    table[QS] = np.hypot(0.2 * table["Delta_E"], 0.02 * np.exp(-4 * table["total_displacement"]))
    table[DW] = (table["PR"] < 6).astype(int)
    write_neb_results(work, T, table)


def run(step: str, work: Workspace) -> tuple[float, float]:
    """Wall time in s of a step in a process of its own, and the most memory in MB it held."""
    command = [sys.executable, str(ROOT / f"{step}.py"), "--workspace", str(work.root)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{step} failed")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def whole_table(work: Workspace) -> None:
    """What one would write without batches: read everything, predict everything."""
    model = Model(work, find_card(work, CLASSIFIER, T, REDUCED))
    started = time.perf_counter()
    table = pd.read_feather(work.pairs(T) / "made-up.feather")
    probability = model.predict(table)
    table[probability > 0.5].to_csv(work.root / "whole.csv", index=False)
    spent = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"for comparison, classifying the whole table at once: {len(table) / spent:.0f} pairs/s, {memory:.0f} MB")


if __name__ == "__main__":
    main()
