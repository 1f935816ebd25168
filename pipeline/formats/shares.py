"""A run cut into shares for the jobs of an array: which pairs each has, and how their results come together."""

import zlib
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import UserError
from pipeline.files import atomic_write
from pipeline.formats.keys import pair_index
from pipeline.formats.results import joined, read_own_results, read_own_unfinished
from pipeline.locks import only_writer
from pipeline.workspace import Share, StatePoint


def part_of(pairs: pd.DataFrame, share: Share) -> pd.DataFrame:
    """The pairs that a share has, of a table by :func:`pipeline.formats.keys.pair_index`.

    That follows from a pair's name alone: no other share has it, whatever becomes of the list.
    """
    number = [zlib.crc32(f"{conf} {low} {high}".encode()) % share.parts + 1 for conf, low, high in pairs.index]
    return pairs[np.array(number, dtype=int) == share.number]


def merge_shares(at: StatePoint) -> list[str]:
    """Bring the results of all shares that have ended into the files of all; what was done, in words.

    The caller is the only writer of these. Each file is replaced whole before the share's own is removed: killed in
    between, what stands in both is merged no second time.
    """
    said = []
    for share in at.shares:
        with ExitStack() as stack:
            try:
                stack.enter_context(only_writer(lock_of(at, share.share), "run_neb"))
            except UserError:
                said.append(f"the share {share.share} is running: its results are read where they are")
                continue
            _merge(at, share)
            said.append(f"results of the share {share.share} merged")
    return said


def merge_unless_running(at: StatePoint, script: str) -> list[str]:
    """The same for who does not write exact results: where run_neb.py is running, nothing is done."""
    if not at.shares:
        return []
    with ExitStack() as stack:
        try:
            stack.enter_context(only_writer(at.workspace.lock("run_neb", at.temperature), script))
        except UserError:
            return []
        return merge_shares(at)


def lock_of(at: StatePoint, name: str) -> Path:
    """Held by the process that calculates a share."""
    return at.workspace.lock(f"run_neb-{name}", at.temperature)


def _merge(at: StatePoint, share: StatePoint) -> None:
    for one, other in ((at.neb_paths("jsonl"), share.neb_paths("jsonl")), (at.calculations, share.calculations)):
        there = set(_lines(one))
        _add_lines(one, [line for line in _lines(other) if line not in there])
    results = read_own_results(at).index
    for one, parts in ((at.new_splittings, share.splittings), (at.non_dw, [share.non_dw])):
        for part in parts:
            _add_lines(one, _not_among(_lines(part), results, at.decimals))
    unfinished = read_own_unfinished(share)
    before = read_own_unfinished(at)
    new = unfinished[~unfinished.index.isin(results.append(before.index))]
    if len(new):
        with atomic_write(at.unfinished) as part:
            joined(before, new).to_csv(part, index=False)
    folder = share.unfinished.parent
    for path in folder.glob(f"{share.share}.*"):
        path.unlink()
    with suppress(OSError):  # there are others in it
        folder.rmdir()


def _lines(path: Path) -> list[bytes]:
    """Lines of a file, the last one with its end too; none where there is no file."""
    return [line + b"\n" for line in path.read_bytes().splitlines()] if path.exists() else []


def _not_among(lines: list[bytes], known: pd.Index, decimals: int) -> list[bytes]:
    """Lines of results whose pairs have none yet."""
    if not lines:
        return lines
    text = pd.Series([line.decode() for line in lines]).str.extract(r"^Cnf-(?P<conf>\d+) (?P<i>[^_]+)_(?P<j>\S+)")
    keys = pair_index(text.astype({"conf": "int64", "i": float, "j": float}), decimals)
    return [line for line, is_known in zip(lines, keys.isin(known), strict=True) if not is_known]


def _add_lines(path: Path, lines: list[bytes]) -> None:
    """Put lines behind a file, which appears whole."""
    if lines:
        with atomic_write(path) as part:
            part.write_bytes(b"".join([*_lines(path), *lines]))
