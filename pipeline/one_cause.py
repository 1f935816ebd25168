"""Notices when one cause spoils all: a calculator that fails, a unit that is off, minima that are none."""

from collections import Counter

import ase.units
import numpy as np

from glass.double_well import ENERGY_MISMATCH
from pipeline.errors import UserError
from pipeline.exact import Calculation
from pipeline.settings import Settings

ENOUGH = 8
"""So many pairs, and no other before them, make one cause."""

BAD_MINIMA = 3
"""And so many different minima that are none: fewer may well be in many pairs."""

ALIKE = 0.01
"""Ratios of energies are one factor if they are within this of their median."""

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
    """Holds back results as long as all of a run are unfinished for one cause that need not be that of the pair.

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
            If ENOUGH results have one cause; says what it is.
        """
        self._held.append(calculation)
        causes = {one.verdict.cause for one in self._held}
        if not self._watching or len(causes) > 1 or "" in causes:
            self._watching = False
            return self.rest()
        if len(self._held) < ENOUGH:
            return []
        if causes == {"minimum"} and len(self._bad_minima()) < BAD_MINIMA:
            self._watching = False
            return self.rest()
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
        ends = [one.verdict.ends for one in held if one.verdict.ends is not None]
        if held[0].verdict.cause == "calculator" or not ends:
            reason = Counter(one.verdict.reason for one in held).most_common(1)[0][0]
            return f"it failed for all {first}: {reason}; mend it; {end}"
        known = [one for one in ends if one.difference is not None]
        calculated = np.array([np.diff(one.energies)[0] for one in known])
        expected = np.array([one.difference for one in known])
        size = float(np.median([_size(one) for one in held]))
        energies = _energies_in_words(calculated, expected, size)
        if held[0].verdict.cause == "energies":
            return f"for all {first} {energies}; {end}"
        force = np.median([one.forces.max() for one in ends])
        none = (
            f"none {first} has two minima, the force on a particle being {force:.2g} {self._unit.force} in the "
            f"median (neb.force_tolerance: {self._settings.force_tolerance:g})"
        )
        if np.abs(calculated - expected).max(initial=0.0) <= ENERGY_MISMATCH * self._unit.epsilon:
            return f"{none}; the energies are right, so run relax_minima.py, or raise the tolerance; {end}"
        return f"{none}, and {energies}; {end}"


def _size(calculation: Calculation) -> float:
    """N, as the names of the minima and the difference of their total energies give it."""
    pair, ends = calculation.job.pair, calculation.verdict.ends
    return 1.0 if ends is None or ends.difference is None else ends.difference / (pair.j - pair.i)


def _energies_in_words(calculated: np.ndarray, expected: np.ndarray, size: float) -> str:
    """How energy differences by the calculator compare to those of the minima's names or frames."""
    ratios = calculated / expected
    ratio = float(np.median(ratios))
    if not np.abs(ratios / ratio - 1).max() <= ALIKE:
        return "its energies are not those of the minima: they were made with another one, or lengths in another unit"
    factors = {**FACTORS, size: "the energy per particle for the total energy"}
    known = [name for factor, name in factors.items() for one in (factor, 1 / factor) if abs(ratio / one - 1) <= ALIKE]
    meaning = f" ({known[0]}?)" if known else ""
    return f"energy differences are {ratio:.5g} times those of the minima{meaning}: some unit is another"
