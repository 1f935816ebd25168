"""How the pipeline grows: steps 0, 2 and 4 as command lines on made-up minima and tables; sorting into rearrangements.

python -m benchmarks.scale DIR [--glasses 1] [--minima 4500]      steps 0 to 4: time, processor, memory and disk of each
python -m benchmarks.scale --sizes 500000 3000000 [--before CHECKOUT]   steps 2 and 4 on ready-made tables of so many
                                                                  pairs, and by another checkout in the same run
python -m benchmarks.scale --sizes 10000 1000000 --sort cold|hot  sorting so many pairs of --minima, of 300 particles

A glass of 4500 minima with 1500 particles has 10⁷ pairs, ten of them 10⁸; all are below pairs.max_delta_E. Their
particles lie as in ``benchmarks.collect``; a fifth of the pairs are under step 2's ceilings, as it prints. The models
learn from the pretraining sets of the example. DIR must be new or made by this benchmark: glasses in it are not made
again, the steps' results are. On tables, times a pair (step 4: a double well) are those of the largest less those of
the smallest, so that the start is not in them; the models learn from 10000 made-up pairs.

Memory is what a step's processes hold together, a page that several share counted once: all of it, and without mapped
files, which are given back when memory is short. Looked at five times a second.

The minima of a cold glass differ by 13 motions of eight particles, beside small ones of all; its pairs by one to three
of these. In each minimum of a hot glass five particles of its own have moved, so that nearly each pair is a
rearrangement of its own. Both are sorted, then a hundredth of the pairs as new beside the others.
"""

import argparse
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import psutil

from benchmarks.collect import N_PARTICLES, made_up_minima, write_binary
from example.make import EXAMPLE, ROOT, write_neb_results
from glass.arrays import Array, Index
from glass.overlap import Displacements, find_rearrangements
from MLmodel.card import find_card
from MLmodel.model import Model
from pipeline.formats.pair_tables import stored_pairs
from pipeline.settings import Settings
from pipeline.stamps import made_from, mark_made
from pipeline.units import REDUCED
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, Task, Workspace

T = "0.12"
STEPS = {"step2_classify_dw": CLASSIFIER, "step4_predict_qs": PREDICTOR}
COMPARED = 100_000  # pairs that each model alone predicts

SORTED, SIDE, MOTIONS = 300, np.full(3, 6.7), 13  # particles, box and motions of the glasses whose pairs are sorted


class Cost(NamedTuple):
    """What a command took."""

    seconds: float
    processor: float  # s, of all its processes
    memory: float  # MB at the peak
    own: float  # MB at the peak, without mapped files
    said: str  # what it printed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR")
    parser.add_argument("--glasses", type=int, default=1)
    parser.add_argument("--minima", type=int)
    parser.add_argument("--sizes", type=int, nargs="+", metavar="PAIRS")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT")
    parser.add_argument("--sort", choices=["cold", "hot"])
    given = parser.parse_args()
    if given.sort:
        sort(given.sort, given.minima or 10_000, given.sizes or [10_000, 100_000, 1_000_000])
    elif given.sizes:
        predict_tables(given.sizes, [ROOT, *([given.before.resolve()] if given.before else [])])
    elif given.folder:
        whole_steps(Workspace(given.folder), given.glasses, given.minima or 4500)
    else:
        parser.error("name a DIR, or --sizes")


