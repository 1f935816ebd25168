"""A picture of each TLS that was calculated, in ``pictures/``: the particles that move, beside its two levels."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from glass.arrays import Array
from pipeline import __version__
from pipeline.formats.keys import PAIR_COLUMNS, Pair, by_pair
from pipeline.formats.path_images import path_file
from pipeline.matching import spacing
from pipeline.messages import Progress, counted
from pipeline.settings import Settings
from pipeline.stamps import made_from, mark_made, up_to_date
from pipeline.units import Units
from pipeline.workspace import QS, StatePoint
from reporting.motion import Motion, cluster_of_motion, motion_of_job
from reporting.profiles import Wells, amplitude_in_words, draw_potential, name_axes, wells_of_record
from reporting.style import GREEN, GREY, ORANGE, Picture, panels
from search.calculated import read_double_wells, records_of
from search.exact import jobs_of

DRAWN = 50  # largest number of TLS that get a picture, those with the smallest splittings
SIZE = 0.6  # circles have this fraction of the particles' diameters, or they would hide each other
VISIBLE = 0.3  # arrows are magnified where the longest is shorter than this many mean spacings
FACTORS = (1, 2, 5, 10, 20, 50, 100)
NARROWEST = 2.0  # the picture reaches at least this many mean spacings to each side


def update_pictures(at: StatePoint, settings: Settings) -> tuple[int, int]:
    """Make the pictures that are missing or old, remove those of others; how many were made, and how many there are."""
    table = read_double_wells(at)
    tls = table[table[QS] < settings.tls_threshold].head(DRAWN)
    pairs = [Pair(*row) for row in tls[PAIR_COLUMNS].itertuples(index=False)]
    found = zip(pairs, records_of(at, tls), strict=True)
    known = {path_file(at, pair).stem: record for pair, record in found if record}
    for path in at.tls_pictures.glob("Cnf-*.*"):
        if not path.name.startswith(tuple(f"{name}." for name in known)):
            path.unlink()
            path.with_name(f".{path.name}.made-from.json").unlink(missing_ok=True)
    made, there, kelvin = 0, 0, settings.neb.epsilon
    for name, record in Progress(known.items(), desc=f"T = {at.temperature}: pictures of TLS", unit="picture"):
        targets = [at.tls_pictures / f"{name}.{kind}" for kind in (*settings.figures, "csv")]
        inputs = made_from([], levels=record["levels"], units=[settings.units, kelvin], program=__version__)
        if not up_to_date(targets, inputs):
            picture = _picture_of_record(at, record, settings)
            if picture is None:
                continue
            picture.save(targets[0], settings.figures)
            mark_made(targets, inputs)
            made += 1
        there += 1
    return made, there


def _picture_of_record(at: StatePoint, record: dict[str, Any], settings: Settings) -> Picture | None:
    """The picture of one double well; None where its minima or its levels are not known any more."""
    jobs, _ = jobs_of(at, by_pair(pd.DataFrame([record], columns=PAIR_COLUMNS), at.decimals))
    wells = wells_of_record(record)
    motion = motion_of_job(jobs[0]) if jobs else None
    if wells is None or motion is None:
        return None
    screened = "" if record["fidelity"] == "full" else ", screened"
    return draw_two_level_system(motion, wells, jobs[0].pair.text(at.decimals) + screened, settings)


def draw_two_level_system(motion: Motion, wells: Wells, title: str, settings: Settings) -> Picture:
    """The particles that move, on the plane in which they move most, beside V with levels and wavefunctions."""
    with panels(10.4, 5.2, 1, 2, title, width_ratios=(1, 1.05)) as (figure, (atoms, profile)):
        particles = _draw_motion(atoms, motion, settings.unit)
        curve = _draw_wells(profile, wells, settings)
    return Picture(figure, pd.concat([particles, curve], ignore_index=True))


def _draw_motion(ax: Axes, motion: Motion, unit: Units) -> pd.DataFrame:
    shown, apart = cluster_of_motion(motion), spacing(motion.minimum)
    drawn, moves = shown.particles, np.arange(len(shown.particles)) < shown.moving
    before, steps = shown.places @ shown.axes.T, motion.displacements[drawn] @ shown.axes.T
    sizes = SIZE * shown.diameters
    reach = 0.55 * sizes[:, None]  # a little more than half a circle
    low = np.minimum(before, before + steps)[:, :2] - reach
    high = np.maximum(before, before + steps)[:, :2] + reach
    middle = (low.min(axis=0) + high.max(axis=0)) / 2
    half = max(NARROWEST * apart, *(high.max(axis=0) - low.min(axis=0)) / 2)
    ax.set(xlim=middle[0] + half * np.array([-1, 1]), ylim=middle[1] + half * np.array([-1, 1]), aspect="equal")
    ax.set_axis_off()
    colors = [shown.colors[name] for name in shown.species]
    nearness = (before[:, 2] - before[:, 2].min()) / max(float(np.ptp(before[:, 2])), 1e-12)  # 0: back, 1: front
    for places, after in ((before, False), (before + steps, True)):
        _draw_circles(ax, places, sizes, colors, moves, nearness, after)
    longest = np.linalg.norm(steps[moves, :2], axis=1).max()
    factor = next((one for one in FACTORS if one * longest >= VISIBLE * apart), FACTORS[-1])
    arrows = factor * steps[moves, :2]
    ax.quiver(*before[moves, :2].T, *arrows.T, angles="xy", scale_units="xy", scale=1, width=0.006, zorder=5)
    _draw_scale(ax, 2 * half, unit)
    carried = 100 * (steps[moves] ** 2).sum() / (motion.displacements**2).sum()
    arrows_are = "the motion" if factor == 1 else f"{factor} times the motion"
    diameters = motion.minimum.diameters
    circles_are = f"{SIZE:g} {'diameters' if np.ptp(diameters) else 'mean spacings'}"
    title = f"{counted(shown.moving, 'particle')} with {carried:.0f} % of Σ|Δr|²"
    ax.set_title(f"{title}\narrows: {arrows_are}; circles: {circles_are}")
    _name_circles(ax, shown.colors)
    named: dict[str, Any] = {"part": "particle", "particle": motion.minimum.system.particle_ids[drawn]}
    numbers = {**named, "species": shown.species, "moves": moves}
    columns = ["x", "y", "z", "dx", "dy", "dz", "across", "up", "depth"]
    values = np.hstack([shown.places, motion.displacements[drawn], before])
    return pd.DataFrame({**numbers, "diameter": diameters[drawn], **dict(zip(columns, values.T, strict=True))})


def _draw_circles(
    ax: Axes, places: Array, sizes: Array, colors: list[str], moves: NDArray[np.bool_], nearness: Array, after: bool
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


def _draw_scale(ax: Axes, width: float, unit: Units) -> None:
    decade = 10 ** np.floor(np.log10(0.3 * width))
    length = decade * max(one for one in (1, 2, 5) if one * decade <= 0.3 * width)
    left, bottom = ax.get_xlim()[0], ax.get_ylim()[0]
    ax.plot([left, left + length], [bottom, bottom], color="black", lw=4, clip_on=False, solid_capstyle="butt")
    ax.text(left, bottom + 0.015 * width, f"{length:g} {unit.length}", va="bottom", ha="left")


def _name_circles(ax: Axes, kinds: dict[str, str]) -> None:
    marks: dict[str, tuple[Any, str]] = {"first minimum": ("none", ORANGE)}
    for name, color in kinds.items():
        marks["second minimum" if len(kinds) == 1 else f"second minimum, {name}"] = (to_rgba(color, 0.6), color)
    marks["others"] = ("#eeeeee", GREY)
    circles = [Line2D([], [], marker="o", ls="", ms=9, mfc=face, mec=edge) for face, edge in marks.values()]
    ncols = 3 if len(kinds) == 1 else 2
    ax.legend(circles, marks, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=ncols)


def _draw_wells(ax: Axes, wells: Wells, settings: Settings) -> pd.DataFrame:
    energy = settings.unit.energy
    top = max(wells.energies.max(), wells.levels[1])
    states = wells.states * np.sign(wells.states[np.abs(wells.states).argmax(axis=0), [0, 1]])
    drawn = 0.22 * top / np.abs(states).max() * states + wells.levels
    draw_potential(ax, wells)
    for k, (color, line) in enumerate(((ORANGE, "-"), (GREEN, "--"))):
        ax.axhline(wells.levels[k], color=color, ls=line, lw=0.8)
        ax.plot(wells.x, drawn[:, k], color=color, ls=line, label=f"level E{'₀₁'[k]} and its wavefunction")
    ax.set_title(
        f"splitting E₁ − E₀ = {wells.splitting:.3g} {energy} = {wells.splitting * settings.neb.epsilon:.3g} K, "
        f"{amplitude_in_words(wells.tunnelling_amplitude, settings.unit)}\n"
        f"barrier {wells.barrier:.3g} {energy}, asymmetry {wells.asymmetry:.3g} {energy}"
    )
    ax.set(xlim=(wells.x[0], wells.x[-1]), ylim=(min(0.0, drawn.min()) - 0.05 * top, 1.2 * top))
    name_axes(ax, settings)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)
    curve = {"path_length": wells.x, "V": wells.potential, "state_0": states[:, 0], "state_1": states[:, 1]}
    levels = {f"level_{k}": wells.levels[k] for k in range(2)}
    images = {"path_length": wells.lengths, "V": wells.energies}
    return pd.concat([pd.DataFrame({"part": "curve", **curve, **levels}), pd.DataFrame({"part": "image", **images})])
