"""A Kob–Andersen glass from nothing, in the workspace DIR: python -m doc.kob_andersen DIR (doc/metallic-glass.md)."""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin

from doc.flat_lj import KobAndersen
from doc.metallic_glass import write_minima
from glass.double_well import potential_of
from glass.relaxation import relax
from pipeline.settings import Settings
from pipeline.workers.pool import worker_pool

GLASSES, N, KT, MELT, QUENCH, MINIMA, INTERVAL = 2, 150, 0.5, 2000, 6000, 300, 50  # ε; steps of 0.004 σ (m/ε)^½
FORCE = 1e-4  # ε/σ, norm over all particles: rounding leaves up to 4e-5; what is above it is no minimum

SETTINGS = """\
pairs: {max_delta_E: 5.0}  # ε
classify: {max_delta_E: 1.0, max_distance: 3.0}  # ε, σ
neb: {calculator: "doc.flat_lj:KobAndersen", max_steps: 3000, sigma: 3.4e-10, mass: 6.63e-26, epsilon: 120.0}  # argon
tls_threshold: 0.00833  # ε: 1 K
"""


def make_glass(conf: int, root: Path) -> str:
    """Write the minima of one glass; what there is to say of it."""
    rng, side = np.random.default_rng(conf), (N / 1.2) ** (1 / 3)  # number density 1.2 σ⁻³
    atoms = Atoms("X" * N, rng.uniform(0, side, (N, 3)), cell=[side] * 3, pbc=True, masses=np.ones(N))
    atoms.set_array("types", np.where(np.arange(N) < 0.8 * N, 1, 2))
    atoms.positions = relax(potential_of(atoms, KobAndersen), atoms.positions, 1e-2).positions
    atoms.calc = KobAndersen(atoms)
    md = Langevin(atoms, 0.004, temperature_K=1 / units.kB, friction=1.0, fixcm=False, rng=rng)
    for kt in np.concatenate([np.full(MELT // 10, 1.0), np.linspace(1.0, KT, QUENCH // 10)]):
        md.set_temperature(temperature_K=kt / units.kB)
        md.run(10)
    folder = root / f"Configurations/minima/T{KT}/Cnf-{conf}"
    return write_minima(folder, md, KobAndersen, MINIMA, INTERVAL, FORCE, ["symbols", "types"])


if __name__ == "__main__":
    root = Path(sys.argv[1])
    with worker_pool(Settings(processes=2)) as workers:
        print(*workers.results(lambda conf: make_glass(conf, root), range(1, GLASSES + 1)), sep="\n")
    (root / "config.yaml").write_text(SETTINGS)
