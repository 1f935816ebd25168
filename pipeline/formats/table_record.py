"""Stamps of pair tables: what step 0 made them from, and what became of each file; or that a ready-made one is good."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import UserError
from pipeline.settings import Settings
from pipeline.stamps import Inputs, check_unchanged, made_from
from pipeline.units import Units, check_same_units
from pipeline.workspace import StatePoint

STEP = "step0_collect.py"
FORMAT = 4  # raised whenever the meaning of a stored column changes, so that tables are computed anew
USED, AGAIN, LEFT_OUT = "used", "seen again", "left out"


class Fate(NamedTuple):
    """Use of a file or frame by step 0."""

    status: str  # USED, AGAIN or LEFT_OUT
    minimum: float | None = None  # label of the minimum that it is
    reason: str = ""  # why it was left out; of a minimum seen again, the place that is used


def made_of_minima(files: Sequence[Path], settings: Settings) -> Inputs:
    """Inputs of a table that step 0 makes."""
    return made_from(
        files,
        format=FORMAT,
        ij_decimals=settings.ij_decimals,
        particles=settings.particles,
        max_delta_E=settings.pairs.max_delta_E,
        units=settings.units,
        minima=settings.minima.model_dump(),
    )


def usable_tables(at: StatePoint, units: Units) -> list[Path]:
    """The pair tables of one temperature, as step 0 left them, in these units; raises UserError where they are not."""
    if not at.pair_tables:
        raise UserError(f"{at.pairs}: no pair table; run {STEP}")
    for table in at.pair_tables:
        stamp = check_unchanged(table, STEP)
        if "units" not in stamp:
            raise UserError(f"{table}: of an earlier version; run {STEP}")
        check_same_units(table, stamp["units"], units, f"run {STEP}")
        check_same_decimals(table, stamp.get("ij_decimals", at.decimals), at, STEP)
    return at.pair_tables


def check_same_decimals(what: Path, then: int, at: StatePoint, script: str) -> None:
    """Raise UserError unless minima were told apart to the same ``ij_decimals`` when a script wrote a table."""
    if then != at.decimals:
        raise UserError(f"{what}: made with ij_decimals: {then}, but config.yaml says {at.decimals}; run {script}")
