"""Alloys to begin with, in the workspace DIR: python -m doc.metallic_glass DIR (doc/metallic-glass.md)."""

import sys
from pathlib import Path

import ase.io
import numpy as np
from ase import build

GLASSES, CELLS = 2, 3  # 4 · 3³ atoms

SETTINGS = """\
units: metal  # Å, eV, u
pairs: {max_delta_E: 3.0}  # eV
classify: {max_delta_E: 0.7, max_distance: 8.0}  # eV, Å
neb: {calculator: "doc.flat_emt:calculator", force_tolerance: 1.0e-4}  # eV/Å
"""


def write(root: Path, glasses: int = GLASSES, cells: int = CELLS) -> None:
    """Write the settings and a random alloy for each glass."""
    root.mkdir(parents=True, exist_ok=True)
    for conf in range(1, glasses + 1):
        atoms = build.bulk("Al", "fcc", a=3.85, cubic=True) * (cells, cells, cells)  # Å; little pressure at 300 K
        atoms.symbols = list(np.random.default_rng(conf).permutation(["Al", "Ni"] * (len(atoms) // 2)))
        ase.io.write(root / f"alloy-{conf}.extxyz", atoms)
    (root / "config.yaml").write_text(SETTINGS)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
