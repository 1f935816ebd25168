"""Pictures of what was found at several temperatures: density of TLS, and distributions of the double wells."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from MLmodel.metrics import Array
from pipeline.units import Units
from pipeline.workspace import QS
from reporting.plots import BLUE, GREEN, GREY, ORANGE, YELLOW, Picture, legend_below, styled_figure
from search.density import SLOWEST, at_energy

STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), ("#CC79A7", ":"), ("black", (0, (5, 1, 1, 1, 1, 1))), (GREY, "-"))
"""Colour and line of the temperatures in turn, the coldest first."""

QUANTITIES = {
    "barrier": "barrier from the lower minimum ({})",
    "tunnelling_amplitude": "tunnelling amplitude Δ₀ ({})",
    "asymmetry": "asymmetry of the minima ({})",
}
"""Columns of ``double_wells.csv`` that are compared, and their axes."""

SMALLEST = 1e-6
"""Over the threshold; axes begin no lower."""


def tls_densities(tables: Mapping[str, pd.DataFrame], threshold: float, unit: Units) -> Picture | None:
    """Double wells per volume with a splitting below E, a curve per temperature; and the densities of TLS.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By temperature, the coldest first; as :func:`search.density.tls_density` gives them.
    threshold : float
        In the unit of energy; below it a double well is a TLS.
    unit : Units
        For the labels.

    Returns
    -------
    Picture or None
        Numbers: temperature, and the columns of the tables. None where no table has a double well.
    """
    if not any(table["count"].any() for table in tables.values()):
        return None
    numbers = pd.concat(tables, names=["temperature"]).reset_index(0).reset_index(drop=True)
    with styled_figure(9.8, 5.4) as figure:
        curves, densities = figure.subplots(1, 2, width_ratios=(1.25, 1))
        _draw_curves(curves, tables, threshold, unit)
        _draw_densities(densities, tables, threshold, unit)
    return Picture(figure, numbers)


def _draw_curves(ax: Axes, tables: Mapping[str, pd.DataFrame], threshold: float, unit: Units) -> None:
    lowest = []
    for k, (temperature, table) in enumerate(tables.items()):
        color, line = STYLES[k % len(STYLES)]
        of_all = table[(table["kind"] == "all") & (table["count"] > 0)]
        if of_all.empty:
            continue
        energy, low, high = (of_all[name].to_numpy() for name in ("energy", "per_volume_low", "per_volume_high"))
        ax.fill_between(energy, low, high, color=color, alpha=0.2, lw=0)
        label = f"T = {temperature}, glasses searched: {table['glasses'].iloc[0]}"
        ax.plot(energy, of_all["per_volume"].to_numpy(), color=color, ls=line, marker=".", ms=4, label=label)
        lowest.append(low[0])
    left, right = ax.get_xlim()
    left = np.clip(left, 5e-3 * threshold, 0.1 * threshold)  # two decades at least, so that two powers of ten are named
    ax.axvspan(left, threshold, color=YELLOW, alpha=0.35, lw=0, label=f"TLS: splitting < {threshold:g} {unit.energy}")
    ax.set(xscale="log", yscale="log", xlim=(left, right), ylim=(0.7 * min(lowest), None))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel=f"E ({unit.energy})", ylabel=f"double wells with splitting < E per volume ({unit.length}⁻³)")
    ax.set_title("with the 68 % interval (Poisson)")
    legend_below(ax)


def _draw_densities(ax: Axes, tables: Mapping[str, pd.DataFrame], threshold: float, unit: Units) -> None:
    kinds = {
        "all": ("o", "all TLS"),
        "distinct": ("s", "distinct"),
        "tunnelling": ("^", f"tunnelling: Δ₀ ≥ {SLOWEST:g} E"),
    }
    for shift, (kind, (mark, name)) in zip((-0.18, 0.0, 0.18), kinds.items(), strict=True):
        unknown = 0
        for k, table in enumerate(tables.values()):
            at = at_energy(table, threshold).loc[kind]
            bars = [[at["density"] - at["density_low"]], [at["density_high"] - at["density"]]]
            color = STYLES[k % len(STYLES)][0]
            ax.errorbar(k + shift, at["density"], bars, fmt=mark, ms=6, capsize=3, color=color, mfc="white")
            unknown += at["unknown"]
        name += f"; not known of {unknown:.0f} TLS" if unknown else ""
        ax.plot([], [], mark, ms=6, color="black", mfc="white", label=name)
    ax.set(xlabel="T", ylabel=f"density of TLS ({unit.energy}⁻¹ {unit.length}⁻³)", xlim=(-0.6, len(tables) - 0.4))
    ax.set_xticks(range(len(tables)), list(tables))
    ax.set_ylim(0, None)
    legend_below(ax)


def comparison(double_wells: Mapping[str, pd.DataFrame], threshold: float, unit: Units) -> Picture | None:
    """Cumulative distributions of barrier, amplitude and asymmetry: of all double wells, and of TLS.

    Parameters
    ----------
    double_wells : mapping of str to DataFrame
        By temperature, the coldest first; as :func:`search.calculated.read_double_wells` gives them.
    threshold, unit
        As of :func:`tls_densities`.

    Returns
    -------
    Picture or None
        Numbers: temperature; of, ``double wells`` or ``TLS``; quantity, value, and share, of those of this temperature
        with this value or a smaller one. None unless two temperatures have double wells with these quantities.
    """
    columns = [name for name in QUANTITIES if all(name in table for table in double_wells.values())]
    known = {T: table for T, table in double_wells.items() if columns and table[columns].notna().any().all()}
    if len(known) < 2:
        return None
    limits, least = {"double wells": np.inf, "TLS": threshold}, SMALLEST * threshold
    numbers, title = [], "double wells calculated, and the TLS among them"
    if any((table[columns] < least).any(axis=None) for table in known.values()):
        title += f"; smaller values than {least:.2g} {unit.energy} are drawn there"
    with styled_figure(10.4, 7.0) as figure:
        panels = figure.subplots(2, len(columns), squeeze=False, sharex="col")
        for row, (which, limit) in zip(panels, limits.items(), strict=True):
            for ax, name in zip(row, columns, strict=True):
                for k, (T, table) in enumerate(known.items()):
                    values = np.sort(table.loc[table[QS] < limit, name].dropna().to_numpy(float))
                    style = STYLES[k % len(STYLES)]
                    numbers.append(_draw_share(ax, values, least, f"T = {T}", style).assign(temperature=T))
                    numbers[-1][["of", "quantity"]] = which, name
                ax.set(ylabel=f"share of {which}", ylim=(0, 1.02), xscale="log")
                if not ax.lines:
                    ax.text(0.5, 0.5, f"no {which}", ha="center", transform=ax.transAxes)
        for ax, name in zip(panels[-1], columns, strict=True):
            values = pd.concat([table[name] for table in known.values()]).dropna().clip(lower=least)
            ax.set(xlabel=QUANTITIES[name].format(unit.energy), xlim=(0.7 * values.min(), 1.5 * values.max()))
            ax.xaxis.set_minor_formatter(NullFormatter())
        figure.suptitle(title, fontsize=11)
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(known))
    table = pd.concat(numbers, ignore_index=True)
    return Picture(figure, table[["temperature", "of", "quantity", "value", "share"]])


def _draw_share(ax: Axes, values: Array, least: float, label: str, style: Any) -> pd.DataFrame:
    """Smaller values than ``least``, also zero, are drawn there: the axis is logarithmic."""
    share = np.arange(1, len(values) + 1) / max(len(values), 1)
    if len(values):
        places = np.maximum(values, least)
        ax.step(
            np.append(places[0], places), np.append(0, share), where="post", color=style[0], ls=style[1], label=label
        )
    return pd.DataFrame({"value": values, "share": share})
