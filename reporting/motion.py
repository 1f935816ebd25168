"""The particles that move between two minima, as pictures show them."""

from typing import NamedTuple

import numpy as np

from glass.arrays import Array, Index, box_of, minimum_image, vectors_of, without_drift
from pipeline.formats.configurations import MinimumError
from pipeline.matching import read_pair
from search.exact import PairJob, check_one_glass
from search.rearrangements import species_names

FRACTION, ARROWS = 0.25, 15  # arrows: particles that move at least this fraction of the longest way, at most this many
SHELL, NEIGHBOURS = 1.2, 25  # others: those within this many mean spacings of one with an arrow, at most so many


class Motion(NamedTuple):
    """Positions (N, 3) of a glass in a pair's first minimum, and how far each particle is from there in the second.

    Displacements are minimum images, without drift; species has a name for each particle.
    """

    positions: Array
    displacements: Array
    box: Array
    diameters: Array
    species: list[str]


def motion_of_job(job: PairJob) -> Motion | None:
    """Motion between the two minima of a pair; None where one can't be read."""
    try:
        start, end = read_pair(job.places)
        check_one_glass(job, start, end)
    except (MinimumError, OSError):
        return None  # step 0 and run_neb.py say what is wrong with it
    box = box_of(start.cell.array, start.pbc)
    steps = without_drift(start.positions, end.positions, box)
    names = species_names(start.arrays["types"], start.numbers).tolist()
    return Motion(start.positions, steps, box, start.arrays["diameters"], names)


class Cluster(NamedTuple):
    """The n particles that are shown: ``moving`` that move, the one that moves most before all, then those around."""

    particles: Index
    moving: int
    places: Array  # in the first minimum, from the one that moves most, the nearest image; shape (n, 3)
    diameters: Array  # shape (n,); the mean spacing where all are of one size
    axes: Array  # main_axes of those that move


def cluster_of_motion(motion: Motion) -> Cluster:
    """The particles that move and their neighbours."""
    lengths = np.linalg.norm(motion.displacements, axis=1)
    order = np.argsort(-lengths, kind="stable")
    moved = order[lengths[order] >= FRACTION * lengths.max()][:ARROWS]
    places = minimum_image(motion.positions - motion.positions[moved[0]], motion.box)
    spacing = mean_spacing(motion)
    nearest = np.min([np.linalg.norm(places - places[one], axis=1) for one in moved], axis=0)
    nearest[moved] = np.inf
    order = np.argsort(nearest, kind="stable")
    shown = np.concatenate([moved, order[nearest[order] < SHELL * spacing][:NEIGHBOURS]])
    sizes = motion.diameters if np.ptp(motion.diameters) else np.full(len(places), spacing)
    return Cluster(shown, len(moved), places[shown], sizes[shown], main_axes(motion.displacements[moved]))


def mean_spacing(motion: Motion) -> float:
    """Edge of the cube that a particle has for itself, in the unit of length."""
    sides = np.linalg.norm(vectors_of(motion.box), axis=1)
    if motion.box.ndim == 2:  # whose directions need not repeat
        sides = np.minimum(sides, np.linalg.norm(np.ptp(motion.positions, axis=0)))
    return float((sides.prod() / len(motion.positions)) ** (1 / 3))


def main_axes(displacements: Array) -> Array:
    """Principal axes of displacements of shape (N, 3), a row each: the first two span the plane with most of Σ |Δr|².

    They are right-handed; along the first two the largest component is positive, whichever minimum is the first.
    """
    _, axes = np.linalg.eigh(displacements.T @ displacements)
    axes = axes.T[::-1].copy()
    along = displacements @ axes[:2].T
    axes[:2] *= np.where(along[np.abs(along).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)[:, None]
    axes[2] = np.cross(axes[0], axes[1])
    return axes
