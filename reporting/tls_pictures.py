"""A picture of each TLS that was calculated, in ``pictures/``: the particles that move, beside its two levels."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from glass.arrays import Array, Index, minimum_image, without_drift
from pipeline import __version__
from pipeline.formats.configurations import Minimum, MinimumError
from pipeline.formats.keys import PAIR_COLUMNS, Pair, by_pair
from pipeline.formats.records import path_file
from pipeline.matching import read_pair, spacing
from pipeline.messages import Progress, counted
from pipeline.settings import Settings
from pipeline.stamps import made_from, mark_made, up_to_date
from pipeline.units import Units
from pipeline.workspace import QS, StatePoint
from reporting.profiles import Wells, amplitude_in_words, draw_potential, wells_of_record
from reporting.style import GREEN, GREY, ORANGE, SPECIES, Picture, panels
from search.calculated import read_double_wells, records_of
from search.exact import jobs_of
from search.rearrangements import species_names

DRAWN = 50  # largest number of TLS that get a picture, those with the smallest splittings
FRACTION, ARROWS = 0.25, 15  # arrows: particles that move at least this fraction of the longest way, at most this many
SHELL, NEIGHBOURS = 1.2, 25  # others: those within this many mean spacings of one with an arrow, at most so many
SIZE = 0.6  # circles have this fraction of the particles' diameters, or they would hide each other
VISIBLE = 0.3  # arrows are magnified where the longest is shorter than this many mean spacings
FACTORS = (1, 2, 5, 10, 20, 50, 100)
NARROWEST = 2.0  # the picture reaches at least this many mean spacings to each side


class Cluster(NamedTuple):
    """The n particles that are shown: ``moving`` that move, the one that moves most before all, then those around."""

    particles: Index
    moving: int
    places: Array  # in the first minimum, from the one that moves most, the nearest image; shape (n, 3)
    diameters: Array  # shape (n,); the mean spacing where all are of one size
    axes: Array  # main_axes of those that move
    species: list[str]  # names of their kinds
    colors: dict[str, str]  # of all kinds of the glass


def update_pictures(at: StatePoint, settings: Settings) -> tuple[int, int]:
    """Make the pictures that are missing or old, remove those of others; how many were made, and how many there are."""
    table = read_double_wells(at)
    tls = table[table[QS] < settings.tls_threshold].head(DRAWN)
    found = zip(tls[PAIR_COLUMNS].itertuples(index=False), records_of(at, tls), strict=True)
    known = {path_file(at, Pair(*row)).stem: record for row, record in found if record}
    for path in at.tls_pictures.glob("Cnf-*.*"):
        if not path.name.startswith(tuple(f"{name}." for name in known)):
            path.unlink()
            path.with_name(f".{path.name}.made-from.json").unlink(missing_ok=True)
    made, there, kelvin = 0, 0, settings.neb.epsilon
    for name, record in Progress(known.items(), desc=f"T = {at.temperature}: pictures of TLS", unit="picture"):
        targets = [at.tls_pictures / f"{name}.{kind}" for kind in (*settings.figures, "csv")]
        inputs = made_from([], levels=record["levels"], units=[settings.units, kelvin], program=__version__)
        if not up_to_date(targets, inputs):
            jobs, _ = jobs_of(at, by_pair(pd.DataFrame([record], columns=PAIR_COLUMNS), at.decimals))
            wells = wells_of_record(record)
            if not jobs or wells is None:
                continue
            try:
                start, end = read_pair(jobs[0].places)
            except (MinimumError, OSError):
                continue  # step 0 and run_neb.py say what is wrong with it
            motion = without_drift(start.positions, end.positions, start.box)
            title = jobs[0].pair.text(at.decimals) + ("" if record["fidelity"] == "full" else ", screened")
            draw_two_level_system(start, motion, wells, title, settings).save(targets[0], settings.figures)
            mark_made(targets, inputs)
            made += 1
        there += 1
    return made, there


def cluster_of(minimum: Minimum, displacements: Array) -> Cluster:
    """The particles that move and their neighbours; displacements without drift, of shape (N, 3)."""
    system, apart = minimum.system, spacing(minimum)
    lengths = np.linalg.norm(displacements, axis=1)
    order = np.argsort(-lengths, kind="stable")
    moved = order[lengths[order] >= FRACTION * lengths.max()][:ARROWS]
    places = minimum_image(minimum.positions - minimum.positions[moved[0]], minimum.box)
    nearest = np.min([np.linalg.norm(places - places[one], axis=1) for one in moved], axis=0)
    nearest[moved] = np.inf
    order = np.argsort(nearest, kind="stable")
    shown = np.concatenate([moved, order[nearest[order] < SHELL * apart][:NEIGHBOURS]])
    sizes = system.diameters if np.ptp(system.diameters) else np.full(len(places), apart)
    names = species_names(system.types, system.numbers)
    colors = {name: SPECIES[k % len(SPECIES)] for k, name in enumerate(sorted(set(names)))}
    axes = main_axes(displacements[moved])
    return Cluster(shown, len(moved), places[shown], sizes[shown], axes, names[shown].tolist(), colors)


def main_axes(displacements: Array) -> Array:
    """Principal axes of displacements of shape (N, 3), a row each: the first two span the plane with most of Σ |Δr|².

    They are right-handed; along the first two the largest component is positive, whichever minimum is the first.
    """
    _, axes = np.linalg.eigh(displacements.T @ displacements)
    axes = axes.T[::-1].copy()
    along = displacements @ axes[:2].T
    axes[:2] *= np.where(along[np.abs(along).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)[:, None]
    axes[2] = np.cross(axes[0], axes[1])
    return axes


def draw_two_level_system(
    minimum: Minimum, displacements: Array, wells: Wells, title: str, settings: Settings
) -> Picture:
    """The particles that move, on the plane in which they move most, beside V with levels and wavefunctions."""
    with panels(10.4, 5.2, 1, 2, title, width_ratios=(1, 1.05)) as (figure, (atoms, profile)):
        particles = _draw_motion(atoms, minimum, displacements, settings.unit)
        curve = _draw_wells(profile, wells, settings)
    return Picture(figure, pd.concat([particles, curve], ignore_index=True))


def _draw_motion(ax: Axes, minimum: Minimum, displacements: Array, unit: Units) -> pd.DataFrame:
    shown, apart, diameters = cluster_of(minimum, displacements), spacing(minimum), minimum.diameters
    drawn, moves = shown.particles, np.arange(len(shown.particles)) < shown.moving
    before, steps = shown.places @ shown.axes.T, displacements[drawn] @ shown.axes.T
    sizes = SIZE * shown.diameters
    reach = 0.55 * sizes[:, None]  # a little more than half a circle
    low = np.minimum(before, before + steps)[:, :2] - reach
    high = np.maximum(before, before + steps)[:, :2] + reach
    center = (low.min(axis=0) + high.max(axis=0)) / 2
    half = max(NARROWEST * apart, *(high.max(axis=0) - low.min(axis=0)) / 2)
    (left, right), (bottom, top) = center[:, None] + half * np.array([-1, 1])
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.set_axis_off()
    nearness = (before[:, 2] - before[:, 2].min()) / max(float(np.ptp(before[:, 2])), 1e-12)  # 0: back, 1: front
    for after in (False, True):
        places = before + after * steps
        for k in np.argsort(places[:, 2], kind="stable"):  # the nearer the less transparent
            if after and not moves[k]:
                continue
            color, alpha = shown.colors[shown.species[k]], float(0.25 + 0.5 * nearness[k])
            face = to_rgba(color, alpha if after else 0.0 if moves[k] else 0.2 * alpha)
            edge = to_rgba(color if after else ORANGE if moves[k] else GREY, alpha)
            line, width = "--" if moves[k] and not after else "-", 1.3 if moves[k] else 0.5
            middle = places[k, 0], places[k, 1]
            ax.add_patch(Circle(middle, sizes[k] / 2, fc=face, ec=edge, ls=line, lw=width, zorder=2 + after))
    longest = np.linalg.norm(steps[moves, :2], axis=1).max()
    factor = next((one for one in FACTORS if one * longest >= VISIBLE * apart), FACTORS[-1])
    arrows = factor * steps[moves, :2]
    ax.quiver(*before[moves, :2].T, *arrows.T, angles="xy", scale_units="xy", scale=1, width=0.006, zorder=5)
    decade = 10 ** np.floor(np.log10(0.6 * half))
    scale = decade * max(one for one in (1, 2, 5) if one * decade <= 0.6 * half)
    ax.plot([left, left + scale], [bottom, bottom], color="black", lw=4, clip_on=False, solid_capstyle="butt")
    ax.text(left, bottom + 0.03 * half, f"{scale:g} {unit.length}", va="bottom", ha="left")
    carried = 100 * (steps[moves] ** 2).sum() / (displacements**2).sum()
    arrows_are = "the motion" if factor == 1 else f"{factor} times the motion"
    circles_are = f"{SIZE:g} {'diameters' if np.ptp(diameters) else 'mean spacings'}"
    title = f"{counted(shown.moving, 'particle')} with {carried:.0f} % of Σ|Δr|²"
    ax.set_title(f"{title}\narrows: {arrows_are}; circles: {circles_are}")
    marks: dict[str, tuple[Any, str]] = {"first minimum": ("none", ORANGE)}
    for name, color in shown.colors.items():
        marks["second minimum" + f", {name}" * (len(shown.colors) > 1)] = (to_rgba(color, 0.6), color)
    marks["others"] = ("#eeeeee", GREY)
    circles = [Line2D([], [], marker="o", ls="", ms=9, mfc=face, mec=edge) for face, edge in marks.values()]
    ncols = 3 if len(shown.colors) == 1 else 2
    ax.legend(circles, marks, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=ncols)
    columns = ["x", "y", "z", "dx", "dy", "dz", "across", "up", "depth"]
    table = pd.DataFrame(np.hstack([shown.places, displacements[drawn], before]), columns=columns)
    named = {"particle": minimum.system.particle_ids[drawn], "species": shown.species, "moves": moves}
    return pd.DataFrame({"part": "particle", **named, "diameter": diameters[drawn], **table})


def _draw_wells(ax: Axes, wells: Wells, settings: Settings) -> pd.DataFrame:
    energy = settings.unit.energy
    top = max(wells.energies.max(), wells.levels[1])
    states = wells.states * np.sign(wells.states[np.abs(wells.states).argmax(axis=0), [0, 1]])
    drawn = 0.22 * top / np.abs(states).max() * states + wells.levels
    draw_potential(ax, wells, settings)
    for k, (color, line) in enumerate(((ORANGE, "-"), (GREEN, "--"))):
        ax.axhline(wells.levels[k], color=color, ls=line, lw=0.8)
        ax.plot(wells.x, drawn[:, k], color=color, ls=line, label=f"level E{'₀₁'[k]} and its wavefunction")
    ax.set_title(
        f"splitting E₁ − E₀ = {wells.splitting:.3g} {energy} = {wells.splitting * settings.neb.epsilon:.3g} K, "
        f"{amplitude_in_words(wells.tunnelling_amplitude, settings.unit)}\n"
        f"barrier {wells.barrier:.3g} {energy}, asymmetry {wells.asymmetry:.3g} {energy}"
    )
    ax.set(xlim=(wells.x[0], wells.x[-1]), ylim=(min(0.0, drawn.min()) - 0.05 * top, 1.2 * top))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)
    curve = {"path_length": wells.x, "V": wells.potential, "state_0": states[:, 0], "state_1": states[:, 1]}
    levels = {f"level_{k}": wells.levels[k] for k in range(2)}
    images = {"path_length": wells.lengths, "V": wells.energies}
    return pd.concat([pd.DataFrame({"part": "curve", **curve, **levels}), pd.DataFrame({"part": "image", **images})])
