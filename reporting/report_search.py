"""The report on the search: what to calculate next, and whether going on pays."""

import shlex
from typing import NamedTuple

import numpy as np
import pandas as pd

from MLmodel.card import read_card
from MLmodel.metrics import Array
from pipeline.command import Command
from pipeline.files import file_digest
from pipeline.formats.keys import PAIR_COLUMNS, rows_in
from pipeline.formats.pair_csv import read_csv_batches
from pipeline.formats.possible import PROBABILITY, TLS_PROBABILITY
from pipeline.formats.results import pairs_with_result
from pipeline.workspace import CLASSIFIER, PREDICTOR, QS, StatePoint
from reporting.neb_plots import rounds
from reporting.report_models import search_figure
from reporting.report_page import Block, Code, Figures, Missing, Table, Text, number
from search.rounds import NEXT, does_it_pay, read_rounds
from search.stopping import expected

SHOWN = 10
"""So many pairs of the list are shown."""


def what_next(command: Command, at: StatePoint, figures: Figures) -> list[Block]:
    """The top of the list of new pairs, what to expect of it, and the command that calculates it."""
    settings = command.settings
    step = first_step_missing(at)
    path = at.predicted("newpairs")
    if step:
        wanted = f"There is no list of pairs yet; {step} is the next step towards it:"
        return [Missing(wanted), Code(_command(command, at, step))]
    listed = _what_is_left(at)
    since = f" ({listed.answered} of the list were calculated since it was made)" if listed.answered else ""
    if not len(listed.chances):
        wanted = f"Nothing of the list is left to calculate{since}: run steps 1 to 4 for a new one, or add minima."
        return [Text(wanted)]
    following, everything = expected(listed.chances[:NEXT]), expected(listed.chances)
    count = len(listed.chances[:NEXT])
    unit = settings.unit.energy
    return [
        Text(
            f"TLS expected of the next {count} exact calculations: {following.mean:.1f} "
            f"({following.low} to {following.high}, 68 %). Of all {len(listed.chances)} pairs left{since}: "
            f"{everything.mean:.1f} ({everything.low} to {everything.high})."
        ),
        Code(_command(command, at, f"run_neb.py --top {count}")),
        Table(
            f"The next {len(listed.top)} pairs; a TLS is a double well with a splitting below "
            f"{settings.tls_threshold:g} {unit}",
            ["glass", "i", "j", f"predicted splitting ({unit})", "chance of a TLS", "chance of a double well"],
            [
                [str(int(row[0])), *(number(v, 12) for v in row[1:3]), number(row[3]), *(number(v, 2) for v in row[4:])]
                for row in listed.top.itertuples(index=False, name=None)
            ],
            figures.links(path),
        ),
    ]


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


def _command(command: Command, at: StatePoint, script: str) -> str:
    """As it is typed."""
    several = len(command.workspace.temperatures()) > 1
    root = str(command.workspace.root)
    options = [f"-T {at.temperature}"] * several + [f"--workspace {shlex.quote(root)}"] * (root != ".")
    return " ".join(["python", script, *options])


class _Left(NamedTuple):
    """The pairs of the list that have no answer."""

    top: pd.DataFrame
    chances: Array
    """Of a TLS, in the order of the list."""
    answered: int
    """How many others have one by now."""


def _what_is_left(at: StatePoint) -> _Left:
    known = pairs_with_result(at)
    columns = [*PAIR_COLUMNS, QS, TLS_PROBABILITY, PROBABILITY]
    top, chances, answered = pd.DataFrame(columns=columns), [np.empty(0)], 0
    for rows in read_csv_batches(at.predicted("newpairs"), columns):
        left = rows[~rows_in(rows, known, at.decimals)]
        answered += len(rows) - len(left)
        chances.append(left[TLS_PROBABILITY].to_numpy())
        if len(top) < SHOWN:
            top = left[columns].head(SHOWN - len(top)) if top.empty else pd.concat([top, left[columns]]).head(SHOWN)
    return _Left(top, np.concatenate(chances), answered)


def does_going_on_pay(command: Command, at: StatePoint, figures: Figures) -> list[Block]:
    """The rounds, their forecast, and what follows from them."""
    return [*_rounds(at, figures), search_figure(command, at, figures)]


def _rounds(at: StatePoint, figures: Figures) -> list[Block]:
    path, picture = (at.rounds(kind) for kind in ("csv", "png"))
    if not path.exists():
        return [Missing(f"No round yet: {path.name} comes with the first exact calculations from a list, run_neb.py.")]
    table = read_rounds(path)
    told = ["list", "unfinished", "tls_expected", "next_nebs", "next_tls", "remaining_pairs"]
    if table.empty or table.iloc[-1][told].isna().any():
        return [Missing(f"The last round in {path.name} is of an earlier version: run_neb.py brings it up to date.")]
    blocks: list[Block] = [Text(f"{said[0].upper()}{said[1:]}.") for said in does_it_pay(table.iloc[-1])]
    new_list = at.predicted("newpairs")
    if new_list.exists() and not file_digest(new_list).startswith(table["list"].iloc[-1]):
        blocks.append(Text("The list was made anew since then; section 1 says what to expect of it."))
    drawn = rounds(table, f"T = {at.temperature}: TLS found in each round of NEBs")
    title = f"T = {at.temperature}: TLS found and expected, round after round"
    blocks.append(figures.figure(drawn, f"T{at.temperature}-rounds", title, path, picture))
    columns = {
        "round": "round",
        "nebs": "NEBs",
        "double_wells": "double wells",
        "tls": "TLS",
        "distinct_tls": "distinct",
        "unfinished": "unfinished",
        "tls_expected": "TLS expected",
        "tls_expected_sd": "±",
        "cpu_seconds": "CPU (s)",
        "remaining_tls": "TLS left on the list",
    }
    cells = [["" if pd.isna(v) else number(float(v)) for v in row] for row in table[list(columns)].to_numpy(object)]
    blocks.append(Table("Rounds", list(columns.values()), cells, figures.links(path)))
    return blocks
