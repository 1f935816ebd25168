"""The record in a pair table that step 0 made: which files and settings it comes from."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from MLmodel.tables import UNITS, open_table
from pipeline.errors import UserError
from pipeline.settings import Settings
from pipeline.stamps import Fingerprint, fingerprint, is_unchanged
from pipeline.units import Units, check_same_units
from pipeline.version import __version__

_METADATA = b"step0_collect"
"""The record's key in the table's schema metadata; a table without it is ready-made."""

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
        return {_METADATA: json.dumps(asdict(self))}

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
    """The record in a table that step 0 made; None where there is no table, no record, or one not understood."""
    if not table.exists():
        return None
    content: dict[str, Any] = json.loads((open_table(table).schema.metadata or {}).get(_METADATA, "{}"))
    if content.get("format") not in _UNDERSTOOD:
        return None
    return TableRecord(**{"program": "0.1.0", **content, "box": tuple(content["box"])})  # 0.1 did not say


def is_ready_made(table: Path) -> bool:
    """Whether a pair table was put there by the user."""
    return _METADATA not in (open_table(table).schema.metadata or {})


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
    reader = open_table(table, [UNITS])
    found = {
        str(name) for k in range(reader.num_record_batches) for name in reader.get_batch(k)[UNITS].unique().to_pylist()
    }
    if len(found) != 1:
        raise UserError(
            f"{table}: its column {UNITS} holds {len(found)} different values; all rows must be in the same"
        )
    return found.pop()
