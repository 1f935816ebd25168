"""Workers of every kind: jobs are drawn as workers become free, tried again, and come back in order."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

from pipeline.errors import UserError

TRIES = 3  # number of workers that may die of a job before it is given up
AHEAD = 4  # maximum number of results, per worker, that wait for an earlier one
LOOK_EVERY = 0.5  # maximum seconds without a call of ``while_waiting``


class Task(NamedTuple):
    """A job, its number in the order of all, and how many workers may still die of it."""

    number: int
    job: Any
    tries: int


class End(NamedTuple):
    """A job that has ended."""

    task: Task
    kind: Literal["result", "raised", "died", "lost"]  # died: may be tried again; lost: is given up
    content: Any  # the result, what was raised, or the reason


class Workers(ABC):
    """Workers, wherever they are."""

    tries = TRIES

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of jobs that run at a time."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Steps that the jobs have counted so far with :func:`pipeline.workers.local.count_steps`."""

    @abstractmethod
    def _start(self, function: Callable[[Any], Any], task: Task, time_limit: float | None) -> None:
        """Hand a job to a free worker."""

    @abstractmethod
    def _ended(self) -> list[End]:
        """Jobs that have ended, after LOOK_EVERY seconds at the latest."""

    @abstractmethod
    def _stop(self) -> None:
        """End all jobs that are running."""

    def results(
        self,
        function: Callable[[Any], Any],
        jobs: Iterable[Any],
        in_order: bool = False,
        while_waiting: Callable[[], object] = lambda: None,
        time_limit: float | None = None,
        lost: Callable[[Any, str], Any] | None = None,
    ) -> Iterator[Any]:
        """Results of a function, as they are reached or in the order of the jobs; drawn as workers become free.

        A job whose worker dies is tried again, TRIES times in all; one that takes longer than ``time_limit`` seconds
        is given up. ``lost`` gets a job that was given up and the reason, and returns its result; without it that is a
        UserError. ``while_waiting`` is called every half a second or so in which there is no result.
        """
        coming = (Task(number, job, self.tries) for number, job in enumerate(jobs))
        again: list[Task] = []
        reached: dict[int, Any] = {}
        running = next_out = 0

        def next_task() -> Task | None:
            if again:
                return again.pop()
            return next(coming, None) if len(reached) < AHEAD * self.count else None

        try:
            while True:
                while running < self.count and (task := next_task()) is not None:
                    self._start(function, task, time_limit)
                    running += 1
                if not running:
                    return
                ended = self._ended()
                if not ended:
                    while_waiting()
                running -= len(ended)
                for task, kind, content in ended:
                    if kind == "raised":
                        raise content
                    if kind == "died" and task.tries > 1:
                        again.append(task._replace(tries=task.tries - 1))
                    elif kind == "result":
                        reached[task.number] = content
                    else:
                        reached[task.number] = self._given_up(task, kind, content, lost)
                while reached and (not in_order or next_out in reached):
                    yield reached.pop(next_out if in_order else next(iter(reached)))
                    next_out += 1
        finally:
            self._stop()

    def _given_up(self, task: Task, kind: str, reason: str, lost: Callable[[Any, str], Any] | None) -> Any:
        """Result of a job that is given up."""
        if kind == "died":
            reason = f"{self.tries} worker process{'es' if self.tries > 1 else ''} died of it: {reason}"
        if lost is None:
            raise UserError(f"a piece of work was given up: {reason}; run the step again")
        return lost(task.job, reason)


class SerialWorkers(Workers):
    """No workers: this process does the jobs, one after the other, as each result is asked for."""

    count, steps = 1, 0

    def _start(self, function: Callable[[Any], Any], task: Task, time_limit: float | None) -> None:
        self._end = End(task, "result", function(task.job))

    def _ended(self) -> list[End]:
        return [self._end]

    def _stop(self) -> None:
        pass
