"""A verdict into the files where it belongs: path, record, cost, and the line that tells it is known."""

from typing import Any

from glass.two_level import two_level
from pipeline.formats.paths import path_file, write_path
from pipeline.formats.records import add_record, record_of
from pipeline.formats.results import (
    add_calculation,
    add_non_dw,
    add_splitting,
    add_unfinished,
    replace_unfinished,
    take_back_splitting,
)
from pipeline.settings import Settings
from pipeline.workspace import QS, StatePoint
from search.exact import Calculation, hbar_of, read_atoms


def neb_settings(settings: Settings) -> dict[str, Any]:
    """What tells later how a result was made: the ``SETTINGS`` of :mod:`pipeline.formats.records`."""
    chosen = settings.neb.model_dump(include={"calculator", "images", "force_tolerance"})
    return {**chosen, "hbar": hbar_of(settings.neb), "beyond_ends": "straight line", "units": settings.units}


def write_verdict(at: StatePoint, calculation: Calculation, settings: Settings, refining: bool, retrying: bool) -> str:
    """Write what became of a pair; the same in words.

    Parameters
    ----------
    workspace, temperature
        Where.
    calculation : Calculation
        Pair, verdict and cost.
    settings : Settings
        ``neb``, ``tls_threshold`` and ``units``.
    refining : bool
        Whether the pair has a splitting already, which stays where this calculation gives no verdict.
    retrying : bool
        Whether the pair stands in unfinished.csv, where its row is then replaced or removed.
    """
    job, verdict, cpu_seconds = calculation
    splitting = None
    if verdict.levels is not None:
        splitting = verdict.levels[1] - verdict.levels[0]
        _describe(at, calculation, settings)  # first: what has a result is not calculated again
    row = {
        "verdict": verdict.kind,
        QS: splitting,
        "fidelity": verdict.fidelity,
        "images": len(verdict.band.positions) if verdict.band else 0,
        "steps": verdict.band.steps if verdict.band else 0,
        "cpu_seconds": round(cpu_seconds, 4),
    }
    add_calculation(at, job.pair, row)
    said = f"{verdict.kind}: {verdict.reason}"
    if splitting is not None:
        add_splitting(at, job.pair, splitting)
        is_tls = " (TLS)" if splitting < settings.tls_threshold else ""
        said = f"double well, splitting {splitting:.4g} {settings.unit.energy}, {verdict.fidelity}{is_tls}"
    elif verdict.kind == "non-DW":
        if refining:
            take_back_splitting(at, job.pair)
            path_file(at, job.pair).unlink(missing_ok=True)
        add_non_dw(at, job.pair)
    elif not (refining or retrying):
        add_unfinished(at, job.pair, verdict.reason)
    if retrying:
        reason = verdict.reason if verdict.kind == "unfinished" else None
        replace_unfinished(at, job.pair, reason)
    return said


def _describe(at: StatePoint, calculation: Calculation, settings: Settings) -> None:
    """The path and the record of a double well."""
    (pair, places, _), verdict, _ = calculation
    if verdict.band is None or verdict.profile is None or verdict.levels is None:
        return
    minimum = read_atoms(places[0])
    if settings.neb.keep_paths in ("all", verdict.fidelity):
        write_path(at, pair, verdict.band, minimum, settings.units)
    how = {
        **neb_settings(settings),
        "fidelity": verdict.fidelity,
        "force": verdict.band.force,
        **record_of(two_level(verdict.profile, verdict.levels, hbar_of(settings.neb))),
        "path_length": float(verdict.band.lengths[-1]),
    }
    add_record(at, pair, verdict.levels, verdict.profile, how)
