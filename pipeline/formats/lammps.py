"""The two formats of one energy minimum: LAMMPS data text, and Fortran unformatted sequential."""

import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from ase.data import atomic_numbers
from numpy.typing import NDArray

from glass.arrays import Array
from pipeline.errors import short
from pipeline.files import atomic_write, content_of
from pipeline.formats.configurations import Minimum, MinimumError, Place, make_minimum

OF_ONE = (".conf", ".conf.txt")
"""Ends of the names of files in the formats of one minimum, behind its energy."""

_NUMBER = r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?"


def energy_in_name(path: Path) -> float:
    """Energy per particle in ε that a file's name gives.

    Raises
    ------
    MinimumError
        If the name is no finite number, or does not end in ``.conf`` or ``.conf.txt``.
    """
    if not path.name.endswith(OF_ONE):
        raise MinimumError("not named {energy}.conf or {energy}.conf.txt")
    text = path.name.removesuffix(".txt").removesuffix(".conf")
    if re.fullmatch(_NUMBER, text) is None or not np.isfinite(float(text)):
        raise MinimumError(f"the name gives no energy: '{text}' is not a number")
    return float(text)


def read_minimum(path: Path) -> Minimum:
    """Read one energy minimum and check it.

    Parameters
    ----------
    path : Path
        ``*.conf.txt``: LAMMPS ``write_data`` text, ``atom_style charge`` with the diameter in place of the charge.
        ``*.conf``: Fortran unformatted sequential, little-endian; tells no species.

    Raises
    ------
    MinimumError
        If the name gives no energy, or the file is truncated, disagrees with its header, or holds anything but finite
        numbers in an orthogonal box.
    """
    energy = energy_in_name(path)
    try:
        content = content_of(path)
    except OSError as error:
        raise MinimumError(f"can't be read: {error.strerror}") from error
    found = _from_text(content) if path.name.endswith(".txt") else _from_binary(content)
    return make_minimum(Place(path), energy, *found)


def _from_text(content: bytes) -> tuple[Any, ...]:
    """Arguments of :func:`make_minimum` behind the energy."""
    parts = re.split(rb"^[ \t]*(Atoms\b[^\n]*)\n", content, maxsplit=1, flags=re.M)
    head, atoms, body = parts if len(parts) == 3 else (content, b"", b"")
    count = re.search(rb"^\s*(\d{1,9})\s+atoms\s*$", head, re.M)
    if count is None:
        raise MinimumError("no line 'N atoms' in the header")
    if not atoms:
        raise MinimumError("no section 'Atoms'")
    style = re.search(rb"#\s*(\S+)", atoms)
    if style is not None and style[1] != b"charge":
        raise MinimumError(f"atom_style {short(style[1].decode(errors='replace'))} where charge is expected")
    n = int(count[1])
    box = _text_box(head)
    body, *more = re.split(rb"^[ \t]*[A-Za-z]", body, maxsplit=1, flags=re.M)
    rows = [fields for line in body.split(b"\n") if (fields := line.split())]
    if len(rows) != n or n == 0:
        raise MinimumError(f"{len(rows)} atoms where the header says {n}")
    if len(rows[0]) not in (6, 9):
        raise MinimumError(f"{len(rows[0])} columns where 'id type diameter x y z [ix iy iz]' has 6 or 9")
    if not more and not body.endswith(b"\n") and is_cut([row[-1] for row in rows]):
        raise MinimumError("truncated within its last number")
    table = _numbers(rows)
    order = np.argsort(table[:, 0])
    if not np.array_equal(table[order, 0], np.arange(1, n + 1)):
        raise MinimumError(f"the ids are not 1 to {n}, each once")
    return table[order, 3:6], box, table[order, 2], *_text_species(content, table[order, 1])


def is_cut(column: Sequence[bytes]) -> bool:
    """Whether the last number of a file without line end is cut: it has fewer digits than all others of its column.

    One that ends in an exponent of no digit, or of a zero alone, is cut too: no program writes those.
    """
    decimals, exponents = zip(*map(_digits, column), strict=True)
    if re.search(rb"[eEdD][+-]?0?$", column[-1]):
        return True
    return len(column) > 1 and (decimals[-1] < min(decimals[:-1]) or exponents[-1] < min(exponents[:-1]))


def _digits(number: bytes) -> tuple[int, int]:
    """Number of digits behind the point, and in the exponent."""
    mantissa, _, exponent = number.lower().replace(b"d", b"e").partition(b"e")
    return len(mantissa.partition(b".")[2]), len(exponent.lstrip(b"+-"))


