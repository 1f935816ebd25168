"""What stands beside the rows of pair tables: what step 0 made them from, and that they are as it left them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from pipeline import __version__
from pipeline.errors import UserError
from pipeline.formats.pair_tables import UNITS, open_table, record_batches
from pipeline.settings import Settings
from pipeline.stamps import Fingerprint, check_unchanged, fingerprint, is_unchanged, made_from, mark_made, read_stamp
from pipeline.units import Units, check_same_units
from pipeline.workspace import StatePoint, minimum_name

STEP = "step0_collect.py"

_RECORD = b"step0_collect"
"""Key in the metadata of a table that step 0 made; a ready-made one has none."""

_FORMAT = 3
"""Raised whenever the meaning of a stored column changes, so that tables are computed anew."""


USED, AGAIN, LEFT_OUT = "used", "seen again", "left out"


class Fate(NamedTuple):
    """What became of a file or frame."""

    status: str
    """USED, AGAIN or LEFT_OUT."""
    minimum: float | None = None
    """Label of the minimum that it is."""
    reason: str = ""
    """Why it was left out; of a minimum seen again, the place that is used."""


@dataclass(frozen=True)
class TableRecord:
    """What a pair table was made from: fingerprints of the files, what became of each frame, settings."""

    ij_decimals: int
    particles: int
    max_delta_E: float
    units: str
    files: dict[str, Fingerprint]
    transitions: Fingerprint | None
    minima: dict[str, Any]
    fates: dict[str, Fate] = field(default_factory=dict)
    n_particles: int = 0
    box: tuple[float, ...] = ()
    format: int = _FORMAT
    program: str = __version__

    @property
    def metadata(self) -> dict[bytes, str]:
        """The record as metadata of a table's schema."""
        return {_RECORD: json.dumps(asdict(self))}

    def is_current(self, files: Sequence[Path], transitions: Path, settings: Settings) -> bool:
        """Whether a table made now from these files under these settings would be the same."""
        return (
            (self.ij_decimals, self.particles, self.max_delta_E, self.units)
            == (settings.ij_decimals, settings.particles, settings.pairs.max_delta_E, settings.units)
            and self.minima == settings.minima.model_dump()
            and set(self.files) == {minimum_name(path) for path in files}
            and is_unchanged(transitions, self.transitions)
            and all(is_unchanged(path, self.files[minimum_name(path)]) for path in files)
        )

    def has_comparable_geometry(self, other: "TableRecord") -> bool:
        """Whether stored geometry means the same under both records."""
        names = ("ij_decimals", "particles", "n_particles", "box")
        matched = self.minima.get("match_atoms") or other.minima.get(
            "match_atoms"
        )  # to the lowest minimum, which may be another
        return not matched and all(getattr(self, name) == getattr(other, name) for name in names)


def new_record(files: Sequence[Path], transitions: Path, settings: Settings) -> TableRecord:
    """The record of a table made now from these files, before they are read."""
    return TableRecord(
        ij_decimals=settings.ij_decimals,
        particles=settings.particles,
        max_delta_E=settings.pairs.max_delta_E,
        units=settings.units,
        minima=settings.minima.model_dump(),
        files={minimum_name(path): fingerprint(path) if path.exists() else [] for path in files},
        transitions=fingerprint(transitions) if transitions.exists() else None,
    )


def mark_written(table: Path) -> None:
    """Leave a stamp beside a table that step 0 made."""
    mark_made([table], made_from([], made=True))


def read_record(table: Path) -> TableRecord | None:
    """The record of a table that step 0 made; None where it is missing, changed since or of an earlier format."""
    try:
        check_unchanged(table, STEP)
        content = json.loads(open_table(table).schema.metadata[_RECORD])
        return _adapter().validate_python(content) if content["format"] == _FORMAT else None
    except (UserError, LookupError, TypeError, ValueError):
        return None


@cache
def _adapter() -> TypeAdapter[TableRecord]:
    return TypeAdapter(TableRecord)


def is_ready_made(table: Path) -> bool:
    """Whether a pair table was put there by the user; raises UserError if it can't be read and has no stamp."""
    try:
        return _RECORD not in (open_table(table).schema.metadata or {})
    except UserError:
        if read_stamp(table).get("made"):
            return False
        raise


def usable_tables(at: StatePoint, units: Units) -> list[Path]:
    """The pair tables of one temperature, as step 0 left them, in these units; raises UserError where they are not."""
    if not at.pair_tables:
        raise UserError(f"{at.pairs}: no pair table; run {STEP}")
    for table in at.pair_tables:
        check_unchanged(table, STEP)
    check_units(at.pair_tables, units)
    return at.pair_tables


def check_units(tables: Iterable[Path], units: Units) -> None:
    """Raise UserError if a table's record or its column ``units`` (with neither: reduced) says other units."""
    for table in tables:
        record = read_record(table)
        if record is not None:
            check_same_units(table, record.units, units, f"run {STEP}")
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
