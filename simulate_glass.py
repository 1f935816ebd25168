"""Minima of a glass, for those who have none: of structures with neb.calculator, or of a model.

Writes   Configurations/minima/T{T}/Cnf-{conf}/, Configurations/transitions/T{T}/Cnf-{conf}.csv
         --from-tls: Cnf-{conf}/from-{energy}.extxyz and Cnf-{conf}.from-{energy}.csv there

With --start, Langevin dynamics from each structure, perhaps molten and cooled before, is quenched at intervals to
neb.force_tolerance; with --from-tls from both minima of TLS, pairs at the top of the list, or other double wells: what
is found lies near what was found. The next run goes on where one was stopped, or if more quenches are asked for.
Without, polydisperse soft spheres at one temperature, for which -T is needed: swap Monte Carlo brings a liquid into
equilibrium at T, molecular dynamics at a lower temperature goes from minimum to minimum. A glass that is there is not
made again.

Example  python simulate_glass.py -T 0.12 --glasses 2 --workspace example-run
"""

import argparse

from pipeline.arguments import above_zero, existing_file, whole_number
from pipeline.command import Command, check_command_line, run_script

SMALLEST = 67  # number of particles below which the box is narrower than twice the cutoff: (2 · 1.25 · 1.62)³ = 66.4
HOTTEST = 1.0  # largest temperature of the dynamics in ε; above it the time step is too long


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    steps = whole_number(1, 10**9)
    for name, kind, default, meaning in (
        ("n-particles", whole_number(SMALLEST, 10**6), 300, "particles of a glass"),
        ("glasses", whole_number(1, 10**6), 4, "glasses, numbered from 1"),
        ("sweeps", steps, 100_000, "Monte Carlo sweeps at T, of N moves each"),
        ("quenches", steps, None, "quenches of a glass, 1000, or from each minimum of --from-tls, 20"),
        ("interval", steps, 500, "time steps between quenches: 0.005, or a thirtieth of the fastest vibration"),
        ("seed", whole_number(0), 20, "the same seed gives the same files"),
        ("sampling-temperature", above_zero(HOTTEST), 0.06, "temperature of the dynamics of that model, ε"),
    ):
        said = meaning + f" (default: {default})" * (default is not None)
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="T" if "temp" in name else "N", help=said)
    start = parser.add_argument_group("any material, by neb.calculator")
    source = start.add_mutually_exclusive_group()
    source.add_argument(
        "--start", type=existing_file, action="append", metavar="FILE", help="a structure, for each glass"
    )
    said = "the minima of the N best pairs: TLS, then the top of the list, then double wells"
    source.add_argument("--from-tls", type=whole_number(1), metavar="N", help=said)
    kelvin = "k_B T in ε, with units: metal T in K"
    start.add_argument("--dynamics", type=above_zero(), metavar="T", help=f"temperature of the dynamics, {kelvin}")
    start.add_argument("--melt", type=above_zero(), metavar="T", help="melt it at T first, for a third of --cool")
    said = "then cool it (%(default)s)"
    start.add_argument("--cool", type=steps, default=10_000, metavar="STEPS", help=said)


if __name__ == "__main__":
    check_command_line(__doc__, options)

import shutil
from functools import partial

import numpy as np
from ase import Atoms
from ase.units import kB

from glass.sampling.soft_sphere_glass import FRAMES, equilibrate, random_start, sample
from glass.sampling.trajectories import Minima
from pipeline.errors import UserError
from pipeline.formats.configurations import MinimumError
from pipeline.formats.lammps import write_minimum
from pipeline.formats.minima import read_atoms
from pipeline.messages import Progress, counted, detail, note, nothing_new, record, result
from pipeline.transitions import write_transitions
from pipeline.units import REDUCED
from pipeline.workers import worker_pool
from pipeline.workers.local import count_steps
from pipeline.workspace import StatePoint
from search import trajectory
from search.calculator import find_calculator


