"""The pictures. They take numbers and know nothing of models; units are ε throughout."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from statsmodels.distributions.empirical_distribution import ECDF

from MLmodel.metrics import splitting_figures, tls_found
from pipeline.files import atomic_write

Array = NDArray[np.float64]

# Okabe and Ito's palette, told apart by every common kind of colour vision.
_BLUE, _ORANGE, _GREEN, _YELLOW, _GREY = "#0072B2", "#D55E00", "#009E73", "#F0E442", "#767676"
_STYLE: Any = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


class NebProfile(NamedTuple):
    """Potential energy along a path; lengths in σ, energies in ε."""

    name: str
    lengths: Array
    """Of the images, shape (n_images,)."""
    energies: Array
    x: Array
    """Where V is drawn, shape (n_points,)."""
    potential: Array
    levels: tuple[float, float]


@contextmanager
def _picture(path: Path, width: float, height: float) -> Iterator[Figure]:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=200)
        yield figure
        with atomic_write(path) as part:
            figure.savefig(part, format="png", bbox_inches="tight")


def true_against_predicted(path: Path, panels: Mapping[str, tuple[Array, Array]], threshold: float, which: str) -> None:
    """Predicted against exact splitting on logarithmic axes, a panel per temperature, the TLS region marked.

    Parameters
    ----------
    path : Path
        The PNG to write.
    panels : mapping of str to (exact, predicted)
        Arrays of shape (n_pairs,) by temperature.
    threshold : float
        Below it a double well is a TLS.
    which : str
        What the pairs are, for the title.
    """
    with _picture(path, 4.6 * len(panels) + 0.4, 4.8) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (temperature, (exact, predicted)) in zip(axes, panels.items(), strict=True):
            low, high = _limits(exact, predicted, threshold)
            outside = (exact < low) | (exact > high) | (predicted < low) | (predicted > high)
            ax.axvspan(low, threshold, color=_YELLOW, alpha=0.35, lw=0, label=f"TLS: splitting < {threshold:g} ε")
            ax.axhline(threshold, color=_ORANGE, lw=1, ls="--", label="predicted TLS: below this line")
            alpha = float(np.clip(1000 / max(len(exact), 1), 0.3, 0.8))
            ax.plot(exact, predicted, ".", ms=4, alpha=alpha, color=_BLUE, mew=0, rasterized=True)
            ax.plot([low, high], [low, high], color="black", lw=1, label="predicted = exact")
            if outside.any():
                edge = [np.clip(values[outside], low, high) for values in (exact, predicted)]
                name = f"{outside.sum()} outside the frame, drawn at its edge"
                ax.plot(*edge, "D", ms=5, mfc="none", mec=_BLUE, clip_on=False, label=name)
            ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
            figures = splitting_figures(exact, predicted, threshold)
            ax.set_title(
                f"T = {temperature}, {which}: {len(exact)} pairs\n"
                f"rms deviation {figures['rms deviation of log10']:.3f} in log₁₀",
                fontsize=10,
            )
            ax.set(xlabel="exact quantum splitting (ε)", ylabel="predicted quantum splitting (ε)")
            ax.legend(loc="upper left", fontsize=8, frameon=True, framealpha=0.9, edgecolor="none")


def _limits(exact: Array, predicted: Array, threshold: float) -> tuple[float, float]:
    """Axis range that leaves at most the largest half percent outside."""
    both = np.concatenate([exact, predicted])
    high = float(np.quantile(both, 0.995, method="higher")) if len(both) else threshold
    low = float(both.min()) if len(both) else threshold
    return 0.5 * min(low, threshold), 2.0 * max(high, threshold)


def splitting_cdf(path: Path, exact: Array, predicted: Array, threshold: float, title: str) -> None:
    """Cumulative distributions of exact and predicted splitting over the same pairs.

    Parameters
    ----------
    path : Path
        The PNG to write.
    exact, predicted : ndarray of shape (n_pairs,)
        Quantum splittings.
    threshold : float
        Below it a double well is a TLS.
    title : str
        What the pairs are.
    """
    with _picture(path, 5.6, 4.4) as figure:
        ax = figure.subplots()
        low, high = _limits(exact, predicted, threshold)
        ax.axvspan(low, threshold, color=_YELLOW, alpha=0.35, lw=0, label=f"TLS: splitting < {threshold:g} ε")
        for values, name, color, line in ((exact, "exact", _BLUE, "-"), (predicted, "predicted", _ORANGE, "--")):
            if len(values):
                ecdf = ECDF(values)
                ax.step(ecdf.x, ecdf.y, where="post", color=color, ls=line, label=name)
        floor = 0.5 / max(len(exact), 1)
        ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(floor, 1.5), title=title)
        ax.set(xlabel="quantum splitting (ε)", ylabel="share of pairs with a smaller splitting")
        ax.title.set_fontsize(10)
        ax.legend(loc="lower right")


def search_efficiency(path: Path, exact: Array, predicted: Array, threshold: float, title: str) -> None:
    """TLS found against NEBs run in the order of the prediction; arguments as :func:`splitting_cdf`."""
    with _picture(path, 5.6, 4.4) as figure:
        ax = figure.subplots()
        found = tls_found(exact, predicted, threshold)
        tls = int(found[-1]) if len(found) else 0
        if not tls:
            _say(ax, "no TLS among these pairs:\nnothing to search for")
        else:
            runs = np.arange(1, len(found) + 1)
            ideal = np.minimum(runs, tls)
            ax.step(runs, ideal, where="post", color=_GREEN, lw=4, alpha=0.5, label="ideal: every NEB a TLS")
            ax.step(runs, found, where="post", color=_BLUE, label="in the order of the prediction")
            ax.plot(runs, runs * tls / len(found), color=_GREY, ls=":", label="chance: in any order")
            ax.set(xscale="log", xlim=(0.9, max(len(found), 2)), ylim=(0, 1.08 * tls))
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
            figure.legend(loc="outside lower center", ncols=1)
        ax.set_title(title, fontsize=10)
        ax.set(xlabel="NEBs run", ylabel=f"TLS found, of {tls}")


def neb_profiles(path: Path, profiles: Sequence[NebProfile], threshold: float, title: str) -> None:
    """V(x) of double wells with their two lowest levels, a panel each.

    Parameters
    ----------
    path : Path
        The PNG to write.
    profiles : sequence of NebProfile
        At least one.
    threshold : float
        In ε; below it a double well is a TLS, which its panel says.
    title : str
        Which pairs these are.
    """
    columns = min(3, len(profiles))
    rows = -(-len(profiles) // columns)
    with _picture(path, 3.6 * columns + 0.3, 3.0 * rows + 0.9) as figure:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, one in zip(panels, profiles, strict=False):
            floor = one.energies.min()
            ax.plot(one.x, one.potential - floor, color=_BLUE, label="V between the images, parabolas outside")
            ax.plot(one.lengths, one.energies - floor, "o", ms=3.5, color=_BLUE, mfc="white", label="images")
            for level, color, line, name in zip(one.levels, (_ORANGE, _GREEN), ("-", "--"), "₀₁", strict=True):
                ax.axhline(level - floor, color=color, ls=line, lw=1.4, label=f"level E{name}")
            splitting = one.levels[1] - one.levels[0]
            ax.set_title(
                f"{one.name}\nE₁ − E₀ = {splitting:.3g} ε{' (TLS)' if splitting < threshold else ''}", fontsize=9
            )
            top = max(one.energies.max(), one.levels[1]) - floor
            ax.set(xlabel="path length x (σ)", ylabel="V − min V (ε)", ylim=(-0.06 * top, 1.35 * top))
        for ax in panels[len(profiles) :]:
            ax.set_visible(False)
        figure.suptitle(title, fontsize=11)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, 2 * columns))


def rounds(path: Path, nebs: Array, double_wells: Array, tls: Array, chance: Array, title: str) -> None:
    """What each round of NEBs found, and its rate of TLS beside that of double wells taken at random.

    Parameters
    ----------
    path : Path
        The PNG to write.
    nebs, double_wells, tls : ndarray of shape (n_rounds,)
        Counts of each round, the double wells and TLS among the NEBs.
    chance : ndarray of shape (n_rounds,)
        TLS a NEB at random; NaN where unknown.
    title : str
        What the rounds are of.
    """
    with _picture(path, 8.6, 4.2) as figure:
        counts, rates = figure.subplots(1, 2)
        number = np.arange(1, len(nebs) + 1)
        for values, color, name in (
            (nebs, "#CCCCCC", "NEBs"),
            (double_wells, _BLUE, "double wells"),
            (tls, _ORANGE, "TLS"),
        ):
            bars = counts.bar(number, values, color=color, width=0.7, label=name)
            if name == "NEBs":
                counts.bar_label(bars, [f"{count:.0f} TLS" for count in tls], fontsize=9)
        counts.set(xlabel="round", ylabel="pairs", ylim=(0, 1.2 * max(nebs.max(), 1)))
        counts.legend(loc="upper left", ncols=3, fontsize=9)
        rate = 100 * tls / np.maximum(nebs, 1)
        rates.plot(number, np.where(nebs > 0, rate, np.nan), "o-", color=_BLUE, label="from the top of the list")
        rates.plot(number, 100 * chance, "s:", color=_GREY, mfc="white", label="double wells at random")
        rates.set(
            xlabel="round", ylabel="TLS per 100 NEBs", ylim=(0, 1.25 * max(np.nanmax([*rate, *(100 * chance)]), 1))
        )
        rates.legend(loc="upper right", fontsize=9)
        for ax in (counts, rates):
            ax.set_xlim(0.4, max(len(nebs), 3) + 0.6)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.suptitle(title, fontsize=11)


def _say(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes)
    ax.set(xticks=[], yticks=[])