def whole_steps(work: Workspace, glasses: int, minima: int) -> None:
    """Steps 0 to 4 on glasses."""
    pairs = glasses * minima * (minima - 1) // 2
    make_workspace(work, glasses, minima)
    print(f"{glasses} glasses of {minima} minima, N = {N_PARTICLES}: {pairs} pairs; load {os.getloadavg()[0]:.1f}")
    print("step                      s    CPU s µs a pair       MB   MB own  disk MB", flush=True)
    shutil.rmtree(work.at(T).pairs, ignore_errors=True)
    shutil.rmtree(work.root / "output_ML", ignore_errors=True)
    total = 0.0
    for step in ("step0_collect", "step1_train_dw", "step2_classify_dw", "step3_train_qs", "step4_predict_qs"):
        before = size_of(work.root)
        cost = run(ROOT / f"{step}.py", "--workspace", work.root)
        lines = (line.partition(": /")[0] for line in cost.said.splitlines())
        said = next((line for line in lines if "under the ceilings" in line or "TLS expected" in line), "")
        print(
            f"{step:18} {cost.seconds:8.1f} {cost.processor:8.1f} {1e6 * cost.seconds / pairs:9.3f} "
            f"{cost.memory:8.0f} {cost.own:8.0f} {(size_of(work.root) - before) / 1e6:8.0f}  {said}",
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
        target = work.at(T).pretraining(task)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Workspace(EXAMPLE).at(T).pretraining(task), target)


