"""Picture of one two-level system: the particles that move, and the two levels with their wavefunctions."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.path import Path
from numpy.typing import NDArray

from pipeline.units import Units
from reporting.plots import BLUE, GREEN, GREY, ORANGE, Picture, styled_figure
from reporting.projection import main_axes, movers, nearest_images

Array = NDArray[np.float64]

FAR, MOST_MOVERS = 0.25, 15
"""Arrows are drawn for the particles that move at least this part of the longest way, no more than so many."""

SHELL, MOST_NEIGHBOURS = 1.2, 25
"""Others are drawn near a mover: at most so many mean spacings from it, and no more than so many, the nearest."""

SIZE = 0.6
"""Circles have so many of the particles' diameters, or they would hide each other."""

VISIBLE = 0.3
"""Arrows are magnified where the longest is shorter than so many mean spacings."""

FACTORS = (1, 2, 5, 10, 20, 50, 100)

NARROWEST = 2.0
"""The picture reaches at least so many mean spacings to each side."""

_CIRCLE = Path.arc(0, 360, n=4)  # half as large in an SVG as matplotlib's own


class Motion(NamedTuple):
    """The particles of a glass in a pair's first minimum, and how far each is from there in the second."""

    positions: Array
    """Shape (N, 3), in units of length; wrapped into the box or not."""
    displacements: Array
    """Minimum image, without drift; shape (N, 3), in units of length."""
    box: Array
    """Shape (3,), in units of length."""
    diameters: Array
    """Shape (N,), in units of length."""
    species: list[str]
    """What each particle is, N names; the same for all where there is one kind only."""


class Wells(NamedTuple):
    """V along the path with the two lowest levels; lengths mass-weighted, energies in units of energy."""

    lengths: Array
    """Of the images, shape (n_images,)."""
    energies: Array
    """V of the images, shape (n_images,)."""
    x: Array
    """Where V and the states are drawn, shape (n_points,)."""
    potential: Array
    """V there, shape (n_points,)."""
    states: Array
    """The two lowest states there, in any norm, shape (n_points, 2)."""
    levels: tuple[float, float]
    """Counted as V is."""
    barrier: float
    """From the first minimum."""
    asymmetry: float
    """V of the second minimum above the first."""
    tunnelling_amplitude: float
    """Δ₀; NaN where it is not defined."""


def two_level_picture(motion: Motion, wells: Wells, title: str, unit: Units) -> Picture:
    """The particles that move, on the plane in which they move most, beside V with levels and wavefunctions.

    Parameters
    ----------
    motion : Motion
        What moves from the first minimum to the second.
    wells : Wells
        The energy on the way, and the levels.
    title : str
        Which pair this is.
    unit : Units
        For the labels.

    Returns
    -------
    Picture
        Numbers: part; of a ``particle`` that is drawn: particle, its id from 1, species, diameter, x, y, z in the first
        minimum from the one that moves most, nearest image, dx, dy, dz, moves (whether with an arrow), across, up,
        depth on the plane; of an ``image`` or a point of the ``curve``: path_length, V, and of the curve state_0,
        state_1, level_0, level_1. Energies are counted from the lower minimum.
    """
    with styled_figure(10.4, 5.2) as figure:
        atoms, profile = figure.subplots(1, 2, width_ratios=(1, 1.05))
        particles = _draw_motion(atoms, motion, unit)
        curve = _draw_wells(profile, wells, unit)
        figure.suptitle(title, fontsize=11)
    return Picture(figure, pd.concat([particles, curve], ignore_index=True))


COLORS = (BLUE, GREEN, "#CC79A7", "#56B4E9", "#E69F00")
"""Of the species, the rest of Okabe and Ito's palette among them."""


