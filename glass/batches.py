"""Many configurations in one call: for models that take a batch of them at once, as on a GPU.

A calculator with a method ``calculate_many(atoms, images)`` gets all images of a band in one call: energies (k,) and
forces (k, N, 3) at positions (k, N, 3), in the units of the workspace. :func:`in_batches` makes such calculators.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from glass.arrays import Array

Many = Callable[[Atoms, Array], tuple[Any, Any]]
"""A function of Atoms, for all but the positions, and positions (k, N, 3), to energies (k,) and forces (k, N, 3)."""


class Batched(Calculator):  # type: ignore[misc]
    """ASE calculator of a function for many configurations, which gets ``at_most`` in one call: memory holds these."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, function: Many, at_most: int = 64) -> None:
        super().__init__()
        self.calculate_many = bounded(function, at_most)

    def calculate(self, atoms: Atoms, properties: Any = None, system_changes: Any = all_changes) -> None:
        """Energy and forces of one configuration; see ASE."""
        super().calculate(atoms, properties, system_changes)
        energies, forces = self.calculate_many(atoms, atoms.positions[None])
        self.results = {"energy": float(energies[0]), "forces": forces[0]}


def bounded(function: Many, at_most: int) -> Many:
    """The same function, called with ``at_most`` configurations."""

    def parts(atoms: Atoms, images: Array) -> tuple[Array, Array]:
        found = [function(atoms, images[k : k + at_most]) for k in range(0, len(images), at_most)]
        energies, forces = zip(*found, strict=True)
        return np.concatenate(energies), np.concatenate(forces)

    return parts


def in_batches(given: Any, at_most: int) -> Any:
    """ASE calculator with ``calculate_many`` of what a user's function returned.

    Parameters
    ----------
    given : object
        A calculator that has it, a torch-sim model, or a function as of :data:`Many`.
    at_most : int
        Number of configurations in one call.

    Raises
    ------
    TypeError
        If it is none of these.
    """
    if getattr(given, "calculate_many", None) is not None:
        given.calculate_many = bounded(given.calculate_many, at_most)
        return given
    if any(kind.__module__.startswith("torch_sim") for kind in type(given).__mro__):
        return Batched(of_torch_sim(given), at_most)
    if callable(given):
        return Batched(given, at_most)
    raise TypeError("neb.batched: no function on arrays, torch-sim model or calculator with calculate_many")


def of_torch_sim(model: Any) -> Many:
    """Function of a torch-sim model (``ModelInterface``), which works in Å and eV."""
    import torch_sim

    def many(atoms: Atoms, images: Array) -> tuple[Array, Array]:
        systems = [atoms.copy() for _ in images]
        for system, positions in zip(systems, images, strict=True):
            system.positions = positions
        found = model(torch_sim.initialize_state(systems, device=model.device, dtype=model.dtype))
        energies, forces = (found[name].detach().cpu().numpy().astype(float) for name in ("energy", "forces"))
        return energies, forces.reshape(images.shape)

    return many
