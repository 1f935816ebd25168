"""Predicted against calculated splitting, for pairs that a model calls double wells with high probability.

python -m benchmarks.splittings DIR [-T 0.062] [--pairs 40] [--picture FILE.png]

DIR is a workspace taken through steps 0 to 4. Prints the median ratio and the spread over the pairs that the exact
calculation finds to be double wells, and how many were none. Writes nothing into DIR.
"""

import argparse
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from MLmodel.plots import true_against_predicted
from MLmodel.tables import PROBABILITY
from pipeline.exact import calculate, jobs_of
from pipeline.settings import Settings
from pipeline.task import QS
from pipeline.workers import worker_pool
from pipeline.workspace import Workspace

HIGH = 0.99
"""Probability of a double well above which pairs are taken."""


def main() -> None:
    """Calculate a random sample of the pairs and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("-T", "--temperature", default="0.062")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    work, settings = Workspace(given.workspace), Settings()
    listed = pd.read_csv(work.predicted(given.temperature, "allpairs"), float_precision="round_trip")
    listed = listed[listed[PROBABILITY] > HIGH].sample(frac=1, random_state=settings.seed)
    jobs, _ = jobs_of(work, given.temperature, listed, settings)
    predicted = dict(zip((job.pair for job in jobs), listed[QS], strict=True))
    told: Counter[str] = Counter()
    both = []
    with worker_pool(settings.cores) as pool:
        for job, verdict in pool.imap(partial(calculate, settings=settings.neb, root=work.root), jobs):
            told["an end point is no minimum" if "no minimum" in verdict.reason else verdict.kind] += 1
            if verdict.levels is not None:
                both.append((verdict.levels[1] - verdict.levels[0], predicted[job.pair]))
            if told.total() - told["an end point is no minimum"] == given.pairs:
                break
    calculated, guess = np.array(both).T
    off = np.log10(guess / calculated)
    print(f"pairs taken at random with a probability above {HIGH}: {dict(told)}")
    print(f"predicted / calculated: median {10 ** np.median(off):.3f}, rms of log10 {np.sqrt(np.mean(off**2)):.3f}, ")
    print(f"half of them within {np.median(abs(off - np.median(off))):.3f} of the median in log10")
    if given.picture:
        panels = {given.temperature: (calculated, guess)}
        true_against_predicted(given.picture, panels, settings.tls_threshold, "calculated by run_neb.py")


if __name__ == "__main__":
    main()
