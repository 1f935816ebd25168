"""The card of a model: what it needs to be used rightly later."""

import json
import platform
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import UserError
from pipeline.files import file_digest, read_json, write_text
from pipeline.task import Task
from pipeline.workspace import Workspace

SETS = ("train", "test", "used")

UNDERSTOOD = (1, 2)
"""Formats of card.json that can be read; the last one is written. 2 names the format and the program's version."""


@dataclass(frozen=True)
class Card:
    """What stands in ``card.json`` beside AutoGluon's folder.

    Writing it is what puts a new model in the place of the old one.
    """

    task: Task
    temperature: str
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
    program: str
    """Version of this program that trained it."""
    units: str = "reduced"
    """Of the pairs it was trained on."""

    @property
    def cut(self) -> str:
        """How the test set was kept out, in words."""
        if self.settings.get("test_split") == "glass":
            return "whole glasses kept out"
        return "pairs cut at random from the same glasses"


def read_card(workspace: Workspace, task: Task, temperature: str) -> Card | None:
    """The card of a model; None where there is no model.

    Raises
    ------
    UserError
        If the card is damaged, or of a format that this version does not understand.
    """
    path = workspace.card(task, temperature)
    if not path.exists():
        return None
    content = read_json(path)
    if "format" not in content:
        content = {"format": 1, "program": "0.1.0", **content}
    content = {"units": "reduced", **content}  # earlier cards do not tell
    remedy = f"remove the folder {path.parent} and run {task.script}"
    if content["format"] not in UNDERSTOOD:
        understood = " and ".join(map(str, UNDERSTOOD))
        raise UserError(f"{path}: has format {content['format']}, understood are {understood}; update, or {remedy}")
    names = [field.name for field in fields(Card) if field.name != "task"]
    missing = [name for name in names if name not in content]
    if missing:
        raise UserError(f"{path}: lacks {', '.join(missing)}; {remedy}")
    try:
        return TypeAdapter(Card).validate_python({**content, "task": task})
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(f"{path}: {where} is not what it should be; {remedy}") from None


def write_card(workspace: Workspace, card: Card) -> None:
    """Put a new model in place."""
    content = {"format": UNDERSTOOD[-1], **asdict(card), "task": card.task.folder}
    write_text(workspace.card(card.task, card.temperature), json.dumps(content, indent=1))


def sets_fit(workspace: Workspace, card: Card) -> bool:
    """Whether the sets on disk are the ones the model was trained and tested on."""
    paths = {subset: workspace.model_set(card.task, card.temperature, subset) for subset in SETS}
    return all(path.exists() and file_digest(path) == card.sets[subset] for subset, path in paths.items())


def installed_versions() -> dict[str, str]:
    """Versions without which a saved model may not load."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "autogluon.tabular": version("autogluon.tabular")}
