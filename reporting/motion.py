"""The particles that move between two minima, as pictures show them."""

from typing import NamedTuple

import numpy as np

from glass.arrays import Array, Index, minimum_image, without_drift
from pipeline.formats.configurations import Minimum, MinimumError
from pipeline.matching import read_pair, spacing
from reporting.style import SPECIES
from search.exact import PairJob
from search.rearrangements import species_names

FRACTION, ARROWS = 0.25, 15  # arrows: particles that move at least this fraction of the longest way, at most this many
SHELL, NEIGHBOURS = 1.2, 25  # others: those within this many mean spacings of one with an arrow, at most so many


class Motion(NamedTuple):
    """A glass in a pair's first minimum, and how far each particle is from there in the second, without drift."""

    minimum: Minimum
    displacements: Array  # minimum images; shape (N, 3)


def motion_of_job(job: PairJob) -> Motion | None:
    """Motion between the two minima of a pair; None where one can't be read."""
    try:
        start, end = read_pair(job.places)
    except (MinimumError, OSError):
        return None  # step 0 and run_neb.py say what is wrong with it
    return Motion(start, without_drift(start.positions, end.positions, start.box))


class Cluster(NamedTuple):
    """The n particles that are shown: ``moving`` that move, the one that moves most before all, then those around."""

    particles: Index
    moving: int
    places: Array  # in the first minimum, from the one that moves most, the nearest image; shape (n, 3)
    diameters: Array  # shape (n,); the mean spacing where all are of one size
    axes: Array  # main_axes of those that move
    species: list[str]  # names of their kinds
    colors: dict[str, str]  # of all kinds of the glass


def cluster_of_motion(motion: Motion) -> Cluster:
    """The particles that move and their neighbours."""
    minimum, system = motion.minimum, motion.minimum.system
    lengths = np.linalg.norm(motion.displacements, axis=1)
    order = np.argsort(-lengths, kind="stable")
    moved = order[lengths[order] >= FRACTION * lengths.max()][:ARROWS]
    places = minimum_image(minimum.positions - minimum.positions[moved[0]], minimum.box)
    nearest = np.min([np.linalg.norm(places - places[one], axis=1) for one in moved], axis=0)
    nearest[moved] = np.inf
    order = np.argsort(nearest, kind="stable")
    shown = np.concatenate([moved, order[nearest[order] < SHELL * spacing(minimum)][:NEIGHBOURS]])
    sizes = system.diameters if np.ptp(system.diameters) else np.full(len(places), spacing(minimum))
    names = species_names(system.types, system.numbers)
    colors = {name: SPECIES[k % len(SPECIES)] for k, name in enumerate(sorted(set(names)))}
    axes = main_axes(motion.displacements[moved])
    return Cluster(shown, len(moved), places[shown], sizes[shown], axes, names[shown].tolist(), colors)


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
