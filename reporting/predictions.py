"""Pictures of predictions: against exact splittings, as distributions, as a search, and as probabilities."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from glass.arrays import Array
from MLmodel.metrics import predictor_metrics, smallest_tenth, tls_found
from MLmodel.model import Judged
from pipeline.messages import counted
from pipeline.settings import Settings
from reporting import style
from reporting.style import Picture, panels

MANY = 500  # from this number of pairs on their density is drawn
BINS_OF_TREND, FEWEST_IN_TREND = 4, 5  # median prediction: bins to a decade of exact splittings, fewest pairs in one
_BLUES = LinearSegmentedColormap.from_list("blues", ["#b9d9ee", style.BLUE, "#00253d"])


def draw_true_against_predicted(judged: Mapping[str, Judged], settings: Settings) -> Picture:
    """Predicted against exact splitting on logarithmic axes, a panel per temperature, the TLS region marked."""
    energy, threshold, tables = settings.unit.energy_name, settings.tls_threshold, {}
    with panels(5.4 * len(judged) + 0.4, 6.1, 1, len(judged)) as (figure, axes):
        for ax, (temperature, one) in zip(axes, judged.items(), strict=True):
            exact, predicted = one.exact, one.predicted
            name = f"{one.name},\n{one.how}" if one.name == "all labels" else one.name
            metrics = predictor_metrics(exact, predicted, threshold)
            title = f"T = {temperature}, {name}: {counted(len(exact), 'pair')}"
            title += f"\nrms deviation {metrics['rms deviation of log10']:.3f} in log₁₀"
            if metrics["TLS"]:
                half = f"{metrics['NEBs to find half of the TLS']:.0f} smallest predictions"
                title += f"; TLS: {metrics['TLS']}, half of them among the {half}"
            limits = [_limits(values, threshold) for values in (exact, predicted)]
            low, high = np.transpose(limits)
            ax.set(xscale="log", yscale="log", xlim=limits[0], ylim=limits[1], title=title, box_aspect=1)
            style.name_energy(ax, "x", "exact quantum splitting", settings)
            style.name_energy(ax, "y", "predicted quantum splitting", settings)
            style.shade_tls(ax, low[0], "exact splitting", settings)
            ends = [max(low), min(high)]
            ax.plot(ends, ends, color="black", lw=1, label="predicted = exact")
            shown = np.clip([exact, predicted], low[:, None], high[:, None])
            inside = (shown == [exact, predicted]).all(axis=0)
            if len(exact) > MANY:
                drawn: Any = {"xscale": "log", "yscale": "log", "bins": "log", "mincnt": 1, "gridsize": 45}
                drawn |= {"cmap": _BLUES, "extent": np.log10(limits).ravel(), "lw": 0, "rasterized": True}
                figure.colorbar(ax.hexbin(*shown[:, inside], **drawn), ax=ax, label="pairs", shrink=0.7)
            else:
                ax.plot(*shown[:, inside], ".", ms=7, alpha=0.8, color=style.BLUE, mew=0, label="a pair")
            bins = np.floor(np.log10(exact) * BINS_OF_TREND)
            trend = pd.DataFrame({"exact": exact, "predicted": predicted}).groupby(bins).agg(["median", "size"])
            trend = trend[trend["exact", "size"] >= FEWEST_IN_TREND]
            label = "median prediction: errors pull it\ntowards the middle of all splittings"
            if len(trend) > 1:
                medians = trend["exact", "median"], trend["predicted", "median"]
                ax.plot(*medians, "o-", ms=4, color=style.ORANGE, label=label)
            if not inside.all():
                name = f"{(~inside).sum()} outside the frame, drawn at its edge"
                ax.plot(*shown[:, ~inside], "D", ms=5, mfc="none", mec=style.BLUE, clip_on=False, label=name)
            tables[temperature] = pd.DataFrame({f"exact_{energy}": exact, f"predicted_{energy}": predicted})
    return Picture(figure, pd.concat(tables, names=["temperature"]).reset_index(0))


def _limits(values: Array, threshold: float) -> tuple[float, float]:
    """Axis range that leaves at most the largest half percent outside."""
    return 0.5 * min(values.min(), threshold), 2.0 * max(float(np.quantile(values, 0.995, method="higher")), threshold)


def draw_splitting_cdf(exact: Array, predicted: Array, title: str, settings: Settings) -> Picture:
    """Cumulative distributions of exact and predicted splitting over the same pairs."""
    both, column = {"exact": exact, "predicted": predicted}, f"splitting_{settings.unit.energy_name}"
    with panels(5.6, 5.2) as (figure, [ax]):
        ax.set(title=title)
        low, high = _limits(np.concatenate([exact, predicted]), settings.tls_threshold)
        style.shade_tls(ax, low, "splitting", settings)
        for (name, values), color, line in zip(both.items(), (style.BLUE, style.ORANGE), ("-", "--"), strict=True):
            ax.ecdf(values, color=color, ls=line, label=name)
        ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(0.5 / len(exact), 1.5))
        ax.set_ylabel("share of pairs up to this splitting")
        style.name_energy(ax, "x", "quantum splitting", settings)
    table = pd.concat([pd.DataFrame({"quantity": name, column: np.sort(values)}) for name, values in both.items()])
    share = table.groupby("quantity")[column].rank(method="max", pct=True)
    return Picture(figure, table.assign(share=share))


def draw_search_efficiency(exact: Array, predicted: Array, title: str, settings: Settings) -> Picture:
    """TLS found against NEBs run in the order of the list; without a TLS, pairs of the smallest tenth found.

    ``exact`` are splittings, infinite where a pair is no double well; by ``predicted`` the list is sorted, the smallest
    first; both of shape (n_pairs,).
    """
    label, limit = "TLS found, of {}", settings.tls_threshold
    if not (exact < limit).any():
        largest, unit = smallest_tenth(exact), settings.unit.energy
        title += f"\nno TLS (< {limit:g} {unit}): search for the smallest tenth (≤ {largest:.3g} {unit})"
        label, limit = "smallest tenth found, of {}", float(np.nextafter(largest, np.inf))
    found = tls_found(exact, predicted, limit)
    total, nebs = int(found[-1]), np.arange(1, len(found) + 1)
    mark = "o" if len(found) < 20 else ""  # a step of one point is not seen
    ideal, chance = np.minimum(nebs, total), nebs * total / len(found)
    with panels(5.6, 5.0) as (figure, [ax]):
        ax.set(title=title, xlabel="NEBs run", ylabel=label.format(total))
        if total:
            ax.step(nebs, ideal, where="post", color=style.GREEN, lw=4, alpha=0.5, label="ideal: every NEB finds one")
            ax.step(nebs, found, where="post", color=style.BLUE, marker=mark, ms=4, label="in the order of the list")
            ax.plot(nebs, chance, color=style.GREY, ls=":", label="expected by chance")
            ax.set(xscale="log", xlim=(0.95, 1.05 * max(len(found), 2)), ylim=(0, 1.08 * total))
            style.whole_numbers(ax.yaxis)
        else:
            ax.set(title=title.splitlines()[0], ylabel="TLS found")
            style.write_in_panel(ax, "no double well among these pairs")
    return Picture(figure, pd.DataFrame({"nebs": nebs, "found": found, "ideal": ideal, "chance": chance}))


BINS, FEWEST_IN_BIN = 10, 3  # of a reliability plot: most bins, and fewest cases expected in each


def draw_reliability(
    chance: Array,
    happened: NDArray[np.bool_],
    what: str,
    title: str,
    likes: tuple[Array, NDArray[np.bool_]] | None = None,
) -> Picture:
    """How often a pair is a ``what`` where a chance is predicted, by models and by ``likes``; bins of equal numbers."""
    tables = {"models": _reliability(chance, happened)} | ({"likes": _reliability(*likes)} if likes else {})
    words = {"models": "bins of equal expected numbers,\nwith the 68 % interval (binomial)", "likes": "told by likes"}
    with panels(5.2, 5.0) as (figure, [ax]):
        ax.plot([0, 1], [0, 1], color="black", lw=1, label="as predicted")
        for (by, table), color in zip(tables.items(), (style.BLUE, style.ORANGE), strict=False):
            bars = np.clip([table["found"] - table["found_low"], table["found_high"] - table["found"]], 0, None)
            label = f"{counted(int(table['pairs'].sum()), 'pair')}, {words[by]}"
            ax.errorbar(table["predicted"], table["found"], bars, fmt="o", ms=5, capsize=3, color=color, label=label)
        ax.set(xlabel=f"predicted probability of a {what}", ylabel=f"fraction that is a {what}", title=title)
        numbers = pd.concat(tables, names=["by"]).reset_index(0)
        reach = min(1.02, 1.1 * float(numbers[["found_high", "predicted"]].to_numpy().max(initial=0.05)))
        ax.set(xlim=(-0.02 * reach, reach), ylim=(-0.02 * reach, reach))
    return Picture(figure, numbers)


def _reliability(chance: Array, happened: NDArray[np.bool_]) -> pd.DataFrame:
    """The numbers of a reliability plot but for ``by``."""
    order = np.argsort(chance, kind="stable")
    expected = np.cumsum(chance[order])
    count = int(np.clip(expected[-1] / FEWEST_IN_BIN, 1, BINS)) if len(order) else 1
    bins = np.minimum((count * expected / max(expected[-1], 1e-300)).astype(int), count - 1) if len(order) else order
    rows = pd.DataFrame({"bin": bins, "chance": chance[order], "happened": happened[order]}).groupby("bin")
    pairs, happenings = rows.size().to_numpy(), rows["happened"].sum().to_numpy()
    low, high = (np.asarray(end) for end in proportion_confint(happenings, pairs, 0.32, method="beta"))
    columns = {"pairs": pairs, "predicted": rows["chance"].mean().to_numpy(), "found": happenings / pairs}
    return pd.DataFrame(columns | {"found_low": low, "found_high": high})
