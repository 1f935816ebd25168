"""Step 0: from energy minima to tables of pairs.

Reads    Configurations/minima/T{T}/Cnf-{conf}/, Configurations/transitions/T{T}/
Writes   Configurations/pairs/T{T}/Cnf-{conf}.feather, output_ML/T{T}/step0_rejected.csv

Only pairs that are in no table yet are computed. A table made elsewhere is checked and used as it is.
"""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import multiprocess
import numba
import pandas as pd
from tqdm import tqdm

from MLmodel.collect import Collected, collect, is_ready_made, read_record, read_transitions, record_of
from MLmodel.command import Command, run
from MLmodel.errors import UserError
from MLmodel.files import made_from, mark_made, up_to_date, whole
from MLmodel.minima import load_glass, minimum_files
from MLmodel.tables import check_ready_made, glasses_in, stored_pairs

Rejected = tuple[int | None, str, str]
"""Glass, file or folder, and the reason why it was left out."""


def main(command: Command) -> None:
    """Collect the pairs of every glass at every temperature."""
    work = command.workspace
    temperatures = command.temperatures(
        lambda T: work.minima(T).is_dir() or bool(work.pair_tables(T)),
        "no minima under Configurations/minima/T… and no pair table under Configurations/pairs/T…; put either there",
    )
    numba.set_num_threads(min(command.settings.cores, numba.config.NUMBA_NUM_THREADS))
    pairs = computed = rejected = 0
    # Workers leave Ctrl-C to the parent, which stops them.
    with multiprocess.Pool(command.settings.cores, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        for temperature in temperatures:
            collected, reasons = collect_temperature(command, temperature, pool)
            if not collected and not reasons:
                raise UserError(f"{work.minima(temperature)}: no glass in it; put folders Cnf-{{number}} there")
            write_rejected(work.rejected(temperature), reasons)
            pairs += sum(one.pairs for one in collected)
            computed += sum(one.computed for one in collected)
            rejected += len(reasons)
    if not pairs:
        raise UserError(f"{work.rejected(temperatures[-1])}: no pair could be made; see there why and mend the files")
    print(f"{pairs} pairs, {computed or 'nothing new'} computed, {rejected} files rejected; next: step1_train_dw.py")


def collect_temperature(command: Command, temperature: str, pool: Any) -> tuple[list[Collected], list[Rejected]]:
    """Bring all pair tables of one temperature up to date; also (conf, file, reason) for what was left out."""
    work = command.workspace
    ready_made = [table for table in work.pair_tables(temperature) if is_ready_made(table)]
    glasses = work.glasses(temperature)
    collected: list[Collected] = []
    rejected: list[Rejected] = []
    for conf, folder in glasses.items():
        if work.glass_pairs(temperature, conf) in ready_made:
            print(f"T = {temperature}: Cnf-{conf}: the ready-made table is used, its minima are not read")
            continue
        result, reasons = collect_glass(command, temperature, conf, folder, pool)
        rejected += [(conf, name, reason) for name, reason in reasons.items()]
        if result is not None:
            collected.append(result)
    for folder in work.misnamed_glasses(temperature):
        rejected.append((None, folder.name, "not named Cnf-{number}"))
    owner = {conf: work.glass_pairs(temperature, conf) for conf in glasses}
    for table in work.pair_tables(temperature):
        if table in owner.values() and table not in ready_made:
            continue
        if table in ready_made:
            check_once(table, command.settings.ij_decimals)
        collected.append(Collected(stored_pairs(table), 0))
        kind = "ready-made table" if table in ready_made else "table whose minima are gone, kept"
        print(f"T = {temperature}: {kind}: {collected[-1].pairs} pairs: {table}")
        for conf in glasses_in(table):
            if owner.setdefault(conf, table) != table:
                raise UserError(f"{table}: holds the glass {conf}, which {owner[conf]} holds too; take one of them out")
    return collected, rejected


def collect_glass(
    command: Command, temperature: str, conf: int, folder: Path, pool: Any
) -> tuple[Collected | None, dict[str, str]]:
    """Bring the pair table of one glass up to date; None where there is none, as no minimum is usable."""
    work, settings = command.workspace, command.settings
    table = work.glass_pairs(temperature, conf)
    transitions = work.transitions(temperature, conf)
    name = f"T = {temperature}: Cnf-{conf}"
    left = Collected(stored_pairs(table), 0) if table.exists() else None
    files = minimum_files(folder)
    if not files:
        return left, {folder.name: "no file {energy}.conf or {energy}.conf.txt in it"}
    record = record_of(files, transitions, settings)
    old = read_record(table) if table.exists() else None
    if old is not None and old.same_inputs(record):
        return left, old.rejected
    counts = read_transitions(transitions) if transitions.exists() else None
    read = tqdm(total=len(files), desc=f"{name}: reading", unit="file", delay=2, disable=None, leave=False)
    with read:
        glass, rejected = load_glass(files, settings.ij_decimals, lambda *job: _counted(pool.imap(*job, 8), read))
    if glass is None:
        print(f"{name}: no usable minimum" + (f"; its table is left as it was: {table}" if left else ""))
        return left, rejected
    if settings.particles > glass.n_particles:
        raise UserError(
            f"config.yaml: particles = {settings.particles} is more than the {glass.n_particles} in {folder}; lower it"
        )
    record = replace(record, rejected=rejected, n_particles=glass.n_particles, box=tuple(glass.box.tolist()))
    result = collect(glass, record, counts, table)
    print(f"{name}: {len(glass.files)} minima, {result.pairs} pairs, {result.computed} computed: {table}")
    return result, rejected


def _counted(items: Any, bar: "tqdm[Any]") -> Any:
    for item in items:
        bar.update()
        yield item


def check_once(table: Path, decimals: int) -> None:
    """Check a ready-made table unless it was checked before and not touched since."""
    record = made_from([], ij_decimals=decimals)
    if not up_to_date([table], record):
        check_ready_made(table, decimals)
        mark_made([table], record)


def write_rejected(path: Path, rejected: list[Rejected]) -> None:
    """Write the list of files that were left out."""
    with whole(path) as part:
        table = pd.DataFrame(rejected, columns=["conf", "file", "reason"])
        table.astype({"conf": "Int64"}).to_csv(part, index=False)
    for conf, name, reason in rejected[:5]:
        print(f"rejected: Cnf-{conf}/{name}: {reason}")
    if rejected:
        print(f"rejected files and reasons: {path}")


if __name__ == "__main__":
    run(main, __doc__)
