"""The files of exact results: NON-DW.txt, the splittings, unfinished.csv, calculations.csv and lists of pairs.

Lines are added one at a time, whole or not at all. A run that is cut into shares for the jobs of an array adds them to
files of each share, which are read with those of all, and merged with them once the share has ended.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.errors import HeldError, UserError, odd_character, short
from pipeline.files import append_line, atomic_write, content_of, only_writer, write_text
from pipeline.formats.csv_files import NUMBER, Range, as_numbers, read_user_csv, with_numbers
from pipeline.formats.keys import PAIR_COLUMNS, Pair, by_pair, labels_as_text, largest_name, no_pairs, pair_index
from pipeline.messages import note_once
from pipeline.stamps import status
from pipeline.workspace import DW, QS, Share, StatePoint

_COUNTED = {name: Range(0, 1e15, name != "cpu_seconds", True) for name in ("images", "steps", "cpu_seconds")}
"""Columns of calculations.csv with what a calculation took."""

_ALL_DECIMALS = 12  # no ij_decimals is larger

SMALLEST = 1e-16
"""ε, or eV: no splitting is smaller. It is the difference of two levels, which stand as doubles at about one ε or eV
and differ by 2⁻⁵² of that or not at all. Δ₀ ~ ħω exp(−L √(2V) / ħ̃) is as small at L = 1 σ √m, V = 0.16 ε and the ħ̃ of
the example; over a longer path or a higher barrier the asymmetry is left, which no two minima have so small."""

_NON_DW = r"Cnf-(\d{1,18})\s+([^\s_]+)_([^\s_]+)"
_SPLITTING = _NON_DW + r"\s+(\S+)"  # lines of results
ORIGIN = "origin of the label"  # column: file and line of a result; no feature of a user is called like it


def read_neb_results(at: StatePoint, shares: bool = True) -> pd.DataFrame:
    """Read all results of exact calculations at one temperature, those of shares last; empty where there are none.

    Columns ``conf``, ``i``, ``j``, ``is_dw``, ``quantum_splitting`` (ε; NaN for non-DW) and ``ORIGIN``, the file and
    line; in the order of the files, by :func:`pipeline.formats.keys.pair_index` as are all tables of pairs here.
    """

    def own(one: StatePoint) -> pd.DataFrame:
        parts = [results_in(path, one.decimals) for path in (one.non_dw, *one.splittings) if path.exists()]
        return joined(no_pairs(DW, QS, ORIGIN, "line"), *parts).drop(columns="line")

    return _of_all(own, at, shares)


def last_results(at: StatePoint) -> pd.DataFrame:
    """Results of :func:`read_neb_results`, each pair once: of one that was calculated again, the last."""
    results = read_neb_results(at)
    return results[~results.index.duplicated(keep="last")]


def _of_all(own: Callable[[StatePoint], pd.DataFrame], at: StatePoint, shares: bool = True) -> pd.DataFrame:
    """A table and behind it those of shares, read first: what is merged meanwhile is found twice, not never."""
    of_shares = []
    for share in at.shares if shares else ():
        try:
            of_shares.append(own(share))
        except (FileNotFoundError, UserError):
            if share in at.of_share("").shares:
                raise  # else merged since its files were listed
    table = own(at)
    for more in of_shares:
        table = joined(table, more[~more.index.isin(table.index)])
    return table


def joined(*tables: pd.DataFrame) -> pd.DataFrame:
    """Rows of all tables that have any; pandas warns of empty ones."""
    return pd.concat([table for table in tables if len(table)] or [*tables[:1]])


def read_lines(path: Path) -> list[str]:
    """Lines of a file of results, with their ends; a last one that was cut when it was written is left out, and told.

    Users' editors leave no end of line at the end of a file: such a line stays if it is complete.
    """
    try:
        whole, end, last = content_of(path).rpartition(b"\n")  # the last may be cut within a character
        lines = ((whole + end).decode("utf-8-sig") + last.decode("utf-8-sig", "replace")).splitlines(keepends=True)
    except OSError as error:
        raise UserError(f"{path}: not readable ({error.strerror}); put a text file there, or nothing") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not text in UTF-8; save it as that, with a line a result (doc/files.md)") from None
    text = lines[-1].strip() if lines and not lines[-1].endswith(("\n", "\r")) else ""
    if not text or text.startswith("#"):
        return lines
    splitting = "" if "NON-DW" in path.name else rf"\s+{NUMBER}"
    complete = re.fullmatch(rf"Cnf-\d{{1,18}}\s+{NUMBER}_{NUMBER}{splitting}", text)
    what = "has no end and is read as it stands" if complete else "is cut and left out"
    note_once(f"{path}: line {len(lines)}, the last, {what}: '{short(text)}'")
    return lines if complete else lines[:-1]


def add_line(path: Path, line: str) -> None:
    """Add a line to a file; a last one that is cut is no beginning of it."""
    if path.exists() and content_of(path, 1) not in (b"", b"\n"):
        write_text(path, "".join(read_lines(path)))
    append_line(path, line)


def results_in(path: Path, decimals: int) -> pd.DataFrame:
    """The results in one file, by pair; ``line`` is the number of the line. A file that did not change is read once."""
    return _results_in(path, decimals, *status(path))


@lru_cache(maxsize=32)  # of 20,000 results each takes 5 MB
def _results_in(path: Path, decimals: int, *changed: int) -> pd.DataFrame:
    splitting = "NON-DW" not in path.name
    lines = pd.Series(read_lines(path), dtype=str).str.strip()
    lines.index += 1
    lines = lines[(lines != "") & ~lines.str.startswith("#")]
    form = "Cnf-{conf} {i}_{j}" + (" {quantum splitting}" if splitting else "")
    parts = lines.str.extract(f"^{_SPLITTING if splitting else _NON_DW}$")
    numbers = pd.DataFrame({column: as_numbers(parts[column]) for column in parts})
    large = (numbers[[1, 2]].abs() > largest_name(decimals)).any(axis=1)
    twice = numbers[1].round(_ALL_DECIMALS) == numbers[2].round(_ALL_DECIMALS)
    good = np.isfinite(numbers).all(axis=1) & ~large & ~twice
    good &= (numbers[3] >= SMALLEST) if splitting else True
    if not good.all():
        line = int(good.idxmin())
        text, said = lines[line], f"'{short(lines[line])}' "
        if not np.isfinite(numbers.loc[line, [0, 1, 2]]).all():
            said += f"is not '{form}'{odd_character(text)}"
        elif large[line]:
            said += f"names a minimum by a number too large for ij_decimals = {decimals}"
        elif twice[line]:
            said += "names one minimum twice"
        elif 0 < numbers[3][line] < SMALLEST:
            said = f"no double well has a splitting as small as {parts[3][line]} (less than {SMALLEST:g})"
        else:
            text = parts[3][line]
            said = f"the splitting '{short(text)}' is not a number above zero{odd_character(text)}"
        raise UserError(f"{path}: line {line}: {said}; fix or remove the line")
    table = pd.DataFrame(
        {
            "conf": parts[0].astype(np.int64),
            "i": numbers[1],
            "j": numbers[2],
            DW: int(splitting),
            QS: numbers[3] if splitting else np.nan,
            ORIGIN: [f"{path} line {number}" for number in lines.index],
            "line": lines.index,
        }
    )
    return by_pair(table, decimals)


def add_non_dw(at: StatePoint, pair: Pair) -> None:
    """Write that a pair is no double well."""
    add_line(at.non_dw, f"{pair.text(at.decimals)}\n")


def take_back_splitting(at: StatePoint, pair: Pair) -> None:
    """Make a comment of each line with a splitting of a pair, where a finer calculation finds no double well."""
    key = pair_index(pd.DataFrame([pair]), at.decimals)
    for path in at.splittings:
        results, lines = results_in(path, at.decimals), read_lines(path)
        of_pair = results.loc[results.index.isin(key), "line"]
        for number in of_pair:
            lines[number - 1] = f"# non-DW by run_neb.py: {lines[number - 1]}"
        if len(of_pair):
            write_text(path, "".join(lines))


def add_splitting(at: StatePoint, pair: Pair, splitting: float) -> None:
    """Write the splitting of a double well, in ε."""
    add_line(at.new_splittings, f"{pair.text(at.decimals)} {float(splitting)!r}\n")


def read_unfinished(at: StatePoint, shares: bool = True) -> pd.DataFrame:
    """Pairs without a verdict: ``conf``, ``i``, ``j`` and ``reason``, the last of each; empty where there are none."""
    table = _of_all(lambda one: _added_rows(one.unfinished, one.decimals), at, shares)
    has_result = table.index.isin(read_neb_results(at, shares).index)
    return table[~table.index.duplicated(keep="last") & ~has_result]


def _added_rows(path: Path, decimals: int, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Rows of a CSV to which steps add lines; none where there is no such file, or nothing in it."""
    if not path.exists() or path.stat().st_size == 0:
        return no_pairs(*columns)
    table = read_pair_list(path, decimals, columns, whole_lines=True)
    return with_numbers(path, table, {name: kind for name, kind in _COUNTED.items() if name in table})