def main(command: Command) -> None:
    """Make the glasses that are not there yet, or go on with the trajectories of --start or --from-tls."""
    given = command.options
    given.quenches = given.quenches or (20 if given.from_tls else 1000)
    if given.start or given.from_tls:
        sample_structures(command)
    else:
        make_glasses(command)
    command.say_next("step0_collect.py")


def sample_structures(command: Command) -> None:
    """Go on with each trajectory until it has all its quenches; say how far each has come."""
    given, settings = command.options, command.settings
    if given.dynamics is None or len(command.asked) > 1:
        raise UserError("simulate_glass.py: --start and --from-tls take --dynamics T, and one -T at most")
    if given.from_tls and (given.melt or not command.asked):
        raise UserError("simulate_glass.py: --from-tls takes -T, whose glasses go on, and no --melt")
    at = command.workspace.at(command.asked[0] if command.asked else f"{given.dynamics:g}")
    k = kB if settings.unit != REDUCED else 1.0
    temperature, melt = k * given.dynamics, None if given.melt is None else k * given.melt
    cool, how = given.cool, (given.seed, settings, find_calculator(settings.neb, command.workspace.root))
    starts = (
        best_minima(at, settings.tls_threshold, given.from_tls)
        if given.from_tls
        else [(conf, "", trajectory.read_start(path)) for conf, path in enumerate(given.start, 1)]
    )
    jobs = [
        trajectory.Job(at, *start, temperature, given.interval, given.quenches, melt, cool, *how) for start in starts
    ]
    jobs = [job for job in jobs if not job.is_done()]
    ended: list[trajectory.Progress] = []
    with command.only_writer(at.temperature), worker_pool(settings, len(jobs), calculator=True) as workers:
        while jobs:
            going = list(workers.results(trajectory.advance, jobs, in_order=True))
            for one in going:
                note(f"T = {at.temperature}: {one.job.name}: {one.in_words}")
            ended += [one for one in going if one.quenches >= given.quenches]
            jobs = [one.job for one in going if one.quenches < given.quenches]
    for one in ended:
        if one.odd:
            note(f"T = {at.temperature}: {one.job.name}: note: {one.odd}")
    minima = sum(one.minima for one in ended)
    record(at.temperature, minima=minima)
    if ended:
        result(f"{counted(minima, 'minimum')}: {at.minima}")
    else:
        nothing_new(at.temperature, f"no new quenches: each trajectory has {given.quenches}")


def best_minima(at: StatePoint, threshold: float, count: int) -> list[tuple[int, str, Atoms]]:
    """The minima of the best pairs known: glass, name and structure of each."""
    from pipeline.formats.keys import label
    from search.exact import jobs_of
    from search.picks import best_known

    pairs, missing = jobs_of(at, best_known(at, threshold, count))
    for line in missing:
        note(f"T = {at.temperature}: passed over: {line}")
    if not pairs:
        said = "holds the minima of no TLS, pair of a list or double well"
        raise UserError(f"{at.minima}: {said}; run step4_predict_qs.py, or run_neb.py --explore 100")
    ends = [(job.pair.conf, end) for job in pairs for end in zip(job.pair[1:], job.places, strict=True)]
    minima = {(conf, label(name, at.decimals)): place for conf, (name, place) in ends}
    try:
        return [(*which, read_atoms(place)) for which, place in minima.items()]
    except MinimumError as error:
        raise UserError(f"{at.minima}: {error}; run step0_collect.py") from None


