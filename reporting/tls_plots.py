"""Picture of what was found: barriers, amplitudes and asymmetries of the double wells, and how TLS are spread."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from pipeline.units import Units
from pipeline.workspace import QS
from reporting.plots import BLUE, GREEN, ORANGE, Picture, legend_below, say, styled_figure
from search.rearrangements import REARRANGEMENT

DISTRIBUTIONS = {
    "barrier": "barrier from the lower minimum",
    "tunnelling_amplitude": "tunnelling amplitude Δ₀",
    "asymmetry": "asymmetry of the minima",
}
"""Columns of ``double_wells.csv`` that are drawn, and their axes."""

SMALLEST = 1e-8
"""ε; smaller values are drawn here."""

BINS = 6
"""To a decade."""

MANY = 20
"""From so many in a bin on, counts are drawn on a logarithmic axis: it then has two powers of ten to name."""


def tls_statistics(double_wells: pd.DataFrame, threshold: float, title: str, units: Units) -> Picture:
    """Distributions over the double wells with TLS marked, and TLS per glass and per rearrangement.

    Parameters
    ----------
    double_wells : DataFrame
        As :func:`search.calculated.update_double_wells` gives it; what is not known (NaN) is counted in the title.
    threshold : float
        Below it a double well is a TLS.
    title : str
        Which double wells these are.
    units : Units
        Of double wells and threshold.

    Returns
    -------
    Picture
        Numbers: quantity; from, to, the edges of a bin, or both the number of TLS; count, of the double wells in
        the bin, or of the glasses or rearrangements with so many TLS; tls, those of the double wells that are TLS.
    """
    is_tls = double_wells[QS] < threshold
    with styled_figure(9.6, 8.2) as figure:
        panels = figure.subplots(2, 2).ravel()
        numbers = [
            _draw_distribution(ax, name, label, double_wells[name].astype(float), is_tls, threshold, units)
            for ax, (name, label) in zip(panels, DISTRIBUTIONS.items(), strict=False)
        ]
        numbers.append(_draw_spread(panels[-1], double_wells, is_tls))
        figure.suptitle(title, fontsize=11)
    table = pd.concat([part for part in numbers if part is not None], ignore_index=True)
    return Picture(figure, table.reindex(columns=["quantity", "from", "to", "count", "tls"]).astype({"tls": "Int64"}))


def _draw_distribution(
    ax: Axes,
    name: str,
    label: str,
    values: "pd.Series[float]",
    is_tls: "pd.Series[bool]",
    threshold: float,
    units: Units,
) -> pd.DataFrame | None:
    known, smallest = values.notna(), SMALLEST * units.epsilon
    ax.set(xlabel=f"{label} ({units.energy})", ylabel="double wells")
    if not known.any():
        say(ax, "not known of any double well")
        return None
    drawn = values[known].clip(lower=smallest)
    low, high = int(np.floor(np.log10(drawn.min()))), int(np.floor(np.log10(drawn.max()))) + 1
    edges = np.geomspace(10.0**low, 10.0**high, (high - low) * BINS + 1)
    edges[0] = min(edges[0], drawn.min())  # as rounded
    count, tls = (np.histogram(chosen, edges)[0] for chosen in (drawn, drawn[is_tls[known]]))
    ax.stairs(count, edges, fill=True, color=BLUE, alpha=0.35, label=f"double wells: {count.sum()}")
    label = f"TLS (splitting < {threshold:g} {units.energy}): {tls.sum()}"
    ax.stairs(tls, edges, fill=True, color=ORANGE, alpha=0.9, label=label)
    ax.set(xscale="log")
    ax.xaxis.set_minor_formatter(NullFormatter())
    _count_axis(ax, count.max())
    smaller = int((values < smallest).sum())
    notes = [f"{smaller} below {smallest:.2g} {units.energy}, drawn there"] if smaller else []
    if not known.all():
        notes.append(f"no value for {(~known).sum()} double wells, {(is_tls & ~known).sum()} of them TLS")
    ax.set_title("\n".join(notes))
    legend_below(ax)
    return pd.DataFrame({"quantity": name, "from": edges[:-1], "to": edges[1:], "count": count, "tls": tls})


def _count_axis(ax: Axes, largest: int) -> None:
    """Logarithmic where counts are of more than one order, else linear with whole numbers."""
    if largest >= MANY:
        ax.set(yscale="log", ylim=(0.7, None))
    else:
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_ylim(0, None)


def _draw_spread(ax: Axes, double_wells: pd.DataFrame, is_tls: "pd.Series[bool]") -> pd.DataFrame:
    sorted_wells = double_wells[REARRANGEMENT] > 0
    groups = {
        "glasses": is_tls.groupby(double_wells["conf"]).sum(),
        "rearrangements": is_tls[sorted_wells].groupby([double_wells["conf"], double_wells[REARRANGEMENT]]).sum(),
    }
    numbers, largest = [], 0
    styles = ((GREEN, -0.2, " with a double well"), (BLUE, 0.2, ""))
    for (name, found), (color, shift, which) in zip(groups.items(), styles, strict=True):
        count = np.bincount(found.astype(int), minlength=1)
        tls = np.arange(len(count))
        label = f"{name}{which}: {len(found)}, with a TLS: {(found > 0).sum()}"
        ax.bar(tls + shift, count, 0.38, color=color, label=label)
        largest = max(largest, count.max())
        numbers.append(pd.DataFrame({"quantity": f"tls_of_{name}", "from": tls, "to": tls, "count": count}))
    ax.set(xlabel="TLS in it", ylabel="glasses, rearrangements")
    _count_axis(ax, largest)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(ax)
    return pd.concat(numbers)
