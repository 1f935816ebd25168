"""Progress of long work: a bar on a terminal, a line now and then in a log file."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TYPE_CHECKING, Any

from pipeline.messages import note, plural, shows_progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_BAR_AFTER, _DRAW_EVERY = 2.0, 0.2  # seconds: work that takes less has no bar; a bar is drawn again so often
LOG_EVERY = 60.0  # seconds between lines where there is no terminal


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
        self._desc, self._unit = desc, plural(unit)
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
        if now < self._draw_at or not shows_progress():
            return
        if not self._terminal:
            self._draw_at = now + LOG_EVERY
            note(self._line(now - self._started))
            return
        self._draw_at = now + _DRAW_EVERY
        if self._bar is None:
            self._bar = self._started_bar()
        self._bar.update(self._bar.task_ids[0], completed=self.n, done=self._done())
        self._bar.refresh()

    def write(self, line: str, style: str = "") -> None:
        """Say a line above the bar; see :func:`pipeline.messages.note`."""
        if self._bar is not None and sys.stdout.isatty():
            from rich.text import Text

            self._bar.console.print(Text(line, style))
        else:
            note(line, style)

    def _started_bar(self) -> "Bar":
        from rich.console import Console  # here, as it takes longer to load than most work does
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TimeRemainingColumn(),
        )
        # No thread draws, and the streams stay as they are: workers may be forked meanwhile.
        own: dict[str, Any] = {"auto_refresh": False, "redirect_stdout": False, "redirect_stderr": False}
        bar = Bar(*columns, console=Console(stderr=True), transient=True, **own)
        bar.add_task(self._desc, total=self._total, done=self._done())
        bar.start()
        return bar

    def _done(self) -> str:
        of = "" if self._total is None else f" of {self._total:.0f}"
        return f"{self.n:.0f}{of} {self._unit}"

    def _line(self, passed: float) -> str:
        left = f", {_clock(passed * (self._total / self.n - 1))} left" if self._total and self.n else ""
        return f"{self._desc}: {self._done()}, {_clock(passed)} passed{left}"


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds; hours only where there are any."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    return f"{minutes:02d}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
