"""The pictures. They take numbers and know nothing of models; units are ε throughout."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from statsmodels.distributions.empirical_distribution import ECDF

from MLmodel.files import whole
from MLmodel.metrics import splitting_figures, tls_found

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


@contextmanager
def _picture(path: Path, width: float, height: float) -> Iterator[Figure]:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=200)
        yield figure
        with whole(path) as part:
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


def _say(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes)
    ax.set(xticks=[], yticks=[])
