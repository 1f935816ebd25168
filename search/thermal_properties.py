"""From the double wells of one temperature to what a laboratory measures, with bands: ``observables.csv``."""

from collections.abc import Callable, Iterator
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
from pipeline.files import file_digest
from pipeline.formats.configurations import Place
from pipeline.formats.minima import read_atoms
from pipeline.matching import lowest_minimum
from pipeline.messages import counted
from pipeline.settings import Settings
from pipeline.workspace import QS, StatePoint
from search.calculated import read_double_wells
from search.density import glass_volumes
from search.rearrangements import REARRANGEMENT

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


Sums = Callable[[Array], Array]
"""Σ over TLS of what each adds (…, n), over the volume, shape (…, 1 + REPLICAS); NaN adds nothing."""


def lowest_minima(at: StatePoint) -> list[Place]:
    """The lowest minimum of each of the glasses that give the sound velocities."""
    found = (lowest_minimum(at, conf) for conf in list(at.glasses)[:SOUNDED])
    return [one.place for one in found if one is not None]


def medium_of(at: StatePoint, settings: Settings, make_calculator: Callable[[Atoms], Any] | None) -> thermal.Medium:
    """Density and sound velocities in SI units: from the settings, else from minima; UserError where neither does."""
    given = settings.observables
    density, longitudinal, transverse = given.density, given.longitudinal, given.transverse
    if density is not None and longitudinal is not None and transverse is not None:
        return thermal.Medium(density, longitudinal, transverse, constants.hbar)
    three = "density, longitudinal and transverse"
    if make_calculator is None:
        said = f"neither neb.calculator nor observables.{three} are set; give the three in kg/m³ and m/s"
        raise UserError(f"config.yaml: {said}")
    if (density, longitudinal, transverse) != (None, None, None):
        raise UserError(f"config.yaml: observables gives some of {three}; give all three, or none")
    neb = settings.neb

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
    unknown = wells[REARRANGEMENT] == 0
    wells = wells[unknown | ~wells.duplicated(["conf", REARRANGEMENT])]
    joule = constants.k * settings.neb.epsilon
    amplitude = np.minimum(wells["tunnelling_amplitude"].to_numpy(float), wells[QS].to_numpy(float))
    return Tls(
        volumes.index.get_indexer(wells["conf"]),
        joule * wells[QS].to_numpy(float),
        joule * amplitude,
        joule * wells["gamma_l"].to_numpy(float),
        joule * wells["gamma_t"].to_numpy(float),
        (joule * wells["barrier"].to_numpy(float), joule * wells["barrier_back"].to_numpy(float)),
        tuple(wells[f"attempt_frequency_{name}_Hz"].fillna(0).to_numpy(float) for name in "ij"),
        wells["wkb_action"].to_numpy(float),
    )


def sums_of_replicas(tls: Tls, volumes: Array, seed: int) -> Sums:
    """Sums over TLS per volume (m³), of the glasses as they are and of replicas."""
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(volumes), np.full(len(volumes), 1 / len(volumes)), REPLICAS).T
    drawn = rng.poisson(times[tls.glass.astype(int)])
    weights = np.concatenate([np.ones((len(tls.glass), 1)), drawn], axis=1)
    total = np.concatenate([[volumes.sum()], volumes @ times])
    return lambda each: np.asarray(np.nan_to_num(each) @ weights / total)


