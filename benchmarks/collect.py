"""Step 0: the feature kernel beside the one in double precision and plain NumPy, and files read per second, in one run.

Run with: python -m benchmarks.collect
"""

import argparse
import tempfile
import time
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray

from glass.arrays import Array
from glass.features import any_geometry, geometry_columns, pair_geometry
from glass.features_rounded import box_fractions
from glass.neighbourhood import Squares, pair_neighbourhood
from pipeline.formats.keys import minimum_keys
from pipeline.formats.minima import read_minima
from pipeline.glass_pairs import TILE, write_pairs
from pipeline.glasses import Glass
from pipeline.stamps import made_from

N_PARTICLES = 1500
N_MINIMA = 600
SIZES = (1415, 4473)  # minima that make a million and ten million pairs

BOX = np.full(3, N_PARTICLES ** (1 / 3))
NAMES = geometry_columns(3)


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    positions = made_up_minima(np.random.default_rng(0))
    first, second = np.triu_indices(N_MINIMA, 1)
    order = np.lexsort((second, first // TILE))
    first, second = first[order], second[order]
    print(f"{len(first)} pairs of {N_MINIMA} made-up minima, N = {N_PARTICLES}; the best of five runs")
    fractions = box_fractions(positions, BOX)
    rounded = partial(pair_geometry, positions, fractions, BOX, first, second, 3)
    exact = partial(any_geometry, positions, BOX, first, second, 3)
    for name, kernel in (("kernel", rounded), ("the same in double precision", exact)):
        kernel()
        for threads in sorted({1, numba.config.NUMBA_NUM_THREADS}):
            numba.set_num_threads(threads)
            seconds = best(kernel)
            print(
                f"  {name}, {threads} core(s): {len(first) / seconds:10.0f} pairs/s, "
                f"{seconds * threads / len(first) * 1e6:6.2f} µs a pair and core"
            )
    few = slice(0, len(first), 200)
    seconds = best(lambda: plain_numpy(positions, first[few], second[few]))
    each = seconds / len(first[few]) * 1e6
    print(f"  plain NumPy, 1 core:  {1e6 / each:10.0f} pairs/s, {each:6.2f} µs a pair")
    print("largest relative differences between the kernel and plain NumPy:")
    for size in (1.0, 1e-1, 1e-2, 1e-3, 1e-5):
        print_errors(positions, size)
    with tempfile.TemporaryDirectory() as folder:
        whole_step(Path(folder), positions)
        read_files(Path(folder), positions)
    neighbourhood()


def print_errors(positions: Array, size: float) -> None:
    """Print the largest relative errors when all displacements are made smaller."""
    steps = positions[:60] - positions[0]
    steps -= BOX[:, None] * np.round(steps / BOX[:, None])
    scaled = np.mod(positions[0] + size * steps, BOX[:, None])
    first, second = np.triu_indices(len(scaled), 1)
    found = pair_geometry(scaled, box_fractions(scaled, BOX), BOX, first, second, 3)
    error = np.abs(found / plain_numpy(scaled, first, second) - 1).max(axis=0)
    print(f"  displacements times {size:g}: " + ", ".join(f"{n} {e:.0e}" for n, e in zip(NAMES, error, strict=True)))


def whole_step(folder: Path, positions: Array) -> None:
    """Time all of step 0 but the reading: from minima in memory to the table on disk, on all cores."""
    energies = np.sort(np.random.default_rng(1).random(N_MINIMA)) * 1e-4
    glass = Glass([str(k) for k in range(N_MINIMA)], energies, minimum_keys(energies, 10), positions, BOX)
    made_of = made_from([], max_delta_E=1.0, ij_decimals=10, particles=3, units="reduced", format=0)
    started = time.perf_counter()
    stored = write_pairs(glass, made_of, None, {}, folder / "Cnf-1.feather")[0].pairs
    seconds = time.perf_counter() - started
    print(f"  minima in memory to table on disk, all cores: {stored / seconds:.0f} pairs/s")


def made_up_minima(rng: np.random.Generator, n: int = N_MINIMA) -> Array:
    """Positions (n, 3, N): one structure, elastic noise everywhere and a few large displacements."""
    positions = rng.random((3, N_PARTICLES)) * BOX[0] + rng.normal(0, 0.01, (n, 3, N_PARTICLES))
    for minimum in positions:
        minimum[:, rng.choice(N_PARTICLES, 5)] += rng.normal(0, 0.2, (3, 5))
    return np.asarray(np.mod(positions, BOX[0]))


def plain_numpy(positions: Array, first: NDArray[np.int64], second: NDArray[np.int64]) -> Array:
    """The same features pair by pair, as one would write them in NumPy."""
    rows = []
    for a, b in zip(first, second, strict=True):
        one, other = positions[a].T, positions[b].T
        step = other - one
        step -= BOX * np.round(step / BOX)
        square = (step**2).sum(axis=1)
        top = np.argsort(-square)[:3]
        mean = one[top] + step[top] / 2
        apart = mean[1:] - mean[0]
        apart -= BOX * np.round(apart / BOX)
        two = square.sum()
        rows.append([*np.sqrt(square[top]), *np.sqrt((apart**2).sum(axis=1)), np.sqrt(two), two**2 / (square**2).sum()])
    return np.array(rows)


def best(work: Callable[[], object]) -> float:
    """Shortest time in s of five runs."""
    return min(timeit.repeat(work, number=1, repeat=5))


def read_files(folder: Path, positions: Array) -> None:
    """Time reading text and binary minima on one core; the files are in the page cache."""
    diameters = np.ones((N_PARTICLES, 1))
    for k, places in enumerate(positions[:100]):
        write_text(folder / f"{k}.conf.txt", np.hstack([diameters, places.T]))
        write_binary(folder / f"{k}.conf", np.hstack([diameters, places.T]))
    for kind in ("*.conf.txt", "*.conf"):
        paths = list(folder.glob(kind))
        seconds = best(lambda paths=paths: read_minima(paths))  # type: ignore[misc]
        print(f"  reading {kind}, 1 core: {len(paths) / seconds:.0f} files/s")


def neighbourhood() -> None:
    """Print the time a pair of where the other minima lie, beside that of the other features, on one core."""
    numba.set_num_threads(1)
    for n in SIZES:
        positions = made_up_minima(np.random.default_rng(0), n)
        first, second = np.triu_indices(n, 1)
        order = np.lexsort((second, first // TILE))  # as in step 0
        first, second = first[order], second[order]
        fractions = box_fractions(positions, BOX)
        pair_geometry(positions, fractions, BOX, first[:10], second[:10], 3)
        started = time.perf_counter()
        geometry = pair_geometry(positions, fractions, BOX, first, second, 3)
        spent = time.perf_counter() - started
        squares = Squares.unknown(np.full(n, n))
        squares.put(first, second, geometry[:, -2] ** 2)
        pair_neighbourhood(squares, 0, 1)
        started = time.perf_counter()
        pair_neighbourhood(squares, 0, n)
        more = time.perf_counter() - started
        each, extra = (1e6 * seconds / len(first) for seconds in (spent, more))
        print(
            f"{len(first)} pairs, N = {N_PARTICLES}: other features {each:.2f} µs a pair, neighbourhood {extra:.2f} µs"
        )


def write_text(path: Path, table: Array) -> None:
    """LAMMPS ``write_data`` text."""
    edges = "\n".join(f"0.0 {side!r} {axis}lo {axis}hi" for side, axis in zip(BOX.tolist(), "xyz", strict=True))
    rows = "\n".join(f"{k} 1 " + " ".join(map(repr, row)) + " 0 0 0" for k, row in enumerate(table.tolist(), 1))
    path.write_text(f"made up\n\n{len(table)} atoms\n\n{edges}\n\nAtoms # charge\n\n{rows}\n")


def write_binary(path: Path, table: Array) -> None:
    """Fortran unformatted sequential."""
    records = [np.int32(len(table)).tobytes(), BOX.tobytes(), *(row.tobytes() for row in table)]
    path.write_bytes(b"".join(np.int32(len(r)).tobytes() + r + np.int32(len(r)).tobytes() for r in records))


if __name__ == "__main__":
    main()
