"""Text dumps of LAMMPS: snapshots with any columns, coordinates as they are, scaled or unwrapped, and any box."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, TextIO

import numpy as np

from glass.arrays import Array
from pipeline.errors import short
from pipeline.formats.configurations import MinimumError
from pipeline.formats.lammps import restricted_cell
from pipeline.formats.texts.columns import check_end, numbers, particles, read_columns
from pipeline.messages import counted
from pipeline.workspace import Reading

NAMED = r"(dump\..+|.+\.(dump|lammpstrj|lammpsdump))(\.(gz|bz2|xz))?"  # names of dumps
_ITEMS = ("TIMESTEP", "NUMBER OF ATOMS", "BOX BOUNDS", "ATOMS", "UNITS", "TIME")
_COORDINATES = (("x", "y", "z"), ("xu", "yu", "zu"), ("xs", "ys", "zs"), ("xsu", "ysu", "zsu"))


def read_dump(text: TextIO, reading: Reading) -> Iterator[Callable[[], dict[str, Any]]]:
    """Snapshots of a dump in order, each a function as of ``Frame``; MinimumError where they can't be told apart."""
    items: dict[str, list[str]] = {}
    line = next(text, "")
    while line:
        if not line.strip():
            line = next(text, "")
            continue
        if not line.startswith("ITEM:"):
            raise MinimumError(f"'{short(line)}' where a line ITEM: should be")
        name = next((name for name in _ITEMS if line[5:].strip().startswith(name)), "")
        items[name] = line[5:].strip()[len(name) :].split()
        if name != "ATOMS":
            items[f"{name}:"] = []
            while (line := next(text, "")) and not line.startswith("ITEM:"):
                items[f"{name}:"] += [line] if line.strip() else []
            continue
        try:
            n = int("".join(items.pop("NUMBER OF ATOMS:", [])))
        except ValueError:
            raise MinimumError("no count below ITEM: NUMBER OF ATOMS") from None
        lines = list(islice(text, n))
        if len(lines) < n:
            raise MinimumError(f"{counted(len(lines), 'atom')} where the snapshot says {n}: truncated")
        rows = [one.split() for one in lines]
        line = next(text, "")
        if rows and not line:
            check_end(rows, lines[-1])
        yield partial(_snapshot, rows, items, reading)
        items = {name: rest for name, rest in items.items() if name.startswith("UNITS")}
    if any(not name.startswith("UNITS") for name in items):
        raise MinimumError("truncated: the last snapshot has no ITEM: ATOMS")


def _snapshot(rows: list[list[str]], items: dict[str, list[str]], reading: Reading) -> dict[str, Any]:
    units = "".join(items.get("UNITS:", [])).strip()
    known = {"metal": "metal", "lj": "reduced"}
    if units and reading.units and known.get(units) != reading.units:
        raise MinimumError(f"in units {short(units)} of LAMMPS, where config.yaml says units: {reading.units}")
    names = items["ATOMS"]
    if not rows:
        raise MinimumError("no atom in it")
    columns = _columns(rows, names)
    cell, origin, pbc = _box(items)
    axes = next((axes for axes in _COORDINATES if all(axis in columns for axis in axes)), None)
    if axes is None:
        raise MinimumError("no columns x y z, xu yu zu, xs ys zs or xsu ysu zsu")
    positions = np.column_stack([columns[axis] for axis in axes])
    if "s" in axes[0]:
        positions = positions @ cell + origin
    found = {"positions": positions, "cell": cell, "pbc": pbc, **particles(columns, len(rows))}
    if reading.energy_key in columns:
        found["energy"] = float(np.sum(columns[reading.energy_key]))
    else:
        found["energies"] = [name for name in names if name.startswith(("c_", "v_", "f_"))]
    return found


def _columns(rows: list[list[str]], names: list[str]) -> dict[str, Any]:
    """Values by the columns' names, of names of elements and types as text."""
    text = [k for k, name in enumerate(names) if name in ("element", "typelabel")]
    types = (k for k, name in enumerate(names) if name == "type")
    text += [k for k in types if not all(one.isdecimal() for row in rows for one in row[k : k + 1])]
    return dict(zip(names, read_columns(rows, len(names), text), strict=True))


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