def _draw_motion(ax: Axes, motion: Motion, unit: Units) -> pd.DataFrame:
    moved = movers(motion.displacements, FAR, MOST_MOVERS)
    spacing = float((motion.box.prod() / len(motion.positions)) ** (1 / 3))
    places = nearest_images(motion.positions, motion.positions[moved[0]], motion.box)
    drawn = np.concatenate([moved, _neighbours(places, moved, SHELL * spacing)])
    axes = main_axes(motion.displacements[moved])
    before, steps = places[drawn] @ axes.T, motion.displacements[drawn] @ axes.T
    moves = np.arange(len(drawn)) < len(moved)
    ends = np.concatenate([before[moves], (before + steps)[moves]])
    low, high = ends[:, :2].min(axis=0) - spacing, ends[:, :2].max(axis=0) + spacing
    middle, half = (low + high) / 2, max(NARROWEST * spacing, *(high - low) / 2)
    ax.set(xlim=middle[0] + half * np.array([-1, 1]), ylim=middle[1] + half * np.array([-1, 1]), aspect="equal")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    polydisperse = bool(np.ptp(motion.diameters))
    diameters = motion.diameters if polydisperse else np.full(len(motion.positions), spacing)
    sizes = SIZE * diameters[drawn]
    names = np.array(motion.species)[drawn]
    kinds = {name: COLORS[k % len(COLORS)] for k, name in enumerate(sorted(set(motion.species)))}
    nearness = _nearness(before[:, 2])
    _circles(ax, before, sizes, [*map(kinds.get, names)], moves, nearness, after=False)
    _circles(ax, before + steps, sizes, [*map(kinds.get, names)], moves, nearness, after=True)
    factor = _arrows(ax, before[moves], steps[moves], spacing)
    _scale_bar(ax, 2 * half, unit)
    squares = (motion.displacements**2).sum(axis=1)
    carried = 100 * squares[moved].sum() / squares.sum()
    arrows = "arrows: the motion" if factor == 1 else f"arrows: {factor} times the motion"
    sizes_are = f"circles: {SIZE:g} {'diameters' if polydisperse else 'mean spacings'}"
    ax.set_title(f"{_particles(len(moved))} with {carried:.0f} % of Σ|Δr|²\n{arrows}; {sizes_are}")
    _legend_of_motion(ax, kinds)
    numbers: dict[str, Any] = {"part": "particle", "particle": drawn + 1, "species": names, "moves": moves}
    numbers["diameter"] = motion.diameters[drawn]
    for columns, values in (
        (("x", "y", "z"), places[drawn]),
        (("dx", "dy", "dz"), motion.displacements[drawn]),
        (("across", "up", "depth"), before),
    ):
        numbers |= dict(zip(columns, values.T, strict=True))
    return pd.DataFrame(numbers)


def _particles(count: int) -> str:
    return "1 particle" if count == 1 else f"{count} particles"


def _neighbours(places: Array, moved: NDArray[np.int64], reach: float) -> NDArray[np.int64]:
    """Indices of the particles within reach of one that moves, the nearest first."""
    nearest = np.min([np.linalg.norm(places - places[one], axis=1) for one in moved], axis=0)
    nearest[moved] = np.inf
    order = np.argsort(nearest, kind="stable")
    return np.asarray(order[nearest[order] < reach][:MOST_NEIGHBOURS])


def _nearness(depth: Array) -> Array:
    """0 for the particle farthest behind the plane, 1 for the one farthest before it."""
    return np.asarray((depth - depth.min()) / max(float(np.ptp(depth)), 1e-12))


def _circles(
    ax: Axes, places: Array, sizes: Array, colors: list[Any], moves: NDArray[np.bool_], nearness: Array, after: bool
) -> None:
    """Circles from the back to the front, the nearer the less transparent; what stays is drawn once, before."""
    order = np.argsort(places[:, 2], kind="stable")
    order = order[moves[order]] if after else order
    faces, edges = [], []
    for k in order:
        alpha = float(0.25 + 0.5 * nearness[k])
        faces.append(to_rgba(colors[k], alpha if after else 0.0 if moves[k] else 0.2 * alpha))
        edges.append(to_rgba(colors[k] if after else ORANGE if moves[k] else GREY, alpha))
    styles = ["--" if moves[k] and not after else "-" for k in order]
    widths = [1.3 if moves[k] else 0.5 for k in order]
    circles = [Path(0.5 * sizes[k] * _CIRCLE.vertices + places[k, :2], _CIRCLE.codes) for k in order]
    shown: Any = {"facecolors": faces, "edgecolors": edges, "linestyles": styles, "linewidths": widths}
    ax.add_collection(PathCollection(circles, **shown, zorder=2 + after), autolim=False)


