"""Pictures of SHAP values: over many pairs, and of one. Both take the table that :mod:`reporting.effects` makes."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable

from glass.arrays import Array
from reporting.style import BLUE, GREY, ORANGE, Picture, styled_figure, write_in_panel

SHOWN = 15
"""Features in a picture, the strongest first; its numbers hold all."""

_SWARM = 0.42
"""Half the height that the points of a feature may take; the features are 1 apart."""


def beeswarm(explained: pd.DataFrame, strength: "pd.Series[float]", quantity: str, title: str) -> Picture:
    """Effects of the strongest features, a point per pair, coloured by whether the feature is low or high there.

    Parameters
    ----------
    explained : DataFrame of shape (n_pairs * n_features, n_columns)
        Has the columns feature, value and shap.
    strength : Series of shape (n_features,)
        Mean absolute effect by feature, largest first.
    quantity : str
        What is predicted, with its unit.
    title : str
        Which pairs these are.

    Returns
    -------
    Picture
        Numbers: the table as given.
    """
    names = list(strength.index[:SHOWN])
    colors = colormaps["cividis"]
    with styled_figure(7.0, 1.8 + 0.32 * max(len(names), 6)) as figure:
        ax = figure.subplots()
        ax.set(title=title, xlabel=f"effect on the {quantity}")
        ax.axvline(0, color="black", lw=0.8)
        shown = explained[explained["feature"].isin(names)]
        width = float(np.ptp(shown["shap"])) if len(shown) else 0.0
        for place, name in enumerate(names):
            rows = shown[shown["feature"] == name]
            effect, unknown = rows["shap"].to_numpy(), rows["value"].isna().to_numpy()
            height = place + _offsets(effect, width)
            rank = rows["value"].rank(method="dense").to_numpy()[~unknown]  # outliers would leave all others one colour
            ax.scatter(effect[~unknown], height[~unknown], 9, rank, cmap=colors, lw=0, rasterized=True)
            ax.scatter(effect[unknown], height[unknown], 9, GREY, marker="x", lw=0.8, rasterized=True)
        if names:
            ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))
            bar = figure.colorbar(ScalarMappable(cmap=colors), ax=ax, ticks=[0, 1], aspect=30)
            bar.set_ticklabels(["low", "high"])
            note = "\n(× unknown)" if shown["value"].isna().any() else ""
            bar.set_label(f"value of the feature{note}", labelpad=-8)
            bar.outline.set_visible(False)
        else:
            write_in_panel(ax, "no pairs")
    return Picture(figure, explained)


def _offsets(effects: Array, width: float) -> Array:
    """How far each point goes up or down so that points of like effects lie beside each other."""
    place = pd.Series(np.round(100 * effects / (width or 1.0)))
    nth = place.groupby(place).cumcount().to_numpy()
    layer = (nth + 1) // 2 * np.where(nth % 2, 1, -1)
    return np.asarray(_SWARM * layer / max(np.abs(layer).max(initial=0), 6))


def waterfall(explained: pd.DataFrame, quantity: str, title: str) -> Picture:
    """How the features of one pair lead from the base value to the prediction, the strongest last, at the top.

    Parameters
    ----------
    explained : DataFrame of shape (n_features, n_columns)
        One pair, with the columns prediction, base_value, feature, value and shap.
    quantity : str
        What is predicted, with its unit.
    title : str
        Which pair this is.

    Returns
    -------
    Picture
        Numbers: the table as given.
    """
    rows = explained.sort_values("shap", key=np.abs, ascending=False, kind="stable")
    names = [f"{name} = {value:.4g}" for name, value in zip(rows["feature"], rows["value"], strict=True)]
    effects = rows["shap"].to_numpy()
    if len(effects) > SHOWN:
        names = [*names[: SHOWN - 1], f"{len(effects) - SHOWN + 1} others"]
        effects = np.append(effects[: SHOWN - 1], effects[SHOWN - 1 :].sum())
    base, prediction = explained["base_value"].iloc[0], explained["prediction"].iloc[0]
    after = prediction - np.append(0.0, np.cumsum(effects)[:-1])
    left, right = np.minimum(after, after - effects), np.maximum(after, after - effects)
    width = right.max() - left.min() or 1.0
    places = np.arange(len(effects))
    with styled_figure(7.0, 1.9 + 0.32 * max(len(names), 6)) as figure:
        ax = figure.subplots()
        ax.set(title=title, xlabel=quantity, xlim=(left.min() - 0.05 * width, right.max() + 0.22 * width))
        for is_so, color, label in ((effects > 0, ORANGE, "raises it"), (effects < 0, BLUE, "lowers it")):
            ax.barh(places[is_so], (right - left)[is_so], 0.7, left[is_so], color=color, label=label)
        for name, value, color, line in (
            ("mean of training pairs", base, GREY, ":"),
            ("this pair", prediction, "black", "--"),
        ):
            ax.axvline(value, color=color, lw=1, ls=line, label=f"{name}: {value:.3f}".replace("-", "−"), zorder=0)
        for place, effect, end in zip(places, effects, right, strict=True):
            text = f"{effect:+.3f}".replace("-", "−")
            over_line = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
            ax.annotate(text, (end, place), (4, 0), textcoords="offset points", va="center", size=8, bbox=over_line)
        ax.set(yticks=places, yticklabels=names, ylim=(len(names) - 0.4, -0.6))
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return Picture(figure, explained)
