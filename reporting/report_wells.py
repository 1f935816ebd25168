"""The report on what was found: the double wells calculated, TLS first, with pictures, and how they are spread."""

from typing import Any

import numpy as np
import pandas as pd

from glass.overlap import EDGES
from pipeline.command import Command
from pipeline.formats.csv_files import read_own_csv
from pipeline.formats.keys import Pair
from pipeline.formats.paths import path_file
from pipeline.workspace import QS, StatePoint
from reporting.neb_plots import neb_profiles, overlaps
from reporting.plots import Picture
from reporting.profiles import profile_to_draw
from reporting.report_page import Block, Figure, Figures, Missing, Table, Text, number
from reporting.tls_pictures import picture_of_pair
from reporting.tls_plots import tls_statistics
from search.calculated import FROM_PROFILE, count_tls, read_double_wells, records_of
from search.exact import hbar_of
from search.rearrangements import REARRANGEMENT

ROWS, PICTURES = 1000, 24
"""A page shows so many double wells and opens so many of them, its temperatures together."""


def double_wells_found(command: Command, at: StatePoint, figures: Figures) -> list[Block]:
    """A table of the double wells, of which the first open pictures; barriers, asymmetries, rearrangements."""
    work, settings = command.workspace, command.settings
    path, limit = at.double_wells, settings.tls_threshold
    double_wells = read_double_wells(at).sort_values(QS, kind="stable")
    if double_wells.empty:
        return [Missing(f"No double well calculated yet: run_neb.py writes {path.name}.")]
    share = max(1, len(command.asked or work.temperatures()))
    shown = double_wells.head(max(1, ROWS // share))
    cut = f"; the first {len(shown)} of {len(double_wells)} rows" if len(shown) < len(double_wells) else ""
    statistics = _statistics(command, at, double_wells, figures)
    pictures = _pictures(command, at, shown.head(max(1, PICTURES // share)), figures)
    unit = settings.unit
    columns = {
        QS: f"splitting ({unit.energy})",
        "tunnelling_amplitude": f"Δ₀ ({unit.energy})",
        "asymmetry": f"asymmetry ({unit.energy})",
        "barrier": f"barrier ({unit.energy})",
        "path_length": f"path ({unit.length})",
        "PR": "PR",
        REARRANGEMENT: "rearrangement",
    }
    numbers = shown.reindex(columns=list(columns)).astype(float).to_numpy()
    kinds = np.where(shown[QS] < limit, "TLS", "")
    rows = [
        [f"{conf}", kind, f"{i:.12g}", f"{j:.12g}", *(number(value) for value in values), fidelity]
        for conf, i, j, kind, values, fidelity in zip(
            shown["conf"], shown["i"], shown["j"], kinds, numbers, shown["fidelity"], strict=True
        )
    ]
    opened = f"; {len(pictures)} of them open a picture" if pictures else ""
    table = Table(
        f"Double wells calculated, smallest splitting first{cut}{opened}",
        ["glass", "kind", "i", "j", *columns.values(), "images"],
        rows,
        figures.links(path),
        sorts=True,
        pictures=pictures,
    )
    said = (
        f"{len(double_wells)} double wells calculated, {count_tls(double_wells, limit)} "
        f"(splitting below {limit:g} {unit.energy}). A list from the top shows more TLS than chance would."
    )
    return [Text(said), table, *statistics]


def _pictures(command: Command, at: StatePoint, wells: pd.DataFrame, figures: Figures) -> dict[int, Figure]:
    """Pictures of double wells by row, as far as their calculations are known and there is room."""
    found: dict[int, Figure] = {}
    for row, record in enumerate(records_of(at, wells)):
        drawn = _picture(command, at, record) if record else None
        if record and drawn is not None:
            pair = Pair(record["conf"], record["i"], record["j"])
            path = path_file(at, pair)
            saved = at.tls_pictures / f"{path.stem}.png"
            title = f"{pair}: the particles that move, and the energy on the path with both levels"
            files = (path, saved.with_suffix(".csv"), saved)
            figure = figures.figure(drawn, f"T{at.temperature}-well-{row + 1}", title, *files)
            if figure.image is None:
                break
            found[row] = figure
    return found


def _picture(command: Command, at: StatePoint, record: dict[str, Any]) -> Picture | None:
    """Atoms, profile and levels; where the minima are not there, profile and levels."""
    settings = command.settings
    picture = picture_of_pair(at, record, settings)
    if picture is not None:
        return picture
    profile = profile_to_draw(record, hbar_of(settings.neb))
    return neb_profiles([profile], settings.tls_threshold, "", settings.unit) if profile is not None else None


def _statistics(command: Command, at: StatePoint, double_wells: pd.DataFrame, figures: Figures) -> list[Block]:
    settings = command.settings
    picture = at.tls_statistics
    known = double_wells.reindex(columns=list(dict.fromkeys([*double_wells, *FROM_PROFILE])))  # not in 0.1
    drawn = tls_statistics(
        known, settings.tls_threshold, f"T = {at.temperature}: double wells calculated", settings.unit
    )
    title = "How many double wells, and TLS among them, have which barrier, amplitude and asymmetry"
    files = (picture.with_suffix(".csv"), picture, at.tls_density)
    blocks: list[Block] = [figures.figure(drawn, f"T{at.temperature}-statistics", title, *files)]
    picture = at.rearrangements
    path = picture.with_suffix(".csv")
    counted = "pairs_of_double_wells"
    numbers = read_own_csv(path, [counted], [counted]) if path.exists() else pd.DataFrame()
    if len(numbers) == len(EDGES) - 1:
        title = "How much the displacement fields of double wells of one glass overlap"
        drawn = overlaps(
            numbers[counted].to_numpy(), settings.rearrangements.overlap, f"T = {at.temperature}: pairs of double wells"
        )
        blocks.append(figures.figure(drawn, f"T{at.temperature}-rearrangements", title, path, picture))
    return blocks
