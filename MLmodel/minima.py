"""Energy minima on disk: the two file formats, and the checks that every glass must pass."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from MLmodel.errors import UserError
from MLmodel.features import largest_displacement

SAME_PLACE = 1e-10
"""σ; two minima whose largest displacement is smaller are one."""

Array = NDArray[np.float64]


def label_key(labels: ArrayLike, decimals: int) -> NDArray[np.int64]:
    """Labels of minima as whole numbers, so that float noise can't tell two apart.

    Parameters
    ----------
    labels : array_like of shape (n,)
        Energy per particle in ε, or any other number that names a minimum.
    decimals : int
        Labels are equal when they are equal to so many decimals.

    Raises
    ------
    UserError
        If a label is too large to have so many decimals.
    """
    keys = np.rint(np.asarray(labels, dtype=np.float64) * 10.0**decimals)
    if keys.size and np.abs(keys).max() >= 2.0**63:
        largest = np.abs(labels).max()
        raise UserError(f"config.yaml: ij_decimals = {decimals} is too many for the label {largest:g}; lower it")
    return keys.astype(np.int64)


def find_keys(among: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of each key in a sorted array that is not empty; −1 where it is not there."""
    place = np.minimum(np.searchsorted(among, keys), len(among) - 1)
    return np.where(among[place] == keys, place, -1)


class MinimumError(Exception):
    """Why one file can't be used."""


class Minimum(NamedTuple):
    """One inherent structure: diameters (N,), positions (N, 3) and box lengths (3,), all in σ, in order of id."""

    diameters: Array
    positions: Array
    box: Array


@dataclass(frozen=True)
class Glass:
    """The usable minima of one glass, lowest energy first.

    Attributes
    ----------
    files : list of str, n_minima
        The files' names.
    energies : ndarray of shape (n_minima,)
        Energy per particle in ε, as in the files' names.
    keys : ndarray of int64, shape (n_minima,)
        The same in units of 10^-ij_decimals.
    positions : ndarray of shape (n_minima, 3, N)
        In σ, wrapped into the box.
    box : ndarray of shape (3,)
        Box lengths in σ.
    """

    files: list[str]
    energies: Array
    keys: NDArray[np.int64]
    positions: Array
    box: Array

    @property
    def n_particles(self) -> int:
        """N."""
        return int(self.positions.shape[2])


