"""Pictures of what was found: distributions, densities, temperatures, observables. Planes: ``calculations``."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import StrMethodFormatter

from pipeline.settings import Settings
from pipeline.workspace import QS, Workspace
from reporting import style
from reporting.style import Picture, panels
from search.calculated import read_double_wells
from search.density import CONVOLVED, SLOWEST, at_energy, tls_density
from search.rearrangements import REARRANGEMENT
from search.thermal_properties import TOO_LARGE

DISTRIBUTIONS = {
    "barrier": "barrier from the lower minimum",
    "tunnelling_amplitude": "tunnelling amplitude Δ₀",
    "asymmetry": "asymmetry of the minima",
}
"""Columns of ``double_wells.csv`` that are drawn, and their axes."""

SMALLEST, SMALLEST_COMPARED = 1e-8, 1e-6  # ε, counted but not drawn below; over the threshold, drawn there
BINS = 2  # bins to a decade
_ALL, _TLS = (style.BLUE, 0.35), (style.ORANGE, 0.9)  # colour and opacity of double wells, and of the TLS among them


def draw_statistics(double_wells: pd.DataFrame, title: str, settings: Settings) -> Picture:
    """Distributions over the double wells with TLS marked, and TLS per glass and per rearrangement."""
    is_tls = double_wells[QS] < settings.tls_threshold
    known = double_wells[REARRANGEMENT] > 0
    of_glasses = is_tls.groupby(double_wells["conf"]).sum()
    of_rearrangements = is_tls[known].groupby(double_wells[REARRANGEMENT]).sum()
    with panels(9.6, 8.2, 2, 2, title) as (figure, (*axes, spread)):
        numbers = [
            _draw_distribution(ax, double_wells[name].astype(float), is_tls, label, settings).assign(quantity=name)
            for ax, (name, label) in zip(axes, DISTRIBUTIONS.items(), strict=True)
        ]
        for name, which, found, color, shift in (
            ("glasses", " with a double well", of_glasses, style.GREEN, -0.2),
            ("rearrangements", "", of_rearrangements, style.PURPLE, 0.2),
        ):
            count = np.bincount(found.astype(int), minlength=1)
            tls = np.arange(len(count))
            label = f"{name}{which}: {len(found)}, with a TLS: {(found > 0).sum()}"
            spread.bar(tls + shift, count, 0.38, color=color, label=label)
            numbers.append(pd.DataFrame({"quantity": f"tls_of_{name}", "from": tls, "to": tls, "count": count}))
        most = max(len(numbers[-2]), len(numbers[-1]), 2) - 0.4
        spread.set(xlabel="number of TLS in it", ylabel="glasses, rearrangements", xlim=(-0.6, most))
        style.whole_numbers(spread.xaxis, spread.yaxis)
        spread.legend(loc="lower center", bbox_to_anchor=(0.5, 1))
        below = f"TLS (splitting < {settings.tls_threshold:g} {settings.unit.energy}): {is_tls.sum()}"
        marks = [Patch(color=color, alpha=alpha) for color, alpha in (_ALL, _TLS)]
        figure.legend(marks, [f"double wells: {len(double_wells)}", below], loc="outside lower center", ncols=2)
    table = pd.concat(numbers, ignore_index=True)
    return Picture(figure, table.reindex(columns=["quantity", "from", "to", "count", "tls"]).astype({"tls": "Int64"}))


def _draw_distribution(
    ax: Axes, values: "pd.Series[float]", is_tls: "pd.Series[bool]", label: str, settings: Settings
) -> pd.DataFrame:
    smallest, known = SMALLEST * settings.unit.epsilon, values.notna()
    drawn, smaller = values >= smallest, int((values < smallest).sum())
    notes = [f"{smaller} below {smallest:.2g} {settings.unit.energy}, not drawn"] if smaller else []
    if not known.all():
        notes.append(f"not known of {(~known).sum()} of {len(known)}, {(is_tls & ~known).sum()} of these TLS")
    if not drawn.any():
        style.name_energy(ax, "x", label, settings, in_kelvin=False)
        style.write_in_panel(ax, "\n".join(notes) if known.any() else "not known of any double well")
        return pd.DataFrame()
    low, high = np.floor(np.log10(values[drawn].min())), np.floor(np.log10(values[drawn].max())) + 1
    edges = np.geomspace(10.0**low, 10.0**high, int(high - low) * BINS + 1)
    edges[0] = min(edges[0], values[drawn].min())  # as rounded
    count, tls = (np.histogram(values[chosen], edges)[0] for chosen in (drawn, drawn & is_tls))
    for heights, (color, alpha) in ((count, _ALL), (tls, _TLS)):
        ax.stairs(heights, edges, fill=True, color=color, alpha=alpha)
    ax.set(xscale="log", ylabel="double wells")
    style.name_energy(ax, "x", label, settings)
    style.whole_numbers(ax.yaxis)
    ax.set_title("\n".join(notes))
    return pd.DataFrame({"from": edges[:-1], "to": edges[1:], "count": count, "tls": tls})


KINDS = {
    "all": ("o", "all TLS"),
    "distinct": ("s", "distinct"),
    "tunnelling": ("^", f"tunnelling: Δ₀ ≥ {SLOWEST:g} E"),
    CONVOLVED: ("D", "distinct, spread by zero-point energies"),
}
"""Mark and name of each kind of the density of TLS."""


def draw_densities(tables: Mapping[str, pd.DataFrame], settings: Settings) -> Picture | None:
    """Double wells per volume with a splitting below E, and densities of TLS, by T; None without double wells."""
    if not any(table["count"].any() for table in tables.values()):
        return None
    lowest, threshold, unit = [], settings.tls_threshold, settings.unit
    colours = dict(zip(tables, itertools.cycle(style.LINES), strict=False))
    with panels(9.8, 5.6, 1, 2, width_ratios=(1.25, 1)) as (figure, (curves, densities)):
        for temperature, table in tables.items():
            of_all = table[(table["kind"] == "all") & (table["count"] > 0)]
            if of_all.empty:
                continue
            color, line = colours[temperature]
            energy, low, high = (of_all[name].to_numpy() for name in ("energy", "per_volume_low", "per_volume_high"))
            curves.fill_between(energy, low, high, color=color, alpha=0.2, lw=0, step="post")
            label = f"T = {temperature}, glasses searched: {table['glasses'].iloc[0]}"
            curves.step(energy, of_all["per_volume"].to_numpy(), where="post", color=color, ls=line, label=label)
            lowest.append(low[0])
        left, right = curves.get_xlim()
        left = np.clip(left, 5e-3 * threshold, 0.1 * threshold)  # two decades at least: two powers of ten are named
        style.shade_tls(curves, left, "splitting", settings)
        curves.set(xscale="log", yscale="log", xlim=(left, right), ylim=(0.7 * min(lowest), None))
        style.name_energy(curves, "x", "E", settings)
        curves.set(ylabel=f"double wells with splitting < E per volume ({unit.length}⁻³)")
        curves.set_title("with the 68 % interval (Poisson)")
        for shift, (kind, (mark, name)) in zip((-0.24, -0.08, 0.08, 0.24), KINDS.items(), strict=True):
            unknown = []
            for k, (temperature, table) in enumerate(tables.items()):
                of_kinds = at_energy(table, threshold)
                if kind in of_kinds.index:
                    at = of_kinds.loc[kind]
                    bars = [[at["density"] - at["density_low"]], [at["density_high"] - at["density"]]]
                    marks: Any = {"fmt": mark, "ms": 6, "capsize": 3, "color": colours[temperature][0], "mfc": "white"}
                    densities.errorbar(k + shift, at["density"], bars, **marks)
                    unknown.append(at["unknown"])
            name += f"; not known of {sum(unknown):.0f} TLS" if any(unknown) else ""
            if unknown:
                densities.plot([], [], mark, ms=6, color="black", mfc="white", label=name)
        ylabel = f"density of TLS ({unit.energy}⁻¹ {unit.length}⁻³)"
        densities.set(xlabel="T", ylabel=ylabel, xlim=(-0.6, len(tables) - 0.4), ylim=(0, None))
        densities.set_xticks(range(len(tables)), list(tables))
    return Picture(figure, pd.concat(tables, names=["temperature"]).reset_index(0))


def draw_comparison(double_wells: Mapping[str, pd.DataFrame], settings: Settings) -> Picture | None:
    """Cumulative distributions of barrier, Δ₀ and asymmetry, of double wells and of TLS; None for fewer than two T."""
    columns = [name for name in DISTRIBUTIONS if all(name in table for table in double_wells.values())]
    known = {T: table for T, table in double_wells.items() if columns and table[columns].notna().any().all()}
    if len(known) < 2:
        return None
    threshold, title = settings.tls_threshold, "double wells calculated, and the TLS among them"
    least = SMALLEST_COMPARED * threshold
    if any((table[columns] < least).any(axis=None) for table in known.values()):
        title += f"; smaller values than {least:.2g} {settings.unit.energy} are drawn there"
    if left_out := [T for T in double_wells if T not in known]:
        title += f"\nleft out, as nothing is known: T = {', '.join(left_out)}"
    every = pd.concat(known, names=["temperature"]).reset_index(0)
    values = every.melt(["temperature", QS], columns, "quantity", "value").dropna()
    keys, tables = ["temperature", "of", "quantity"], {"double wells": values, "TLS": values[values[QS] < threshold]}
    table = pd.concat(tables, names=["of"]).reset_index("of").sort_values([*keys, "value"], ignore_index=True)
    share = table.groupby(keys)["value"].rank(method="first", pct=True)
    with panels(10.4, 7.2, 2, len(columns), title, sharex="col") as (figure, axes):
        for ax, (which, name) in zip(axes, itertools.product(tables, columns), strict=True):
            drawn = table[(table["of"] == which) & (table["quantity"] == name)]
            ax.set(ylabel=f"share of {which}", ylim=(0, 1.02), xscale="log")
            for T, (color, line) in zip(known, itertools.cycle(style.LINES), strict=False):
                of_one = drawn.loc[drawn["temperature"] == T, "value"]
                if len(of_one):
                    ax.ecdf(of_one.clip(lower=least), color=color, ls=line, label=f"T = {T}")
            if drawn.empty:
                ax.text(0.5, 0.5, f"no {which}", ha="center", transform=ax.transAxes)
            if which == "TLS":
                low, high = values.loc[values["quantity"] == name, "value"].clip(lower=least).agg(["min", "max"])
                ax.set(xlim=(0.7 * low, 1.5 * high))
                style.name_energy(ax, "x", DISTRIBUTIONS[name], settings)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(known))
    return Picture(figure, table.assign(share=share)[[*keys, "value", "share"]])


PANELS = {
    "heat capacity": ("C/V (J K⁻¹ m⁻³)", "heat capacity"),
    "internal friction": ("Q⁻¹, transverse", "internal friction, .*, transverse"),
    "thermal conductivity": ("κ (W m⁻¹ K⁻¹)", "thermal conductivity"),
    "distribution of Δ₀": ("per volume and decade (m⁻³)", "distribution of the tunnelling amplitude"),
    "distribution of the action": ("per volume and λ (m⁻³)", "distribution of the action"),
}
"""Axis and quantities of each panel of the observables."""


def draw_observables(table: pd.DataFrame, title: str, settings: Settings) -> Picture:
    """The observables of one temperature; their numbers are ``observables.csv``."""
    title += ": sums over independent TLS; bands: 68 %, glasses drawn anew × Poisson"
    with panels(12.0, 7.4, 2, 3, title) as (figure, axes):
        for ax, (name, (label, of)) in zip(axes, PANELS.items(), strict=False):
            rows = table[table["quantity"].str.fullmatch(of) & np.isfinite(table["value"])]
            notes = rows.loc[rows["frequency_Hz"].isna(), "warning"].head(1)
            ax.set(title="\n".join([name, *filter(None, notes)]), ylabel=label)
            if not (rows["value"] > 0).any():
                style.write_in_panel(ax, "no TLS of which it is known")
            elif rows["axis"].iloc[0] == "T (K)":
                _draw_quantities(ax, rows)
            else:
                of_energies = "Δ₀" in rows["axis"].iloc[0]
                x = 10.0 ** rows["x"] if of_energies else rows["x"]
                ax.plot(x, rows["value"], color=style.BLUE, drawstyle="steps-mid")
                ax.yaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
                ax.vlines(x, rows["low"], rows["high"], color=style.BLUE, alpha=0.4)
                ax.set(xscale="log" if of_energies else "linear", xlabel="action λ")
                if of_energies:
                    style.name_energy(ax, "x", "tunnelling amplitude Δ₀", settings)
        axes[-1].axis("off")
        named = axes[1].get_legend_handles_labels()
        figure.legend(*named, loc="center", bbox_to_anchor=(0.84, 0.28), title="internal friction")
    return Picture(figure, None)


def _draw_quantities(ax: Axes, rows: pd.DataFrame) -> None:
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
        said = f"above {TOO_LARGE:g}: too large to be a loss"
        ax.axhspan(TOO_LARGE, 3 * top, color=style.GREY, alpha=0.2, lw=0, label=said)


def draw_temperatures(workspace: Workspace, settings: Settings) -> list[Path]:
    """Draw what is known of all temperatures; the files written, none where there is nothing to draw."""
    tables = {T: read_double_wells(workspace.at(T)) for T in workspace.temperatures()}
    double_wells = {T: table for T, table in tables.items() if len(table)}
    densities = {T: density for T in double_wells if (density := tls_density(workspace.at(T), settings)) is not None}
    pictures = {
        workspace.tls_densities: draw_densities(densities, settings),
        workspace.tls_comparison: draw_comparison(double_wells, settings),
    }
    return [file for path, one in pictures.items() if one for file in one.save(path, settings.figures)]
