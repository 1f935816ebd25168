"""Workers of a Dask cluster: jobs go out as results come back, and what is lost on the way is begun again."""

import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from distributed import CancelledError, Client, Future, KilledWorker

from pipeline.errors import UserError
from pipeline.workers.courier import Carried, carry, pickled, this_version, unpickled
from pipeline.workers.local import AHEAD, LOOK_EVERY, TRIES, given_up

IN_FLIGHT = 2
"""So many jobs a thread are with the scheduler at a time."""

SAY_AFTER = 10.0
"""s without any worker, after which that is said."""

_LOST = f"{TRIES} workers of the cluster were lost with it"

_NO_JOB = object()


class _Flight(NamedTuple):
    """A job that is with the scheduler."""

    job: Any
    carried: Carried
    future: Future


class _Ended(NamedTuple):
    """The scheduler has done with a job."""

    number: int
    future: Future


class _Counted(NamedTuple):
    """A job has counted so many steps; none as it starts."""

    number: int
    steps: int


class DaskWorkers:
    """Workers of a cluster; the face of :class:`pipeline.workers.local.Processes`.

    The scheduler blames jobs that waited beside the one of which a worker died. So a job tells when it starts, and one
    that started TRIES times without an end is given up.

    Parameters
    ----------
    client : Client
        Connected.
    name : str
        Of the cluster, for what is said.
    mend : callable
        Called now and then: replaces workers that are gone.
    """

    def __init__(self, client: Client, name: str, mend: Callable[[], object]) -> None:
        self._client = client
        self._name = name
        self._mend = mend
        self._topic = f"tls-finder-{uuid.uuid4().hex}"
        self._told: SimpleQueue[_Ended | _Counted] = SimpleQueue()
        self._flights: dict[int, _Flight] = {}
        self._starts: Counter[int] = Counter()
        self._steps: Counter[int] = Counter()
        self._next_number = 0
        self._threads = 0
        self._look_at = 0.0
        self._say_at = time.monotonic() + SAY_AFTER
        client.subscribe_topic(self._topic, lambda event: self._told.put(_Counted(*event[1])))

    @property
    def steps(self) -> int:
        """Steps that the jobs have counted so far."""
        return self._steps.total()

    @property
    def count(self) -> int:
        """Threads of all workers there are; one at least."""
        self._look()
        return max(self._threads, 1)

    def results(
        self,
        function: Callable[[Any], Any],
        jobs: Iterable[Any],
        in_order: bool = False,
        while_waiting: Callable[[], object] = lambda: None,
        time_limit: float | None = None,
        lost: Callable[[Any, str], Any] | None = None,
    ) -> Iterator[Any]:
        """See :meth:`pipeline.workers.local.Processes.results`."""
        coming = iter(enumerate(jobs, self._next_number))
        next_out, more = self._next_number, True
        reached: dict[int, Any] = {}
        try:
            while more or self._flights:
                while more and len(self._flights) < IN_FLIGHT * self.count and len(reached) < AHEAD * self.count:
                    number, job = next(coming, (0, _NO_JOB))
                    more = job is not _NO_JOB
                    if more:
                        self._next_number = number + 1
                        work = pickled(function, job)
                        self._send(job, Carried(number, work, os.getcwd(), time_limit, self._topic, this_version()))
                self._look()
                try:
                    told = self._told.get(timeout=LOOK_EVERY)
                except Empty:
                    while_waiting()
                    continue
                if told.number not in self._flights:
                    continue  # of a job that was given up, or of an earlier call
                outcome = self._counted(told) if isinstance(told, _Counted) else self._ended(told)
                if outcome is None:
                    continue
                flight = self._flights.pop(told.number)
                kind, content = outcome
                if kind == "raised":
                    raise unpickled(content)
                if kind == "result":
                    reached[told.number] = unpickled(content)
                else:
                    flight.future.cancel()
                    reached[told.number] = given_up(flight.job, content, lost)
                while reached and (not in_order or next_out in reached):
                    yield reached.pop(next_out if in_order else next(iter(reached)))
                    next_out += 1
        finally:
            futures = [flight.future for flight in self._flights.values()]
            self._flights.clear()
            if futures and self._client.status == "running":
                with suppress(Exception):  # the scheduler may be lost
                    self._client.cancel(futures)

    def _send(self, job: Any, carried: Carried) -> None:
        key = f"tls-{carried.number}-{uuid.uuid4().hex}"
        future = self._client.submit(carry, carried, key=key, pure=False)
        self._flights[carried.number] = _Flight(job, carried, future)
        self._listen(carried.number, future)

    def _listen(self, number: int, future: Future) -> None:
        future.add_done_callback(lambda ended: self._told.put(_Ended(number, ended)))

    def _counted(self, told: _Counted) -> tuple[str, Any] | None:
        """What became of a job that has told of itself, if anything."""
        self._steps[told.number] = told.steps
        self._starts[told.number] += told.steps == 0
        return ("lost", _LOST) if self._starts[told.number] > TRIES else None

    def _ended(self, told: _Ended) -> tuple[str, Any] | None:
        """What became of a job that the scheduler has done with; None if it is not over yet."""
        flight = self._flights[told.number]
        if told.future is not flight.future:
            return None
        try:
            outcome: tuple[str, Any] = told.future.result(timeout=SAY_AFTER)
        except KilledWorker:
            if self._starts[told.number] >= TRIES:
                return "lost", _LOST
            self._send(flight.job, flight.carried)
        except TimeoutError:  # the worker was lost that held the result: it will be found again
            self._listen(told.number, told.future)
        except (CancelledError, OSError):  # what the job raised comes as its result
            raise self._scheduler_lost() from None
        except Exception as error:
            if self._client.status != "running":
                raise self._scheduler_lost() from None
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise UserError(
                f"{self._name}: a worker can't do the work ({reason}); install the same on all nodes, or set PYTHONPATH"
            ) from None
        else:
            return outcome
        return None

    def _look(self) -> None:
        """See from time to time which workers there are, and whether there is a scheduler."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY
        try:
            self._threads = sum(self._client.nthreads().values())
        except Exception:
            raise self._scheduler_lost() from None
        if self._client.status != "running":
            raise self._scheduler_lost()
        self._mend()
        if self._threads:
            self._say_at = now + SAY_AFTER
        elif now > self._say_at:
            print(f"{self._name}: no worker at {self._client.scheduler.address}; waiting for one", flush=True)
            self._say_at = float("inf")

    def _scheduler_lost(self) -> UserError:
        return UserError(f"{self._name}: the Dask scheduler is lost; what was done is on disk: run the step again")
