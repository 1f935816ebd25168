"""What a list of predicted pairs holds, without what predicts."""

from pathlib import Path
from typing import NamedTuple

from pipeline.formats.pair_csv import read_csv_batches
from pipeline.formats.possible import TLS_PROBABILITY


class Listed(NamedTuple):
    """What a list holds, or a part of one."""

    pairs: int
    tls: float
    """To be expected among them."""


def listed_in(path: Path) -> Listed:
    """What a list that is there holds."""
    pairs, tls = 0, 0.0
    for rows in read_csv_batches(path, [TLS_PROBABILITY]):
        pairs += len(rows)
        tls += float(rows[TLS_PROBABILITY].sum())
    return Listed(pairs, tls)
