"""Minima in any format: one frame is one minimum, with its energy and species.

``ase.io`` is imported where it is used, as it takes half a second and the project's own formats do without.
"""

import re
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pipeline.errors import short
from pipeline.files import atomic_write
from pipeline.formats.columns import (
    atom_lines,
    check_frame_units,
    is_cut,
    open_text,
    particles,
    read_columns,
    unpacked,
)
from pipeline.formats.configurations import Frame, FrameContent, Minimum, MinimumError
from pipeline.formats.csv_files import NUMBER
from pipeline.formats.lammps import is_of_one, read_dump, read_one
from pipeline.workspace import AS_USUAL, Reading

_CALCULATIONS = [
    "vasp-out",
    "vasp-xml",
    "espresso-out",
    "castep-castep",
    "castep-phonon",
    "aims-output",
    "gaussian-out",
    "gpaw-out",
    "nwchem-out",
]
"""ASE's names of the outputs of one calculation: of their steps the last is the minimum."""

_KEY = re.compile(r"""([^\s=]+)\s*=\s*("[^"]*"|'[^']*'|\{[^}]*\}|\[[^]]*\]|\S+)""")
_DUMP = r"(dump\..+|.+\.(dump|lammpstrj|lammpsdump))(\.(gz|bz2|xz))?"
_EXTXYZ = r".+\.(ext)?xyz(\.(gz|bz2|xz))?"  # names of the text files that we read; ASE reads all others
_BEHIND = 100  # no reader asks so often for a line behind the end of a whole file


def read_frames(path: Path, reading: Reading = AS_USUAL) -> Iterator[Frame]:
    """Frames of a file in their order; raises MinimumError where the next can't be read, nor what follows."""
    if not path.is_file():
        raise MinimumError("not a file that can be read")
    try:
        if is_of_one(path):
            found = read_one(path)
            yield lambda: (found, None, [])
        elif re.fullmatch(_DUMP, path.name):
            with open_text(path) as text:
                yield from read_dump(text, reading)
        elif re.fullmatch(_EXTXYZ, path.name):
            with open_text(path) as text:
                yield from read_extxyz(text, reading)
        else:
            yield from _by_ase(path, reading)
    except MinimumError:
        raise
    except EOFError:
        raise MinimumError("the file ends too early: truncated") from None
    except OSError as error:
        raise MinimumError(f"can't be read: {error.strerror or short(error)}") from error
    except Exception as error:  # ASE's readers raise anything
        said = short(error)
        if isinstance(error, KeyError | IndexError | StopIteration | AttributeError | TypeError):
            said = f"something is missing or has an unknown name ({said or 'the end'})"
        raise MinimumError(f"not readable as {format_of(path) or 'text'}: {said}") from error


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
        lines = atom_lines(text, n, f"line {at} says")
        at += n + 1
        yield partial(_frame, lines, keys, reading)


def _frame(lines: list[str], line: str, reading: Reading) -> FrameContent:
    rows = [one.split() for one in lines]
    keys = {name: value.strip("\"'{}[]") for name, value in _KEY.findall(line)}
    lower = {name.lower(): value for name, value in keys.items()}
    if not rows:
        raise MinimumError("no atom in the frame")
    check_frame_units(lower.get("units", ""), reading)
    columns = _columns(rows, lower.get("properties", "species:S:1:pos:R:3"))
    if "pos" not in columns or columns["pos"].shape != (len(rows), 3) or columns["pos"].dtype.kind != "f":
        raise MinimumError("its Properties name no three columns pos:R:3")
    if "lattice" not in lower:
        raise MinimumError('no Lattice="…" in the second line of the frame')
    lattice = lower["lattice"].replace(",", " ").split() or ["nothing"]
    cell = np.reshape(read_columns([lattice], len(lattice), line="its Lattice"), -1)
    if cell.size != 9:
        raise MinimumError("its Lattice is not nine numbers")
    periodic = lower.get("pbc", "T T T").replace(",", " ").split()
    if len(periodic) != 3 or not all(re.fullmatch(r"(?i)t|true|1|f|false|0", one) for one in periodic):
        raise MinimumError(f"pbc={short(lower['pbc'])} is not three times T or F")
    pbc = [one[0] in "tT1" for one in periodic]
    found = {"positions": columns.pop("pos"), "cell": cell.reshape(3, 3), "pbc": pbc}
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


