"""What a calculator's noise and the forces of a path allow to be said of a pair."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from glass.arrays import Array
from glass.band import STAGES
from glass.double_well import ENERGY_MISMATCH, CalculatorFailedError, Verdict, potential_of
from glass.tunnelling import Quantity
from pipeline.formats.configurations import MinimumError
from pipeline.formats.minima import read_atoms
from pipeline.settings import Settings
from search.calculator import KnownMinimum, load

NOISE_OVER, NOISE_ALLOWED = 0.02, 0.1
"""Length over all 3N coordinates on which noise is measured, σ; steps of the energy that go without a word, in
``tls_threshold``."""

STUCK = 0.7
"""After ``neb.max_steps`` a path goes on while as many steps again bring its force below this part of what it was, or
lower its highest energy."""


class Noise(NamedTuple):
    """Step of a calculator's total energy, largest deviation of its forces, whether two calls at one place agree."""

    energy: float
    force: float
    repeats: bool


def measure_noise(minimum: KnownMinimum, settings: Settings, make_calculator: Callable[[Atoms], Any]) -> Noise | None:
    """Deviations from polynomials of fourth degree along a random direction; a job for a worker.

    None where the calculator fails or the minimum can't be read.
    """
    try:
        atoms = read_atoms(minimum.place)
        potential = potential_of(atoms, load(settings.neb, make_calculator, atoms))
        way = np.random.default_rng(0).normal(size=atoms.positions.shape)
        way *= NOISE_OVER * settings.unit.sigma / np.linalg.norm(way)
        along = np.append(np.sin(np.linspace(-1.5, 1.5, 9)), 0)  # no even steps, which rounding may fit
        energies, forces = map(np.array, zip(*(potential(atoms.positions + s * way) for s in along), strict=True))
    except (MinimumError, CalculatorFailedError):
        return None
    repeats = bool(energies[4] == energies[9] and (forces[4] == forces[9]).all())
    values = np.column_stack([energies, forces.reshape(10, -1)])
    values -= values[0]
    powers = np.vander(along, 5)
    off = values - powers @ np.linalg.lstsq(powers, values)[0]
    scatter = np.linalg.norm(off[:, 1:].reshape(10, -1, 3), axis=2).max()
    return Noise(float((12 * (off[:, 0] ** 2).sum() / 5) ** 0.5), float(scatter), repeats)  # a step is √12 rms


def noise_in_words(noise: Noise, settings: Settings) -> list[str]:
    """What a user should know of a calculator's noise, a sentence each; nothing where it is small enough."""
    cause = "single precision?" if noise.repeats else "two calls at one place differ"
    name, unit, said = f"note: neb.calculator = {settings.neb.calculator}", settings.unit, []
    if noise.force > 0.5 * settings.neb.force_tolerance:
        said.append(
            f"{name}: its forces scatter by {noise.force:.2g} {unit.force} ({cause}): nothing converges to "
            f"neb.force_tolerance = {settings.neb.force_tolerance:g}; set it to {5 * noise.force:.1g}"
        )
    if noise.energy > NOISE_ALLOWED * settings.tls_threshold:
        said.append(
            f"{name}: its energies come in steps of {noise.energy:.2g} {unit.energy}, "
            f"{noise.energy / settings.tls_threshold:.2g} of tls_threshold ({cause}): with no tolerance can splittings "
            "near that be trusted; take double precision"
        )
    return said


def settled(examined: Callable[..., Verdict], path: Array | None, max_steps: int, tolerance: float) -> Verdict:
    """Verdict on a pair by :func:`glass.double_well.examine`: a path that still goes down goes on.

    A double well whose barrier has no force above the tolerance may be anything: there is no verdict on it.
    """
    verdict = examined(known_path=path)
    force = highest = np.inf
    steps = 0
    while (band := verdict.band) is not None:
        steps += band.steps
        verdict = replace(verdict, band=replace(band, steps=steps))
        if verdict.kind == "unfinished" and np.isfinite(band.force) and not band.converged:
            if band.force > STUCK * force and band.energies.max() > highest - ENERGY_MISMATCH:
                reason = f"force {{}} after {steps} steps, the last {band.steps} of which changed little"
                return replace(verdict, reason=reason)
            force, highest = min(force, band.force), band.energies.max()
        elif verdict.levels is None:
            return verdict
        else:
            screened = verdict.fidelity == "screened"
            along = np.gradient(band.positions, band.lengths, axis=0)
            of_barrier = np.abs(band.slopes) * np.linalg.norm(along, axis=2).max(axis=1)  # largest on a particle
            if of_barrier.max() > tolerance * (dict(STAGES)[len(band.positions)] if screened else 1):
                return verdict
            if not screened:
                reason = "converged, but the forces of its barrier are below {} themselves; lower neb.force_tolerance"
                return Verdict("unfinished", reason, verdict.band, quantities=(Quantity(tolerance, "force"),))
        verdict = examined(known_path=band.positions, max_steps=max(steps, max_steps))
    return verdict
