"""Between the units of a workspace and those of ``glass``: atoms and calculator on the way in, verdict on the way out.

``glass`` works in σ, ε and m, in which its springs, steps and limits are told (:class:`pipeline.units.Units`).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms

from glass.arrays import Array
from glass.double_well import Verdict
from glass.path import Band
from glass.tunnelling import Continuation, Parabola, Profile, parabolas
from pipeline.formats.configurations import MinimumError
from pipeline.units import Units


def to_glass(atoms: Atoms, units: Units) -> Atoms:
    """A minimum in σ and m; MinimumError if nothing tells its masses, which in units other than reduced are not 1."""
    if units.are_those_of_glass:
        return atoms
    masses = atoms.get_masses()
    if (masses == 1).all() and not atoms.numbers.any():
        raise MinimumError(f"no file tells the masses in {units.mass}; give a section Masses, or frames with elements")
    inside = atoms.copy()
    inside.set_cell(atoms.cell.array / units.sigma, scale_atoms=False)
    inside.positions = atoms.positions / units.sigma
    inside.set_masses(masses / units.m)
    return inside


def calculator_for_glass(atoms: Atoms, make_calculator: Callable[[Atoms], Any], units: Units) -> Callable[[Atoms], Any]:
    """What makes calculators that work in σ and ε, from what makes those of the minimum ``atoms`` in its own units."""
    if units.are_those_of_glass:
        return make_calculator
    return lambda _: _Converted(atoms, make_calculator, units)


class _Converted:
    """A calculator in σ and ε around one in other units, as far as :func:`glass.double_well.potential_of` calls it."""

    def __init__(self, atoms: Atoms, make_calculator: Callable[[Atoms], Any], units: Units) -> None:
        self._atoms = atoms.copy()
        self._calculator = make_calculator(self._atoms)
        self._sigma = units.sigma
        self._times = {"energy": 1 / units.epsilon, "forces": units.sigma / units.epsilon}
        self.results: dict[str, Any] = {}
        self.forces_are_cheap = getattr(self._calculator, "forces_are_cheap", False)
        if getattr(self._calculator, "calculate_many", None) is not None:
            self.calculate_many = self._calculate_many

    def _calculate_many(self, _: Atoms, images: Array) -> tuple[Array, Array]:
        energies, forces = self._calculator.calculate_many(self._atoms, images * self._sigma)
        return np.asarray(energies) * self._times["energy"], np.asarray(forces) * self._times["forces"]

    def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str]) -> None:
        self._atoms.positions = atoms.positions * self._sigma
        self._calculator.calculate(self._atoms, properties, system_changes)
        found = self._calculator.results
        self.results = {name: np.asarray(found[name]) * times for name, times in self._times.items() if name in found}


def verdict_in(units: Units, verdict: Verdict) -> Verdict:
    """A verdict of ``glass`` in other units, its quantities filled into its reason."""
    reason = units.message(verdict.reason, verdict.quantities)
    if units.are_those_of_glass:
        return replace(verdict, reason=reason, quantities=())
    return replace(
        verdict,
        reason=reason,
        quantities=(),
        band=verdict.band and _band_in(units, verdict.band),
        profile=verdict.profile and _profile_in(units, verdict.profile),
        levels=verdict.levels and (verdict.levels[0] * units.epsilon, verdict.levels[1] * units.epsilon),
    )


def _band_in(units: Units, band: Band) -> Band:
    sigma, force = units.sigma, units.epsilon / units.sigma
    return replace(
        band,
        positions=band.positions * sigma,
        energies=band.energies * units.epsilon,
        forces=band.forces * force,
        slopes=band.slopes * force,
        third_minimum=None if band.third_minimum is None else band.third_minimum * sigma,
        force=band.force * force,
    )


def _profile_in(units: Units, profile: Profile) -> Profile:
    """Its lengths are in σ √m."""
    length = units.sigma * units.m**0.5
    inside = profile.lengths * length, profile.energies * units.epsilon, profile.slopes * (units.epsilon / length)
    if isinstance(profile.before, Parabola) or isinstance(profile.after, Parabola):
        return Profile(*inside, *parabolas(*inside))
    before, after = (
        Continuation(side.distances * length, side.energies * units.epsilon) for side in (profile.before, profile.after)
    )
    return Profile(*inside, before, after)
