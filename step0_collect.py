"""Step 0: from energy minima to tables of pairs.

Reads    Configurations/minima/T{T}/Cnf-{conf}/, Configurations/transitions/T{T}/
Writes   Configurations/pairs/T{T}/Cnf-{conf}.feather, output_ML/T{T}/step0_rejected.csv

Minima are LAMMPS text {energy}.conf.txt, Fortran binary {energy}.conf, or any format that ASE reads (*.extxyz, *.xyz,
*.traj, …): one frame is one minimum, and its energy stands in the frame, or in the name of a LAMMPS dump,
{energy}.dump. A frame is named file#number, from 0.

Only pairs that are in no table yet are computed. A table made elsewhere is checked and used as it is.
"""

from pipeline.command import Command, check_command_line, run_script
from pipeline.workspace import StatePoint, minimum_paths

if __name__ == "__main__":
    check_command_line(__doc__)

import csv
from pathlib import Path

from pipeline.collect import Collected, GlassJob, check_other_tables, kept_table
from pipeline.errors import UserError
from pipeline.files import atomic_write
from pipeline.formats.table_record import is_ready_made

SHOWN = 5
"""Files left out that are printed."""

Rejected = tuple[int | None, str, str]
"""Glass, file or folder, and the reason why it was left out."""


def main(command: Command) -> None:
    """Collect the pairs of every glass at every temperature."""
    temperatures = command.temperatures(
        lambda at: at.has_glasses or bool(at.pair_tables),
        "no minima under Configurations/minima/T…/Cnf-…, no pair table under Configurations/pairs/T…; put either there",
    )
    collected: list[Collected] = []
    rejected: list[Rejected] = []

    def collect_one(at: StatePoint) -> None:
        ready_made = [table for table in at.pair_tables if is_ready_made(table)]
        made, left_out = collect_minima(command, at, ready_made)
        made += check_other_tables(at, command.settings, ready_made)
        write_rejected(at.rejected, left_out)
        if not made and not left_out:
            raise UserError(f"{at.minima}: no glass in it; put folders Cnf-{{number}} there")
        if not sum(one.pairs for one in made):
            reason = f"see {at.rejected}" if left_out else "give more minima or raise pairs.max_delta_E"
            raise UserError(f"{at.minima}: no pair could be made; {reason}")
        collected.extend(made)
        rejected.extend(left_out)

    command.for_each_temperature(temperatures, collect_one)
    pairs, computed = (sum(getattr(one, name) for one in collected) for name in ("pairs", "computed"))
    print(
        f"{pairs} pairs, {computed or 'nothing new'} computed, {len(rejected)} files rejected; next: step1_train_dw.py"
    )


def collect_minima(command: Command, at: StatePoint, ready_made: list[Path]) -> tuple[list[Collected], list[Rejected]]:
    """Bring the tables of all glasses with minima up to date; also what was left out."""
    jobs: dict[int, GlassJob] = {}
    found: dict[int, Collected] = {}
    left_out: dict[int, dict[str, str]] = {}
    glasses = at.glasses
    for conf, folder in glasses.items():
        files, table = minimum_paths(folder), at.glass_pairs(conf)
        name = f"T = {at.temperature}: Cnf-{conf}"
        if not files:
            left_out[conf] = {f"Cnf-{conf}": "nothing in it"}
        elif table in ready_made:
            print(f"{name}: the ready-made table is used, its minima are not read")
        else:
            job = GlassJob(table, files, at.transitions(conf), name)
            kept = kept_table(job, command.settings)
            if kept is None:
                jobs[conf] = job
            else:
                found[conf] = kept
    if jobs:
        from pipeline.glass_pairs import update_tables
        from pipeline.workers.pool import worker_pool

        with worker_pool(command.settings) as workers:
            found |= zip(jobs, update_tables(list(jobs.values()), command.settings, workers), strict=True)
    left_out |= {conf: one.rejected for conf, one in found.items()}
    rejected: list[Rejected] = [(conf, *one) for conf in glasses for one in left_out.get(conf, {}).items()]
    for folder in at.misnamed_glasses:
        rejected.append((None, folder.name, "not a folder named Cnf-{number}, or not readable"))
    return list(found.values()), rejected


def write_rejected(path: Path, rejected: list[Rejected]) -> None:
    """Write the list of files that were left out."""
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file, lineterminator="\n").writerows([("conf", "file", "reason"), *rejected])
    for conf, name, reason in rejected[:SHOWN]:
        print(f"rejected: {name if conf is None or name == f'Cnf-{conf}' else f'Cnf-{conf}/{name}'}: {reason}")
    if rejected:
        more = f"and {len(rejected) - SHOWN} more; " if len(rejected) > SHOWN else ""
        print(f"{more}rejected files and reasons: {path}")


if __name__ == "__main__":
    run_script(main, __doc__)
