"""Minima in the formats that ASE reads, many in one file: one frame is one minimum, with its energy and species.

``ase.io`` is imported where it is used, as it takes half a second and the project's own formats do without.
"""

import io
import re
import warnings
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols
from numpy.typing import NDArray

from pipeline.errors import short
from pipeline.formats.configurations import Minimum, MinimumError, Place, make_minimum
from pipeline.formats.lammps import is_cut

ORTHOGONAL = 1e-8
"""Largest off-diagonal element of an orthogonal cell, relative to its largest: formats round."""

_DUMP = "lammps-dump-text"
"""ASE's name of the text dumps of LAMMPS."""

_DUMP_NAME = r"dump\..+|.+\.(dump|lammpstrj|lammpsdump)(\.(gz|bz2|xz))?"
"""Names of dumps; ASE goes by their content."""

_ENERGY_NAME = r"(dump\.)?(?P<energy>[+-]?\d*\.\d+([eE][+-]?\d{1,3})?)(\.[A-Za-z][\w-]*)*"
"""Names that are energies; a whole number may count files."""

_BEHIND = 100
"""No reader asks so often for a line behind the end of a whole file."""

_PACKED, _SMALL = 100, 10**8
"""A file that unpacks to more bytes than its size times _PACKED, and than _SMALL, holds no minima."""


def format_of(path: Path) -> str:
    """ASE's name of the format that a file's name tells; empty where there is none that ASE reads."""
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    if re.fullmatch(_DUMP_NAME, path.name):
        return _DUMP
    try:
        name = str(filetype(str(path.resolve()), read=False))
    except UnknownFileTypeError:
        return ""
    return name if name in ioformats and ioformats[name].can_read else ""


class _Unpacked(io.RawIOBase):
    """Bytes of a packed file, no more than a file of minima can hold."""

    def __init__(self, path: Path) -> None:
        from ase.io.formats import open_with_compression

        self._file = open_with_compression(str(path), "rb")
        self._size = path.stat().st_size

    def readinto(self, buffer: Any, /) -> int:
        count = int(self._file.readinto(buffer))
        if self._file.tell() > max(_PACKED * self._size, _SMALL):
            raise ValueError(f"its {self._size / 1e6:.3g} MB unpack to more than {self._file.tell() / 1e6:.0f} MB")
        return count

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return int(self._file.seek(offset, whence))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


class _Text(io.TextIOWrapper):
    """Text without a line that is cut, in which damaged counts, of atoms or of columns, are an error.

    A reader would count so far.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.BufferedReader(_Unpacked(path), 2**16))
        self._behind = 0
        self._lines: deque[str] = deque(maxlen=_BEHIND)

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        line = super().readline(size)
        self._behind = 0 if line else self._behind + 1
        if self._behind > _BEHIND:
            raise EOFError("the file ends too early")
        if "Properties=" in line and re.search(r"Properties=\S*:\d{4,}", line):
            raise ValueError("more columns than any file has")
        if line and not line.endswith("\n") and self._is_cut(line.split()):
            return ""
        self._lines.append(line)
        return line

    def _is_cut(self, fields: list[str]) -> bool:
        rows = [row for line in self._lines if len(row := line.split()) == len(fields)]
        return bool(fields) and is_cut([row[-1].encode() for row in (*rows, fields)])


def _frames(path: Path, name: str, index: str) -> Iterator[Atoms]:
    """Frames by ASE's reader of a format."""
    from ase.io import iread
    from ase.io.formats import ioformats

    if ioformats[name].isbinary or not ioformats[name].acceptsfd:
        yield from iread(str(path), index, format=name, do_not_split_by_at_sign=True)
    else:
        with _Text(path) as text:
            columns = _columns(text) if name == _DUMP else []
            frames = iread(text, index, format=name)
            yield from _of_dump(frames, columns) if name == _DUMP else frames


def _columns(text: _Text) -> list[str]:
    """Names of the columns of a dump."""
    names = next((line.split()[2:] for line in iter(text.readline, "") if line.startswith("ITEM: ATOMS")), [])
    text.seek(0)
    return names


def _of_dump(frames: Iterator[Atoms], columns: list[str]) -> Iterator[Atoms]:
    """Frames without what ASE makes up: an energy of 0 where there are forces, elements from types or masses.

    Of particles without elements the charge is the diameter, as in our text minima.
    """
    for atoms in frames:
        atoms.calc = None
        if "element" not in columns:
            atoms.numbers[:] = 0
            if "q" in columns:
                atoms.set_array("diameters", atoms.get_initial_charges())
        yield atoms


