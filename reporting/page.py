"""The report's page: text, tables, players and the steps' pictures, in one HTML file that loads nothing."""

import base64
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from pipeline.errors import UserError
from pipeline.formats.keys import labels_as_text
from reporting.style import DOTS

LARGEST = 2_000_000  # bytes of a page
DOTS_ON_PAGE = (110, 80, 55, 40, 25)  # dots per inch of its pictures: the first with which the page is not larger


def _links(paths: tuple[Path, ...]) -> Markup:
    """Links to those files that are there; where two have one name, their folders are named, too."""
    there = [path for path in dict.fromkeys(paths) if path.exists()]
    names = Counter(path.name for path in there)
    texts = [path.name if names[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in there]
    one = Markup('<a href="{}">{}</a>')
    return Markup(" · " if there else "") + Markup(", ").join(map(one.format, map(_address, there), texts))


def _address(path: Path) -> str:
    """Address of a file for ``href`` and ``src``: the whole path, which :func:`render` replaces."""
    return quote(path.absolute().as_posix())


def _numbers(rows: pd.DataFrame) -> str:
    """Classes that align the columns of numbers."""
    numeric = rows.apply(pd.to_numeric, errors="coerce").notna() == (rows.notna() & (rows != ""))
    return " ".join(f"r{k}" for k, name in enumerate(rows, 1) if numeric[name].all())


def _cell(value: object) -> Markup:
    if isinstance(value, float):
        return Markup("" if np.isnan(value) else f"{value:.4g}")
    return escape("" if value is None or value is pd.NA else value)


_FILES = PackageLoader("reporting", "")
_HTML = Environment(loader=_FILES, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_HTML.filters |= {"links": _links, "address": _address, "numbers": _numbers, "cell": _cell}


def _block(kind: str, *given: object) -> Markup:
    """A block of the page, by the macro of this name."""
    return Markup(getattr(_HTML.get_template("report.html.jinja").module, kind)(*given))


table = partial(_block, "table")  # title, rows of text and numbers (four significant digits), files that are linked
more = partial(_block, "more")  # title, blocks that are opened when wanted
viewer = partial(_block, "viewer")  # temperature, what is said, TLS that are played, still picture or None, their plane
text = Markup("<p>{}</p>").format  # a paragraph
missing = Markup('<p class="missing">{}</p>').format  # a paragraph on what is not there yet, and which step makes it
code = Markup("<pre>{}</pre>").format  # lines to be typed, or as a file has them


def picture_file(picture: Path) -> Path | None:
    """The file of a picture that a page can show; None where there is none."""
    return next((path for kind in (".png", ".svg") if (path := picture.with_suffix(kind)).exists()), None)


def figure(title: str, picture: Path, script: str, *others: Path, id: str = "") -> Markup:
    """A picture that a script wrote, with links to it, its numbers and others; or which script draws it."""
    if not (shown := picture_file(picture)):
        return missing(f"{title}: {script} draws it, as png or svg.")
    return _block("figure", title, shown, (*map(picture.with_suffix, (".png", ".svg", ".pdf", ".csv")), *others), id)


def with_labels(pairs: pd.DataFrame, decimals: int) -> pd.DataFrame:
    """Pairs with glass, i and j as text."""
    return labels_as_text(pairs, decimals).rename(columns={"conf": "glass"}).astype({"glass": str})


def render(title: str, said: str, sections: Mapping[str, Mapping[str, list[Markup]]], path: Path) -> str:
    """The page as HTML: title and said are its heading and the line below it, path is where it will stand.

    ``sections``: by their titles, blocks by the headings above them; without a heading where that is empty.
    """
    style, script = (Markup(_FILES.get_source(_HTML, f"report.{kind}")[0]) for kind in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = str(_block("page", title, said, sections, style, script, digest))
    folder = path.absolute().parent
    page = re.sub('(?<=href=")/[^"]*', lambda one: quote(os.path.relpath(unquote(one[0]), folder)), page)
    for dots in DOTS_ON_PAGE:
        whole = re.sub('(?<=src=")/[^"]*', partial(_source, dots=dots), page)
        if len(whole.encode()) < LARGEST:
            break
    return whole


def _source(address: re.Match[str], dots: int) -> str:
    """The picture of a file as a data URL, made smaller where it is a PNG."""
    path = Path(unquote(address[0]))
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
