"""What is calculated of a double well besides its splitting: its coupling to strain and to an electric field."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms

from glass.double_well import CalculatorFailedError, Verdict, failures_named
from glass.strain import coupling, orientation_averages
from pipeline.settings import Settings
from pipeline.units import KELVIN

GAMMA = ["gamma_xx", "gamma_yy", "gamma_zz", "gamma_yz", "gamma_xz", "gamma_xy"]
"""½ ∂(E_j − E_i)/∂ε, in the unit of energy."""

DIPOLE = ["dipole_x", "dipole_y", "dipole_z"]
"""½ Σ q Δr from i to j, in e times the unit of length."""

STORED = [*GAMMA, *DIPOLE]
"""Entries of a record's ``properties``, and columns of ``double_wells.csv``."""

DERIVED = ["gamma_l", "gamma_t", "gamma_l_eV", "gamma_t_eV", "dE_dlnV"]
"""Columns that follow from them."""


def properties_of(
    start: Atoms, end: Atoms, verdict: Verdict, make_calculator: Callable[[Atoms], Any]
) -> dict[str, float]:
    """Properties of a double well, as they are stored with its record; those that can't be calculated are left out.

    Parameters
    ----------
    start, end : Atoms
        The two minima in the units of the workspace.
    verdict : Verdict
        That they are a double well; in the same units.
    make_calculator : callable
        What makes calculators in these units.
    """
    found: dict[str, float] = {}
    try:
        with failures_named():
            found |= zip(GAMMA, coupling(start, end, make_calculator).tolist(), strict=True)
    except CalculatorFailedError:
        pass  # strained cells are more than many calculators are made for; the splitting stands
    charges = start.get_initial_charges()
    if charges.any() and verdict.band is not None:
        moved = verdict.band.positions[-1] - verdict.band.positions[0]
        found |= zip(DIPOLE, (0.5 * charges @ moved).tolist(), strict=True)
    return {name: value for name, value in found.items() if np.isfinite(value)}


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
