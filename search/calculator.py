"""The calculator that ``neb.calculator`` names: found, loaded once a process, and checked before the first NEB."""

import functools
import importlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

MakeCalculator = Callable[[Atoms], Any]  # a function that makes an ASE calculator for atoms

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

_NOISE_OVER, _NOISE_ALLOWED = 0.02, 0.1
"""Length over all 3N coordinates on which noise is measured, σ; steps of the energy that go without a word, in
``tls_threshold``."""

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
            calculator.calculate = _in_own_folder()(calculator.calculate)
        return calculator

    def find(self) -> MakeCalculator:
        """Import the function; UserError if there is no such module or function."""
        module, function = self.name.split(":")
        if str(self.root) not in sys.path:
            sys.path.append(str(self.root))
        try:
            found: MakeCalculator = getattr(importlib.import_module(module), function)
            if callable(found):
                return found
            problem = f"{function} is no function"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a user's module raises anything
            problem = f"{type(error).__name__}: {short(error)}"
        raise UserError(
            f"config.yaml: neb.calculator = {self.name}: {problem}; "
            f"name it module:function, the module in {self.root} or installed"
        )


@functools.cache
def _own_folder(process: int) -> tempfile.TemporaryDirectory[str]:
    """Folder of a process, where calculators that work by files write theirs."""
    return tempfile.TemporaryDirectory(prefix=f"calculator-{process}-")


@contextmanager
def _in_own_folder() -> Iterator[None]:
    before = os.getcwd()
    os.chdir(_own_folder(os.getpid()).name)
    try:
        yield
    finally:
        os.chdir(before)


def find_calculator(neb: NebSettings, root: Path) -> NamedCalculator:
    """The function that ``neb.calculator`` names, which only workers import (it may load a GPU); UserError if none."""
    if neb.calculator is None:
        raise UserError(
            "config.yaml: neb.calculator is not set, and units: metal have no default, as the soft spheres know no eV; "
            f"name it module:function, the module in {root} or installed"
        )
    return NamedCalculator(neb.calculator, root.resolve(), neb.batch_size if neb.batched else None)


def load(settings: NebSettings, make_calculator: MakeCalculator, atoms: Atoms) -> MakeCalculator:
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


def check_minimum(
    job: tuple[int, Place, float], settings: Settings, make_calculator: MakeCalculator
) -> dict[str, float] | str | None:
    """Call the calculator at a minimum of a glass, of this energy per particle by its file's name or frame; a job.

    Total energies, calculated and known, and the largest force on a particle; or why there are none; None where the
    minimum can't be read.
    """
    conf, place, energy_of_file = job
    try:
        atoms = read_atoms(place)
        energy, forces = potential_of(atoms, load(settings.neb, make_calculator, atoms))(atoms.positions)
    except MinimumError:
        return None  # its pairs are unfinished for this reason
    except CalculatorFailedError as error:
        return str(error)
    energies = {"energy": energy, "known": len(atoms) * energy_of_file}
    force = float(np.linalg.norm(forces, axis=1).max())
    return {"conf": conf, "particles": len(atoms), **energies, "force": force}


def check_calculator(checks: Sequence[dict[str, float] | str | None], settings: Settings) -> None:
    """Raise UserError if the calculator failed at all minima, its energies are off by a factor, or none is relaxed.

    Pairs of single minima that are wrong are unfinished, each for its own reason.
    """
    worked, reasons = [one for one in checks if isinstance(one, dict)], [one for one in checks if isinstance(one, str)]
    problem = _wrong_at_all(pd.DataFrame(worked), settings) if worked else None
    if not worked and len(reasons) >= _FEWEST:
        reason = Counter(reasons).most_common(1)[0][0]
        problem = f"it failed at all {len(reasons)} minima tried: {reason}; mend it"
    if problem:
        raise UserError(f"config.yaml: neb.calculator = {settings.neb.calculator}: {problem}; nothing was calculated")


