"""LAMMPS data and dumps, with any columns, coordinates and box; and Fortran unformatted sequential files."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from ase.data import atomic_numbers

from glass.arrays import Array
from pipeline.errors import short
from pipeline.files import atomic_write
from pipeline.formats.columns import (
    atom_lines,
    check_end,
    check_frame_units,
    open_text,
    particles,
    read_columns,
)
from pipeline.formats.configurations import Frame, FrameContent, MinimumError
from pipeline.messages import counted
from pipeline.workspace import Reading

_NAME = r"(?P<energy>.*)\.(conf(\.txt)?|(conf\.txt|data|lmp)(\.(gz|bz2|xz))?)"
"""Names of files in the formats of one minimum, behind its energy."""

_OTHER_NAME = r"(?a:(dump\.)?(?P<energy>[+-]?\d*\.\d+([eE][+-]?\d{1,3})?)(\.[A-Za-z][\w-]*)*)"
"""Names of other files that are energies; a whole number may count files."""

_NUMBER = r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?"

_ITEMS = ("TIMESTEP", "NUMBER OF ATOMS", "BOX BOUNDS", "ATOMS", "UNITS", "TIME")
_COORDINATES = (("x", "y", "z"), ("xu", "yu", "zu"), ("xs", "ys", "zs"), ("xsu", "ysu", "zsu"))

STYLES = {
    "atomic": ("id", "type"),
    "charge": ("id", "type", "q"),
    "molecular": ("id", "molecule", "type"),
    "bond": ("id", "molecule", "type"),
    "angle": ("id", "molecule", "type"),
    "full": ("id", "molecule", "type", "charge"),
    "sphere": ("id", "type", "diameter", "density"),
}
"""Columns of each atom_style of points, before x, y and z; those read are named in ``columns.py``. ``q``, as in the
published data, are diameters where all are above zero; ``charge`` always a charge."""


def is_of_one(path: Path) -> bool:
    """Whether a file's name is that of a format of one minimum."""
    return re.fullmatch(_NAME, path.name) is not None


def energy_in_name(path: Path) -> float | None:
    """Energy per particle in ε that a file's name gives, whatever its format; None where it gives none."""
    name = re.fullmatch(_NAME, path.name) or re.fullmatch(_OTHER_NAME, path.name)
    is_number = name is not None and re.fullmatch(_NUMBER, name["energy"]) and np.isfinite(float(name["energy"]))
    return float(name["energy"]) if name and is_number else None


def read_one(path: Path) -> dict[str, Any]:
    """Read one minimum: arguments of :func:`pipeline.formats.configurations.make_minimum` but place and energy.

    ``*.conf.txt``, ``*.data``, ``*.lmp``: LAMMPS data in an atom_style of points. ``*.conf``: Fortran unformatted
    sequential, little-endian; tells no species. Raises MinimumError where the file is no such, or not whole.
    """
    if path.name.endswith(".conf"):
        return _from_binary(path.read_bytes())
    with open_text(path) as text:
        lines = text.readlines()
    sections: dict[str, list[tuple[list[str], str]]] = {"": []}
    notes = {}
    rows = sections[""]
    untitled = lines and re.fullmatch(r"\s*\d+\s+atoms\s*", lines[0])
    for line in lines if untitled else lines[1:]:
        content, _, note = line.partition("#")
        fields = content.split()
        if fields and re.fullmatch(r"[A-Z][A-Za-z]*( [A-Za-z]+)*", name := " ".join(fields)):
            if name in sections:
                raise MinimumError(f"two sections '{short(name)}'")
            rows = sections[name] = []
            notes[name] = note.split()
        elif fields:
            rows.append((fields, note.strip()))
    head = "\n".join(" ".join(fields) for fields, _ in sections[""])
    count = re.search(r"^(\d{1,9}) atoms$", head, re.MULTILINE)
    if count is None:
        raise MinimumError("no line 'N atoms' in the header")
    if "Atoms" not in sections:
        raise MinimumError("no section 'Atoms'")
    atoms = [fields for fields, _ in sections["Atoms"]]
    if len(atoms) != int(count[1]) or not atoms:
        raise MinimumError(f"{counted(len(atoms), 'atom')} where the header says {int(count[1])}")
    if rows is sections["Atoms"]:
        check_end(atoms, lines[-1])
    labels = {fields[1]: fields[0] for fields, _ in sections.get("Atom Type Labels", []) if len(fields) > 1}
    names = _names_of_columns(atoms, notes["Atoms"], labels)
    at = names.index("type")
    if labels:
        atoms = [[*row[:at], labels.get(row[at], row[at]), *row[at + 1 :]] for row in atoms if len(row) > at]
    columns = dict(zip(names, read_columns(atoms, len(atoms[0])), strict=False))
    found = particles({name: columns[name] for name in columns if name not in "xyz"}, len(atoms))
    positions = np.column_stack([columns[axis] for axis in "xyz"])
    return {"positions": positions, "cell": _cell(head), **found, **_of_types(sections, labels, found)}


