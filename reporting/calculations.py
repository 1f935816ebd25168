"""Pictures of the search: map of rearrangements, rounds, planes that papers print. Distributions: ``found``."""

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from pipeline.messages import counted
from pipeline.settings import Settings
from pipeline.workspace import QS
from reporting import style
from reporting.style import Picture, panels
from search.calculated import RESOLVED

FORMS = (1, "-"), (-1, "--")  # which end of the motion the lower minimum is at, and the line


def draw_rearrangements(counts: pd.DataFrame, double_wells: pd.DataFrame, title: str, settings: Settings) -> Picture:
    """The map of rearrangements: how large each is and what is known of it; splittings against the energy difference.

    Two levels in two wells have the splitting E, E² = (z ± ΔE)² + Δ₀². The smallest of each rearrangement says Δ₀ and
    z, the difference of zero-point energies along its path; − is for pairs whose lower minimum is at the other end of
    the motion. Where both levels are in one well, E is less.
    """
    kinds = {
        "TLS in it": (style.ORANGE, counts["tls"] > 0),
        "double wells, no TLS yet": (style.BLUE, (counts["tls"] == 0) & (counts["double_wells"] > 0)),
        "no double well yet": (style.GREY, (counts["calculated"] > 0) & (counts["double_wells"] == 0)),
        "nothing calculated": (style.YELLOW, counts["calculated"] == 0),
    }
    rank = np.arange(1, len(counts) + 1)
    wells = double_wells[double_wells["rearrangement"] > 0]
    drawn = wells[wells["asymmetry"].notna()]
    level, known = (drawn[which] for which in (drawn["asymmetry"] == 0, drawn["asymmetry"] != 0))
    most = known["rearrangement"].value_counts().index[: len(style.COLORS)]
    rest = known[~known["rearrangement"].isin(most)]
    with panels(9.2, 6.6, 1, 2, title) as (figure, (sizes, ax)):
        for name, (color, kind) in kinds.items():
            name = f"{name}: {kind.sum()}"
            sizes.plot(rank[kind], counts["pairs"][kind], "o", color=color, mec=style.GREY, label=name)
        sizes.set(xscale="log", yscale="log", xlabel="rearrangement, largest first", ylabel="pairs in it")
        if len(level):  # a logarithmic axis has no place for them: x in parts of the panel
            edge: Any = {"transform": ax.get_yaxis_transform(), "clip_on": False, "color": style.GREY}
            label = f"ΔE = 0, at the edge: {len(level)}"
            ax.plot(np.zeros(len(level)), level["quantum_splitting"], "<", label=label, **edge)
        if len(drawn) < len(wells):
            ax.set_title(f"{len(wells) - len(drawn)} more without a record")
        if len(rest):
            ax.plot(rest["asymmetry"].abs(), rest["quantum_splitting"], ".", color=style.GREY, label="others")
        for number, color in zip(most, style.COLORS, strict=False):
            rows = known[known["rearrangement"] == number].sort_values("quantum_splitting")
            label = f"{number}: {counted(len(rows), 'double well')}"
            ax.plot(rows["asymmetry"].abs(), rows["quantum_splitting"], ".", color=color, label=label)
            two = rows[rows["level_1_in_i"].notna() & ((rows["level_0_in_i"] > 0.5) != (rows["level_1_in_i"] > 0.5))]
            amplitude = two["tunnelling_amplitude"].iloc[0] if len(two) else np.nan
            if np.isfinite(amplitude):
                x = np.geomspace(known["asymmetry"].abs().min(), known["asymmetry"].abs().max(), 400)
                bias = np.sqrt(max(two["quantum_splitting"].iloc[0] ** 2 - amplitude**2, 0.0))
                zero_point = (bias if two["level_0_in_i"].iloc[0] > 0.5 else -bias) - two["asymmetry"].iloc[0]
                for sign, line in FORMS:
                    ax.plot(x, np.hypot(zero_point + sign * x, amplitude), line, color=color, lw=1.0)
        for sign, line in FORMS if len(known) else ():
            name = f"E² = (z {'+' if sign > 0 else '−'} |ΔE|)² + Δ₀² of the smallest"
            ax.plot([], [], line, color=style.GREY, lw=1.0, label=name)
        lowest = 0.5 * drawn["quantum_splitting"].min() if len(drawn) else None
        ax.set(xscale="log", yscale="log", ylim=(lowest, None))
        style.name_energy(ax, "x", "|ΔE|", settings)
        style.name_energy(ax, "y", "splitting E", settings)
        ax.axhline(settings.tls_threshold, color=style.GREY, lw=1.0, ls=":", label="threshold of a TLS")
    return Picture(figure, counts.reset_index())


