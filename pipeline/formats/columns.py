"""Particles in columns of text: opened whatever its packing, and read by the columns' names."""

import io
import lzma
import re
import tempfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import IO, Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.csv
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import NDArray

from glass.arrays import Array
from pipeline.errors import short
from pipeline.formats.configurations import MinimumError
from pipeline.messages import counted
from pipeline.workspace import Reading

_NAMES = {
    "ids": ("id", "ids", "atom_id"),
    "types": ("types", "type"),
    "species": ("species", "element", "elements", "symbols", "symbol", "typelabel", "name"),
    "numbers": ("numbers", "Z", "atomic_number"),
    "masses": ("masses", "mass"),
    "density": ("density",),
    "diameters": ("diameters", "diameter"),
    "radii": ("radius", "radii"),
    "charges": ("initial_charges", "charges", "charge"),
    "q": ("q",),
}
"""Names of columns, in small letters but for Z, by what they hold."""

_PLAIN = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf)"  # numbers as Arrow reads them
_FORTRAN = r"(?<=[\d.])[dD](?=[+-]?\d+$)"  # what stands before an exponent, as Fortran writes it
_PACKED, _SMALL = 100, 10**8  # what unpacks to more than _PACKED times its size and _SMALL bytes is no minima


def unpacked(path: Path) -> IO[bytes]:
    """The bytes of a file, which may be packed (``.gz``, ``.bz2``, ``.xz``): then it is unpacked to a temporary one."""
    if not path.name.endswith((".gz", ".bz2", ".xz")):
        return path.open("rb")
    from ase.io.formats import open_with_compression

    size = path.stat().st_size
    most = max(_PACKED * size, _SMALL)
    with ExitStack() as opened:
        file = opened.enter_context(tempfile.TemporaryFile())
        try:
            with open_with_compression(str(path), "rb") as packed:
                while part := packed.read(2**20):
                    file.write(part)
                    if file.tell() > most:
                        raise MinimumError(f"its {size / 1e6:.3g} MB unpack to more than {most / 1e6:.0f} MB")
        except (zlib.error, lzma.LZMAError):
            raise MinimumError("the packed file is damaged") from None
        file.seek(0)
        opened.pop_all()  # its reader closes it
    return file


def open_text(path: Path) -> io.TextIOWrapper:
    """The text of a file, which may be packed; what is no UTF-8, such as Latin-1 in a comment, is passed over."""
    return io.TextIOWrapper(unpacked(path), encoding="utf-8-sig", errors="replace")


def read_columns(
    rows: Sequence[Sequence[str]], wide: int, text: Collection[int] = (), line: str = "an atom line"
) -> list[NDArray[Any]]:
    """Columns as floats, those of ``text`` as they are, by Arrow's CSV reader: exact, and twice as fast as NumPy's."""
    names = [str(k) for k in range(wide)]
    kinds = {name: pa.string() if k in text else pa.float64() for k, name in enumerate(names)}
    try:
        table = pa.csv.read_csv(
            BytesIO("".join(" ".join(fields) + "\n" for fields in rows).encode()),
            pa.csv.ReadOptions(use_threads=False, column_names=names),
            pa.csv.ParseOptions(delimiter=" ", quote_char=False, ignore_empty_lines=False),
            pa.csv.ConvertOptions(column_types=kinds, null_values=[]),
        )
    except pa.ArrowInvalid:
        plain = [[one if k in text else re.sub(_FORTRAN, "e", one) for k, one in enumerate(row)] for row in rows]
        if plain != [*map(list, rows)]:
            return read_columns(plain, wide, text, line)
        for row in rows:
            if len(row) != wide:
                said = f"{line} has {len(row)} columns, not {wide}: '{short(' '.join(row))}'"
                raise MinimumError(said) from None
            for k, field in enumerate(row):
                if k not in text and re.fullmatch(_PLAIN, field) is None:
                    raise MinimumError(f"'{short(field)}' in {line} is not a number") from None
        raise MinimumError(f"{line} is not readable") from None
    return [column.to_numpy() for column in table.columns]