def make_glasses(command: Command) -> None:
    """Make glasses of soft spheres over all cores and print the lines of each, in their order."""
    given = command.options
    if command.settings.unit != REDUCED:
        said = f"makes soft spheres, but config.yaml says units: {command.settings.units}"
        raise UserError(f"simulate_glass.py: {said}; take another workspace, with units: reduced")
    if len(command.asked) != 1:
        raise UserError("simulate_glass.py: name one temperature with -T")
    try:
        above_zero()(command.asked[0])
    except argparse.ArgumentTypeError as error:
        raise UserError(f"-T {error}") from None
    if given.sweeps % FRAMES:
        rounded = -(-given.sweeps // FRAMES) * FRAMES
        note(f"--sweeps {given.sweeps}: {rounded} are made, a multiple of {FRAMES}")
        given.sweeps = rounded
    at = command.workspace.at(command.asked[0])
    with command.only_writer(at.temperature):
        seeds = dict(enumerate(np.random.SeedSequence(given.seed).spawn(given.glasses), 1))
        for conf in [conf for conf in seeds if at.glass(conf).exists()]:
            detail(f"T = {at.temperature}: Cnf-{conf}: is there, not made again: {at.glass(conf)}")
            del seeds[conf]
        record(at.temperature, glasses=list(seeds))
        if not seeds:
            nothing_new(at.temperature, "no new glasses made")
            return
        how = f"{given.sampling_temperature:g} ε, {given.interval} time steps apart"
        how = f"{given.n_particles} particles: {given.sweeps} sweeps, then {given.quenches} quenches at {how}"
        note(f"T = {at.temperature}: {counted(len(seeds), 'glass')} of {how}")
        steps = len(seeds) * (given.sweeps + given.quenches * given.interval)
        bar = Progress(desc="sweeps and time steps", total=steps, unit="step")
        with bar, worker_pool(command.settings, len(seeds)) as workers:

            def show() -> None:
                bar.update(workers.steps - bar.n)

            make = partial(make_glass, at=at, given=given)
            for said in workers.results(make, list(seeds.items()), in_order=True, while_waiting=show):
                show()
                bar.write(said)
    result(f"{counted(len(seeds), 'glass')} made")


def make_glass(job: tuple[int, np.random.SeedSequence], at: StatePoint, given: argparse.Namespace) -> str:
    """Make one glass and write it, whose folder appears last and complete; the lines to print of it."""
    conf, rng = job[0], np.random.default_rng(job[1])
    positions, box, sizes = random_start(given.n_particles, rng)
    liquid = equilibrate(positions, box, sizes, float(at.temperature), given.sweeps, rng, count_steps)
    minima = Minima(box)
    for found in sample(positions, box, sizes, given.sampling_temperature, given.quenches, given.interval, rng):
        minima.add(found)
        count_steps(given.interval)
    part, folder = at.unfinished_glass(conf), at.glass(conf)
    shutil.rmtree(part, ignore_errors=True)  # of a run that was ended
    for energy, places in minima.positions.items():
        write_minimum(part / f"{energy}.conf", sizes, np.mod(places, box), box)
    write_transitions(at.transitions(conf), minima.transitions)
    part.rename(folder)
    energies = " and ".join(f"{e:.5f} ± {s:.5f}" for e, s in zip(liquid.energies, liquid.errors, strict=True))
    quarter = liquid.sweeps // 4
    times = " and ".join(f"{t:.3g}" if np.isfinite(t) else f"more than {quarter}" for t in liquid.times)
    transitions = counted(sum(minima.transitions.values()), "transition")
    left_out = {
        "that did not reach a minimum": minima.unrelaxed,
        "at a minimum whose energy another has to ten decimals": minima.alike,
    }
    verdict = "equilibrated" if liquid.equilibrated else "NOT equilibrated: run longer (--sweeps)"
    lines = [
        f"{verdict}; in the third and fourth quarter of {liquid.sweeps} sweeps: energy per particle {energies} ε, "
        f"relaxation time {times} sweeps",
        f"{counted(len(minima.positions), 'minimum')}, {transitions}: {folder}",
        *(f"left out: {number} quenches {reason}" for reason, number in left_out.items() if number),
    ]
    return "\n".join(f"T = {at.temperature}: Cnf-{conf}: {line}" for line in lines)


if __name__ == "__main__":
    run_script(main, __doc__, options, make_workspace=True)
