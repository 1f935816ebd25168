"""Second splitting of the smallest double wells: with the zero-point energy across the path, from stored paths."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glass.double_well import CalculatorFailedError, failures_named
from glass.response.vibrations import with_zero_point, zero_point_along
from glass.tunnelling import NotResolvedError, lowest_levels
from glass.two_level import symmetrised
from pipeline.errors import UserError
from pipeline.formats.configurations import MinimumError
from pipeline.formats.keys import Pair, by_pair
from pipeline.formats.minima import read_atoms
from pipeline.formats.path_images import path_file, read_images
from pipeline.formats.records import add_again, profile_of_record
from pipeline.progress import Progress
from pipeline.settings import NebSettings, Settings
from pipeline.workers.pool import worker_pool
from pipeline.workspace import QS, StatePoint
from search.calculated import read_double_wells, records_of
from search.calculator import load
from search.exact import jobs_of
from search.well_properties import AMPLITUDE_ZP, SPLITTING_ZP, hessian_of


class ZeroPointJob(NamedTuple):
    """A double well with its record, a minimum with its masses, and the images of its path."""

    pair: Pair
    record: dict[str, Any]
    minimum: Any
    images: Path


class ZeroPoint(NamedTuple):
    """V + Z of one double well: entries for the properties of its record; a reason where there is no splitting."""

    job: ZeroPointJob
    found: dict[str, float]
    reason: str = ""


def update_zero_point(
    at: StatePoint, settings: Settings, count: int, make_calculator: Callable[[Any], Any]
) -> Iterator[str]:
    """Give the smallest splittings, calculated with all images, a second one; a line of each."""
    wells = by_pair(read_double_wells(at), at.decimals).sort_values(QS, kind="stable")
    wells = wells[wells["fidelity"] == "full"].head(count)
    jobs = []
    for record, job in zip(records_of(at, wells), jobs_of(at, wells)[0], strict=False):
        images = path_file(at, job.pair)
        if record and record["before"] is not None and images.exists():
            jobs.append(ZeroPointJob(job.pair, record, job.places[0], images))
    if not jobs:
        raise UserError(
            f"{at.double_wells}: no double well with all images has both its path and its record (by neb.continuation: "
            "line); run_neb.py --refine calculates them"
        )
    missing = [job for job in jobs if SPLITTING_ZP not in job.record.get("properties", {})]
    function = partial(splitting_with_zero_point, settings=settings.neb, make_calculator=make_calculator)
    with (
        Progress(desc=f"T = {at.temperature}: zero point", total=len(missing), unit="pair") as bar,
        worker_pool(settings, len(missing)) as workers,
    ):
        for one in workers.results(function, missing):
            splitting = one.job.record["levels"][1] - one.job.record["levels"][0]
            said = one.reason
            if SPLITTING_ZP in one.found:
                add_again(at, one.job.record, one.found)
                said = f"{one.found[SPLITTING_ZP]:.4g} {settings.unit.energy} with the zero-point energy"
            yield f"{one.job.pair}: splitting {splitting:.4g} {settings.unit.energy}, {said}"
            bar.update()
    if len(missing) < len(jobs):
        yield f"{len(jobs) - len(missing)} have their second splitting already"


def splitting_with_zero_point(
    job: ZeroPointJob, settings: NebSettings, make_calculator: Callable[[Any], Any]
) -> ZeroPoint:
    """V + Z of one double well; a job for a worker, in the units of the workspace."""
    profile, hbar = profile_of_record(job.record), job.record["hbar"]
    try:
        minimum = read_atoms(job.minimum)
        images = np.array([image.positions for image in read_images(job.images)])
        if len(images) != len(profile.lengths):
            return ZeroPoint(job, {}, f"{job.images} has not the images of its record")
        with failures_named():
            hessian = hessian_of(minimum, load(settings, make_calculator, minimum))
            along = zero_point_along(images, profile.energies, minimum.get_masses(), profile, hessian, hbar)
        added = with_zero_point(profile, *along)
        low, high = lowest_levels(added, hbar)
    except (MinimumError, CalculatorFailedError) as error:
        return ZeroPoint(job, {}, str(error))
    except NotResolvedError:
        return ZeroPoint(job, {}, "none with the zero-point energy: V + Z does not hold two states")
    found = {SPLITTING_ZP: high - low}
    with suppress(NotResolvedError):
        amplitude = symmetrised(added, hbar).amplitude
        if np.isfinite(amplitude):
            found[AMPLITUDE_ZP] = amplitude
    return ZeroPoint(job, found)
