"""From the double wells of one temperature to what a laboratory measures, with bands: ``observables.csv``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms
from scipy import constants

from glass.arrays import Array
from glass.double_well import CalculatorFailedError, potential_of
from glass.relaxation import relax
from glass.response import thermal
from glass.response.elasticity import sound
from pipeline.errors import UserError
from pipeline.formats.configurations import Place
from pipeline.formats.minima import read_atoms
from pipeline.matching import lowest_minimum
from pipeline.messages import counted
from pipeline.settings import Settings
from pipeline.workspace import QS, StatePoint
from search.calculated import read_double_wells
from search.calculator import MakeCalculator
from search.rearrangements import REARRANGEMENT
from search.well_properties import ACTION, ATTEMPTS

SOUNDED = 5  # number of glasses whose lowest minima give the sound velocities
CURVES_END = 5.0  # splittings over kT that a list must reach: 85 % of a heat capacity are below E = 5 kT
POINTS = 30  # temperatures of a curve, from a fiftieth of the highest on
REPLICAS = 400  # glasses drawn with replacement, and with each of them a Poisson number of each of its double wells
BAND = (0.16, 0.84)  # quantiles of the replicas that a band shows
TOO_LARGE = 0.05  # Q⁻¹ above which a sum over TLS is no loss any more: a wave would not ring

EDGES = {"tunnelling amplitude": np.arange(-12.0, 0.25, 0.5), "action": np.arange(0.0, 30.5, 1.0)}
"""Edges of the bins of the distributions of log₁₀ Δ₀ (in ε) and of λ."""


@dataclass(frozen=True)
class Tls:
    """Distinct double wells of one temperature, in SI units: arrays of shape (n,)."""

    glass: Array  # number of the glass among those searched
    splitting: Array
    amplitude: Array  # NaN where it is not known
    longitudinal: Array
    transverse: Array
    barriers: tuple[Array, Array]
    attempts: tuple[Array, Array]  # Hz, 0 where they are not known
    action: Array

    @property
    def coupled(self) -> int:
        """Number of those whose Δ₀ and coupling to strain are both known."""
        return int(np.isfinite(self.amplitude * self.longitudinal).sum())


def lowest_minima(at: StatePoint) -> list[Place]:
    """The lowest minimum of each of the glasses that give the sound velocities."""
    found = (lowest_minimum(at, conf) for conf in list(at.glasses)[:SOUNDED])
    return [one.place for one in found if one is not None]


def medium_of(at: StatePoint, settings: Settings, make_calculator: MakeCalculator | None) -> thermal.Medium:
    """Density and sound velocities in SI units: from the settings, else from minima; UserError where neither does."""
    given, neb = settings.observables, settings.neb
    known = [one for one in (given.density, given.longitudinal, given.transverse) if one is not None]
    if len(known) == 3:
        return thermal.Medium(known[0], known[1], known[2], constants.hbar)
    three = "density, longitudinal and transverse"
    if make_calculator is None:
        said = f"neither neb.calculator nor observables.{three} are set; give the three in kg/m³ and m/s"
        raise UserError(f"config.yaml: {said}")
    if known:
        raise UserError(f"config.yaml: observables gives some of {three}; give all three, or none")

    def relaxed(atoms: Atoms) -> Atoms:
        moved = atoms.copy()
        moved.positions = relax(potential_of(atoms, make_calculator), atoms.positions, neb.force_tolerance).positions
        return moved

    found, reason = [], "no minimum that can be read"
    for place in lowest_minima(at):
        try:
            found.append(sound(read_atoms(place), make_calculator, relaxed))
        except (ValueError, CalculatorFailedError) as error:  # MinimumError is a ValueError
            reason = str(error)
    if not found:
        raise UserError(f"{at.minima}: no sound velocities: {reason}; give observables.density and both in config.yaml")
    velocity = np.sqrt(constants.k * neb.epsilon / neb.mass)
    mass, along, across = np.mean(found, axis=0).tolist()
    return thermal.Medium(mass * neb.mass / neb.sigma**3, along * velocity, across * velocity, constants.hbar)


def tls_of(at: StatePoint, settings: Settings, volumes: "pd.Series[float]") -> Tls:
    """The double wells that are distinct and lie in a glass that was searched, of each rearrangement the smallest."""
    wells = read_double_wells(at).sort_values(QS, kind="stable")
    wells = wells[wells["conf"].isin(volumes.index)]
    if wells.empty:
        of = "no double well is in a glass with minima and a volume, which films and wires have not"
        raise UserError(f"{at.double_wells}: {of}; put the minima back")
    wells = wells[(wells[REARRANGEMENT] == 0) | ~wells.duplicated(["conf", REARRANGEMENT])]
    wells = wells.assign(tunnelling_amplitude=np.minimum(wells["tunnelling_amplitude"], wells[QS]))
    energies = [QS, "tunnelling_amplitude", "gamma_l", "gamma_t", "barrier", "barrier_back"]
    joule = constants.k * settings.neb.epsilon
    splitting, amplitude, along, across, barrier, back = joule * wells[energies].to_numpy().T
    attempts, action = wells[ATTEMPTS].fillna(0).to_numpy().T, wells[ACTION].to_numpy()
    glass = volumes.index.get_indexer(wells["conf"])
    return Tls(glass, splitting, amplitude, along, across, (barrier, back), (attempts[0], attempts[1]), action)


def complete_below(settings: Settings) -> float:
    """Splitting in the unit of energy up to which the double wells found are taken for all."""
    if settings.observables.complete_below is not None:
        return settings.observables.complete_below
    return min(settings.neb.refine_below * settings.tls_threshold, settings.classify.max_delta_E)


class _Curves:
    """Sums over TLS per volume (m³), of the glasses as they are and of replicas, and the table of all curves so far."""

    def __init__(self, tls: Tls, volumes: Array, kT: Array, seed: int) -> None:
        rng, glasses = np.random.default_rng(seed), len(volumes)
        times = rng.multinomial(glasses, np.full(glasses, 1 / glasses), REPLICAS).T
        drawn = rng.poisson(times[tls.glass.astype(int)])
        self._weights = np.concatenate([np.ones((len(tls.glass), 1)), drawn], axis=1)
        self._volumes = np.concatenate([[volumes.sum()], volumes @ times])
        self._kelvin = kT / constants.k
        self.rows: list[pd.DataFrame] = []

    def per_volume(self, each: Array) -> Array:
        """Σ of what each adds (…, n), over the volume, shape (…, 1 + REPLICAS); NaN adds nothing."""
        return np.asarray(np.nan_to_num(each) @ self._weights / self._volumes)

    def add(
        self, quantity: str, values: Array, unit: str, x: Array | None = None, axis: str = "T (K)", **more: Any
    ) -> None:
        """A quantity at the places x, the temperatures by default, with the quantiles BAND of its replicas."""
        low, high = np.quantile(values[:, 1:], BAND, axis=1)
        columns = {"quantity": quantity, "x": self._kelvin if x is None else x, "axis": axis, "frequency_Hz": np.nan}
        columns |= {"warning": "", "value": values[:, 0], "low": low, "high": high, "unit": unit}
        self.rows.append(pd.DataFrame({**columns, **more}))

    def add_loss(self, kind: str, loss: Array, frequency: float, also: Any = "") -> None:
        """A loss, which can't be large; ``also``: what else to warn of, behind a semicolon."""
        large = np.where(loss[:, 0] > TOO_LARGE, f"above {TOO_LARGE:g}: too large to be a loss", "")
        warning = pd.Series(large + also).str.removeprefix("; ")
        self.add(f"internal friction, {kind}", loss, "", frequency_Hz=frequency, warning=warning)


