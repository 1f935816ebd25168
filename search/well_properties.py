"""Properties of a double well besides its splitting: coupling to strain and field, vibrations of both wells."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms
from scipy import constants

from glass.arrays import Array
from glass.double_well import CalculatorFailedError, Verdict, failures_named, potential_of
from glass.path import Band
from glass.response import vibrations
from glass.response.elasticity import bonds_of, coupling, orientation_averages
from glass.tunnelling import NotResolvedError, lowest_levels, reduced_hbar
from glass.two_level import symmetrised, tunnelling_action
from pipeline.formats.configurations import MinimumError, Place
from pipeline.formats.minima import read_atoms
from pipeline.formats.records import profile_of_record, read_images
from pipeline.settings import NebSettings, Settings
from pipeline.units import KELVIN
from search.calculator import MakeCalculator, load

GAMMA = ["gamma_xx", "gamma_yy", "gamma_zz", "gamma_yz", "gamma_xz", "gamma_xy"]  # ½ ∂(E_j − E_i)/∂ε
DIPOLE = ["dipole_x", "dipole_y", "dipole_z"]  # ½ Σ q Δr from i to j, in e times the unit of length

ATTEMPTS = ["attempt_frequency_i_Hz", "attempt_frequency_j_Hz"]
VIBRATIONS = ["zero_point_difference", "zero_point_by_blocks", "vibrational_entropy", *ATTEMPTS]
"""½ ħ (Σ ω_j − Σ ω_i) in the unit of energy; 1 where it is from single particles; S_j − S_i in k_B; Vineyard's ν."""

ACTION = "wkb_action"  # ∫ √(2 (V − E)) ds/ħ under the barrier of the symmetrised well
SPLITTING_ZP, AMPLITUDE_ZP = "quantum_splitting_zp", "tunnelling_amplitude_zp"  # of V + Z
STORED = [*GAMMA, *DIPOLE, *VIBRATIONS, ACTION, SPLITTING_ZP, AMPLITUDE_ZP]  # a record's ``properties``
WHOLE = 500  # number of particles up to which the whole spectrum is taken where the Hessian is known: 0.4 s
SMALL = 100  # number of particles up to which it is made of differences, 12 N force calls for two minima
DERIVED = ["gamma_l", "gamma_t", "gamma_l_eV", "gamma_t_eV", "dE_dlnV"]  # columns that follow from them


def properties_of(
    start: Atoms, end: Atoms, verdict: Verdict, make_calculator: MakeCalculator, settings: NebSettings
) -> dict[str, float]:
    """Properties of a double well, as they are stored with its record; those that can't be calculated are left out."""
    found: dict[str, float] = {}
    with suppress(CalculatorFailedError), failures_named():  # many know no strained cell; the splitting stands
        found |= zip(GAMMA, coupling(start, end, make_calculator).tolist(), strict=True)
    hbar = reduced_hbar(settings.sigma, settings.mass, settings.epsilon)
    if verdict.profile is not None:
        found[ACTION] = tunnelling_action(verdict.profile, hbar)
    if verdict.fidelity == "full" and verdict.band is not None and settings.zero_point != "never":
        with suppress(CalculatorFailedError):
            found |= _vibrations(start, verdict.band, make_calculator, settings, hbar)
    charges = start.get_initial_charges()
    if charges.any() and verdict.band is not None:
        moved = verdict.band.positions[-1] - verdict.band.positions[0]
        found |= zip(DIPOLE, (0.5 * charges @ moved).tolist(), strict=True)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _vibrations(
    start: Atoms, band: Band, make_calculator: MakeCalculator, settings: NebSettings, hbar: float
) -> dict[str, float]:
    """The columns VIBRATIONS that are worth their calls; minima are the ends of the band."""
    masses, ends = start.get_masses(), band.positions[[0, -1]]
    known = [bonds_of(_at(start, place), make_calculator(start)) for place in ends]
    if len(start) > (SMALL if known[0] is None else WHOLE) and settings.zero_point != "always":
        of_blocks = [vibrations.zero_point_of_blocks(one.particle_blocks(), masses, hbar) for one in known if one]
        difference = np.diff(of_blocks).tolist()
        return {"zero_point_difference": difference[0], "zero_point_by_blocks": 1.0} if difference else {}
    hessian, potential = hessian_of(start, make_calculator), potential_of(start, make_calculator)
    first, last = (hessian(place) for place in ends)
    low, high = (vibrations.zero_point_energy(one, masses, hbar) for one in (first, last))
    entropy = vibrations.vibrational_entropy_difference(first, last, masses)
    found = {"zero_point_difference": high - low, "zero_point_by_blocks": 0.0, "vibrational_entropy": entropy}
    saddle = vibrations.find_saddle(potential, hessian, band.positions[int(np.argmax(band.energies))])
    if saddle is not None and saddle.energy > max(band.energies[0], band.energies[-1]):
        hertz = float(np.sqrt(constants.k * settings.epsilon / settings.mass) / settings.sigma)
        for name, minimum in zip(ATTEMPTS, (first, last), strict=True):
            found[name] = hertz * vibrations.attempt_frequency(minimum, saddle.hessian, masses)
    return found


