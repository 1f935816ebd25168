"""The arguments of all scripts: those that they share, the types of those of their own, and how --help shows them."""

import argparse
import math
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from pipeline import __version__
from pipeline.errors import UserError
from pipeline.workspace import Share

Options = Callable[[argparse.ArgumentParser], None]  # adds the options of a script
Number = TypeVar("Number", int, float)


def whole_number(minimum: int, maximum: int = 10**18) -> Callable[[str], int]:
    """The type of an option of a script: a whole number in a range."""
    allowed = f"{minimum} or more" if maximum == 10**18 else f"from {minimum} to {maximum}"
    form = r"[+-]?[0-9]{1,18}"
    return lambda text: _number(text, int, form, lambda one: minimum <= one <= maximum, f"a whole number, {allowed}")


def above_zero(maximum: float = math.inf) -> Callable[[str], float]:
    """The type of an option of a script: a number above zero, up to a maximum."""
    allowed = "a number above zero" + f", {maximum:g} or less" * (maximum < math.inf)
    form = r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?"
    return lambda text: _number(text, float, form, lambda one: 0 < one <= maximum, allowed)


def _number(
    text: str, kind: Callable[[str], Number], form: str, fits: Callable[[Number], bool], allowed: str
) -> Number:
    """The number that a text stands for, if it has this form and fits."""
    if not re.fullmatch(form, text) or not fits(kind(text)):
        raise argparse.ArgumentTypeError(f"{text} is not allowed: it is {allowed}")
    return kind(text)


def existing_file(text: str) -> Path:
    """The type of an option of a script: a file that is there."""
    if not Path(text).exists():
        raise argparse.ArgumentTypeError(f"{text}: no such file")
    return Path(text)


def share_in_words(text: str) -> Share:
    """The type of an option of a script: a share of a run, such as ``2/8``."""
    numbers = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if numbers is None or not 1 <= int(numbers[1]) <= int(numbers[2]):
        raise argparse.ArgumentTypeError(f"{text} is not allowed: it is k/N, such as 2/8, with k from 1 to N")
    return Share(int(numbers[1]), int(numbers[2]))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}; see --help")


class _Help(argparse.HelpFormatter):
    """Wrap a script's docstring to the width: paragraphs as a whole, its tables of files row by row."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(self._paragraph(one, width, indent) for one in text.strip().split("\n\n"))

    @staticmethod
    def _paragraph(text: str, width: int, indent: str) -> str:
        if not re.match(r"(Reads|Writes|Example)  ", text):
            return textwrap.fill(" ".join(text.split()), width, initial_indent=indent, subsequent_indent=indent)
        rows = text.replace("\n" + " " * 11, " ").splitlines()  # so far a row's second line is indented
        return "\n".join(textwrap.fill(row, width, subsequent_indent=" " * 11, break_on_hyphens=False) for row in rows)


def make_parser(description: str | None, options: Options | None) -> _Parser:
    """Parser of what all scripts share and of a script's own options; ``description`` is the script's docstring."""
    parser = _Parser(description=description, formatter_class=_Help, add_help=False)
    if options is not None:
        options(parser)
    which = parser.add_argument_group("which data")
    which.add_argument(
        "-T",
        "--temperature",
        action="append",
        type=lambda text: text.removeprefix("T"),
        default=[],
        metavar="T",
        help="temperature, as in the folder's name, with or without T; repeatable (default: all that have input)",
    )
    which.add_argument(
        "--workspace", type=Path, default=Path(), metavar="DIR", help="holds the data folders (default: this folder)"
    )
    which.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (default: config.yaml in the workspace, else our own)"
    )
    which.add_argument(
        "--wait", action="store_true", help="wait for another process that writes the same files (default: say who)"
    )
    shown = parser.add_argument_group("what is shown")
    much = shown.add_mutually_exclusive_group()
    much.add_argument("-q", "--quiet", action="store_true", help="only results and errors")
    much.add_argument("-v", "--verbose", action="store_true", help="also the files written")
    much.add_argument("--json", action="store_true", help="one JSON object on stdout, for scripts")
    shown.add_argument("-h", "--help", action="help", help="this")
    shown.add_argument("--version", action="version", version=f"tls-finder {__version__}", help="the version")
    return parser
