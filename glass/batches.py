"""Many configurations in one call: for models that take a batch of them at once, as on a GPU.

A calculator with a method ``calculate_many(atoms, images)`` gets all images of a band in one call: energies (k,) and
forces (k, N, 3) at positions (k, N, 3), in the units of the workspace. :func:`in_batches` makes such calculators, and
:func:`together` lets several pairs share their calls.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from glass.arrays import Array

Many = Callable[[Atoms, Array], tuple[Any, Any]]
"""A function of Atoms, for all but the positions, and positions (k, N, 3), to energies (k,) and forces (k, N, 3)."""


Job = TypeVar("Job")
Result = TypeVar("Result")
_THREAD = threading.local()


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


def called(function: Many, atoms: Atoms, images: Array) -> tuple[Array, Array]:
    """Energies and forces of images; ValueError where a function on arrays returns other shapes."""
    energies, forces = (np.asarray(one, float) for one in function(atoms, images))
    if energies.shape != images.shape[:1] or forces.shape != images.shape:
        raise ValueError(
            f"energies of shape {energies.shape} and forces {forces.shape}, not {images.shape[:1]} and {images.shape}"
        )
    return energies, forces


def bounded(function: Many, at_most: int) -> Many:
    """The same function, called with ``at_most`` configurations, also of several jobs (:func:`together`)."""

    def asked(atoms: Atoms, images: Array) -> tuple[Array, Array]:
        turns = getattr(_THREAD, "turns", None)
        return parts(atoms, images) if turns is None else turns.ask(parts, atoms, images)

    def parts(atoms: Atoms, images: Array) -> tuple[Array, Array]:
        found = [called(function, atoms, images[k : k + at_most]) for k in range(0, len(images), at_most)]
        energies, forces = zip(*found, strict=True)
        return np.concatenate(energies), np.concatenate(forces)

    return asked


def together(function: Callable[[Job], Result], jobs: Sequence[Job], width: int) -> list[Result]:
    """Results of the jobs, ``width`` of them under way at a time; what they ask for is put into one call.

    For calculators of :func:`in_batches`. Each job has a thread, but only one runs at a time: until it asks for
    energies and forces. Once all have asked, those whose Atoms differ in nothing but the positions are answered by one
    call.
    """
    turns, coming = _Turns(min(width, len(jobs))), iter(enumerate(jobs))
    results: dict[int, Result] = {}

    def work() -> None:
        with turns.lock:
            _THREAD.turns = turns
            try:
                for number, job in coming:
                    results[number] = function(job)
            finally:
                turns.running -= 1
                turns.answer()

    with ThreadPoolExecutor(turns.running) as threads:
        for thread in [threads.submit(work) for _ in range(turns.running)]:
            thread.result()
    return [results[number] for number in range(len(jobs))]


@dataclass
class _Request:
    """What a job asks for, and the answer."""

    function: Many
    atoms: Atoms
    images: Array
    answer: Future[tuple[Array, Array]] = field(default_factory=Future)

    @property
    def kind(self) -> tuple[object, ...]:
        """Equal where one call may answer."""
        arrays = sorted((name, array.tobytes()) for name, array in self.atoms.arrays.items() if name != "positions")
        return id(self.function), self.atoms.cell.array.tobytes(), self.atoms.pbc.tobytes(), *arrays


class _Turns:
    """Threads that run one at a time; when the last of them asks, all are answered."""

    def __init__(self, running: int) -> None:
        self.running, self.lock, self.asked = running, threading.Condition(), list[_Request]()

    def ask(self, function: Many, atoms: Atoms, images: Array) -> tuple[Array, Array]:
        """Energies and forces; the other threads run meanwhile."""
        request = _Request(function, atoms, images)
        self.asked.append(request)
        self.answer()
        self.lock.wait_for(request.answer.done)
        return request.answer.result()

    def answer(self) -> None:
        """Calculate what is asked for, once no thread runs."""
        if len(self.asked) < self.running:
            return
        kinds: dict[tuple[object, ...], list[_Request]] = {}
        for request in self.asked:
            kinds.setdefault(request.kind, []).append(request)
        for requests in kinds.values():
            _answer(requests)
        self.asked = []
        self.lock.notify_all()


def _answer(requests: Sequence[_Request]) -> None:
    """Answer requests of a kind by one call; one by one if that fails, so that each fails for its own reason."""
    first, images = requests[0], np.concatenate([one.images for one in requests])
    try:
        energies, forces = first.function(first.atoms, images)
    except BaseException as error:  # other people's code raises anything, and other threads wait
        if len(requests) == 1:
            first.answer.set_exception(error)
        for one in requests if len(requests) > 1 else ():
            _answer([one])
        return
    ends = np.cumsum([len(one.images) for one in requests])[:-1]
    for one, *found in zip(requests, np.split(energies, ends), np.split(forces, ends), strict=True):
        one.answer.set_result((found[0], found[1]))


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
