"""What it costs to load a calculator once an image, and once a worker (``neb.shared``).

python -m benchmarks.shared [--megabytes 64] [--pairs 4] [--images 21]

The calculator is that of the example's soft spheres, which first reads an array of so many megabytes from a file, as
one with many parameters would. The pairs are the nearest of one glass of the example. Each way runs in a process of its
own, one after the other; the file is in the system's cache.
"""

import argparse
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import multiprocess
import numpy as np
from ase import Atoms

from glass.soft_spheres import SoftSpheres
from pipeline.formats.configurations import Place
from pipeline.formats.keys import Pair
from pipeline.formats.lammps import energy_in_name
from pipeline.settings import NebSettings
from search.conversion import read_atoms
from search.exact import PairJob, calculate

GLASS = Path(__file__).resolve().parent.parent / "example/Configurations/minima/T0.12/Cnf-20"


class Heavy(SoftSpheres):
    """The soft spheres with parameters that take a while to read."""

    loads = 0

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.weights = np.load(weights)
        Heavy.loads += 1


def nearest_pairs(count: int) -> list[PairJob]:
    """The pairs of minima with the smallest total displacement."""
    paths = sorted(GLASS.iterdir())
    atoms = [read_atoms(Place(path)) for path in paths]
    box = atoms[0].cell.lengths()
    positions = np.stack([one.positions for one in atoms])
    found = []
    for first in range(len(paths)):
        steps = positions[first + 1 :] - positions[first]
        steps -= box * np.rint(steps / box)
        distances = np.linalg.norm(steps.reshape(len(steps), positions[0].size), axis=1)
        found += [(distance, first, first + 1 + k) for k, distance in enumerate(distances)]
    jobs = []
    for _, first, second in sorted(found)[:count]:
        low, high = sorted((paths[first], paths[second]), key=energy_in_name)
        jobs.append(PairJob(Pair(20, energy_in_name(low), energy_in_name(high)), (Place(low), Place(high))))
    return jobs


def measure(shared: bool, jobs: list[PairJob], images: int, weights: Path) -> tuple[Any, ...]:
    """Loads, CPU seconds, peak memory in MB and splittings."""
    settings = NebSettings(shared=shared, images=images)
    started = time.process_time()

    def calculator(_: Atoms) -> Heavy:
        return Heavy(weights)

    verdicts = [calculate(job, settings, calculator).verdict for job in jobs]
    seconds = time.process_time() - started
    splittings = [np.nan if one.levels is None else one.levels[1] - one.levels[0] for one in verdicts]
    return Heavy.loads, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, splittings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--images", type=int, default=21)
    given = parser.parse_args()
    jobs = nearest_pairs(given.pairs)
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.npy"
        np.save(weights, np.zeros(given.megabytes * 125_000))
        print(f"{given.pairs} pairs, {given.images} images, {given.megabytes} MB to load")
        splittings = []
        for shared in (False, True):
            with multiprocess.Pool(1) as pool:
                loads, seconds, memory, found = pool.apply(measure, (shared, jobs, given.images, weights))
            splittings.append(found)
            print(
                f"neb.shared: {str(shared).lower():5}  {loads:4} loads  {seconds:6.2f} s of CPU time  {memory:6.0f} MB"
            )
    change = np.nanmax(np.abs(np.array(splittings[1]) / np.array(splittings[0]) - 1))
    print(f"largest relative change of a splitting: {change:.1e}")


if __name__ == "__main__":
    main()
