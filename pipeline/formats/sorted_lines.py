"""Lines sorted by numbers, more of them than memory holds: sorted parts wait on disk and are merged."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.formats.csv_lines import Lines, read_array

_AT_A_TIME = 65_536
"""Lines that are merged at a time, about."""

_SAMPLED = 256
"""Of so many keys one is looked at to cut the whole into pieces."""

Keys = NDArray[Any]
"""float64, or complex128: those sort by their real part, equal ones by the imaginary part."""


class Waiting(NamedTuple):
    """A sorted part on disk: keys, starts of the lines, and their text."""

    path: Path
    lines: int
    key_type: str

    def keys(self, start: int = 0, stop: int | None = None) -> Keys:
        """Keys of some of the lines, or of all."""
        size, stop = np.dtype(self.key_type).itemsize, self.lines if stop is None else stop
        return read_array(self.path, self.key_type, stop - start, size * start)

    def read(self, start: int, stop: int) -> Lines:
        """Some of the lines."""
        before = np.dtype(self.key_type).itemsize * self.lines
        starts = read_array(self.path, np.int64, stop - start + 1, before + 8 * start)
        first = before + 8 * (self.lines + 1) + int(starts[0])
        return Lines(read_array(self.path, np.uint8, int(starts[-1] - starts[0]), first), starts - starts[0])


def let_wait(path: Path, lines: Lines, keys: Keys, chosen: NDArray[np.bool_]) -> Waiting:
    """Sort the chosen lines by their keys, equal ones as they stand, and write them to a file."""
    order = np.flatnonzero(chosen)
    order = order[np.argsort(keys[order], kind="stable")]
    lines = lines.take(order)
    with path.open("wb") as file:
        for array in (keys[order], lines.starts, lines.text):
            file.write(array.data)
    return Waiting(path, len(order), keys.dtype.str)


def merged(parts: Sequence[Waiting]) -> Iterator[Lines]:
    """All lines in the order of their keys; equal ones in the order of the parts. A few MB are in memory at a time."""
    if not parts:
        return
    sampled = np.sort(np.concatenate([part.keys()[::_SAMPLED] for part in parts]))
    cuts = sampled[_AT_A_TIME // _SAMPLED :: _AT_A_TIME // _SAMPLED]
    places = [[0, *np.searchsorted(part.keys(), cuts).tolist(), part.lines] for part in parts]
    for k in range(len(cuts) + 1):
        ranges = [(part, at[k], at[k + 1]) for part, at in zip(parts, places, strict=True) if at[k] < at[k + 1]]
        if ranges:
            keys = np.concatenate([part.keys(start, stop) for part, start, stop in ranges])
            lines = joined([part.read(start, stop) for part, start, stop in ranges])
            yield lines.take(np.argsort(keys, kind="stable"))


def joined(parts: Sequence[Lines]) -> Lines:
    """Lines one after the other."""
    ends = np.cumsum([0, *(len(part.text) for part in parts)])
    starts = [part.starts[:-1] + end for part, end in zip(parts, ends.tolist(), strict=False)]
    return Lines(np.concatenate([part.text for part in parts]), np.concatenate([*starts, ends[-1:]]))
