"""The two formats of one energy minimum: LAMMPS data text, and Fortran unformatted sequential."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from glass.arrays import Array
from pipeline.errors import short
from pipeline.files import atomic_write
from pipeline.formats.columns import check_end, numbers, open_text, particles
from pipeline.formats.configurations import MinimumError
from pipeline.messages import counted

_NAME = r"(?P<energy>.*)\.(conf(\.txt)?|(conf\.txt|data|lmp)(\.(gz|bz2|xz))?)"
"""Names of files in the formats of one minimum, behind its energy."""

_OTHER_NAME = r"(?a:(dump\.)?(?P<energy>[+-]?\d*\.\d+([eE][+-]?\d{1,3})?)(\.[A-Za-z][\w-]*)*)"
"""Names of other files that are energies; a whole number may count files."""

_NUMBER = r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?"

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
        return _from_text(text.readlines())


def _from_text(lines: list[str]) -> dict[str, Any]:
    sections: dict[str, list[tuple[list[str], str]]] = {"": []}
    notes = {}
    rows = sections[""]
    untitled = lines and re.fullmatch(r"\s*\d+\s+atoms\s*", lines[0])
    for line in lines if untitled else lines[1:]:
        content, _, note = line.partition("#")
        fields = content.split()
        if fields and re.fullmatch(r"[A-Z][A-Za-z]*( [A-Za-z]+)*", " ".join(fields)):
            name = " ".join(fields)
            if name in sections:
                raise MinimumError(f"two sections '{short(name)}'")
            rows = sections[name] = []
            notes[name] = note.split()
        elif fields:
            rows.append((fields, note.strip()))
    head = {" ".join(fields): None for fields, _ in sections[""]}
    count = next((n for line in head if (n := re.fullmatch(r"(\d{1,9}) atoms", line))), None)
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
    columns = _columns(atoms, notes["Atoms"], labels)
    found = particles({name: columns[name] for name in columns if name not in "xyz"}, len(atoms))
    positions = np.column_stack([columns[axis] for axis in "xyz"])
    return {"positions": positions, "cell": _cell(list(head)), **found, **_of_types(sections, labels, found)}


def _columns(rows: list[list[str]], note: list[str], labels: dict[str, str]) -> dict[str, Array]:
    """Columns of the section Atoms by their names, types as numbers."""
    style = _style(rows, note, labels)
    names = [*STYLES[style], *"xyz"]
    wide = len(rows[0])
    if wide not in (len(names), len(names) + 3):
        raise MinimumError(f"{wide} columns, but atom_style {style} has {' '.join(names)}, perhaps ix iy iz")
    at = names.index("type")
    if labels:
        rows = [[*row[:at], labels.get(row[at], row[at]), *row[at + 1 :]] for row in rows if len(row) > at]
    return dict(zip(names, numbers(rows).T, strict=False))


def _style(rows: list[list[str]], note: list[str], labels: dict[str, str]) -> str:
    """The atom_style that stands behind ``Atoms #``; without it the only one that fits."""
    if note:
        if note[0] not in STYLES:
            raise MinimumError(f"atom_style {short(note[0])}, which is none of points: {', '.join(STYLES)}")
        return note[0]
    wide = len(rows[0])
    fits: dict[tuple[str, ...], str] = {}
    for style, names in STYLES.items():
        if wide - len(names) in (3, 6) and all(
            _holds(name, [row[k] for row in rows if len(row) == wide], labels) for k, name in enumerate(names)
        ):
            fits.setdefault(names, style)
    if len(fits) == 1:
        return next(iter(fits.values()))
    may_be = f"{' or '.join(fits.values())}" if fits else "none that is known"
    raise MinimumError(
        f"{wide} columns: atom_style may be {may_be}; write it behind the section's name: 'Atoms # charge'"
    )


def _holds(name: str, column: list[str], labels: dict[str, str]) -> bool:
    """Whether a column can be what a style has there."""
    if name == "type" and labels:
        return all(field in labels or re.fullmatch(r"\d+", field) for field in column)
    if name in ("id", "type", "molecule"):
        return all(re.fullmatch(r"\d+", field) for field in column)
    return all(re.fullmatch(_NUMBER, field) for field in column)


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


def _cell(head: list[str]) -> Array:
    """Cell vectors of the lines of a header, orthogonal or triclinic, restricted or general."""
    general = [re.fullmatch(rf"(\S+) (\S+) (\S+) {name}vec", line) for name in "abc" for line in head]
    vectors = [[_number(part) for part in found.groups()] for found in general if found]
    if vectors:
        if len(vectors) < 3:
            raise MinimumError("not all of avec, bvec and cvec in the header")
        return np.array(vectors)
    lengths = []
    for axis in "xyz":
        edges = next((e for line in head if (e := re.fullmatch(rf"(\S+) (\S+) {axis}lo {axis}hi", line))), None)
        if edges is None:
            raise MinimumError(f"no line '{axis}lo {axis}hi' in the header")
        lengths.append(_number(edges[2]) - _number(edges[1]))
    if not min(lengths) > 0:
        raise MinimumError("a box length is not above zero")
    tilt = next((t for line in head if (t := re.fullmatch(r"(\S+) (\S+) (\S+) xy xz yz", line))), None)
    return restricted_cell(lengths, [_number(part) for part in tilt.groups()] if tilt else [0.0, 0.0, 0.0])


def restricted_cell(lengths: list[float], tilt: list[float]) -> Array:
    """Cell vectors of LAMMPS's restricted triclinic box: lengths along the axes; xy, xz and yz."""
    return np.array([[lengths[0], 0, 0], [tilt[0], lengths[1], 0], [tilt[1], tilt[2], lengths[2]]], float)


def _number(text: str) -> float:
    if re.fullmatch(_NUMBER, text) is None:
        raise MinimumError(f"'{short(text)[:40]}' in the header or the masses is not a number")
    return float(text)


_PARTICLE = np.dtype([("head", "<i4"), ("values", "<f8", 4), ("tail", "<i4")])


def _from_binary(content: bytes) -> dict[str, Any]:
    n_bytes, rest = _record(content)
    if len(n_bytes) != 4:
        raise MinimumError("the first record is not one int32, the count of atoms")
    n = int(np.frombuffer(n_bytes, "<i4")[0])
    box_bytes, rest = _record(rest)
    if len(box_bytes) not in (8, 24):
        raise MinimumError("the second record is not 1 or 3 float64, the box lengths")
    box = np.frombuffer(box_bytes, "<f8")
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


def _record(content: bytes) -> tuple[bytes, bytes]:
    """First record of a Fortran unformatted sequential file, and what follows it."""
    size = int.from_bytes(content[:4], "little")
    if len(content) < size + 8 or content[4 + size : 8 + size] != content[:4]:
        raise MinimumError("not Fortran unformatted sequential, or truncated in its header")
    return content[4 : 4 + size], content[8 + size :]