def observables(tls: Tls, volumes: Array, medium: thermal.Medium | None, settings: Settings, seed: int) -> pd.DataFrame:
    """All observables of one temperature, volumes in m³; without a medium those that need no coupling to strain."""
    per_volume, joule = sums_of_replicas(tls, volumes, seed), constants.k * settings.neb.epsilon
    complete = joule * complete_below(settings)
    kT = np.geomspace(0.02, 1, POINTS) * complete / CURVES_END
    capacity = constants.k * per_volume(thermal.heat_capacity(tls.splitting, kT))
    rows = [_rows("heat capacity", kT / constants.k, "T (K)", capacity, "J K⁻¹ m⁻³")]
    if medium:
        rows += _strength(tls, per_volume, medium, kT, complete, settings)
        rows += _losses(tls, per_volume, medium, kT, settings)
    length, unit = settings.neb.sigma, settings.unit
    time = length * np.sqrt(settings.neb.mass / joule)
    sizes = {  # units of the workspace, in those of SI
        "J K⁻¹ m⁻³": (f"k_B {unit.length}⁻³", constants.k / length**3),
        "W m⁻¹ K⁻¹": (f"k_B {unit.length}⁻¹ t⁻¹", constants.k / (length * time)),
        "J⁻¹ m⁻³": (f"{unit.energy}⁻¹ {unit.length}⁻³", 1 / (joule * length**3)),
        "m⁻³": (f"{unit.length}⁻³", 1 / length**3),
        "": ("", 1.0),
    }
    table = pd.concat([*rows, *_distributions(tls, per_volume, joule, unit.energy)], ignore_index=True)
    names, values = (table["unit"].map({si: of[k] for si, of in sizes.items()}) for k in (0, 1))
    return table.assign(value_workspace=table["value"] / values, unit_workspace=names)


def complete_below(settings: Settings) -> float:
    """Splitting in the unit of energy up to which the double wells found are taken for all."""
    if settings.observables.complete_below is not None:
        return settings.observables.complete_below
    return min(settings.neb.refine_below * settings.tls_threshold, settings.classify.max_delta_E)


def _rows(
    quantity: str, x: Array, axis: str, values: Array, unit: str, frequency: float = np.nan, warning: Any = ""
) -> pd.DataFrame:
    """A quantity at the places x, with the quantiles BAND of its replicas; values of shape (n, 1 + REPLICAS)."""
    low, high = np.quantile(values[:, 1:], BAND, axis=1)
    columns = {"quantity": quantity, "x": x, "axis": axis, "frequency_Hz": frequency, "warning": warning}
    return pd.DataFrame({**columns, "value": values[:, 0], "low": low, "high": high, "unit": unit})


def _strength(
    tls: Tls, per_volume: Sums, medium: thermal.Medium, kT: Array, window: float, settings: Settings
) -> Iterator[pd.DataFrame]:
    """P̄, the tunnelling strengths, what they make of resonant loss, and the conductivity."""
    each = thermal.tunnelling_weight(tls.splitting, tls.amplitude, window)
    kelvin, axis = np.array([window / constants.k]), "E below (K)"
    yield _rows("P", kelvin, axis, per_volume(each)[None], "J⁻¹ m⁻³")
    strengths = {}
    for name, gamma, velocity in _waves(tls, medium):
        strengths[name] = per_volume(each * gamma**2)
        strength = strengths[name] / (medium.density * velocity**2)
        yield _rows(f"tunnelling strength, {name}", kelvin, axis, strength[None], "")
        for frequency in settings.observables.frequencies:
            loss = thermal.resonant_loss(strength, 2 * np.pi * frequency, medium.hbar, kT)
            yield _loss_rows(f"internal friction, resonant, {name}", kT, loss, frequency)
    along, across = strengths.values()
    with np.errstate(divide="ignore"):
        resistance = 1 / (constants.k * thermal.thermal_conductivity(along, across, medium, kT))
        rows = _rows("thermal conductivity", kT / constants.k, "T (K)", resistance, "W m⁻¹ K⁻¹")
        rows[["value", "low", "high"]] = 1 / rows[["value", "high", "low"]].to_numpy()
    yield rows  # infinite where no TLS scatters


def _waves(tls: Tls, medium: thermal.Medium) -> Iterator[tuple[str, Array, float]]:
    yield "longitudinal", tls.longitudinal, medium.longitudinal
    yield "transverse", tls.transverse, medium.transverse


