"""CPU time of an exact calculation, beside ASE's NEB on the same pairs with the same calculator and images.

python -m benchmarks.neb [--pairs 12] [--images 41] [--data FOLDER]

The pairs are drawn at random from those of one real glass of 1500 particles (FOLDER/Configurations/minima/T0.062) that
lie under step 2's ceilings for the energy and within 0.6 σ; pairs with an end point that is no minimum are passed over.
ASE's NEB has the improved tangent and FIRE. (BFGS, which ASE's examples use, would keep a matrix of (3N · images)²
numbers, 200 GB here.) It is stopped when as converged as ours, or after 1000 steps, and looks for a third minimum then
only.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes
from ase.mep import NEB
from ase.optimize import FIRE
from threadpoolctl import threadpool_limits

from glass import path as band
from glass.double_well import examine, potential_of, profile_of
from glass.features import pair_geometry
from glass.features_rounded import box_fractions
from glass.soft_spheres import SoftSpheres
from glass.tunnelling import lowest_levels
from pipeline.formats.lammps import read_minimum
from pipeline.formats.minima import load_glass, read_minima
from pipeline.settings import NebSettings
from pipeline.workspace import minimum_paths
from search.exact import hbar_of

STEPS = 1000


class Timed(SoftSpheres):
    """The calculator, counting what is spent in it."""

    calls = 0
    seconds = 0.0

    def calculate(self, atoms: Atoms, properties: Any = None, system_changes: Any = all_changes) -> None:
        """Energy and forces."""
        start = time.process_time()
        super().calculate(atoms, properties, system_changes)
        Timed.seconds += time.process_time() - start
        Timed.calls += 1


def ours(start: Atoms, end: Atoms, settings: NebSettings) -> tuple[str, float]:
    """Verdict and splitting of run_neb.py."""
    verdict = examine(
        start,
        end,
        lambda _: Timed(),
        images=settings.images,
        tolerance=settings.force_tolerance,
        max_steps=settings.max_steps,
        hbar=hbar_of(settings),
    )
    return verdict.kind, np.nan if verdict.levels is None else verdict.levels[1] - verdict.levels[0]


def ases(start: Atoms, end: Atoms, settings: NebSettings) -> tuple[str, float]:
    """Verdict and splitting with the path from ASE."""
    images = []
    for positions in band.straight_line(start.positions, end.positions, start.cell.lengths(), settings.images):
        image = start.copy()
        image.positions, image.calc = positions, Timed()
        images.append(image)
    springs = band.SPRING / (np.diff(band.image_places(settings.images)) * (settings.images - 1))
    neb = NEB(images, k=springs.tolist(), method="improvedtangent")
    converged = FIRE(neb, logfile=None).run(fmax=settings.force_tolerance, steps=STEPS)
    potentials = [potential_of(image, lambda _: Timed()) for image in images]
    found = band.ElasticBand(potentials, np.stack([image.positions for image in images]))
    if found.third_minimum(found.nudged_forces(), band.SETTLED) is not None:
        return "non-DW", np.nan
    if not converged:
        return "unfinished", np.nan
    path = band.Band(
        found.positions, found.energies, found.forces, found.slopes(), None, True, settings.force_tolerance, 0
    )
    hbar = hbar_of(settings)
    low, high = lowest_levels(profile_of(path, (potentials[0], potentials[-1]), hbar), hbar)
    return "double well", high - low


def measure(way: Callable[..., tuple[str, float]], *pair: Any) -> tuple[str, float, float, float, int]:
    """Verdict, splitting, CPU s, those of them spent in energies and forces, and how many of these."""
    Timed.calls, Timed.seconds = 0, 0.0
    start = time.process_time()
    kind, splitting = way(*pair)
    return kind, splitting, time.process_time() - start, Timed.seconds, Timed.calls


def real_glass(data: str | None) -> Path | None:
    """Folder of the real minima; None, and the reason printed, where they are not."""
    default = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    folder = Path(data or os.environ.get("TLS_DATA") or default) / "Configurations/minima/T0.062/Cnf-148750000"
    if folder.is_dir():
        return folder
    print(f"skipped: no real minima at {folder}; name the folder of the data with --data")
    return None


def some_pairs(folder: Path, count: int) -> list[tuple[Atoms, Atoms]]:
    """Random pairs of one glass, without those whose end points are no minima."""
    glass, _ = load_glass(read_minima(minimum_paths(folder)), 10)
    assert glass is not None
    sizes = read_minimum(folder / glass.files[0]).diameters
    minima = []
    for positions in glass.positions:
        atoms = Atoms(numbers=np.zeros(len(sizes), int), positions=positions.T, cell=glass.box, pbc=True)
        atoms.set_array("diameters", sizes)
        minima.append(atoms)
    forces = [potential_of(one, lambda _: SoftSpheres())(one.positions)[1] for one in minima]
    relaxed = np.array([np.linalg.norm(force, axis=1).max() < NebSettings().force_tolerance for force in forces])
    i, j = np.triu_indices(len(minima), 1)
    near = relaxed[i] & relaxed[j] & (glass.n_particles * (glass.energies[j] - glass.energies[i]) < 0.1)
    i, j = i[near], j[near]
    fractions = box_fractions(glass.positions, glass.box)
    distance = pair_geometry(glass.positions, fractions, glass.box, i, j, 3)[:, -2]
    picked = np.random.default_rng(0).permutation(np.flatnonzero((distance > 0.1) & (distance < 0.6)))[:count]
    return [(minima[i[k]], minima[j[k]]) for k in picked]


def main() -> None:
    """Measure both ways on the same pairs, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--images", type=int, default=NebSettings().images)
    parser.add_argument("--data", default=None)
    given = parser.parse_args()
    folder = real_glass(given.data)
    if folder is None:
        return
    settings = NebSettings(images=given.images)
    pairs = some_pairs(folder, given.pairs)
    totals = np.zeros((2, 3))
    same = 0
    worst = 0.0
    with threadpool_limits(1):
        measure(ours, *pairs[0], settings)  # compiles
        for number, pair in enumerate(pairs, 1):
            a, b = measure(ours, *pair, settings), measure(ases, *pair, settings)
            totals += [a[2:], b[2:]]
            same += a[0] == b[0]
            if a[0] == b[0] == "double well":
                worst = max(worst, abs(a[1] / b[1] - 1))
            for name, (kind, splitting, seconds, _, calls) in (("ours", a), ("ASE", b)):
                print(
                    f"{number:3d} {name:4s} {kind:12s} {splitting:9.6f} ε {seconds:7.2f} s {calls:7d} forces",
                    flush=True,
                )
    for name, (seconds, inside, calls) in zip(("ours", "ASE"), totals, strict=True):
        print(
            f"{name:4s}: {seconds / len(pairs):.2f} s of CPU a pair, {inside / seconds:.0%} of it in "
            f"{calls / len(pairs):.0f} energies and forces of 1500 particles"
        )
    print(f"ours / ASE: {totals[0, 0] / totals[1, 0]:.3f} of the CPU time")
    print(f"same verdict: {same} of {len(pairs)}; splittings differ by {worst:.2%} at most")


if __name__ == "__main__":
    main()