def draw_rounds(table: pd.DataFrame, title: str) -> Picture:
    """TLS found against NEBs, round after round, and what is to come; the rate of each round beside those by chance.

    The error bars of the rate are binomial: Clopper and Pearson's interval of 68 %. ``table``: rows of ``rounds.csv``.
    """
    known = table.drop(columns=["list", "classifier", "predictor"]).astype(float)
    nebs, tls, last = known["nebs"].to_numpy(), known["tls"].to_numpy(), known.iloc[-1]
    done, found = (np.cumsum([0, *values]) for values in (nebs, tls))
    promised = known["tls_expected"].notna().to_numpy()
    expected = np.cumsum(known["tls_expected"].fillna(known["tls"]))[promised].to_numpy()
    deviation = np.sqrt(np.cumsum(known["tls_expected_sd"].fillna(0) ** 2))[promised].to_numpy()
    ahead, forecast = done[-1] + last["next_nebs"], found[-1] + last["next_tls"]
    number, run = np.arange(1, len(known) + 1), nebs > 0
    low, high = (100 * np.asarray(end) for end in proportion_confint(tls[run], nebs[run], 0.32, method="beta"))
    rate = 100 * tls[run] / nebs[run]
    open_marks: Any = {"ms": 5, "mfc": "white"}
    with panels(9.2, 5.0, 1, 2, title) as (figure, (ax, rates)):
        ax.plot(done, found, "o-", color=style.BLUE, zorder=3, label="TLS found")
        how: Any = {**open_marks, "capsize": 3}
        bars = [np.minimum(deviation, expected), deviation]
        name = "TLS expected, ± one standard deviation"
        ax.errorbar(done[1:][promised], expected, bars, fmt="s", color=style.ORANGE, label=name, **how)
        ax.plot([done[-1], ahead], [found[-1], forecast], ":", color=style.BLUE)
        bars = [[max(0, last["next_tls"] - last["next_tls_low"])], [max(0, last["next_tls_high"] - last["next_tls"])]]
        name = f"forecast: the next {last['next_nebs']:.0f} of the list, 68 % interval"
        ax.errorbar(ahead, forecast, bars, fmt="D", color=style.BLUE, label=name, **how)
        ends = [found[-1] + last[name] for name in ("remaining_low", "remaining_high")]
        name = f"forecast: all {last['remaining_pairs']:.0f} left on the list, 68 % interval"
        ax.axhspan(*ends, color=style.GREEN, alpha=0.2, lw=0)
        ax.axhline(found[-1] + last["remaining_tls"], color=style.GREEN, ls="--", label=name)
        top = max(1, *ends, *(expected + deviation), found[-1] + last["next_tls_high"])
        ax.set(xlabel="NEBs, all rounds together", ylabel="TLS", xlim=(0, 1.05 * max(ahead, 1)), ylim=(0, 1.08 * top))
        style.whole_numbers(ax.xaxis, ax.yaxis, rates.xaxis)
        how = {"clip_on": False, "color": style.BLUE, "label": "NEBs of the round, with the\n68 % interval (binomial)"}
        if run.any():  # without a point its box would be infinite
            rates.errorbar(number[run], rate, (rate - low, high - rate), fmt="o-", capsize=3, **how)
        top = max([1, *high])
        for column, name, color, line in (
            ("random_double_well_rate", "double wells, by chance", style.ORANGE, "s--"),
            ("random_pair_rate", "pairs under the ceilings, by chance", style.GREY, "^:"),
        ):
            by_chance = 100 * known[column].to_numpy()
            name = f"{name}: {by_chance[-1]:.2g}"
            rates.plot(number, by_chance, line, color=color, clip_on=False, label=name, **open_marks)
            top = np.nanmax([top, *by_chance])
        reach = max(len(known), 3) + 0.6
        rates.set(xlabel="round", ylabel="TLS per 100 NEBs", ylim=(0, 1.05 * top), xlim=(0.4, reach))
    return Picture(figure, None)


