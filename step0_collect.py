"""Step 0: from energy minima to tables of pairs.

Reads    Configurations/minima/T{T}/Cnf-{conf}/, Configurations/transitions/T{T}/
Writes   Configurations/pairs/T{T}/Cnf-{conf}.feather, output_ML/T{T}/step0_rejected.csv

Only pairs that are in no table yet are computed. A table made elsewhere is checked and used as it is.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import pandas as pd
from tqdm import tqdm

from MLmodel.collect import Collected, collect, is_ready_made, read_record, read_transitions, record_of
from MLmodel.tables import check_ready_made, glasses_in, stored_pairs
from pipeline.command import Command, for_each_temperature, run_script
from pipeline.errors import UserError
from pipeline.files import atomic_write, made_from, mark_made, up_to_date
from pipeline.minima import load_glass, minimum_paths
from pipeline.settings import Settings
from pipeline.workers import worker_pool

Rejected = tuple[int | None, str, str]
"""Glass, file or folder, and the reason why it was left out."""


def main(command: Command) -> None:
    """Collect the pairs of every glass at every temperature."""
    work = command.workspace
    temperatures = command.temperatures(
        lambda T: work.has_glasses(T) or bool(work.pair_tables(T)),
        "no minima under Configurations/minima/T…/Cnf-…, no pair table under Configurations/pairs/T…; put either there",
    )
    numba.set_num_threads(min(command.settings.cores, numba.config.NUMBA_NUM_THREADS))
    collected: list[Collected] = []
    rejected: list[Rejected] = []

    def collect_one(temperature: str) -> None:
        made, left_out = collect_temperature(command, temperature, pool)
        write_rejected(work.rejected(temperature), left_out)
        if not made and not left_out:
            raise UserError(f"{work.minima(temperature)}: no glass in it; put folders Cnf-{{number}} there")
        if not sum(one.pairs for one in made):
            reason = f"see {work.rejected(temperature)}" if left_out else "give more minima or raise pairs.max_delta_E"
            raise UserError(f"{work.minima(temperature)}: no pair could be made; {reason}")
        collected.extend(made)
        rejected.extend(left_out)

    with worker_pool(command.settings.cores) as pool:
        for_each_temperature(temperatures, collect_one)
    pairs, computed = (sum(getattr(one, name) for one in collected) for name in ("pairs", "computed"))
    print(
        f"{pairs} pairs, {computed or 'nothing new'} computed, {len(rejected)} files rejected; next: step1_train_dw.py"
    )


def collect_temperature(command: Command, temperature: str, pool: Any) -> tuple[list[Collected], list[Rejected]]:
    """Bring all pair tables of one temperature up to date; also (conf, file, reason) for what was left out."""
    work = command.workspace
    ready_made = [table for table in work.pair_tables(temperature) if is_ready_made(table)]
    glasses = {conf: minimum_paths(folder) for conf, folder in work.glasses(temperature).items()}
    collected: list[Collected] = []
    rejected: list[Rejected] = []
    for conf, files in glasses.items():
        if not files:
            rejected.append((conf, f"Cnf-{conf}", "nothing in it"))
            continue
        if work.glass_pairs(temperature, conf) in ready_made:
            print(f"T = {temperature}: Cnf-{conf}: the ready-made table is used, its minima are not read")
            continue
        result, reasons = collect_glass(command, temperature, conf, files, pool)
        rejected += [(conf, name, reason) for name, reason in reasons.items()]
        if result is not None:
            collected.append(result)
    for folder in work.misnamed_glasses(temperature):
        rejected.append((None, folder.name, "not a folder named Cnf-{number}"))
    owner = {conf: work.glass_pairs(temperature, conf) for conf, files in glasses.items() if files}
    from_minima = set(owner.values()) - set(ready_made)
    for table in work.pair_tables(temperature):
        if table in from_minima:
            continue
        if table in ready_made:
            kind = "ready-made table"
            check_once(table, command.settings.ij_decimals)
        else:
            kind = "table whose minima are gone, kept"
            check_kept(table, command.settings)
        collected.append(Collected(stored_pairs(table), 0))
        print(f"T = {temperature}: {kind}: {collected[-1].pairs} pairs: {table}")
        for conf in glasses_in(table):
            if owner.setdefault(conf, table) != table:
                raise UserError(f"{table}: holds the glass {conf}, which {owner[conf]} holds too; take one of them out")
    return collected, rejected


def collect_glass(
    command: Command, temperature: str, conf: int, files: list[Path], pool: Any
) -> tuple[Collected | None, dict[str, str]]:
    """Bring the pair table of one glass up to date; None where there is none, as no minimum is usable."""
    work, settings = command.workspace, command.settings
    table = work.glass_pairs(temperature, conf)
    transitions = work.transitions(temperature, conf)
    name = f"T = {temperature}: Cnf-{conf}"
    record = record_of(files, transitions, settings)
    old = read_record(table) if table.exists() else None
    if old is not None and old.same_inputs(record):
        return Collected(stored_pairs(table), 0), old.rejected
    counts = read_transitions(transitions) if transitions.exists() else None
    read = tqdm(total=len(files), desc=f"{name}: reading", unit="file", delay=2, disable=None, leave=False)
    with read:
        glass, rejected = load_glass(files, settings.ij_decimals, lambda *job: _counted(pool.imap(*job, 8), read))
    if glass is None:
        print(f"{name}: no usable minimum" + (f"; its table is taken away: {table}" if table.exists() else ""))
        table.unlink(missing_ok=True)
        return None, rejected
    if settings.particles > glass.n_particles:
        raise UserError(
            f"config.yaml: particles = {settings.particles} is more than the {glass.n_particles} in "
            f"{files[0].parent}; lower it"
        )
    record = replace(record, rejected=rejected, n_particles=glass.n_particles, box=tuple(glass.box.tolist()))
    result = collect(glass, record, counts, table)
    above = len(glass.files) * (len(glass.files) - 1) // 2 - result.pairs
    print(
        f"{name}: {len(glass.files)} minima, {result.pairs} pairs, {result.computed} computed, "
        f"{above} above pairs.max_delta_E left out: {table}"
    )
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


def check_kept(table: Path, settings: Settings) -> None:
    """Raise UserError unless a table without minima was made with the settings of the others."""
    record = read_record(table)
    if record is None or (record.ij_decimals, record.particles) != (settings.ij_decimals, settings.particles):
        raise UserError(f"{table}: made with other ij_decimals or particles; put its minima back, or take it away")


def write_rejected(path: Path, rejected: list[Rejected]) -> None:
    """Write the list of files that were left out."""
    with atomic_write(path) as part:
        table = pd.DataFrame(rejected, columns=["conf", "file", "reason"])
        table.astype({"conf": "Int64"}).to_csv(part, index=False)
    for conf, name, reason in rejected[:5]:
        print(f"rejected: {name if conf is None or name == f'Cnf-{conf}' else f'Cnf-{conf}/{name}'}: {reason}")
    if rejected:
        print(f"rejected files and reasons: {path}")


if __name__ == "__main__":
    run_script(main, __doc__)
