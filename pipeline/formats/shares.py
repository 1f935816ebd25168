"""A run cut into shares for the jobs of an array: which pairs each has, and how their results come together."""

import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import HeldError
from pipeline.files import atomic_write, write_text
from pipeline.formats.keys import labels_as_text
from pipeline.formats.results import joined, read_lines, read_neb_results, read_unfinished, results_in
from pipeline.locks import only_writer
from pipeline.workspace import Share, StatePoint


def part_of(pairs: pd.DataFrame, share: Share) -> pd.DataFrame:
    """The pairs of a share, by their names alone: no other share has one of them, whatever becomes of the list."""
    number = [zlib.crc32(f"{conf} {low} {high}".encode()) % share.parts + 1 for conf, low, high in pairs.index]
    return pairs[np.array(number, dtype=int) == share.number]


def merge_shares(at: StatePoint) -> list[str]:
    """Bring the results of all shares that have ended into the files of all; what was done, in words.

    The caller is the only writer of these. Each file is replaced whole before the share's own is removed: killed in
    between, what stands in both is merged no second time.
    """
    said = []
    for share in at.shares:
        try:
            with only_writer(lock_of(at, share.share), "run_neb"):
                _merge(at, share)
            said.append(f"results of the share {share.share} merged")
        except HeldError:
            said.append(f"the share {share.share} is running: its results are read where they are")
    return said


def merge_unless_running(at: StatePoint, script: str) -> list[str]:
    """Merge shares for a script that writes no exact results; nothing is done where run_neb.py is running."""
    if at.shares:
        with suppress(HeldError), only_writer(at.workspace.lock("run_neb", at.temperature), script):
            return merge_shares(at)
    return []


def lock_of(at: StatePoint, name: str) -> Path:
    """Held by the process that calculates a share."""
    return at.workspace.lock(f"run_neb-{name}", at.temperature)


def _merge(at: StatePoint, share: StatePoint) -> None:
    results, before = read_neb_results(at, shares=False).index, read_unfinished(at, shares=False)
    for one, other in ((at.neb_paths("jsonl"), share.neb_paths("jsonl")), (at.calculations, share.calculations)):
        _add_lines(one, read_lines(other) if other.exists() else [])
    for one, parts in ((at.new_splittings, share.splittings), (at.non_dw, [share.non_dw])):
        for part in filter(Path.exists, parts):
            lines = read_lines(part)
            found = results_in(part, at.decimals)
            known = {*found["line"][found.index.isin(results)]}
            kept = (line for number, line in enumerate(lines, 1) if line.strip() and number not in known)
            _add_lines(one, [f"{line.rstrip()}\n" for line in kept])
    unfinished = read_unfinished(share, shares=False)
    new = unfinished[~unfinished.index.isin(results.append(before.index))]
    if len(new):
        with atomic_write(at.unfinished) as part:
            labels_as_text(joined(before, new), at.decimals).to_csv(part, index=False)
    for path in filter(Path.exists, share.result_files):
        path.unlink()
    with suppress(OSError):  # there are others in it
        share.unfinished.parent.rmdir()


def _add_lines(path: Path, lines: list[str]) -> None:
    """Put lines behind a file, which appears whole, unless they stand there."""
    there = [line.rstrip("\r\n") for line in read_lines(path)] if path.exists() else []
    known = set(there)
    if new := [line for line in lines if line.rstrip("\r\n") not in known]:
        write_text(path, "".join([*(f"{line}\n" for line in there), *new]))