PLANE = ["level_asymmetry", "tunnelling_amplitude"]  # Δ and Δ₀
EDGE = 1e-8  # smaller Δ and Δ₀ stand at the edge of the plane on the page, in ε
SHEAR = np.sqrt(0.75)  # γ_t/γ_l of a strain without change of volume: γ_l² = 2 tr γ²/15 and γ_t² = 3 tr γ²/30


def draw_planes(double_wells: pd.DataFrame, volumes: "pd.Series[float]", settings: Settings, title: str) -> Picture:
    """The double wells of one temperature, TLS in colour; volumes of the glasses searched, by their number.

    n(E) has a step at each double well of these glasses; where there are none, it is their number.
    """
    tls, unit = (double_wells[QS] < settings.tls_threshold).to_numpy(), settings.unit
    searched, volume = double_wells["conf"].isin(volumes.index), float(volumes.sum())
    stepped = double_wells[searched] if volume else double_wells
    title += f"; TLS in orange: {tls.sum()} of {len(tls)}"
    with panels(10.4, 8.6, 2, 2, title) as (figure, (plane, steps, barriers, couplings)):
        _draw_plane(plane, double_wells, tls, settings, RESOLVED * unit.epsilon)
        if len(stepped) < len(double_wells):
            steps.set_title(f"{(~searched).sum()} in glasses without minima left out")
        if stepped.empty:
            style.write_in_panel(steps, "no double well is in a glass with minima")
        else:
            splitting, over = np.sort(stepped[QS].to_numpy(float)), volume or 1.0
            number = np.append(0.5, np.arange(1, len(splitting) + 1)) / over
            steps.step(np.append(splitting[0], splitting), number, where="post", color=style.BLUE)
            steps.axvline(settings.tls_threshold, color=style.GREY, lw=1, ls="--")
            of = f" per volume ({unit.length}⁻³)" if volume else ""
            steps.set(xscale="log", yscale="log", ylabel=f"double wells with splitting < E{of}")
            style.name_energy(steps, "x", "E", settings)
        _draw_points(barriers, double_wells, tls, ["PR", "barrier"])
        barriers.set(xlabel="participation ratio")
        if barriers.collections:
            barriers.set_yscale("log")
            style.name_energy(barriers, "y", "barrier from the lower minimum", settings)
        _draw_points(couplings, double_wells, tls, ["gamma_l", "gamma_t"])
        couplings.set(xlabel=f"γ_l ({unit.energy})", ylabel=f"γ_t ({unit.energy})")
        if couplings.collections:
            said = "shear alone: γ_t = (3/4)^½ γ_l"
            couplings.axline((0, 0), slope=SHEAR, color=style.GREY, lw=1, ls="--", label=said)
            couplings.set(xlim=(0, None), ylim=(0, None))
            couplings.legend(loc="upper left")
    return Picture(figure, None)


