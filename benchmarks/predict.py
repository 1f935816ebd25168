"""Steps 2 and 4 on tables of several sizes: time a pair and memory.

python -m benchmarks.predict [--sizes 500000 3000000 10000000]

The models learn from 10000 made-up pairs. Times a pair are those of the largest table less those of the smallest, so
that the start is not in them. CPU time is that of all processes; where others use the machine it says more.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.scale import Cost, run
from example.make import write_neb_results
from MLmodel.card import find_card
from MLmodel.model import Model
from MLmodel.smooth import Smooth
from pipeline.stamps import made_from, mark_made
from pipeline.units import REDUCED
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, Task, Workspace

T = "0.1"
STEPS = {"step2_classify_dw": CLASSIFIER, "step4_predict_qs": PREDICTOR}
COMPARED = 100_000
"""Pairs that each model alone predicts."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[500_000, 3_000_000])
    sizes = parser.parse_args().sizes
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(Path(folder))
        (work.root / "config.yaml").write_text("classify: {max_delta_E: .inf, max_distance: .inf}\n")
        print(f"training both models on 10000 made-up pairs; load {os.getloadavg()[0]:.1f}", flush=True)
        in_own_process(put_table, work, 10_000)
        in_own_process(write_results, work)
        for step in ("step1_train_dw", "step3_train_qs"):
            run(step, work)
        for task in STEPS.values():
            in_own_process(compare, work, task)
        costs: dict[tuple[str, int], Cost] = {}
        for size in sizes:
            in_own_process(put_table, work, size)
            for step in STEPS:
                costs[step, size] = cost = run(step, work)
                print(
                    f"{step}, {size} pairs: {cost.seconds:.1f} s, CPU {cost.processor:.1f} s, {cost.memory:.0f} MB at "
                    f"most, {cost.own:.0f} MB without mapped files",
                    flush=True,
                )
        for step in STEPS:
            small, large = costs[step, sizes[0]], costs[step, sizes[-1]]
            wall, cpu = (
                (getattr(large, name) - getattr(small, name)) / (sizes[-1] - sizes[0]) * 1e6
                for name in ("seconds", "processor")
            )
            print(f"{step}: {wall:.2f} µs a pair, CPU {cpu:.2f} µs; load {os.getloadavg()[0]:.1f}")


def in_own_process(target: Callable[..., None], *arguments: object) -> None:
    """Keep this process small, from which the steps are started."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
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
    work.at(T).pairs.mkdir(parents=True, exist_ok=True)
    table.to_feather(work.at(T).pairs / "made-up.feather")
    mark_made([work.at(T).pairs / "made-up.feather"], made_from([], units="reduced"))


def write_results(work: Workspace) -> None:
    """NEB results by a rule; four of five pairs are double wells."""
    table = pd.read_feather(work.at(T).pairs / "made-up.feather")
    table[QS] = np.hypot(0.2 * table["Delta_E"], 0.02 * np.exp(-4 * table["total_displacement"]))
    table[DW] = (table["PR"] < 6).astype(int)
    write_neb_results(work.at(T), table)


def compare(work: Workspace, task: Task) -> None:
    """CPU time a pair of a model, and of its smooth model if there is one."""
    at = work.at(T)
    card = find_card(at, task, REDUCED)
    model, smooth = Model(at, card), at.model(task) / "smooth.npz"
    rng = np.random.default_rng(0)
    table = pd.read_feather(work.at(T).pairs / "made-up.feather").iloc[rng.integers(0, 10_000, COMPARED)]
    features = table[card.features].astype(np.float64)
    ways: dict[str, Callable[[pd.DataFrame], Any]] = {"all": model.predict}
    if smooth.exists():
        ways["of that the smooth model"] = Smooth.load(smooth).predict
    said = []
    for name, predict in ways.items():
        times = []
        for _ in range(4):
            started = time.process_time()
            predict(features)
            times.append(time.process_time() - started)
        said.append(f"{name} {min(times) / COMPARED * 1e6:.2f} µs")
    print(f"{task.name}, CPU a pair: {', '.join(said)}", flush=True)


if __name__ == "__main__":
    main()
