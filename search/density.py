"""Density of TLS: number per volume and energy, and per volume below each energy."""

from functools import cache

import numpy as np
import pandas as pd
from scipy import constants
from statsmodels.stats.rates import confint_poisson

from glass.arrays import Array
from pipeline.files import atomic_write
from pipeline.matching import lowest_minimum
from pipeline.settings import NebSettings, Settings
from pipeline.workspace import QS, StatePoint
from search.calculated import read_double_wells
from search.rearrangements import REARRANGEMENT, distinct

SLOWEST = 1e-3
"""Smallest Δ₀ over the splitting E with which a TLS counts as tunnelling: phonons relax it at a rate
∝ Δ₀² E coth(E/2kT) (Phillips, Rep. Prog. Phys. 50, 1657 (1987)), at most 10⁶ times slower than a symmetric one."""

CONVOLVED = "with zero point"  # kind: distinct, asymmetries spread by differences of zero-point energies
FEWEST_DIFFERENCES = 10  # number of double wells whose zero-point energies must be known for that
ENERGIES = np.geomspace(1e-2, 10, 31)  # energies at which TLS are counted, over the threshold, which is one of them


def si_density(settings: NebSettings) -> float:
    """1/(ε σ³), the unit of a density of TLS, in J⁻¹ m⁻³."""
    return float(1 / (constants.k * settings.epsilon * settings.sigma**3))


def densities(double_wells: pd.DataFrame, volumes: "pd.Series[float]", energies: Array) -> pd.DataFrame:
    """Densities of the double wells with a splitting below each energy: a row for each kind and energy (doc/files.md).

    ``volumes`` are those of every glass that was searched, by its number; double wells of others are passed over.
    """
    there = double_wells[double_wells["conf"].isin(volumes.index)].sort_values(QS, kind="stable")
    how = there.reindex(columns=["tunnelling_amplitude", "level_0_in_i"])
    tunnelling = there[how["tunnelling_amplitude"] >= SLOWEST * there[QS]]
    once = distinct(there)

    def below(rows: pd.DataFrame) -> Array:
        return np.asarray(rows[QS].to_numpy()[:, None] < energies, float)

    kinds = {  # those that count, and those of which it is not known; levels in one well have no Δ₀, which is known
        "all": (there, below(there), there[:0]),
        "distinct": (once, below(once), there[there[REARRANGEMENT] == 0]),
        "tunnelling": (tunnelling, below(tunnelling), there[how.isna().all(axis=1)]),
    }
    differences = there.reindex(columns=["zero_point_difference"])["zero_point_difference"].dropna().to_numpy(float)
    if len(differences) >= FEWEST_DIFFERENCES:
        kinds[CONVOLVED] = (once, below_with_zero_point(once, energies, differences), kinds["distinct"][2])
    found, glasses, volume = {}, len(volumes), float(volumes.sum())
    for kind, (rows, chances, unknown) in kinds.items():
        summed = pd.DataFrame(chances).groupby(rows["conf"].to_numpy()).sum()
        of_glasses = summed.reindex(volumes.index, fill_value=0).to_numpy(float)
        counts = of_glasses.sum(axis=0)
        low, high = confint_poisson(counts, 1, method="exact-c", alpha=0.32)  # Garwood (1936)
        apart = of_glasses - np.outer(volumes.to_numpy(), counts / volume)  # of a ratio: glasses may differ in size
        spread = np.sqrt((apart**2).sum(axis=0) * (glasses / (glasses - 1) if glasses > 1 else np.nan))
        parts = {"": counts, "_low": low, "_high": high, "_sd_glasses": spread}
        table = pd.DataFrame({"energy": energies, "glasses": glasses, "volume": volume, "count": counts})
        table = table.assign(**{f"per_volume{part}": values / volume for part, values in parts.items()})
        table["unknown"] = below(unknown).sum(axis=0)
        found[kind] = table.assign(**{f"density{part}": table[f"per_volume{part}"] / energies for part in parts})
    return pd.concat(found, names=["kind"]).reset_index(0).reset_index(drop=True)


