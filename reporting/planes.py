"""Double wells as points in the planes that papers print: Δ and Δ₀, barrier and PR, γ_l and γ_t; and n(E)."""

import hashlib
import io
import re
from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from numpy.typing import NDArray

from pipeline.messages import counted
from pipeline.settings import Settings
from pipeline.workspace import QS
from reporting.style import BLUE, GREY, ORANGE, Picture, name_energy, panels, write_in_panel
from search.calculated import RESOLVED

EDGE = 1e-8  # smaller Δ and Δ₀ stand at the edge of the plane on the page, in ε
SHEAR = np.sqrt(0.75)  # γ_t/γ_l of a strain without change of volume: γ_l² = 2 tr γ²/15 and γ_t² = 3 tr γ²/30


def draw_planes(double_wells: pd.DataFrame, volume: float, settings: Settings, title: str) -> Picture:
    """The double wells of one temperature, TLS in colour; volume, of the glasses searched, is 0 where not known."""
    tls, energy = (double_wells[QS] < settings.tls_threshold).to_numpy(), settings.unit.energy
    title += f"; TLS in orange: {tls.sum()} of {len(tls)}"
    with panels(10.4, 8.6, 2, 2, title) as (figure, (plane, steps, barriers, couplings)):
        _draw_plane(plane, double_wells, tls, settings, RESOLVED * settings.unit.epsilon)
        _draw_steps(steps, double_wells, volume, settings)
        _draw_points(barriers, double_wells, tls, ("PR", "barrier"))
        barriers.set(xlabel="participation ratio")
        if barriers.collections:
            barriers.set_yscale("log")
            name_energy(barriers, "y", "barrier from the lower minimum", settings)
        _draw_points(couplings, double_wells, tls, ("gamma_l", "gamma_t"))
        couplings.set(xlabel=f"γ_l ({energy})", ylabel=f"γ_t ({energy})")
        if couplings.collections:
            couplings.axline((0, 0), slope=SHEAR, color=GREY, lw=1, ls="--", label="shear alone: γ_t = (3/4)^½ γ_l")
            couplings.set(xlim=(0, None), ylim=(0, None))
            couplings.legend(loc="upper left")
    return Picture(figure, None)


def page_plane(double_wells: pd.DataFrame, links: Sequence[str | None], settings: Settings) -> Markup:
    """The plane of Δ and Δ₀ for the report's page, where each TLS with a link, ``0.12/Cnf-1_0.1_0.2``, opens."""
    tls = (double_wells[QS] < settings.tls_threshold).to_numpy()
    known = double_wells[["level_asymmetry", "tunnelling_amplitude"]].notna().all(axis=1).to_numpy()
    drawn = io.StringIO()
    with panels(4.6, 3.7) as (figure, [ax]), matplotlib.rc_context({"svg.hashsalt": f"{links}"}):
        _draw_plane(ax, double_wells, tls, settings, EDGE * settings.unit.epsilon)
        for points in ax.collections[1:]:
            points.set_urls([link for link, shown in zip(links, known & tls, strict=True) if shown])
        FigureCanvasSVG(figure).print_svg(drawn)  # type: ignore[no-untyped-call]
    svg = re.sub(r"<metadata>.*?</metadata>| xmlns\S*=\S*", "", drawn.getvalue().partition("<svg")[2], flags=re.DOTALL)
    name = hashlib.sha256(f"{links}".encode()).hexdigest()[:8]  # for ids: a page has one of each temperature
    svg = re.sub(r'( id="|url\(#|<use xlink:href="#)', rf"\g<1>{name}-", svg)
    link = r'<a href="#tls/\1" data-opens="\1/\2" aria-label="TLS of \2"'
    svg = re.sub(r'<a xlink:href="([^"/]*)/([^"]*)"', link, svg)
    said = (
        f"Asymmetry Δ and tunnelling amplitude Δ₀ of {counted(int(known.sum()), 'double well')}; not defined, or "
        f"without a record, are those of {(~known).sum()} more. {(known & tls).sum()} TLS lie below the line: a click "
        "opens one"
    )
    return Markup('<div><svg class="plane" role="group"{}<p class="said">{}</p></div>').format(Markup(svg), said)


def _draw_points(
    ax: Axes, wells: pd.DataFrame, tls: NDArray[np.bool_], names: tuple[str, str], least: float = 0.0
) -> None:
    x, y = (wells[name].to_numpy(float) for name in names)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        write_in_panel(ax, "not known of any double well")
        return
    for chosen, colour, size in ((known & ~tls, BLUE, 8), (known & tls, ORANGE, 30)):
        ax.scatter(np.maximum(x[chosen], least), np.maximum(y[chosen], least), size, color=colour, linewidths=0)


def _draw_plane(ax: Axes, wells: pd.DataFrame, tls: NDArray[np.bool_], settings: Settings, edge: float) -> None:
    """Δ and Δ₀, from ``edge`` on, with the arc on which E is the threshold."""
    threshold = settings.tls_threshold
    _draw_points(ax, wells, tls, ("level_asymmetry", "tunnelling_amplitude"), edge)
    if not ax.collections:
        return
    angle = np.arctan(np.geomspace(1e-12, 1e12, 800))
    said = f"E = {threshold * settings.neb.epsilon:.3g} K"
    ax.plot(threshold * np.cos(angle), threshold * np.sin(angle), color=GREY, lw=1, ls="--", label=said)
    ax.set(xscale="log", yscale="log")
    name_energy(ax, "x", "asymmetry Δ", settings)
    name_energy(ax, "y", "tunnelling amplitude Δ₀", settings)
    both = wells[["level_asymmetry", "tunnelling_amplitude"]]
    low, lowest = both.clip(lower=edge).min()
    ax.set(xlim=(0.5 * min(low, threshold), None), ylim=(0.5 * min(lowest, threshold), None))
    if below := int((both <= edge).any(axis=1).sum()):
        ax.set_title(f"{below} with Δ or Δ₀ below {edge:.1g} {settings.unit.energy}, drawn there")
    ax.legend(loc="lower left")


def _draw_steps(ax: Axes, wells: pd.DataFrame, volume: float, settings: Settings) -> None:
    """n(E): a step at each double well."""
    splitting = np.sort(wells[QS].to_numpy(float))
    over = volume or 1.0
    number = np.arange(1, len(splitting) + 1) / over
    ax.step(np.append(splitting[0], splitting), np.append(0.5 / over, number), where="post", color=BLUE)
    ax.axvline(settings.tls_threshold, color=GREY, lw=1, ls="--")
    of = f" per volume ({settings.unit.length}⁻³)" if volume else ""
    ax.set(xscale="log", yscale="log", ylabel=f"double wells with splitting < E{of}")
    name_energy(ax, "x", "E", settings)
