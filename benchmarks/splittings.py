"""Predicted against calculated splitting, for pairs that a model calls double wells.

python -m benchmarks.splittings DIR [-T 0.062] [--pairs 40] [--picture FILE.png]

DIR is a workspace taken through steps 0 to 4. The pairs are spread evenly over log10 of the predicted splitting, so
that the smallest are among them. Prints the median ratio and the spread over the pairs that the exact calculation finds
to be double wells, and how many were none. Writes nothing into DIR; beside the picture stand its numbers, as CSV.
"""

import argparse
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.formats.keys import by_pair
from pipeline.settings import Settings
from pipeline.workers import worker_pool
from pipeline.workspace import QS, StatePoint, Workspace
from reporting.style import BLUE, GREY, ORANGE, YELLOW, Picture, panels
from search.calculator import find_calculator
from search.exact import calculate, jobs_of


def main() -> None:
    """Calculate some of the pairs and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("-T", "--temperature", default="0.062")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    work, settings = Workspace(given.workspace), Settings()
    listed = pd.read_csv(work.at(given.temperature).predicted("allpairs"), float_precision="round_trip")
    listed = spread_evenly(listed, given.pairs, settings.seed)
    results = calculate_some(work.at(given.temperature), listed, given.pairs, settings)
    wells = results.dropna()
    off = np.log10(wells["predicted_epsilon"] / wells["calculated_epsilon"])
    print(f"predicted / calculated: median {10 ** off.median():.3f}, rms of log10 {np.sqrt((off**2).mean()):.3f}, ")
    print(f"half of them within {(off - off.median()).abs().median():.3f} of the median in log10")
    for low, high in ((0, 0.01), (0.01, 0.02), (0.02, np.inf)):
        some = off[wells["predicted_epsilon"].between(low, high, inclusive="left")]
        print(f"  predicted {low} to {high} ε: {len(some)} double wells, median {10 ** some.median():.3f}")
    if given.picture:
        title = f"T = {given.temperature}, pairs called double wells"
        written = comparison(results, settings.tls_threshold, title).save(given.picture, ["png"])
        print(f"picture: {', '.join(map(str, written))}")


def spread_evenly(listed: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Pairs in turn from ``count`` equal parts of log₁₀ of the predicted splitting, the smallest first."""
    shuffled = listed.sample(frac=1, random_state=seed, ignore_index=True)
    part = pd.cut(np.log10(shuffled[QS]), count, labels=False)
    order = pd.DataFrame({"turn": part.groupby(part).cumcount(), "part": part}).sort_values(["turn", "part"])
    return shuffled.loc[order.index]


def calculate_some(at: StatePoint, listed: pd.DataFrame, count: int, settings: Settings) -> pd.DataFrame:
    """Verdicts on the first pairs of a list: conf, i, j, kind, predicted_epsilon, calculated_epsilon (NaN: no DW)."""
    jobs, missing = jobs_of(at, by_pair(listed, at.decimals))
    if missing:
        raise SystemExit(f"{missing[0]}; the minima of all pairs are needed")
    make_calculator = find_calculator(settings.neb, at.workspace.root)
    function = partial(calculate, settings=settings, make_calculator=make_calculator, refining=True)
    passed_over = 0
    rows: list[dict[str, object]] = []
    with worker_pool(settings) as workers:
        verdicts = workers.results(function, jobs, in_order=True)
        for (job, verdict, _), predicted in zip(verdicts, listed[QS], strict=True):
            if "is no minimum" in verdict.reason:
                passed_over += 1
                continue
            calculated = np.nan if verdict.levels is None else verdict.levels[1] - verdict.levels[0]
            energies = {"predicted_epsilon": predicted, "calculated_epsilon": calculated}
            rows.append({**job.pair._asdict(), "kind": verdict.kind, **energies})
            if len(rows) == count:
                break
    results = pd.DataFrame(rows)
    print("pairs called double wells, evenly over log10 of the predicted splitting:", dict(Counter(results["kind"])))
    print(f"passed over, as an end point is no minimum: {passed_over}")
    return results


def comparison(results: pd.DataFrame, threshold: float, title: str) -> Picture:
    """Calculated against predicted splitting, and below it what the prediction is off; non-DW at the edge."""
    wells, others = results.dropna(), results[results["kind"] == "non-DW"]
    predicted, calculated = (wells[name].to_numpy(float) for name in ("predicted_epsilon", "calculated_epsilon"))
    no_wells = others["predicted_epsilon"].to_numpy(float)
    marks: Any = {"color": BLUE, "alpha": 0.7, "mec": "white"}  # which show when they lie on each other
    with panels(5.6, 7.2, 2, 1, sharex=True, height_ratios=(2, 1)) as (figure, (above, below)):
        every = np.concatenate([predicted, calculated, no_wells])
        low, high = 0.8 * float(every.min()), 1.25 * float(every.max())
        if low < threshold:
            above.axhspan(low, threshold, color=YELLOW, alpha=0.35, lw=0, label=f"TLS: calculated < {threshold:g} ε")
            for ax in (above, below):
                ax.axvline(threshold, color=ORANGE, lw=1, ls="--", label="predicted to be TLS: left of this line")
        above.plot([low, high], [low, high], color="black", lw=1, label="predicted = calculated")
        above.plot(predicted, calculated, "o", label=f"double wells: {len(wells)}", **marks)
        above.plot(
            no_wells,
            np.full(len(no_wells), 0.03),
            "|",
            ms=11,
            mew=1.6,
            color=GREY,
            transform=above.get_xaxis_transform(),
            label=f"non-DW, at their predicted splitting: {len(others)}",
        )
        above.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), title=title)
        above.set(ylabel="calculated quantum splitting (ε)")
        below.axhline(0, color="black", lw=1)
        off = np.log10(predicted / calculated)
        below.plot(predicted, off, "o", **marks)
        reach = 1.15 * max(np.abs(off).max(initial=0), 0.05)
        below.set(
            xlabel="predicted quantum splitting (ε)", ylabel="log₁₀(predicted /\ncalculated)", ylim=(-reach, reach)
        )
        figure.align_ylabels()
        figure.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=1)
    return Picture(figure, results)


if __name__ == "__main__":
    main()
