"""One process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UserError


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold a lock that the system takes back however the process ends; UserError if another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which, unlike flock, no worker inherits
        except (BlockingIOError, PermissionError):
            raise UserError(f"{path.parent}: another run_neb.py writes there; wait until it ends or stop it") from None
        yield
