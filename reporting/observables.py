"""The picture of the observables: heat capacity, internal friction, conductivity, distributions, each with its band."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from reporting.style import BLUE, GREEN, GREY, ORANGE, Picture, styled_figure, write_in_panel

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


def draw_observables(table: pd.DataFrame, title: str) -> Picture:
    """The observables of one temperature; its numbers are ``observables.csv``.

    Parameters
    ----------
    table : DataFrame
        As :func:`search.observables.observables` gives it.
    title : str
        Above all panels.
    """
    with styled_figure(12.0, 7.0) as figure:
        panels = figure.subplots(2, 3).ravel()
        for ax, (name, (label, quantities)) in zip(panels, PANELS.items(), strict=False):
            _draw(ax, table[table["quantity"].isin(quantities)], label)
            ax.set_title(name)
        panels[-1].axis("off")
        panels[-1].legend(*panels[1].get_legend_handles_labels(), loc="center", title="internal friction")
        figure.suptitle(f"{title}: sums over independent TLS; bands: 68 %, glasses drawn anew × Poisson")
    return Picture(figure, None)


def _draw(ax: Axes, rows: pd.DataFrame, label: str) -> None:
    known = rows[np.isfinite(rows["value"])]
    if known.empty or not (known["value"] > 0).any():
        write_in_panel(ax, "none")
        return
    temperature = bool((known["axis"] == "T (K)").all())
    colours = dict(zip(dict.fromkeys(known["quantity"]), (BLUE, ORANGE, GREEN), strict=False))
    styles = dict(zip(dict.fromkeys(known["frequency_Hz"].dropna()), ("-", "--", ":", "-."), strict=False))
    for (quantity, frequency), curve in known.groupby(["quantity", "frequency_Hz"], sort=False, dropna=False):
        colour, name = colours.get(quantity, GREY), str(quantity).split(", ")[1:2]
        said = f"{name[0]}, {frequency:g} Hz" if name else ""
        drawn = "steps-mid" if not temperature else "default"
        (line,) = ax.plot(
            curve["x"], curve["value"], styles.get(frequency, "-"), color=colour, label=said, drawstyle=drawn
        )
        if name == ["with activation"]:  # often hides the one beneath
            line.set(linewidth=4, alpha=0.4)
        if temperature:
            ax.fill_between(curve["x"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
        else:
            ax.vlines(curve["x"], curve["low"], curve["high"], color=colour, alpha=0.4)
    if temperature:
        ax.set(xscale="log", yscale="log")
        top = known["value"].max()
        ax.set_ylim(max(known["value"][known["value"] > 0].min() / 2, 1e-6 * top), 3 * top)
    ax.set(xlabel=known["axis"].iloc[0], ylabel=label)
