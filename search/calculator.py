"""The calculator that ``neb.calculator`` names: found, loaded once a process, and checked before the first NEB."""

import functools
import importlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import ase.units
import numpy as np
import pandas as pd
from ase import Atoms

from glass.batches import in_batches
from glass.double_well import ENERGY_MISMATCH, CalculatorFailedError, failures_named, potential_of
from pipeline.errors import UserError, short
from pipeline.formats.configurations import MinimumError, Place
from pipeline.formats.minima import read_atoms
from pipeline.settings import NebSettings, Settings

_FEWEST = 3  # minimum number of minima that must all fail, or all be unrelaxed, before the calculator is blamed

_ALIKE = 0.01
"""Relative residual, over all minima, below which calculated energies count as a multiple of the known ones."""

_OFF = 0.05  # deviation of that factor from 1 above which the energies are in another unit

_FACTORS = {
    ase.units.Hartree: "hartree for eV",
    ase.units.Rydberg: "rydberg for eV",
    ase.units.mol / ase.units.kcal: "eV for kcal/mol",
    ase.units.mol / ase.units.kJ: "eV for kJ/mol",
    1 / ase.units.kB: "eV for kelvin",
    1000.0: "a thousand",
}
"""Ratios of energy units, either way round."""

_LOADED: dict[tuple[str | None, bool], Any] = {}
"""Calculators that this process has called, by name and whether they are shared; those that are not are not kept."""


@dataclass(frozen=True)
class NamedCalculator:
    """The function that ``neb.calculator`` names, in ``root`` or installed: imported by its name in each process."""

    name: str
    root: Path
    batch_size: int | None = None  # with ``neb.batched``

    def __call__(self, atoms: Atoms) -> Any:
        """Calculator for these atoms."""
        calculator = self.find()(atoms)
        if self.batch_size is not None:
            calculator = in_batches(calculator, self.batch_size)
        if not hasattr(calculator, "calculate"):
            raise TypeError(f"{self.name} returned no ASE calculator but {short(repr(calculator))}")
        if not (self.name.startswith("glass.") or hasattr(calculator.calculate, "__wrapped__")):
            calculator.calculate = _in_own_folder(calculator.calculate)
        return calculator

    def find(self) -> Callable[[Atoms], Any]:
        """Import the function; UserError if there is no such module or function."""
        module, function = self.name.split(":")
        if str(self.root) not in sys.path:
            sys.path.append(str(self.root))
        try:
            found: Callable[[Atoms], Any] = getattr(importlib.import_module(module), function)
            problem = "" if callable(found) else f"{function} is no function"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a user's module raises anything
            problem = f"{type(error).__name__}: {short(error)}"
        if problem:
            raise UserError(
                f"config.yaml: neb.calculator = {self.name}: {problem}; "
                f"name it module:function, the module in {self.root} or installed"
            )
        return found


@functools.cache
def _own_folder(process: int) -> tempfile.TemporaryDirectory[str]:
    """Folder of a process, where calculators that work by files write theirs."""
    return tempfile.TemporaryDirectory(prefix=f"calculator-{process}-")


