"""How a step knows that nothing is new: fingerprints of files, and stamps beside outputs that say what made them.

Stamps of pair tables also say what became of each file of minima, or that a ready-made table is good.
"""

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.errors import UserError
from pipeline.files import file_digest, read_json, write_text
from pipeline.messages import counted, note
from pipeline.units import Units, check_same_units
from pipeline.workspace import StatePoint, all_transitions, inputs_of, minimum_name, minimum_paths

if TYPE_CHECKING:
    from pipeline.settings import Settings

STEP = "step0_collect.py"
FORMAT = 4  # raised whenever the meaning of a stored column changes, so that tables are computed anew
USED, AGAIN, LEFT_OUT = "used", "seen again", "left out"

Fingerprint = list[Any]
"""Size in bytes, time of change in ns and the SHA-256 of the content, which is looked at only where the times differ,
as in a copy of a workspace."""


def fingerprint(path: Path) -> Fingerprint:
    """Size, time of change and, of a file that can be read, digest: from its own stamp where it is as it was then."""
    now, stamped = status(path), read_stamp(path).get("output")
    if isinstance(stamped, list) and stamped[:2] == now:
        return stamped
    readable = path.is_file() and os.access(path, os.R_OK)
    return [*now, file_digest(path)] if readable else now


def is_unchanged(path: Path, recorded: Fingerprint | None) -> bool:
    """Whether a file is there and has the content it had when its fingerprint was taken."""
    if not isinstance(recorded, list) or not path.exists():
        return recorded is None and not path.exists()
    now = status(path)
    if now == recorded[:2]:
        return True
    return len(recorded) == 3 and now[0] == recorded[0] and file_digest(path) == recorded[2]


def status(path: Path) -> list[int]:
    """Size and time of change of a file."""
    now = path.stat()
    return [now.st_size, now.st_mtime_ns]


class Inputs(NamedTuple):
    """All that an output depends on, as it was when the work began."""

    files: dict[Path, list[int] | None]  # size and time of change of each file; None where it is missing
    other: dict[str, Any]  # anything JSON can hold, such as the settings that matter


def made_from(files: Iterable[Path], **other: Any) -> Inputs:
    """Note files, there or missing, and settings (anything JSON can hold) that an output is about to be made from."""
    return Inputs({path: status(path) if path.exists() else None for path in files}, other)


def up_to_date(outputs: Iterable[Path], inputs: Inputs) -> bool:
    """Whether every output is there, untouched since it was made, and made from just these inputs."""
    other = json.loads(json.dumps(inputs.other))
    for output in outputs:
        stamp, now = stamp_of_unchanged(output), {os.path.relpath(path, output.parent): path for path in inputs.files}
        files = stamp.get("files")
        if (
            not isinstance(files, dict)
            or {name: value for name, value in stamp.items() if name not in ("output", "files", "result")} != other
            or set(files) != set(now)
            or not all(is_unchanged(path, files[name]) for name, path in now.items())
        ):
            return False
    return True


def unchanged_minima(stamp: dict[str, Any], table: Path, inputs: Inputs) -> set[str]:
    """Names of the files of minima that are as they were when a pair table was made."""
    files = stamp.get("files", {})
    return {
        minimum_name(path)
        for path in inputs.files
        if is_unchanged(path, files.get(os.path.relpath(path, table.parent)))
    }


def read_stamp(output: Path) -> dict[str, Any]:
    """Content of the stamp beside an output; empty where there is none, or a damaged one."""
    return read_json(_stamp(output))


def stamp_of_unchanged(output: Path) -> dict[str, Any]:
    """The stamp of a file that is as it was when it was stamped; empty where it is not."""
    stamp = read_stamp(output)
    return stamp if "output" in stamp and output.exists() and is_unchanged(output, stamp["output"]) else {}


def mark_made(outputs: Iterable[Path], inputs: Inputs, result: Any = None) -> None:
    """Leave a stamp beside every output that says what it was made from, and ``result``, what the step tells of it."""
    found: dict[Path, Fingerprint | None] = dict(inputs.files)  # of those changed since, the old time: they count so
    for path, before in inputs.files.items():
        if before and path.exists() and status(path) == before:
            found[path] = fingerprint(path)
    with ThreadPoolExecutor() as threads:
        made = list(threads.map(lambda output: (output, fingerprint(output)), outputs))
    for output, own in made:
        files = {os.path.relpath(path, output.parent): one for path, one in found.items()}
        record = {"output": own, "files": files, "result": result, **inputs.other}
        write_text(_stamp(output), json.dumps(record))


def _stamp(output: Path) -> Path:
    return output.with_name(f".{output.name}.made-from.json")


