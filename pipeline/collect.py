"""What step 0 finds when it starts: tables that would come out the same now, and tables not made from minima here."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import UserError
from pipeline.formats.pair_tables import glasses_in, stored_pairs
from pipeline.formats.table_record import Fate, check_units, read_record
from pipeline.messages import counted, note
from pipeline.settings import Settings
from pipeline.stamps import made_from, mark_made, up_to_date
from pipeline.units import check_same_units
from pipeline.workspace import StatePoint, inputs_of, minimum_paths


@dataclass(frozen=True)
class Collected:
    """How a table came about: pairs stored, those among them that had to be computed, what became of each frame."""

    pairs: int
    computed: int
    fates: dict[str, Fate] = field(default_factory=dict)
    ambiguous: int = 0
    """Pairs with a displacement within 1 % of half the box, or beyond."""


class GlassJob(NamedTuple):
    """The pair table of one glass, to be brought up to date."""

    table: Path
    """Where it stands or shall stand."""
    files: list[Path]
    """The minima, as :func:`pipeline.workspace.minimum_paths` gives them."""
    transitions: Path
    """May be missing."""
    name: str
    """Name of the glass, for what is printed."""


def kept_table(job: GlassJob, settings: Settings) -> Collected | None:
    """What is in the table of a glass that would come out the same now; None if it must be made."""
    record = read_record(job.table)
    if record is None or not record.is_current(inputs_of(job.files), job.transitions, settings):
        return None
    return Collected(stored_pairs(job.table), 0, record.fates)


def check_other_tables(at: StatePoint, settings: Settings, ready_made: list[Path]) -> list[Collected]:
    """Check the tables that are not made from minima here: ready-made ones, and those whose minima are gone."""
    with_minima = [conf for conf, folder in at.glasses.items() if minimum_paths(folder)]
    owner = {conf: at.glass_pairs(conf) for conf in with_minima}
    others = set(at.pair_tables) - (set(owner.values()) - set(ready_made))
    collected = []
    for table in sorted(others):
        if table in ready_made:
            kind = "ready-made table"
            check_units([table], settings.unit)
            check_once(table, settings.ij_decimals)
        else:
            kind = "table whose minima are gone, kept"
            check_kept(table, settings)
        collected.append(Collected(stored_pairs(table), 0))
        note(f"T = {at.temperature}: {kind}: {counted(collected[-1].pairs, 'pair')}: {table}")
        for conf in glasses_in(table):
            if owner.setdefault(conf, table) != table:
                raise UserError(f"{table}: holds the glass {conf}, which {owner[conf]} holds too; take one of them out")
    return collected


def check_once(table: Path, decimals: int) -> None:
    """Check a ready-made table unless it was checked before and not touched since."""
    inputs = made_from([], ij_decimals=decimals)
    if not up_to_date([table], inputs):
        from pipeline.formats.ready_made import check_ready_made

        check_ready_made(table, decimals)
        mark_made([table], inputs)


def check_kept(table: Path, settings: Settings) -> None:
    """Raise UserError unless a table without minima is as it was made, with the settings of the others."""
    record, remedy = read_record(table), "put its minima back, or take it away"
    if record is None:
        raise UserError(f"{table}: changed since step 0 made it, or of an earlier version; {remedy}")
    if (record.ij_decimals, record.particles) != (settings.ij_decimals, settings.particles):
        raise UserError(f"{table}: made with other ij_decimals or particles; {remedy}")
    check_same_units(table, record.units, settings.unit, remedy)
