"""Relaxes minima that are none: an exact calculation needs ends on which no force acts.

Reads    Configurations/minima/T{T}/Cnf-{conf}/
Writes   beside them: relaxed.extxyz, the minima to which the others relax; relaxed.csv, the force at each place and
         what became of it

Each minimum is looked at with neb.calculator. One with a larger force on a particle than neb.force_tolerance is
relaxed, and no step takes it for a minimum from then on; its file stays. If it falls into a minimum that is there, no
new one is written. What stands in relaxed.csv is not looked at again; remove that file after a change of calculator.
"""

from collections import Counter
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.command import Command, run_script
from pipeline.errors import UserError
from pipeline.exact import find_calculator
from pipeline.minima import Place, places_with_energies
from pipeline.progress import progress
from pipeline.relaxed import COLUMNS, TABLE, add_frames, read_relaxed, write_relaxed
from pipeline.relaxing import Looked, given_up, look_at, sort_out
from pipeline.workers import Workers, worker_pool


def main(command: Command) -> None:
    """Look at the minima of every glass."""
    work, neb = command.workspace, command.settings.neb
    temperatures = command.temperatures(
        work.has_glasses, "no minima under Configurations/minima/T…/Cnf-…; put some there"
    )
    function = partial(look_at, settings=neb, make_calculator=find_calculator(neb.calculator, work.root))
    counts: Counter[str] = Counter()

    def relax_one(temperature: str) -> None:
        for conf, folder in work.glasses(temperature).items():
            counts.update(relax_glass(command, f"T = {temperature}: Cnf-{conf}", folder, function, workers))

    with worker_pool(command.settings.cores) as workers:
        command.for_each_temperature(temperatures, relax_one)
    changed = counts["relaxed"] + counts["fell into another"]
    print(f"{', '.join(f'{kind}: {count}' for kind, count in counts.items()) or 'nothing new to look at'}")
    print(f"next: {'step0_collect.py, which leaves out what was no minimum' if changed else 'run_neb.py'}")


def relax_glass(
    command: Command, name: str, folder: Path, function: "partial[Looked]", workers: Workers
) -> Counter[str]:
    """Look at what is new in one glass, write what was found, and say so; how many there were of each kind."""
    before = read_relaxed(folder)
    places = places_with_energies(folder)
    seen = set(zip(before["name"], before["energy"], strict=True))
    jobs = [(place, energy) for place, energy in places if (place.name, energy) not in seen]
    limit = command.settings.neb.time_limit
    with progress(total=len(jobs), desc=name, unit="minimum") as bar:
        looked = []
        for one in workers.results(function, jobs, in_order=True, time_limit=limit, lost=given_up):
            looked.append(one)
            bar.update()
    for one in looked:
        if one.problem:
            print(f"{name}: {one.place.name}: {one.problem}")
    if looked and all(one.problem for one in looked):
        raise UserError(
            f"{folder}: {looked[0].place.name}: {looked[0].problem}; nor could any other be relaxed; see neb.calculator"
        )
    return write_found(folder, name, before, places, looked)


def write_found(
    folder: Path, name: str, before: pd.DataFrame, places: list[tuple[Place, float]], looked: list[Looked]
) -> Counter[str]:
    """Write both files of a glass; how many minima there were of each kind."""
    no_minima = {one.place.name for one in looked if one.relaxed is not None or one.problem}
    are_minima = [(place, energy) for place, energy in places if place.name not in no_minima]
    found, new = sort_out(looked, are_minima)
    names = add_frames(folder, new) if new else []
    became = {
        one.looked.place.name: (
            names[one.same_as] if isinstance(one.same_as, int) else one.same_as.name,
            one.displacement,
        )
        for one in found
    }
    rows = [
        (one.place.name, one.energy, one.max_force, *became.get(one.place.name, ("", float("nan"))))
        for one in looked
        if not one.problem
    ]
    if rows:
        write_relaxed(
            folder,
            pd.concat([before, pd.DataFrame(rows, columns=COLUMNS)])
            if len(before)
            else pd.DataFrame(rows, columns=COLUMNS),
        )
        print(
            f"{name}: {len(rows)} looked at, {len(became)} were no minima: {len(new)} relaxed to new ones, "
            f"{len(became) - len(new)} fell into another: {folder / TABLE}"
        )
    problems = sum(bool(one.problem) for one in looked)
    kinds = Counter(
        {"are minima": len(rows) - len(became), "relaxed": len(new), "fell into another": len(became) - len(new)}
    )
    return kinds + Counter({"could not be relaxed": problems})


if __name__ == "__main__":
    run_script(main, __doc__)
