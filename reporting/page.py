"""The report's page: text, tables, players and the steps' pictures, in one HTML file that loads nothing."""

import base64
import hashlib
import io
import os
from collections import Counter
from collections.abc import Sequence
from functools import partial
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

LARGEST = 2_000_000  # bytes of a page
DOTS_ON_PAGE = (110, 80, 55, 40, 25)  # dots per inch of its pictures: the first with which the page is not larger


class Table(NamedTuple):
    """Rows of text and numbers (four significant digits; empty where unknown), with links to their files."""

    title: str
    rows: pd.DataFrame
    files: Sequence[Path] = ()


class Figure(NamedTuple):
    """A picture's file, what is said below it, and the files that are linked there."""

    path: Path
    title: str
    files: Sequence[Path]
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


Block = Markup | Table | Figure | Viewer | More


class Section(NamedTuple):
    """A heading, what stands below it of all temperatures, and of each."""

    title: str
    together: list[Block]
    parts: dict[str, list[Block]]


def text(said: str) -> Markup:
    """A paragraph."""
    return Markup("<p>{}</p>").format(said)


def missing(said: str) -> Markup:
    """A paragraph on what is not there yet, and which step makes it."""
    return Markup('<p class="missing">{}</p>').format(said)


def code(lines: str) -> Markup:
    """Lines to be typed, or as a file has them."""
    return Markup("<pre>{}</pre>").format(lines)


def figure(title: str, picture: Path, script: str, *others: Path, id: str = "") -> Block:
    """A picture that a script wrote, with links to it, its numbers and others; or which script draws it."""
    there = [path for suffix in (".png", ".svg") if (path := picture.with_suffix(suffix)).exists()]
    files = dict.fromkeys([*there, picture.with_suffix(".pdf"), picture.with_suffix(".csv"), *others])
    return Figure(there[0], title, [*files], id) if there else missing(f"{title}: {script} draws it, as png or svg.")


def with_labels(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs with glass, i and j as text."""
    names = {name: pairs[name].map("{:.12g}".format) for name in "ij"}
    return pairs.assign(conf=pairs["conf"].map("{:.0f}".format), **names).rename(columns={"conf": "glass"})


def render(title: str, said: str, sections: Sequence[Section], path: Path) -> str:
    """The page as HTML; title and said are its heading and the line below it, path is where it will stand."""
    loader = PackageLoader("reporting", "")
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style, script = (Markup(loader.get_source(templates, f"report.{kind}")[0]) for kind in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    templates.filters |= {"links": partial(_links, folder=path.parent), "cell": _cell, "numbers": _columns_of_numbers}
    parts = {"style": style, "script": script, "digest": digest, "title": title, "said": said, "sections": sections}
    page = ""
    for dots in DOTS_ON_PAGE:
        templates.filters["source"] = partial(_source, dots=dots)
        page = templates.get_template("report.html.jinja").render(**parts) + "\n"
        if len(page.encode()) < LARGEST:
            break
    return page


def _links(paths: Sequence[Path], folder: Path) -> Markup:
    """Links to those files that are there; where two have one name, their folders are named, too."""
    there = [path for path in paths if path.exists()]
    names = Counter(path.name for path in there)
    texts = [path.name if names[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in there]
    addresses = [quote(Path(os.path.relpath(path, folder)).as_posix()) for path in there]
    one = Markup('<a href="{}">{}</a>')
    return Markup(" · " if there else "") + Markup(", ").join(map(one.format, addresses, texts))


def _columns_of_numbers(rows: pd.DataFrame) -> str:
    """Classes that align the columns of numbers."""
    numeric = rows.apply(pd.to_numeric, errors="coerce").notna() == (rows.notna() & (rows != ""))
    return " ".join(f"r{k}" for k, name in enumerate(rows, 1) if numeric[name].all())


def _cell(value: object) -> Markup:
    if isinstance(value, float):
        return Markup("" if np.isnan(value) else f"{value:.4g}")
    return escape("" if value is None or value is pd.NA else value)


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
