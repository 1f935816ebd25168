"""When to stop, and what to run next: the rules that give advice after a round, and the statistics behind them.

The Poisson binomial distribution is that of the number of TLS among pairs whose chances to be one differ. It takes
pairs as independent and chances as true; errors that all chances share make its intervals too narrow.
"""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.stats import hypergeom

from glass.arrays import Array
from MLmodel.card import read_card
from MLmodel.training import FEWEST, REMEDY
from pipeline.messages import counted
from pipeline.workspace import CLASSIFIER, PREDICTOR, StatePoint
from search.rearrangements import rearrangements_in_words

RECALL = Fraction(95, 100)  # of the TLS on a list, to be found before stopping; in names of rounds.csv
CONFIDENCE = 0.95  # confidence with which RECALL must be reached
SIGNIFICANCE = 0.05  # p-value below which the numbers of TLS found and expected disagree
COMPARABLE = 3  # fewest TLS, found or expected, to compare: of fewer expected, none is found more often than e⁻³
_BLOCK = 1 << 16  # pairs multiplied out at a time, in 5 MB; a million pairs take half a second


def advice(last: pd.Series) -> tuple[str, str] | None:
    """Advice on the last row of ``rounds.csv``, in a word and in a sentence: of the first rule that gives one.

    Stop: RECALL of the TLS on the list are found, with CONFIDENCE (:func:`confidence_found`). Where rearrangements are
    known they are counted instead of pairs: those that hold TLS are what there is to find. Learn again: the number of
    TLS found is not that which the chances of the list promised. Go on, or not: the next NEBs promise more TLS than
    double wells drawn at random, or fewer.
    """
    distinct = last.get("chance_95_distinct", np.nan)
    what = "TLS" if pd.isna(distinct) else "rearrangements that hold TLS"
    confidence = float(last["chance_95_found"] if pd.isna(distinct) else distinct)
    if last["remaining_pairs"] and confidence >= CONFIDENCE:
        said = f"with a confidence of {np.floor(100 * confidence):g} %"
        return "stop", f"at least {float(100 * RECALL):g} % of the {what} on the list are found, {said}: you may stop"
    found, promised = int(last["tls"]), float(last["tls_expected"])
    if max(found, promised) >= COMPARABLE and last["tls_p_value"] < SIGNIFICANCE:
        fewer, high = ("fewer", "high") if found < promised else ("more", "low")
        said = f"{fewer} TLS than expected: the chances of this list are too {high}; steps 1 to 4 learn from it"
        return "learn again", said
    following, by_chance = float(last["next_tls"]), float(last["next_nebs"] * last["random_double_well_rate"])
    if max(following, by_chance) >= 1:
        word, pays = ("go on", "going on pays") if following > by_chance else ("stop", "going on does not pay")
        return word, f"{pays}: expected of as many double wells by chance: {by_chance:.1f}"
    return None


def round_summary(last: pd.Series) -> list[str]:
    """A row of ``rounds.csv`` in words, with the advice if there is any."""
    found, to_come = f"round {last['round']}: nothing calculated yet", "no pair of the list is left"
    tls, nebs, pairs = (int(last[name]) for name in ("tls", "nebs", "remaining_pairs"))
    if nebs:
        distinct = f" ({last['distinct_tls']} distinct)" if tls else ""
        unfinished = f", {last['unfinished']} unfinished" if last["unfinished"] else ""
        rates = {"double wells": "random_double_well_rate", "pairs under the ceilings of step 2": "random_pair_rate"}
        by_chance = [f"{name} {_percent(last[rate])}" for name, rate in rates.items() if pd.notna(last[rate])]
        found = (
            f"round {last['round']}: {tls} TLS{distinct} in {counted(nebs, 'NEB')} ({_percent(tls / nebs)}{unfinished})"
            f", {last['tls_expected']:.1f} expected" + "; by chance: " * bool(by_chance) + ", ".join(by_chance)
        )
    known = [rearrangements_in_words(last)] if last.get("rearrangements", 0) else []
    if pairs:
        following = f"{last['next_tls']:.1f} TLS expected ({last['next_tls_low']} to {last['next_tls_high']})"
        remaining = f"{last['remaining_tls']:.1f} ({last['remaining_low']} to {last['remaining_high']})"
        to_come = f"next {counted(int(last['next_nebs']), 'NEB')}: {following}; "
        to_come += f"all {counted(pairs, 'pair')} left: {remaining}"
    return [found, *known, to_come, *(advice(last) or ())[1:]]


def _percent(fraction: float) -> str:
    return f"{float(f'{100 * fraction:.2g}'):g} %"