def _text_species(content: bytes, types: Array) -> tuple[Array, NDArray[np.int32], Array]:
    """Types, atomic numbers and masses by the section ``Masses``: ``type mass``, with ``# Si`` for an element."""
    parts = re.split(rb"^[ \t]*Masses\b[^\n]*\n", content, maxsplit=1, flags=re.M)
    section = re.split(rb"^[ \t]*[A-Za-z]", parts[-1], maxsplit=1, flags=re.M)[0] if len(parts) == 2 else b""
    lines = re.findall(rb"^[ \t]*([^\s#]+)[ \t]+([^\s#]+)[ \t]*(?:#[ \t]*(\S+))?", section, re.M)
    mass_of = {_number(kind): _number(mass) for kind, mass, _ in lines}
    number_of = {_number(kind): atomic_numbers.get(label.decode(errors="replace"), 0) for kind, _, label in lines}
    kinds, which = np.unique(types, return_inverse=True)
    if not (np.array_equal(kinds, np.rint(kinds)) and np.abs(kinds).max() < 2**31):
        raise MinimumError("an atom type is no whole number")
    without = [f"{kind:.0f}" for kind in kinds if kind not in mass_of]
    if len(parts) == 2 and without:
        raise MinimumError(f"the section Masses has no mass of type {', '.join(without)}")
    masses = np.array([mass_of.get(kind, 1.0) for kind in kinds])
    numbers = np.array([number_of.get(kind, 0) for kind in kinds], np.int32)
    return types, numbers[which], masses[which]


def _numbers(rows: list[list[bytes]]) -> Array:
    """Rows of text as floats, by Arrow's CSV reader: exact, and twice as fast as NumPy's."""
    names = [str(k) for k in range(len(rows[0]))]
    try:
        table = pa.csv.read_csv(
            BytesIO(b"\n".join(b" ".join(fields) for fields in rows)),
            pa.csv.ReadOptions(use_threads=False, column_names=names),
            pa.csv.ParseOptions(delimiter=" "),
            pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64())),
        )
    except pa.ArrowInvalid as error:
        raise MinimumError(f"an atom line is not readable: {short(error)}") from None
    return np.column_stack([column.to_numpy() for column in table.columns])


def _text_box(head: bytes) -> Array:
    tilt = re.search(rb"^\s*(\S+)\s+(\S+)\s+(\S+)\s+xy\s+xz\s+yz", head, re.M)
    if re.search(rb"\b[abc]vec\b", head) or (tilt and any(_number(part) != 0 for part in tilt.groups())):
        raise MinimumError("the box is not orthogonal")
    lengths = []
    for axis in (b"x", b"y", b"z"):
        edges = re.search(rb"^\s*(\S+)\s+(\S+)\s+" + axis + rb"lo\s+" + axis + rb"hi", head, re.M)
        if edges is None:
            raise MinimumError(f"no line '{axis.decode()}lo {axis.decode()}hi' in the header")
        lengths.append(_number(edges[2]) - _number(edges[1]))
    return np.array(lengths)


def _number(text: bytes) -> float:
    if re.fullmatch(_NUMBER.encode(), text) is None:
        raise MinimumError(f"'{text[:40].decode(errors='replace')}' in the header is not a number")
    return float(text)


_PARTICLE = np.dtype([("head", "<i4"), ("values", "<f8", 4), ("tail", "<i4")])


def _from_binary(content: bytes) -> tuple[Array, Array, Array]:
    """Positions, box and diameters."""
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
        raise MinimumError(f"{len(rest) // _PARTICLE.itemsize} atoms where the header says {n}")
    particles = np.frombuffer(rest, _PARTICLE)
    if (particles["head"] != 32).any() or (particles["tail"] != 32).any():
        raise MinimumError("an atom's record is not 4 float64")
    return particles["values"][:, 1:].copy(), np.resize(box, 3), particles["values"][:, 0].copy()


def write_minimum(path: Path, diameters: Array, positions: Array, box: Array) -> None:
    """Write ``*.conf``: Fortran unformatted sequential, little-endian; the file appears whole.

    Parameters
    ----------
    path : Path
        Named ``{energy}.conf``, with the energy per particle in ε.
    diameters : ndarray of shape (N,)
        In σ.
    positions : ndarray of shape (N, 3)
        In σ.
    box : ndarray of shape (3,)
        Box lengths in σ.
    """
    particles = np.zeros(len(diameters), _PARTICLE)
    particles["head"] = particles["tail"] = 32
    particles["values"] = np.column_stack([diameters, positions])
    with atomic_write(path) as part:
        part.write_bytes(
            _as_record(np.array([len(particles)], "<i4").tobytes())
            + _as_record(box.astype("<f8").tobytes())
            + particles.tobytes()
        )


def _as_record(content: bytes) -> bytes:
    size = len(content).to_bytes(4, "little")
    return size + content + size


def _record(content: bytes) -> tuple[bytes, bytes]:
    """First record of a Fortran unformatted sequential file, and what follows it."""
    size = int.from_bytes(content[:4], "little")
    if len(content) < size + 8 or content[4 + size : 8 + size] != content[:4]:
        raise MinimumError("not Fortran unformatted sequential, or truncated in its header")
    return content[4 : 4 + size], content[8 + size :]
