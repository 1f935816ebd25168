"""The card of a model: what it needs to be used rightly later."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import UserError
from pipeline.files import file_digest, read_json, write_text
from pipeline.units import Units, check_same_units
from pipeline.workspace import StatePoint, Task, Workspace

SETS = ("train", "test", "used")

UNDERSTOOD = (1, 2, 3)
"""Formats of card.json that can be read; the last one is written. 2 names the format and the program's version, 3 the
digests of the model's files."""


@dataclass(frozen=True)
class Card:
    """What stands in ``card.json``."""

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
    files: dict[str, str] = field(default_factory=dict)
    """Digest of each file in AutoGluon's folder; empty in earlier cards."""
    training_seconds: float | None = None
    """How long it took; unknown in earlier cards."""

    @property
    def cut(self) -> str:
        """How the test set was kept out, in words."""
        if self.settings.get("test_split") == "glass":
            return "whole glasses kept out"
        return "pairs cut at random from the same glasses"


def read_card(at: StatePoint, task: Task) -> Card | None:
    """The card of a model; None where there is no model.

    Raises
    ------
    UserError
        If the card is damaged, or of a format that this version does not understand.
    """
    path = at.card(task)
    if not path.exists():
        return None
    content = read_json(path)
    if "format" not in content:
        content = {"format": 1, "program": "0.1.0", **content}
    content = {"units": "reduced", "files": {}, "training_seconds": None, **content}  # earlier cards do not tell
    remedy = f"remove the folder {path.parent} and run {task.script}"
    if content["format"] not in UNDERSTOOD:
        understood = f"{', '.join(map(str, UNDERSTOOD[:-1]))} and {UNDERSTOOD[-1]}"
        raise UserError(f"{path}: has format {content['format']}, understood are {understood}; update, or {remedy}")
    names = [one.name for one in fields(Card) if one.name != "task"]
    missing = [name for name in names if name not in content]
    if missing:
        raise UserError(f"{path}: lacks {', '.join(missing)}; {remedy}")
    try:
        card = TypeAdapter(Card).validate_python({"task": task, **{name: content[name] for name in names}})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {where}: {first['msg'][:1].lower()}{first['msg'][1:]}; {remedy}") from None
    if card.autogluon in ("", "..") or Path(card.autogluon).name != card.autogluon:
        raise UserError(f"{path}: autogluon: {card.autogluon!r} is no name of a folder beside the card; {remedy}")
    return card


def write_card(path: Path, card: Card) -> None:
    """Write a card."""
    content = {"format": UNDERSTOOD[-1], **asdict(card), "task": card.task.folder}
    write_text(path, json.dumps(content, indent=1))


def sets_fit(workspace: Workspace, card: Card) -> bool:
    """Whether the sets on disk are the ones the model was trained and tested on."""
    paths = {subset: workspace.at(card.temperature).model_set(card.task, subset) for subset in SETS}
    return all(path.exists() and file_digest(path) == card.sets.get(subset) for subset, path in paths.items())


def installed_versions() -> dict[str, str]:
    """Versions without which a saved model may not load."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "autogluon.tabular": version("autogluon.tabular")}


def find_card(at: StatePoint, task: Task, units: Units) -> Card:
    """The card of a model that can be used here, on pairs in these units.

    Raises
    ------
    UserError
        If there is no model, or it was trained in other units, or with versions other than those installed.
    """
    folder, remedy = (at.model(task), f"run {task.script}")
    card = read_card(at, task)
    if card is None:
        raise UserError(f"{folder}: no model yet; {remedy}")
    if card.temperature != at.temperature:
        raise UserError(f"{folder}: was trained at T = {card.temperature}, not {at.temperature}; {remedy}")
    check_same_units(folder, card.units, units, remedy)
    files = at.autogluon(task, card.autogluon)
    if not files.is_dir():
        raise UserError(f"{files}: the model's files are missing; {remedy}")
    for name, installed in installed_versions().items():
        if card.versions.get(name) != installed:
            raise UserError(
                f"{folder}: trained with {name} {card.versions.get(name)}, but {installed} is installed; {remedy}"
            )
    return card


def check_features(card: Card, columns: Sequence[str], path: Path) -> None:
    """Raise UserError unless a table with these columns has all that a model needs."""
    missing = [name for name in card.features if name not in columns]
    if missing:
        raise UserError(
            f"{path}: lacks {', '.join(missing)}, which the model of T = {card.temperature} was trained on; "
            f"add the column, or run {card.task.script} to train on what the tables have"
        )


def trained_temperatures(workspace: Workspace, task: Task) -> list[str]:
    """Temperatures for which there is a model."""
    return [one for one in workspace.temperatures() if workspace.at(one).card(task).exists()]
