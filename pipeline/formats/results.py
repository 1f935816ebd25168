"""The files of exact results: NON-DW.txt, the splittings, unfinished.csv, calculations.csv and lists of pairs.

What the last three have in common is the CSV with ``conf,i,j``. Lines are added one at a time, whole or not at all.
"""

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.errors import UserError, odd_character, short
from pipeline.files import append_line, atomic_write, content_of, write_text
from pipeline.formats.csv_files import NUMBER, Range, as_numbers, read_user_csv, with_numbers
from pipeline.formats.keys import PAIR_COLUMNS, Pair, by_pair, label, labels_as_text, no_pairs, pair_index
from pipeline.messages import note_once
from pipeline.workspace import DW, QS, StatePoint

_COUNTED = {name: Range(0, 1e15, name != "cpu_seconds", True) for name in ("images", "steps", "cpu_seconds")}
"""Columns of calculations.csv with what a calculation took."""

_PAIR = {"conf": Range(0, 1e18, True), "i": Range(-1e18, 1e18), "j": Range(-1e18, 1e18)}  # of every CSV of pairs
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
        return joined(no_pairs(DW, QS, ORIGIN), *parts).drop(columns="line", errors="ignore")

    return _with_shares(own, at) if shares else own(at)


def last_results(at: StatePoint) -> pd.DataFrame:
    """Results of :func:`read_neb_results`, each pair once: of one that was calculated again, the last."""
    results = read_neb_results(at)
    return results[~results.index.duplicated(keep="last")]


def _with_shares(own: Callable[[StatePoint], pd.DataFrame], at: StatePoint) -> pd.DataFrame:
    """A table and behind it those of shares, read first: what is merged meanwhile is found twice, not never."""
    of_shares = []
    for share in at.shares:
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
    if path.exists() and (content := content_of(path)) and not content.endswith(b"\n"):
        write_text(path, "".join(read_lines(path)))
    append_line(path, line)


def results_in(path: Path, decimals: int) -> pd.DataFrame:
    """The results in one file, by pair; ``line`` is the number of the line."""
    splitting = "NON-DW" not in path.name
    lines = pd.Series(read_lines(path), dtype=str).str.strip()
    lines.index += 1
    lines = lines[(lines != "") & ~lines.str.startswith("#")]
    form = "Cnf-{conf} {i}_{j}" + (" {quantum splitting}" if splitting else "")

    def refuse(bad: "pd.Series[bool]", problem: Callable[[int], str]) -> None:
        if bad.any():
            line = int(bad.index[bad.to_numpy().argmax()])
            raise UserError(f"{path}: line {line}: {problem(line)}; fix or remove the line")

    parts = lines.str.extract(f"^{_SPLITTING if splitting else _NON_DW}$")
    numbers = pd.DataFrame({column: as_numbers(parts[column]) for column in parts})
    refuse(
        ~np.isfinite(numbers[[0, 1, 2]]).all(axis=1),
        lambda line: f"'{short(lines[line])}' is not '{form}'{odd_character(lines[line])}",
    )
    refuse(
        numbers[1].round(_ALL_DECIMALS) == numbers[2].round(_ALL_DECIMALS),
        lambda line: f"'{short(lines[line])}' names one minimum twice",
    )
    if splitting:
        refuse(
            ~(np.isfinite(numbers[3]) & (numbers[3] > 0)),
            lambda line: (
                f"the splitting '{short(parts[3][line])}' is not a number above zero{odd_character(parts[3][line])}"
            ),
        )
        refuse(
            numbers[3] < SMALLEST,
            lambda line: f"no double well has a splitting as small as {parts[3][line]} (less than {SMALLEST:g})",
        )
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
        results = results_in(path, at.decimals)
        of_pair = {*results["line"][results.index.isin(key)]}
        if of_pair:
            lines = enumerate(read_lines(path), 1)
            kept = [f"# non-DW by run_neb.py: {line}" if number in of_pair else line for number, line in lines]
            write_text(path, "".join(kept))


def add_splitting(at: StatePoint, pair: Pair, splitting: float) -> None:
    """Write the splitting of a double well, in ε."""
    add_line(at.new_splittings, f"{pair.text(at.decimals)} {float(splitting)!r}\n")


def read_unfinished(at: StatePoint, shares: bool = True) -> pd.DataFrame:
    """Pairs whose exact calculation gave no verdict: ``conf``, ``i``, ``j``, ``reason``; empty where there are none."""

    def own(one: StatePoint) -> pd.DataFrame:
        if not one.unfinished.exists() or one.unfinished.stat().st_size == 0:
            return no_pairs("reason")
        return read_pair_list(one.unfinished, one.decimals, "".join(read_lines(one.unfinished)).encode())

    return _with_shares(own, at) if shares else own(at)


def add_unfinished(at: StatePoint, pair: Pair, reason: str) -> None:
    """Write why the exact calculation of a pair gave no verdict."""
    _append_row(at.unfinished, pair, at.decimals, {"reason": reason})


def replace_unfinished(at: StatePoint, pair: Pair, reason: str | None) -> None:
    """Give the row of a pair in ``unfinished.csv`` another reason, or take it out where that is None."""
    table = read_unfinished(at, shares=False)
    is_this = table.index.isin(pair_index(pd.DataFrame([pair]), at.decimals))
    table = table[~is_this] if reason is None else table.assign(reason=table["reason"].mask(is_this, reason))
    with atomic_write(at.unfinished) as part:
        labels_as_text(table, at.decimals).to_csv(part, index=False)


def add_calculation(at: StatePoint, pair: Pair, row: dict[str, Any]) -> None:
    """Write what a calculation came to and cost: verdict, splitting in ε, fidelity, images, steps, cpu_seconds."""
    _append_row(at.calculations, pair, at.decimals, row)


def _append_row(path: Path, pair: Pair, decimals: int, row: dict[str, Any]) -> None:
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        writer.writerow([*PAIR_COLUMNS, *row])
    writer.writerow([pair.conf, label(pair.i, decimals), label(pair.j, decimals), *row.values()])
    add_line(path, line.getvalue())


def read_calculations(at: StatePoint) -> pd.DataFrame:
    """All rows of calculations.csv, oldest first; a pair that was refined has two. Empty where there is none."""

    def own(one: StatePoint) -> pd.DataFrame:
        path, columns = one.calculations, ("verdict", "fidelity", "cpu_seconds")
        if not path.exists():
            return no_pairs(*columns).astype({"cpu_seconds": float})
        table = read_pair_list(path, one.decimals, "".join(read_lines(path)).encode(), columns)
        return with_numbers(path, table, {name: kind for name, kind in _COUNTED.items() if name in table})

    return _with_shares(own, at)


def pairs_with_result(at: StatePoint) -> pd.MultiIndex:
    """All pairs whose exact calculation has ended, with or without a verdict; each once."""
    index = read_neb_results(at).index.append(read_unfinished(at).index)
    assert isinstance(index, pd.MultiIndex)
    return index.drop_duplicates()


def read_pair_list(path: Path, decimals: int, content: bytes | None = None, others: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV with ``conf``, ``i``, ``j``, ``others`` and perhaps more, by pair; ``content``: what counts of it."""
    table = read_user_csv(path, [*PAIR_COLUMNS, *others], content)
    return by_pair(with_numbers(path, table, _PAIR), decimals)
