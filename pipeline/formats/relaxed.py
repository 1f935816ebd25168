"""``relaxed.csv`` and ``relaxed.extxyz`` beside the minima of a glass: those that were none, and what they relax to.

What was relaxed stays where it is, but no step takes it for a minimum any more.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from ase import Atoms

from pipeline.files import atomic_write
from pipeline.formats.csv_files import Range, read_user_csv, with_numbers
from pipeline.workspace import RELAXED

FRAMES = "relaxed.extxyz"  # a frame for each minimum found: read like every other file of minima

COLUMNS = ["name", "energy", "max_force", "became", "displacement"]
"""Columns: place; energy per particle by which it is known; largest force on a particle; where the minimum is to
which it relaxes, empty if it is one itself; and the total displacement between the two."""


def as_written(name: str) -> str:
    """Name of a place as files hold it: bytes that are no UTF-8 become question marks."""
    return name.encode(errors="replace").decode()


class Superseded(NamedTuple):
    """Why a place is passed over."""

    energy: float
    became: str  # name of the place of the minimum to which it relaxes
    reason: str


def read_relaxed(folder: Path) -> pd.DataFrame:
    """COLUMNS of every place that was looked at; empty where none was."""
    path = folder / RELAXED
    if not path.exists():
        return pd.DataFrame({name: pd.Series(dtype=str if name in ("name", "became") else float) for name in COLUMNS})
    table = read_user_csv(path, COLUMNS)[COLUMNS].fillna({"became": ""}).astype({"name": str, "became": str})
    return with_numbers(path, table, {"energy": Range(), "max_force": Range()})


def add_rows(folder: Path, rows: Sequence[tuple[str, float, float, str, float]]) -> None:
    """Put rows behind those in RELAXED, which appears whole; each holds COLUMNS."""
    added = pd.DataFrame(list(rows), columns=COLUMNS)
    added[["name", "became"]] = added[["name", "became"]].map(as_written)
    before = read_relaxed(folder)
    with atomic_write(folder / RELAXED) as part:
        (pd.concat([before, added]) if len(before) else added).to_csv(part, index=False)


def add_frames(folder: Path, found: list[Atoms]) -> list[str]:
    """Put minima behind those in FRAMES, which appears whole; the names of their places."""
    import ase.io

    path = folder / FRAMES
    before = ase.io.read(path, ":") if path.exists() else []
    with atomic_write(path) as part:
        ase.io.write(part, [*before, *found], format="extxyz")
    return [f"{FRAMES}#{len(before) + k}" for k in range(len(found))]


def superseded(folder: Path) -> dict[str, Superseded]:
    """Places of a glass that are no minima, by :func:`as_written` of their names."""
    if not (folder / RELAXED).exists():
        return {}
    table = read_relaxed(folder)
    gone = table[table["became"] != ""]
    return {
        row.name: Superseded(
            row.energy, row.became, f"no minimum: force {row.max_force:.2g} on a particle; relaxed to {row.became}"
        )
        for row in gone.itertuples(index=False)
    }


def is_superseded(gone: Mapping[str, Superseded], name: str, energy: float) -> bool:
    """Whether a place is passed over, as it is now: its energy is that of the configuration that was relaxed."""
    known = gone.get(as_written(name))
    return known is not None and known.energy == energy
