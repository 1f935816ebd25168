"""The units in which a workspace's files give lengths, energies and masses."""

from collections.abc import Iterable
from typing import NamedTuple

from ase.units import create_units

from pipeline.errors import UserError, short

_SI = create_units("2018")


class Units(NamedTuple):
    """Symbols of the units, for labels and printed lines, and what the units of ``glass`` are in them.

    There lengths, energies and masses are in σ, ε and m, and what is small or settled is told in these. Of a workspace
    in reduced units they are its own, whatever they are in m, J and kg; of one in metal units those of the paper.
    """

    name: str
    length: str
    energy: str
    mass: str
    length_name: str  # for names of columns, which have no symbols
    energy_name: str
    sigma: float = 1.0  # σ in the unit of length; so with the others
    epsilon: float = 1.0
    m: float = 1.0

    @property
    def force(self) -> str:
        """Symbol of the unit of force."""
        return f"{self.energy}/{self.length}"

    def message(self, text: str, quantities: Iterable[tuple[float, str, int]]) -> str:
        """A message with quantities given in σ and ε: value, dimension and digits for each of its fields ``{}``."""
        sizes = {
            "length": (self.sigma, self.length),
            "energy": (self.epsilon, self.energy),
            "force": (self.epsilon / self.sigma, self.force),
        }
        told = [
            f"{value * sizes[dimension][0]:.{digits}g} {sizes[dimension][1]}" for value, dimension, digits in quantities
        ]
        return text.format(*told) if told else text


REDUCED = Units("reduced", "σ", "ε", "m", "sigma", "epsilon")
METAL = Units("metal", "Å", "eV", "u", "angstrom", "eV", 2.21, 662.0 * _SI["kB"], 1.02e-25 / _SI["_amu"])
"""The paper: σ = 2.21 Å, ε = 662 K · k_B, m = 1.02·10⁻²⁵ kg."""

UNITS = {units.name: units for units in (REDUCED, METAL)}  # units by their name in ``config.yaml``
KELVIN = float(_SI["kB"])  # k_B · 1 K in eV

SI_OF_METAL = {"sigma": 1.0e-10, "mass": float(_SI["_amu"]), "epsilon": 1.0 / KELVIN}
"""Å in m, u in kg, and eV over k_B in K: what ``neb`` of ``config.yaml`` says of reduced units."""

OF_RESULTS = "put these units there, or begin in another workspace"  # remedy where exact results are in other units


def check_same_units(what: object, then: str, now: Units, remedy: str) -> None:
    """Raise UserError unless something that is there was made in the units of now."""
    if then != now.name:
        raise UserError(f"{what}: made with units: {short(then)}, but config.yaml says units: {now.name}; {remedy}")
