"""Amorphous silicon from a crystal, in the workspace DIR: python -m doc.amorphous_silicon DIR.

Stillinger–Weber, by LAMMPS where it is installed, else by matscipy, in a twentieth of the speed.
"""

import sys
import tempfile
from pathlib import Path

import ase.io
from ase.build import bulk

SETTINGS = """\
units: metal  # Å, eV, u
pairs: {max_delta_E: 2.0}  # eV
classify: {max_delta_E: 0.5, max_distance: 6.0}  # eV, Å
neb: {calculator: "doc.amorphous_silicon:calculator", shared: true, force_tolerance: 1.0e-4}  # eV/Å
"""

PARAMETERS = "Si Si Si 2.1683 2.0951 1.80 21.0 1.20 -0.333333333333 7.049556277 0.6022245584 4.0 0.0 0.0\n"
"""Phys. Rev. B 31, 5262 (1985), as in LAMMPS's Si.sw: ε (eV), σ (Å), a, λ, γ, cos θ₀, A, B, p, q, tolerance."""


def calculator(atoms):
    """For neb.calculator."""
    try:
        from ase.calculators.lammpslib import LAMMPSlib
        from lammps import lammps  # noqa: F401  (whether it is there)
    except ImportError:
        return by_matscipy()
    path = Path(tempfile.gettempdir()) / "stillinger-weber-silicon.sw"
    path.write_text(PARAMETERS)
    return LAMMPSlib(
        lmpcmds=["pair_style sw", f"pair_coeff * * {path} Si"],
        atom_types={"Si": 1},
        lammps_header=["units metal", "atom_style atomic", "atom_modify map array sort 0 0", "neighbor 1.0 bin"],
        keep_alive=True,
    )


def by_matscipy():
    """The same by matscipy."""
    from matscipy.calculators.manybody import Manybody
    from matscipy.calculators.manybody.explicit_forms import stillinger_weber as sw

    return Manybody(**sw.StillingerWeber(sw.Stillinger_Weber_PRB_31_5262_Si))


def write(root, cells=2):
    """Write the settings and a crystal to begin with, of 8 cells³ atoms."""
    root.mkdir(parents=True, exist_ok=True)
    ase.io.write(root / "crystal.extxyz", bulk("Si", "diamond", a=5.431, cubic=True) * (cells, cells, cells))
    (root / "config.yaml").write_text(SETTINGS)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
