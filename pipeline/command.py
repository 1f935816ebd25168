"""The command line that all scripts share: arguments, temperatures, one writer at a time, exit status."""

import argparse
import errno
import io
import itertools
import os
import re
import resource
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, TypeVar

from pipeline import messages
from pipeline.arguments import Options, parse_command_line
from pipeline.errors import ChangedError, UserError
from pipeline.files import only_writer
from pipeline.messages import note
from pipeline.workspace import StatePoint, Workspace, digits

if TYPE_CHECKING:
    from pipeline.settings import Settings

Item = TypeVar("Item")
Result = TypeVar("Result")
_PROJECT = Path(__file__).resolve().parent.parent

_REMEDIES = {
    "make room": (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    "allow that, or use another --workspace": (errno.EACCES, errno.EPERM, errno.EROFS),
    "move that folder away": (errno.EISDIR,),
    "raise the limit (ulimit) or end other programs": (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM),
    "see to the file system, or use another --workspace": (
        *(errno.EIO, errno.ESTALE, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP),
        *(errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN),
    ),
}
"""Remedies for failures of the system; all others are bugs."""

_OUT_OF_MEMORY = re.compile("cannot allocate memory|failed to map segment|can't start new thread|bad_alloc", re.I)
"""How libraries say so that raise no MemoryError."""

_NO_MEMORY = "not enough memory; nothing is half-written; raise the limit or end other programs, and run the step again"

CLEAN_UP = 8.0  # seconds allowed for cleaning up after SIGTERM; batch systems kill soon after


@dataclass(frozen=True)
class Command:
    """The command line of a script, with workspace and settings."""

    workspace: Workspace
    settings: "Settings"
    asked: list[str]  # the temperatures named with -T; empty: all that have input
    script: str
    wait: bool  # wait for another process that writes the same files
    options: argparse.Namespace  # as on the command line, the script's own among them

    def temperatures(self, has_input: Callable[[StatePoint], bool], otherwise: str) -> list[str]:
        """Temperatures that were asked for, else those with input; UserError if there is none, or one is unknown."""
        known, root = self.workspace.temperatures(), self.workspace.root
        for folder in self.workspace.misnamed_temperatures():
            note(f"{folder}: not read, as it is not named T and a number, such as T0.062; rename it")
        for one in self.asked:
            if one not in known:
                there = f"there are: {', '.join(known)}" if known else "there is none"
                raise UserError(f"{root}: no temperature {one} here; {there}")
        found = self.asked or [one for one in known if has_input(self.workspace.at(one))]
        if not found:
            raise UserError(f"{root}: {otherwise}")
        for one, other in itertools.combinations(known, 2):
            if float(one) == float(other):
                raise UserError(f"{root}: T{one} and T{other} are one temperature; give its folders one name")
            if digits(one) == digits(other):
                raise UserError(f"{root}: T{one} and T{other} would share one model; give one a workspace of its own")
        for skipped in [] if self.asked else sorted(set(known) - set(found)):
            note(f"T = {skipped}: no input for this step, skipped")
        return found

    def for_each_temperature(self, temperatures: Iterable[str], work: Callable[[StatePoint], Result]) -> list[Result]:
        """Work on every temperature as its only writer; what must be fixed for one does not keep the others waiting."""

        def work_alone(temperature: str) -> Result:
            with self.only_writer(temperature):
                for _ in range(2):  # a model may be replaced meanwhile, twice at most in a row
                    with suppress(ChangedError):
                        return work(self.workspace.at(temperature))
                return work(self.workspace.at(temperature))

        return for_each(temperatures, work_alone)

    def say_next(self, script: str, *arguments: str) -> None:
        """Say at the end which script to run next, as a command that can be pasted."""
        here = Path(sys.executable)
        found = shutil.which("python")
        words = ["python" if found and Path(found) == here else str(_relative(here))]
        words += [str(_relative(_PROJECT / script)), *arguments]
        words += [word for one in self.asked for word in ("-T", one)]
        words += ["--workspace", str(self.workspace.root)] if self.workspace.root != Path() else []
        words += ["--config", str(self.options.config)] if self.options.config else []
        messages.say_next(shlex.join(words))

    def only_writer(self, temperature: str | None = None) -> AbstractContextManager[None]:
        """Keep other processes of this script from writing the same files; None: those of all temperatures."""
        return only_writer(self.workspace.lock(self.script, temperature), self.script, self.wait)


def for_each(items: Iterable[Item], work: Callable[[Item], Result]) -> list[Result]:
    """Work on all; what the user must fix for one is raised when the others are done."""
    errors, results = [], []
    for item in items:
        try:
            results.append(work(item))
        except UserError as error:
            errors.append(str(error))
    if errors:
        raise UserError("; ".join(errors))
    return results


def check_command_line(description: str | None, options: Options | None = None) -> None:
    """End here with ``--help``, ``--version`` or a mistake; arguments as of :func:`run_script`.

    Stands before a script's other imports (``import pandas`` takes 0.4 s, ``--help`` 0.1 s), so that nobody waits for
    what only the work needs, and Ctrl-C during them is a line, not a traceback.
    """
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:  # closed: no file must get their numbers
        while (file := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(file)
        sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        if sys.stderr is None:
            os.dup2(1, 2)
            sys.stderr = sys.stdout
    for limit, least, unit, words in (  # below the least, libraries crash or hang
        (resource.RLIMIT_AS, 800, 10**6, "memory in MB (ulimit -v)"),
        (resource.RLIMIT_NPROC, 32, 1, "processes (ulimit -u)"),
    ):
        now = resource.getrlimit(limit)[0]
        if 0 <= now < least * unit:
            _refuse(f"the limit of {words} is {now // unit}; raise it to {least} or more")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else who started it wants it ignored
        signal.signal(signal.SIGINT, _interrupted)
    sys.excepthook = _failed_import
    try:
        parse_command_line(description, options)
    except UserError as error:
        _refuse(str(error))


def _failed_import(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say in one line that memory ends before a script begins, or which library is missing."""
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
        os.write(2, f"error: {_NO_MEMORY}\n".encode())
        os._exit(2)  # without the clean-up of libraries that are half loaded, which may hang or crash
    if isinstance(error, ModuleNotFoundError):
        activate = _relative(_PROJECT / ".venv" / "bin" / "activate")
        first = "" if activate.exists() else f"run make round in {_relative(_PROJECT)}, then "
        way = f"{first}source {activate}, and run the script again"
        _refuse(f"{sys.executable} has no library {error.name}: {way}")
    sys.__excepthook__(kind, error, trace)


def _relative(path: Path) -> Path:
    """A path from the current folder, where it lies below that."""
    with suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path


def _refuse(message: str) -> NoReturn:
    """End with one line that says what the user must do."""
    print(f"error: {' '.join(message.splitlines())}", file=sys.stderr)
    sys.exit(2)


def _interrupted(*_: object) -> None:
    """End a script that is still importing."""
    os.write(2, b"interrupted: nothing was begun\n")
    os._exit(130)


def run_script(
    step: Callable[[Command], None],
    description: str | None,
    options: Options | None = None,
    make_workspace: bool = False,
) -> None:
    """Parse the command line, do the step and leave with the exit status the README gives.

    ``description`` is the script's docstring, ``options`` adds options of its own; ``make_workspace`` makes its folder.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace", line_buffering=True)  # a terminal may not know ε; tee shows progress
    signal.signal(signal.SIGTERM, partial(_terminated, os.getpid()))
    script, given = Path(sys.argv[0]).name, parse_command_line(description, options)
    messages.begin(given.quiet, given.verbose, given.json)
    try:
        if signal.getsignal(signal.SIGINT) is _interrupted:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        step(_command(given, script.removesuffix(".py"), make_workspace))
        messages.end(script)
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        messages.end(script, 130, "interrupted")
        print("interrupted: what was complete is kept, nothing is half-written; run the step again", file=sys.stderr)
        sys.exit(130)
    except (UserError, OSError, MemoryError, ImportError, RuntimeError) as error:
        message = str(error) if isinstance(error, UserError) else _remedy(error, given.workspace)
        if message is None:
            raise
        messages.end(script, 2, message)
        _refuse(message)


def _command(given: argparse.Namespace, script: str, make_workspace: bool) -> Command:
    from pipeline.settings import read_settings  # not needed by --help

    root = _relative(given.workspace)
    if make_workspace and not root.exists():
        root.mkdir(parents=True, exist_ok=True)
    if not root.is_dir():
        raise UserError(f"{given.workspace}: no such folder; name an existing one with --workspace")
    known = (path for path in (Workspace(root).settings, _PROJECT / "config.yaml") if path.is_file())
    settings = read_settings(given.config or next(known, None))
    workspace = Workspace(root, settings.ij_decimals, settings.reading)
    return Command(workspace, settings, [*dict.fromkeys(given.temperature)], script, given.wait, given)


def _remedy(error: Exception, workspace: Path) -> str | None:
    """Place and remedy of a failure of the system; None where that is a bug."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or (number is None and _OUT_OF_MEMORY.search(str(error))):
        return _NO_MEMORY
    remedy = next((words for words, numbers in _REMEDIES.items() if number in numbers), None)
    if remedy is None or number is None:
        return None
    where = getattr(error, "filename", None)
    if where is None and number not in (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM):
        temporary = os.environ.get("TMPDIR", "/tmp")
        where = f"{workspace.resolve()}, or the temporary folder {temporary}, or where the output goes"
    said = f"{os.strerror(number).lower()}; nothing is half-written; {remedy}, and run the step again"
    return f"{where}: {said}" if where else said


def _terminated(step: int, *_: object) -> None:
    """Clean up what is under way; a worker that was forked a moment ago has nothing to clean up."""
    if os.getpid() != step:
        os._exit(143)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    last = threading.Timer(CLEAN_UP, os._exit, [143])
    last.daemon = True
    last.start()
    sys.exit(143)
