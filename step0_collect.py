"""Step 0: from energy minima to tables of pairs.

Reads    Configurations/minima/T{T}/Cnf-{conf}/, Configurations/transitions/T{T}/
Writes   Configurations/pairs/T{T}/Cnf-{conf}.feather, output_ML/T{T}/minima.csv
         Configurations/transitions/T{T}/Cnf-{conf}.csv, where frames stand in time order

Minima are LAMMPS data {energy}.conf.txt, .data or .lmp, dumps, Fortran binary {energy}.conf, or any format that ASE
reads (*.extxyz, *.xyz, *.traj, …), also in folders of their own: one frame is one minimum, and its energy stands in the
frame, in energies.csv beside, or in the file's name. A frame is named file#number, from 0.

Only pairs that are in no table yet are computed. A table made elsewhere is checked and used as it is.

Example  python step0_collect.py --workspace example-run
"""

from pipeline.command import Command, check_command_line, run_script
from pipeline.workspace import StatePoint, minimum_paths

if __name__ == "__main__":
    check_command_line(__doc__)

import csv

from pipeline import stamps
from pipeline.errors import UserError
from pipeline.files import atomic_write
from pipeline.messages import counted, note, nothing_new, record, result
from pipeline.stamps import LEFT_OUT, Collected, Fate

SHOWN = 5  # files left out that are printed


def main(command: Command) -> None:
    """Collect the pairs of every glass at every temperature."""
    temperatures = command.temperatures(
        lambda at: at.has_glasses or bool(at.pair_tables),
        "no minima under Configurations/minima/T…/Cnf-…, no pair table under Configurations/pairs/T…; put either there",
    )
    numbers = command.for_each_temperature(temperatures, lambda at: collect(command, at))
    pairs, computed, left_out = (sum(one) for one in zip(*numbers, strict=True))
    counts = f"{counted(pairs, 'pair')}, {computed or 'nothing new'} computed, {left_out} left out"
    record(", ".join(temperatures), pairs=pairs, computed=computed, left_out=left_out)
    if computed or left_out:
        result(counts)
    else:
        nothing_new(", ".join(temperatures), counts)
    command.say_next("step1_train_dw.py")


def collect(command: Command, at: StatePoint) -> tuple[int, int, int]:
    """Collect the pairs of one temperature; numbers of pairs, of those computed, and of minima left out."""
    settings, glasses, to_make = command.settings, at.glasses, list[int]()
    ready_made = [table for table in at.pair_tables if stamps.is_ready_made(table)]
    found: dict[int, Collected] = {}
    for conf, folder in glasses.items():
        if not minimum_paths(folder):
            found[conf] = Collected(0, 0, {f"Cnf-{conf}": Fate(LEFT_OUT, None, "nothing in it")})
        elif at.glass_pairs(conf) in ready_made:
            note(f"T = {at.temperature}: Cnf-{conf}: the ready-made table is used, its minima are not read")
        elif stamps.up_to_date([at.glass_pairs(conf)], stamps.made_of_glass(at, conf, settings)):
            told = stamps.read_stamp(at.glass_pairs(conf))["result"]
            found[conf] = Collected(told["pairs"], 0, {name: Fate(*fate) for name, fate in told["fates"].items()})
        else:
            to_make.append(conf)
    if to_make:
        from pipeline.glass_pairs import update_tables
        from pipeline.workers import worker_pool

        with worker_pool(settings) as workers:
            found |= zip(to_make, update_tables(at, to_make, settings, workers), strict=True)
    rows: list[tuple[int | None, str, str, float | None, str]] = [
        (conf, name, *fate) for conf in glasses if conf in found for name, fate in found[conf].fates.items()
    ]
    for folder in at.misnamed_glasses:
        rows.append((None, folder.name, LEFT_OUT, None, "not a folder named Cnf-{number}, or not readable"))
    made = [*found.values(), *stamps.check_other_tables(at, settings, ready_made)]
    left_out = [row for row in rows if row[2] == LEFT_OUT]
    with atomic_write(at.seen_minima) as part, part.open("w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file, lineterminator="\n").writerows([("conf", "file", "status", "minimum", "reason"), *rows])
    for glass, name, *_, reason in left_out[:SHOWN]:
        note(f"left out: {name if glass is None or name == f'Cnf-{glass}' else f'Cnf-{glass}/{name}'}: {reason}")
    if left_out:
        more = f"and {len(left_out) - SHOWN} more; " if len(left_out) > SHOWN else ""
        note(f"{more}what became of each file and frame: {at.seen_minima}")
    if not made and not rows:
        raise UserError(f"{at.minima}: no glass in it; put folders Cnf-{{number}} there")
    pairs, computed = (sum(getattr(one, name) for one in made) for name in ("pairs", "computed"))
    if not pairs:
        reason = f"see {at.seen_minima}" if left_out else "give more minima or raise pairs.max_delta_E"
        raise UserError(f"{at.minima}: no pair could be made; {reason}")
    return pairs, computed, len(left_out)


if __name__ == "__main__":
    run_script(main, __doc__)
