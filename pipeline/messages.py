"""What a step says: lines, a bar while it works, a closing summary on a terminal, or one JSON object for scripts."""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import __version__

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

_BAR_AFTER, _DRAW_EVERY = 2.0, 0.2  # seconds: work that takes less has no bar; a bar is drawn again so often
LOG_EVERY = 60.0  # seconds between lines where there is no terminal


@dataclass
class _Said:
    """Messages of the step of this process, and how much of them is shown."""

    quiet: bool = False
    verbose: bool = False
    as_json: bool = False
    messages: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)  # shown together at the end, on a terminal
    unchanged: dict[str, list[str]] = field(default_factory=dict)  # temperatures by what is said of them
    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[Path, None] = field(default_factory=dict)  # files written, in their order
    shown: bool = False
    came_out: bool = False
    following: str | None = None


_said = _Said()


def begin(quiet: bool = False, verbose: bool = False, as_json: bool = False) -> None:
    """Begin a step that shows only results, or details too, or one JSON object."""
    global _said
    _said = _Said(quiet, verbose, as_json)


_PLURALS = {"glass": "glasses", "minimum": "minima", "s": "s"}


def counted(number: int, noun: str) -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{number} {noun if number == 1 else _PLURALS.get(noun, noun + 's')}"


def note(line: str, style: str = "") -> None:
    """Say something about the work, in a style of rich on a terminal; not with --quiet."""
    _said.messages += line.splitlines()
    if not _said.quiet and not _said.as_json:
        show(line, style)


note_once = cache(note)  # what comes up again and again


def detail(line: str) -> None:
    """Say something with -v."""
    _said.messages += line.splitlines()
    if _said.verbose and not _said.as_json:
        show(line)


def result(line: str) -> None:
    """Say what came out: on a terminal at the end, below a rule; else at once."""
    _said.messages += line.splitlines()
    _said.came_out = True
    if _said.as_json:
        return
    if sys.stdout.isatty():
        _said.results.append(line)
        _said.shown = True
    else:
        show(line)


def nothing_new(temperature: str, words: str) -> None:
    """Say at the end, in one line for all temperatures, that there was nothing to do."""
    _said.unchanged.setdefault(words, []).append(temperature)


def wrote(path: Path) -> None:
    """Keep the name of a file that was written, for -v and --json."""
    _said.files[path] = None


def record(temperature: str, **numbers: Any) -> None:
    """Keep numbers for --json."""
    _said.numbers.setdefault(temperature, {}).update(numbers)


def say_next(line: str) -> None:
    """Say at the end what to run next: a command to paste."""
    _said.following = line


def show(line: str, style: str = "") -> None:
    """Print a line, on a terminal broken between words."""
    _said.shown = True
    if sys.stdout.isatty():
        from rich.text import Text

        _terminal().print(Text(line, style))
    else:
        print(line, flush=True)


def end(script: str, status: int = 0, error: str | None = None) -> None:
    """Show what was kept for the end: results and what to run next, or the JSON object."""
    unchanged = [f"T = {', '.join(them)}: {words}" for words, them in _said.unchanged.items()]
    files = [str(path) for path in _said.files if not path.name.startswith(".") and path.exists()]
    if _said.as_json:
        shown = {
            "script": script,
            "version": __version__,
            "status": status,
            "nothing_new": bool(unchanged) and not _said.came_out,
            "temperatures": _said.numbers,
            "files": files,
            "messages": _said.messages + unchanged,
            "next": _said.following,
            "error": error,
        }
        print(json.dumps(shown, ensure_ascii=False, default=str))
        return
    following = [f"next: {_said.following}"] if _said.following else []
    for path in files if _said.verbose else []:
        show(f"wrote {path}")
    if unchanged and not _said.shown:
        print("; ".join(unchanged + following))  # whole, to paste from
    elif sys.stdout.isatty() and (_said.results or unchanged or following):
        from rich.rule import Rule
        from rich.text import Text

        console = _terminal()
        console.print(Rule(Text(script), align="left", style="dim"))
        for line in _said.results + unchanged:  # nothing stands beside them, so that they can be copied
            console.print(Text(line))
        for line in following:
            console.print(Text(line, "bold"), soft_wrap=True)
        console.print(Rule(style="dim"))
    else:
        for line in unchanged + following:
            show(line)


def _terminal(stderr: bool = False) -> "Console":
    """The terminal to print on; with NO_COLOR nothing is bold or dim either."""
    from rich.console import Console  # here, as it takes longer to load than most work does

    return Console(stderr=stderr, highlight=stderr, color_system=None if os.environ.get("NO_COLOR") else "auto")


class Progress:
    """Bar on stderr that shows up after two seconds and leaves nothing behind; without a terminal, a line a minute.

    Counts ``jobs`` as one iterates over it, or calls of ``update``; ``total``: default the length of ``jobs``. ``n`` is
    what has been done so far.
    """

    def __init__(
        self, jobs: Iterable[Any] | None = None, *, desc: str, total: float | None = None, unit: str = "job"
    ) -> None:
        self.n = 0.0
        self._jobs = () if jobs is None else jobs
        self._total = len(jobs) if total is None and isinstance(jobs, Sized) else total
        self._desc, self._unit = desc, _PLURALS.get(unit, f"{unit}s")
        self._started = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._draw_at = self._started + (_BAR_AFTER if self._terminal else LOG_EVERY)
        self._bar: Bar | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __iter__(self) -> Iterator[Any]:
        with self:
            for job in self._jobs:
                yield job
                self.update()

    def update(self, number: float = 1) -> None:
        """Count what has been done."""
        self.n += number
        now = time.monotonic()
        if now < self._draw_at or _said.quiet or _said.as_json:
            return
        of = "" if self._total is None else f" of {self._total:.0f}"
        done = f"{self.n:.0f}{of} {self._unit}"
        if not self._terminal:
            self._draw_at = now + LOG_EVERY
            passed = now - self._started
            left = f", {_clock(passed * (self._total / self.n - 1))} left" if self._total and self.n else ""
            note(f"{self._desc}: {done}, {_clock(passed)} passed{left}")
            return
        self._draw_at = now + _DRAW_EVERY
        if self._bar is None:
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            fields = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"))
            # No thread draws, and the streams stay as they are: workers may be forked meanwhile.
            own: dict[str, Any] = {"auto_refresh": False, "redirect_stdout": False, "redirect_stderr": False}
            self._bar = Bar(*fields, TimeRemainingColumn(), console=_terminal(stderr=True), transient=True, **own)
            self._bar.add_task(self._desc, total=self._total, done=done)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=self.n, done=done)
        self._bar.refresh()

    def write(self, line: str, style: str = "") -> None:
        """Say a line above the bar; see :func:`note`."""
        if self._bar is not None and sys.stdout.isatty():
            from rich.text import Text

            self._bar.console.print(Text(line, style))
        else:
            note(line, style)


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds; hours only where there are any."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    return f"{minutes:02d}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
