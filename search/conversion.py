"""Between the units of a workspace and those of ``glass``: atoms and calculator on the way in, verdict on the way out.

``glass`` works in σ, ε and m, in which its springs, steps and limits are told (:class:`pipeline.units.Units`).
"""

from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms

from glass.arrays import Array
from glass.double_well import Verdict
from pipeline.formats.configurations import MinimumError
from pipeline.units import REDUCED, Units
from search.calculator import MakeCalculator


def to_glass(atoms: Atoms, units: Units) -> Atoms:
    """A minimum in σ and m; MinimumError if nothing tells its masses, which in units other than reduced are not 1."""
    if units == REDUCED:
        return atoms
    masses = atoms.get_masses()
    if (masses == 1).all() and not atoms.numbers.any():
        raise MinimumError(f"no file tells the masses in {units.mass}; give a section Masses, or frames with elements")
    inside = atoms.copy()
    inside.set_cell(atoms.cell.array / units.sigma, scale_atoms=False)
    inside.positions = atoms.positions / units.sigma
    inside.set_masses(masses / units.m)
    return inside


def calculator_for_glass(atoms: Atoms, make_calculator: MakeCalculator, units: Units) -> MakeCalculator:
    """What makes calculators that work in σ and ε, from what makes those of the minimum ``atoms`` in its own units."""
    if units == REDUCED:
        return make_calculator
    return lambda _: _Converted(atoms, make_calculator, units)


class _Converted:
    """A calculator in σ and ε around one in other units, as far as :func:`glass.double_well.potential_of` calls it."""

    def __init__(self, atoms: Atoms, make_calculator: MakeCalculator, units: Units) -> None:
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
    sigma, epsilon, x = units.sigma, units.epsilon, units.sigma * units.m**0.5  # lengths of a profile are in σ √m
    force, band, profile, levels = epsilon / sigma, verdict.band, verdict.profile, verdict.levels
    if band:
        of_band = {"positions": sigma, "energies": epsilon, "forces": force, "slopes": force, "force": force}
        band = _times(band, **of_band, third_minimum=sigma)
    if profile:
        of_side = {"distances": x, "energies": epsilon, "energy": epsilon, "curvature": epsilon / x**2, "wall": x}
        before, after = _times(profile.before, **of_side), _times(profile.after, **of_side)
        profile = _times(replace(profile, before=before, after=after), lengths=x, energies=epsilon, slopes=epsilon / x)
    levels = levels and (levels[0] * epsilon, levels[1] * epsilon)
    reason = units.message(verdict.reason, verdict.quantities)
    return replace(verdict, reason=reason, quantities=(), band=band, profile=profile, levels=levels)


def _times(one: Any, **sizes: float) -> Any:
    """A dataclass whose fields of these names are multiplied, where it has them."""
    values = {name: getattr(one, name, None) for name in sizes}
    return replace(one, **{name: value * sizes[name] for name, value in values.items() if value is not None})
