"""SHAP values, which share a prediction out among the features, and shap's pictures of them.

Source: S. M. Lundberg and S.-I. Lee, A unified approach to interpreting model predictions, NIPS 2017, arXiv:1705.07874.
"""

import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import shap
from matplotlib import pyplot

from glass.arrays import Array
from MLmodel.model import Model
from pipeline.formats.keys import PAIR_COLUMNS
from pipeline.workspace import CLASSIFIER
from reporting.style import DOTS, Picture

BACKGROUND, FIRST = 200, 10_000  # pairs that give a feature that is left out its values, of so many of the training set
EXPLAINED = 200  # largest number of pairs that are explained
PERMUTATIONS = 5  # orders, each gone through forwards and backwards, in which the features of a pair are put in
SHOWN = 15  # features in a picture, the strongest first; its numbers hold all
_SEED = 0


def explain(model: Model, train: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """SHAP values of the probability of a double well, or of log₁₀ of the splitting: a row a pair and feature.

    Columns conf, i, j; prediction; base_value, its mean over pairs of the training set; feature; value, NaN where
    unknown; shap, the effect. In each pair the effects add up to prediction − base_value.
    """
    features = model.card.features

    def predict(values: Array) -> Array:
        predicted = model.predict(pd.DataFrame(values, columns=features))
        return predicted if model.card.task == CLASSIFIER else np.log10(predicted)

    def spread(rows: pd.DataFrame, count: int) -> tuple[pd.DataFrame, Array, Array]:
        """At most ``count`` pairs, at even distances in the order of what is predicted: their mean is that of all."""
        predicted, kept = predict(rows[features].to_numpy(np.float64)), min(count, len(rows))
        places = ((np.arange(kept) + 0.5) * len(rows) / kept).astype(int)
        chosen = np.sort(np.argsort(predicted, kind="stable")[places])
        return rows.iloc[chosen], rows.iloc[chosen][features].to_numpy(np.float64), predicted[chosen]

    _, background, _ = spread(train.sample(min(FIRST, len(train)), random_state=_SEED), BACKGROUND)
    shown, values, predicted = spread(pairs, EXPLAINED)
    base, effects = shap_values(predict, values, background)
    of_pairs = shown[PAIR_COLUMNS].assign(prediction=predicted, base_value=base)
    table = of_pairs.iloc[np.repeat(np.arange(len(shown)), len(features))].reset_index(drop=True)
    return table.assign(feature=features * len(shown), value=values.ravel(), shap=effects.ravel())


def shap_values(function: Callable[[Array], Array], rows: Array, background: Array) -> tuple[float, Array]:
    r"""Mean of a function over the background, and the SHAP values of each row, of shape (n_rows, n_features).

    That of feature k is its Shapley value, :math:`\sum_S \frac{|S|!\,(M-|S|-1)!}{M!}\,[v(S \cup k) - v(S)]` over all
    sets S of the M features without k, where v(S) is the mean of the function over the background with the features in
    S set to the row's, NaN like any other value. A mean over a few orders of the features stands for the sum; where no
    more than two features act together it is exact. The values of a row add up to its function less the mean.
    """
    base = float(function(background).mean())

    # shap's own masker takes nearly equal values for equal
    masks = 2 * rows.shape[1] + 1
    explainer = shap.PermutationExplainer(function, lambda is_set, row: np.where(is_set, row, background), seed=_SEED)
    silent = not sys.stderr.isatty()
    explanation = explainer(rows, max_evals=PERMUTATIONS * masks, batch_size=masks, silent=silent)
    return base, np.asarray(explanation.values)


def mean_effects(explained: pd.DataFrame) -> "pd.Series[float]":
    """Mean absolute SHAP value of each feature over the pairs of :func:`explain`, largest first."""
    size = explained["shap"].abs().groupby(explained["feature"], sort=False).mean()
    return size.sort_values(ascending=False, kind="stable")


def draw_effects(explained: pd.DataFrame, quantity: str, title: str) -> Picture:
    """Effects of the strongest features, a point per pair, or of one pair how they lead to its prediction."""
    features = explained["feature"].unique()
    values, effects = (explained[name].to_numpy().reshape(-1, len(features)) for name in ("value", "shap"))
    base = explained["base_value"].to_numpy()[:: len(features)]
    names = list(features)
    if len(effects) == 1:  # shap would write ΔE = 0.0004 as 0
        names = [f"{name} = {value:.4g}" for name, value in zip(names, values[0], strict=True)]
    explanation = shap.Explanation(effects, base, values if len(effects) > 1 else None, feature_names=names)
    figure = pyplot.figure(dpi=DOTS)
    if len(effects) > 1:
        shap.plots.beeswarm(explanation, max_display=SHOWN, show=False)
        pyplot.xlabel(f"effect on the {quantity}")
    else:
        shap.plots.waterfall(explanation[0], max_display=SHOWN, show=False)
        title = f"{title}: {quantity}"
    figure.suptitle(title, fontsize=11)
    pyplot.close(figure)
    return Picture(figure, explained)
