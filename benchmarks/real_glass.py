"""Precision and recall of "double well" over all pairs of one glass, by exact verdicts on pairs drawn by strata.

python -m benchmarks.real_glass DIR [DIR …] [-T 0.062] [--pairs 600] --verdicts FILE.csv

The DIRs are workspaces with the same minima, each taken through step 2 with labels of its own. Of the first one, pairs
under step 2's ceilings are drawn from strata of nearest_between and calculated exactly; FILE keeps the verdicts, so
that a second run calculates none. Pairs with an end point that is no minimum are left out. Writes nothing into DIR.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.files import atomic_write
from pipeline.formats.keys import PAIR_COLUMNS, by_pair, pair_index
from pipeline.formats.pair_tables import read_batches, under_ceilings
from pipeline.formats.possible import PROBABILITY
from pipeline.settings import Settings
from pipeline.workers.pool import worker_pool
from pipeline.workspace import StatePoint, Workspace
from search.calculator import find_calculator
from search.exact import calculate, jobs_of

EDGES = (0.0, 0.8, 0.9, 0.95, 1.0, np.inf)
"""Of the strata; an equal number of pairs is drawn from each."""

SETTINGS = Settings()


def main() -> None:
    """Calculate what is missing of the sample, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspaces", type=Path, nargs="+")
    parser.add_argument("-T", "--temperature", default="0.062")
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--verdicts", type=Path, required=True)
    given = parser.parse_args()
    T = given.temperature
    pairs = pairs_with_stratum(Workspace(given.workspaces[0]).at(T))
    if not given.verdicts.exists():
        with atomic_write(given.verdicts) as part:
            verdicts(Workspace(given.workspaces[0]).at(T), drawn(pairs, given.pairs)).to_csv(part, index=False)
    sample = pd.read_csv(given.verdicts, float_precision="round_trip")
    sample = sample[~sample["reason"].str.contains("is no minimum", na=False)]
    counts = pairs["stratum"].value_counts()
    sample["weight"] = sample["stratum"].map(counts) / sample["stratum"].map(sample["stratum"].value_counts())
    wells = sample["kind"] == "double well"
    print(f"{len(pairs)} pairs under the ceilings, {len(sample)} exact verdicts; double wells by estimate: ", end="")
    print(f"{sample['weight'][wells].sum():.0f}")
    print(f"nearest_between >= 1, untrained: {judged(sample, sample['nearest_between'] >= 1)}")
    for root in given.workspaces:
        kept = pd.read_csv(Workspace(root).at(T).classified, float_precision="round_trip")
        listed = pair_index(kept[kept[PROBABILITY] > 0.5], 10)
        called = pair_index(sample, 10).isin(listed)
        print(f"{root}, {len(listed)} pairs called double wells: {judged(sample, called)}")


def pairs_with_stratum(at: StatePoint) -> pd.DataFrame:
    """Pairs that step 2 looks at, with their stratum."""
    columns = [*PAIR_COLUMNS, "Delta_E", "total_displacement", "nearest_between"]
    pairs = pd.concat([rows for path in at.pair_tables for rows in read_batches(path, columns)])
    pairs = pairs[under_ceilings(pairs, SETTINGS.classify)]
    return pairs.assign(stratum=lambda rows: np.searchsorted(EDGES, rows["nearest_between"], side="right"))


def drawn(pairs: pd.DataFrame, count: int) -> pd.DataFrame:
    """Equal numbers from each stratum."""
    strata = pairs.groupby("stratum", group_keys=False)
    return pd.concat(
        [rows.sample(min(len(rows), count // strata.ngroups), random_state=SETTINGS.seed) for _, rows in strata]
    )


def verdicts(at: StatePoint, pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs with ``kind`` and ``reason`` of their exact verdicts."""
    jobs, _ = jobs_of(at, by_pair(pairs, at.decimals))
    function = partial(
        calculate, settings=SETTINGS.neb, make_calculator=find_calculator(SETTINGS.neb.calculator, at.workspace.root)
    )
    with worker_pool(SETTINGS) as workers:
        found = [one.verdict for one in workers.results(function, jobs, in_order=True)]
    return pairs.assign(kind=[one.kind for one in found], reason=[one.reason for one in found])


def judged(sample: pd.DataFrame, called: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> str:
    """Precision and recall, with the pairs weighed by their strata."""
    weight, wells = sample["weight"].to_numpy(), (sample["kind"] == "double well").to_numpy()
    called = np.asarray(called)
    right = weight[called & wells].sum()
    return f"precision {right / weight[called].sum():.3f}, recall {right / weight[wells].sum():.3f}"


if __name__ == "__main__":
    main()
