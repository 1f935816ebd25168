"""AutoGluon in a process of its own, which ends with that of the step."""

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import multiprocess
from multiprocess import resource_tracker

from MLmodel.learner import TIME_IS_OVER, NothingTrainedError
from pipeline.errors import UserError
from pipeline.progress import progress
from pipeline.settings import TrainingSettings
from pipeline.workers.local import end_with_parent

_MEMORY_IS_OVER = ("Not enough memory to train", "Ran low on memory")
"""AutoGluon's log says so where a model is not trained, or with fewer trees, for it."""

_TO_END = (signal.SIGINT, signal.SIGTERM)


def in_own_process(learn: Callable[[], float], limits: TrainingSettings, log: Path) -> float:
    """Run AutoGluon where its chatter can be sent to a file; seconds the model takes a pair.

    Parameters
    ----------
    learn : callable
        What to run; it can be pickled.
    limits : TrainingSettings
        What the user is told to change.
    log : Path
        For the chatter.

    Raises
    ------
    UserError
        If there was no time for a single model.
    OSError
        If files can't be written.
    RuntimeError
        If AutoGluon fails.
    """
    context = multiprocess.get_context("spawn")
    answer, its_end = context.Pipe(duplex=False)
    process = context.Process(target=_fit, args=(learn, str(log), its_end))
    started = time.monotonic()
    log.touch()
    try:
        with _signals_held_back():
            process.start()
        its_end.close()
        with progress(desc="training", unit="s") as shown:
            while not answer.poll(0.5):
                shown.update(time.monotonic() - started - shown.n)
        outcome = answer.recv()
        process.join()
    except EOFError:
        process.join()
        raise RuntimeError(f"AutoGluon failed with exit status {process.exitcode}; its log: {log}") from None
    finally:
        if process.is_alive():
            process.kill()
            process.join()
    if isinstance(outcome, NothingTrainedError):
        raise UserError(f"{log}: no model was trained in train_hours = {limits.train_hours:g}; raise it in config.yaml")
    if isinstance(outcome, Exception):
        raise outcome
    said = log.read_text(errors="replace")
    if TIME_IS_OVER in said:
        hours = f"train_hours = {limits.train_hours:g}"
        print(f"  {hours} cut the training short, so that another run may give another model; raise it in config.yaml")
    if any(words in said for words in _MEMORY_IS_OVER):
        print(f"  memory ran short, so that another run may give another model: {log}")
    if outcome > limits.max_seconds_per_pair:
        print(f"  no model met max_seconds_per_pair = {limits.max_seconds_per_pair:g}: the fastest is kept")
    return float(outcome)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """What would end the step is heard after the block, and never by a process that starts in it."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in _TO_END}
    resource_tracker.ensure_running()  # which lets them through
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _TO_END)  # in this thread; others still hear them
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in before.items():
            signal.signal(number, handler)
        for one in came:
            signal.raise_signal(one)


def _fit(learn: Callable[[], float], log: str, answer: Any) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        outcome: float | Exception = learn()
    except (NothingTrainedError, OSError) as error:
        outcome = error
    answer.send(outcome)
    if isinstance(outcome, Exception):
        with suppress(OSError):  # the log may be what can't be written
            traceback.print_exception(outcome)
