"""Minima of a model glass, for those who have none of their own.

Writes   Configurations/minima/T{T}/Cnf-{conf}/, Configurations/transitions/T{T}/Cnf-{conf}.csv

Polydisperse soft spheres: swap Monte Carlo brings a liquid into equilibrium at T, molecular dynamics at a lower
temperature goes from minimum to minimum. A glass that is there is not made again.
"""

import argparse
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import multiprocess
import numpy as np
from tqdm import tqdm

from glass.minimise import Minima
from glass.sampling import LARGEST, Equilibrium, equilibrate, random_start, sample
from glass.soft_spheres import CUTOFF
from pipeline.command import Command, run_script
from pipeline.errors import UserError
from pipeline.files import write_text
from pipeline.minimum_files import Minimum, write_minimum
from pipeline.workers import check_alive, worker_pool
from pipeline.workspace import Workspace

STEPS = multiprocess.Value("q", 0)
"""Sweeps and time steps made by all workers, who inherit it."""


HOTTEST = 1.0
"""ε; of the dynamics."""


@dataclass(frozen=True)
class Job:
    """One glass to make."""

    workspace: Workspace
    temperature: str
    conf: int
    seed: np.random.SeedSequence
    options: argparse.Namespace


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    add = parser.add_argument
    add("--particles", type=int, default=300, metavar="N", help="particles of a glass (default: %(default)s)")
    add("--glasses", type=int, default=4, help="glasses, numbered from 1 (default: %(default)s)")
    add(
        "--sweeps",
        type=int,
        default=100_000,
        help="Monte Carlo sweeps at T, N moves each, in thousands (default: %(default)s)",
    )
    add(
        "--sampling-temperature",
        type=float,
        default=0.06,
        metavar="T",
        help="ε; of the dynamics (default: %(default)s)",
    )
    add("--quenches", type=int, default=1000, help="quenches of a glass (default: %(default)s)")
    add("--interval", type=int, default=500, help="time steps between quenches, 0.005 each (default: %(default)s)")
    add("--seed", type=int, default=20, help="the same seed gives the same files (default: %(default)s)")


def main(command: Command) -> None:
    """Make the glasses that are not there yet."""
    temperature = check(command)
    work, given = command.workspace, command.options
    seeds = np.random.SeedSequence(given.seed).spawn(given.glasses)
    jobs = []
    for conf, seed in enumerate(seeds, 1):
        if work.glass(temperature, conf).exists():
            print(f"T = {temperature}: Cnf-{conf}: is there, not made again: {work.glass(temperature, conf)}")
        else:
            jobs.append(Job(work, temperature, conf, seed, given))
    length = given.sweeps + given.quenches * given.interval
    with (
        worker_pool(min(command.settings.cores, max(1, len(jobs)))) as pool,
        tqdm(total=len(jobs) * length, desc="steps", unit_scale=True, delay=2, disable=None, leave=False) as bar,
    ):
        workers = list(pool._pool)
        waiting = [pool.apply_async(make_glass, (job,)) for job in jobs]
        while waiting:
            waiting[0].wait(0.5)
            bar.update(STEPS.value - bar.n)
            if waiting[0].ready():
                bar.write(waiting.pop(0).get())
            else:
                check_alive(workers)
    print(f"{len(jobs) or 'no new'} glasses made; next: step0_collect.py")


def count(steps: int) -> None:
    """Count steps for the progress bar."""
    with STEPS.get_lock():
        STEPS.value += steps


def check(command: Command) -> str:
    """Return the temperature asked for, written as it was given.

    Raises
    ------
    UserError
        If it is missing, or a number is impossible.
    """
    given = command.options
    if len(command.asked) != 1:
        raise UserError("simulate_glass.py: name one temperature with -T")
    for name, value in (("-T", command.asked[0]), ("--sampling-temperature", given.sampling_temperature)):
        if not _positive(value):
            raise UserError(f"{name} {value} is not allowed: it is a number above zero")
    if given.sampling_temperature > HOTTEST:
        raise UserError(
            f"--sampling-temperature {given.sampling_temperature} is not allowed: "
            f"above {HOTTEST} the time step is too long"
        )
    for name in ("glasses", "sweeps", "quenches", "interval"):
        if getattr(given, name) < 1:
            raise UserError(f"--{name} {getattr(given, name)} is not allowed: it is a whole number above zero")
    smallest = int(np.ceil((2 * CUTOFF * LARGEST) ** 3))
    if given.particles < smallest:
        raise UserError(
            f"--particles {given.particles} is not allowed: below {smallest} the box is narrower than twice the cutoff"
        )
    if given.seed < 0:
        raise UserError(f"--seed {given.seed} is not allowed: it is a whole number, zero or more")
    return command.asked[0]


def _positive(value: Any) -> bool:
    try:
        return bool(0 < float(value) < np.inf) and re.fullmatch(r"[\d.eE-]+", str(value)) is not None
    except ValueError:
        return False


def make_glass(job: Job) -> str:
    """Make one glass and write it; what there is to say of it."""
    given = job.options
    rng = np.random.default_rng(job.seed)
    positions, box, sizes = random_start(given.particles, rng)
    equilibrium = equilibrate(positions, box, sizes, float(job.temperature), given.sweeps, rng, count)
    minima = Minima(box)
    for found in sample(positions, box, sizes, given.sampling_temperature, given.quenches, given.interval, rng):
        minima.add(found)
        count(given.interval)
    folder = write_glass(job, minima, sizes)
    name = f"T = {job.temperature}: Cnf-{job.conf}"
    left_out = (
        (minima.unrelaxed, "that did not reach a minimum"),
        (minima.alike, "at a minimum whose energy another has to ten decimals"),
    )
    return "\n".join(
        [
            f"{name}: {in_words(equilibrium)}",
            f"{name}: {len(minima.positions)} minima, {sum(minima.transitions.values())} transitions: {folder}",
            *(f"{name}: left out: {number} quenches {reason}" for number, reason in left_out if number),
        ]
    )


def in_words(state: Equilibrium) -> str:
    """Say whether a liquid was in equilibrium, and by which numbers."""
    energies = " and ".join(f"{e:.5f} ± {s:.5f}" for e, s in zip(state.energies, state.errors, strict=True))
    times = " and ".join(f"{t:.3g}" if np.isfinite(t) else "more than it is long" for t in state.times)
    verdict = "equilibrated" if state.equilibrated else "NOT equilibrated: run longer (--sweeps)"
    return (
        f"{verdict}; energy per particle {energies}, relaxation time {times} sweeps "
        f"in the third and fourth quarter of {state.sweeps} sweeps"
    )


def write_glass(job: Job, minima: Minima, sizes: np.ndarray[Any, Any]) -> Path:
    """Write minima and transitions; the folder appears last and complete."""
    work = job.workspace
    part = work.unfinished_glass(job.temperature, job.conf)
    folder = work.glass(job.temperature, job.conf)
    shutil.rmtree(part, ignore_errors=True)  # of a run that was ended
    for energy, positions in minima.positions.items():
        write_minimum(work.minimum(part, energy), Minimum(sizes, np.mod(positions, minima.box), minima.box))
    rows = (f"{i},{j},{count}\n" for (i, j), count in minima.transitions.items())
    write_text(work.transitions(job.temperature, job.conf), "i,j,count\n" + "".join(rows))
    part.rename(folder)
    return folder


if __name__ == "__main__":
    run_script(main, __doc__, options)
