"""Minima in any format: one frame is one minimum, with its energy and species.

``ase.io`` is imported where it is used, as it takes half a second and the project's own formats do without.
"""

import re
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pipeline.errors import short
from pipeline.formats.columns import is_cut, open_text, particles, unpacked
from pipeline.formats.configurations import Frame, FrameContent, Minimum, MinimumError
from pipeline.formats.lammps import is_of_one, read_one
from pipeline.formats.text_frames import read_dump, read_extxyz
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

_TEXTS = {
    r"(dump\..+|.+\.(dump|lammpstrj|lammpsdump))(\.(gz|bz2|xz))?": read_dump,
    r".+\.(ext)?xyz(\.(gz|bz2|xz))?": read_extxyz,
}
"""Readers of text of our own, by the names of their files; ASE reads all others."""

_BEHIND = 100  # no reader asks so often for a line behind the end of a whole file


def read_frames(path: Path, reading: Reading = AS_USUAL) -> Iterator[Frame]:
    """Frames of a file in their order; raises MinimumError where the next can't be read, nor what follows."""
    if not path.is_file():
        raise MinimumError("not a file that can be read")
    reader = next((read for names, read in _TEXTS.items() if re.fullmatch(names, path.name)), None)
    try:
        if is_of_one(path):
            found = read_one(path)
            yield lambda: (found, None, [])
        elif reader is not None:
            with open_text(path) as text:
                yield from reader(text, reading)
        else:
            yield from _by_ase(path, reading)
    except MinimumError:
        raise
    except EOFError:
        raise MinimumError("the file ends too early: truncated") from None
    except OSError as error:
        raise MinimumError(f"can't be read: {error.strerror or short(error)}") from error
    except Exception as error:  # ASE's readers raise anything
        raise MinimumError(f"not readable as {format_of(path) or 'text'}: {_in_words(error)}") from error


def _in_words(error: Exception) -> str:
    """Message of a reader's exception; of those that only name a key or an index, what that means."""
    if isinstance(error, KeyError | IndexError | StopIteration | AttributeError | TypeError):
        return f"something is missing or has an unknown name ({short(error) or 'the end'})"
    return short(error)


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
        if line and not line.endswith("\n") and self._is_cut(line.split()):
            return ""
        self._lines.append(line)
        return line

    def _is_cut(self, fields: list[str]) -> bool:
        rows = [row for line in self._lines if len(row := line.split()) == len(fields)]
        return bool(fields) and is_cut([row[-1] for row in (*rows, fields)])


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
    key = reading.energy_key or "energy"
    energy = _number(known.get(key, atoms.arrays[key].sum() if key in atoms.arrays else None))
    return found, energy, [name for name, value in known.items() if _number(value) is not None]


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


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
