"""Relax configurations that are not minima of the calculator: on the ends of an exact calculation no force may act.

Reads    Configurations/minima/T{T}/Cnf-{conf}/
Writes   beside them: relaxed.extxyz, the minima to which the others relax; relaxed.csv, the force at each place and
           what became of it

Each minimum is looked at with neb.calculator. One with a larger force on a particle than neb.force_tolerance is
relaxed, and no step takes it for a minimum from then on; its file stays. If it falls into a minimum that is there, no
new one is written. What stands in relaxed.csv is not looked at again; remove that file after a change of calculator.

Example  python relax_minima.py --workspace example-run
"""

from pipeline.command import Command, check_command_line, run_script

if __name__ == "__main__":
    check_command_line(__doc__)

from collections import Counter
from functools import partial
from typing import Any

from pipeline.errors import UserError
from pipeline.formats.minima import as_written, places_with_energies, read_relaxed
from pipeline.messages import Progress, note, nothing_new, result
from pipeline.workers import Workers, worker_pool
from pipeline.workspace import RELAXED, StatePoint
from search.calculator import find_calculator
from search.relaxing import Relaxation, relax_minimum, write_relaxed


def main(command: Command) -> None:
    """Look at the minima of every glass."""
    work, settings = command.workspace, command.settings
    temperatures = command.temperatures(
        lambda at: at.has_glasses, "no minima under Configurations/minima/T…/Cnf-…; put some there"
    )
    make_calculator = find_calculator(settings.neb, work.root)
    function = partial(relax_minimum, settings=settings, make_calculator=make_calculator)
    with worker_pool(settings, calculator=True) as workers:
        found = command.for_each_temperature(
            temperatures,
            lambda at: sum((relax_glass(command, at, conf, function, workers) for conf in at.glasses), Counter[str]()),
        )
    counts = sum(found, Counter[str]())
    if counts:
        result(", ".join(f"{kind}: {count}" for kind, count in counts.items()))
    else:
        nothing_new(", ".join(temperatures), "nothing new to look at")
    changed = counts["relaxed to new ones"] + counts["fell into another"]
    if changed:
        result("step0_collect.py leaves out what was no minimum")
    command.say_next("step0_collect.py" if changed else "run_neb.py")


def relax_glass(
    command: Command, at: StatePoint, conf: int, function: "partial[Relaxation]", workers: Workers
) -> Counter[str]:
    """Look at what is new in one glass, write what was found, and say so; how many there were of each kind."""
    name, folder = f"T = {at.temperature}: Cnf-{conf}", at.glass(conf)
    known = read_relaxed(folder)
    places = places_with_energies(folder, command.settings.reading)
    seen = set(zip(known["name"], known["energy"], strict=True))
    jobs = [(place, energy) for place, energy in places if (as_written(place.name), energy) not in seen]
    how: Any = {"in_order": True, "time_limit": command.settings.neb.time_limit}
    done = workers.results(function, jobs, **how, lost=lambda job, why: Relaxation(job[0], job[1], problem=why))
    relaxations = [*Progress(done, desc=name, total=len(jobs), unit="minimum")]
    problems = [one for one in relaxations if one.problem]
    for one in problems:
        note(f"{name}: {one.place.name}: {one.problem}")
    if len(problems) == len(jobs) > 0:
        first = problems[0]
        raise UserError(f"{folder}: {first.place.name}: {first.problem}; so all others; see neb.calculator")
    changed = {one.place for one in relaxations if one.relaxed is not None or one.problem}
    minima = [(place, energy) for place, energy in places if place not in changed]
    kinds = write_relaxed(folder, relaxations, minima, command.settings.unit)
    if jobs:
        note(f"{name}: {', '.join(f'{kind}: {count}' for kind, count in kinds.items())}: {folder / RELAXED}")
    return +kinds


if __name__ == "__main__":
    run_script(main, __doc__)
