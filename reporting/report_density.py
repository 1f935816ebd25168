"""The report on all temperatures together: density of TLS, and distributions of double wells beside each other."""

from collections.abc import Iterable

import pandas as pd

from pipeline.command import Command
from reporting.report_page import Block, Figures, Table, number
from reporting.temperatures import found_at, pictures_of
from search.density import SLOWEST, at_energy, density_of_kind


def all_temperatures(command: Command, temperatures: Iterable[str], figures: Figures) -> list[Block]:
    """The density of TLS, a row a temperature, and the pictures with all temperatures; none before the first NEB."""
    work, settings = command.workspace, command.settings
    double_wells, densities = found_at(work, temperatures, settings)
    drawn = pictures_of(work, double_wells, densities, settings)
    said = {
        work.tls_densities: "Double wells per volume with a splitting below E, and the density of TLS",
        work.tls_comparison: "Barriers, amplitudes and asymmetries: shares of the double wells, and of the TLS",
    }
    table = _densities(command, densities, figures)
    return table + [
        figures.figure(one, path.stem, said[path], path.with_suffix(".csv"), path) for path, one in drawn.items()
    ]


def _densities(command: Command, densities: dict[str, pd.DataFrame], figures: Figures) -> list[Block]:
    work, settings = command.workspace, command.settings
    unit, rows, paths = settings.unit, list[list[str]](), []
    for temperature, table in densities.items():
        at = at_energy(table, settings.tls_threshold)
        every = at.loc["all"]
        rows.append(
            [
                temperature,
                *(f"{every[name]:.4g}" for name in ("glasses", "volume", "count")),
                f"{every['density']:.3g} ({every['density_low']:.3g} to {every['density_high']:.3g})",
                number(every["density_sd_glasses"], 2),
                *(density_of_kind(at.loc[kind]) for kind in ("distinct", "tunnelling")),
                f"{every['density_SI']:.2g}",
            ]
        )
        paths.append(work.at(temperature).tls_density)
    columns = [
        *("T", "glasses searched", f"volume ({unit.length}³)", "TLS", "density (68 %, Poisson)"),
        *("± from glass to glass", "distinct (TLS)", f"Δ₀ ≥ {SLOWEST:g} E (TLS)", "J⁻¹ m⁻³"),
    ]
    title = f"Density of TLS in {unit.energy}⁻¹ {unit.length}⁻³, a lower bound: of what the lists were searched for"
    return [Table(title, columns, rows, figures.links(*paths))] if rows else []
