"""A run cut into shares for the jobs of an array: which pairs each has, and how their results come together."""

import zlib
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import UserError
from pipeline.files import atomic_write
from pipeline.formats.keys import among, pair_keys
from pipeline.formats.results import read_own_results, read_own_unfinished
from pipeline.locks import only_writer
from pipeline.share import Share
from pipeline.workspace import Workspace


def part_of(pairs: pd.DataFrame, share: Share, decimals: int) -> pd.DataFrame:
    """The pairs that a share has.

    That follows from a pair's name alone: no other share has it, whatever becomes of the list.
    """
    keys = pair_keys(pairs, decimals).itertuples(index=False)
    number = [zlib.crc32(f"{conf} {low} {high}".encode()) % share.parts + 1 for conf, low, high in keys]
    return pairs[np.array(number, dtype=int) == share.number]


def merge_shares(workspace: Workspace, temperature: str, decimals: int) -> list[str]:
    """Bring the results of all shares that have ended into the files of all; what was done, in words.

    The caller is the only writer of these. Each file is replaced whole before the share's own is removed: killed in
    between, what stands in both is merged no second time.
    """
    said = []
    for share in workspace.shares(temperature):
        with ExitStack() as stack:
            try:
                stack.enter_context(only_writer(lock_of(workspace, temperature, share.share), "run_neb"))
            except UserError:
                said.append(f"the share {share.share} is running: its results are read where they are")
                continue
            _merge(workspace, share, temperature, decimals)
            said.append(f"results of the share {share.share} merged")
    return said


def merge_unless_running(workspace: Workspace, temperature: str, decimals: int, script: str) -> list[str]:
    """The same for who does not write exact results: where run_neb.py is running, nothing is done."""
    if not workspace.shares(temperature):
        return []
    with ExitStack() as stack:
        try:
            stack.enter_context(only_writer(workspace.lock("run_neb", temperature), script))
        except UserError:
            return []
        return merge_shares(workspace, temperature, decimals)


def lock_of(workspace: Workspace, temperature: str, name: str) -> Path:
    """Held by the process that calculates a share."""
    return workspace.lock(f"run_neb-{name}", temperature)


def _merge(workspace: Workspace, share: Workspace, temperature: str, decimals: int) -> None:
    for one, other in (
        (workspace.neb_paths(temperature, "jsonl"), share.neb_paths(temperature, "jsonl")),
        (workspace.calculations(temperature), share.calculations(temperature)),
    ):
        there = set(_lines(one))
        _add_lines(one, [line for line in _lines(other) if line not in there])
    results = pair_keys(read_own_results(workspace, temperature), decimals)
    for one, parts in (
        (workspace.new_splittings(temperature), share.splittings(temperature)),
        (workspace.non_dw(temperature), [share.non_dw(temperature)]),
    ):
        for part in parts:
            _add_lines(one, _not_among(_lines(part), results, decimals))
    unfinished = read_own_unfinished(share, temperature)
    known = pd.concat([results, pair_keys(read_own_unfinished(workspace, temperature), decimals)])
    new = unfinished[~among(pair_keys(unfinished, decimals), known)]
    if len(new):
        before = read_own_unfinished(workspace, temperature)
        with atomic_write(workspace.unfinished(temperature)) as part:
            (pd.concat([before, new]) if len(before) else new).to_csv(part, index=False)
    folder = share.unfinished(temperature).parent
    for path in folder.glob(f"{share.share}.*"):
        path.unlink()
    with suppress(OSError):  # there are others in it
        folder.rmdir()


def _lines(path: Path) -> list[bytes]:
    """Lines of a file, the last one with its end too; none where there is no file."""
    return [line + b"\n" for line in path.read_bytes().splitlines()] if path.exists() else []


def _not_among(lines: list[bytes], known: pd.DataFrame, decimals: int) -> list[bytes]:
    """Lines of results whose pairs have none yet."""
    if not lines:
        return lines
    text = pd.Series([line.decode() for line in lines]).str.extract(r"^Cnf-(?P<conf>\d+) (?P<i>[^_]+)_(?P<j>\S+)")
    keys = pair_keys(text.astype({"conf": "int64", "i": float, "j": float}), decimals)
    return [line for line, is_known in zip(lines, among(keys, known), strict=True) if not is_known]


def _add_lines(path: Path, lines: list[bytes]) -> None:
    """Put lines behind a file, which appears whole."""
    if lines:
        with atomic_write(path) as part:
            part.write_bytes(b"".join([*_lines(path), *lines]))
