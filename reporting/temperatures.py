"""What was found at several temperatures, in one picture each: ``tls_density.png`` and ``tls_comparison.png``."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pipeline.settings import Settings
from pipeline.workspace import Workspace
from reporting.plots import Picture
from reporting.temperature_plots import comparison, tls_densities
from search.calculated import read_double_wells
from search.density import tls_density


def draw_temperatures(workspace: Workspace, settings: Settings) -> list[Path]:
    """Draw what is known of all temperatures; the files written, none where there is nothing to draw."""
    pictures = pictures_of(workspace, *found_at(workspace, workspace.temperatures(), settings), settings)
    return [file for path, one in pictures.items() for file in one.save(path, settings.figures)]


def found_at(
    workspace: Workspace, temperatures: Iterable[str], settings: Settings
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """Double wells, and densities of TLS, of each temperature at which there are any."""
    tables = {temperature: read_double_wells(workspace.at(temperature)) for temperature in temperatures}
    double_wells = {temperature: table for temperature, table in tables.items() if len(table)}
    found = {temperature: tls_density(workspace.at(temperature), settings) for temperature in double_wells}
    return double_wells, {temperature: table for temperature, table in found.items() if table is not None}


def pictures_of(
    workspace: Workspace, double_wells: dict[str, pd.DataFrame], densities: dict[str, pd.DataFrame], settings: Settings
) -> dict[Path, Picture]:
    """Pictures of what :func:`found_at` found, by the file for each; none where there is nothing to draw."""
    pictures = {
        workspace.tls_densities: tls_densities(densities, settings.tls_threshold, settings.unit),
        workspace.tls_comparison: comparison(double_wells, settings.tls_threshold, settings.unit),
    }
    return {path: one for path, one in pictures.items() if one}