def _names_of_columns(rows: list[list[str]], note: list[str], labels: dict[str, str]) -> tuple[str, ...]:
    """Names by the atom_style that stands behind ``Atoms #``; without it by the only one that fits."""
    wide = len(rows[0])
    if note:
        if note[0] not in STYLES:
            raise MinimumError(f"atom_style {short(note[0])}, which is none of points: {', '.join(STYLES)}")
        names = (*STYLES[note[0]], *"xyz")
        if wide not in (len(names), len(names) + 3):
            raise MinimumError(f"{wide} columns, but atom_style {note[0]} has {' '.join(names)}, perhaps ix iy iz")
        return names

    def can_be(name: str, column: Sequence[str]) -> bool:
        kind = r"\d+" if name in ("id", "type", "molecule") else _NUMBER
        return all((name == "type" and field in labels) or re.fullmatch(kind, field) for field in column)

    fits: dict[tuple[str, ...], str] = {}
    columns = list(zip(*(row for row in rows if len(row) == wide), strict=True))
    for style, names in STYLES.items():
        if wide - len(names) in (3, 6) and all(map(can_be, names, columns)):
            fits.setdefault(names, style)
    if len(fits) != 1:
        may_be = f"{' or '.join(fits.values())}" if fits else "none that is known"
        said = f"atom_style may be {may_be}; write it behind the section's name: 'Atoms # charge'"
        raise MinimumError(f"{wide} columns: {said}")
    return (*next(iter(fits)), *"xyz")


def _of_types(
    sections: dict[str, list[tuple[list[str], str]]], labels: dict[str, str], found: dict[str, Any]
) -> dict[str, Any]:
    """Masses and atomic numbers by the section ``Masses``, ``type mass``, with ``# Si`` or a label for an element."""
    masses, elements = {}, {int(number): label for label, number in labels.items() if number.isdecimal()}
    for fields, note in sections.get("Masses", []):
        kind = labels.get(fields[0], fields[0])
        if len(fields) < 2 or not kind.isdecimal():
            raise MinimumError(f"'{short(' '.join(fields))}' in the section Masses is no type and mass")
        masses[int(kind)] = _number(fields[1])
        if note:
            elements.setdefault(int(kind), note.split()[0])
    kinds, which = np.unique(found["types"], return_inverse=True)
    without = [str(kind) for kind in kinds if kind not in masses]
    if masses and without:
        raise MinimumError(f"the section Masses has no mass of type {', '.join(without)}")
    of_types: dict[str, Any] = {}
    if masses and "masses" not in found:
        of_types["masses"] = np.array([masses[kind] for kind in kinds])[which]
    known = np.array([atomic_numbers.get(elements.get(kind, ""), 0) for kind in kinds], np.int32)
    if known.all() or not labels:
        of_types["numbers"] = known[which]
    return of_types


def _cell(head: str) -> Array:
    """Cell vectors of a header, orthogonal or triclinic, restricted or general."""

    def before(names: str, count: int) -> list[float]:
        line = re.search("^" + r"(\S+) " * count + f"{names}$", head, re.MULTILINE)
        return [_number(part) for part in line.groups()] if line else []

    vectors = [*filter(None, (before(f"{name}vec", 3) for name in "abc"))]
    if vectors:
        if len(vectors) < 3:
            raise MinimumError("not all of avec, bvec and cvec in the header")
        return np.array(vectors)
    edges = {axis: before(f"{axis}lo {axis}hi", 2) for axis in "xyz"}
    for axis in edges:
        if not edges[axis]:
            raise MinimumError(f"no line '{axis}lo {axis}hi' in the header")
    lengths = [high - low for low, high in edges.values()]
    if not min(lengths) > 0:
        raise MinimumError("a box length is not above zero")
    return _restricted_cell(lengths, before("xy xz yz", 3) or [0.0, 0.0, 0.0])


