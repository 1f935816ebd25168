"""Lines of a CSV of pairs as they are: what is not changed is neither written nor read again.

To write a number takes longer than to predict it; of twenty in a line two or three are new.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import DTypeLike, NDArray

from pipeline.errors import UserError
from pipeline.files import file_named, read_into
from pipeline.formats.pair_csv import read_csv_batches

Array = NDArray[np.float64]

PART = 1 << 23
"""Bytes; so many of a file are worked on at a time."""

Text = NDArray[np.uint8]

_COMMA, _NEWLINE, _RETURN = (np.uint8(ord(character)) for character in ",\n\r")

_AT_ONCE = 32
"""Bytes that are copied in one vector instruction."""


class Lines(NamedTuple):
    """Lines of text."""

    text: Text
    starts: NDArray[np.int64]
    """Where each begins, and the end of the last; each ends with a newline; shape (n_lines + 1,)."""

    def take(self, order: NDArray[np.int64]) -> "Lines":
        """Some of the lines, or all, in another order."""
        lengths = np.diff(self.starts)[order]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        text = np.empty(starts[-1], np.uint8)
        _copy(self.text, self.starts[order], starts, text)
        return Lines(text, starts)


def parts_of(path: Path) -> list[tuple[int, int]]:
    """Where parts of a CSV begin and end, in bytes: whole lines, without the first one of the file."""
    places = []
    size = path.stat().st_size
    with path.open("rb") as file:
        file.readline()
        while (place := file.tell()) < size:
            places.append(place)
            file.seek(min(place + PART, size) - 1)
            file.readline()
    return list(pairwise([*places, size]))


def read_array(path: Path, kind: DTypeLike, count: int, offset: int) -> NDArray[Any]:
    """Part of a file."""
    values = np.empty(count, kind)
    with file_named(path), path.open("rb") as file:
        file.seek(offset)
        read_into(file, values.view(np.uint8).data)
    return values


def read_lines(path: Path, part: tuple[int, int]) -> Lines:
    """One of :func:`parts_of`; empty lines are left out."""
    start, stop = part
    text = read_array(path, np.uint8, stop - start, start)
    if (text == _RETURN).any():
        text = text[text != _RETURN]
    if text[-1] != _NEWLINE:
        text = np.append(text, _NEWLINE)
    ends = np.flatnonzero(text == _NEWLINE) + 1
    lines = Lines(text, np.concatenate([[0], ends]))
    filled = np.diff(lines.starts) > 1
    return lines if filled.all() else lines.take(np.flatnonzero(filled))


def read_numbers(path: Path, lines: Lines, columns: Sequence[str]) -> pd.DataFrame:
    """Columns of lines of a CSV of pairs; UserError as :func:`pipeline.formats.pair_csv.read_csv_batches` raises it."""
    with path.open("rb") as file:
        header = file.readline()
    try:
        rows = pd.concat(read_csv_batches(path, columns, pa.py_buffer(header + lines.text.tobytes())))
    except UserError:
        for _ in read_csv_batches(path):  # says which line of the file it is
            pass
        raise
    if len(rows) != len(lines.starts) - 1:
        raise UserError(f"{path}: not a line for each pair; remove it and run the step that makes it")
    return rows.reset_index(drop=True)


def with_numbers(lines: Lines, at: int, new: Sequence[Array], place: int, other: Array) -> Lines:
    """Lines with new numbers put in before a field, and those of one field replaced.

    Parameters
    ----------
    lines : Lines
        Fields with commas between, none within.
    at : int
        Number of the field before which the new ones come.
    new : sequence of ndarray of shape (n_lines,)
        The new columns.
    place : int
        Number of the field to be replaced, ``at`` or one after it.
    other : ndarray of shape (n_lines,)
        Its new numbers.
    """
    put_in, put_over = _strings(pc.binary_join_element_wise(*map(_as_text, new), ",")), _strings(_as_text(other))
    longest = len(lines.text) + len(put_in[0]) + len(put_over[0]) + len(lines.starts)
    text, starts = np.empty(longest, np.uint8), np.empty_like(lines.starts)
    if not _put_in(*lines, *put_in, *put_over, at, place, text, starts):
        raise ValueError("a line has too few fields")
    return Lines(text[: starts[-1]], starts)


def _as_text(numbers: Array) -> pa.Array:
    """As in the CSVs that Arrow writes: the shortest text that reads back to the same number."""
    return pc.cast(pa.array(numbers), pa.string())


def _strings(texts: pa.Array) -> tuple[Text, NDArray[np.int32]]:
    """The bytes of all texts, and where each begins."""
    _, starts, content = texts.buffers()
    return np.frombuffer(content, np.uint8), np.frombuffer(starts, np.int32, len(texts) + 1)


@numba.njit(cache=True, nogil=True)
def _put_in(text, starts, new, new_starts, other, other_starts, at, place, out, out_starts):  # type: ignore[no-untyped-def]
    """See :func:`with_numbers`; whether all lines have the fields."""
    to = 0
    for line in range(len(starts) - 1):
        out_starts[line] = to
        k, end = starts[line], starts[line + 1]
        for field in range(place + 1):
            if k >= end:
                return False
            if field == at:
                to = _append(out, to, new, new_starts[line], new_starts[line + 1])
                out[to] = _COMMA
                to += 1
            begin = k
            while text[k] != _COMMA and text[k] != _NEWLINE:
                k += 1
            if field < place:
                k += 1
                to = _append(out, to, text, begin, k)
        to = _append(out, to, other, other_starts[line], other_starts[line + 1])
        to = _append(out, to, text, k, end)
    out_starts[-1] = to
    return True


@numba.njit(cache=True, nogil=True)
def _append(out, to, text, start, stop):  # type: ignore[no-untyped-def]
    """Copy a piece of text; where the next one goes."""
    while stop - start >= _AT_ONCE:
        for k in range(_AT_ONCE):
            out[to + k] = text[start + k]
        start, to = start + _AT_ONCE, to + _AT_ONCE
    for k in range(stop - start):
        out[to + k] = text[start + k]
    return to + stop - start


@numba.njit(cache=True, nogil=True)
def _copy(text, starts, to, out):  # type: ignore[no-untyped-def]
    """Copy lines that begin at ``starts`` to where ``to`` says."""
    for line in range(len(starts)):
        _append(out, to[line], text, starts[line], starts[line] + to[line + 1] - to[line])