def minimum_files(folder: Path) -> list[Path]:
    """All files of a glass but hidden ones, sorted by name; whether they are minima is told when they are read."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def energy_in_name(path: Path) -> float:
    """Energy per particle in ε that a file's name gives.

    Raises
    ------
    MinimumError
        If the name is no finite number, or does not end in ``.conf`` or ``.conf.txt``.
    """
    if not path.name.endswith((".conf", ".conf.txt")):
        raise MinimumError("not named {energy}.conf or {energy}.conf.txt")
    text = path.name.removesuffix(".txt").removesuffix(".conf")
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is None or not np.isfinite(float(text)):
        raise MinimumError(f"the name gives no energy: '{text}' is not a number")
    return float(text)


def read_minimum(path: Path) -> Minimum:
    """Read one energy minimum and check it.

    Parameters
    ----------
    path : Path
        ``*.conf.txt``: LAMMPS ``write_data`` text, ``atom_style charge`` with the diameter in place of the charge.
        ``*.conf``: Fortran unformatted sequential, little-endian.

    Raises
    ------
    MinimumError
        If the file is truncated, disagrees with its header, or holds anything but finite numbers in an orthogonal box.
    """
    content = path.read_bytes()
    minimum = _from_text(content) if path.name.endswith(".txt") else _from_binary(content)
    if not all(np.isfinite(values).all() for values in minimum):
        raise MinimumError("a number in it is not finite")
    if not (minimum.box > 0).all():
        raise MinimumError("a box length is not above zero")
    return minimum


def _from_text(content: bytes) -> Minimum:
    parts = re.split(rb"^[ \t]*(Atoms\b[^\n]*)\n", content, maxsplit=1, flags=re.M)
    head, atoms, body = parts if len(parts) == 3 else (content, b"", b"")
    count = re.search(rb"^\s*(\d+)\s+atoms\s*$", head, re.M)
    if count is None:
        raise MinimumError("no line 'N atoms' in the header")
    if not atoms:
        raise MinimumError("no section 'Atoms'")
    style = re.search(rb"#\s*(\S+)", atoms)
    if style is not None and style[1] != b"charge":
        raise MinimumError(f"atom_style {style[1].decode(errors='replace')} where charge is expected")
    n = int(count[1])
    box = _text_box(head)
    body = re.split(rb"^[ \t]*[A-Za-z]", body, maxsplit=1, flags=re.M)[0]
    rows = [fields for line in body.split(b"\n") if (fields := line.split())]
    if len(rows) != n or n == 0:
        raise MinimumError(f"{len(rows)} atoms where the header says {n}")
    if len(rows[0]) not in (6, 9):
        raise MinimumError(f"{len(rows[0])} columns where 'id type diameter x y z [ix iy iz]' has 6 or 9")
    table = _numbers(rows)
    order = np.argsort(table[:, 0])
    if not np.array_equal(table[order, 0], np.arange(1, n + 1)):
        raise MinimumError(f"the ids are not 1 to {n}, each once")
    return Minimum(table[order, 2], table[order, 3:6], box)


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
        raise MinimumError(f"an atom line is not readable: {' '.join(str(error).split())}") from None
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
    try:
        return float(text)
    except ValueError:
        raise MinimumError(f"'{text.decode(errors='replace')}' in the header is not a number") from None


_PARTICLE = np.dtype([("head", "<i4"), ("values", "<f8", 4), ("tail", "<i4")])


def _from_binary(content: bytes) -> Minimum:
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
    return Minimum(particles["values"][:, 0].copy(), particles["values"][:, 1:].copy(), np.resize(box, 3))


def _record(content: bytes) -> tuple[bytes, bytes]:
    """First record of a Fortran unformatted sequential file, and what follows it."""
    size = int.from_bytes(content[:4], "little")
    if len(content) < size + 8 or content[4 + size : 8 + size] != content[:4]:
        raise MinimumError("not Fortran unformatted sequential, or truncated in its header")
    return content[4 : 4 + size], content[8 + size :]


def try_minimum(path: Path) -> tuple[Path, float, Minimum | None, str]:
    """Read one file for a pool: path, energy in ε, and either the minimum or the reason why not."""
    try:
        return path, energy_in_name(path), read_minimum(path), ""
    except MinimumError as error:
        return path, np.nan, None, str(error)
    except OSError as error:
        return path, np.nan, None, f"can't be read: {error.strerror}"


def load_glass(
    paths: Iterable[Path], decimals: int, imap: Callable[..., Iterable[Any]] = map
) -> tuple[Glass | None, dict[str, str]]:
    """Read the minima of one glass and leave out those that can't be used.

    Parameters
    ----------
    paths : iterable of Path
        Files as :func:`minimum_files` gives them.
    decimals : int
        Two minima are told apart by their energy per particle, rounded so.
    imap : callable, default map
        Applies a function to all paths in order; a pool's ``imap`` reads in parallel.

    Returns
    -------
    glass : Glass or None
        None where no file is usable.
    rejected : dict of str to str
        File name to reason.
    """
    rejected: dict[str, str] = {}
    read: list[tuple[float, str, Minimum]] = []
    for path, energy, minimum, reason in imap(try_minimum, paths):
        if minimum is None:
            rejected[path.name] = reason
        else:
            read.append((energy, path.name, minimum))
    read.sort(key=lambda one: one[:2])
    read = _of_one_system(read, rejected)
    read = _with_own_label(read, decimals, rejected)
    if not read:
        return None, rejected
    box = read[0][2].box
    positions = np.stack([np.mod(minimum.positions, box).T for _, _, minimum in read])
    keep = _at_own_place(positions, box, [name for _, name, _ in read], rejected)
    energies = np.array([read[k][0] for k in keep])
    glass = Glass(
        files=[read[k][1] for k in keep],
        energies=energies,
        keys=label_key(energies, decimals),
        positions=positions if len(keep) == len(read) else positions[keep],
        box=box,
    )
    return glass, rejected


_SYSTEM = ("count of particles", "box", "diameters")
_Read = list[tuple[float, str, Minimum]]


def _of_one_system(read: _Read, rejected: dict[str, str]) -> _Read:
    """Keep the minima with the count of particles, box and diameters that most of them have."""

    def system(minimum: Minimum) -> tuple[int, bytes, bytes]:
        return len(minimum.diameters), np.round(minimum.box, 8).tobytes(), np.round(minimum.diameters, 8).tobytes()

    if not read:
        return read
    systems = [system(minimum) for _, _, minimum in read]
    usual = Counter(systems).most_common(1)[0][0]
    for (_, name, _), its in zip(read, systems, strict=True):
        if its != usual:
            differs = _SYSTEM[[a == b for a, b in zip(its, usual, strict=True)].index(False)]
            rejected[name] = f"another {differs} than most minima of this glass"
    return [one for one in read if one[1] not in rejected]


def _with_own_label(read: _Read, decimals: int, rejected: dict[str, str]) -> _Read:
    owner: dict[int, str] = {}
    for energy, name, _ in read:
        key = int(label_key(energy, decimals))
        if key in owner:
            rejected[name] = f"the same energy to {decimals} decimals as {owner[key]}"
        else:
            owner[key] = name
    return [one for one in read if one[1] not in rejected]


def _at_own_place(positions: Array, box: Array, names: list[str], rejected: dict[str, str]) -> list[int]:
    """Indices of the minima that are not a repetition of one with lower energy.

    Minima at the same place share the place of their first particle; a k-d tree finds those candidates without
    looking at all pairs.
    """
    first = positions[:, :, 0].copy()
    first[first >= box] = 0.0
    pairs = cKDTree(first, boxsize=box).query_pairs(SAME_PLACE, output_type="ndarray")
    pairs = pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]
    same = pairs[largest_displacement(positions, box, pairs[:, 0], pairs[:, 1]) < SAME_PLACE]
    for one, other in same:
        if names[one] not in rejected:
            rejected.setdefault(names[other], f"the same place as {names[one]}")
    return [k for k, name in enumerate(names) if name not in rejected]
