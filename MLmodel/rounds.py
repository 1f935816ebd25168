"""The rounds of the loop: what each pair of models found, and whether another round pays."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from MLmodel.card import Card, read_card
from MLmodel.files import whole
from MLmodel.labels import KEYS, read_neb, read_unfinished
from MLmodel.settings import Settings
from MLmodel.tables import DW, KEY, QS, pair_keys, read_batches, read_csv_batches
from MLmodel.workspace import CLASSIFIER, PREDICTOR, Workspace

_MODELS = ["classifier", "predictor"]
"""Columns that name the models of a round."""

LOW_CHANCE = 0.05
"""Chance to find so many TLS at random, below which a list is better than that."""


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
    listed = workspace.predicted(temperature, "allpairs")
    if cards[0] is None or cards[1] is None or not listed.exists():
        return None
    row = _count(workspace, temperature, settings, cards[0], cards[1], listed)
    path = workspace.rounds(temperature, "csv")
    if path.exists():
        before = pd.read_csv(path, float_precision="round_trip")
        before = before[(before[_MODELS] != [row[name] for name in _MODELS]).any(axis=1)]
    else:
        before = pd.DataFrame()
    row["round"] = len(before) + 1
    table = pd.concat([before, pd.DataFrame([row])], ignore_index=True)[list(row)]
    table = table[["round", *(name for name in row if name != "round")]]
    with whole(path) as part:
        table.to_csv(part, index=False)
    return table


def _count(
    workspace: Workspace, temperature: str, settings: Settings, classifier: Card, predictor: Card, listed: Path
) -> dict[str, object]:
    decimals = settings.ij_decimals
    neb = read_neb(workspace, temperature)
    unfinished = read_unfinished(workspace, temperature)
    done = pd.concat([neb[[*KEY, DW, QS]], unfinished[KEY]], ignore_index=True)
    done = pair_keys(done, decimals).join(done[[DW, QS]]).drop_duplicates(KEYS, keep="last")
    used = pd.concat(read_batches(workspace.model_set(CLASSIFIER, temperature, "used"), KEY))
    done = done.merge(pair_keys(used, decimals), on=KEYS, how="left", indicator="known").query("known == 'left_only'")
    in_list = [done.merge(pair_keys(rows, decimals), on=KEYS) for rows in read_csv_batches(listed, KEY)]
    done = pd.concat(in_list) if in_list else done.iloc[:0]
    tls = int((done[QS] < settings.tls_threshold).sum())
    return {
        "classifier_labels": sum(classifier.sources.values()),
        "predictor_labels": sum(predictor.sources.values()),
        "nebs": len(done),
        "double_wells": int((done[DW] == 1).sum()),
        "tls": tls,
        "unfinished": int(done[DW].isna().sum()),
        "tls_per_neb": tls / len(done) if len(done) else np.nan,
        "random_tls_per_neb": random_rate(workspace, temperature, settings.tls_threshold),
        "classifier": classifier.autogluon,
        "predictor": predictor.autogluon,
    }


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
    found += f" ({tls / nebs:.1%})"
    if np.isnan(chance):
        return f"{found}; no pretraining set to tell the rate at random from: go on until the rate gets too low for you"
    found += f", double wells at random would give {chance:.1%}"
    if tls <= chance * nebs:
        return f"{found}: going on does not pay"
    if binomtest(tls, nebs, chance, alternative="greater").pvalue >= LOW_CHANCE:
        return f"{found}: better, but so many may be luck; judge by the next round"
    return f"{found}: going on pays"
