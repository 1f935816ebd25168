"""The card of a model: what it needs to be used rightly later."""

import hashlib
import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from MLmodel.files import read_json, write_text
from MLmodel.workspace import CLASSIFIER, Workspace

SETS = ("train", "test", "used")


@dataclass(frozen=True)
class Card:
    """What stands in ``card.json`` beside AutoGluon's folder.

    Writing it is what puts a new model in the place of the old one.
    """

    task: str
    temperature: str
    label: str
    features: list[str]
    """In the order in which the model takes them."""
    autogluon: str
    """Name of AutoGluon's folder."""
    trained: str
    """When, UTC."""
    settings: dict[str, Any]
    """Those that shaped the model and its test set."""
    versions: dict[str, str]
    data: str
    """Digest of the labelled pairs."""
    pairs: dict[str, int]
    """How many in each set."""
    sources: dict[str, int]
    """How many came from where."""
    seconds_per_pair: float
    """Measured right after the training, on the machine that trained."""
    sets: dict[str, str]
    """Digest of each set's file: they and the model are of one training."""

    @property
    def cut(self) -> str:
        """How the test set was kept out, in words."""
        if self.settings["test_split"] == "glass":
            return "whole glasses kept out"
        return "pairs cut at random from the same glasses"


def _path(folder: Path) -> Path:
    return folder / "card.json"


def step_of(task: str) -> str:
    """The script that trains a model."""
    return "step1_train_dw.py" if task == CLASSIFIER else "step3_train_qs.py"


def read_card(workspace: Workspace, task: str, temperature: str) -> Card | None:
    """The card of a model; None where there is no model, or one of another version of this program."""
    path = _path(workspace.model(task, temperature))
    if not path.exists():
        return None
    try:
        return Card(**read_json(path))
    except TypeError:
        return None


def write_card(workspace: Workspace, card: Card) -> None:
    """Put a new model in place."""
    write_text(_path(workspace.model(card.task, card.temperature)), json.dumps(asdict(card), indent=1))


def sets_fit(workspace: Workspace, card: Card) -> bool:
    """Whether the sets on disk are the ones the model was trained and tested on."""
    paths = {which: workspace.model_set(card.task, card.temperature, which) for which in SETS}
    return all(path.exists() and file_digest(path) == card.sets[which] for which, path in paths.items())


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def installed_versions() -> dict[str, str]:
    """Versions without which a saved model may not load."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "autogluon.tabular": version("autogluon.tabular")}
