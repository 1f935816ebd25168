"""The card of a model: what it needs to be used rightly later."""

import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import UserError
from pipeline.files import file_digest, read_json
from pipeline.messages import nothing_new
from pipeline.settings import Settings
from pipeline.stamps import Inputs, made_from, up_to_date
from pipeline.units import Units, check_same_units
from pipeline.workspace import StatePoint, Task

NOTHING_NEW = "nothing new since the last training"
FORMAT = 4  # version of the layout of card.json


@dataclass(frozen=True)
class Card:
    """The content of ``card.json``."""

    task: Task
    temperature: str
    features: list[str]  # in the order in which the model takes them
    training: str  # name of the training, different for each: lists and rounds say by which model they were made
    trained: str  # when, UTC
    settings: dict[str, Any]  # those that shaped the model and its test set
    versions: dict[str, str]
    data: str  # digest of the labelled pairs
    pairs: dict[str, int]  # numbers of pairs in the sets
    sources: dict[str, int]  # numbers of labels by their source
    seconds_per_pair: float  # measured right after the training, on the machine that trained
    training_seconds: float  # how long the training took
    files: dict[str, str]  # digest of each file that is read again: they and the card are of one training
    program: str  # version of this program that trained it
    units: str  # units of the pairs it was trained on


def read_card(at: StatePoint, task: Task) -> Card | None:
    """The card of a model; None where there is none. Raises UserError where it is damaged, or of another version."""
    path = at.card(task)
    if not path.exists():
        return None
    content = read_json(path)
    found = content.get("format")
    if found == FORMAT:
        with suppress(ValidationError):
            return TypeAdapter(Card).validate_python({**content, "task": task})
    versions = f"format {str(found)[:20]}; {FORMAT} is understood"
    raise UserError(f"{path}: damaged, or of another version ({versions}); run {task.script}")


def digests_of(folder: Path) -> dict[str, str]:
    """Digests of a model's files that are read again; CatBoost's file stands for AutoGluon's, which run code."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and "card.json" not in path.name]
    beside = [path for path in paths if path.parent == folder]
    is_fast = any(path.suffix == ".cbm" for path in beside)
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in (beside if is_fast else paths)}


def check_digests(folder: Path, card: Card) -> None:
    """Raise UserError unless the files of a model are those of its card."""
    then, now = card.files, digests_of(folder)
    for name in sorted(then | now, key=lambda name: (name in now, name in then, name)):  # first what is missing
        if then.get(name) != now.get(name):
            what = "is missing" if name not in now else "was changed" if name in then else "was added"
            raise UserError(f"{folder / name}: {what} since the training; run {card.task.script}")


def intact_card(at: StatePoint, task: Task) -> Card | None:
    """The card of a model that is complete and unchanged; None where there is none."""
    try:
        card = read_card(at, task)
        if card is not None:
            check_digests(at.model(task), card)
    except UserError:
        return None
    return card


def pretraining_sets(at: StatePoint, task: Task, settings: Settings) -> list[Path]:
    """All pretraining sets that are used at a temperature: its own, and those of the temperatures that are named."""
    paths = at.pretraining_sets(task)
    for other in map(at.workspace.at, settings.pretraining):
        if not other.pretraining_sets(task):
            remedy = f"put it there, or take {other.temperature} out of pretraining in config.yaml"
            raise UserError(f"{other.pretraining(task)}: no such file; {remedy}")
        paths += other.pretraining_sets(task)
    return list(dict.fromkeys(paths))


def made_of(at: StatePoint, task: Task, settings: Settings) -> Inputs:
    """Files and settings from which a model follows: where all are as they were, its labels need not be read."""
    said = {"settings": settings.model_dump(mode="json"), "versions": installed_versions()}
    return made_from([*at.pair_tables, *pretraining_sets(at, task, settings), *at.neb_files], **said)


def is_current(at: StatePoint, task: Task, settings: Settings) -> bool:
    """Whether the model that is there was trained on these files and settings, as they are now; if so, it is said."""
    left = any(path.exists() for path in (at.new_model(task), at.old_model(task)))
    if left or not up_to_date([at.card(task)], made_of(at, task, settings)) or intact_card(at, task) is None:
        return False
    nothing_new(at.temperature, NOTHING_NEW)
    return True


def installed_versions() -> dict[str, str]:
    """Versions of what trains, and without which a model of AutoGluon may not load."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **{name: version(name) for name in ("autogluon.tabular", "catboost")}}


def find_card(at: StatePoint, task: Task, units: Units) -> Card:
    """The card of a model that can be used here; UserError where there is none, or of other units or versions."""
    folder, remedy = (at.model(task), f"run {task.script}")
    card = read_card(at, task)
    if card is None:
        raise UserError(f"{folder}: no model yet; {remedy}")
    if card.temperature != at.temperature:
        raise UserError(f"{folder}: was trained at T = {card.temperature}, not {at.temperature}; {remedy}")
    check_same_units(folder, card.units, units, remedy)
    for name, installed in installed_versions().items():
        if card.versions.get(name) != installed:
            raise UserError(
                f"{folder}: trained with {name} {card.versions.get(name)}, not {installed} as here; {remedy}"
            )
    return card


def check_features(card: Card, columns: Sequence[str], path: Path) -> None:
    """Raise UserError unless a table with these columns has all that a model needs."""
    missing = [name for name in card.features if name not in columns]
    if missing:
        raise UserError(
            f"{path}: lacks {', '.join(missing)}, of which the model makes use; add it, or run {card.task.script}"
        )
