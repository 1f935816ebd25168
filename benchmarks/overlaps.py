"""How the sorting of pairs into rearrangements grows: processor time and memory, made-up minima of 300 particles.

python -m benchmarks.overlaps cold|hot [--minima 10000] [--pairs 10000 100000 1000000]

The minima of a cold glass differ by 13 motions of eight particles, beside small ones of all; its pairs by one to three
of these. In each minimum of a hot glass five particles of its own have moved, so that nearly each pair is a
rearrangement of its own. Both are sorted, then a hundredth of the pairs as new beside the others.
"""

import argparse
import resource
import time

import numpy as np

from glass.arrays import Array, Index
from glass.overlap import Displacements, find_rearrangements
from pipeline.settings import Settings

N, BOX, MOTIONS = 300, np.full(3, 6.7), 13


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["cold", "hot"])
    parser.add_argument("--minima", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    given = parser.parse_args()
    rng, overlap = np.random.default_rng(0), Settings().rearrangements.overlap
    positions, switched = made_up(given.kind, given.minima, rng)
    find_rearrangements(Displacements(positions, BOX, *some_pairs(switched, 100, rng)), overlap)  # compiles
    print(f"{'pairs':>8} {'rearrangements':>14} {'CPU s':>8} {'a hundredth new':>15} {'MB':>6}")
    for number in given.pairs:
        before = time.process_time()
        pairs = Displacements(positions, BOX, *some_pairs(switched, number, rng))
        labels = find_rearrangements(pairs, overlap)
        seconds, before = time.process_time() - before, time.process_time()
        again = find_rearrangements(pairs, overlap, np.where(np.arange(len(labels)) % 100, labels, -1))
        later, memory = time.process_time() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        assert again.max() <= labels.max()
        print(f"{len(labels):8} {labels.max() + 1:14} {seconds:8.1f} {later:15.1f} {memory:6.0f}", flush=True)


def made_up(kind: str, minima: int, rng: np.random.Generator) -> tuple[list[Array], Index]:
    """Positions of each minimum, and which motions have happened in it, in binary: none where each has its own."""
    base, motions = rng.random((N, 3)) * BOX, np.zeros((MOTIONS, N, 3))
    for motion in motions:
        motion[rng.choice(N, 8, replace=False)] = rng.normal(0, 0.08, (8, 3))
    switched = rng.integers(0, 2**MOTIONS if kind == "cold" else 1, minima)
    positions = []
    for state in switched:
        step = rng.normal(0, 0.002, (N, 3)) + np.tensordot(state >> np.arange(MOTIONS) & 1, motions, 1)
        if kind == "hot":
            step[rng.choice(N, 5, replace=False)] += rng.normal(0, 0.2, (5, 3))
        positions.append(np.mod(base + step, BOX))
    return positions, switched


def some_pairs(switched: Index, number: int, rng: np.random.Generator) -> tuple[Index, Index]:
    """Pairs of minima drawn at random, each once; of a cold glass those that differ by one to three motions."""
    minima, found = len(switched), np.empty(0, np.int64)
    motions = (np.arange(2**MOTIONS)[:, None] >> np.arange(MOTIONS) & 1).sum(axis=1)
    while len(found) < number:
        first, second = np.sort(rng.integers(0, minima, (2, 2_000_000)), axis=0)
        differ = motions[switched[first] ^ switched[second]]
        wanted = (first < second) & ((differ > 0) & (differ <= 3) | (switched.max() == 0))
        found = np.union1d(found, first[wanted] * minima + second[wanted])
    found = rng.permutation(found)[:number]
    return found // minima, found % minima


if __name__ == "__main__":
    main()
