"""Images of a path, and minima, as an extended XYZ file, which ASE and OVITO open."""

from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from glass.arrays import Array, box_of, without_drift
from glass.path import Band
from pipeline.files import atomic_write
from pipeline.formats.configurations import Minimum, MinimumError, Place, make_minimum
from pipeline.formats.frames import read_frames
from pipeline.formats.keys import Pair
from pipeline.workspace import StatePoint

ROUNDED = 1e-6  # σ; the format rounds positions to eight decimals


def path_file(at: StatePoint, pair: Pair) -> Path:
    """Where the images of a pair are, if they are kept."""
    return at.path(pair.text(at.decimals).replace(" ", "_"))


def write_path(at: StatePoint, pair: Pair, band: Band, minimum: Atoms, units: str = "reduced") -> None:
    """Write all images of a path with energy, forces, displacement from the first image and path length.

    ``minimum``: the pair's first, with the arrays of every image.
    """
    images = []
    for number, (positions, x) in enumerate(zip(band.positions, band.lengths, strict=True)):
        image = minimum.copy()
        image.positions = positions
        image.set_array("displacement", positions - band.positions[0])
        image.info |= {**pair._asdict(), "image": number, "path_coordinate": float(x), "units": units}
        image.calc = SinglePointCalculator(
            image, energy=float(band.energies[number]), forces=band.forces[number].copy()
        )
        images.append(image)
    write_frames(path_file(at, pair), images)


def write_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """Write frames with energies, positions to eight decimals; ``diameters`` also as ``radius``, which OVITO draws."""
    for frame in frames:
        if "diameters" in frame.arrays:
            frame.set_array("radius", 0.5 * frame.arrays["diameters"])
    with atomic_write(path) as part:
        ase.io.write(part, frames, format="extxyz")


def read_images(file: Path) -> list[Minimum]:
    """The images that a file holds; raises MinimumError naming it where it can't be read."""
    try:
        images = [make_minimum(Place(file, k), 0.0, **frame()[0]) for k, frame in enumerate(read_frames(file))]
    except MinimumError as error:
        raise MinimumError(f"{file}: {error}") from error
    if len({len(one.positions) for one in images}) != 1:
        raise MinimumError(f"{file}: no images, or not of the same number of particles")
    return images


def read_path(file: Path, start: Atoms, end: Atoms, unit: float = 1.0) -> Array | None:
    """Positions (n_images, N, 3) of the images that a file holds, in another unit of length, to begin with.

    None where it can't be read, an image is there twice in a row, or it does not lead from one of these minima, in the
    units of the file, to the other.
    """
    try:
        images = np.array([image.positions for image in read_images(file)])
    except MinimumError:
        return None
    box = box_of(start.cell.array, start.pbc)
    ends = ((images[0], start), (images[-1], end)) if images.shape[1:] == start.positions.shape else ()
    fits = [np.abs(without_drift(one, atoms.positions, box)).max() < ROUNDED for one, atoms in ends]
    moves = np.diff(images, axis=0).any(axis=(1, 2))
    return images / unit if len(fits) == 2 and all(fits) and len(images) >= 3 and moves.all() else None
