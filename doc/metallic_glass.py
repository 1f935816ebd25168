"""A metallic glass from nothing, in the workspace DIR: python -m doc.metallic_glass DIR (doc/metallic-glass.md)."""

import sys
from pathlib import Path

import ase.io
import numpy as np
from ase import build, units
from ase.md.langevin import Langevin

from doc.flat_emt import calculator
from glass.double_well import potential_of
from glass.relaxation import relax
from glass.sampling import Minima
from pipeline.settings import Settings
from pipeline.workers.pool import worker_pool

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
    atoms = build.bulk("Al", "fcc", a=3.85, cubic=True) * (CELLS, CELLS, CELLS)  # Å; nearly without pressure at 300 K
    atoms.symbols = list(rng.permutation(["Al", "Ni"] * (len(atoms) // 2)))
    atoms.calc = calculator(atoms)
    md = Langevin(atoms, 2 * units.fs, temperature_K=3000, friction=0.02 / units.fs, fixcm=False, rng=rng)
    for kelvin in np.concatenate([np.full(MELT // 10, 3000), np.linspace(2000, KELVIN, QUENCH // 10)]):
        md.set_temperature(temperature_K=kelvin)
        md.run(10)
    return write_minima(root / f"Configurations/minima/T{KELVIN}/Cnf-{conf}", md, calculator, MINIMA, INTERVAL, FORCE)


def write_minima(folder: Path, md, calculator, quenches: int, interval: int, force: float, columns=("symbols",)) -> str:
    """Write the distinct minima that a trajectory passes, quenched every ``interval`` steps."""
    potential, minima, frames = potential_of(md.atoms, calculator), Minima(md.atoms.cell.lengths()), []
    for _ in range(quenches):
        md.run(interval)
        if (found := relax(potential, md.atoms.positions, force)).gradient_norm <= force:
            minima.add(found)
    for positions in minima.positions.values():
        frames.append(frame := md.atoms.copy())
        frame.positions, frame.info["energy"] = positions, potential(positions)[0]
    folder.mkdir(parents=True)
    ase.io.write(folder / "minima.extxyz", frames, columns=[*columns, "positions"])
    return f"{folder.name}: {len(frames)} minima of {len(md.atoms)} particles"


if __name__ == "__main__":
    root = Path(sys.argv[1])
    with worker_pool(Settings(processes=2)) as workers:
        print(*workers.results(lambda conf: make_glass(conf, root), range(1, GLASSES + 1)), sep="\n")
    (root / "config.yaml").write_text(SETTINGS)
