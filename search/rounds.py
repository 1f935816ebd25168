"""Rounds of the loop, results of each list of new pairs and forecast: ``rounds.csv``."""

from typing import Any

import numpy as np
import pandas as pd

from MLmodel.card import read_card
from pipeline.errors import UserError
from pipeline.files import atomic_write, file_digest
from pipeline.formats.csv_files import read_own_csv
from pipeline.formats.keys import PAIR_COLUMNS, by_pair, rows_in
from pipeline.formats.pair_lists import read_list
from pipeline.formats.pair_tables import PROBABILITY, TLS_PROBABILITY, read_batches, under_ceilings
from pipeline.formats.results import joined, last_results, read_calculations, read_neb_results, read_unfinished
from pipeline.settings import Settings
from pipeline.stamps import made_from, mark_made, up_to_date
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, StatePoint
from search.calculated import read_double_wells, update_double_wells
from search.rearrangements import count_rearrangements, distinct, summary_of
from search.stopping import confidence_found, expected, p_value

NEXT = 30  # number of NEBs from the top of the list that are looked ahead

_COLUMNS: dict[str, Any] = {
    **{"round": "Int64", "list": object},
    **dict.fromkeys(("classifier_labels", "predictor_labels"), "Int64"),
    **dict.fromkeys(("nebs", "double_wells", "tls", "distinct_tls", "unfinished"), "Int64"),
    **dict.fromkeys(("tls_per_neb", "cpu_seconds", "tls_expected", "tls_expected_sd", "tls_p_value"), float),
    **dict.fromkeys(("random_double_well_rate", "random_pair_rate"), float),
    **{"next_nebs": "Int64", "next_tls": float, "next_tls_low": "Int64", "next_tls_high": "Int64"},
    **{"remaining_pairs": "Int64", "remaining_tls": float, "remaining_low": "Int64", "remaining_high": "Int64"},
    **{"chance_95_found": float, "classifier": object, "predictor": object},
    **dict.fromkeys(("rearrangements", "rearrangements_calculated", "rearrangements_tls"), "Int64"),
    **{"rearrangement_tls_pairs": "Int64", "expected_calculated": float, "expected_others": float},
    **{"new_rearrangements": "Int64", "new_rearrangements_tls": "Int64", "chance_95_distinct": float},
}
"""Columns of ``rounds.csv``, described in doc/files.md."""

_OF_THE_LIST = ["classifier_labels", "predictor_labels", "classifier", "predictor"]  # as when it was new


def close_round(at: StatePoint, settings: Settings) -> str | None:
    """Count the round of the present list before another list takes its place; why that can't be done, if it can't.

    run_neb.py has done so unless the results are of shares, or of a program of the user's.
    """
    if not at.predicted("newpairs").exists() or up_to_date([at.rounds("csv")], made_from(at.neb_files)):
        return None
    try:
        update_double_wells(at, settings)
        update_rounds(at, settings, closing=True)
    except UserError as error:
        return f"note: the round that ends is not counted: {error}"
    return None


