"""Extended XYZ: frames with a line of keys, and columns that it names."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, pairwise
from typing import Any, TextIO

import numpy as np

from pipeline.errors import short
from pipeline.formats.configurations import MinimumError
from pipeline.formats.texts.columns import check_end, numbers, particles, read_columns
from pipeline.messages import counted
from pipeline.workspace import Reading

NAMED = r".+\.(ext)?xyz(\.(gz|bz2|xz))?"  # names of such files
_KEY = re.compile(r"""([^\s=]+)\s*=\s*("[^"]*"|'[^']*'|\{[^}]*\}|\[[^]]*\]|\S+)""")


def read_extxyz(text: TextIO, reading: Reading) -> Iterator[Callable[[], dict[str, Any]]]:
    """Frames of a file in their order; as :func:`pipeline.formats.dumps.read_dump` gives snapshots.

    The total energy stands under ``energy``, or the name of ``reading``; where it is a column, the sum is taken.
    """
    at = 0
    for line in text:
        at += 1
        if not line.strip():
            continue
        if not re.fullmatch(r"\s*\d{1,9}\s*", line):
            raise MinimumError(f"line {at}: '{short(line)[:60]}' where the count of atoms of a frame should be")
        n, keys = int(line), next(text, "")
        lines = list(islice(text, n))
        if len(lines) < n:
            raise MinimumError(f"{counted(len(lines), 'atom')} where line {at} says {n}: truncated")
        if n and not lines[-1].endswith("\n"):
            check_end([one.split() for one in lines], lines[-1])
        at += n + 1
        yield partial(_frame, lines, keys, reading)


def _frame(lines: list[str], line: str, reading: Reading) -> dict[str, Any]:
    rows = [one.split() for one in lines]
    keys = {name: value.strip("\"'{}[]") for name, value in _KEY.findall(line)}
    lower = {name.lower(): value for name, value in keys.items()}
    if not rows:
        raise MinimumError("no atom in the frame")
    if reading.units and lower.get("units", reading.units) not in (reading.units, "lj" * (reading.units == "reduced")):
        raise MinimumError(f"units={short(lower['units'])}, where config.yaml says units: {reading.units}")
    columns = _columns(rows, lower.get("properties", "species:S:1:pos:R:3"))
    if "pos" not in columns or columns["pos"].shape != (len(rows), 3):
        raise MinimumError("its Properties name no three columns pos:R:3")
    if "lattice" not in lower:
        raise MinimumError('no Lattice="…" in the second line of the frame')
    lattice = numbers([lower["lattice"].replace(",", " ").split() or ["nothing"]], "its Lattice").ravel()
    if lattice.size != 9:
        raise MinimumError("its Lattice is not nine numbers")
    periodic = lower.get("pbc", "T T T").replace(",", " ").split()
    if len(periodic) != 3 or not all(re.fullmatch(r"(?i)t|true|1|f|false|0", one) for one in periodic):
        raise MinimumError(f"pbc={short(lower['pbc'])} is not three times T or F")
    pbc = [one[0] in "tT1" for one in periodic]
    found = {"positions": columns.pop("pos"), "cell": lattice.reshape(3, 3), "pbc": pbc}
    found |= particles(columns, len(rows))
    key = reading.energy_key or "energy"
    if key in columns and key not in keys:
        values = columns[key]
        if values.dtype.kind != "f" or values.ndim != 1:
            raise MinimumError(f"its column {key} holds no number for each atom")
        found["energy"] = float(values.sum())
    elif key in keys:
        if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d{1,3})?", keys[key]) is None:
            raise MinimumError(f"the frame has no energy: {key}={short(keys[key])} is not a number")
        found["energy"] = float(re.sub("[dD]", "e", keys[key]))
    else:
        found["energies"] = [
            name for name in (*keys, *columns) if re.search(r"(?i)energy|^e$|epot|^pe$|^u$|etot", name)
        ]
    return found


def _columns(rows: list[list[str]], properties: str) -> dict[str, Any]:
    """Values by the columns' names: numbers as floats, text as it is; of several columns shape (N, columns)."""
    parts = properties.split(":")
    sizes = [int(size) for size in parts[2::3] if re.fullmatch(r"[1-9]\d{0,2}", size)]
    if len(parts) % 3 or len(sizes) != len(parts) // 3 or not set(parts[1::3]) <= set("SRIL"):
        raise MinimumError(f"its Properties={short(properties)} are not name:type:columns")
    ends = np.cumsum([0, *sizes])
    text = [k for k, kind in enumerate(np.repeat(parts[1::3], sizes)) if kind in "SL"]
    found = read_columns(rows, int(ends[-1]), text)
    columns = (found[start:stop] for start, stop in pairwise(ends))
    return {
        name: some[0] if len(some) == 1 else np.column_stack(some)
        for name, some in zip(parts[::3], columns, strict=True)
    }
