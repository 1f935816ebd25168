"""The arguments of all scripts: those that they share, the types of those of their own, and how --help shows them."""

import argparse
import math
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from pipeline import __version__
from pipeline.errors import UserError
from pipeline.workspace import Share

Options = Callable[[argparse.ArgumentParser], None]  # adds the options of a script


def whole_number(minimum: int, maximum: int = 10**18) -> Callable[[str], int]:
    """The type of an option of a script: a whole number in a range."""

    def number(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not minimum <= int(text) <= maximum:
            allowed = f"{minimum} or more" if maximum == 10**18 else f"from {minimum} to {maximum}"
            raise argparse.ArgumentTypeError(f"{text} is not allowed: it is a whole number, {allowed}")
        return int(text)

    return number


def above_zero(maximum: float = math.inf) -> Callable[[str], float]:
    """The type of an option of a script: a number above zero, up to a maximum."""

    def number(text: str) -> float:
        form = r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?"
        if not re.fullmatch(form, text) or not 0 < float(text) <= maximum:
            allowed = "a number above zero" + f", {maximum:g} or less" * (maximum < math.inf)
            raise argparse.ArgumentTypeError(f"{text} is not allowed: it is {allowed}")
        return float(text)

    return number


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
        parts = text.strip().split("\n\n")
        for k, part in enumerate(parts):
            if re.match(r"(Reads|Writes|Example)  ", part):
                rows = part.replace("\n" + " " * 11, " ").splitlines()  # so far a row's second line is indented
                parts[k] = "\n".join(
                    textwrap.fill(row, width, subsequent_indent=" " * 11, break_on_hyphens=False) for row in rows
                )
            else:
                parts[k] = textwrap.fill(" ".join(part.split()), width)
        return "\n\n".join(parts)


def parse_command_line(description: str | None, options: Options | None) -> argparse.Namespace:
    """Values of what all scripts share and of a script's own options; ``description`` is the script's docstring."""
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
    for word in sys.argv[1:]:
        if word.startswith("-") and word.endswith("--") and word != "--":  # argparse takes -T=-- for no value at all
            parser.error(f"{word}: gives no value")
    return parser.parse_args()
