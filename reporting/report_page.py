"""The report's page: blocks of text, tables and figures, and how they become one HTML file that loads nothing."""

import base64
import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reporting.plots import Picture

ROOM = 1_300_000
"""Bytes for figures, so that with its tables the page stays below 2 MB."""

LARGE, DOTS = 200_000, 110
"""A figure of more bytes as SVG becomes a PNG of so many dots an inch."""

BROAD = 500
"""pt; a figure that is broader is not made small on a phone."""

Link = tuple[str, str]
"""Where a link leads, seen from the page, and its text."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Missing:
    """What is not there yet, and which step makes it."""

    text: str
    kind: ClassVar[str] = "missing"


@dataclass(frozen=True)
class Code:
    """Lines to be typed, or as a file has them."""

    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Figure:
    """A figure within the page."""

    name: str
    """Its own on the page."""
    title: str
    image: Markup | None
    """None where there was no room."""
    links: list[Link] = field(default_factory=list)
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Table:
    """Rows of text; a row may open a figure."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    links: list[Link] = field(default_factory=list)
    sorts: bool = False
    pictures: dict[int, Figure] = field(default_factory=dict)
    """By row."""
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class More:
    """Blocks that are opened when wanted."""

    title: str
    blocks: Sequence["Block"]
    kind: ClassVar[str] = "more"


Block = Text | Missing | Code | Figure | Table | More


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it for each temperature."""

    title: str
    parts: dict[str, list[Block]]
    together: list[Block] = field(default_factory=list)
    """Above them, what is of all temperatures."""


class Figures:
    """Figures for one page, as long as there is room.

    Parameters
    ----------
    page : Path
        The page, from which links lead to the figures' files.
    """

    def __init__(self, page: Path) -> None:
        self._folder = page.parent
        self._left = ROOM

    def links(self, *paths: Path) -> list[Link]:
        """Links to those files that are there; where two have one name, their folders are named, too."""
        there = [path for path in paths if path.exists()]
        names = Counter(path.name for path in there)
        texts = [path.name if names[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in there]
        return [
            (Path(os.path.relpath(path, self._folder)).as_posix(), text)
            for path, text in zip(there, texts, strict=True)
        ]

    def figure(self, picture: Picture, name: str, title: str, *files: Path) -> Figure:
        """Put a picture into the page.

        Parameters
        ----------
        picture : Picture
            What to show.
        name : str
            Its own on the page.
        title : str
            What is said below it and to those who can't see it.
        files : Path
            Its files, to link to.
        """
        image = svg_within_page(picture.svg(name), name, title)
        if len(image.encode()) > LARGE:
            content = base64.b64encode(picture.png(DOTS)).decode()
            image = Markup('<img alt="{}" src="data:image/png;base64,{}">').format(title, content)
        size = len(image.encode())
        if size > self._left:
            return Figure(name, title, None, self.links(*files))
        self._left -= size
        return Figure(name, title, image, self.links(*files))


def svg_within_page(svg: str, name: str, title: str) -> Markup:
    """An SVG of matplotlib made fit for a page with others: no name twice, nothing about the file, two decimals.

    Parameters
    ----------
    svg : str
        As matplotlib wrote it.
    name : str
        Stands before all names within it.
    title : str
        For those who can't see it.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (xmlns(:\w+)?|version)="[^"]*"', "", svg, flags=re.DOTALL).replace("xlink:href", "href")
    svg = re.sub(r"'DejaVu Sans', [^;\"]*sans-serif", "'DejaVu Sans', Verdana, sans-serif", svg)
    svg = re.sub(r' (d|x|y|transform|points|style)="[^"]*"', lambda found: _shorter(found[0]), svg, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{name}-", svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    kind = "broad" if float(re.findall(r'<svg[^>]* width="([\d.]+)', svg)[0]) > BROAD else "plain"
    return Markup(svg.replace("<svg", Markup('<svg role="img" class="{}" aria-label="{}"').format(kind, title), 1))


def _shorter(attribute: str) -> str:
    return re.sub(r"(\d\.\d\d)\d+", r"\1", attribute)


def render(title: str, said: str, sections: Sequence[Section]) -> str:
    """The page as HTML.

    Parameters
    ----------
    title, said : str
        Its heading and the line below it.
    sections : sequence of Section
        In their order.
    """
    templates = Environment(
        loader=PackageLoader("reporting", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["fingerprint"] = _fingerprint
    page = templates.get_template("report.html.jinja")
    return page.render(title=title, said=said, sections=sections) + "\n"


def _fingerprint(script: str) -> str:
    """By which the page's policy knows its own script."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def number(value: float, digits: int = 4) -> str:
    """For a cell: so many significant digits; empty where unknown."""
    return "" if value != value else f"{value:.{digits}g}"  # NaN only is not itself
