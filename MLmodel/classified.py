"""Taking pair tables through the classifier, a part of a table a job."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from MLmodel.card import Card
from MLmodel.for_jobs import loaded, loaded_model, saved, saved_model
from pipeline.files import spool_folder
from pipeline.formats.keys import PAIR_COLUMNS
from pipeline.formats.pair_csv import csv_text, csv_writer
from pipeline.formats.pair_tables import common_features, read_batches, record_batches, under_ceilings
from pipeline.formats.possible import PROBABILITY
from pipeline.progress import progress
from pipeline.settings import ClassifySettings, Settings
from pipeline.units import Units
from pipeline.workers.pool import worker_pool
from pipeline.workspace import Workspace

PART = 65_536
"""Pairs of a job: what workers hold in memory follows from it."""


class Part(NamedTuple):
    """Some of the batches of a pair table; ``row`` is the number of their first row."""

    table: Path
    batches: range
    row: int
    rows: int


class Wanted(NamedTuple):
    """What is kept of each part."""

    columns: list[str]
    ceilings: ClassifySettings
    units: Units


class Classified(NamedTuple):
    """Numbers of pairs looked at, of those kept, and of double wells expected among these; their lines."""

    looked_at: int
    kept: int
    expected: float
    text: bytes


def classify_tables(
    work: Workspace, card: Card, settings: Settings, tables: Sequence[Path], target: Path
) -> tuple[int, int, float]:
    """Write what may be a double well.

    Parameters
    ----------
    work, card
        Where the classifier is, and which.
    settings : Settings
        ``classify``, ``units``; ``cluster`` and ``processes``.
    tables : sequence of Path
        Pair tables.
    target : Path
        The CSV.

    Returns
    -------
    looked_at, kept : int
        Pairs under the ceilings, and those of them in the CSV.
    expected : float
        Double wells to be expected among those kept.
    """
    features = common_features(tables)
    parts = [part for table in tables for part in parts_of(table)]
    wanted = Wanted([*PAIR_COLUMNS, *features], settings.classify, settings.unit)
    looked_at, kept, expected = 0, 0, 0.0
    with (
        spool_folder(target) as spool,
        worker_pool(settings, len(parts)) as workers,
        progress(total=sum(part.rows for part in parts), desc="classifying", unit="pair") as bar,
        csv_writer(target, [*PAIR_COLUMNS, PROBABILITY, *features], settings.unit) as write,
    ):
        classify = partial(_classified, saved_model(work, card, spool / "model"), saved(wanted, spool / "wanted"))
        for part, found in zip(parts, workers.results(classify, parts, in_order=True), strict=True):
            write(found.text)
            looked_at, kept, expected = looked_at + found.looked_at, kept + found.kept, expected + found.expected
            bar.update(part.rows)
    return looked_at, kept, expected


def parts_of(table: Path) -> list[Part]:
    """Parts of a table of about PART pairs."""
    parts: list[Part] = []
    first, row, rows = 0, 0, 0
    sizes = [batch.num_rows for batch in record_batches(table, ["conf"])]
    for k, size in enumerate(sizes):
        rows += size
        if rows >= PART or k == len(sizes) - 1:
            parts.append(Part(table, range(first, k + 1), row, rows))
            first, row, rows = k + 1, row + rows, 0
    return parts


def _classified(model: Path, wanted: Path, part: Part) -> Classified:
    columns, ceilings, units = loaded(wanted)
    looked_at, kept, expected, text = 0, 0, 0.0, b""
    for rows in read_batches(part.table, columns, part.batches, part.row):
        rows = rows[under_ceilings(rows, ceilings)]
        rows.insert(len(PAIR_COLUMNS), PROBABILITY, loaded_model(model).predict(rows))
        looked_at += len(rows)
        rows = rows[rows[PROBABILITY] >= ceilings.min_probability]
        kept, expected = kept + len(rows), expected + float(rows[PROBABILITY].sum())
        text += csv_text(rows, list(rows), units)
    return Classified(looked_at, kept, expected, text)
