"""Minima of any structure: trajectories with ``neb.calculator``, quenched at intervals; each goes on where it was.

What a trajectory has so far stands beside its minima in ``.dynamics.npz``, which is written last.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from glass.arrays import box_of
from glass.double_well import ENERGY_MISMATCH, CalculatorFailedError, potential_of
from glass.relaxation import Potential, relax
from glass.sampling.trajectories import Minima, langevin, oddity, time_step
from pipeline.errors import UserError, short
from pipeline.files import atomic_write
from pipeline.messages import counted
from pipeline.settings import Settings
from pipeline.transitions import write_transitions
from pipeline.workspace import StatePoint
from search.calculator import MakeCalculator, load
from search.relaxing import WELL_BELOW

WRITE_EVERY = 30.0  # seconds of a job: as much is lost at most when a run is ended
SETTLE = 1000  # time steps at the temperature of the dynamics before the first quench; none from a minimum of the glass


class Job(NamedTuple):
    """One trajectory to go on with: temperatures in the unit of energy, ``interval`` and ``cool`` in time steps."""

    at: StatePoint
    conf: int
    origin: str  # name of the minimum of the glass from which it starts; empty: a structure of its own
    start: Atoms
    temperature: float
    interval: int
    quenches: int
    melt: float | None
    cool: int
    seed: int
    settings: Settings
    make_calculator: MakeCalculator

    @property
    def name(self) -> str:
        """For what is printed."""
        return f"Cnf-{self.conf}" + f" from {self.origin}" * bool(self.origin)

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """Files of the minima that it found, of its transitions, and of what it has so far."""
        at, conf, origin = self.at, self.conf, self.origin
        if not origin:
            return at.quenched(conf), at.transitions(conf), at.dynamics(conf)
        return at.sampled_from(conf, origin), at.transitions_from(conf, origin), at.dynamics_from(conf, origin)

    def is_done(self) -> bool:
        """Whether it has all its quenches; UserError if what is there is of another structure, or made otherwise."""
        frames, _, state = self.files
        if not state.exists():
            others = [path for path in frames.parent.glob("[!.]*") if path != frames]
            if others and not self.origin:
                raise UserError(f"{others[0]}: a minimum that --start did not make; take another -T, or --from-tls")
            return False
        try:
            with state.open("rb") as file, np.load(file) as kept:
                particles, visits = str(kept["particles"]), len(kept["visits"])
        except (ValueError, KeyError, EOFError, BadZipFile) as error:
            raise UserError(f"{state}: damaged, or of an earlier version ({short(error)}); remove it") from None
        if particles != self.particles:
            said = "a trajectory of another structure; take the order of --start that was, or remove it"
            raise UserError(f"{state}: {said} and {frames.name}")
        return visits - bool(self.origin) >= self.quenches

    @property
    def particles(self) -> str:
        """Digest of the particles and the cell, and of where they start, unless that is a minimum of the glass."""
        start, places = self.start, [] if self.origin else [self.start.positions]
        arrays = [start.numbers, start.get_masses(), start.cell.array, *places]
        return hashlib.sha256(b"".join((np.round(one, 6) + 0.0).tobytes() for one in arrays)).hexdigest()

    def warm_up(self, step: int) -> float:
        """Temperature before the first quench: a third of the cooling at that of the melt, then a straight line."""
        times = [0, self.cool // 3, self.cool // 3 + self.cool]
        melt = self.temperature if self.melt is None else self.melt
        return float(np.interp(step, times, [melt, melt, self.temperature]))


class Progress(NamedTuple):
    """How far a trajectory has come."""

    job: Job
    quenches: int
    minima: int
    in_words: str  # one line
    odd: str  # see glass.sampling.trajectories.oddity


def read_start(path: Path) -> Atoms:
    """A structure to begin with: the last of any file that ASE reads; UserError if there is none with a cell."""
    import ase.io

    try:
        atoms = ase.io.read(path)
    except Exception as error:  # ASE's readers raise anything
        raise UserError(
            f"--start {path}: no structure that ASE reads: {type(error).__name__}: {short(error)}"
        ) from None
    if atoms.cell.rank < 3:
        raise UserError(f"--start {path}: it has no cell; write one into the file")
    if not atoms.has("types") and "type" in atoms.arrays:
        atoms.set_array("types", atoms.arrays["type"])
    atoms.info.clear()
    atoms.calc = None
    return atoms


class _State:
    """A trajectory: where it is, and the minima it has passed; the first is that of the glass from which it starts."""

    def __init__(self, job: Job, potential: Potential) -> None:
        self.job, start, tolerance = job, job.start, job.settings.neb.force_tolerance
        self.rng = np.random.default_rng([job.seed, job.conf, *job.origin.encode()])
        self.atoms, self.steps = start.copy(), 0
        self.minima = Minima(box_of(start.cell.array, start.pbc), tolerance, max(10, job.at.decimals))
        self.visits = self.minima.visits
        self.energies = dict[str, float]()  # total energies of the minima, in the order in which they were found
        if (state := job.files[2]).exists():
            with np.load(state) as kept:
                self.atoms.positions = kept["positions"]
                self.atoms.set_momenta(kept["momenta"])
                self.rng.bit_generator.state = json.loads(str(kept["rng"]))
                self.steps, self.time_step = int(kept["steps"]), float(kept["time_step"])
                self.visits.extend(kept["visits"].tolist())
                found = list(dict.fromkeys(name for name in self.visits if name))
                self.minima.positions = dict(zip(found, kept["minima"], strict=True))
                self.energies = dict(zip(found, kept["energies"].tolist(), strict=True))
            return
        self.atoms.positions = relax(potential, start.positions, 20 * tolerance).positions
        self.time_step = time_step(potential, self.atoms.positions, start.get_masses(), self.rng)
        heat = job.warm_up(0) * start.get_masses()[:, None]
        self.atoms.set_momenta(self.rng.normal(size=start.positions.shape) * heat**0.5)
        if job.origin:
            energy, rounded = potential(start.positions)[0], 0.5 * len(start) * 10.0**-job.at.decimals
            if abs(energy - len(start) * float(job.origin)) > ENERGY_MISMATCH * job.settings.unit.epsilon + rounded:
                said = f"there neb.calculator gives {energy / len(start):.10g} a particle"
                raise UserError(f"{job.name}: {said}: another one made the minima, or its units are others")
            self.minima.positions[job.origin], self.energies[job.origin] = start.positions, energy
            self.visits.append(job.origin)

    def write(self) -> None:
        """Minima, transitions, and last the state."""
        import ase.io

        start, frames = self.job.start.copy(), []
        to_frames, to_transitions, to_state = self.job.files
        if "id" not in start.arrays:
            start.set_array("id", np.arange(1, len(start) + 1))  # atoms that change places are known to
        for name, positions in self.minima.positions.items():
            if name == self.job.origin:  # which the glass has
                continue
            frames.append(frame := start.copy())
            frame.positions = positions
            frame.calc = SinglePointCalculator(frame, energy=self.energies[name])
        if frames:
            with atomic_write(to_frames) as part:
                ase.io.write(part, frames, format="extxyz")
            write_transitions(to_transitions, self.minima.transitions)
        with atomic_write(to_state) as part, part.open("wb") as file:
            np.savez(
                file,
                particles=self.job.particles,
                positions=self.atoms.positions,
                momenta=self.atoms.get_momenta(),
                rng=json.dumps(self.rng.bit_generator.state),
                steps=self.steps,
                time_step=self.time_step,
                visits=np.array(self.visits, dtype=str),
                energies=np.array(list(self.energies.values())),
                minima=np.array(list(self.minima.positions.values())).reshape(-1, len(start), 3),
            )


def advance(job: Job) -> Progress:
    """Go on with a trajectory for WRITE_EVERY seconds or until it is done; a job for a worker."""
    given = bool(job.origin)  # the first visit is then no quench
    try:
        potential = potential_of(job.start, load(job.settings.neb, job.make_calculator, job.start))
        state = _State(job, potential)
        move = langevin(state.atoms, potential, state.time_step, state.rng)
        warm = 0 if given else SETTLE + (job.cool + job.cool // 3 if job.melt is not None else 0)
        before, had = len(state.visits) - given, len(state.energies) - given
        began = quenching = time.monotonic()
        while len(state.visits) - given < job.quenches and time.monotonic() - began < WRITE_EVERY:
            if state.steps < warm:
                move(job.warm_up(state.steps), 10)
                state.steps, quenching = state.steps + 10, time.monotonic()
                continue
            move(job.temperature, job.interval)
            state.steps += job.interval
            found = relax(potential, state.atoms.positions, WELL_BELOW * job.settings.neb.force_tolerance)
            drift = found.positions.mean(0) - job.start.positions.mean(0)  # its centre goes where it was
            name = state.minima.add(found._replace(positions=found.positions - drift))
            if name:
                state.energies.setdefault(name, found.energy)
    except CalculatorFailedError as error:
        raise UserError(f"{job.name}: {error}; see neb.calculator") from None
    state.write()
    energies, seconds, done = state.energies, time.monotonic() - quenching, len(state.visits) - given
    new, lost = len(energies) - given, state.visits.count("")
    said = f"{done} of {job.quenches} quenches: {counted(new, 'minimum')}, {done - lost - new} seen again"
    if lost:
        said += f", {lost} left out, not relaxed or of an energy that another minimum has"
    if not done:
        said = f"{state.steps} of the {warm} time steps before the first quench"
    elif before < done < job.quenches:
        left = (job.quenches - done) / (done - before) * seconds / 60
        said += f"; {60 * (new - had) / seconds:.2g} new a minute, {left:.2g} min left"
    numbers = {name: number for number, name in enumerate(energies)}
    visits = [numbers.get(name, -1) for name in state.visits]
    return Progress(job, done, new, said, oddity(visits, np.array([*energies.values()]) / len(job.start)))