def _wrong_at_all(checks: pd.DataFrame, settings: Settings) -> str | None:
    """Fault of all energies, or of all forces, in words; ``checks``: a row for each minimum."""
    totals, glasses = checks[["energy", "known"]], checks.groupby("conf")
    apart = totals - glasses[["energy", "known"]].transform("median")  # a calculator may count from elsewhere
    free = len(checks) - glasses.ngroups
    compared = apart if free > 1 else pd.concat([apart, totals])  # too few differences to tell: also from zero
    calculated, known = compared.to_numpy().T
    factor = float(calculated @ known / (known @ known)) if known.any() else 1.0
    residual = np.linalg.norm(calculated - factor * known)
    if residual <= _ALIKE * np.linalg.norm(calculated) and abs(factor - 1) > _OFF:
        units = {**_FACTORS, float(checks["particles"].iloc[0]): "the energy per particle for the total energy"}
        meant = [unit for one, unit in units.items() if min(abs(factor / one - 1), abs(factor * one - 1)) <= _ALIKE]
        meaning = f" ({meant[0]}?)" if meant else ""
        return f"energies are {factor:.5g} times those of the minima{meaning}: some unit is another"
    is_right = (apart["energy"] - apart["known"]).abs() <= ENERGY_MISMATCH * settings.unit.epsilon
    is_minimum = checks["force"] <= settings.neb.force_tolerance
    energies = "its energies are not those of the minima: another one made them, or lengths are in another unit"
    if len(checks) < _FEWEST or is_minimum.any():
        agreeing = is_right.groupby(checks["conf"]).sum()  # the median agrees with itself
        return energies if len(checks) >= _FEWEST and is_minimum.all() and free > 1 and agreeing.max() <= 1 else None
    found = (
        f"none of {len(checks)} minima is one, the force on a particle being {checks['force'].median():.2g} "
        f"{settings.unit.force} in the median (neb.force_tolerance: {settings.neb.force_tolerance:g})"
    )
    if not is_right.all():
        return f"{found}, and {energies}"
    return f"{found}; the energies are right, so run relax_minima.py, or raise the tolerance"


def noise_in_words(place: Place, settings: Settings, make_calculator: MakeCalculator) -> list[str]:
    """What a user should know of a calculator's noise, a sentence each; a job for a worker.

    Deviations of its energies and forces from polynomials of fourth degree along a random direction. Nothing where they
    are small, it fails or the minimum can't be read.
    """
    try:
        atoms = read_atoms(place)
        potential = potential_of(atoms, load(settings.neb, make_calculator, atoms))
        way = np.random.default_rng(0).normal(size=atoms.positions.shape)
        way *= _NOISE_OVER * settings.unit.sigma / np.linalg.norm(way)
        along = np.append(np.sin(np.linspace(-1.5, 1.5, 9)), 0)  # no even steps, which rounding may fit
        energies, forces = map(np.array, zip(*(potential(atoms.positions + s * way) for s in along), strict=True))
    except (MinimumError, CalculatorFailedError):
        return []
    repeats = energies[4] == energies[9] and (forces[4] == forces[9]).all()
    values = np.column_stack([energies, forces.reshape(10, -1)])
    values -= values[0]
    powers = np.vander(along, 5)
    off = values - powers @ np.linalg.lstsq(powers, values)[0]
    scatter = np.linalg.norm(off[:, 1:].reshape(10, -1, 3), axis=2).max()
    step = (12 * (off[:, 0] ** 2).sum() / 5) ** 0.5  # √12 rms
    cause = "single precision?" if repeats else "two calls at one place differ"
    name, unit, said = f"note: neb.calculator = {settings.neb.calculator}", settings.unit, []
    if scatter > 0.5 * settings.neb.force_tolerance:
        said.append(
            f"{name}: its forces scatter by {scatter:.2g} {unit.force} ({cause}): nothing converges to "
            f"neb.force_tolerance = {settings.neb.force_tolerance:g}; set it to {5 * scatter:.1g}"
        )
    if step > _NOISE_ALLOWED * settings.tls_threshold:
        said.append(
            f"{name}: its energies come in steps of {step:.2g} {unit.energy}, {step / settings.tls_threshold:.2g} of "
            f"tls_threshold ({cause}): with no tolerance can splittings near that be trusted; take double precision"
        )
    return said