def poisson_binomial(chances: Array) -> Array:
    """Probability of 0, 1, … events with chances p_k: coefficients of Π_k (1 − p_k + p_k z), by FFTs.

    Those beyond the last are below 1e-15. Sums of them are off by less than 1e-9 for millions of pairs.
    """
    numbers = np.ones(1)
    for start in range(0, len(chances), _BLOCK):
        some = chances[start : start + _BLOCK]
        factors = np.column_stack([1 - some, some])
        while len(factors) > 1:
            if len(factors) % 2:
                factors = np.vstack([factors, np.eye(1, factors.shape[1])])  # times one
            factors = fftconvolve(factors[::2], factors[1::2], axes=1)
        numbers = fftconvolve(numbers, factors[0])
        numbers = numbers[: np.flatnonzero(numbers > 1e-15)[-1] + 1].clip(0)
    return numbers


def expected(chances: Array) -> tuple[float, int, int]:
    """Number of TLS expected among pairs with these chances, and its central interval of 68 %, ends included."""
    low, high = np.searchsorted(np.cumsum(poisson_binomial(chances)), [0.16, 0.84])
    return float(chances.sum()), int(low), int(high)


def p_value(chances: Array, tls: int) -> float:
    """Two-sided p-value of the number of TLS found among pairs with these chances."""
    numbers = poisson_binomial(chances)
    return min(1.0, 2 * float(min(numbers[: tls + 1].sum(), numbers[tls:].sum())))


def confidence_found(nebs: NDArray[np.int64], tls: NDArray[np.int64], left: int, recall: Fraction = RECALL) -> float:
    """Confidence that at least a share of the TLS are found: the test of Callaghan and Müller-Hansen (2020).

    For each m the NEBs of the last m rounds, n with k TLS among them, are taken as if drawn at random from the
    N = n + ``left`` pairs that were not calculated before. If less than the share were found, there would be at least
    K = ⌊f / recall − b + 1⌋ TLS among these, with f found until now and b before the last m rounds. The confidence is
    1 − min_m P(X ≤ k), X from the hypergeometric distribution of n draws from N pairs with K TLS.

    Draws that are richer in TLS than random ones make P larger: with a ranking better than random, the test errs to
    the safe side. It works on rounds, where the paper takes single draws: fewer values to take the smallest of.

    ``nebs``, ``tls``, shape (n_rounds,): NEBs with a verdict, and TLS among them; ``left``: pairs of the list that are
    not calculated; ``recall``: no float, whose 19 / 0.95 need not be 20.

    Source: M. W. Callaghan, F. Müller-Hansen, Systematic Reviews 9, 273 (2020), doi:10.1186/s13643-020-01521-4.
    """
    drawn, among_them = np.cumsum(nebs[::-1]), np.cumsum(tls[::-1])
    found = int(tls.sum())
    missing_share = int(found / recall) - (found - among_them) + 1
    pairs = drawn + left
    chance = hypergeom.cdf(among_them, pairs, np.minimum(missing_share, pairs), drawn)
    return 1 - float(np.where(missing_share > pairs, 0.0, chance).min(initial=1))


def next_step(kinds: Counter[str], lacking: Sequence[str], explored: bool) -> tuple[str, ...]:
    """Why, which script to run after a run, and its arguments: from its verdicts and the labels that are lacking."""
    few = f"to learn from there are {'; '.join(lacking)}, {FEWEST} needed: " if all(lacking) else ""
    has_verdicts = kinds["double well"] + kinds["non-DW"] > 0
    if has_verdicts and not few:
        return "steps 1 to 4 learn from these results", "step1_train_dw.py"
    if kinds["unfinished"] and not has_verdicts:
        return "no pair got a result: mend what unfinished.csv says, then retry", "run_neb.py", "--retry"
    if few and (has_verdicts or not explored):
        return few + REMEDY, "run_neb.py", "--explore", "100"
    if few:
        return few + "where --explore finds no more pairs, add minima", "step0_collect.py"
    why = "no pair was calculated: step4_predict_qs.py for a new list, or more minima and step0_collect.py"
    return why, "step4_predict_qs.py"


def first_step_missing(at: StatePoint) -> str | None:
    """The first step whose output is not there; None where there is a list of new pairs."""
    if at.predicted("newpairs").exists():
        return None
    made = {
        "step0_collect.py": bool(at.pair_tables),
        CLASSIFIER.script: read_card(at, CLASSIFIER) is not None,
        "step2_classify_dw.py": at.classified.exists(),
        PREDICTOR.script: read_card(at, PREDICTOR) is not None,
    }
    return next((step for step, is_there in made.items() if not is_there), "step4_predict_qs.py")
