"""A picture of each TLS that was calculated, in ``pictures/``: the particles that move, beside its two levels."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from glass.arrays import Array, minimum_image
from glass.path import displacement
from glass.tunnelling import NotResolvedError, lowest_states
from pipeline.formats.configurations import MinimumError
from pipeline.formats.keys import PAIR_COLUMNS, Pair, by_pair
from pipeline.formats.minima import read_atoms
from pipeline.formats.paths import path_file
from pipeline.formats.records import profile_of_record
from pipeline.progress import progress
from pipeline.settings import Settings
from pipeline.stamps import made_from, mark_made, read_stamp, up_to_date
from pipeline.units import Units
from pipeline.version import __version__
from pipeline.workspace import QS, StatePoint
from reporting.style import AMBER, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, Picture, styled_figure
from search.calculated import describe, matches_splitting, read_double_wells, records_of
from search.exact import PairJob, check_one_glass, jobs_of
from search.rearrangements import species_names

DRAWN = 50
"""Pictures are made of so many TLS, those with the smallest splittings."""

FRACTION, ARROWS = 0.25, 15
"""Arrows are drawn for particles that move at least this fraction of the longest way, no more than so many."""

SHELL, NEIGHBOURS = 1.2, 25
"""Others are drawn within so many mean spacings of one with an arrow, no more than so many, the nearest."""

SIZE = 0.6
"""Circles have so many of the particles' diameters, or they would hide each other."""

VISIBLE = 0.3
"""Arrows are magnified where the longest is shorter than so many mean spacings."""

FACTORS = (1, 2, 5, 10, 20, 50, 100)

NARROWEST = 2.0
"""The picture reaches at least so many mean spacings to each side."""

COLORS = (BLUE, GREEN, PURPLE, SKY, AMBER)
"""Of the species."""

HEIGHT, SMALL = 1.2, 0.02
"""V is drawn where it is below so many times the barrier (or the second level, if that is higher), or where a
wavefunction has more than this fraction of its largest value."""

POINTS = 200
"""Of a curve; with all those of the grid an SVG would be large."""


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


def update_pictures(at: StatePoint, settings: Settings) -> tuple[int, int]:
    """Make the pictures that are missing or older than their calculation; remove those of what is no TLS any more.

    Returns
    -------
    made : int
        How many were made now.
    there : int
        How many TLS have one.
    """
    table = read_double_wells(at)
    tls = table[table[QS] < settings.tls_threshold]
    folder = at.tls_pictures
    names = [path_file(at, Pair(*row)).stem for row in tls[PAIR_COLUMNS].itertuples(index=False)]
    records = records_of(at, tls)
    known = {
        name: record
        for name, record, splitting in zip(names, records, tls[QS], strict=True)
        if record or _is_picture_of(folder / f"{name}.csv", splitting)  # its record may be lost
    }
    kept = tuple(f"{name}." for name in known)
    for path in folder.glob("Cnf-*.*") if folder.is_dir() else []:
        if not path.name.startswith(kept):
            path.unlink()
            path.with_name(f".{path.name}.made-from.json").unlink(missing_ok=True)
    made = there = 0
    chosen = list(known.items())[:DRAWN]
    for name, record in progress(chosen, desc=f"T = {at.temperature}: pictures of TLS", unit="picture"):
        if record is None:
            there += 1
            continue
        targets = [folder / f"{name}.{kind}" for kind in (*settings.figures, "csv")]
        inputs = made_from([], levels=record["levels"], units=settings.units, program=__version__)
        if not up_to_date(targets, inputs):
            picture = picture_of_pair(at, record, settings)
            if picture is None:
                continue
            picture.save(targets[0], settings.figures)
            mark_made(targets, inputs)
            made += 1
        there += 1
    return made, there


def _is_picture_of(file: Path, splitting: float) -> bool:
    """Whether a picture is there that was made from levels so far apart."""
    levels = read_stamp(file).get("levels")
    if not file.exists() or not isinstance(levels, list) or [type(one) for one in levels] != [float, float]:
        return False
    return matches_splitting(levels, splitting)


