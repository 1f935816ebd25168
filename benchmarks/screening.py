"""What it costs to find the TLS of some glasses: all images for every pair, screening first, or every near pair.

python -m benchmarks.screening DIR [-T 0.12] [--least 0.8] [--pairs N] --stages FILE.csv

DIR is a workspace with minima that was taken through steps 0 to 4. All pairs of its list and all with at least this
nearest_between are calculated exactly; FILE keeps what each band said and what it cost, so that a second run
calculates none; ``--pairs``: of N of them from all over the order. Then the ways are replayed. Where there are fewer
than ten TLS, the smallest twentieth of the splittings stands for them. Writes nothing into DIR.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd

from glass.double_well import Verdict, examined, forces_of
from glass.path import straight_line
from pipeline.files import atomic_write
from pipeline.formats.keys import PAIR_COLUMNS, by_pair
from pipeline.formats.minima import read_atoms
from pipeline.formats.results import read_pair_list
from pipeline.messages import Progress
from pipeline.settings import Settings
from pipeline.workers import worker_pool
from pipeline.workspace import StatePoint, Workspace
from search.calculator import find_calculator
from search.exact import PairJob, calculate, hbar_of, jobs_of
from search.picks import all_candidates

SETTINGS = Settings()
FEW, SMALLEST = 10, 0.05  # with fewer TLS this part of all double wells, the smallest splittings, stands for them


def main() -> None:
    """Calculate what is missing, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("-T", "--temperature", default="0.12")
    parser.add_argument("--least", type=float, default=0.8)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--stages", type=Path, required=True)
    given = parser.parse_args()
    work, T = Workspace(given.workspace), given.temperature
    listed = read_pair_list(work.at(T).predicted("allpairs"), SETTINGS.ij_decimals)
    ordered = all_candidates(work.at(T), SETTINGS.classify, given.least, listed)
    ordered["listed"] = np.arange(len(ordered)) < len(listed)
    if given.pairs is not None:
        ordered = ordered.iloc[np.linspace(0, len(ordered) - 1, given.pairs).astype(int)]
    if not given.stages.exists():
        with atomic_write(given.stages) as part:
            calculated(work.at(T), ordered).to_csv(part, index=False)
    stages = pd.read_csv(given.stages, float_precision="round_trip")
    stages = ordered.join(by_pair(stages, SETTINGS.ij_decimals).drop(columns=PAIR_COLUMNS), how="inner")
    print(
        f"{len(stages)} pairs, {stages['listed'].sum()} of them on the list: {stages['kind'].value_counts().to_dict()}"
    )
    report_errors(stages)
    report_ways(stages)


def calculated(at: StatePoint, pairs: pd.DataFrame) -> pd.DataFrame:
    """What each band of a pair said and cost; see :func:`stages_of_pair`."""
    jobs, _ = jobs_of(at, pairs)
    function = partial(stages_of_pair, make_calculator=find_calculator(SETTINGS.neb, at.workspace.root))
    with worker_pool(SETTINGS) as workers:
        return pd.DataFrame(list(Progress(workers.results(function, jobs), desc="NEB", total=len(jobs), unit="pair")))


def stages_of_pair(job: PairJob, make_calculator: Callable[..., Any]) -> dict[str, object]:
    """One row: conf, i, j; of each band splitting in ε, verdict, CPU seconds so far; of the last, of screening."""
    started = process_time()
    start, end = (read_atoms(place) for place in job.places)
    neb = SETTINGS.neb
    forces, _ = forces_of(start, make_calculator, neb.images)
    row: dict[str, object] = dict(job.pair._asdict())

    def told(verdict: Verdict) -> None:
        k = sum(name.startswith("cpu") for name in row)
        row[f"splitting_{k}"] = np.nan if verdict.levels is None else verdict.levels[1] - verdict.levels[0]
        row[f"cpu_{k}"] = process_time() - started

    verdict = examined(
        straight_line(start.positions, end.positions, start.cell.lengths(), neb.images),
        forces,
        neb.images,
        neb.force_tolerance,
        max_steps=neb.max_steps,
        hbar=hbar_of(neb),
        masses=start.get_masses(),
        told=told,
    )
    row["kind"] = verdict.kind
    quick = SETTINGS.model_copy(update={"neb": neb.model_copy(update={"zero_point": "never"})})
    row["screened"] = calculate(job, quick, make_calculator).verdict.kind
    return row


def report_errors(stages: pd.DataFrame) -> None:
    """Print how far coarse splittings are off, and which TLS they would have lost."""
    print(pd.crosstab(stages["screened"], stages["kind"]).to_string())
    wells = stages[stages["kind"] == "double well"]
    exact, threshold = wells["splitting_1"], SETTINGS.tls_threshold
    print("splitting of few images over that of all: median, spread in log10, smallest, largest")
    for name, some in (("all double wells", exact > 0), ("below 3 thresholds", exact < 3 * threshold)):
        ratio = (wells["splitting_0"] / exact)[some].dropna()
        numbers = f"{ratio.median():.3f}, {np.log10(ratio).std():.3f}, {ratio.min():.2f}, {ratio.max():.2f}"
        print(f"  11 images, {name} ({len(ratio)}): {numbers}")
    tls = wells[exact < threshold]
    for below in (1.0, 1.5, 2.0, SETTINGS.neb.refine_below):
        lost = (screened(tls, below)["stage"] < 1).sum()
        refined = (screened(wells, below)["stage"] == 1).mean()
        print(f"neb.refine_below = {below:g}: {refined:.1%} of double wells refined; TLS lost: {lost} of {len(tls)}")


def screened(stages: pd.DataFrame, below: float) -> pd.DataFrame:
    """``stage`` at which screening stops with each pair, and its ``cpu``."""
    stops = (stages["splitting_0"] > below * SETTINGS.tls_threshold) | stages["cpu_1"].isna()
    stage = np.where(stops, 0, 1)
    cpu = stages[["cpu_0", "cpu_1"]].to_numpy()[np.arange(len(stages)), stage]
    return pd.DataFrame({"stage": stage, "cpu": cpu}, index=stages.index)


def report_ways(stages: pd.DataFrame) -> None:
    """Print the CPU time after which half, 90 % and all of what is looked for are found; pairs in the list's order."""
    splitting = stages["splitting_1"].where(stages["kind"] == "double well")
    wanted, what = splitting < SETTINGS.tls_threshold, "TLS"
    if wanted.sum() < FEW:
        wanted = splitting <= splitting.quantile(SMALLEST)
        what = f"smallest {SMALLEST:.0%} of the splittings"
    full = stages[["cpu_0", "cpu_1"]].max(axis=1)
    quick = screened(stages, SETTINGS.neb.refine_below)["cpu"]
    listed = stages["listed"].to_numpy()
    print(f"CPU time in s to find half, 90 %, all of {wanted.sum()} ({what}); pairs and s in all")
    for name, cpu, some in (
        ("the list, all images", full, listed),
        ("the list, screened", quick, listed),
        ("the list, then all near pairs (--all), screened", quick, np.full(len(stages), True)),
    ):
        found, spent = np.cumsum(wanted[some].to_numpy()), np.cumsum(cpu[some].to_numpy())
        at = [np.searchsorted(found, np.ceil(part * wanted.sum())) for part in (0.5, 0.9, 1.0)]
        times = [f"{spent[k]:8.1f}" if k < len(spent) else "   never" for k in at]
        print(f"  {name:50s}", *times, f"{len(spent):8d} {spent[-1]:8.1f}")


if __name__ == "__main__":
    main()
