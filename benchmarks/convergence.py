"""How far splittings change under finer settings: twice the images, a quarter of the tolerance, twice the grid.

python -m benchmarks.convergence [--pairs 12] [--data FOLDER]

On the first double wells among random pairs of a real glass of 1500 particles, drawn as by benchmarks.neb.
"""

import argparse

import numpy as np
from ase import Atoms
from threadpoolctl import threadpool_limits

from benchmarks.neb import real_glass, some_pairs
from glass import tunnelling
from glass.double_well import Verdict, examine
from glass.soft_spheres import calculator
from pipeline.settings import NebSettings
from search.exact import hbar_of


def verdict(pair: tuple[Atoms, Atoms], images: int, tolerance: float) -> Verdict:
    """Of one pair, with all the steps it takes."""
    return examine(*pair, calculator, images=images, tolerance=tolerance, max_steps=2000, hbar=hbar_of(NebSettings()))


def splitting(found: Verdict) -> float:
    """In ε; NaN where there is none."""
    return np.nan if found.levels is None else found.levels[1] - found.levels[0]


def main() -> None:
    """Print the change of each pair's splitting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--data", default=None)
    given = parser.parse_args()
    folder = real_glass(given.data)
    if folder is None:
        return
    settings = NebSettings()
    changes = []
    for pair in some_pairs(folder, 100 * given.pairs):
        found = verdict(pair, settings.images, settings.force_tolerance)
        if found.levels is None or found.profile is None:
            continue
        once = splitting(found)
        images = splitting(verdict(pair, 2 * settings.images - 1, settings.force_tolerance))
        tolerance = splitting(verdict(pair, settings.images, settings.force_tolerance / 4))
        points, margin = 4 * tunnelling.POINTS, 2 * tunnelling.MARGIN
        low, high = tunnelling.levels_on_grid(found.profile, hbar_of(settings), points, margin)
        changes.append([images / once - 1, tolerance / once - 1, (high - low) / once - 1])
        print(f"{once:.6f} ε, path {found.profile.lengths[-1]:.2f} σ:", *(f"{c:+.2%}" for c in changes[-1]), flush=True)
        if len(changes) == given.pairs:
            break
    for name, column in zip(
        ("twice the images", "a quarter of the tolerance", "twice the grid"), np.array(changes).T, strict=True
    ):
        size = np.abs(column[np.isfinite(column)])
        print(
            f"{name}: median {np.median(size):.2%}, largest {size.max():.2%}, below 2 % in {(size < 0.02).sum()}, "
            f"not finished or no double well {np.isnan(column).sum()} of {len(column)}"
        )


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