class Fate(NamedTuple):
    """Use of a file or frame by step 0."""

    status: str  # USED, AGAIN or LEFT_OUT
    minimum: float | None = None  # label of the minimum that it is
    reason: str = ""  # why it was left out; of a minimum seen again, the place that is used


class Collected(NamedTuple):
    """How a table came about: pairs stored, those among them that had to be computed, what became of each frame."""

    pairs: int
    computed: int
    fates: dict[str, Fate]


def used_minima(stamp: dict[str, Any]) -> dict[str, float]:
    """Labels of the minima that step 0 made a table of, by their places, as its stamp tells; empty of another table."""
    fates = (stamp.get("result") or {}).get("fates", {})
    return {place: label for place, (status, label, _) in fates.items() if status == USED}


def minima_in_table(at: StatePoint, conf: int) -> dict[str, float]:
    """The same of the table of a glass; empty where there is none."""
    return used_minima(read_stamp(at.glass_pairs(conf)))


def made_of_glass(at: StatePoint, conf: int, settings: "Settings") -> Inputs:
    """Inputs of the pair table of one glass as they are now."""
    return made_from(
        [*inputs_of(at.glass(conf)), *all_transitions(at.transitions(conf))],
        format=FORMAT,
        ij_decimals=settings.ij_decimals,
        particles=settings.particles,
        max_delta_E=settings.pairs.max_delta_E,
        units=settings.units,
        minima=settings.minima.model_dump(),
    )


def is_ready_made(table: Path) -> bool:
    """Whether a pair table was put there by the user; raises UserError if it can't be read and has no stamp."""
    if "units" in (stamp := stamp_of_unchanged(table)):  # else of an earlier version
        return "particles" not in stamp
    from pipeline.formats.pair_tables import is_of_step_0

    try:
        return not is_of_step_0(table)
    except UserError:
        if "particles" in read_stamp(table):
            return False
        raise


def check_other_tables(at: StatePoint, settings: "Settings", ready_made: list[Path]) -> list[Collected]:
    """Check the tables that are not made from minima here: ready-made ones, and those whose minima are gone."""
    with_minima = [conf for conf, folder in at.glasses.items() if minimum_paths(folder)]
    owner = {conf: at.glass_pairs(conf) for conf in with_minima}
    others = set(at.pair_tables) - (set(owner.values()) - set(ready_made))
    collected = []
    for table in sorted(others):
        if table in ready_made:
            kind, inputs = "ready-made table", made_from([], ij_decimals=settings.ij_decimals, units=settings.units)
            if not up_to_date([table], inputs):  # else it was checked before
                from pipeline.formats.pair_tables import check_ready_made, check_units

                check_units(table, settings.unit)
                mark_made([table], inputs, check_ready_made(table, settings.ij_decimals))
        else:
            kind, remedy = "table whose minima are gone, kept", "put its minima back, or take it away"
            stamp = stamp_of_unchanged(table)
            if stamp.get("format") != FORMAT:
                raise UserError(f"{table}: changed since step 0 made it, or of an earlier version; {remedy}")
            if (stamp["ij_decimals"], stamp["particles"]) != (settings.ij_decimals, settings.particles):
                raise UserError(f"{table}: made with other ij_decimals or particles; {remedy}")
            check_same_units(table, stamp["units"], settings.unit, remedy)
        told = read_stamp(table)["result"]
        collected.append(Collected(told["pairs"], 0, {}))
        note(f"T = {at.temperature}: {kind}: {counted(told['pairs'], 'pair')}: {table}")
        for conf in told["glasses"]:
            if owner.setdefault(conf, table) != table:
                raise UserError(f"{table}: holds the glass {conf}, which {owner[conf]} holds too; take one of them out")
    return collected


def usable_tables(at: StatePoint, units: Units) -> list[Path]:
    """The pair tables of one temperature, as step 0 left them, in these units; raises UserError where they are not."""
    if not at.pair_tables:
        raise UserError(f"{at.pairs}: no pair table; run {STEP}")
    for table in at.pair_tables:
        check_made(table, STEP, at, units)
    return at.pair_tables


def check_made(path: Path, script: str, at: StatePoint, units: Units) -> None:
    """Raise UserError unless a file is as a script wrote it, in these units and with the ``ij_decimals`` of now."""
    stamp = stamp_of_unchanged(path)
    if not stamp:
        raise UserError(f"{path}: changed since {script} wrote it: run that step")
    if "units" not in stamp:
        raise UserError(f"{path}: of an earlier version; run {script}")
    check_same_units(path, stamp["units"], units, f"run {script}")
    if (then := stamp.get("ij_decimals", at.decimals)) != at.decimals:
        raise UserError(f"{path}: made with ij_decimals: {then}, but config.yaml says {at.decimals}; run {script}")
