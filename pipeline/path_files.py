"""Images of a path, and minima, as an extended XYZ file, which ASE and OVITO open."""

from collections.abc import Sequence
from pathlib import Path

import ase.io
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from glass.path import Band
from pipeline.files import atomic_write
from pipeline.keys import Pair
from pipeline.workspace import Workspace


def path_file(workspace: Workspace, temperature: str, pair: Pair) -> Path:
    """Where the images of a pair are, if they are kept."""
    return workspace.path(temperature, pair.conf, repr(float(pair.i)), repr(float(pair.j)))


def write_path(workspace: Workspace, temperature: str, pair: Pair, band: Band, minimum: Atoms) -> None:
    """Write all images of a path, a frame each; the file appears whole.

    Parameters
    ----------
    workspace, temperature, pair
        Of what.
    band : Band
        The path.
    minimum : Atoms
        The pair's first minimum; its box, species and other arrays are those of every image.
    """
    write_frames(path_file(workspace, temperature, pair), images_of(pair, band, minimum))


def write_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """Write frames with their energies, positions to eight decimals; the file appears whole.

    Those with ``diameters`` get an array ``radius``, the size that OVITO draws.
    """
    for frame in frames:
        if "diameters" in frame.arrays:
            frame.set_array("radius", 0.5 * frame.arrays["diameters"])
    with atomic_write(path) as part:
        ase.io.write(part, frames, format="extxyz")


def images_of(pair: Pair, band: Band, minimum: Atoms) -> list[Atoms]:
    """The images as ASE Atoms with energy and forces; arguments as of :func:`write_path`.

    ``arrays["displacement"]`` is that from the first image, ``info["path_coordinate"]`` the path length; both in σ.
    """
    images = []
    for number, (positions, x) in enumerate(zip(band.positions, band.lengths, strict=True)):
        image = minimum.copy()
        image.positions = positions
        image.set_array("displacement", positions - band.positions[0])
        image.info |= {**pair._asdict(), "image": number, "path_coordinate": float(x)}
        image.calc = SinglePointCalculator(
            image, energy=float(band.energies[number]), forces=band.forces[number].copy()
        )
        images.append(image)
    return images