def _in_own_folder(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inside(*args: Any, **named: Any) -> Any:
        before = os.getcwd()
        os.chdir(_own_folder(os.getpid()).name)
        try:
            return function(*args, **named)
        finally:
            os.chdir(before)

    return inside


def find_calculator(neb: NebSettings, root: Path) -> NamedCalculator:
    """The function that ``neb.calculator`` names, which only workers import (it may load a GPU); UserError if none."""
    if neb.calculator is None:
        raise UserError(
            "config.yaml: neb.calculator is not set, and units: metal have no default, as the soft spheres know no eV; "
            f"name it module:function, the module in {root} or installed"
        )
    return NamedCalculator(neb.calculator, root.resolve(), neb.batch_size if neb.batched else None)


def load(settings: NebSettings, make_calculator: Callable[[Atoms], Any], atoms: Atoms) -> Callable[[Atoms], Any]:
    """What makes calculators, after one was made and called in this process, to load or compile it.

    That is no cost of any pair. With ``neb.shared`` or ``batched`` always the same calculator is handed out.
    """
    shared = settings.shared or settings.batched
    name = settings.calculator, shared
    if name not in _LOADED:
        if isinstance(make_calculator, NamedCalculator):
            make_calculator.find()  # a UserError where it is not there
        with failures_named():
            calculator = make_calculator(atoms)
        potential_of(atoms, lambda _: calculator)(atoms.positions)
        _LOADED[name] = calculator if shared else None
    return (lambda _: _LOADED[name]) if shared else make_calculator


class KnownMinimum(NamedTuple):
    """A minimum, and its energy per particle by the file's name or frame."""

    conf: int
    place: Place
    energy: float


class Check(NamedTuple):
    """Total energy at a minimum and largest force on a particle by the calculator, or why it gave neither."""

    minimum: KnownMinimum
    particles: int = 0
    energy: float = np.nan
    force: float = np.nan
    failure: str = ""


def check_minimum(minimum: KnownMinimum, settings: Settings, make_calculator: Callable[[Atoms], Any]) -> Check | None:
    """Call the calculator at a minimum; a job for a worker. None where the minimum can't be read."""
    try:
        atoms = read_atoms(minimum.place)
        energy, forces = potential_of(atoms, load(settings.neb, make_calculator, atoms))(atoms.positions)
    except MinimumError:
        return None  # its pairs are unfinished for this reason
    except CalculatorFailedError as error:
        return Check(minimum, failure=str(error))
    return Check(minimum, len(atoms), energy, float(np.linalg.norm(forces, axis=1).max()))


def check_calculator(checks: Sequence[Check | None], settings: Settings) -> None:
    """Raise UserError if the calculator failed at all minima, its energies are off by a factor, or none is relaxed.

    Pairs of single minima that are wrong are unfinished, each for its own reason.
    """
    all_checked = [one for one in checks if one is not None]
    worked = [one for one in all_checked if not one.failure]
    problem = None
    if not worked and len(all_checked) >= _FEWEST:
        reason = Counter(one.failure for one in all_checked).most_common(1)[0][0]
        problem = f"it failed at all {len(all_checked)} minima tried: {reason}; mend it"
    elif (factor := _energy_factor(worked)) is not None:
        known = {**_FACTORS, float(worked[0].particles): "the energy per particle for the total energy"}
        meant = [unit for one, unit in known.items() if min(abs(factor / one - 1), abs(factor * one - 1)) <= _ALIKE]
        meaning = f" ({meant[0]}?)" if meant else ""
        problem = f"energies are {factor:.5g} times those of the minima{meaning}: some unit is another"
    elif len(worked) >= _FEWEST:
        problem = _wrong_at_all(worked, settings)
    if problem:
        raise UserError(f"config.yaml: neb.calculator = {settings.neb.calculator}: {problem}; nothing was calculated")


def _energy_factor(checks: Sequence[Check]) -> float | None:
    """Factor between calculated and known energies of the minima; None where it is 1, or there is none."""
    calculated, known, free = _relative_energies(checks)
    if free < 2:  # not enough differences to tell: also from zero, where another calculator may not count from
        calculated = np.append(calculated, [one.energy for one in checks])
        known = np.append(known, [one.particles * one.minimum.energy for one in checks])
    if not known.any():
        return None
    factor = float(calculated @ known / (known @ known))
    residual = np.linalg.norm(calculated - factor * known)
    return factor if residual <= _ALIKE * np.linalg.norm(calculated) and abs(factor - 1) > _OFF else None


def _relative_energies(checks: Sequence[Check]) -> tuple[np.ndarray, np.ndarray, int]:
    """Calculated and known total energies less their medians in each glass, and how many are independent.

    A calculator may count energies from elsewhere.
    """
    rows = [(one.minimum.conf, one.energy, one.particles * one.minimum.energy) for one in checks]
    table = pd.DataFrame(rows, columns=["conf", "calculated", "known"], dtype=float)
    glasses = table.groupby("conf")
    apart = table[["calculated", "known"]] - glasses[["calculated", "known"]].transform("median")
    return apart["calculated"].to_numpy(), apart["known"].to_numpy(), len(table) - glasses.ngroups


def _wrong_at_all(checks: Sequence[Check], settings: Settings) -> str | None:
    """Message where a force acts at every minimum, or no energy is that of its minimum; else None."""
    calculated, known, free = _relative_energies(checks)
    right = np.abs(calculated - known) <= ENERGY_MISMATCH * settings.unit.epsilon
    agreeing = pd.Series(right).groupby([one.minimum.conf for one in checks]).sum()  # the median agrees with itself
    energies = "its energies are not those of the minima: another one made them, or lengths are in another unit"
    if all(one.force <= settings.neb.force_tolerance for one in checks):
        return energies if free >= 2 and (agreeing <= 1).all() else None
    if any(one.force <= settings.neb.force_tolerance for one in checks):
        return None
    force = np.median([one.force for one in checks])
    found = (
        f"none of {len(checks)} minima is one, the force on a particle being {force:.2g} {settings.unit.force} in the "
        f"median (neb.force_tolerance: {settings.neb.force_tolerance:g})"
    )
    if not right.all():
        return f"{found}, and {energies}"
    return f"{found}; the energies are right, so run relax_minima.py, or raise the tolerance"
