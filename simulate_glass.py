"""Minima of a model glass, for those who have none of their own.

Writes   Configurations/minima/T{T}/Cnf-{conf}/, Configurations/transitions/T{T}/Cnf-{conf}.csv

Polydisperse soft spheres: swap Monte Carlo brings a liquid into equilibrium at T, molecular dynamics at a lower
temperature goes from minimum to minimum. A glass that is there is not made again.
"""

import argparse

from pipeline.command import Command, check_command_line, run_script, whole_number


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    add = parser.add_argument
    number = whole_number(1, 10**9)
    add(
        "--n-particles", type=whole_number(1, 10**6), default=300, metavar="N", help="of a glass (default: %(default)s)"
    )
    add("--glasses", type=whole_number(1, 10**6), default=4, help="glasses, numbered from 1 (default: %(default)s)")
    add(
        "--sweeps", type=number, default=100_000, help="Monte Carlo sweeps at T, of N moves each (default: %(default)s)"
    )
    add(
        "--sampling-temperature",
        type=float,
        default=0.06,
        metavar="T",
        help="ε; of the dynamics (default: %(default)s)",
    )
    add("--quenches", type=number, default=1000, help="quenches of a glass (default: %(default)s)")
    add("--interval", type=number, default=500, help="time steps between quenches, 0.005 each (default: %(default)s)")
    add("--seed", type=whole_number(0), default=20, help="the same seed gives the same files (default: %(default)s)")


if __name__ == "__main__":
    check_command_line(__doc__, options)

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glass.sampling import FRAMES, LARGEST, Equilibrium, Minima, equilibrate, random_start, sample
from glass.soft_spheres import CUTOFF
from pipeline.errors import UserError
from pipeline.formats.lammps import write_minimum
from pipeline.formats.transitions import write_transitions
from pipeline.progress import progress
from pipeline.units import REDUCED
from pipeline.workers.pool import count_steps, worker_pool
from pipeline.workspace import StatePoint, Workspace

HOTTEST = 1.0
"""ε; the dynamics may not be hotter."""


@dataclass(frozen=True)
class Job:
    """One glass to make."""

    workspace: Workspace
    temperature: str
    conf: int
    seed: np.random.SeedSequence
    options: argparse.Namespace

    @property
    def steps(self) -> int:
        """Sweeps and time steps to make."""
        return int(self.options.sweeps + self.options.quenches * self.options.interval)


def main(command: Command) -> None:
    """Make the glasses that are not there yet."""
    temperature = check(command)
    with command.only_writer(temperature):
        jobs = jobs_of(command, command.workspace.at(temperature))
        if jobs:
            make_glasses(command, jobs)
    print(f"{len(jobs) or 'no new'} glasses made; next: step0_collect.py")


def jobs_of(command: Command, at: StatePoint) -> list[Job]:
    """The glasses that are not there yet."""
    work, given = command.workspace, command.options
    seeds = np.random.SeedSequence(given.seed).spawn(given.glasses)
    jobs = []
    for conf, seed in enumerate(seeds, 1):
        if at.glass(conf).exists():
            print(f"T = {at.temperature}: Cnf-{conf}: is there, not made again: {at.glass(conf)}")
        else:
            jobs.append(Job(work, at.temperature, conf, seed, given))
    return jobs


def make_glasses(command: Command, jobs: list[Job]) -> None:
    """Make glasses over all cores and say of each what it is, in their order."""
    given, steps = command.options, sum(job.steps for job in jobs)
    print(
        f"T = {jobs[0].temperature}: {len(jobs)} glasses of {given.n_particles} particles: {given.sweeps} sweeps, then "
        f"{given.quenches} quenches at {given.sampling_temperature:g} ε, {given.interval} time steps apart"
    )
    bar = progress(desc="sweeps and time steps", total=steps, unit="step")
    with bar, worker_pool(command.settings, len(jobs)) as workers:

        def show() -> None:
            bar.update(workers.steps - bar.n)

        for said in workers.results(make_glass, jobs, in_order=True, while_waiting=show):
            show()
            bar.write(said)


def check(command: Command) -> str:
    """Return the temperature asked for, written as it was given.

    Raises
    ------
    UserError
        If it is missing, or a number is impossible.
    """
    given = command.options
    if command.settings.unit != REDUCED:
        raise UserError(
            f"simulate_glass.py: makes soft spheres, which are in σ and ε, but config.yaml says units: "
            f"{command.settings.units}; take another workspace, with units: reduced"
        )
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
    smallest = int(np.ceil((2 * CUTOFF * LARGEST) ** 3))
    if given.n_particles < smallest:
        raise UserError(
            f"--n-particles {given.n_particles} is not allowed: "
            f"below {smallest} the box is narrower than twice the cutoff"
        )
    rounded = -(-given.sweeps // FRAMES) * FRAMES
    if rounded != given.sweeps:
        print(f"--sweeps {given.sweeps}: {rounded} are made, a multiple of {FRAMES}")
        given.sweeps = rounded
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
    positions, box, sizes = random_start(given.n_particles, rng)
    equilibrium = equilibrate(positions, box, sizes, float(job.temperature), given.sweeps, rng, count_steps)
    minima = Minima(box)
    for found in sample(positions, box, sizes, given.sampling_temperature, given.quenches, given.interval, rng):
        minima.add(found)
        count_steps(given.interval)
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
    quarter = state.sweeps // 4
    times = " and ".join(f"{t:.3g}" if np.isfinite(t) else f"more than {quarter}" for t in state.times)
    verdict = "equilibrated" if state.equilibrated else "NOT equilibrated: run longer (--sweeps)"
    return (
        f"{verdict}; in the third and fourth quarter of {state.sweeps} sweeps: energy per particle {energies} ε, "
        f"relaxation time {times} sweeps"
    )


def write_glass(job: Job, minima: Minima, sizes: np.ndarray[Any, Any]) -> Path:
    """Write minima and transitions; the folder appears last and complete."""
    at = job.workspace.at(job.temperature)
    part = at.unfinished_glass(job.conf)
    folder = at.glass(job.conf)
    shutil.rmtree(part, ignore_errors=True)  # of a run that was ended
    for energy, positions in minima.positions.items():
        write_minimum(job.workspace.minimum(part, energy), sizes, np.mod(positions, minima.box), minima.box)
    transitions = ((i, j, count) for (i, j), count in minima.transitions.items())
    write_transitions(at.transitions(job.conf), transitions)
    part.rename(folder)
    return folder


if __name__ == "__main__":
    run_script(main, __doc__, options, make_workspace=True)
