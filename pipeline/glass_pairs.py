"""From the minima of one glass to its pair table, computing only the pairs that the table does not hold yet."""

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import numba
import numpy as np

from glass.arrays import ROUNDED, shortest_period
from pipeline import stamps
from pipeline.errors import UserError
from pipeline.files import file_named, spool_folder
from pipeline.formats.configurations import Minimum, Unusable, share_systems
from pipeline.formats.minima import file_of, read_minima, unknown_energies
from pipeline.glasses import load_glass
from pipeline.messages import Progress, counted, note
from pipeline.pair_writer import write_pairs
from pipeline.settings import Settings
from pipeline.stamps import AGAIN, LEFT_OUT, USED, Collected, Fate
from pipeline.transitions import read_counts, update_transitions
from pipeline.workers import SerialWorkers, Workers
from pipeline.workspace import StatePoint, minimum_paths

_FILES_PER_JOB = 8  # a worker reads so many minima at a time


def update_tables(at: StatePoint, glasses: list[int], settings: Settings, workers: Workers) -> Iterator[Collected]:
    """Bring the tables of several glasses up to date, in their order.

    On a cluster each is a job. Here the workers read the minima of one glass after the other, of which all cores then
    compute the pairs.
    """
    if settings.cluster is None:
        yield from (update_table(at, conf, settings, workers) for conf in glasses)
        return
    for collected, said in workers.results(partial(_update_elsewhere, at, settings), glasses, in_order=True):
        if said:
            note(said.removesuffix("\n"))
        yield collected


def _update_elsewhere(at: StatePoint, settings: Settings, conf: int) -> tuple[Collected, str]:
    """A job for a worker of a cluster; also what was printed."""
    said, alone = io.StringIO(), settings.model_copy(update={"processes": 1, "cluster": None})
    with redirect_stdout(said):
        collected = update_table(at, conf, alone, SerialWorkers())
    return collected, said.getvalue()


def update_table(at: StatePoint, conf: int, settings: Settings, workers: Workers) -> Collected:
    """Make the pair table of one glass, or bring it up to date; it goes where no minimum is usable."""
    numba.set_num_threads(min(settings.cores, numba.config.NUMBA_NUM_THREADS))
    table, folder, transitions = at.glass_pairs(conf), at.glass(conf), at.transitions(conf)
    name, made_of = f"T = {at.temperature}: Cnf-{conf}", stamps.made_of_glass(at, conf, settings)
    with spool_folder(table) as spool:
        read, again = _read_files(folder, settings, workers, name, spool)
        old = stamps.stamp_of_unchanged(table)
        glass, fates = load_glass(read, folder, settings, stamps.used_minima(old).values(), spool)
        fates |= {line: Fate(LEFT_OUT, None, "energies.csv names no frame") for line in unknown_energies(folder, fates)}
        if glass is None:
            note(f"{name}: no usable minimum" + (f"; its table is taken away: {table}" if table.exists() else ""))
            table.unlink(missing_ok=True)
            return Collected(0, 0, fates)
        if settings.particles > glass.n_particles:
            raise UserError(
                f"config.yaml: particles = {settings.particles}, but {folder} has {glass.n_particles}; lower it"
            )
        now = {fate.minimum: place for place, fate in fates.items() if fate.status == USED}
        same = stamps.unchanged_minima(old, table, made_of)
        others = [  # names that a minimum of another file had, though neither file changed: energies.csv did
            name
            for place, name in stamps.used_minima(old).items()
            if (to := now.get(name, place)) != place and place in fates and {file_of(place), file_of(to)} <= same
        ]
        if others:
            at.rearrangement_numbers.unlink(missing_ok=True)
            said = f"{counted(len(others), 'name')} of minima now name others, {others[0]} among them"
            note(f"{name}: {said}; results in NEB_calculations that name them are of the minima before: remove these")
        update_transitions(transitions, read, glass, settings, name)
        made_of.files.update({path: [] for path in again} | stamps.made_from([transitions]).files)
        counts = read_counts(transitions, glass, settings.ij_decimals, name)
        result, ambiguous = write_pairs(glass, made_of, counts, fates, table)
    n = len(glass.files)
    repeated = sum(fate.status == AGAIN for fate in fates.values())
    seen = f", {counted(repeated, 'time')} seen again" if repeated else ""
    above = n * (n - 1) // 2 - result.pairs
    note(
        f"{name}: {counted(n, 'minimum')}{seen}, {counted(result.pairs, 'pair')}, {result.computed} computed, {above} "
        "above pairs.max_delta_E not stored"
    )
    if glass.drift > ROUNDED * shortest_period(glass.box):
        drift = f"{glass.drift:.2g} {settings.unit.length}"
        note(f"{name}: the sample drifts, by up to {drift}; each pair's mean displacement is taken out")
    if ambiguous:
        note(f"{name}: {counted(ambiguous, 'pair')} with a displacement of half the box: its image is not certain")
    one_by_one = np.diff(glass.energies) * glass.n_particles
    if n > 1 and not result.pairs and one_by_one.min() <= glass.n_particles * settings.pairs.max_delta_E:
        note(f"{name}: no pair is below pairs.max_delta_E; are the energies totals? In names they are per particle")
    if not any(one.system.pbc.any() for one in read if isinstance(one, Minimum) and one.name in glass.indices):
        note(f"{name}: no direction is periodic: that a free cluster turns counts as displacement; is pbc right?")
    return result


def _read_files(
    folder: Path, settings: Settings, workers: Workers, name: str, spool: Path
) -> tuple[list[Minimum | Unusable], set[Path]]:
    """All that stands in the files of a glass, positions mapped from disk; and files to read again next time."""
    files = minimum_paths(folder)
    jobs = [files[start : start + _FILES_PER_JOB] for start in range(0, len(files), _FILES_PER_JOB)]
    read = partial(read_minima, reading=settings.reading)
    found: list[Minimum | Unusable] = []
    with (
        Progress(total=len(files), desc=f"{name}: reading", unit="file") as bar,
        file_named(spool),
        (spool / "read").open("wb") as file,
    ):
        for job, some in zip(jobs, workers.results(read, jobs, in_order=True), strict=True):
            for one in some:
                if isinstance(one, Minimum):
                    file.write(np.ascontiguousarray(one.positions).data)
                    one = one._replace(positions=np.broadcast_to(0.0, one.positions.shape))
                found.append(one)
            bar.update(len(job))
    end, every = 0, np.empty((0, 3))
    for k, one in enumerate(found):
        if isinstance(one, Minimum):
            every = every if end else np.asarray(np.memmap(spool / "read", np.float64, "c")).reshape(-1, 3)
            end += len(one.positions)
            found[k] = one._replace(positions=every[end - len(one.positions) : end])
    again = {folder / file_of(one.name) for one in found if isinstance(one, Unusable) and one.try_again}
    return share_systems(found), again