def write_glass(folder: Path, minima: int, rng: np.random.Generator) -> None:
    """Minima as ``benchmarks.collect`` makes them up, within 1 ε."""
    part = folder.with_name(f"part-{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    energies = rng.choice(10**10 // N_PARTICLES, minima, replace=False) * 1e-10
    diameters = np.ones((N_PARTICLES, 1))
    for energy, places in zip(energies, made_up_minima(rng, minima), strict=True):
        write_binary(part / f"{energy:.10f}.conf", np.hstack([diameters, places.T]))
    part.rename(folder)


def run(*command: object) -> Cost:
    """Run a script of Python and look at its processes until it ends."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.PIPE, text=True) as process:
        peak = [0.0, 0.0]
        watch = threading.Thread(target=watch_memory, args=(process, peak))
        watch.start()
        said, _ = process.communicate()
        seconds = time.perf_counter() - started
        watch.join()
    if process.returncode:
        raise SystemExit(process.returncode)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(seconds, processor, peak[0] / 1e6, peak[1] / 1e6, said)


def watch_memory(process: "subprocess.Popen[str]", peak: list[float]) -> None:
    """Raise ``peak`` to what the process and its children hold, until it ends."""
    while process.poll() is None:
        now = [0.0, 0.0]
        with suppress(psutil.NoSuchProcess, OSError):
            every = psutil.Process(process.pid)
            for one in [every, *every.children(recursive=True)]:
                lines = Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines()
                held = {line.split(":")[0]: 1024.0 * int(line.split()[1]) for line in lines[1:]}
                now[0] += held["Pss"]
                now[1] += held["Pss"] - held.get("Pss_File", 0.0)
        peak[:] = map(max, peak, now)
        time.sleep(0.2)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def predict_tables(sizes: list[int], checkouts: list[Path]) -> None:
    """Steps 2 and 4 on tables of several sizes, by turns in several checkouts."""
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(Path(folder))
        (work.root / "config.yaml").write_text("classify: {max_delta_E: .inf, max_distance: .inf}\n")
        print(f"training both models on 10000 made-up pairs; load {os.getloadavg()[0]:.1f}", flush=True)
        in_own_process(put_table, work, 10_000)
        in_own_process(write_results, work)
        for step in ("step1_train_dw", "step3_train_qs"):
            run(ROOT / f"{step}.py", "--workspace", work.root)
        for task in STEPS.values():
            in_own_process(compare, work, task)
        costs: dict[Path, tuple[int, Cost]] = {}
        for size in sizes:
            in_own_process(put_table, work, size)
            for script in [root / f"{step}.py" for root in checkouts for step in STEPS]:
                if STEPS[script.stem] == CLASSIFIER:
                    shutil.rmtree(work.root / "output_ML", ignore_errors=True)
                cost = run(script, "--workspace", work.root)
                number = size if STEPS[script.stem] == CLASSIFIER else stored_pairs(work.at(T).classified_features)
                print(
                    f"{script}, {number} pairs: {cost.seconds:.1f} s, CPU {cost.processor:.1f} s, {cost.memory:.0f} MB "
                    f"at most, {cost.own:.0f} MB without mapped files",
                    flush=True,
                )
                fewer, small = costs.setdefault(script, (number, cost))
                if number > fewer:
                    wall, cpu = (
                        1e6 * (getattr(cost, name) - getattr(small, name)) / (number - fewer)
                        for name in ("seconds", "processor")
                    )
                    print(f"  beyond the start: {wall:.2f} µs a pair, CPU {cpu:.2f}; load {os.getloadavg()[0]:.1f}")


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
    """CPU time a pair of a model alone."""
    at = work.at(T)
    card = find_card(at, task, REDUCED)
    model, rng, times = Model(at, card), np.random.default_rng(0), []
    table = pd.read_feather(at.pairs / "made-up.feather").iloc[rng.integers(0, 10_000, COMPARED)]
    features = table[card.features].astype(np.float64)
    for _ in range(4):
        started = time.process_time()
        model.predict(features)
        times.append(time.process_time() - started)
    print(f"{task.name} alone, CPU a pair: {min(times) / COMPARED * 1e6:.2f} µs", flush=True)


def sort(kind: str, minima: int, sizes: list[int]) -> None:
    """Sort pairs into rearrangements."""
    rng, overlap = np.random.default_rng(0), Settings().rearrangements.overlap
    positions, switched = made_up(kind, minima, rng)
    find_rearrangements(Displacements(positions, SIDE, *some_pairs(switched, 100, rng)), overlap)  # compiles
    print(f"{'pairs':>8} {'rearrangements':>14} {'CPU s':>8} {'a hundredth new':>15} {'MB':>6}")
    for number in sizes:
        before = time.process_time()
        pairs = Displacements(positions, SIDE, *some_pairs(switched, number, rng))
        labels = find_rearrangements(pairs, overlap)
        seconds, before = time.process_time() - before, time.process_time()
        again = find_rearrangements(pairs, overlap, np.where(np.arange(len(labels)) % 100, labels, -1))
        later, memory = time.process_time() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        assert again.max() <= labels.max()
        print(f"{len(labels):8} {labels.max() + 1:14} {seconds:8.1f} {later:15.1f} {memory:6.0f}", flush=True)


def made_up(kind: str, minima: int, rng: np.random.Generator) -> tuple[list[Array], Index]:
    """Positions of each minimum, and which motions have happened in it, in binary: none where each has its own."""
    base, motions = rng.random((SORTED, 3)) * SIDE, np.zeros((MOTIONS, SORTED, 3))
    for motion in motions:
        motion[rng.choice(SORTED, 8, replace=False)] = rng.normal(0, 0.08, (8, 3))
    switched = rng.integers(0, 2**MOTIONS if kind == "cold" else 1, minima)
    positions = []
    for state in switched:
        step = rng.normal(0, 0.002, (SORTED, 3)) + np.tensordot(state >> np.arange(MOTIONS) & 1, motions, 1)
        if kind == "hot":
            step[rng.choice(SORTED, 5, replace=False)] += rng.normal(0, 0.2, (5, 3))
        positions.append(np.mod(base + step, SIDE))
    return positions, switched


def some_pairs(switched: Index, number: int, rng: np.random.Generator) -> tuple[Index, Index]:
    """Pairs of minima drawn at random, each once; of a cold glass those that differ by one to three motions."""
    minima, found = len(switched), np.empty(0, np.int64)
    motions = (np.arange(2**MOTIONS)[:, None] >> np.arange(MOTIONS) & 1).sum(axis=1)
    while len(found) < number:
        first, second = np.sort(rng.integers(0, minima, (2, 2_000_000)), axis=0)
        differ = motions[switched[first] ^ switched[second]]
        wanted = (first < second) & ((differ > 0) & (differ <= 3) | (switched.max() == 0))
        found = np.union1d(found, first[wanted] * minima + second[wanted])
    found = rng.permutation(found)[:number]
    return found // minima, found % minima


if __name__ == "__main__":
    main()