def _at(atoms: Atoms, positions: Array) -> Atoms:
    moved = atoms.copy()
    moved.positions = positions
    return moved


def hessian_of(atoms: Atoms, make_calculator: MakeCalculator) -> vibrations.Hessian:
    """Function from positions to ∂²E/∂r∂r: of soft spheres by formula, else 6N calls for forces."""
    calculator = make_calculator(atoms)
    potential = potential_of(atoms, lambda _: calculator)

    def hessian(positions: Array) -> Array:
        bonds = bonds_of(_at(atoms, positions), calculator)
        if bonds is None:
            return vibrations.hessian_by_differences(potential, positions)
        return np.asarray(bonds.hessian().toarray())

    return hessian


def splitting_with_zero_point(
    job: tuple[Path, Place, dict[str, Any]], settings: Settings, make_calculator: MakeCalculator
) -> tuple[dict[str, Any], dict[str, float] | str]:
    """Record of a double well, and its properties of V + Z, or why there are none; a job for a worker.

    The job holds the images of the path, the first minimum, and the record.
    """
    path, place, record = job
    profile, hbar = profile_of_record(record), record["hbar"]
    try:
        minimum = read_atoms(place)
        images = np.array([image.positions for image in read_images(path)])
        if len(images) != len(profile.lengths):
            return record, f"{path} has not the images of its record"
        with failures_named():
            hessian = hessian_of(minimum, load(settings.neb, make_calculator, minimum))
            added = vibrations.with_zero_point(profile, images, minimum.get_masses(), hessian, hbar)
        low, high = lowest_levels(added, hbar)
    except (MinimumError, CalculatorFailedError) as error:
        return record, str(error)
    except NotResolvedError:
        return record, "none with the zero-point energy: V + Z does not hold two states"
    found = {SPLITTING_ZP: high - low}
    with suppress(NotResolvedError):
        amplitude, _ = symmetrised(added, hbar)
        if np.isfinite(amplitude):
            found[AMPLITUDE_ZP] = amplitude
    return record, found


def add_derived(columns: pd.DataFrame, splitting: "pd.Series[float]", settings: Settings) -> pd.DataFrame:
    """The columns DERIVED beside STORED and ``level_asymmetry`` of double wells.

    dE/d ln V = (Δ/E) ⅔ tr γ, where E is lower as the glass is compressed when it is above zero; Δ has the sign of the
    lower level's well: it is above zero where that is i.
    """
    gamma = columns[GAMMA].to_numpy(float)
    longitudinal, transverse = orientation_averages(gamma)
    in_ev = settings.neb.epsilon * KELVIN
    sign = np.sign(columns["level_0_in_i"] - 0.5)
    return columns.assign(
        gamma_l=longitudinal,
        gamma_t=transverse,
        gamma_l_eV=longitudinal * in_ev,
        gamma_t_eV=transverse * in_ev,
        dE_dlnV=sign * columns["level_asymmetry"] / splitting * 2 / 3 * gamma[:, :3].sum(axis=1),
    )
