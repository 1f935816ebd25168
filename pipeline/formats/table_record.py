"""The record in a pair table that step 0 made: which files and settings it comes from."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from pipeline.errors import UserError
from pipeline.formats.pair_tables import RECORD, UNITS, open_table, record_batches, stored_pairs
from pipeline.settings import Settings
from pipeline.stamps import Fingerprint, fingerprint, is_unchanged
from pipeline.units import Units, check_same_units
from pipeline.version import __version__
from pipeline.workspace import inputs_of

_UNDERSTOOD = (1, 2)
"""Formats whose geometry can be taken over; the last one is written. 2 has the neighbourhood columns. Raised, with the
older ones left out, whenever the meaning of a stored column changes, so that tables are computed anew."""


@dataclass(frozen=True)
class TableRecord:
    """What a pair table was made from.

    ``files`` holds the fingerprint of each file in the glass's folder; ``rejected`` the reason for those left out.
    """

    ij_decimals: int
    particles: int
    max_delta_E: float
    files: dict[str, Fingerprint]
    rejected: dict[str, str]
    transitions: Fingerprint | None
    n_particles: int = 0
    box: tuple[float, ...] = ()
    format: int = _UNDERSTOOD[-1]
    program: str = __version__
    units: str = "reduced"
    """Earlier records do not tell."""

    @property
    def metadata(self) -> dict[bytes, str]:
        """The record as metadata of a table's schema."""
        return {RECORD: json.dumps(asdict(self))}

    def is_current(self, paths: Sequence[Path], transitions: Path, settings: Settings) -> bool:
        """Whether a table made now from these files under these settings would be the same."""
        return (
            self.format == _UNDERSTOOD[-1]
            and _settings_of(self) == (settings.ij_decimals, settings.particles, settings.pairs.max_delta_E)
            and self.units == settings.units
            and set(self.files) == {path.name for path in paths}
            and is_unchanged(transitions, self.transitions)
            and all(is_unchanged(path, self.files[path.name]) for path in paths)
        )

    def has_comparable_geometry(self, other: "TableRecord") -> bool:
        """Whether stored geometry means the same under both records."""
        names = ("ij_decimals", "particles", "n_particles", "box")
        return all(getattr(self, name) == getattr(other, name) for name in names)


@dataclass(frozen=True)
class Collected:
    """How a table came about: pairs stored, those among them that had to be computed, files left out and why."""

    pairs: int
    computed: int
    rejected: dict[str, str] = field(default_factory=dict)


class GlassJob(NamedTuple):
    """The pair table of one glass, to be brought up to date."""

    table: Path
    """Where it stands or shall stand."""
    files: list[Path]
    """The minima, as :func:`pipeline.workspace.minimum_paths` gives them."""
    transitions: Path
    """May be missing."""
    name: str
    """Of the glass, for what is printed."""


def kept_table(job: GlassJob, settings: Settings) -> Collected | None:
    """What is in the table of a glass that would come out the same now; None if it must be made."""
    record = read_whole_record(job.table)
    if record is None or not record.is_current(inputs_of(job.files), job.transitions, settings):
        return None
    try:
        return Collected(stored_pairs(job.table), 0, record.rejected)
    except UserError:  # damaged
        return None


def _settings_of(record: TableRecord) -> tuple[int, int, float]:
    return record.ij_decimals, record.particles, record.max_delta_E


def new_record(paths: Sequence[Path], transitions: Path, settings: Settings) -> TableRecord:
    """The record of a table made now from these files, before they are read."""
    return TableRecord(
        ij_decimals=settings.ij_decimals,
        particles=settings.particles,
        max_delta_E=settings.pairs.max_delta_E,
        files={path.name: fingerprint(path) if path.exists() else [] for path in paths},
        rejected={},
        transitions=fingerprint(transitions) if transitions.exists() else None,
        units=settings.units,
    )


def read_record(table: Path) -> TableRecord | None:
    """The record in a table that step 0 made; None where there is no table, no record, or one not understood.

    Raises
    ------
    UserError
        If the table or its record is damaged.
    """
    if not table.exists():
        return None
    try:
        content = json.loads((open_table(table).schema.metadata or {}).get(RECORD, "{}"))
        if content.get("format") not in _UNDERSTOOD:
            return None
        return _adapter().validate_python({"program": "0.1.0", **content})  # 0.1 did not say
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{table}: its record is damaged; remove it and run step0_collect.py") from None


@cache
def _adapter() -> TypeAdapter[TableRecord]:
    return TypeAdapter(TableRecord)


def read_whole_record(table: Path) -> TableRecord | None:
    """The same, but None of a damaged table too, which is made again."""
    try:
        return read_record(table)
    except UserError:
        return None


def is_ready_made(table: Path) -> bool:
    """Whether a pair table was put there by the user; a damaged one was not if it holds the beginning of a record.

    Raises
    ------
    UserError
        If it is damaged and does not look like a table of step 0.
    """
    try:
        return RECORD not in (open_table(table).schema.metadata or {})
    except UserError:
        if not table.is_file() or (table.stat().st_size and not _holds(table, RECORD)):
            raise
        return False


def _holds(path: Path, text: bytes) -> bool:
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return content.find(text) >= 0


def check_units(tables: Iterable[Path], units: Units) -> None:
    """Raise UserError if a table is in other units: its record says, or the column ``units`` of one made elsewhere.

    One that says nothing is in reduced units, as all were until 0.1.
    """
    for table in tables:
        record = read_record(table)
        if record is not None:
            check_same_units(table, record.units, units, "run step0_collect.py")
        elif is_ready_made(table):
            remedy = f'if it is in {units.name} ones, give it a column {UNITS} with "{units.name}" in each row'
            check_same_units(table, _units_in_column(table), units, remedy)


def _units_in_column(table: Path) -> str:
    reader = open_table(table)
    if UNITS not in reader.schema.names:
        return "reduced"
    found = {str(name) for batch in record_batches(table, [UNITS]) for name in batch[UNITS].unique().to_pylist()}
    if len(found) != 1:
        raise UserError(
            f"{table}: its column {UNITS} holds {len(found)} different values; all rows must be in the same"
        )
    return found.pop()
