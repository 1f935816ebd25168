"""The pictures: a function each, which takes numbers and knows nothing of models. Energies in ε, lengths in σ."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter
from statsmodels.stats.proportion import proportion_confint

from MLmodel.metrics import Array, predictor_metrics, smallest_tenth, tls_found
from pipeline.files import atomic_write
from pipeline.keys import Pair

# Okabe and Ito's palette, told apart by every common kind of colour vision.
BLUE, ORANGE, GREEN, YELLOW, GREY = "#0072B2", "#D55E00", "#009E73", "#F0E442", "#767676"
_STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.8,
    "pdf.fonttype": 42,  # journals refuse Type 3 fonts, matplotlib's default
}


class Picture(NamedTuple):
    """A figure and the numbers it shows."""

    figure: Figure
    numbers: pd.DataFrame | None
    """None where the numbers have a file already."""

    def save(self, path: Path, formats: Sequence[str]) -> list[Path]:
        """Write the figure in each format, and its numbers as CSV beside it.

        Parameters
        ----------
        path : Path
            Where; its suffix gives way to that of each file.
        formats : sequence of str
            ``png``, ``pdf``, ``svg``.

        Returns
        -------
        list of Path
            All files written, the CSV last.
        """
        written = [path.with_suffix(f".{name}") for name in formats]
        for target, name in zip(written, formats, strict=True):
            with matplotlib.rc_context(_STYLE), atomic_write(target) as part:
                self.figure.savefig(part, format=name, bbox_inches="tight")
        if self.numbers is not None:
            written.append(path.with_suffix(".csv"))
            with atomic_write(written[-1]) as part:
                self.numbers.to_csv(part, index=False)
        return written


class NebProfile(NamedTuple):
    """Potential energy along a path; lengths in σ, energies in ε."""

    pair: Pair
    lengths: Array
    """Of the images, shape (n_images,)."""
    energies: Array
    x: Array
    """Where V is drawn, shape (n_points,)."""
    potential: Array
    levels: tuple[float, float]
    one_well: bool
    """Whether both levels lie in the same well."""


@contextmanager
def styled_figure(width: float, height: float) -> Iterator[Figure]:
    """An empty figure, to be drawn into within the block; width and height in inches."""
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained", dpi=200)


def true_against_predicted(panels: Mapping[str, tuple[Array, Array]], threshold: float, subset: str) -> Picture:
    """Predicted against exact splitting on logarithmic axes, a panel per temperature, the TLS region marked.

    Parameters
    ----------
    panels : mapping of str to (exact, predicted)
        Arrays of shape (n_pairs,), quantum splittings in ε, by temperature.
    threshold : float
        In ε; below it a double well is a TLS.
    subset : str
        What the pairs are, for the titles.

    Returns
    -------
    Picture
        Numbers: temperature, exact_epsilon, predicted_epsilon; a row per pair.
    """
    with styled_figure(4.6 * len(panels) + 0.4, 5.6) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (temperature, (exact, predicted)) in zip(axes, panels.items(), strict=True):
            ax.set_title(f"T = {temperature}, {subset}: {_count(exact)}")
            ax.set(xlabel="exact quantum splitting (ε)", ylabel="predicted quantum splitting (ε)", box_aspect=1)
            if len(exact):
                _draw_true_against_predicted(ax, exact, predicted, threshold)
            else:
                _say(ax, "no pairs")
    columns = ("exact_epsilon", "predicted_epsilon")
    numbers = [
        pd.DataFrame({"temperature": temperature, **dict(zip(columns, both, strict=True))})
        for temperature, both in panels.items()
    ]
    return Picture(figure, pd.concat(numbers, ignore_index=True))


def _draw_true_against_predicted(ax: Axes, exact: Array, predicted: Array, threshold: float) -> None:
    deviation = predictor_metrics(exact, predicted, threshold)["rms deviation of log10"]
    ax.set_title(f"{ax.get_title()}\nrms deviation {deviation:.3f} in log₁₀")
    low, high = _limits(exact, predicted, threshold)
    outside = (exact < low) | (exact > high) | (predicted < low) | (predicted > high)
    ax.axvspan(low, threshold, color=YELLOW, alpha=0.35, lw=0, label=f"TLS: exact splitting < {threshold:g} ε")
    ax.axhline(threshold, color=ORANGE, lw=1, ls="--", label="predicted to be TLS: below this line")
    ax.plot([low, high], [low, high], color="black", lw=1, label="predicted = exact")
    size = 7 if len(exact) < 200 else 4
    alpha = float(np.clip(1000 / len(exact), 0.3, 0.8))
    ax.plot(exact, predicted, ".", ms=size, alpha=alpha, color=BLUE, mew=0, rasterized=True, label="a pair")
    if outside.any():
        edge = [np.clip(values[outside], low, high) for values in (exact, predicted)]
        name = f"{outside.sum()} outside the frame, drawn at its edge"
        ax.plot(*edge, "D", ms=5, mfc="none", mec=BLUE, clip_on=False, label=name)
    ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    label_log_axes(ax)
    _legend_below(ax)


def _limits(exact: Array, predicted: Array, threshold: float) -> tuple[float, float]:
    """Axis range that leaves at most the largest half percent outside."""
    both = np.concatenate([exact, predicted])
    return 0.5 * min(both.min(), threshold), 2.0 * max(float(np.quantile(both, 0.995, method="higher")), threshold)


def splitting_cdf(exact: Array, predicted: Array, threshold: float, title: str) -> Picture:
    """Cumulative distributions of exact and predicted splitting over the same pairs.

    Parameters
    ----------
    exact, predicted : ndarray of shape (n_pairs,)
        Quantum splittings in ε.
    threshold : float
        In ε; below it a double well is a TLS.
    title : str
        What the pairs are.

    Returns
    -------
    Picture
        Numbers: quantity, exact or predicted; splitting_epsilon; share, of pairs with this splitting or a smaller one.
    """
    both = {"exact": exact, "predicted": predicted}
    with styled_figure(5.6, 5.0) as figure:
        ax = figure.subplots()
        ax.set(title=title, xlabel="quantum splitting (ε)", ylabel="share of pairs up to this splitting")
        if len(exact):
            low, high = _limits(exact, predicted, threshold)
            ax.axvspan(low, threshold, color=YELLOW, alpha=0.35, lw=0, label=f"TLS: splitting < {threshold:g} ε")
            for (name, values), color, line in zip(both.items(), (BLUE, ORANGE), ("-", "--"), strict=True):
                ax.ecdf(values, color=color, ls=line, label=name)
            ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(0.5 / len(exact), 1.5))
            label_log_axes(ax)
            _legend_below(ax)
        else:
            _say(ax, "no pairs")
    numbers = [
        pd.DataFrame({"quantity": name, "splitting_epsilon": np.sort(values)}).assign(
            share=lambda rows: rows["splitting_epsilon"].rank(method="max", pct=True)
        )
        for name, values in both.items()
    ]
    return Picture(figure, pd.concat(numbers, ignore_index=True))


def search_efficiency(exact: Array, predicted: Array, threshold: float, title: str) -> Picture:
    """TLS found against NEBs run in the order of the prediction; without a TLS, pairs of the smallest tenth found.

    Parameters
    ----------
    exact, predicted : ndarray of shape (n_pairs,)
        Quantum splittings in ε; infinite where a pair is no double well.
    threshold : float
        In ε; below it a double well is a TLS.
    title : str
        What the pairs are.

    Returns
    -------
    Picture
        Numbers: nebs; found, ideal and chance, the TLS after so many; a row per NEB.
    """
    label, limit = "TLS found, of {}", threshold
    if len(exact) and not (exact < threshold).any():
        largest = smallest_tenth(exact)
        label, limit = "smallest tenth found, of {}", np.nextafter(largest, np.inf)
        title += f"\nno TLS (< {threshold:g} ε): search for the smallest tenth (≤ {largest:.3g} ε)"
    found = tls_found(exact, predicted, limit)
    total = int(found[-1]) if len(found) else 0
    nebs = np.arange(1, len(found) + 1)
    mark = "o" if len(found) < 20 else ""  # a step of one point is not seen
    ideal, chance = np.minimum(nebs, total), nebs * total / max(len(found), 1)
    with styled_figure(5.6, 5.0) as figure:
        ax = figure.subplots()
        ax.set(title=title, xlabel="NEBs run", ylabel=label.format(total))
        if total:
            ax.step(nebs, ideal, where="post", color=GREEN, lw=4, alpha=0.5, label="ideal: every NEB finds one")
            ax.step(nebs, found, where="post", color=BLUE, marker=mark, ms=4, label="in the order of the prediction")
            ax.plot(nebs, chance, color=GREY, ls=":", label="chance: in any order")
            ax.set(xscale="log", xlim=(0.95, 1.05 * max(len(found), 2)), ylim=(0, 1.08 * total))
            label_log_axes(ax)
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
            _legend_below(ax)
        else:
            ax.set(title=title.splitlines()[0], ylabel="TLS found")
            _say(ax, "no double well among these pairs" if len(exact) else "no pairs")
    return Picture(figure, pd.DataFrame({"nebs": nebs, "found": found, "ideal": ideal, "chance": chance}))


def neb_profiles(profiles: Sequence[NebProfile], threshold: float, title: str) -> Picture:
    """V(x) of double wells with their two lowest levels, a panel each.

    Parameters
    ----------
    profiles : sequence of NebProfile
        At least one.
    threshold : float
        In ε; below it a double well is a TLS, which its panel says.
    title : str
        Which pairs these are.

    Returns
    -------
    Picture
        Numbers: conf, i, j; x_sigma; V_epsilon; is_image, whether the row is an image or a point of the curve;
        level_0_epsilon, level_1_epsilon; one_well. V and levels are counted from the lowest image of the pair.
    """
    columns = min(3, len(profiles))
    rows = -(-len(profiles) // columns)
    with styled_figure(3.6 * columns + 0.3, 3.0 * rows + 0.9) as figure:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, one in zip(panels, profiles, strict=False):
            _draw_profile(ax, one, threshold)
        for ax in panels[len(profiles) :]:
            ax.set_visible(False)
        figure.suptitle(title, fontsize=11)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, 2 * columns))
    return Picture(figure, pd.concat(map(_profile_numbers, profiles), ignore_index=True))


def _draw_profile(ax: Axes, one: NebProfile, threshold: float) -> None:
    floor = one.energies.min()
    ax.plot(one.x, one.potential - floor, color=BLUE, label="V between the images, parabolas outside")
    ax.plot(one.lengths, one.energies - floor, "o", ms=3.5, color=BLUE, mfc="white", label="images")
    for level, color, line, name in zip(one.levels, (ORANGE, GREEN), ("-", "--"), "₀₁", strict=True):
        ax.axhline(level - floor, color=color, ls=line, lw=1.4, label=f"level E{name}")
    conf, i, j = one.pair
    splitting = one.levels[1] - one.levels[0]
    is_tls = " (TLS)" if splitting < threshold else ""
    ax.set_title(f"Cnf-{conf}\n{i:.10g} – {j:.10g}\nE₁ − E₀ = {splitting:.3g} ε{is_tls}", fontsize=9)
    top = max(one.energies.max(), one.levels[1]) - floor
    if one.one_well:
        note = "both levels in one well:\na vibration, no tunnelling"
        ax.text(0.5, 0.97, note, ha="center", va="top", fontsize=8, transform=ax.transAxes)
    height = 1.5 if one.one_well else 1.35
    ax.set(xlabel="path length x (σ)", ylabel="V − min V (ε)", ylim=(-0.06 * top, height * top))


def _profile_numbers(one: NebProfile) -> pd.DataFrame:
    floor = one.energies.min()
    return pd.DataFrame(
        {
            **one.pair._asdict(),
            "x_sigma": np.concatenate([one.x, one.lengths]),
            "V_epsilon": np.concatenate([one.potential, one.energies]) - floor,
            "is_image": np.repeat([False, True], [len(one.x), len(one.lengths)]),
            "level_0_epsilon": one.levels[0] - floor,
            "level_1_epsilon": one.levels[1] - floor,
            "one_well": one.one_well,
        }
    )


def rounds(nebs: Array, double_wells: Array, tls: Array, chance: Array, title: str) -> Picture:
    """What each round of NEBs found, and its rate of TLS beside that of double wells taken at random.

    The error bars of the rate are binomial: Clopper and Pearson's interval of 68 %.

    Parameters
    ----------
    nebs, double_wells, tls : ndarray of shape (n_rounds,)
        Counts of each round, the double wells and TLS among the NEBs.
    chance : ndarray of shape (n_rounds,)
        TLS a NEB at random; NaN where unknown.
    title : str
        What the rounds are of.

    Returns
    -------
    Picture
        Without numbers: these are in ``rounds.csv``.
    """
    number = np.arange(1, len(nebs) + 1)
    with styled_figure(8.6, 4.6) as figure:
        counts, rates = figure.subplots(1, 2)
        for values, color, name in (
            (nebs, "#CCCCCC", "NEBs"),
            (double_wells, BLUE, "double wells"),
            (tls, ORANGE, "TLS, their number above"),
        ):
            bars = counts.bar(number, values, color=color, width=0.7, label=name)
            if name == "NEBs":
                counts.bar_label(bars, [f"{count:.0f}" for count in tls], fontsize=9, color=ORANGE)
        counts.set(xlabel="round", ylabel="pairs", ylim=(0, 1.1 * max(nebs.max(), 1)))
        run = nebs > 0
        low, high = (100 * np.asarray(end) for end in proportion_confint(tls[run], nebs[run], 0.32, method="beta"))
        rate = 100 * tls[run] / nebs[run]
        name = "from the top of the list,\nwith the 68 % interval (binomial)"
        rates.errorbar(
            number[run], rate, (rate - low, high - rate), fmt="o-", capsize=3, clip_on=False, color=BLUE, label=name
        )
        rates.plot(number, 100 * chance, "s:", color=GREY, mfc="white", label="double wells at random")
        top = np.nanmax([1, *high, *(100 * chance)])
        rates.set(xlabel="round", ylabel="TLS per 100 NEBs", ylim=(0, 1.05 * top))
        for ax in (counts, rates):
            ax.set_xlim(0.4, max(len(nebs), 3) + 0.6)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            _legend_below(ax)
        figure.suptitle(title, fontsize=11)
    return Picture(figure, None)


def label_log_axes(ax: Axes) -> None:
    """Label 1, 2 and 5 in plain numbers on logarithmic axes so short that matplotlib crowds them with powers of ten."""
    for axis in (ax.xaxis, ax.yaxis):
        low, high = axis.get_view_interval()
        if axis.get_scale() == "log" and high < 40 * low:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter("")


def _count(pairs: Array) -> str:
    return f"{len(pairs)} pair{'' if len(pairs) == 1 else 's'}"


def _legend_below(ax: Axes) -> None:
    """Below the x axis's label, where it lies on no data."""
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17))


def _say(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes)
    ax.set(xticks=[], yticks=[])