def _arrows(ax: Axes, starts: Array, steps: Array, spacing: float) -> int:
    """Arrows from the first minimum; by which factor they are magnified."""
    longest = float(np.linalg.norm(steps[:, :2], axis=1).max())
    factor = next((one for one in FACTORS if one * longest >= VISIBLE * spacing), FACTORS[-1])
    arrows = factor * steps
    ax.quiver(*starts[:, :2].T, *arrows[:, :2].T, angles="xy", scale_units="xy", scale=1, width=0.006, zorder=5)
    return factor


def _scale_bar(ax: Axes, width: float, unit: Units) -> None:
    decade = 10 ** np.floor(np.log10(0.3 * width))
    length = decade * max(one for one in (1, 2, 5) if one * decade <= 0.3 * width)
    left, bottom = ax.get_xlim()[0], ax.get_ylim()[0]
    ax.plot([left, left + length], [bottom, bottom], color="black", lw=4, clip_on=False, solid_capstyle="butt")
    ax.text(left, bottom + 0.015 * width, f"{length:g} {unit.length}", va="bottom", ha="left")


def _legend_of_motion(ax: Axes, kinds: dict[str, str]) -> None:
    marks: dict[str, tuple[Any, str]] = {"first minimum": ("none", ORANGE)}
    for name, color in kinds.items():
        marks["second minimum" if len(kinds) == 1 else f"second minimum, {name}"] = (to_rgba(color, 0.6), color)
    marks["others"] = ("#eeeeee", GREY)
    circles = [Line2D([], [], marker="o", ls="", ms=9, mfc=face, mec=edge) for face, edge in marks.values()]
    ncols = 3 if len(kinds) == 1 else 2
    ax.legend(circles, marks, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=ncols)


def _draw_wells(ax: Axes, wells: Wells, unit: Units) -> pd.DataFrame:
    floor = wells.energies.min()
    top = max(wells.energies.max(), *wells.levels) - floor
    states = wells.states * np.sign(wells.states[np.abs(wells.states).argmax(axis=0), [0, 1]])
    scale = 0.22 * top / np.abs(states).max()
    ax.plot(wells.x, wells.potential - floor, color="black", lw=1.5, label="V along the path")
    ax.plot(wells.lengths, wells.energies - floor, "o", ms=3, color="black", mfc="white", label="images")
    for k, (color, line) in enumerate(((BLUE, "-"), (ORANGE, "--"))):
        level = wells.levels[k] - floor
        ax.axhline(level, color=color, ls=line, lw=0.8)
        name = f"level E{'₀₁'[k]} and its wavefunction"
        ax.plot(wells.x, level + scale * states[:, k], color=color, ls=line, label=name)
    splitting = wells.levels[1] - wells.levels[0]
    known = np.isfinite(wells.tunnelling_amplitude)
    amplitude = f"= {wells.tunnelling_amplitude:.3g} {unit.energy}" if known else "not defined"
    ax.set_title(
        f"splitting E₁ − E₀ = {splitting:.3g} {unit.energy}, Δ₀ {amplitude}\n"
        f"barrier {wells.barrier:.3g} {unit.energy}, asymmetry {wells.asymmetry:.3g} {unit.energy}"
    )
    lowest = min(0.0, *(wells.levels - floor + scale * states.min(axis=0)))
    ax.set(xlim=(wells.x[0], wells.x[-1]), ylim=(lowest - 0.05 * top, 1.2 * top))
    ax.set(xlabel=f"mass-weighted path length ({unit.length} √{unit.mass})", ylabel=f"V − min V ({unit.energy})")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)
    levels = {f"level_{k}": wells.levels[k] - floor for k in range(2)}
    curve = {"path_length": wells.x, "V": wells.potential - floor, "state_0": states[:, 0], "state_1": states[:, 1]}
    images = {"path_length": wells.lengths, "V": wells.energies - floor}
    return pd.concat([pd.DataFrame({"part": "curve", **curve, **levels}), pd.DataFrame({"part": "image", **images})])
