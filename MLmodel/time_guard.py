"""The guard that ends a training which takes too long. It imports AutoGluon, which takes seconds."""

import time
from typing import Any

from autogluon.core.callbacks import AbstractCallback

from MLmodel.learner import TIME_IS_OVER


class TimeGuard(AbstractCallback):  # type: ignore[misc]
    """Lets AutoGluon begin no further model once the time is over; those trained by then are kept.

    AutoGluon's own limit is divided among models and folds and cuts each of them, so that what is learnt depends on
    what else the machine does. The clock here is the time for which this thread was at work.

    Parameters
    ----------
    hours : float
        From now on.
    """

    def __init__(self, hours: float) -> None:
        super().__init__()
        self._end = time.thread_time() + 3600 * hours

    def _before_model_fit(self, trainer: Any, model: Any, stack_name: str = "core", **_: Any) -> tuple[bool, bool]:
        over = stack_name == "core" and time.thread_time() > self._end
        if over:
            print(f"{TIME_IS_OVER}: {model.name} is not trained", flush=True)
        return False, over