def observables(tls: Tls, volumes: Array, medium: thermal.Medium | None, settings: Settings, seed: int) -> pd.DataFrame:
    """All observables of one temperature, volumes in m³; without a medium those that need no coupling to strain."""
    joule, length, unit = constants.k * settings.neb.epsilon, settings.neb.sigma, settings.unit
    window = joule * complete_below(settings)
    kT = np.geomspace(0.02, 1, POINTS) * window / CURVES_END
    curves = _Curves(tls, volumes, kT, seed)
    capacity = curves.per_volume(thermal.heat_capacity(tls.splitting, kT))
    curves.add("heat capacity", constants.k * capacity, "J K⁻¹ m⁻³")
    if medium:
        _add_coupled(curves, tls, medium, kT, window, settings.observables.frequencies)
    with np.errstate(divide="ignore"):
        decades = np.log10(tls.amplitude / joule).round(6)  # 1e-12 ε means at most that, and lies in no bin
    for name, axis, values in (
        ("tunnelling amplitude", f"log₁₀ Δ₀ ({unit.energy})", decades),
        ("action", "λ", tls.action),
    ):
        edges = EDGES[name]
        inside = (values > edges[:-1, None]) & (values <= edges[1:, None])
        found, outside = curves.per_volume(inside / np.diff(edges)[:, None]), int((~inside.any(axis=0)).sum())
        said = f"{outside} of {len(values)} in no bin: smaller, larger or not known" if outside else ""
        centres = 0.5 * (edges[1:] + edges[:-1])
        curves.add(f"distribution of the {name}", found, "m⁻³", centres, axis, warning=said)
    time = length * np.sqrt(settings.neb.mass / joule)
    sizes = {  # units of the workspace, in those of SI
        "J K⁻¹ m⁻³": (f"k_B {unit.length}⁻³", constants.k / length**3),
        "W m⁻¹ K⁻¹": (f"k_B {unit.length}⁻¹ t⁻¹", constants.k / (length * time)),
        "J⁻¹ m⁻³": (f"{unit.energy}⁻¹ {unit.length}⁻³", 1 / (joule * length**3)),
        "m⁻³": (f"{unit.length}⁻³", 1 / length**3),
        "": ("", 1.0),
    }
    table = pd.concat(curves.rows, ignore_index=True)
    names, values = (table["unit"].map({si: of[k] for si, of in sizes.items()}) for k in (0, 1))
    return table.assign(value_workspace=table["value"] / values, unit_workspace=names)