def _losses(
    tls: Tls, per_volume: Sums, medium: thermal.Medium, kT: Array, settings: Settings
) -> Iterator[pd.DataFrame]:
    """Internal friction by relaxation, by one phonon alone and over the barrier as well."""
    phonon = thermal.one_phonon_rate(tls.splitting, tls.amplitude, tls.longitudinal, tls.transverse, medium, kT)
    both = phonon + thermal.activated_rate(tls.attempts, tls.barriers, kT)
    known = np.concatenate([nu[nu > 0] for nu in tls.attempts])
    classical = 2 * np.pi * float(np.median(known)) if len(known) else 0.0
    below = kT < medium.hbar * classical
    said = f"classical prefactor below ħω/k = {medium.hbar * classical / constants.k:.0f} K"
    for name, gamma, velocity in _waves(tls, medium):
        for frequency in settings.observables.frequencies:
            omega, modulus = 2 * np.pi * frequency, medium.density * velocity**2
            for way, rates, warn in (("one phonon", phonon, ""), ("with activation", both, said)):
                each = thermal.relaxation_loss(tls.splitting, tls.amplitude, gamma, rates, modulus, omega, kT)
                also = np.where(below & bool(warn), f"; {warn}", "")
                yield _loss_rows(f"internal friction, {way}, {name}", kT, per_volume(each), frequency, also)


def _loss_rows(quantity: str, kT: Array, loss: Array, frequency: float, also: Any = "") -> pd.DataFrame:
    """A loss, which can't be large; ``also``: what else to warn of, behind a semicolon."""
    large = np.where(loss[:, 0] > TOO_LARGE, f"above {TOO_LARGE:g}: too large to be a loss", "")
    warning = pd.Series(large + also).str.removeprefix("; ")
    return _rows(quantity, kT / constants.k, "T (K)", loss, "", frequency, warning)


def _distributions(tls: Tls, per_volume: Sums, joule: float, unit: str) -> Iterator[pd.DataFrame]:
    """Numbers per volume and decade of Δ₀, and per volume and unit of λ."""
    with np.errstate(divide="ignore"):
        decades = np.log10(tls.amplitude / joule).round(6)  # 1e-12 ε means at most that, and lies in no bin
    for name, axis, values in (("tunnelling amplitude", f"log₁₀ Δ₀ ({unit})", decades), ("action", "λ", tls.action)):
        edges = EDGES[name]
        inside = (values > edges[:-1, None]) & (values <= edges[1:, None])
        found, outside = per_volume(inside / np.diff(edges)[:, None]), int((~inside.any(axis=0)).sum())
        said = f"{outside} of {len(values)} in no bin: smaller, larger or not known" if outside else ""
        yield _rows(f"distribution of the {name}", 0.5 * (edges[1:] + edges[:-1]), axis, found, "m⁻³", warning=said)


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
    of_losses = table.loc[table["frequency_Hz"].notna(), "warning"]
    warnings = [warning for warning in dict.fromkeys(of_losses) if warning]
    return [*lines, *(f"warning: internal friction: {warning}" for warning in warnings if "; " not in warning)]


def update_observables(
    at: StatePoint, settings: Settings, make_calculator: Callable[[Atoms], Any] | None
) -> tuple[pd.DataFrame, list[str]]:
    """The observables of one temperature, and what is quoted of them."""
    volumes = glass_volumes(at)
    tls = tls_of(at, settings, volumes)
    medium = medium_of(at, settings, make_calculator) if tls.coupled else None
    table = observables(tls, volumes.to_numpy(float) * settings.neb.sigma**3, medium, settings, settings.seed)
    return table, observables_in_words(table, medium, tls, settings)


def minima_used(at: StatePoint) -> dict[str, Any]:
    """Volumes and lowest minima that the observables need, to tell whether they changed."""
    lowest = {f"{place.path.parent.name}/{place.name}": file_digest(place.path) for place in lowest_minima(at)}
    return {"volumes": {f"{conf}": round(size, 9) for conf, size in glass_volumes(at).items()}, "lowest": lowest}