def page_plane(double_wells: pd.DataFrame, T: str, opened: Sequence[str | None], settings: Settings) -> Markup:
    """The plane of Δ and Δ₀ for the report's page, a link from each TLS with a name of those that can be opened."""
    tls = (double_wells[QS] < settings.tls_threshold).to_numpy()
    known = double_wells[PLANE].notna().all(axis=1).to_numpy()
    drawn = io.StringIO()
    with panels(4.6, 3.7) as (figure, [ax]), matplotlib.rc_context({"svg.hashsalt": T}):
        _draw_plane(ax, double_wells, tls, settings, EDGE * settings.unit.epsilon)
        for points in ax.collections:
            points.set_rasterized(True)  # many double wells make no large page
        linked = known & np.array([name is not None for name in opened])
        x, y = double_wells.loc[linked, PLANE].clip(lower=EDGE * settings.unit.epsilon).to_numpy().T
        ax.scatter(x, y, 30, color=style.ORANGE, linewidths=0, urls=np.array(opened)[linked])
        FigureCanvasSVG(figure).print_svg(drawn)  # type: ignore[no-untyped-call]
    svg = drawn.getvalue().partition("<svg")[2]
    for pattern, instead in (
        (r"(?s)<metadata>.*?</metadata>| xmlns\S*=\S*", ""),
        (r'( id="|url\(#|<use xlink:href="#)', rf"\g<1>{T}-"),  # a page has one of each temperature
        (r'<a xlink:href="([^"]*)"', rf'<a href="#tls/{T}" data-opens="{T}/\1" aria-label="TLS of \1"'),
    ):
        svg = re.sub(pattern, instead, svg)
    said = (
        f"Asymmetry Δ and tunnelling amplitude Δ₀ of {counted(int(known.sum()), 'double well')}; not defined, or "
        f"without a record, are those of {(~known).sum()} more. {(known & tls).sum()} TLS lie below the line: a click "
        "opens one"
    )
    return Markup('<div><svg class="plane" role="group"{}<p class="said">{}</p></div>').format(Markup(svg), said)


def _draw_points(ax: Axes, wells: pd.DataFrame, tls: NDArray[np.bool_], names: list[str], least: float = 0.0) -> None:
    x, y = (wells[name].to_numpy(float) for name in names)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        style.write_in_panel(ax, "not known of any double well")
        return
    if not known.all():
        ax.set_title(f"not known of {(~known).sum()} of {len(known)}, {(tls & ~known).sum()} of these TLS")
    for chosen, colour, size in ((known & ~tls, style.BLUE, 8), (known & tls, style.ORANGE, 30)):
        ax.scatter(np.maximum(x[chosen], least), np.maximum(y[chosen], least), size, color=colour, linewidths=0)


def _draw_plane(ax: Axes, wells: pd.DataFrame, tls: NDArray[np.bool_], settings: Settings, edge: float) -> None:
    """Δ and Δ₀, from ``edge`` on, with the arc on which E is the threshold."""
    threshold = settings.tls_threshold
    _draw_points(ax, wells, tls, PLANE, edge)
    if not ax.collections:
        return
    angle = np.arctan(np.geomspace(1e-12, 1e12, 800))
    said = f"E = {threshold * settings.neb.epsilon:.3g} K"
    ax.plot(threshold * np.cos(angle), threshold * np.sin(angle), color=style.GREY, lw=1, ls="--", label=said)
    ax.set(xscale="log", yscale="log")
    style.name_energy(ax, "x", "asymmetry Δ", settings)
    style.name_energy(ax, "y", "tunnelling amplitude Δ₀", settings)
    both = wells[PLANE].dropna()
    low, lowest = both.clip(lower=edge).min()
    ax.set(xlim=(0.5 * min(low, threshold), None), ylim=(0.5 * min(lowest, threshold), None))
    if below := int((both <= edge).any(axis=1).sum()):
        said = f"{below} with Δ or Δ₀ below {edge:.1g} {settings.unit.energy}, drawn there"
        ax.set_title("\n".join(filter(None, [ax.get_title(), said])))
    ax.legend(loc="lower left")
