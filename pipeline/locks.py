"""One process at a time writes a set of files."""

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from pipeline.errors import UserError


@contextmanager
def only_writer(path: Path, script: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock that the system releases however the process ends.

    Parameters
    ----------
    path : Path
        The lock's file; it names who holds it.
    script : str
        Who is at work, for others to read.
    wait : bool
        Wait until another process has released it.

    Raises
    ------
    UserError
        If another process holds it and ``wait`` is not set.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        # lockf, unlike flock, is not inherited by workers.
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = " ".join(file.read().split()) or "another process"
            if not wait:
                raise UserError(
                    f"{path.parent.parent}: {holder} writes the same files; wait until it ends, or use --wait"
                ) from None
            print(f"waiting for {holder}", flush=True)
            fcntl.lockf(file, fcntl.LOCK_EX)
        file.truncate(0)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        file.write(f"{script} (process {os.getpid()} on {platform.node()}, since {now})\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