def format_of(path: Path) -> str:
    """ASE's name of the format that a file's name tells; empty where there is none that ASE reads."""
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    try:
        name = str(filetype(str(path.resolve()), read=False))
    except UnknownFileTypeError:
        return ""
    return name if name in ioformats and ioformats[name].can_read else ""


class _Text(TextIOWrapper):
    """Text without a line that is cut, for readers that look for its end themselves."""

    def __init__(self, path: Path) -> None:
        super().__init__(unpacked(path), errors="replace")
        self._path = str(path)
        self._behind = 0
        self._lines: deque[str] = deque(maxlen=_BEHIND)

    @property
    def name(self) -> str:
        """Name of the file, beside whose OUTCAR ASE looks for others."""
        return self._path

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        line = super().readline(size)
        self._behind = 0 if line else self._behind + 1
        if self._behind > _BEHIND:
            raise EOFError
        if line and not line.endswith("\n") and (fields := line.split()):
            rows = [row for one in self._lines if len(row := one.split()) == len(fields)]
            if is_cut([row[-1] for row in (*rows, fields)]):
                return ""
        self._lines.append(line)
        return line


def _by_ase(path: Path, reading: Reading) -> Iterator[Frame]:
    from ase.io import iread
    from ase.io.formats import ioformats

    name = format_of(path)
    if not name:
        raise MinimumError("named neither {energy}.conf, .conf.txt, .data or .lmp, nor as a format that ASE reads")
    index = -1 if name in _CALCULATIONS else ":"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_name = ioformats[name].isbinary or not ioformats[name].acceptsfd
        with nullcontext(str(path)) if by_name else _Text(path) as file:
            for atoms in iread(file, index, format=name, do_not_split_by_at_sign=True):
                yield partial(_of_atoms, atoms, reading)


def _of_atoms(atoms: Atoms, reading: Reading) -> FrameContent:
    """A frame; lengths, energies and masses in the units in which they stand there."""
    columns = dict(atoms.arrays)
    found = {"positions": columns.pop("positions"), "cell": atoms.cell.array, "pbc": atoms.pbc}
    found |= particles(columns, len(atoms))
    known = {**atoms.info, **({} if atoms.calc is None else atoms.calc.results)}
    key, told = reading.energy_key or "energy", dict[str, float]()
    for name, value in known.items():
        with suppress(TypeError, ValueError):  # an array of one number, and a number that was written as text, are
            told[name] = float(np.squeeze(value))
    if key in atoms.arrays and key not in known:
        return found, float(atoms.arrays[key].sum()), [*told]
    return found, told.get(key), [*told]


def to_atoms(minimum: Minimum) -> Atoms:
    """A minimum as ASE Atoms with elements where known, and masses.

    ``arrays["diameters"]`` holds the diameters, ``arrays["types"]`` the types as they stand in the file,
    ``arrays["id"]`` the ids, if there are any.
    """
    cell, pbc, diameters, types, numbers, masses, charges, ids = minimum.system
    cell = np.diag(minimum.box) if minimum.box.ndim == 1 else cell  # whose axes may be permuted or reflected
    atoms = Atoms(numbers=numbers, positions=minimum.positions, masses=masses, cell=cell, pbc=pbc)
    arrays: dict[str, NDArray[Any]] = {"diameters": diameters, "types": types}
    arrays |= {"initial_charges": charges} if charges.any() else {}
    arrays |= {"id": ids} if ids.any() else {}
    for name, values in arrays.items():
        atoms.set_array(name, values)
    return atoms


def write_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """Write frames with energies, positions to eight decimals; ``diameters`` also as ``radius``, which OVITO draws."""
    import ase.io

    for frame in frames:
        if "diameters" in frame.arrays:
            frame.set_array("radius", 0.5 * frame.arrays["diameters"])
    with atomic_write(path) as part:
        ase.io.write(part, frames, format="extxyz")