def _add_coupled(
    curves: _Curves, tls: Tls, medium: thermal.Medium, kT: Array, window: float, frequencies: list[float]
) -> None:
    """P̄, the tunnelling strengths, and what they make of resonant loss and the conductivity; loss by relaxation."""
    kelvin, axis = np.array([window / constants.k]), "E below (K)"
    each = thermal.tunnelling_weight(tls.splitting, tls.amplitude, window)
    curves.add("P", curves.per_volume(each)[None], "J⁻¹ m⁻³", kelvin, axis)
    waves = {  # coupling, modulus
        "longitudinal": (tls.longitudinal, medium.density * medium.longitudinal**2),
        "transverse": (tls.transverse, medium.density * medium.transverse**2),
    }
    strengths = {name: curves.per_volume(each * gamma**2) for name, (gamma, _) in waves.items()}
    for name, (_, modulus) in waves.items():
        strength = strengths[name] / modulus
        curves.add(f"tunnelling strength, {name}", strength[None], "", kelvin, axis)
        for frequency in frequencies:
            loss = thermal.resonant_loss(strength, 2 * np.pi * frequency, medium.hbar, kT)
            curves.add_loss(f"resonant, {name}", loss, frequency)
    along, across = strengths.values()
    with np.errstate(divide="ignore"):
        resistance = 1 / (constants.k * thermal.thermal_conductivity(along, across, medium, kT))
        curves.add("thermal conductivity", resistance, "W m⁻¹ K⁻¹")
        rows = curves.rows[-1]  # infinite where no TLS scatters
        rows[["value", "low", "high"]] = 1 / rows[["value", "high", "low"]].to_numpy()
    phonon = thermal.one_phonon_rate(tls.splitting, tls.amplitude, tls.longitudinal, tls.transverse, medium, kT)
    both = phonon + thermal.activated_rate(tls.attempts, tls.barriers, kT)
    known = np.concatenate([nu[nu > 0] for nu in tls.attempts])
    classical = medium.hbar * (2 * np.pi * float(np.median(known))) if len(known) else 0.0  # ħω
    said = f"; classical prefactor below ħω/k = {classical / constants.k:.0f} K"
    ways = {"one phonon": (phonon, ""), "with activation": (both, np.where(kT < classical, said, ""))}
    for name, (gamma, modulus) in waves.items():
        for frequency in frequencies:
            for way, (rates, also) in ways.items():
                of = (gamma, rates, modulus, 2 * np.pi * frequency, kT)
                loss = curves.per_volume(thermal.relaxation_loss(tls.splitting, tls.amplitude, *of))
                curves.add_loss(f"{way}, {name}", loss, frequency, also)


def observables_in_words(table: pd.DataFrame, medium: thermal.Medium | None, tls: Tls, settings: Settings) -> list[str]:
    """The numbers that are quoted: sound, P̄, tunnelling strengths, and the values at the highest temperature."""

    def told(quantity: str, frequency: float | None = None) -> tuple[str, float]:
        rows = table[table["quantity"] == quantity]
        row = (rows if frequency is None else rows[rows["frequency_Hz"] == frequency]).iloc[-1]
        return f"{row['value']:.3g} ({row['low']:.2g} to {row['high']:.2g}) {row['unit']}".strip(), row["x"]

    known = f"{counted(len(tls.splitting), 'distinct double well')}, Δ₀ and coupling to strain known of {tls.coupled}"
    capacity, highest = told("heat capacity")
    if medium is None:
        said = f"at {highest:.2g} K: C/V = {capacity}; for the rest the coupling is needed: run_neb.py --refine 50"
        return [known, said]
    (density, below), (strength, _) = told("P"), told("tunnelling strength, transverse")
    frequency = settings.observables.frequencies[0]
    loss, _ = told("internal friction, one phonon, transverse", frequency)
    conductivity = f"κ = {told('thermal conductivity')[0]}; "
    strengths = f"P̄ = {density} below {below:.3g} K; tunnelling strength C_t = {strength}"
    if conductivity.startswith("κ = inf"):
        conductivity = ""
        strengths = f"no TLS below {below:.3g} K with known Δ₀ and coupling: P̄ = {density}, no C_t, no κ"
    lines = [
        f"density {medium.density:.0f} kg/m³, sound {medium.longitudinal:.0f} and {medium.transverse:.0f} m/s; {known}",
        strengths,
        f"at {highest:.2g} K: C/V = {capacity}; {conductivity}Q⁻¹ ({frequency:g} Hz, transverse, one phonon) = {loss}",
    ]
    warnings = table.loc[table["frequency_Hz"].notna(), "warning"].unique()
    return [*lines, *(f"warning: internal friction: {one}" for one in warnings if one and "; " not in one)]
