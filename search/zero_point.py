"""Second splitting of the smallest double wells: with the zero-point energy across the path, from stored paths."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from glass.double_well import CalculatorFailedError, failures_named
from glass.response.vibrations import with_zero_point
from glass.tunnelling import NotResolvedError, lowest_levels
from glass.two_level import symmetrised
from pipeline.errors import UserError
from pipeline.formats.configurations import MinimumError
from pipeline.formats.keys import Pair
from pipeline.formats.minima import read_atoms
from pipeline.formats.path_images import read_images
from pipeline.formats.records import add_again, profile_of_record
from pipeline.messages import Progress
from pipeline.settings import Settings
from pipeline.workers import worker_pool
from pipeline.workspace import QS, StatePoint
from search.calculated import read_double_wells, records_of
from search.calculator import load
from search.exact import PairJob, jobs_of
from search.well_properties import AMPLITUDE_ZP, SPLITTING_ZP, hessian_of

Job = tuple[PairJob, dict[str, Any]]  # a double well with the images of its path, and its record


def update_zero_point(
    at: StatePoint, settings: Settings, count: int, make_calculator: Callable[[Any], Any]
) -> Iterator[str]:
    """Give the smallest splittings, calculated with all images, a second one; a line of each."""
    wells = read_double_wells(at).sort_values(QS, kind="stable")
    wells = wells[wells["fidelity"] == "full"].head(count)
    with_path = {job.pair: job for job in jobs_of(at, wells, from_paths=True)[0] if job.known_path}
    jobs = [
        (with_path[pair], record)
        for record in filter(None, records_of(at, wells))
        if (pair := Pair(record["conf"], record["i"], record["j"])) in with_path and record["before"] is not None
    ]
    if not jobs:
        raise UserError(
            f"{at.double_wells}: no double well with all images has both its path and its record (by neb.continuation: "
            "line); run_neb.py --refine calculates them"
        )
    missing = [job for job in jobs if SPLITTING_ZP not in job[1].get("properties", {})]
    function = partial(splitting_with_zero_point, settings=settings, make_calculator=make_calculator)
    with (
        Progress(desc=f"T = {at.temperature}: zero point", total=len(missing), unit="pair") as bar,
        worker_pool(settings, len(missing)) as workers,
    ):
        for (job, record), found in workers.results(function, missing):
            said, energy = found, settings.unit.energy
            if isinstance(found, dict):
                add_again(at, record, found)
                said = f"{found[SPLITTING_ZP]:.4g} {energy} with the zero-point energy"
            splitting = record["levels"][1] - record["levels"][0]
            yield f"{job.pair.text(at.decimals)}: splitting {splitting:.4g} {energy}, {said}"
            bar.update()
    if len(missing) < len(jobs):
        yield f"{len(jobs) - len(missing)} have their second splitting already"


def splitting_with_zero_point(
    job: Job, settings: Settings, make_calculator: Callable[[Any], Any]
) -> tuple[Job, dict[str, float] | str]:
    """Properties of V + Z of one double well for its record, or why there are none; a job for a worker."""
    (pair, record), path = job, job[0].known_path
    assert path is not None
    profile, hbar = profile_of_record(record), record["hbar"]
    try:
        minimum = read_atoms(pair.places[0])
        images = np.array([image.positions for image in read_images(path)])
        if len(images) != len(profile.lengths):
            return job, f"{path} has not the images of its record"
        with failures_named():
            hessian = hessian_of(minimum, load(settings.neb, make_calculator, minimum))
            added = with_zero_point(profile, images, minimum.get_masses(), hessian, hbar)
        low, high = lowest_levels(added, hbar)
    except (MinimumError, CalculatorFailedError) as error:
        return job, str(error)
    except NotResolvedError:
        return job, "none with the zero-point energy: V + Z does not hold two states"
    found = {SPLITTING_ZP: high - low}
    with suppress(NotResolvedError):
        amplitude, _ = symmetrised(added, hbar)
        if np.isfinite(amplitude):
            found[AMPLITUDE_ZP] = amplitude
    return job, found
