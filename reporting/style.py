"""The style of all pictures: colours, fonts, axes, legends; and the files that a picture becomes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from pipeline.files import atomic_write
from pipeline.settings import Settings

# Okabe and Ito's palette, told apart by every common kind of colour vision.
BLUE, ORANGE, GREEN, YELLOW, GREY = "#0072B2", "#D55E00", "#009E73", "#F0E442", "#767676"
PURPLE, SKY, AMBER = "#CC79A7", "#56B4E9", "#E69F00"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER)  # in turn
SPECIES = (BLUE, GREEN, PURPLE, SKY, AMBER)  # colours of particles
LINES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (PURPLE, ":"), ("black", (0, (5, 1, 1, 1, 1, 1))), (GREY, "-"))
"""Colour and line of the temperatures in turn, the coldest first."""

DOTS = 200  # per inch, of a PNG

STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 10,
    "figure.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.8,
    "pdf.fonttype": 42,  # journals refuse Type 3 fonts, matplotlib's default
    "svg.fonttype": "none",  # text, which can be edited, and half as large as outlines
}


class Picture(NamedTuple):
    """A figure and the numbers it shows, None where these have a file already."""

    figure: Figure
    numbers: pd.DataFrame | None

    def save(self, path: Path, formats: Sequence[str]) -> list[Path]:
        """Write the figure in each format (png, pdf, svg), and its numbers as CSV beside it; all files written."""
        written = [path.with_suffix(f".{name}") for name in formats]
        for target, name in zip(written, formats, strict=True):
            with matplotlib.rc_context(STYLE), atomic_write(target) as part:
                self.figure.savefig(part, format=name, bbox_inches="tight")
        if self.numbers is not None:
            written.append(path.with_suffix(".csv"))
            with atomic_write(written[-1]) as part:
                self.numbers.to_csv(part, index=False)
        return written


@contextmanager
def panels(
    width: float, height: float, rows: int = 1, columns: int = 1, title: str = "", **how: Any
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of so many inches and its panels, row by row, to be drawn into within the block.

    After it, legends stand below the panels that have names and none yet, and logarithmic axes get their ticks.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=DOTS)
        axes = figure.subplots(rows, columns, squeeze=False, **how).ravel().tolist()
        if title:
            figure.suptitle(title)
        yield figure, axes
        for ax in axes:
            for axis in (of for one in (ax, *ax.child_axes) for of in (one.xaxis, one.yaxis)):
                low, high = (ax.xaxis if axis.axis_name == "x" else ax.yaxis).get_view_interval()
                if axis.get_scale().endswith("log"):  # powers of ten alone are labelled, 1, 2 and 5 where it is short
                    axis.set_minor_formatter(NullFormatter())
                    if high < 40 * low:
                        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            if not figure.legends and not ax.get_legend() and ax.get_legend_handles_labels()[0]:
                ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17))  # below the axis's label, on no data


def name_energy(ax: Axes, axis: str, quantity: str, settings: Settings, in_kelvin: bool = True) -> None:
    """Name the x or y axis, with the unit of energy and a second axis in kelvin; once its scale is set."""
    ax.set(**{f"{axis}label": f"{quantity} ({settings.unit.energy})"})
    if in_kelvin:
        size = settings.neb.epsilon
        ways = (lambda energy: energy * size, lambda kelvin: kelvin / size)
        add: Any = ax.secondary_xaxis if axis == "x" else ax.secondary_yaxis
        add("top" if axis == "x" else "right", functions=ways).set(**{f"{axis}label": "K"})


def whole_numbers(*axes: Any) -> None:
    """Ticks at whole numbers only."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator(integer=True))


def shade_tls(ax: Axes, low: float, what: str, settings: Settings) -> None:
    """Mark the splittings of TLS on the x axis, from ``low`` on."""
    label = f"TLS: {what} < {settings.tls_threshold:g} {settings.unit.energy}"
    ax.axvspan(low, settings.tls_threshold, color=YELLOW, alpha=0.35, lw=0, label=label)


def write_in_panel(ax: Axes, text: str) -> None:
    """Text in the middle of a panel that has nothing to show."""
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes)
    ax.set(xticks=[], yticks=[])
