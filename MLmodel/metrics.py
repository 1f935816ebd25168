"""Metrics of the two models, as plain numbers."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics


def format_metrics(values: Mapping[str, float]) -> str:
    """Metrics as lines of a table."""
    return "\n".join(f"    {what:34s} {value:>10s}" for what, value in metric_texts(values).items())


def metric_texts(values: Mapping[str, float]) -> dict[str, str]:
    """Each metric as text; n/a where there is no value, no digits that counting errors leave open."""
    texts = {}
    for what, value in values.items():
        digits = 4 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
        texts[what] = "n/a" if np.isnan(value) else str(value) if isinstance(value, int) else f"{value:.{digits}f}"
    return texts


def classifier_metrics(is_dw: ArrayLike, probability: ArrayLike) -> dict[str, float]:
    """How well double wells are told from other pairs; above a probability of ½ a pair is called one.

    Balanced accuracy is the mean of the shares found in each class; ROC AUC the chance that a double well gets a higher
    probability than another pair. NaN where the pairs are all of one class.
    """
    truth, chance = np.asarray(is_dw).astype(int), np.asarray(probability)
    called = (chance > 0.5).astype(int)
    both = len(np.unique(truth)) == 2
    return {
        "pairs": len(truth),
        "accuracy": metrics.accuracy_score(truth, called) if len(truth) else np.nan,
        "balanced accuracy": metrics.balanced_accuracy_score(truth, called) if both else np.nan,
        "ROC AUC": metrics.roc_auc_score(truth, chance) if both else np.nan,
        "double wells called double wells": int(((truth == 1) & (called == 1)).sum()),
        "double wells missed": int(((truth == 1) & (called == 0)).sum()),
        "non-DW called double wells": int(((truth == 0) & (called == 1)).sum()),
        "non-DW called non-DW": int(((truth == 0) & (called == 0)).sum()),
    }


def chance_metrics(chance: ArrayLike, happened: ArrayLike, what: str) -> dict[str, float]:
    """Number of ``what`` (``double wells``) expected and found; the Brier score, mean square error of chances."""
    predicted, truth = np.asarray(chance, dtype=float), np.asarray(happened, dtype=float)
    return {
        f"{what} expected": float(predicted.sum()),
        f"{what} found": int(truth.sum()),
        "Brier score": float(np.mean((predicted - truth) ** 2)) if len(truth) else np.nan,
        "Brier score of the mean rate": float(truth.var()) if len(truth) else np.nan,
    }


def predictor_metrics(exact: ArrayLike, predicted: ArrayLike, threshold: float) -> dict[str, float]:
    """How well splittings (in ε, as the threshold) are predicted and TLS put to the top of the list.

    Deviations are of log₁₀ of the splitting. Average precision is the area under the curve of precision against recall
    for TLS, ranked by the prediction; NaN without a TLS.
    """
    true, guess = np.asarray(exact, dtype=float), np.asarray(predicted, dtype=float)
    deviation = np.log10(guess / true)
    found = tls_found(true, guess, threshold)
    tls = int(found[-1]) if len(found) else 0
    return {
        "pairs": len(true),
        "rms deviation of log10": float(np.sqrt(np.mean(deviation**2))) if len(true) else np.nan,
        "median ratio predicted / exact": float(10 ** np.median(deviation)) if len(true) else np.nan,
        "TLS": tls,
        "TLS predicted to be TLS": int(((true < threshold) & (guess < threshold)).sum()),
        "others predicted to be TLS": int(((true >= threshold) & (guess < threshold)).sum()),
        "average precision for TLS": metrics.average_precision_score(true < threshold, -guess) if tls else np.nan,
        "NEBs to find half of the TLS": nebs_to_find(found, 0.5),
        "NEBs to find 90 % of the TLS": nebs_to_find(found, 0.9),
    }


def tls_found(exact: ArrayLike, predicted: ArrayLike, threshold: float) -> NDArray[np.int64]:
    """TLS found after 1, 2, … NEBs in the order of the predicted splitting; shape (n_pairs,)."""
    order = np.argsort(np.asarray(predicted), kind="stable")
    return np.cumsum(np.asarray(exact)[order] < threshold)


def smallest_tenth(exact: ArrayLike) -> float:
    """Largest of the smallest tenth of the splittings that are finite, rounded up; NaN where there is none."""
    splittings = np.asarray(exact, dtype=float)
    splittings = np.sort(splittings[np.isfinite(splittings)])
    return float(splittings[(len(splittings) - 1) // 10]) if len(splittings) else np.nan


def nebs_to_find(found: NDArray[np.int64], share: float) -> float:
    """NEBs after which a share of all TLS is found; NaN without a TLS."""
    if not len(found) or not found[-1]:
        return np.nan
    return int(np.searchsorted(found, np.ceil(share * found[-1]))) + 1
