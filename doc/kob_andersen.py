"""Kob–Andersen mixtures to begin with, in the workspace DIR: python -m doc.kob_andersen DIR (doc/metallic-glass.md)."""

import sys
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

GLASSES, N = 2, 150

SETTINGS = """\
pairs: {max_delta_E: 5.0}  # ε
classify: {max_delta_E: 1.0, max_distance: 3.0}  # ε, σ
neb: {calculator: "glass.potentials.kob_andersen:calculator", sigma: 3.4e-10, mass: 6.63e-26, epsilon: 120.0}  # argon
tls_threshold: 0.00833  # ε: 1 K
"""


def write(root: Path, glasses: int = GLASSES) -> None:
    """Write the settings and particles anywhere for each glass, four fifths of type 1."""
    root.mkdir(parents=True, exist_ok=True)
    for conf in range(1, glasses + 1):
        side = (N / 1.2) ** (1 / 3)  # number density 1.2 σ⁻³
        places = np.random.default_rng(conf).uniform(0, side, (N, 3))
        atoms = Atoms("X" * N, places, cell=[side] * 3, pbc=True, masses=np.ones(N))
        atoms.set_array("types", np.where(np.arange(N) < 0.8 * N, 1, 2))
        ase.io.write(root / f"mixture-{conf}.extxyz", atoms)
    (root / "config.yaml").write_text(SETTINGS)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
