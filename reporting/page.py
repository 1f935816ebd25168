"""The report's page: text, tables, players and the steps' pictures, in one HTML file that loads nothing."""

import base64
import hashlib
import io
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from pipeline.errors import UserError
from reporting.style import DOTS

LARGEST = 2_000_000
"""Bytes of a page."""

DOTS_ON_PAGE = (110, 80, 55, 40, 25)
"""Dots per inch of its pictures: the first with which the page is not larger."""


NARROW = 8
"""Tables with this number of columns, or fewer, stand beside pictures."""


class Figure(NamedTuple):
    """A picture's file, what is said below it, and links to it and to its numbers."""

    path: Path
    title: str
    links: Markup
    id: str = ""


class Viewer(NamedTuple):
    """TLS that are played, the plane in which they lie, and the first as a still picture."""

    temperature: str
    said: str
    data: list[dict[str, Any]]
    still: Figure | None
    plane: Markup


class More(NamedTuple):
    """Blocks that are opened when wanted."""

    title: str
    blocks: Sequence["Block"]


Block = Markup | Figure | Viewer | More


class Section(NamedTuple):
    """A heading, what stands below it of all temperatures, and of each."""

    title: str
    together: list[Block]
    parts: dict[str, list[Block]]


def text(said: str) -> Markup:
    """A paragraph."""
    return Markup("<p>{}</p>").format(said)


def missing(said: str) -> Markup:
    """What is not there yet, and which step makes it."""
    return Markup('<p class="missing">{}</p>').format(said)


def code(lines: str) -> Markup:
    """Lines to be typed, or as a file has them."""
    return Markup("<pre>{}</pre>").format(lines)


class Page:
    """What knows from where links lead.

    Parameters
    ----------
    path : Path
        Of the page.
    """

    def __init__(self, path: Path) -> None:
        self._folder = path.parent

    def links(self, *paths: Path) -> Markup:
        """Links to those files that are there; where two have one name, their folders are named, too."""
        there = [path for path in paths if path.exists()]
        names = Counter(path.name for path in there)
        texts = [path.name if names[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in there]
        addresses = [quote(Path(os.path.relpath(path, self._folder)).as_posix()) for path in there]
        one = Markup('<a href="{}">{}</a>')
        return Markup(", ").join(one.format(*link) for link in zip(addresses, texts, strict=True))

    def table(self, title: str, rows: pd.DataFrame, *files: Path) -> Markup:
        """Rows of text and numbers (four significant digits; empty where unknown), with links to their files."""
        numbers = (f"r{k}" for k, name in enumerate(rows, 1) if _is_numeric(rows[name]))
        head = Markup("").join(Markup("<th>{}</th>").format(name) for name in rows)
        lines = ("".join(f"<td>{_cell(one)}</td>" for one in row) for row in rows.itertuples(index=False))
        body = Markup("\n".join(f"<tr>{line}</tr>" for line in lines))
        said = Markup('<table class="{}"><thead><tr>{}</tr></thead><tbody>\n{}</tbody></table>')
        table = said.format(" ".join(numbers), head, body)
        above = Markup(" · ").join(filter(None, [title, self.links(*files)]))
        scrolls = Markup('<div class="scroll" tabindex="0" role="group" aria-label="{}">{}</div>').format(title, table)
        kind = "picture" if len(rows.columns) <= NARROW else "wide"
        return Markup('<figure class="{}"><figcaption>{}</figcaption>{}</figure>').format(kind, above, scrolls)

    def figure(self, title: str, picture: Path, script: str, *others: Path, id: str = "") -> Block:
        """A picture that a script wrote, with links to it, its numbers and others; or which script draws it."""
        there = [path for suffix in (".png", ".svg", ".pdf") if (path := picture.with_suffix(suffix)).exists()]
        if not there:
            return missing(f"{title}: {script} draws it.")
        links = self.links(*there, picture.with_suffix(".csv"), *others)
        if there[0].suffix == ".pdf":
            said = Markup("<p>{}: {}. With png or svg in figures of config.yaml, it is shown here.</p>")
            return said.format(title, links)
        return Figure(there[0], title, links, id)


def with_labels(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same with glass, i and j as text that names a pair."""
    names = {name: pairs[name].map("{:.12g}".format) for name in "ij"}
    return pairs.assign(conf=pairs["conf"].map("{:.0f}".format), **names).rename(columns={"conf": "glass"})


def tiles(rows: Sequence[tuple[str, str, str]]) -> Markup:
    """Numbers to be seen at once: what each is, its value, and a note."""
    one = Markup("<li><span>{}</span><b>{}</b><span>{}</span></li>")
    return Markup('<ul class="tiles">{}</ul>').format(Markup("").join(one.format(*row) for row in rows))


def _is_numeric(cells: pd.Series) -> bool:
    return bool(pd.to_numeric(cells, errors="coerce").notna().eq(cells.notna() & cells.ne("")).all())


def _cell(value: object) -> Markup:
    if isinstance(value, float):
        return Markup("" if np.isnan(value) else f"{value:.4g}")
    return escape("" if value is None or value is pd.NA else value)


def render(title: str, said: str, sections: Sequence[Section]) -> str:
    """The page as HTML; title and said are its heading and the line below it."""
    templates = Environment(
        loader=PackageLoader("reporting", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folder = Path(__file__).parent
    style, script = (folder.joinpath(f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {"style": Markup(style), "script": Markup(script), "digest": digest}
    page = ""
    for dots in DOTS_ON_PAGE:
        templates.filters["source"] = lambda path, dots=dots: _source(path, dots)
        template = templates.get_template("report.html.jinja")
        page = template.render(title=title, said=said, sections=sections, **parts) + "\n"
        if len(page.encode()) < LARGEST:
            break
    return page


def _source(path: Path, dots: int) -> str:
    """The picture of a file as a data URL, made smaller where it is a PNG."""
    if path.suffix == ".svg":
        return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
    content = io.BytesIO()
    try:
        with Image.open(path) as image:
            size = [max(1, round(length * dots / DOTS)) for length in image.size]
            image.convert("RGB").resize(size, Image.Resampling.LANCZOS).quantize(64).save(content, "png", optimize=True)
    except OSError:
        raise UserError(f"{path}: no picture; remove it and run the script that draws it") from None
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
