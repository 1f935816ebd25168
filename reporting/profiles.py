"""Pictures of V along a path with its two lowest levels, as run_neb.py calculated it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from glass.arrays import Array
from glass.tunnelling import NotResolvedError, tilted_states
from pipeline.formats.keys import PAIR_COLUMNS, Pair
from pipeline.formats.records import profile_of_record, two_level_of_record
from pipeline.settings import Settings
from pipeline.units import Units
from reporting.style import BLUE, GREEN, ORANGE, Picture, name_energy, panels
from search.calculated import RESOLVED, describe

HEIGHT, SMALL, POINTS = 1.35, 0.02, 200
"""V is drawn where it is below this multiple of the barrier (or the second level, if that is higher), or where a
wavefunction has more than this fraction of its largest value; number of points of the curve."""


class Wells(NamedTuple):
    """V along the path of a pair with the two lowest levels; energies above the lowest image.

    ``lengths`` and ``energies`` are those of the images, ``x``, ``potential`` and ``states`` (n_points, 2) of the
    curve; lengths are mass-weighted, ``barrier`` and ``asymmetry`` counted from the first minimum, Δ₀ NaN where it is
    not defined.
    """

    pair: Pair
    lengths: Array
    energies: Array
    x: Array
    potential: Array
    states: Array
    levels: tuple[float, float]
    barrier: float
    asymmetry: float
    tunnelling_amplitude: float
    one_well: bool  # whether both levels lie in the same well
    fidelity: str

    @property
    def splitting(self) -> float:
        """E₁ − E₀."""
        return self.levels[1] - self.levels[0]


def wells_of_record(record: dict[str, Any]) -> Wells | None:
    """V and levels of a record of :func:`pipeline.formats.records.read_records`; None if V does not confine."""
    profile = profile_of_record(record)
    try:
        x, _, states = tilted_states(profile, record["hbar"])(0.0)
    except NotResolvedError:
        return None
    floor = profile.energies.min()
    energies, potential = profile.energies - floor, profile(x) - floor
    levels = (record["levels"][0] - floor, record["levels"][1] - floor)
    low_enough = potential < HEIGHT * max(energies.max(), levels[1])
    inside = np.flatnonzero(low_enough | (np.abs(states) > SMALL * np.abs(states).max()).any(axis=1))
    shown = np.unique(np.linspace(inside[0], inside[-1], POINTS).astype(int))
    found = describe(record)
    return Wells(
        Pair(*(record[name] for name in PAIR_COLUMNS)),
        *(profile.lengths, energies),
        *(x[shown], potential[shown], states[shown]),
        levels,
        *(found["barrier"], found["asymmetry"], found["tunnelling_amplitude"]),
        two_level_of_record(record).one_well,
        record["fidelity"],
    )


def draw_profiles(wells: Sequence[Wells], title: str, settings: Settings, unconfined: Sequence[Pair] = ()) -> Picture:
    """V(x) of double wells with their two lowest levels, a panel each, all with the same axes.

    ``unconfined`` have small splittings, too, but a V that falls outside its ends: nothing to draw, and they are named.
    The numbers are V as it is drawn: a row an image, or a point of the curve; columns in doc/files.md.
    """
    unit, columns = settings.unit, min(3, len(wells))
    rows = -(-len(wells) // columns)
    energy, length = unit.energy_name, f"mass_weighted_length_{unit.length_name}_sqrt_{unit.mass}"
    if unconfined:
        named = ", ".join(pair.text(settings.ij_decimals) for pair in unconfined[:3]) + ", …" * (len(unconfined) > 3)
        title += f"\nnot drawn, V does not confine outside the ends: {named}"
    size = 3.6 * columns + 0.3, 2.8 * rows + 0.9
    numbers = []
    with panels(*size, rows, columns, title, sharex=True, sharey=True) as (figure, axes):
        for ax, one in zip(axes, wells, strict=False):
            notes = ["TLS"] * int(one.splitting < settings.tls_threshold) + ["screened"] * (one.fidelity != "full")
            note = f" ({', '.join(notes)})" if notes else ""
            splitting = f"E₁ − E₀ = {one.splitting:.3g} {unit.energy}{note}"
            ax.set_title(f"{one.pair.text(settings.ij_decimals)}\n{splitting}", fontsize=9)
            draw_potential(ax, one, settings, in_kelvin=ax in axes[columns - 1 :: columns] or one is wells[-1])
            ax.label_outer()
            top = one.lengths[one.energies.argmax()]  # levels side by side: on this scale they lie on each other
            in_first = (one.states[one.x < top] ** 2).sum(axis=0) / (one.states**2).sum(axis=0)
            halves = (one.x[0], top), (top, one.x[-1])
            for k, (place, color) in enumerate(zip(np.argsort(np.argsort(-in_first)), (ORANGE, GREEN), strict=True)):
                ax.plot(halves[place], [one.levels[k]] * 2, color=color, label=f"level E{'₀₁'[k]}, in its well")
            if one.one_well:
                said = "both levels in one well:\na vibration, no tunnelling"
                ax.text(0.5, 0.97, said, ha="center", va="top", fontsize=8, transform=ax.transAxes)
            curve = {
                length: np.concatenate([one.x, one.lengths]),
                f"V_{energy}": np.concatenate([one.potential, one.energies]),
                "is_image": np.repeat([False, True], [len(one.x), len(one.lengths)]),
            }
            levels = {f"level_{k}_{energy}": one.levels[k] for k in range(2)}
            ends = {"one_well": one.one_well, "fidelity": one.fidelity}
            numbers.append(pd.DataFrame({**one.pair._asdict(), **curve, **levels, **ends}))
        for ax in axes[len(wells) :]:
            ax.set_visible(False)
        top = max(max(one.energies.max(), one.levels[1]) for one in wells)
        axes[0].set_ylim(-0.06 * top, HEIGHT * top)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, 2 * columns))
    return Picture(figure, pd.concat(numbers, ignore_index=True))


def draw_potential(ax: Axes, wells: Wells, settings: Settings, in_kelvin: bool = True) -> None:
    """V and the images, on axes with their names."""
    ax.plot(wells.x, wells.potential, color=BLUE, label="V along the path")
    ax.plot(wells.lengths, wells.energies, "o", ms=3, color=BLUE, mfc="white", label="images")
    ax.set_xlabel(f"mass-weighted path length ({settings.unit.length} √{settings.unit.mass})")
    name_energy(ax, "y", "V − min V", settings, in_kelvin)


def amplitude_in_words(amplitude: float, unit: Units) -> str:
    """Δ₀ with its unit; below what double precision resolves, it says so."""
    if not np.isfinite(amplitude):
        return "Δ₀ not defined"
    least = RESOLVED * unit.epsilon
    return f"Δ₀ < {least:.2g} {unit.energy}" if amplitude <= least else f"Δ₀ = {amplitude:.3g} {unit.energy}"
