"""Text of many frames, each a minimum: extended XYZ, and LAMMPS dumps with any columns, coordinates and box."""

import re
from collections.abc import Iterator
from functools import partial
from itertools import islice, pairwise
from typing import Any, TextIO

import numpy as np

from glass.arrays import Array
from pipeline.errors import short
from pipeline.formats.columns import check_end, numbers, particles, read_columns
from pipeline.formats.configurations import Frame, FrameContent, MinimumError
from pipeline.formats.csv_files import NUMBER
from pipeline.formats.lammps import restricted_cell
from pipeline.messages import counted
from pipeline.workspace import Reading

_ITEMS = ("TIMESTEP", "NUMBER OF ATOMS", "BOX BOUNDS", "ATOMS", "UNITS", "TIME")
_COORDINATES = (("x", "y", "z"), ("xu", "yu", "zu"), ("xs", "ys", "zs"), ("xsu", "ysu", "zsu"))
_KEY = re.compile(r"""([^\s=]+)\s*=\s*("[^"]*"|'[^']*'|\{[^}]*\}|\[[^]]*\]|\S+)""")


def _atom_lines(text: TextIO, n: int, says: str) -> list[str]:
    """The next n lines, of the atoms of a frame."""
    lines = list(islice(text, n))
    if len(lines) < n:
        raise MinimumError(f"{counted(len(lines), 'atom')} where {says} {n}: truncated")
    if lines and not lines[-1].endswith("\n"):
        check_end([one.split() for one in lines], lines[-1])
    return lines


def _check_units(said: str, reading: Reading) -> None:
    if said and reading.units and {"lj": "reduced"}.get(said, said) != reading.units:
        raise MinimumError(f"in units {short(said)}, where config.yaml says units: {reading.units}")


def read_dump(text: TextIO, reading: Reading) -> Iterator[Frame]:
    """Snapshots of a dump in order; MinimumError where they can't be told apart."""
    items: dict[str, list[str]] = {}
    name = None
    for line in text:
        if line.startswith("ITEM:"):
            name = next((name for name in _ITEMS if line[5:].strip().startswith(name)), "")
            items[name], items[f"{name}:"] = line[5:].strip()[len(name) :].split(), []
            if name != "ATOMS":
                continue
            try:
                n = int("".join(items.pop("NUMBER OF ATOMS:", [])))
            except ValueError:
                raise MinimumError("no count below ITEM: NUMBER OF ATOMS") from None
            yield partial(_snapshot, _atom_lines(text, n, "the snapshot says"), items, reading)
            items, name = {name: rest for name, rest in items.items() if name.startswith("UNITS")}, None
        elif name is not None:
            items[f"{name}:"] += [line] if line.strip() else []
        elif line.strip():
            raise MinimumError(f"'{short(line)}' where a line ITEM: should be")
    if any(not name.startswith("UNITS") for name in items):
        raise MinimumError("truncated: the last snapshot has no ITEM: ATOMS")


def _snapshot(lines: list[str], items: dict[str, list[str]], reading: Reading) -> FrameContent:
    _check_units("".join(items.get("UNITS:", [])).strip(), reading)
    rows, names = [one.split() for one in lines], items["ATOMS"]
    if not rows:
        raise MinimumError("no atom in it")
    text = [k for k, name in enumerate(names) if name in ("element", "typelabel")]
    types = (k for k, name in enumerate(names) if name == "type")
    text += [k for k in types if not all(one.isdecimal() for row in rows for one in row[k : k + 1])]
    columns = dict(zip(names, read_columns(rows, len(names), text), strict=True))
    cell, origin, pbc = _box(items)
    axes = next((axes for axes in _COORDINATES if all(axis in columns for axis in axes)), None)
    if axes is None:
        raise MinimumError("no columns x y z, xu yu zu, xs ys zs or xsu ysu zsu")
    positions = np.column_stack([columns[axis] for axis in axes])
    if "s" in axes[0]:
        positions = positions @ cell + origin
    found = {"positions": positions, "cell": cell, "pbc": pbc, **particles(columns, len(rows))}
    energy = float(np.sum(columns[reading.energy_key])) if reading.energy_key in columns else None
    return found, energy, [name for name in names if name.startswith(("c_", "v_", "f_"))]


def _box(items: dict[str, list[str]]) -> tuple[Array, Array, list[bool]]:
    """Cell vectors, origin, and which of them repeat; all where the dump does not tell."""
    lines = [line.split() for line in items.get("BOX BOUNDS:", [])]
    words = items.get("BOX BOUNDS", [])
    if len(lines) != 3 or len({len(line) for line in lines}) != 1:
        raise MinimumError("no three lines of numbers below ITEM: BOX BOUNDS")
    bounds = numbers(lines, "a line of ITEM: BOX BOUNDS")
    flags = [word for word in words if re.fullmatch(r"[pfsm]{2}", word)]
    if len(flags) not in (0, 3):
        raise MinimumError(f"ITEM: BOX BOUNDS {short(' '.join(words))} does not say what is periodic")
    pbc = [flag == "pp" for flag in flags] or [True] * 3
    if "abc" in words and bounds.shape[1] == 4:
        return bounds[:, :3], bounds[:, 3], pbc
    if bounds.shape[1] not in (2, 3):
        raise MinimumError("a line below ITEM: BOX BOUNDS has neither two nor three numbers")
    xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
    low = bounds[:, 0] - [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
    high = bounds[:, 1] - [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
    return restricted_cell(list(high - low), [xy, xz, yz]), low, pbc


def read_extxyz(text: TextIO, reading: Reading) -> Iterator[Frame]:
    """Frames of an extended XYZ file in their order; MinimumError where they can't be told apart.

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
        lines = _atom_lines(text, n, f"line {at} says")
        at += n + 1
        yield partial(_frame, lines, keys, reading)


def _frame(lines: list[str], line: str, reading: Reading) -> FrameContent:
    rows = [one.split() for one in lines]
    keys = {name: value.strip("\"'{}[]") for name, value in _KEY.findall(line)}
    lower = {name.lower(): value for name, value in keys.items()}
    if not rows:
        raise MinimumError("no atom in the frame")
    _check_units(lower.get("units", ""), reading)
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
    key, energy = reading.energy_key or "energy", None
    if key in keys:
        if re.fullmatch(NUMBER, keys[key]) is None:
            raise MinimumError(f"the frame has no energy: {key}={short(keys[key])} is not a number")
        energy = float(re.sub("[dD]", "e", keys[key]))
    elif key in columns:
        values = columns[key]
        if values.dtype.kind != "f" or values.ndim != 1:
            raise MinimumError(f"its column {key} holds no number for each atom")
        energy = float(values.sum())
    named = re.compile(r"(?i)energy|^e$|epot|^pe$|^u$|etot")
    return found, energy, [name for name in (*keys, *columns) if named.search(name)]


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
