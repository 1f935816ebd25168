"""The exact calculation for one pair of minima: path, levels and verdict, from any ASE calculator."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes

from glass.arrays import Array, box_of
from glass.band import FEWEST, PATIENCE, SETTLED, STAGES, TOLERANCES_SETTLED, hidden_minimum, relaxed_band
from glass.batches import called
from glass.path import (
    END_POINT_DISTANCE,
    Band,
    lengths_and_slopes,
    mass_weighted,
    redistributed,
    sharpest_bend,
    straight_line,
)
from glass.relaxation import LBFGS, Forces, Potential, bonds_inverse, one_blas_thread, one_by_one
from glass.tunnelling import (
    OUTSIDE_POINTS,
    REACH,
    Continuation,
    NotResolvedError,
    Profile,
    Quantity,
    lowest_levels,
    oscillator_lengths,
    parabolas,
)

WayBeyond = Literal["line", "parabola"]
"""How V goes on beyond the ends of a path: the line through both, or as in published splittings."""

BENT = 60.0
"""Angle in degrees between the steps to and from an image above which a full path is relaxed once more, with half as
many images again. Of 22 double wells of the example below 3 thresholds two have more, whose splittings by 21 images are
off by a tenth and a factor of two; by 31 images by 1.4 % and 6e-5 ε. The others are off by 1 % at most."""

FIRST_ORDER = 41  # fewest images of a full path of first order, where one of second order is given up

ENERGY_MISMATCH = 1e-3  # largest deviation of the total energy difference from what it should be, ε


class CalculatorFailedError(Exception):
    """Raised where a calculator fails, or returns what is no finite energy or force."""


@dataclass(frozen=True)
class Verdict:
    """Verdict of the exact calculation on a pair."""

    kind: Literal["double well", "non-DW", "unfinished"]  # Unfinished: nothing can be said, ``reason`` says why
    reason: str = ""  # With a field ``{}`` for each of the quantities; empty for a double well
    band: Band | None = None  # The path as far as it was relaxed; None where there was nothing to calculate
    profile: Profile | None = None  # V along the path of a double well and beyond its ends
    levels: tuple[float, float] | None = None  # Its two lowest levels in ε
    # Screened by few images, or calculated with all
    fidelity: Literal["", "screened", "full"] = ""
    quantities: tuple[Quantity, ...] = ()  # Numbers in the reason, in σ and ε


def forces_of(atoms: Atoms, make_calculator: Callable[[Atoms], Any], images: int) -> tuple[Forces, bool]:
    """Energies and forces of the images of a band, and whether they are cheap; arguments as of :func:`examine`.

    A calculator with a method ``calculate_many`` gets all images at once
    (:meth:`glass.soft_spheres.SoftSpheres.calculate_many`). Of others each image has its own, as a neighbour list
    serves one place. Forces are cheap where the calculator's ``forces_are_cheap`` says so.
    """
    with failures_named():
        calculator = make_calculator(atoms)
    cheap = bool(getattr(calculator, "forces_are_cheap", False))
    if getattr(calculator, "calculate_many", None) is None:
        return one_by_one([potential_of(atoms, make_calculator) for _ in range(images)]), cheap

    def forces(positions: Array, _: Sequence[int]) -> tuple[Array, Array]:
        with failures_named():
            energies, found = called(calculator.calculate_many, atoms, positions)
        _check_finite(energies, found)
        return energies, found

    return forces, cheap


def potential_of(atoms: Atoms, make_calculator: Callable[[Atoms], Any]) -> Potential:
    """Positions (N, 3) in σ to total energy in ε and forces (N, 3) in ε/σ.

    Calls the calculator's ``calculate`` itself: ASE's check of what has changed since takes longer than the compiled
    forces of 1500 soft spheres.
    """
    atoms = atoms.copy()
    with failures_named():
        calculator = make_calculator(atoms)
    changes = all_changes

    def potential(positions: Array) -> tuple[float, Array]:
        nonlocal changes
        atoms.positions = positions
        with failures_named():
            calculator.calculate(atoms, ["energy", "forces"], changes)
            energy, forces = float(calculator.results["energy"]), np.array(calculator.results["forces"], float)
        changes = ["positions"]
        _check_finite(energy, forces)
        if forces.shape != positions.shape:
            raise CalculatorFailedError(f"the calculator returned forces of shape {forces.shape}")
        return energy, forces

    return potential


def _check_finite(energies: float | Array, forces: Array) -> None:
    """Raise CalculatorFailedError unless all of them are."""
    if not (np.isfinite(energies).all() and np.isfinite(forces).all()):
        raise CalculatorFailedError("the calculator returned an energy or a force that is not finite")


@contextmanager
def failures_named() -> Iterator[None]:
    """Whatever a calculator raises becomes a CalculatorFailedError that says so."""
    try:
        yield
    except Exception as error:  # other people's code raises anything
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())
        where = f": {said}" if said else f" in line {place.lineno} of {place.filename}"
        raise CalculatorFailedError(f"the calculator failed: {type(error).__name__}{where}") from error


def examine(
    start: Atoms,
    end: Atoms,
    make_calculator: Callable[[Atoms], Any],
    *,
    images: int,
    tolerance: float,
    max_steps: int,
    hbar: float,
    refine_below: float = np.inf,
    energy_difference: float | None = None,
    known_path: Array | None = None,
    way: WayBeyond = "line",
) -> Verdict:
    """Tell whether two minima are a double well, and which are its two lowest levels.

    Parameters
    ----------
    start, end : Atoms
        The two minima, of one glass; the masses of ``start`` are in units of m.
    make_calculator : callable
        Gets the Atoms and returns an ASE calculator that works in σ and ε.
    images : int
        Number of images of the path, the end points included.
    tolerance : float
        ε/σ; largest force on any particle, across the path at its images and whole at the end points.
    max_steps : int
        Steps after which the optimiser gives up.
    hbar : float
        ħ̃, see :func:`glass.tunnelling.reduced_hbar`.
    refine_below : float, default infinite
        ε; a double well whose splitting with few images is larger is not refined.
    energy_difference : float, optional
        ε; what V(end) − V(start) should be.
    known_path : ndarray of shape (n_images, N, 3), optional
        A path between these minima, in σ, to begin with instead of the straight line.
    way : {"line", "parabola"}, default line
        How V goes on beyond the ends, see :func:`profile_of`.
    """
    box = box_of(start.cell.array, start.pbc)
    line = straight_line(start.positions, end.positions, box, images)
    try:
        forces, cheap = forces_of(start, make_calculator, images)
        with one_blas_thread():
            return examined(
                line if known_path is None else known_path,
                forces,
                images,
                tolerance,
                stages=STAGES if known_path is None else (),
                max_steps=max_steps,
                hbar=hbar,
                refine_below=refine_below,
                energy_difference=energy_difference,
                masses=start.get_masses(),
                way=way,
                box=None if cheap else box,
            )
    except CalculatorFailedError as error:
        return Verdict("unfinished", str(error))


def examined(
    path: Array,
    forces: Forces,
    images: int,
    tolerance: float,
    *,
    max_steps: int,
    hbar: float,
    stages: Sequence[tuple[int, float]] = STAGES,
    refine_below: float = np.inf,
    energy_difference: float | None = None,
    masses: Array | None = None,
    way: WayBeyond = "line",
    box: Array | None = None,
    told: Callable[[Verdict], None] = lambda _: None,
) -> Verdict:
    """The verdict on a path to begin with, shape (n, N, 3) in σ, by bands as of :data:`glass.band.STAGES`.

    The other arguments are those of :func:`examine`; where forces are not cheap the box in σ; and what is told the
    verdict of each band.
    """
    if np.linalg.norm(path[-1] - path[0]) < END_POINT_DISTANCE:
        reason = "the two minima are less than {} apart: they are the same minimum"
        return Verdict("unfinished", reason, quantities=(Quantity(END_POINT_DISTANCE, "length"),))
    (low, high), ends = forces(path[[0, -1]], (0, -1))
    for which, force in zip(("first", "second"), np.linalg.norm(ends, axis=2).max(1).tolist(), strict=True):
        if not force <= tolerance:
            reason = f"the {which} is no minimum: force {{}} on a particle; relax_minima.py relaxes it"
            return Verdict("unfinished", reason, quantities=(Quantity(force, "force"),))
    if energy_difference is not None and not abs(high - low - energy_difference) <= ENERGY_MISMATCH:
        reason = "the energies differ by {}, by the minima's names or frames {}"
        differences = (Quantity(high - low, "energy", 6), Quantity(energy_difference, "energy", 6))
        return Verdict("unfinished", reason, quantities=differences)
    step_of = LBFGS(None if box is None else bonds_inverse(path[len(path) // 2], box))
    steps, settled, second_order = 0, max(SETTLED, TOLERANCES_SETTLED * tolerance), True
    bands = [(count, times * tolerance) for count, times in stages if count < images] + [(images, tolerance)]
    for count, allowed in bands:
        start, full, left = redistributed(path, count), count >= images, max_steps - steps
        patience = PATIENCE if count < FEWEST and not full else np.inf
        fine = full and second_order
        band = relaxed_band(start, forces, allowed, left, settled, step_of, patience, fine=fine)
        given_up = not band.converged and band.third_minimum is None and band.steps < left
        if fine and given_up and np.isfinite(band.force):
            bands.append((max(count, FIRST_ORDER), allowed))
            second_order = False
            step_of.forget()
            continue
        path, steps = band.positions, steps + band.steps
        if count < FEWEST and not full and band.third_minimum is None:
            continue
        band = replace(band, steps=steps)
        if fine and count == images and band.converged and band.third_minimum is None and sharpest_bend(path) > BENT:
            bands.append((3 * count // 2, allowed))
            continue
        verdict = verdict_of(band, forces, hbar, full, masses, way)
        told(verdict)
        if full or band.third_minimum is not None or not band.converged:
            break
        if verdict.levels is not None and verdict.levels[1] - verdict.levels[0] > refine_below:
            third = hidden_minimum(band, forces, allowed, settled, step_of.precondition)
            if third is not None:
                verdict = verdict_of(replace(band, third_minimum=third), forces, hbar, full, masses, way)
            break
    return verdict


def verdict_of(
    band: Band, forces: Forces, hbar: float, full: bool, masses: Array | None = None, way: WayBeyond = "line"
) -> Verdict:
    """Verdict on one band; arguments as of :func:`profile_of`, and whether it has all images."""
    if band.third_minimum is not None:
        return Verdict("non-DW", "a third minimum on the way", band)
    if not np.isfinite(band.force):
        return Verdict("unfinished", "an energy or a force on the path is not finite", band)
    if not band.converged:
        reason = f"force {{}} after {band.steps} steps; raise neb.max_steps"
        return Verdict("unfinished", reason, band, quantities=(Quantity(band.force, "force"),))
    try:
        profile = profile_of(band, forces, hbar, masses, way)
        levels = lowest_levels(profile, hbar)
    except NotResolvedError as error:
        return Verdict("unfinished", error.reason, band, quantities=error.quantities)
    return Verdict("double well", "", band, profile, levels, "full" if full else "screened")


def profile_of(
    band: Band, forces: Forces, hbar: float, masses: Array | None = None, way: WayBeyond = "line"
) -> Profile:
    """V along a path, and on the straight line through its two ends, OUTSIDE_POINTS energies outside each.

    With ``way="parabola"`` it goes on as in published splittings (:func:`glass.tunnelling.parabolas`).

    Lengths are mass-weighted (:mod:`glass.path`). A straight line is one in these coordinates too.
    """
    first, last = band.positions[0], band.positions[-1]
    masses = np.ones(len(first)) if masses is None else masses
    outwards = (first - last) / np.linalg.norm(mass_weighted(first - last, masses))
    lengths, slopes = lengths_and_slopes(band, masses)
    sizes = oscillator_lengths(lengths, band.energies, slopes, hbar)
    if way == "parabola":
        return Profile(lengths, band.energies, slopes, *parabolas(lengths, band.energies, slopes))
    distances = np.linspace(0, REACH * np.array(sizes), OUTSIDE_POINTS + 1, axis=1)
    ways = distances[:, 1:, None, None] * np.array([outwards, -outwards])[:, None]
    places = np.concatenate([first + ways[0], last + ways[1]])
    beyond, _ = forces(places, [0] * OUTSIDE_POINTS + [-1] * OUTSIDE_POINTS)
    energies = np.concatenate([band.energies[[0, -1], None], beyond.reshape(2, -1)], axis=1)
    return Profile(lengths, band.energies, slopes, *map(Continuation, distances, energies))