def _named_by_energy(path: Path, frames: Iterator[Atoms]) -> Iterator[Atoms]:
    """Frames; the only one of a file named by an energy per particle has it, unless it has one of its own."""
    first, named = next(frames, None), re.fullmatch(_ENERGY_NAME, path.name)
    if first is None:
        return
    second = None
    if named is not None and first.calc is None:
        second = next(frames, None)
        if second is None:
            first.calc = SinglePointCalculator(first, energy=len(first) * float(named["energy"]))
    yield from (atoms for atoms in (first, second) if atoms is not None)
    yield from frames


def read_frames(path: Path, index: str = ":") -> Iterator[Atoms]:
    """Frames of a file in their order; ``index`` is a slice in ASE's spelling.

    Raises
    ------
    MinimumError
        If ASE can't read the next frame; it reads none behind it.
    """
    if not path.is_file():
        raise MinimumError("not a file that can be read")
    name = format_of(path)
    if not name:
        raise MinimumError("named neither {energy}.conf nor {energy}.conf.txt, nor as a format that ASE reads")
    frames = _named_by_energy(path, _frames(path, name, index))
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                atoms = next(frames, None)
        except Exception as error:  # ASE's readers raise anything
            raise MinimumError(
                f"not readable as {name}, nor what follows: {type(error).__name__}: {short(error)}"
            ) from error
        if atoms is None:
            return
        yield atoms


def read_frame(place: Place) -> Minimum:
    """The minimum at one frame of a file; raises MinimumError where it can't be used."""
    for atoms in read_frames(place.path, f"{place.frame}:{(place.frame or 0) + 1}"):
        return minimum_of(atoms, place)
    raise MinimumError("there is no such frame")


def minimum_of(atoms: Atoms, place: Place) -> Minimum:
    """Minimum of a frame; lengths, energies and masses in the units in which they stand there.

    Arrays ``diameters`` and ``types`` (or ``type``) are taken where there are any; else diameters are 1, and atomic
    numbers are the types.

    Raises
    ------
    MinimumError
        If it has no energy, is not periodic, or its box is not orthogonal, or a number in it is not allowed.
    """
    if not len(atoms):
        raise MinimumError("no atom in the frame")
    if not atoms.pbc.all():
        raise MinimumError("the frame is not periodic in all three directions")
    cell = atoms.cell.array
    box = np.diag(cell).copy()
    if not np.abs(cell - np.diag(box)).max() <= ORTHOGONAL * np.abs(cell).max():
        raise MinimumError("the box is not orthogonal")
    energy = _numbers(None if atoms.calc is None else atoms.calc.results.get("energy"), ())
    if energy is None or not np.isfinite(energy):
        raise MinimumError("the frame has no energy")
    if not ((atoms.numbers >= 0) & (atoms.numbers < len(chemical_symbols))).all():
        raise MinimumError("an atomic number is none")
    n = len(atoms)
    diameters = _numbers(atoms.arrays.get("diameters", np.ones(n)), (n,))
    masses = _numbers(atoms.get_masses(), (n,))
    if diameters is None or masses is None:
        raise MinimumError("the diameters or masses are no numbers, one for each atom")
    return make_minimum(place, float(energy) / n, atoms.positions, box, diameters, _types(atoms), atoms.numbers, masses)


def _numbers(values: Any, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """Values of a frame as floats; None where they are none, or have another shape."""
    try:
        numbers = np.asarray(values, float)
    except (TypeError, ValueError):
        return None
    return numbers if numbers.shape == shape else None


def to_atoms(minimum: Minimum) -> Atoms:
    """A minimum as ASE Atoms with elements where known, and masses.

    ``arrays["diameters"]`` holds the diameters, ``arrays["types"]`` the types as they stand in the file.
    """
    box, diameters, types, numbers, masses = minimum.system
    atoms = Atoms(numbers=numbers, positions=minimum.positions, masses=masses, cell=box, pbc=True)
    atoms.set_array("diameters", diameters)
    atoms.set_array("types", types)
    return atoms


def _types(atoms: Atoms) -> NDArray[np.int32]:
    types = next((atoms.arrays[name] for name in ("types", "type") if name in atoms.arrays), atoms.numbers)
    if types.dtype.kind not in "iu" or types.shape != (len(atoms),) or np.abs(types).max() >= 2**31:
        raise MinimumError("the types are no whole numbers")
    return np.asarray(types, np.int32)