def below_with_zero_point(rows: pd.DataFrame, energies: Array, differences: Array) -> Array:
    """Chance of each double well to have a splitting below each energy, shape (n_rows, n_energies).

    E² = (Δ ± δ)² + Δ₀², δ any of the differences of zero-point energies of these glasses, either sign as likely. Where
    Δ₀ is not known it is taken for zero.
    """
    splitting, amplitude = rows[QS].to_numpy(float), rows["tunnelling_amplitude"].fillna(0).to_numpy(float)
    asymmetry = np.sqrt(np.maximum(splitting**2 - amplitude**2, 0))
    reach = np.sqrt(np.maximum(energies**2 - amplitude[:, None] ** 2, 0))  # of |Δ ± δ|
    both = np.sort(np.concatenate([differences, -differences]))
    inside = np.searchsorted(both, reach - asymmetry[:, None]) - np.searchsorted(both, -reach - asymmetry[:, None])
    return np.asarray(inside / len(both))


def glass_volumes(at: StatePoint) -> "pd.Series[float]":
    """Volume of every glass with usable minima, by its number; a film or wire has none."""
    found = {conf: _volume(at, conf) for conf in sorted(at.glasses)}
    return pd.Series({conf: volume for conf, volume in found.items() if volume}, dtype=float)


@cache
def _volume(at: StatePoint, conf: int) -> float:
    lowest = lowest_minimum(at, conf)
    return abs(np.linalg.det(lowest.system.cell)) if lowest is not None and lowest.system.pbc.all() else 0.0


def tls_density(at: StatePoint, settings: Settings) -> pd.DataFrame | None:
    """Density of TLS of one temperature, of all glasses that have minima; None where no double well is in one."""
    double_wells, volumes = read_double_wells(at), glass_volumes(at)
    if not double_wells["conf"].isin(volumes.index).any():
        return None  # nothing was searched yet: that none was found says nothing
    found = densities(double_wells, volumes, settings.tls_threshold * ENERGIES)
    return found.assign(density_SI=found["density"] * si_density(settings.neb))


def at_energy(table: pd.DataFrame, energy: float) -> pd.DataFrame:
    """The rows of a density table at one of its energies, by their kinds."""
    return table[np.isclose(table["energy"], energy)].set_index("kind")


def update_density(at: StatePoint, settings: Settings, left: float) -> list[str]:
    """Write ``tls_density.csv`` anew, and say what the density is.

    ``left`` is the number of TLS expected among the pairs of the list that are left, or NaN. Nothing is written nor
    said where no double well is in a glass with minima.
    """
    table, path = tls_density(at, settings), at.tls_density
    if table is None:
        path.unlink(missing_ok=True)
        return []
    at_threshold = at_energy(table, settings.tls_threshold)
    every = at_threshold.loc["all"]
    part = every["count"] / (every["count"] + left) if every["count"] + left > 0 else np.nan
    with atomic_write(path) as file:
        table.assign(found_part=part).to_csv(file, index=False)
    unit, row = settings.unit, at_threshold.loc["distinct"]
    spread = f"; ± {row['density_sd_glasses']:.2g} from glass to glass" if row["glasses"] > 1 else ""
    names = {
        "all": "of all pairs",
        "tunnelling": f"with Δ₀ ≥ {SLOWEST:g} E",
        CONVOLVED: "spread by zero-point energies",
    }
    there = [(name, at_threshold.loc[kind]) for kind, name in names.items() if kind in at_threshold.index]
    others = ", ".join(f"{name} {density_of_kind(of_kind)}" for name, of_kind in there)
    known = f", about {100 * part:.0f} % of those of the list are found" if np.isfinite(part) else ""
    return [
        f"density of distinct TLS: {row['density']:.3g} {unit.energy}⁻¹ {unit.length}⁻³ "
        f"({row['density_low']:.3g} to {row['density_high']:.3g}: 68 %, Poisson{spread}), "
        f"{row['density_SI']:.2g} J⁻¹ m⁻³: {row['count']:.0f} in {row['volume']:.4g} {unit.length}³, "
        f"glasses searched: {row['glasses']:.0f}",
        f"density of TLS: {others}; lower bounds{known}: {path}",
    ]


def density_of_kind(row: pd.Series) -> str:
    """The density of one row of the table, how many TLS that are, and of how many it is not known."""
    unknown = f", not known of {row['unknown']:.0f}" if row["unknown"] else ""
    return f"{row['density']:.3g} ({round(row['count'], 1):g}{unknown})"  # chances add up to no whole number