def _restricted_cell(lengths: Sequence[float], tilt: Sequence[float]) -> Array:
    """Cell vectors of LAMMPS's restricted triclinic box: lengths along the axes; xy, xz and yz."""
    return np.array([[lengths[0], 0, 0], [tilt[0], lengths[1], 0], [tilt[1], tilt[2], lengths[2]]], float)


def _number(text: str) -> float:
    if re.fullmatch(_NUMBER, text) is None:
        raise MinimumError(f"'{short(text)[:40]}' in the header or the masses is not a number")
    return float(text)


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
            yield partial(_snapshot, atom_lines(text, n, "the snapshot says"), items, reading)
            items, name = {name: rest for name, rest in items.items() if name.startswith("UNITS")}, None
        elif name is not None:
            items[f"{name}:"] += [line] if line.strip() else []
        elif line.strip():
            raise MinimumError(f"'{short(line)}' where a line ITEM: should be")
    if any(not name.startswith("UNITS") for name in items):
        raise MinimumError("truncated: the last snapshot has no ITEM: ATOMS")


def _snapshot(lines: list[str], items: dict[str, list[str]], reading: Reading) -> FrameContent:
    check_frame_units("".join(items.get("UNITS:", [])).strip(), reading)
    rows, names = [one.split() for one in lines], items["ATOMS"]
    if not rows or not names:
        raise MinimumError("no atom in it" if names else "ITEM: ATOMS names no columns")
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
    bounds = np.column_stack(read_columns(lines, len(lines[0]), line="a line of ITEM: BOX BOUNDS"))
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
    return _restricted_cell(high - low, [xy, xz, yz]), low, pbc


_PARTICLE = np.dtype([("head", "<i4"), ("values", "<f8", 4), ("tail", "<i4")])


def _from_binary(content: bytes) -> dict[str, Any]:
    records, rest = list[bytes](), content
    for _ in range(2):
        size = int.from_bytes(rest[:4], "little")
        if len(rest) < size + 8 or rest[4 + size : 8 + size] != rest[:4]:
            raise MinimumError("not Fortran unformatted sequential, or truncated in its header")
        records.append(rest[4 : 4 + size])
        rest = rest[8 + size :]
    if len(records[0]) != 4:
        raise MinimumError("the first record is not one int32, the count of atoms")
    if len(records[1]) not in (8, 24):
        raise MinimumError("the second record is not 1 or 3 float64, the box lengths")
    n, box = int(np.frombuffer(records[0], "<i4")[0]), np.frombuffer(records[1], "<f8")
    if len(rest) % _PARTICLE.itemsize:
        raise MinimumError("the file ends within an atom's record: truncated")
    if n < 1 or len(rest) != n * _PARTICLE.itemsize:
        raise MinimumError(f"{counted(len(rest) // _PARTICLE.itemsize, 'atom')} where the header says {n}")
    rows = np.frombuffer(rest, _PARTICLE)
    if (rows["head"] != 32).any() or (rows["tail"] != 32).any():
        raise MinimumError("an atom's record is not 4 float64")
    if not (box > 0).all():
        raise MinimumError("a box length is not above zero")
    values = rows["values"].copy()
    return {"positions": values[:, 1:], "cell": np.resize(box, 3), "diameters": values[:, 0]}


def write_minimum(path: Path, diameters: Array, positions: Array, box: Array) -> None:
    """Write ``{energy}.conf``, Fortran unformatted sequential; diameters, positions (N, 3) and box (3,) in σ."""
    from scipy.io import FortranFile  # here, as it takes longer to load than --help may

    rows = np.column_stack([diameters, positions]).astype("<f8")
    with atomic_write(path) as part, FortranFile(part, "w", "<u4") as file:
        for record in (np.array(len(rows), "<i4"), box.astype("<f8"), *rows):
            file.write_record(record)
