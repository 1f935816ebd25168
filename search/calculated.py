"""All double wells that were calculated, a row each with what makes it a two-level system: ``double_wells.csv``."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from glass.two_level import barrier_top
from pipeline.errors import UserError
from pipeline.files import atomic_write
from pipeline.formats.csv_files import read_own_csv
from pipeline.formats.keys import PAIR_COLUMNS, Pair, by_pair, labels_as_text, minimum_names, no_pairs, pair_index
from pipeline.formats.records import add_again, read_records, two_level_of_record
from pipeline.formats.results import last_results, read_calculations
from pipeline.messages import Progress
from pipeline.settings import Settings
from pipeline.units import OF_RESULTS, Units, check_same_units
from pipeline.workers import worker_pool
from pipeline.workspace import DW, QS, StatePoint
from search.calculator import MakeCalculator
from search.exact import jobs_of
from search.rearrangements import REARRANGEMENT, describe_motion, distinct, number_rearrangements
from search.well_properties import DERIVED, SPLITTING_ZP, STORED, add_derived, splitting_with_zero_point

_ENERGIES = ["level_0", "level_1", "barrier", "barrier_back", "asymmetry", "tunnelling_amplitude"]
_LENGTHS = ["path_length", "mass_weighted_length"]
_FRACTIONS = ["level_0_in_i", "level_1_in_i"]
FROM_PROFILE = [*_ENERGIES, *_LENGTHS, "level_asymmetry", *_FRACTIONS, "force", "force_tolerance"]  # of records
RESOLVED = 1e-12  # ε; smaller energies are rounding errors of levels: written as zero, Δ₀, which is never zero, as this
SAME = 1e-5  # relative difference of splittings up to which a record belongs to a result; a list has six digits


def update_double_wells(at: StatePoint, settings: Settings) -> None:
    """Write ``double_wells.csv`` anew from NEB files, records and minima, smallest splitting first."""
    neb = last_results(at)
    neb = neb[neb[DW] == 1].sort_values(QS, kind="stable")
    neb = neb.assign(
        **{name: minimum_names(neb.index.get_level_values(k), at.decimals) for k, name in ((1, "i"), (2, "j"))}
    )
    numbers, motion = number_rearrangements(at, neb, settings), describe_motion(at, neb, settings.particles)
    rows: list[dict[str, float]] = [describe(record) if record else {} for record in records_of(at, neb)]
    described = pd.DataFrame(rows, neb.index, columns=[*FROM_PROFILE, *STORED], dtype=float)
    last = read_calculations(at)
    last = last[last["verdict"] == "double well"]
    last = last[~last.index.duplicated(keep="last")].reindex(neb.index, columns=["fidelity", "images", "steps"])
    known = labels_as_text(neb, at.decimals)[[*PAIR_COLUMNS, QS]]
    columns = pd.concat([known, described, motion], axis=1).assign(
        fidelity=last["fidelity"].fillna(""),
        **last[["images", "steps"]].astype(float).astype("Int64"),
        splitting_K=neb[QS] * settings.neb.epsilon,
        is_tls=(neb[QS] < settings.tls_threshold).astype(int),
        **{REARRANGEMENT: numbers},
        units=settings.units,
    )
    columns = add_derived(columns, neb[QS], settings)
    least, energies = RESOLVED * settings.unit.epsilon, [*_ENERGIES, "level_asymmetry"]
    columns[energies] = columns[energies].mask(lambda values: values.abs() < least, 0.0)
    columns["tunnelling_amplitude"] = columns["tunnelling_amplitude"].clip(lower=least)
    columns[_FRACTIONS] = columns[_FRACTIONS].round(6)
    first = [QS, "splitting_K", "is_tls", *_ENERGIES, *_LENGTHS, "PR", REARRANGEMENT, "level_asymmetry", *_FRACTIONS]
    then = [*STORED, *DERIVED, *motion.columns.drop("PR"), "fidelity", "images", "steps", "force", "force_tolerance"]
    with atomic_write(at.double_wells) as part:
        columns[[*PAIR_COLUMNS, *first, *then, "units"]].to_csv(part, index=False, float_format="%.6g")


def records_of(at: StatePoint, double_wells: pd.DataFrame) -> list[dict[str, Any] | None]:
    """The last record of each of some double wells, by pair; None where there is none, or its splitting is another."""
    records = list(read_records(at))
    index = pair_index(pd.DataFrame(records, columns=PAIR_COLUMNS), at.decimals)
    latest = dict(zip(index, records, strict=True))
    found = [(latest.get(key), splitting) for key, splitting in double_wells[QS].items()]
    return [
        one if one and np.isclose(one["levels"][1] - one["levels"][0], splitting, rtol=SAME, atol=0) else None
        for one, splitting in found
    ]


def describe(record: dict[str, Any]) -> dict[str, float]:
    """The columns FROM_PROFILE and STORED of a double well, from its record; levels are counted from V(i)."""
    lengths, energies, slopes = (np.array(record[name], float) for name in ("lengths", "energies", "slopes"))
    _, top = barrier_top(lengths, energies, slopes)
    system = two_level_of_record(record)
    return {
        "level_0": record["levels"][0] - energies[0],
        "level_1": record["levels"][1] - energies[0],
        "barrier": top - energies[0],
        "barrier_back": top - energies[-1],
        "asymmetry": energies[-1] - energies[0],
        "tunnelling_amplitude": system.tunnelling_amplitude,
        "path_length": record["path_length"],
        "mass_weighted_length": lengths[-1],
        "level_asymmetry": system.asymmetry,
        "level_0_in_i": system.in_first[0],
        "level_1_in_i": system.in_first[1],
        "force": record["force"],
        "force_tolerance": record.get("force_tolerance", record["force"]),
        **record.get("properties", {}),
    }


def read_double_wells(at: StatePoint) -> pd.DataFrame:
    """``double_wells.csv`` as :func:`update_double_wells` wrote it, by pair; empty where none did; else UserError."""
    numbers = dict.fromkeys((QS, "splitting_K", *FROM_PROFILE, "PR", *STORED, *DERIVED, "images"), float)
    types = {**numbers, REARRANGEMENT: np.int64, "fidelity": object}
    if not at.double_wells.exists():
        return no_pairs(*types).astype(types)
    table = read_own_csv(at.double_wells, {"conf": np.int64, "i": float, "j": float, **types})
    return by_pair(table.fillna({"fidelity": ""}), at.decimals)


def check_double_wells(at: StatePoint, units: Units) -> None:
    """Raise UserError if ``double_wells.csv`` says other units."""
    for then in read_double_wells(at).get("units", pd.Series(dtype=object)).dropna().unique():
        check_same_units(at.double_wells, then, units, OF_RESULTS)


def update_zero_point(at: StatePoint, settings: Settings, count: int, make_calculator: MakeCalculator) -> Iterator[str]:
    """Give the smallest splittings, calculated with all images, a second one; a line of each."""
    wells = read_double_wells(at).sort_values(QS, kind="stable")
    wells = wells[wells["fidelity"] == "full"].head(count)
    records = {
        Pair(*(one[name] for name in PAIR_COLUMNS)): one for one in records_of(at, wells) if one and one["before"]
    }
    found = [job for job in jobs_of(at, wells, from_paths=True)[0] if job.known_path and job.pair in records]
    jobs = [(job.known_path, job.places[0], records[job.pair]) for job in found]
    if not jobs:
        raise UserError(
            f"{at.double_wells}: no double well with all images has both its path and its record (by neb.continuation: "
            "line); run_neb.py --refine calculates them"
        )
    missing = [job for job in jobs if SPLITTING_ZP not in job[-1].get("properties", {})]
    function = partial(splitting_with_zero_point, settings=settings, make_calculator=make_calculator)
    with (
        Progress(desc=f"T = {at.temperature}: zero point", total=len(missing), unit="pair") as bar,
        worker_pool(settings, len(missing)) as workers,
    ):
        for record, found in workers.results(function, missing):
            said, energy = found, settings.unit.energy
            if isinstance(found, dict):
                add_again(at, record, found)
                said = f"{found[SPLITTING_ZP]:.4g} {energy} with the zero-point energy"
            pair, splitting = Pair(*(record[name] for name in PAIR_COLUMNS)), record["levels"][1] - record["levels"][0]
            yield f"{pair.text(at.decimals)}: splitting {splitting:.4g} {energy}, {said}"
            bar.update()
    if len(missing) < len(jobs):
        yield f"{len(jobs) - len(missing)} have their second splitting already"


def count_tls(double_wells: pd.DataFrame, threshold: float) -> str:
    """Number of TLS, and of distinct ones, in words."""
    tls = double_wells[double_wells[QS] < threshold]
    unknown, once = int((tls[REARRANGEMENT] == 0).sum()), len(distinct(tls))
    apart = f", {once} distinct" * bool(once)
    return f"{len(tls)} TLS" + apart + f" ({unknown} without minima)" * bool(unknown)
