"""Many configurations in one call: for models that take a batch of them at once, as on a GPU.

A calculator with a method ``calculate_many(atoms, images)`` gets all images of a band in one call; this one makes it
of a plain function on arrays.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from glass.arrays import Array


class Batched(Calculator):  # type: ignore[misc]
    """ASE calculator of a function that gives energies and forces of many configurations at once.

    Parameters
    ----------
    function : callable
        Takes Atoms, for all but the positions, and positions of shape (k, N, 3); returns energies (k,) and forces
        (k, N, 3); in the units of the workspace.
    at_most : int, default 64
        Number of configurations in one call: what they take is what the memory must hold.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, function: Callable[[Atoms, Array], tuple[Any, Any]], at_most: int = 64) -> None:
        super().__init__()
        self._function = function
        self._at_most = at_most

    def calculate(self, atoms: Atoms, properties: Any = None, system_changes: Any = all_changes) -> None:
        """Energy and forces of one configuration; see ASE."""
        super().calculate(atoms, properties, system_changes)
        energies, forces = self.calculate_many(atoms, atoms.positions[None])
        self.results = {"energy": float(energies[0]), "forces": forces[0]}

    def calculate_many(self, atoms: Atoms, images: Array) -> tuple[Array, Array]:
        """Energies (k,) and forces (k, N, 3) of ``atoms`` at positions (k, N, 3)."""
        parts = [images[k : k + self._at_most] for k in range(0, len(images), self._at_most)]
        energies, forces = zip(*(self._function(atoms, part) for part in parts), strict=True)
        return np.concatenate(energies), np.concatenate(forces)
