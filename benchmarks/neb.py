"""Evaluations and CPU time of the exact calculation, beside other programs and versions on the same pairs.

python -m benchmarks.neb [--pairs 12] [--workspace DIR [-T 0.12] --listed FILE.csv] [--images 21] [--ase]
                         [--against DIR [--their-images 41]] [--batched cupy|numpy]

Pairs are drawn at random from FILE (columns conf,i,j) of a workspace with minima; by default from those of one real
glass of 1500 particles (TLS_DATA/Configurations/minima/T0.062) under step 2's ceiling for the energy, 0.1 to 0.6 σ
apart.
One line each: all images for every double well, whose verdicts count as right; this version as it is; the same through
ASE's calls, as any calculator has it; ``--ase``: ASE's NEB with improved tangent and FIRE, stopped when as converged as
ours or after 1000 steps; ``--against DIR``: a checkout of another version. (BFGS, which ASE's examples use, would keep
a matrix of (3N · images)² numbers, 200 GB at N = 1500.) ``--batched``: only ``neb.batched``, on a GPU or by NumPy.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from glass.double_well import examine
from glass.soft_spheres import SoftSpheres

HBAR, TOLERANCE, MAX_STEPS, REFINE_BELOW = 0.0156348, 2e-4, 500, 0.00453  # config.yaml
ASE_STEPS = 1000
Way = Callable[[Atoms, Atoms, int], tuple[str, float]]


class Counted(SoftSpheres):
    """The calculator, counting."""

    evaluations = 0
    forces_are_cheap = False

    def calculate(self, *given: Any) -> None:
        """Energy and forces."""
        Counted.evaluations += 1
        SoftSpheres.calculate(self, *given)


class CountedMany(SoftSpheres):
    """The calculator for many images, counting; of versions that have none, as the other."""

    def calculate(self, *given: Any) -> None:
        """Energy and forces."""
        Counted.evaluations += 1
        SoftSpheres.calculate(self, *given)

    if hasattr(SoftSpheres, "calculate_many"):

        def calculate_many(self, atoms: Atoms, images: Any) -> Any:
            """Energies and forces."""
            Counted.evaluations += len(images)
            return SoftSpheres.calculate_many(self, atoms, images)


def verdict_by(calculator: Callable[[], Any], refine_below: float = REFINE_BELOW) -> Way:
    """Verdict and splitting as run_neb.py finds them."""

    def way(start: Atoms, end: Atoms, images: int) -> tuple[str, float]:
        found = examine(
            start,
            end,
            lambda _: calculator(),
            images=images,
            tolerance=TOLERANCE,
            max_steps=MAX_STEPS,
            hbar=HBAR,
            refine_below=refine_below,
        )
        return found.kind, np.nan if found.levels is None else found.levels[1] - found.levels[0]

    return way


def by_ase(start: Atoms, end: Atoms, images: int) -> tuple[str, float]:
    """Verdict and splitting of a path from ASE's NEB."""
    from ase.mep import NEB
    from ase.optimize import FIRE

    from glass.band import SETTLED, SPRING, TOLERANCES_SETTLED, relaxed_band
    from glass.double_well import forces_of, verdict_of
    from glass.path import image_places, straight_line
    from glass.relaxation import LBFGS

    places = []
    for positions in straight_line(start.positions, end.positions, start.cell.lengths(), images):
        place = start.copy()
        place.positions, place.calc = positions, Counted()
        places.append(place)
    springs = SPRING / (np.diff(image_places(images)) * (images - 1))
    neb = NEB(places, k=springs.tolist(), method="improvedtangent")
    converged = FIRE(neb, logfile=None).run(fmax=TOLERANCE, steps=ASE_STEPS)
    forces, _ = forces_of(start, lambda _: Counted(), images)
    path = np.stack([place.positions for place in places])
    tolerance = np.inf if converged else TOLERANCE
    band = relaxed_band(path, forces, tolerance, 0, max(SETTLED, TOLERANCES_SETTLED * TOLERANCE), LBFGS())
    found = verdict_of(band, forces, HBAR, True)
    return found.kind, np.nan if found.levels is None else found.levels[1] - found.levels[0]


WAYS = {
    "all images": verdict_by(CountedMany, np.inf),
    "calls of all images": verdict_by(CountedMany),
    "calls of ASE": verdict_by(Counted),
    "ASE": by_ase,
}


def measure(pairs: list[tuple[Atoms, Atoms]], way: Way, images: int) -> list[tuple[str, float, int, float]]:
    """Verdict, splitting, evaluations and CPU seconds of each pair; compiled before."""
    way(*pairs[0], images)
    rows = []
    for pair in pairs:
        Counted.evaluations, started = 0, time.process_time()
        rows.append((*way(*pair, images), Counted.evaluations, time.process_time() - started))
    return rows


