"""A share of a run, as ``--share k/N`` names it."""

import argparse
import re
from typing import NamedTuple


class Share(NamedTuple):
    """The ``number``-th of so many ``parts``, from 1."""

    number: int
    parts: int

    @property
    def name(self) -> str:
        """As files carry it."""
        return f"{self.number}-of-{self.parts}"


def share_in_words(text: str) -> Share:
    """``2/8`` as it is given on the command line."""
    numbers = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if numbers is None or not 1 <= int(numbers[1]) <= int(numbers[2]):
        raise argparse.ArgumentTypeError(f"{text} is not allowed: it is k/N, such as 2/8, with k from 1 to N")
    return Share(int(numbers[1]), int(numbers[2]))
