"""Which files stand in the folder of a glass; what is in them, :mod:`pipeline.formats.minima` knows."""

from collections.abc import Sequence
from pathlib import Path

RELAXED = "relaxed.csv"
"""What relax_minima.py says of the minima beside it."""


def minimum_paths(folder: Path) -> list[Path]:
    """All files of a glass but hidden ones, sorted by name; whether they are minima is told when they are read."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name != RELAXED)


def inputs_of(files: Sequence[Path]) -> list[Path]:
    """All that decides which minima a glass has: its files, and what relax_minima.py says of them."""
    return [*files, *(path for path in (files[0].parent / RELAXED,) if path.exists())]