def update_rounds(at: StatePoint, settings: Settings, closing: bool = False) -> pd.DataFrame | None:
    """Bring the row of the present list of new pairs in ``rounds.csv`` up to date.

    All is counted anew from the files: the NEBs of a round are the pairs of its list that have a result or are
    unfinished, for the list leaves out what was known when it was made. While ``closing``, models may have been trained
    since the list was made: a new row does not tell which, and nothing is written if none of the list was calculated.
    Returns all rounds, the present one last; None where there are no models, or no lists with chances.
    """
    inputs, every, new = made_from(at.neb_files), at.predicted("allpairs"), at.predicted("newpairs")
    classifier, predictor = (read_card(at, task) for task in (CLASSIFIER, PREDICTOR))
    if classifier is None or predictor is None or not (every.exists() and new.exists()):
        return None
    answers = joined(
        *(read(at).reindex(columns=[DW, QS]).astype(float) for read in (read_unfinished, read_neb_results))
    )
    answers = answers[~answers.index.duplicated(keep="last")]
    listed = read_list(new, [*PAIR_COLUMNS, TLS_PROBABILITY], "step4_predict_qs.py")
    answered = rows_in(listed, answers.index, at.decimals)
    done = by_pair(listed[answered], at.decimals)[[TLS_PROBABILITY]].join(answers)
    left = listed.loc[~answered, TLS_PROBABILITY].to_numpy()
    if closing and done.empty:
        return None
    columns = [*PAIR_COLUMNS, TLS_PROBABILITY, PROBABILITY]
    tls, wells = known_or_expected(at, read_list(every, columns, "step4_predict_qs.py"), settings)
    batches = (rows for path in at.pair_tables for rows in read_batches(path, ["Delta_E", "total_displacement"]))
    pairs = sum(int(under_ceilings(rows, settings.classify).sum()) for rows in batches)
    row: dict[str, object] = {
        "list": file_digest(new)[:12],
        "classifier_labels": sum(classifier.sources.values()),
        "predictor_labels": sum(predictor.sources.values()),
        **_count(at, settings, done),
        "random_double_well_rate": tls / wells if wells else np.nan,  # TLS expected of one drawn at random
        "random_pair_rate": tls / pairs if pairs else np.nan,
        **{"next_nebs": len(left[:NEXT]), "remaining_pairs": len(left)},
        **dict(zip(("next_tls", "next_tls_low", "next_tls_high"), expected(left[:NEXT]), strict=True)),
        **dict(zip(("remaining_tls", "remaining_low", "remaining_high"), expected(left), strict=True)),
        "classifier": classifier.training,
        "predictor": predictor.training,
        **summary_of(count_rearrangements(at, settings, done.index)),
    }
    before = read_rounds(at)
    is_this = before["list"] == row["list"]
    if is_this.any():
        row |= before.loc[is_this, _OF_THE_LIST].iloc[-1].to_dict()
    elif closing:
        row |= dict.fromkeys(_OF_THE_LIST)
    rows = [*before[~is_this].to_dict("records"), row]
    row["round"] = len(rows)
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)
    counts = ["nebs", "unfinished", "tls", "new_rearrangements", "new_rearrangements_tls"]
    nebs, unfinished, tls_found, new_ones, new_tls = table[counts].fillna(0).to_numpy(np.int64).T
    last, present = table.index[-1], table.iloc[-1]
    table.loc[last, "chance_95_found"] = round(confidence_found(nebs - unfinished, tls_found, len(left)), 6)
    if present["rearrangements"]:
        others = int(present["rearrangements"] - present["rearrangements_calculated"])
        none_missed = np.exp(-present["expected_calculated"])  # in those that were calculated
        table.loc[last, "chance_95_distinct"] = round(none_missed * confidence_found(new_ones, new_tls, others), 6)
    with atomic_write(at.rounds("csv")) as part:
        table.to_csv(part, index=False)
    mark_made([at.rounds("csv")], inputs)
    return table


def read_rounds(at: StatePoint) -> pd.DataFrame:
    """The rows of ``rounds.csv``; none where there is no such file. UserError if it was changed."""
    path = at.rounds("csv")
    return read_own_csv(path, _COLUMNS) if path.exists() else pd.DataFrame(columns=list(_COLUMNS)).astype(_COLUMNS)


def _count(at: StatePoint, settings: Settings, done: pd.DataFrame) -> dict[str, object]:
    """TLS found by the NEBs of a round, TLS expected of them, and their cost."""
    is_tls = done[QS] < settings.tls_threshold
    tls, nebs = int(is_tls.sum()), len(done)
    wells, calculated = read_double_wells(at), read_calculations(at)
    chances = done.loc[done[DW].notna(), TLS_PROBABILITY].to_numpy()
    return {
        "nebs": nebs,
        "double_wells": int((done[DW] == 1).sum()),
        "tls": tls,
        "distinct_tls": len(distinct(wells[wells.index.isin(done.index[is_tls])])),
        "unfinished": int(done[DW].isna().sum()),
        "tls_per_neb": tls / nebs if nebs else np.nan,
        "cpu_seconds": round(float(calculated.loc[calculated.index.isin(done.index), "cpu_seconds"].sum()), 2),
        "tls_expected": float(chances.sum()),
        "tls_expected_sd": float(np.sqrt(chances @ (1 - chances))),
        "tls_p_value": p_value(chances, tls),
    }


def known_or_expected(at: StatePoint, listed: pd.DataFrame, settings: Settings) -> tuple[float, float]:
    """Number of TLS and of double wells among pairs of a list: those calculated as they are, others by their chances.

    ``listed``: PAIR_COLUMNS, TLS_PROBABILITY and PROBABILITY.
    """
    results = last_results(at)
    calculated = rows_in(listed, results.index, at.decimals)
    found = results.loc[by_pair(listed[calculated], at.decimals).index]
    tls, wells = listed.loc[~calculated, [TLS_PROBABILITY, PROBABILITY]].sum()
    return float(tls + (found[QS] < settings.tls_threshold).sum()), float(wells + (found[DW] == 1).sum())
