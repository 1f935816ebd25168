"""The picture of the observables: heat capacity, internal friction, conductivity, distributions, each with its band."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from pipeline.settings import Settings
from reporting import style
from reporting.style import Picture, panels
from search.thermal_properties import TOO_LARGE

PANELS = {
    "heat capacity": ("C/V (J K⁻¹ m⁻³)", ["heat capacity"]),
    "internal friction": (
        "Q⁻¹, transverse",
        [
            "internal friction, one phonon, transverse",
            "internal friction, with activation, transverse",
            "internal friction, resonant, transverse",
        ],
    ),
    "thermal conductivity": ("κ (W m⁻¹ K⁻¹)", ["thermal conductivity"]),
    "distribution of Δ₀": ("per volume and decade (m⁻³)", ["distribution of the tunnelling amplitude"]),
    "distribution of the action": ("per volume and λ (m⁻³)", ["distribution of the action"]),
}
"""Axis and quantities of each panel."""


def draw_observables(table: pd.DataFrame, title: str, settings: Settings) -> Picture:
    """The observables of one temperature; their numbers are ``observables.csv``."""
    title += ": sums over independent TLS; bands: 68 %, glasses drawn anew × Poisson"
    with panels(12.0, 7.4, 2, 3, title) as (figure, axes):
        for ax, (name, (label, quantities)) in zip(axes, PANELS.items(), strict=False):
            rows = table[table["quantity"].isin(quantities) & np.isfinite(table["value"])]
            ax.set(title=name, ylabel=label)
            if not (rows["value"] > 0).any():
                style.write_in_panel(ax, "not known")
            elif rows["axis"].iloc[0] == "T (K)":
                _draw_curves(ax, rows)
            else:
                _draw_distribution(ax, rows, settings)
        axes[-1].axis("off")
        named = axes[1].get_legend_handles_labels()
        figure.legend(*named, loc="center", bbox_to_anchor=(0.84, 0.28), title="internal friction")
    return Picture(figure, None)


def _draw_curves(ax: Axes, rows: pd.DataFrame) -> None:
    colours = dict(zip(dict.fromkeys(rows["quantity"]), (style.BLUE, style.ORANGE, style.GREEN), strict=False))
    styles = dict(zip(dict.fromkeys(rows["frequency_Hz"].dropna()), ("-", "--", ":", "-."), strict=False))
    top, losses = rows["value"].max(), rows["frequency_Hz"].notna().any()
    for (quantity, frequency), curve in rows.groupby(["quantity", "frequency_Hz"], sort=False, dropna=False):
        said = f"{str(quantity).split(', ')[1]}, {frequency:g} Hz" if losses else ""
        wide: Any = {"lw": 4, "alpha": 0.4} if "activation" in said else {}  # often hides the one beneath
        colour = colours.get(quantity, style.GREY)
        ax.plot(curve["x"], curve["value"], styles.get(frequency, "-"), color=colour, label=said, **wide)
        ax.fill_between(curve["x"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
    ax.set(xscale="log", yscale="log", xlabel="T (K)")
    ax.set_ylim(max(rows["value"][rows["value"] > 0].min() / 2, 1e-6 * top), 3 * top)
    if losses and top > TOO_LARGE:
        ax.axhspan(
            TOO_LARGE, 3 * top, color=style.GREY, alpha=0.2, lw=0, label=f"above {TOO_LARGE:g}: too large to be a loss"
        )


def _draw_distribution(ax: Axes, rows: pd.DataFrame, settings: Settings) -> None:
    of_energies = "Δ₀" in rows["axis"].iloc[0]
    x = 10.0 ** rows["x"] if of_energies else rows["x"]
    ax.plot(x, rows["value"], color=style.BLUE, drawstyle="steps-mid")
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:.2g}"))
    ax.vlines(x, rows["low"], rows["high"], color=style.BLUE, alpha=0.4)
    if of_energies:
        ax.set_xscale("log")
        style.name_energy(ax, "x", "tunnelling amplitude Δ₀", settings)
    else:
        ax.set_xlabel("action λ")