def add_unfinished(at: StatePoint, pair: Pair, reason: str) -> None:
    """Write why the exact calculation of a pair gave no verdict."""
    _append_row(at.unfinished, pair, at.decimals, {"reason": reason})


def settle_unfinished(at: StatePoint) -> None:
    """Take out of ``unfinished.csv`` the rows of pairs that have a result by now, or a later row."""
    left = read_unfinished(at, shares=False)
    if len(left) < len(_added_rows(at.unfinished, at.decimals)):
        with atomic_write(at.unfinished) as part:
            labels_as_text(left, at.decimals).to_csv(part, index=False)


def add_calculation(at: StatePoint, pair: Pair, row: dict[str, Any]) -> None:
    """Write what a calculation came to and cost: verdict, splitting in ε, fidelity, images, steps, cpu_seconds."""
    _append_row(at.calculations, pair, at.decimals, row)


def _append_row(path: Path, pair: Pair, decimals: int, row: dict[str, Any]) -> None:
    rows, there = pd.DataFrame([{**pair._asdict(), **row}]), _header(path)
    if not _may_follow(",".join(rows), there):
        with suppress(UserError):  # what is wrong there is told once it is read; until then no result is lost
            _join_rows(path, rows, decimals)
            return
    add_line(path, labels_as_text(rows, decimals).to_csv(index=False, header=not there))


