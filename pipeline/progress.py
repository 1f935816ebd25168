"""Progress of long work: a bar on a terminal, a line now and then in a log file."""

import io
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

LOG_EVERY = 60.0
"""s; where there is no terminal, a line is printed at such intervals."""


_PLURALS = {"glass": "glasses", "minimum": "minima"}


class _LogLines(io.TextIOBase):
    """What tqdm would draw over and over, as lines of their own on stdout."""

    def write(self, text: str) -> int:
        if line := text.strip():
            print(line, flush=True)
        return len(text)


def progress(
    jobs: Iterable[Any] | None = None, *, desc: str, total: float | None = None, unit: str = "it", **options: Any
) -> "tqdm[Any]":
    """Progress bar that shows up after two seconds and leaves nothing behind.

    Without a terminal it prints a line every ``LOG_EVERY`` seconds instead.

    Parameters
    ----------
    jobs : iterable, optional
        What to count; without it, call ``update``.
    desc, unit : str
        What is being done, and to what.
    total : float, optional
        How much there is to do.
    **options
        For tqdm.
    """
    shown: dict[str, Any] = {"desc": desc, "total": total, "unit": unit, "unit_scale": True, "leave": False, **options}
    if sys.stderr.isatty():
        return tqdm(jobs, delay=2, **shown)
    if "bar_format" not in options:
        known = "{n:.0f} of {total:.0f}" if total is not None or hasattr(jobs, "__len__") else "{n:.0f}"
        several = _PLURALS.get(unit, f"{unit}s")
        shown["bar_format"] = f"{{desc}}: {known} {several}, {{elapsed}} passed, {{remaining}} left"
    return tqdm(jobs, file=_LogLines(), delay=LOG_EVERY, mininterval=LOG_EVERY, miniters=1, **shown)