def measured_by(checkout: Path, pairs: Path, way: str, images: int) -> list[tuple[str, float, int, float]]:
    """The same by another process, in whose path another version may stand."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), "--measure", str(pairs), way, str(images)]
    ended = subprocess.run(command, env=environment, cwd=checkout, check=True, capture_output=True, text=True)
    return [tuple(row) for row in json.loads(ended.stdout)]


def real_pairs(count: int) -> list[tuple[Atoms, Atoms]]:
    """Random pairs of the real glass; none, and the reason printed, where it is not."""
    from glass.arrays import minimum_image
    from pipeline.formats.configurations import Place
    from pipeline.formats.lammps import energy_in_name
    from pipeline.formats.minima import read_atoms

    data = Path(os.environ.get("TLS_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    files = sorted(data.glob("Configurations/minima/T0.062/*/*"), key=lambda path: energy_in_name(path) or 0.0)
    energies = [energy_in_name(path) or 0.0 for path in files]
    if not files:
        print(f"skipped: no real minima below {data}; name a workspace, or TLS_DATA")
    rng = np.random.default_rng(0)
    pairs: list[tuple[Atoms, Atoms]] = []
    while files and len(pairs) < count:
        one, other = np.sort(rng.choice(len(files), 2, replace=False))
        start, end = read_atoms(Place(files[one])), read_atoms(Place(files[other]))
        step = minimum_image(end.positions - start.positions, start.cell.lengths())
        distance = np.linalg.norm(step - step.mean(0))
        if abs(energies[other] - energies[one]) * len(start) < 0.1 and 0.1 < distance < 0.6:
            pairs.append((start, end))
    return pairs


def listed_pairs(workspace: Path, temperature: str, listed: Path, count: int) -> list[tuple[Atoms, Atoms]]:
    """Random pairs of a CSV."""
    import pandas as pd

    from pipeline.formats.keys import by_pair
    from pipeline.formats.minima import read_atoms
    from pipeline.settings import Settings
    from pipeline.workspace import Workspace
    from search.exact import jobs_of

    table = pd.read_csv(listed, float_precision="round_trip").sample(count, random_state=0)
    jobs, _ = jobs_of(Workspace(workspace).at(temperature), by_pair(table, Settings().ij_decimals))
    return [(read_atoms(job.places[0]), read_atoms(job.places[1])) for job in jobs]


def batched(pairs: list[tuple[Atoms, Atoms]], library: str) -> None:
    """Soft spheres as a function on arrays: singly, the images of a band in one call, those of twelve bands in one."""
    import importlib
    from itertools import repeat

    from glass.batches import Batched, together
    from glass.soft_spheres import C0, C2, C4, CUTOFF, pair_diameter

    xp, calls, first = importlib.import_module(library), list[int](), list[tuple[str, float]]()

    def soft_spheres(atoms: Atoms, images: Any) -> Any:
        calls.append(len(images))
        box, sizes, places = (xp.asarray(one) for one in (atoms.cell.lengths(), atoms.arrays["diameters"], images))
        steps = places[:, :, None] - places[:, None]  # all pairs by the nearest image
        steps -= box * xp.rint(steps / box)
        r2 = (steps**2).sum(-1) + 1e9 * xp.eye(len(sizes))
        x = pair_diameter.py_func(sizes[:, None], sizes) ** 2 / r2
        near, x3 = x > CUTOFF**-2, x * x * x
        found = [(near * (x3 * x3 + C0 + (C2 + C4 / x) / x)).sum((1, 2)) / 2]
        found += [((near * 2 * (6 * x3 * x3 - (C2 + 2 * C4 / x) / x) / r2)[..., None] * steps).sum(2)]
        return [one.get() for one in found] if library == "cupy" else found

    for at_most, width in ((1, 1), (64, 1), (64, 12)):
        way = verdict_by(repeat(Batched(soft_spheres, at_most)).__next__)
        calls[:], started = [], time.perf_counter()
        found = together(lambda pair, way=way: way(*pair, 21), pairs, width)  # type: ignore[misc]
        seconds, first = time.perf_counter() - started, first or found
        same = sum(a[0] == b[0] and not abs(a[1] / b[1] - 1) > 0.01 for a, b in zip(found, first, strict=True))
        print(f"{len(calls)} calls of {sum(calls) / len(calls):.1f}: {seconds:.1f} s; {same} of {len(pairs)} as singly")


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--measure"]:
        json.dump(
            measure(pickle.loads(Path(sys.argv[2]).read_bytes()), WAYS[sys.argv[3]], int(sys.argv[4])), sys.stdout
        )
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("-T", "--temperature", default="0.12")
    parser.add_argument("--listed", type=Path)
    parser.add_argument("--images", type=int, default=21)
    parser.add_argument("--ase", action="store_true")
    parser.add_argument("--against", type=Path)
    parser.add_argument("--their-images", type=int, default=41)
    parser.add_argument("--batched", choices=["cupy", "numpy"])
    given = parser.parse_args()
    if given.listed:
        pairs = listed_pairs(given.workspace, given.temperature, given.listed, given.pairs)
    else:
        pairs = real_pairs(given.pairs)
    if not pairs:
        return
    if given.batched:
        batched(pairs, given.batched)
        return
    here, other = Path(__file__).resolve().parents[1], given.against and given.against.resolve()
    ways = [(here, way, given.images) for way in list(WAYS)[: 4 if given.ase else 3]]
    ways += [(other, "calls of ASE", given.their_images)] if other else []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pairs.pkl"
        file.write_bytes(pickle.dumps(pairs))
        measured = [measured_by(checkout, file, way, images) for checkout, way, images in ways]
    right = [row[0] for row in measured[0]]
    kinds = ("double well", "non-DW")
    print(f"{len(pairs)} pairs, N = {len(pairs[0][0])}, {given.images} images: {Counter(right)}")
    print(f"{'':24s} right; evaluations, ms of CPU of " + " and ".join(f"a {kind}, mean (median)" for kind in kinds))
    for (checkout, way, _), rows in zip(ways, measured, strict=True):
        costs = [np.array([row[2:] for row, one in zip(rows, right, strict=True) if one == kind]) for kind in kinds]
        said = [f"{mean[0]:.0f} ({mid[0]:.0f}), {1e3 * mean[1]:.0f} ({1e3 * mid[1]:.0f})"
                for mean, mid in ((cost.mean(0), np.median(cost, 0)) for cost in costs if len(cost))]  # fmt: skip
        agree = sum(row[0] == one for row, one in zip(rows, right, strict=True))
        print(f"{way if checkout == here else str(checkout):24s} {agree}; " + "; ".join(said))


if __name__ == "__main__":
    main()
