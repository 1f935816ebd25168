"""Notices when one cause spoils all: a calculator that fails, a unit that is off, minima that are none."""

from collections import Counter

import ase.units
import numpy as np

from glass.double_well import ENERGY_MISMATCH
from pipeline.errors import UserError
from pipeline.settings import Settings
from search.exact import Calculation

ENOUGH = 8
"""So many pairs, and no other before them, make one cause."""

BAD_MINIMA = 3
"""And so many different minima that are none: fewer may well be in many pairs."""

FEWEST = 3
"""So many pairs, and no other before them, show a factor."""

ALIKE = 0.01
"""Energies are off by a factor if what it leaves is less than this part of them, as a norm over the pairs,"""

OFF = 0.05
"""and if it is not within this of 1."""

FACTORS = {
    ase.units.Hartree: "hartree for eV",
    ase.units.Rydberg: "rydberg for eV",
    ase.units.mol / ase.units.kcal: "eV for kcal/mol",
    ase.units.mol / ase.units.kJ: "eV for kJ/mol",
    1 / ase.units.kB: "eV for kelvin",
    1000.0: "a thousand",
}
"""What a unit is off by."""


class OneCause:
    """Holds back results as long as all of a run have one cause to be wrong that need not be that of the pair.

    That is a reason why all are unfinished; or a factor between the energy differences of all, whatever their verdicts:
    those that are small pass for right.

    Parameters
    ----------
    settings : Settings
        For what is said of them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.neb
        self._unit = settings.unit
        self._held: list[Calculation] = []
        self._watching = True

    def released(self, calculation: Calculation) -> list[Calculation]:
        """Take the next result; those that may be written now.

        Raises
        ------
        UserError
            If ENOUGH results, or for a factor FEWEST, have one cause; says what it is.
        """
        self._held.append(calculation)
        if not self._watching:
            return self.rest()
        causes, factor = {one.verdict.cause for one in self._held}, _factor(self._held)
        if factor is None and (
            len(causes) > 1
            or "" in causes
            or (causes == {"minimum"} and len(self._held) >= ENOUGH and len(self._bad_minima()) < BAD_MINIMA)
        ):
            self._watching = False
            return self.rest()
        if len(self._held) < (ENOUGH if factor is None else FEWEST):
            return []
        raise UserError(f"config.yaml: neb.calculator = {self._settings.calculator}: {self._diagnosis(self.rest())}")

    def rest(self) -> list[Calculation]:
        """What was held back, at the end of a run."""
        held, self._held = self._held, []
        return held

    def _bad_minima(self) -> set[tuple[int, float]]:
        return {
            (one.job.pair.conf, name)
            for one in self._held
            if one.verdict.ends is not None
            for name, force in zip((one.job.pair.i, one.job.pair.j), one.verdict.ends.forces, strict=True)
            if not force <= self._settings.force_tolerance
        }

    def _diagnosis(self, held: list[Calculation]) -> str:
        first = f"of the first {len(held)} pairs"
        end = "nothing was written of them"
        factor = _factor(held)
        if factor is not None:
            return f"for all {first} {_in_words(factor, held)}; {end}"
        ends = [one.verdict.ends for one in held if one.verdict.ends is not None]
        if held[0].verdict.cause == "calculator" or not ends:
            reason = Counter(one.verdict.reason for one in held).most_common(1)[0][0]
            return f"it failed for all {first}: {reason}; mend it; {end}"
        energies = "its energies are not those of the minima: another one made them, or lengths are in another unit"
        if held[0].verdict.cause == "energies":
            return f"for all {first} {energies}; {end}"
        force = np.median([one.forces.max() for one in ends])
        none = (
            f"none {first} has two minima, the force on a particle being {force:.2g} {self._unit.force} in the "
            f"median (neb.force_tolerance: {self._settings.force_tolerance:g})"
        )
        calculated, expected = _differences(held)
        if np.abs(calculated - expected).max(initial=0.0) <= ENERGY_MISMATCH * self._unit.epsilon:
            return f"{none}; the energies are right, so run relax_minima.py, or raise the tolerance; {end}"
        return f"{none}, and {energies}; {end}"


def _differences(held: list[Calculation]) -> tuple[np.ndarray, np.ndarray]:
    """Energy differences by the calculator, and by the minima's names or frames."""
    ends = [one.verdict.ends for one in held]
    known = [(np.diff(one.energies)[0], one.difference) for one in ends if one is not None and one.difference]
    return np.array([one for one, _ in known]), np.array([one for _, one in known])


def _factor(held: list[Calculation]) -> float | None:
    """Between the energy differences of all; None where there is none, or the calculator failed for one."""
    calculated, expected = _differences(held)
    if len(calculated) < len(held):
        return None
    factor = float(calculated @ expected / (expected @ expected))
    left = np.linalg.norm(calculated - factor * expected)
    return factor if left <= ALIKE * np.linalg.norm(calculated) and abs(factor - 1) > OFF else None


def _in_words(factor: float, held: list[Calculation]) -> str:
    """What energies that are off by a factor may be."""
    pair, ends = held[0].job.pair, held[0].verdict.ends
    size = 1.0 if ends is None or ends.difference is None else ends.difference / (pair.j - pair.i)  # N
    factors = {**FACTORS, size: "the energy per particle for the total energy"}
    known = [name for one, name in factors.items() if min(abs(factor / one - 1), abs(factor * one - 1)) <= ALIKE]
    meaning = f" ({known[0]}?)" if known else ""
    return f"energy differences are {factor:.5g} times those of the minima{meaning}: some unit is another"
