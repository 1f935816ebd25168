"""The files of one training, and the one move that puts them in the place of the last.

Card and sets lie in AutoGluon's folder. The names that users know are links through ``current``, a link to that folder,
so that renaming this one changes them all.
"""

import errno
import os
import shutil
from pathlib import Path

from MLmodel.card import SETS, read_card
from pipeline.errors import UserError
from pipeline.files import atomic_write, file_digest, sync
from pipeline.workspace import StatePoint, Task

CARD = "card.json"

_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system says that has no links."""


def names_of(at: StatePoint, task: Task) -> dict[str, Path]:
    """The names that users know of the sets and, last, of the card, by those in AutoGluon's folder."""
    sets = {f"{subset}.feather": at.model_set(task, subset) for subset in SETS}
    return {**sets, CARD: at.card(task)}


def put_in_place(at: StatePoint, task: Task, folder: Path) -> None:
    """Put a complete training in the place of the last, in one move.

    Where the file system has no links, sets and card are copied one after the other, the card last.

    Parameters
    ----------
    workspace, task, temperature
        Which model.
    folder : Path
        AutoGluon's, with sets and card in it.
    """
    for part in [*folder.rglob("*"), folder, folder.parent]:
        sync(part)
    current, names = (at.current(task), names_of(at, task))
    try:
        if not all(_is_link(path, current / name) for name, path in names.items()):
            _take_over(at, task)
        _link(current, folder)
        for name, path in names.items():
            _link(path, current / name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        for name, path in names.items():
            with atomic_write(path) as part:
                shutil.copyfile(folder / name, part)


def _take_over(at: StatePoint, task: Task) -> None:
    """Make links of the files of an earlier version, or of a copy that followed links; they stay what they are."""
    current, names = (at.current(task), names_of(at, task))
    card = read_card(at, task)
    if current.is_dir() and not current.is_symlink():
        shutil.rmtree(current)
    if card is None or not (folder := at.autogluon(task, card.autogluon)).is_dir():
        return
    there = {name: path for name, path in names.items() if path.is_file()}
    for name, path in there.items():
        with atomic_write(folder / name) as part:
            shutil.copyfile(path, part)
    _link(current, folder)
    for name, path in there.items():
        _link(path, current / name)


def _link(path: Path, target: Path) -> None:
    """Make a path a link to what lies in its folder or below; what stood there is replaced."""
    if not _is_link(path, target):
        with atomic_write(path) as part:
            part.unlink()
            part.symlink_to(os.path.relpath(target, path.parent))


def _is_link(path: Path, target: Path) -> bool:
    return path.is_symlink() and os.readlink(path) == os.path.relpath(target, path.parent)


def left_folders(at: StatePoint, task: Task) -> list[Path]:
    """AutoGluon's folders that the card does not name: of earlier trainings, or of one that was cut short."""
    card = read_card(at, task)
    folders = at.model(task).glob("autogluon-*")
    return [folder for folder in folders if card is None or folder.name != card.autogluon]


def remove_left(at: StatePoint, task: Task) -> None:
    """Remove them."""
    for folder in left_folders(at, task):
        shutil.rmtree(folder, ignore_errors=True)  # one that a process still writes to is removed next time


def digests_of(folder: Path) -> dict[str, str]:
    """Digest of each file of a model, by its name in AutoGluon's folder; sets and card are none of them."""
    beside = {CARD, *(f"{subset}.feather" for subset in SETS)}
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = ((path.relative_to(folder).as_posix(), path) for path in paths)
    return {name: file_digest(path) for name, path in names if name not in beside}


def check_digests(folder: Path, recorded: dict[str, str], remedy: str) -> None:
    """Raise UserError unless the files of a model are those of its training: loading one runs what is in it."""
    if not recorded:  # the card is of an earlier version
        return
    now = digests_of(folder)
    for what, names in (
        ("is missing", recorded.keys() - now.keys()),
        ("was added", now.keys() - recorded.keys()),
        ("was changed", {name for name in recorded.keys() & now.keys() if recorded[name] != now[name]}),
    ):
        if names:
            others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise UserError(f"{folder / min(names)}: {what} since the training{others}; put it right, or {remedy}")