def _header(path: Path) -> str:
    """The first line of a CSV with something in it; empty where there is none."""
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:  # a line, as a row is added at each verdict
        return next((text for line in lines if line.endswith("\n") and (text := line.strip())), "")


def _may_follow(header: str, there: str) -> bool:
    """Whether lines below one header may stand in a CSV with another, or none; it may have more columns behind."""
    return f"{there or header},".startswith(f"{header},")


def _join_rows(path: Path, rows: pd.DataFrame, decimals: int) -> None:
    """Put rows behind those of a CSV of other columns, with their columns first."""
    table = joined(_added_rows(path, decimals), rows)
    columns = dict.fromkeys([*rows, *table])
    with atomic_write(path) as part:
        labels_as_text(table[[*columns]], decimals).to_csv(part, index=False)


def read_calculations(at: StatePoint) -> pd.DataFrame:
    """All rows of calculations.csv, oldest first; a pair that was refined has two. Empty where there is none."""
    columns = ("verdict", "fidelity", "cpu_seconds")
    return _of_all(lambda one: _added_rows(one.calculations, one.decimals, columns), at).astype({"cpu_seconds": float})


def pairs_with_result(at: StatePoint) -> pd.MultiIndex:
    """All pairs whose exact calculation has ended, with or without a verdict; each once."""
    index = read_neb_results(at).index.append(read_unfinished(at).index)
    assert isinstance(index, pd.MultiIndex)
    return index.drop_duplicates()


def read_pair_list(path: Path, decimals: int, others: Sequence[str] = (), whole_lines: bool = False) -> pd.DataFrame:
    """Read a CSV with ``conf``, ``i``, ``j``, ``others`` and perhaps more, by pair.

    ``whole_lines``: of one to which steps add lines, see :func:`read_lines`.
    """
    content = "".join(read_lines(path)).encode() if whole_lines else None
    table, label = read_user_csv(path, [*PAIR_COLUMNS, *others], content), largest_name(decimals)
    ranges = {"conf": Range(0, 1e18, True), "i": Range(-label, label), "j": Range(-label, label)}
    return by_pair(with_numbers(path, table, ranges), decimals)


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
            with only_writer(at.workspace.lock(f"run_neb-{share.share}", at.temperature), "run_neb"):
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


def _merge(at: StatePoint, share: StatePoint) -> None:
    known = read_neb_results(at, shares=False).index
    if share.neb_paths("jsonl").exists():
        _add_lines(at.neb_paths("jsonl"), read_lines(share.neb_paths("jsonl")))
    for one, other in ((at.calculations, share.calculations), (at.unfinished, share.unfinished)):
        if (header := _header(other)) and _may_follow(header, _header(one)):
            _add_lines(one, read_lines(other))
        elif header:
            _join_rows(one, _added_rows(other, at.decimals), at.decimals)
    for one, parts in ((at.new_splittings, share.splittings), (at.non_dw, [share.non_dw])):
        for part in filter(Path.exists, parts):
            results, lines = results_in(part, at.decimals), read_lines(part)
            _add_lines(one, [lines[number - 1] for number in results.loc[~results.index.isin(known), "line"]])
    for path in filter(Path.exists, share.result_files):
        path.unlink()
    with suppress(OSError):  # there are others in it
        share.unfinished.parent.rmdir()


def _add_lines(path: Path, lines: list[str]) -> None:
    """Put lines behind a file, which appears whole, unless they stand there; of a CSV, not its header again."""
    there = [line.rstrip("\r\n") for line in read_lines(path)] if path.exists() else []
    known, new = set(there), (line.rstrip("\r\n") for line in lines[bool(there) and path.suffix == ".csv" :])
    if added := [line for line in new if line not in known]:
        write_text(path, "".join(f"{line}\n" for line in [*there, *added]))