def picture_of_pair(at: StatePoint, record: dict[str, Any], settings: Settings) -> Picture | None:
    """The picture of the double well of one record; None where its minima or its levels are not known any more."""
    jobs, _ = jobs_of(at, by_pair(pd.DataFrame([record], columns=PAIR_COLUMNS), at.decimals))
    wells = wells_of_record(record)
    motion = motion_of_job(jobs[0]) if jobs else None
    if wells is None or motion is None:
        return None
    conf, i, j = _pair(record)
    screened = "" if record["fidelity"] == "full" else ", screened"
    return draw_two_level_system(motion, wells, f"Cnf-{conf}, {i!r} – {j!r}{screened}", settings.unit)


def motion_of_job(job: PairJob) -> Motion | None:
    """What moves between the two minima of a pair; None where one can't be read."""
    try:
        start, end = (read_atoms(place) for place in job.places)
        check_one_glass(job, start, end)
    except (MinimumError, OSError):
        return None  # step 0 and run_neb.py say what is wrong with it
    box = start.cell.lengths()
    steps = displacement(start.positions, end.positions, box)
    names = species_names(start.arrays["types"], start.numbers).tolist()
    return Motion(start.positions, steps, box, start.arrays["diameters"], names)


def wells_of_record(record: dict[str, Any]) -> Wells | None:
    """V and levels of a record; None where V does not confine.

    Parameters
    ----------
    record : dict
        As :func:`pipeline.formats.records.read_records` gives it.
    """
    profile = profile_of_record(record)
    try:
        x, states = lowest_states(profile, record["hbar"])
    except NotResolvedError:
        return None
    potential, (low, high) = profile(x), record["levels"]
    floor = profile.energies.min()
    low_enough = potential - floor < HEIGHT * (max(profile.energies.max(), high) - floor)
    inside = np.flatnonzero(low_enough | (np.abs(states) > SMALL * np.abs(states).max()).any(axis=1))
    shown = np.unique(np.linspace(inside[0], inside[-1], POINTS).astype(int))
    found = describe(record)
    return Wells(
        profile.lengths,
        profile.energies,
        x[shown],
        potential[shown],
        states[shown],
        (low, high),
        found["barrier"],
        found["asymmetry"],
        found["tunnelling_amplitude"],
    )


def _pair(record: dict[str, Any]) -> Pair:
    return Pair(record["conf"], record["i"], record["j"])


def draw_two_level_system(motion: Motion, wells: Wells, title: str, unit: Units) -> Picture:
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


def _draw_motion(ax: Axes, motion: Motion, unit: Units) -> pd.DataFrame:
    moved = largest_displacements(motion.displacements, FRACTION, ARROWS)
    spacing = float((motion.box.prod() / len(motion.positions)) ** (1 / 3))
    apart = motion.positions - motion.positions[moved[0]]
    places = minimum_image(apart, motion.box)
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
    return np.asarray(order[nearest[order] < reach][:NEIGHBOURS])


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
    shown: Any = {"facecolors": faces, "edgecolors": edges, "linestyles": styles, "linewidths": widths}
    shown |= {"offsets": places[order, :2], "offset_transform": ax.transData, "zorder": 2 + after}
    ax.add_collection(EllipseCollection(sizes[order], sizes[order], 0 * order, units="xy", **shown), autolim=False)


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


def main_axes(displacements: Array) -> Array:
    """Principal axes of some displacements: the first two span the plane that holds most of Σ |Δr|².

    Parameters
    ----------
    displacements : ndarray of shape (N, 3)
        In any unit.

    Returns
    -------
    ndarray of shape (3, 3)
        A row an axis, right-handed; along the first two the largest component is positive, whichever minimum is where.
    """
    _, axes = np.linalg.eigh(displacements.T @ displacements)
    axes = axes.T[::-1].copy()
    along = displacements @ axes[:2].T
    axes[:2] *= np.where(along[np.abs(along).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)[:, None]
    axes[2] = np.cross(axes[0], axes[1])
    return axes


def largest_displacements(displacements: Array, fraction: float, maximum: int) -> NDArray[np.int64]:
    """Indices of the particles that move at least a fraction of the longest way, the one that moves most first.

    Parameters
    ----------
    displacements : ndarray of shape (N, 3)
        In any unit.
    fraction : float
        Between 0 and 1.
    maximum : int
        Of particles.
    """
    lengths = np.linalg.norm(displacements, axis=1)
    order = np.argsort(-lengths, kind="stable")
    return np.asarray(order[lengths[order] >= fraction * lengths.max()][:maximum])
