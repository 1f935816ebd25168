"""Pictures of the search: the map of rearrangements, and the rounds."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from statsmodels.stats.proportion import proportion_confint

from pipeline.messages import counted
from pipeline.settings import Settings
from reporting import style
from reporting.style import Picture, panels


def draw_rearrangements(counted: pd.DataFrame, double_wells: pd.DataFrame, title: str, settings: Settings) -> Picture:
    """The map of rearrangements: how large each is and what is known of it; splittings against the energy difference.

    Two levels in two wells have the splitting E, E² = (Δ_q ΔE / ΔE_q)² + Δ₀², of which the smallest of each
    rearrangement says Δ_q and Δ₀: level at Δ₀, then in proportion to ΔE. Where both levels are in one well, E is less.
    """
    kinds = {
        "TLS in it": (style.ORANGE, counted["tls"] > 0),
        "double wells, no TLS yet": (style.BLUE, (counted["tls"] == 0) & (counted["double_wells"] > 0)),
        "no double well yet": (style.GREY, (counted["calculated"] > 0) & (counted["double_wells"] == 0)),
        "nothing calculated": (style.YELLOW, counted["calculated"] == 0),
    }
    rank = np.arange(1, len(counted) + 1)
    with panels(9.2, 6.6, 1, 2, title) as (figure, (sizes, splittings)):
        for name, (color, kind) in kinds.items():
            name = f"{name}: {kind.sum()}"
            sizes.plot(rank[kind], counted["pairs"][kind], "o", color=color, mec=style.GREY, label=name)
        sizes.set(xscale="log", yscale="log", xlabel="rearrangement, largest first", ylabel="pairs in it")
        _draw_forms(splittings, double_wells[double_wells["rearrangement"] > 0], settings)
        splittings.axhline(settings.tls_threshold, color=style.GREY, lw=1.0, ls=":", label="threshold of a TLS")
    return Picture(figure, counted.reset_index())


def _draw_forms(ax: Axes, double_wells: pd.DataFrame, settings: Settings) -> None:
    """Splittings against ΔE; the rearrangements with most double wells in a colour each, with their form."""
    known = double_wells[double_wells["asymmetry"].abs() > 0]
    most = known["rearrangement"].value_counts().index[: len(style.COLORS)]
    rest = known[~known["rearrangement"].isin(most)]
    if len(rest):
        ax.plot(rest["asymmetry"].abs(), rest["quantum_splitting"], ".", color=style.GREY, label="others")
    for number, color in zip(most, style.COLORS, strict=False):
        rows = known[known["rearrangement"] == number].sort_values("quantum_splitting")
        difference = rows["asymmetry"].abs().to_numpy()
        label = f"{number}: {counted(len(rows), 'double well')}"
        ax.plot(difference, rows["quantum_splitting"], ".", color=color, label=label)
        two = rows[rows["level_1_in_i"].notna() & ((rows["level_0_in_i"] > 0.5) != (rows["level_1_in_i"] > 0.5))]
        amplitude = two["tunnelling_amplitude"].iloc[0] if len(two) else np.nan
        if np.isfinite(amplitude):
            splitting, at = two["quantum_splitting"].iloc[0], abs(two["asymmetry"].iloc[0])
            x = np.geomspace(known["asymmetry"].abs().min(), difference.max(), 200)
            bias = np.sqrt(max(splitting**2 - amplitude**2, 0.0)) * x / max(at, 1e-12)
            ax.plot(x, np.hypot(bias, amplitude), "-", color=color, lw=1.0)
    ax.set(xscale="log", yscale="log", ylim=(0.5 * known["quantum_splitting"].min() if len(known) else None, None))
    style.name_energy(ax, "x", "|ΔE|", settings)
    style.name_energy(ax, "y", "splitting E", settings)


def draw_rounds(table: pd.DataFrame, title: str) -> Picture:
    """TLS found against NEBs, round after round, and what is to come; the rate of each round beside those by chance.

    The error bars of the rate are binomial: Clopper and Pearson's interval of 68 %. ``table``: rows of ``rounds.csv``.
    """
    known = table.drop(columns=["list", "classifier", "predictor"]).astype(float)
    with panels(9.2, 5.0, 1, 2, title) as (figure, (found, rates)):
        _draw_found(found, known)
        _draw_rates(rates, known)
    return Picture(figure, None)


def _draw_found(ax: Axes, known: pd.DataFrame) -> None:
    nebs, tls = (np.cumsum([0, *known[name]]) for name in ("nebs", "tls"))
    last = known.iloc[-1]
    ax.plot(nebs, tls, "o-", color=style.BLUE, zorder=3, label="TLS found")
    promised = known["tls_expected"].notna().to_numpy()
    expected = np.cumsum(known["tls_expected"].fillna(known["tls"]))[promised].to_numpy()
    deviation = np.sqrt(np.cumsum(known["tls_expected_sd"].fillna(0) ** 2))[promised].to_numpy()
    open_marks: Any = {"ms": 5, "mfc": "white", "capsize": 3}
    bars = [np.minimum(deviation, expected), deviation]
    name = "TLS expected, ± one standard deviation"
    ax.errorbar(nebs[1:][promised], expected, bars, fmt="s", color=style.ORANGE, label=name, **open_marks)
    ahead, forecast = nebs[-1] + last["next_nebs"], tls[-1] + last["next_tls"]
    ax.plot([nebs[-1], ahead], [tls[-1], forecast], ":", color=style.BLUE)
    bars = [[max(0, last["next_tls"] - last["next_tls_low"])], [max(0, last["next_tls_high"] - last["next_tls"])]]
    name = f"forecast: the next {last['next_nebs']:.0f} of the list, 68 % interval"
    ax.errorbar(ahead, forecast, bars, fmt="D", color=style.BLUE, label=name, **open_marks)
    ends = [tls[-1] + last[name] for name in ("remaining_low", "remaining_high")]
    name = f"forecast: all {last['remaining_pairs']:.0f} left on the list, 68 % interval"
    ax.axhspan(*ends, color=style.GREEN, alpha=0.2, lw=0)
    ax.axhline(tls[-1] + last["remaining_tls"], color=style.GREEN, ls="--", label=name)
    top = max(1, *ends, *(expected + deviation), tls[-1] + last["next_tls_high"])
    ax.set(xlabel="NEBs, all rounds together", ylabel="TLS", xlim=(0, 1.05 * max(ahead, 1)), ylim=(0, 1.08 * top))
    style.whole_numbers(ax.xaxis, ax.yaxis)


def _draw_rates(ax: Axes, known: pd.DataFrame) -> None:
    number = np.arange(1, len(known) + 1)
    nebs, tls = (known[name].to_numpy() for name in ("nebs", "tls"))
    run = nebs > 0
    low, high = (100 * np.asarray(end) for end in proportion_confint(tls[run], nebs[run], 0.32, method="beta"))
    rate = 100 * tls[run] / nebs[run]
    bars = (rate - low, high - rate)
    name = "NEBs of the round, with the\n68 % interval (binomial)"
    if run.any():  # without a point its box would be infinite
        ax.errorbar(number[run], rate, bars, fmt="o-", capsize=3, clip_on=False, color=style.BLUE, label=name)
    top = [1, *high]
    for column, name, color, line in (
        ("random_double_well_rate", "double wells, by chance", style.ORANGE, "s--"),
        ("random_pair_rate", "pairs under the ceilings, by chance", style.GREY, "^:"),
    ):
        by_chance = 100 * known[column].to_numpy()
        name = f"{name}: {by_chance[-1]:.2g}"
        ax.plot(number, by_chance, line, ms=5, mfc="white", color=color, clip_on=False, label=name)
        top.append(np.nanmax([0, *by_chance]))
    ax.set(xlabel="round", ylabel="TLS per 100 NEBs", ylim=(0, 1.05 * max(top)), xlim=(0.4, max(len(known), 3) + 0.6))
    style.whole_numbers(ax.xaxis)
