"""A metallic glass from nothing, in the workspace DIR: python -m doc.metallic_glass DIR (doc/metallic-glass.md)."""

import sys
from pathlib import Path

import ase.io
import numpy as np
from ase import units
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.langevin import Langevin

from doc.flat_emt import calculator
from glass.double_well import potential_of
from glass.minimise import Minima, relax
from pipeline.settings import Settings
from pipeline.workers import worker_pool

GLASSES, CELLS, KELVIN, MELT, QUENCH, MINIMA, INTERVAL = 2, 3, 900, 500, 1500, 150, 40  # 4 · 3³ atoms; steps of 2 fs
FORCE = 5e-6  # eV/Å, norm over all atoms; what is above it is no minimum

SETTINGS = """\
units: metal  # Å, eV, u
pairs: {max_delta_E: 3.0}  # eV
classify: {max_delta_E: 0.7, max_distance: 8.0}  # eV, Å
neb: {calculator: "doc.flat_emt:calculator", force_tolerance: 1.0e-4}  # eV/Å
"""


def make_glass(conf: int, root: Path) -> str:
    """Write the minima of one glass; what there is to say of it."""
    rng = np.random.default_rng(conf)
    atoms = bulk("Al", "fcc", a=3.85, cubic=True) * (CELLS, CELLS, CELLS)  # Å; nearly without pressure at 300 K
    atoms.symbols = list(rng.permutation(["Al", "Ni"] * (len(atoms) // 2)))
    atoms.calc = calculator(atoms)
    md = Langevin(atoms, 2 * units.fs, temperature_K=3000, friction=0.02 / units.fs, fixcm=False, rng=rng)
    for kelvin in np.concatenate([np.full(MELT // 10, 3000), np.linspace(2000, KELVIN, QUENCH // 10)]):
        md.set_temperature(temperature_K=kelvin)
        md.run(10)
    potential, minima, frames = potential_of(atoms, calculator), Minima(atoms.cell.lengths()), []
    for _ in range(MINIMA):
        md.run(INTERVAL)
        found, known = relax(potential, atoms.positions, FORCE), len(minima.positions)
        if found.gradient_norm <= FORCE:
            minima.add(found)
        if len(minima.positions) > known:
            frames.append(frame := atoms.copy())
            frame.positions, frame.calc = found.positions, SinglePointCalculator(frame, energy=found.energy)
    folder = root / f"Configurations/minima/T{KELVIN}/Cnf-{conf}"
    folder.mkdir(parents=True)
    ase.io.write(folder / "minima.extxyz", frames, columns=["symbols", "positions"])
    return f"Cnf-{conf}: {len(frames)} minima of {atoms.get_chemical_formula()}"


if __name__ == "__main__":
    root = Path(sys.argv[1])
    with worker_pool(Settings(processes=2)) as workers:
        for said in workers.results(lambda conf: make_glass(conf, root), range(1, GLASSES + 1)):
            print(said)
    (root / "config.yaml").write_text(SETTINGS)
