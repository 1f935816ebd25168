"""What many jobs need: it is written to a file once, and each process that works on jobs reads it once."""

import pickle
from functools import lru_cache
from pathlib import Path
from typing import Any

from MLmodel.card import Card
from MLmodel.model import Model
from pipeline.workspace import Workspace


def saved(what: Any, path: Path) -> Path:
    """Write anything to a file that no other run of a step uses; the file."""
    path.write_bytes(pickle.dumps(what))
    return path


@lru_cache(maxsize=3)
def loaded(path: Path) -> Any:
    """Read it, in a job."""
    return pickle.loads(path.read_bytes())


def saved_model(workspace: Workspace, card: Card, path: Path) -> Path:
    """Say in a file which model jobs use; the file."""
    return saved((workspace, card), path)


@lru_cache(maxsize=1)
def loaded_model(path: Path) -> Model:
    """The model, in a job."""
    return Model(*loaded(path))