def is_cut(column: Sequence[str]) -> bool:
    """Whether the last number of a file without line end is cut: it has fewer digits than all others of its column.

    One that ends in an exponent of no digit, or of a zero alone, is cut too: no program writes those.
    """
    split = [re.split("[eEdD]", number, maxsplit=1) for number in column]
    decimals = [len(mantissa.partition(".")[2]) for mantissa, *_ in split]
    exponents = [len("".join(exponent).lstrip("+-")) for _, *exponent in split]
    if re.search(r"[eEdD][+-]?0?$", column[-1]):
        return True
    return len(column) > 1 and (decimals[-1] < min(decimals[:-1]) or exponents[-1] < min(exponents[:-1]))


def check_end(rows: Sequence[Sequence[str]], last_line: str) -> None:
    """Raise MinimumError if the last number of a file is cut."""
    alike = [row[-1] for row in rows if row and len(row) == len(rows[-1])]
    if not last_line.endswith("\n") and alike and is_cut(alike):
        raise MinimumError("truncated within its last number")


def atom_lines(text: TextIO, n: int, says: str) -> list[str]:
    """The next n lines, of the atoms of a frame."""
    lines = list(islice(text, n))
    if len(lines) < n:
        raise MinimumError(f"{counted(len(lines), 'atom')} where {says} {n}: truncated")
    if lines and not lines[-1].endswith("\n"):
        check_end([one.split() for one in lines], lines[-1])
    return lines


def check_frame_units(said: str, reading: Reading) -> None:
    """Raise MinimumError if a frame names other units than the workspace's."""
    if said and reading.units and {"lj": "reduced"}.get(said, said) != reading.units:
        raise MinimumError(f"in units {short(said)}, where config.yaml says units: {reading.units}")


def particles(columns: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Arguments of make_minimum from the columns of N particles; names other than _NAMES are left.

    A column ``q`` holds diameters where all are above zero, as in the published data; else charges.
    """
    lower = {name if name == "Z" else name.lower(): values for name, values in reversed(list(columns.items()))}
    there = {kind: next((lower[name] for name in names if name in lower), None) for kind, names in _NAMES.items()}
    found: dict[str, Any] = {
        kind: _floats(there[kind], n, kind) for kind in ("masses", "diameters", "charges") if there[kind] is not None
    }
    ids, types, species = there["ids"], there["types"], there["species"]
    if ids is not None:
        found["ids"] = _whole(ids, n, "ids", 2**62)
    if types is not None and species is None:
        try:
            np.asarray(types, float)
        except (TypeError, ValueError):
            types, species = None, types
    if types is not None:
        found["types"] = _whole(types, n, "types")
    if there["numbers"] is not None:
        found["numbers"] = _whole(there["numbers"], n, "atomic numbers")
    elif species is not None:
        names = [str(name) for name in species]
        if all(name in atomic_numbers for name in names):
            found["numbers"] = np.array([atomic_numbers[name] for name in names], np.int32)
        elif types is None and all(re.fullmatch(r"[0-9]{1,9}", name) for name in names):
            found["types"] = np.array(names, np.int32)
        elif types is None:
            found["types"] = np.unique(names, return_inverse=True)[1].astype(np.int32) + 1
    if "numbers" in found:
        if not ((found["numbers"] >= 0) & (found["numbers"] < len(atomic_masses))).all():
            raise MinimumError("an atomic number is none")
        found.setdefault("types", found["numbers"])
        if found["numbers"].any():
            found.setdefault("masses", atomic_masses[found["numbers"]])
    if "diameters" not in found and there["radii"] is not None:
        found["diameters"] = 2 * _floats(there["radii"], n, "radii")
    if there["q"] is not None:
        values = _floats(there["q"], n, "q")
        found.setdefault("diameters" if (values > 0).all() and "diameters" not in found else "charges", values)
    if there["density"] is not None and "diameters" in found and "masses" not in found:
        densities = _floats(there["density"], n, "density")
        volumes = np.pi / 6 * found["diameters"] ** 3
        found["masses"] = np.where(volumes > 0, densities * volumes, densities)  # points: the mass itself
    return found


def _floats(values: Any, n: int, kind: str) -> Array:
    with suppress(TypeError, ValueError):
        found = np.asarray(values, float)
        if found.shape == (n,):
            return found
    raise MinimumError(f"the {kind} are no numbers, one for each particle")


def _whole(values: Any, n: int, kind: str, largest: int = 2**31) -> NDArray[np.int64]:
    found = _floats(values, n, kind)
    if not (np.isfinite(found).all() and (found == np.rint(found)).all() and (np.abs(found) < largest).all()):
        raise MinimumError(f"the {kind} are no whole numbers")
    return found.astype(np.int64)
