"""The command line that all scripts share: arguments, exit status, progress."""

import argparse
import errno
import io
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from pipeline.errors import UserError
from pipeline.settings import Settings, read_settings
from pipeline.workspace import Workspace, label

_PROJECT_SETTINGS = Path(__file__).resolve().parent.parent / "config.yaml"


@dataclass(frozen=True)
class Command:
    """What the user asked for."""

    workspace: Workspace
    settings: Settings
    asked: list[str]
    """The temperatures named with -T; empty: all that have input."""
    options: argparse.Namespace = field(default_factory=argparse.Namespace)
    """What the script's own options were given."""

    def temperatures(self, has_input: Callable[[str], bool], otherwise: str) -> list[str]:
        """Temperatures to work on.

        Parameters
        ----------
        has_input : callable
            Whether there is something to do for a temperature; those named by the user are taken as they are.
        otherwise : str
            What to say when there is none: which input is missing and where it comes from.

        Raises
        ------
        UserError
            If there is none, one that was asked for is unknown, or two would share a model.
        """
        known = self.workspace.temperatures()
        for one in self.asked:
            if one not in known:
                there = f"there are: {', '.join(known)}" if known else "there is none"
                raise UserError(f"{self.workspace.root}: no temperature {one} here; {there}")
        found = self.asked or [one for one in known if has_input(one)]
        if not found:
            raise UserError(f"{self.workspace.root}: {otherwise}")
        for one, other in itertools.combinations(known, 2):
            if label(one) == label(other):
                raise UserError(
                    f"{self.workspace.root}: T{one} and T{other} would share one model, as both are {label(one)} "
                    "without the dot; rename the folders of one, or put it into a workspace of its own"
                )
        for skipped in [] if self.asked else sorted(set(known) - set(found)):
            print(f"T = {skipped}: no input for this step, skipped")
        return found


def for_each_temperature(temperatures: Iterable[str], work: Callable[[str], None]) -> None:
    """Work on every temperature; what the user must mend for one does not keep the others waiting.

    Raises
    ------
    UserError
        At the end, with all there is to mend.
    """
    to_mend = []
    for temperature in temperatures:
        try:
            work(temperature)
        except UserError as error:
            to_mend.append(str(error))
    if to_mend:
        raise UserError("; ".join(to_mend))


def run_script(
    step: Callable[[Command], None], story: str | None, options: Callable[[argparse.ArgumentParser], None] | None = None
) -> None:
    """Parse the command line, do the step and leave with the exit status the README gives.

    Parameters
    ----------
    step : callable
        Does the work.
    story : str or None
        The script's docstring, shown by ``--help``.
    options : callable, optional
        Adds the script's own options to those that all scripts share.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace", line_buffering=True)  # a terminal may not know ε; tee shows progress
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is under way is cleaned up
    try:
        step(_parse(story or "", options))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            print("error: no space left on the disk; nothing is half-written; make room and run again", file=sys.stderr)
            sys.exit(2)
        print(f"error: {' '.join(str(error).split())}; mend that and run the step again", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: what was complete is kept, nothing is half-written; run the step again", file=sys.stderr)
        sys.exit(130)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}; see --help")


def _parse(story: str, options: Callable[[argparse.ArgumentParser], None] | None) -> Command:
    parser = _Parser(description=story, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-T",
        "--temperature",
        action="append",
        default=[],
        metavar="T",
        help="temperature, written as in the folder's name; repeatable (default: all that have input)",
    )
    parser.add_argument(
        "--workspace", type=Path, default=Path(), metavar="DIR", help="holds the data folders (default: this folder)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (default: config.yaml in the workspace, else our own)"
    )
    if options is not None:
        options(parser)
    given = parser.parse_args()
    workspace = Workspace(given.workspace)
    if not given.workspace.is_dir():
        raise UserError(f"{given.workspace}: no such folder; name an existing one with --workspace")
    known = (path for path in (workspace.settings, _PROJECT_SETTINGS) if path.is_file())
    return Command(workspace, read_settings(given.config or next(known, None)), _each_once(given.temperature), given)


def _each_once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
