"""The 80:20 mixture of Kob and Andersen, Phys. Rev. Lett. 73, 1376 (1994), of ``types`` 1 and 2.

v(r) = V(r) − V(r_c) − (r − r_c) V′(r_c) for r < r_c = 2.5 σ_ij, V = 4 ε_ij [(σ_ij/r)¹² − (σ_ij/r)⁶]: energy and force
vanish at the cutoff, as by ``lj/smooth/linear`` of LAMMPS.
"""

from typing import Any

import numpy as np
from ase import Atoms

from glass.potentials.pairs import PairPotential

SIGMA = np.array([[1.0, 0.8], [0.8, 0.88]])
EPSILON = np.array([[1.0, 1.5], [1.5, 0.5]])
CUTOFF = 2.5
_SLOPE = -24 * (2 * CUTOFF**-13 - CUTOFF**-7)


class KobAndersen(PairPotential):
    """ASE calculator of Kob and Andersen's mixture; the Atoms carry the array ``types``."""

    kinds = "types"
    terms = (4.0, 4.0, CUTOFF * _SLOPE - 4 * (CUTOFF**-12 - CUTOFF**-6), -_SLOPE, 0.0, 0.0, CUTOFF)

    @staticmethod
    def of_pairs(one: Any, other: Any) -> tuple[Any, Any]:
        """σ_ij and ε_ij of two arrays of types."""
        return SIGMA[one - 1, other - 1], EPSILON[one - 1, other - 1]


def calculator(_: Atoms) -> KobAndersen:
    """A value of ``neb.calculator`` in config.yaml."""
    return KobAndersen()
