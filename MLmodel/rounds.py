"""The rounds of the loop: what each pair of models found, and whether another round pays."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from MLmodel.card import Card, read_card
from MLmodel.rearrangements import REARRANGEMENT, read_double_wells
from MLmodel.tables import read_batches, read_csv_batches
from pipeline.errors import UserError
from pipeline.files import atomic_write
from pipeline.keys import KEY_COLUMNS, PAIR_COLUMNS, among, pair_keys
from pipeline.neb_files import read_calculations, read_neb_results, read_unfinished
from pipeline.settings import Settings
from pipeline.task import CLASSIFIER, DW, PREDICTOR, QS
from pipeline.workspace import Workspace

_MODELS = ["classifier", "predictor"]
"""Columns that name the models of a round."""

_NOT_COUNTS = ("tls_per_neb", "random_tls_per_neb", "cpu_seconds")
_LATER = ("distinct_tls", "cpu_seconds")
"""Columns that rounds.csv of 0.1 does not have."""

LOW_CHANCE = 0.05
"""A list is better than random if so many TLS would be found at random with a smaller probability than this."""


def update_rounds(workspace: Workspace, temperature: str, settings: Settings) -> pd.DataFrame | None:
    """Bring the row of the present models in ``rounds.csv`` up to date.

    All is counted anew from the files: the NEBs of a round are the pairs of the models' list that were calculated since
    they were trained.

    Returns
    -------
    DataFrame or None
        All rounds, the present one last; None where there are no models or no list.
    """
    cards = [read_card(workspace, task, temperature) for task in (CLASSIFIER, PREDICTOR)]
    listed = (workspace.predicted(temperature, pairs).exists() for pairs in ("allpairs", "newpairs"))
    if cards[0] is None or cards[1] is None or not all(listed):
        return None
    row = _count(workspace, temperature, settings, cards[0], cards[1])
    path = workspace.rounds(temperature, "csv")
    if path.exists():
        before = _read(path, list(row))
        before = before[(before[_MODELS] != [row[name] for name in _MODELS]).any(axis=1)]
    else:
        before = pd.DataFrame()
    row = {"round": len(before) + 1, **row}
    table = pd.concat([before, pd.DataFrame([row])], ignore_index=True)[list(row)]
    table = table.astype({name: "Int64" for name in row if name not in (*_MODELS, *_NOT_COUNTS)})
    with atomic_write(path) as part:
        table.to_csv(part, index=False)
    return table


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, float_precision="round_trip")
        table = table.reindex(columns=[*table, *(name for name in _LATER if name not in table)])
        numbers = [name for name in columns if name not in _MODELS]
        return table.astype(dict.fromkeys(numbers, np.float64))[["round", *columns]].astype({"round": int})
    except (ValueError, KeyError):
        raise UserError(f"{path}: not readable; remove it, and it begins anew with the present round") from None


def _count(
    workspace: Workspace, temperature: str, settings: Settings, classifier: Card, predictor: Card
) -> dict[str, object]:
    decimals = settings.ij_decimals
    neb = read_neb_results(workspace, temperature)
    neb = pair_keys(neb, decimals).join(neb[[DW, QS]]).drop_duplicates(KEY_COLUMNS, keep="last")
    used = pd.concat(read_batches(workspace.model_set(CLASSIFIER, temperature, "used"), PAIR_COLUMNS))
    neb = neb[~among(neb, pair_keys(used, decimals))]
    done = _among(neb, workspace.predicted(temperature, "allpairs"), decimals)
    # No model learns from unfinished pairs; those of earlier rounds are no longer on the list of new pairs.
    unfinished = pair_keys(read_unfinished(workspace, temperature), decimals).drop_duplicates()
    unfinished = _among(unfinished, workspace.predicted(temperature, "newpairs"), decimals)
    is_tls = done[QS] < settings.tls_threshold
    tls = int(is_tls.sum())
    nebs = len(done) + len(unfinished)
    sorted_wells = read_double_wells(workspace, temperature)
    distinct = pair_keys(sorted_wells, decimals).join(sorted_wells[REARRANGEMENT]).merge(done[is_tls], on=KEY_COLUMNS)
    calculated = read_calculations(workspace, temperature)
    cost = pair_keys(calculated, decimals).join(calculated["cpu_seconds"])
    cost = cost.merge(pd.concat([done, unfinished])[KEY_COLUMNS], on=KEY_COLUMNS)
    return {
        "classifier_labels": sum(classifier.sources.values()),
        "predictor_labels": sum(predictor.sources.values()),
        "nebs": nebs,
        "double_wells": int((done[DW] == 1).sum()),
        "tls": tls,
        "distinct_tls": len(distinct.drop_duplicates(["conf", REARRANGEMENT])),
        "unfinished": len(unfinished),
        "tls_per_neb": tls / nebs if nebs else np.nan,
        "random_tls_per_neb": random_rate(workspace, temperature, settings.tls_threshold),
        "cpu_seconds": round(float(cost["cpu_seconds"].sum()), 2),
        "classifier": classifier.autogluon,
        "predictor": predictor.autogluon,
    }


def _among(pairs: pd.DataFrame, listed: Path, decimals: int) -> pd.DataFrame:
    """The pairs, by their keys, that stand in a list."""
    found = [pairs.merge(pair_keys(rows, decimals), on=KEY_COLUMNS) for rows in read_csv_batches(listed, PAIR_COLUMNS)]
    return pd.concat(found) if found else pairs.iloc[:0]


def random_rate(workspace: Workspace, temperature: str, threshold: float) -> float:
    """Share of TLS among the double wells of the pretraining set, which nobody ranked; NaN without one."""
    path = workspace.pretraining(PREDICTOR, temperature)
    if not path.exists():
        return np.nan
    return float((pd.concat(read_batches(path, [QS]))[QS] < threshold).mean())


def does_it_pay(last: pd.Series) -> str:
    """One line on the last round."""
    tls, nebs, chance = int(last["tls"]), int(last["nebs"]), float(last["random_tls_per_neb"])
    found = f"round {last['round']}: {tls} TLS in {nebs} NEBs"
    if not nebs:
        return f"{found}: nothing calculated yet"
    if tls:
        found = f"round {last['round']}: {tls} TLS ({last['distinct_tls']} distinct) in {nebs} NEBs"
    found += f" ({tls / nebs:.1%})"
    if np.isnan(chance):
        return f"{found}; no pretraining set to tell the rate at random from: go on until the rate gets too low for you"
    found += f", double wells at random would give {chance:.1%}"
    if tls <= chance * nebs:
        return f"{found}: going on does not pay"
    if binomtest(tls, nebs, chance, alternative="greater").pvalue >= LOW_CHANCE:
        return f"{found}: better, but so many may be luck; judge by the next round"
    return f"{found}: going on pays"
