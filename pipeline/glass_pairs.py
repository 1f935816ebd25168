"""From the minima of one glass to its pair table, computing only the pairs that the table does not hold yet."""

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile

import numba
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa

from glass.arrays import ROUNDED, Array, Index, shortest_period
from glass.features import geometry_columns, pair_geometry
from glass.features_rounded import box_fractions
from glass.neighbourhood import Squares, pair_neighbourhood
from pipeline import stamps
from pipeline.errors import UserError
from pipeline.files import atomic_write, file_named
from pipeline.formats.configurations import Minimum, Unusable, share_systems
from pipeline.formats.keys import minimum_names
from pipeline.formats.minima import file_of, read_minima, unknown_energies
from pipeline.formats.pair_tables import BATCH, MADE, NEIGHBOURHOOD, record_batches
from pipeline.glasses import Glass, load_glass
from pipeline.messages import Progress, counted, note
from pipeline.settings import Settings
from pipeline.stamps import AGAIN, LEFT_OUT, USED, Collected, Fate
from pipeline.transitions import read_counts, update_transitions
from pipeline.workers import SerialWorkers, Workers
from pipeline.workspace import StatePoint, minimum_paths

_FILES_PER_JOB = 8  # a worker reads so many minima at a time
_MEMORY_A_PAIR = 12  # bytes: its squared distance, in both orders, and what the rest takes
TILE = 8  # minima whose pairs with another are computed together: their coordinates stay in the cache


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
    table.parent.mkdir(parents=True, exist_ok=True)
    read, again = _read_files(folder, settings, workers, name, table.parent)
    old = stamps.stamp_of_unchanged(table)
    glass, fates = load_glass(read, folder, settings, stamps.used_minima(old).values(), table.parent)
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
    folder: Path, settings: Settings, workers: Workers, name: str, mapped_in: Path
) -> tuple[list[Minimum | Unusable], set[Path]]:
    """All that stands in the files of a glass, positions mapped from disk; and files to read again next time."""
    files = minimum_paths(folder)
    jobs = [files[start : start + _FILES_PER_JOB] for start in range(0, len(files), _FILES_PER_JOB)]
    read = partial(read_minima, reading=settings.reading)
    found: list[Minimum | Unusable] = []
    with (
        Progress(total=len(files), desc=f"{name}: reading", unit="file") as bar,
        file_named(mapped_in),
        TemporaryFile(dir=mapped_in) as file,
    ):
        for job, some in zip(jobs, workers.results(read, jobs, in_order=True), strict=True):
            for one in some:
                if isinstance(one, Minimum):
                    file.write(np.ascontiguousarray(one.positions).data)
                    one = one._replace(positions=np.broadcast_to(0.0, one.positions.shape))
                found.append(one)
            bar.update(len(job))
        file.flush()
        every = np.asarray(np.memmap(file, np.float64, "c")).reshape(-1, 3) if file.tell() else np.empty((0, 3))
    end = 0
    for k, one in enumerate(found):
        if isinstance(one, Minimum):
            end += len(one.positions)
            found[k] = one._replace(positions=every[end - len(one.positions) : end])
    again = {one.place.path for one in found if isinstance(one, Unusable) and one.try_again}
    return share_systems(found), again


def write_pairs(
    glass: Glass,
    made_of: stamps.Inputs,
    counts: "pd.Series[float] | None",
    fates: dict[str, Fate],
    target: Path,
) -> tuple[Collected, int]:
    """Write the pair table of a glass; the geometry that an older table holds for the same minima is taken over.

    Where the other minima lie is found anew for every pair, from the distances, as each new minimum may lie between.
    ``counts``: transitions by i · n_minima + j, for the columns Tij and Tji. Also returned: how many pairs have a
    displacement within 1 % of half the box, or beyond.
    """
    conf, n_minima = int(target.stem.removeprefix("Cnf-")), len(glass.keys)
    ceiling, decimals = made_of.other["max_delta_E"], made_of.other["ij_decimals"]
    features = geometry_columns(made_of.other["particles"])
    columns = ["conf", "i", "j", "Delta_E", *features, *["Tij", "Tji"] * (counts is not None), *NEIGHBOURHOOD]
    schema = pa.schema([(name, pa.int64() if name == "conf" else pa.float64()) for name in columns])
    schema = schema.with_metadata({MADE: made_of.other["units"]})
    partners = _partners(glass, ceiling)
    edges = [0]  # between minima whose pairs with those above them are about BATCH
    while edges[-1] < n_minima:
        pairs_up_to = np.cumsum(partners[edges[-1] :])
        edges.append(edges[-1] + max(1, int(np.searchsorted(pairs_up_to, BATCH, side="right"))))
    blocks, total = list(pairwise(edges)), int(partners.sum())
    names = minimum_names(glass.keys, decimals)
    computed = ambiguous = 0
    half = 0.5 * shortest_period(glass.box)
    with (
        atomic_write(target) as part,
        file_named(target),
        TemporaryFile(dir=target.parent) as kept,
        Progress(total=2 * total, desc=f"Cnf-{conf}", unit="pair") as bar,
    ):
        _check_room(glass, total, ceiling, 8 * (len(columns) + len(features)), target)
        stored, squares = _stored_geometry(target, glass, made_of), Squares.unknown(partners + np.arange(n_minima) + 1)
        for block in blocks:
            pairs = pairs_of(partners, *block)
            geometry, missing = stored(*pairs)
            squares.put(*pairs, geometry[:, -2] ** 2)
            kept.write(geometry.data)
            computed += missing
            ambiguous += int((geometry[:, 0] > 0.99 * half).sum())
            bar.update(len(geometry))
        kept.seek(0)
        with pa.ipc.new_file(str(part), schema) as writer:
            for block in blocks:
                first, second = pairs_of(partners, *block)
                delta_e = glass.n_particles * (glass.energies[second] - glass.energies[first])
                values = [np.full(len(first), conf), names[first], names[second], delta_e]
                geometry = np.frombuffer(kept.read(8 * len(features) * len(first)))
                values += [*geometry.reshape(-1, len(features)).T]
                if counts is not None:
                    for one, other in ((first, second), (second, first)):
                        values.append(counts.reindex(one * n_minima + other, fill_value=0.0).to_numpy())
                values += [*pair_neighbourhood(squares, *block).T]
                writer.write_batch(pa.record_batch([pa.array(column) for column in values], schema=schema))
                bar.update(len(first))
    told = {"pairs": total, "glasses": [conf], "fates": fates, "partners": partners.tolist()}
    told |= {"n_particles": glass.n_particles, "box": glass.box.tolist()}
    stamps.mark_made([target], made_of, told)
    return Collected(total, computed, fates), ambiguous


def _partners(glass: Glass, max_delta_e: float) -> Index:
    """Number of pairs of each minimum with those above it."""
    last = np.searchsorted(glass.energies, glass.energies + max_delta_e / glass.n_particles, side="right")
    return np.asarray(last - np.arange(len(last)) - 1)


def _check_room(glass: Glass, pairs: int, max_delta_e: float, bytes_a_pair: int, target: Path) -> None:
    """Raise UserError where the pairs of a glass are more than memory or disk have room for."""
    memory, disk = psutil.virtual_memory().available, shutil.disk_usage(target.parent).free
    room = min(memory // _MEMORY_A_PAIR, disk // bytes_a_pair)
    if pairs <= room:
        return
    lower = min(max_delta_e, float(np.ptp(glass.energies)) * glass.n_particles)
    while _partners(glass, lower).sum() > room / 2:
        lower /= 2
    need = f"{_MEMORY_A_PAIR * pairs / 1e6:.3g} MB of memory ({memory / 1e6:.3g} are free)"
    raise UserError(
        f"{target}: its {counted(pairs, 'pair')} need {need} and {bytes_a_pair * pairs / 1e6:.3g} MB on disk "
        f"({disk / 1e6:.3g}); make room, or lower pairs.max_delta_E in config.yaml: {lower:.2g} gives "
        f"{counted(_partners(glass, lower).sum(), 'pair')}"
    )


def pairs_of(partners: Index, start: int, stop: int) -> tuple[Index, Index]:
    """Indices of the two minima of each pair of a block, in order."""
    count = partners[start:stop]
    first = np.repeat(np.arange(start, stop), count)
    return first, np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count) + first + 1


def _stored_geometry(table: Path, glass: Glass, made_of: stamps.Inputs) -> Callable[[Index, Index], tuple[Array, int]]:
    """Function that gives the geometry of pairs, shape (n_pairs, 2 M + 1), and how many of them had to be computed.

    What the table of the glass, if there is one, holds of the minima as they are now is taken over.
    """
    particles, decimals = made_of.other["particles"], made_of.other["ij_decimals"]
    columns = geometry_columns(particles)
    fractions = box_fractions(glass.positions, glass.box) if glass.box.ndim == 1 else None
    place, partners, kept = np.full(len(glass.files), -1), np.zeros(1, np.int64), pa.table({})
    old = stamps.stamp_of_unchanged(table)
    result, minima = old.get("result") or {}, old.get("minima") or {}
    alike = all(old.get(name) == made_of.other[name] for name in ("format", "ij_decimals", "particles"))
    alike &= (result.get("n_particles"), result.get("box")) == (glass.n_particles, glass.box.tolist())
    # Matched particles are in the order of the lowest minimum, which may be another now.
    if alike and not (minima.get("match_atoms") or made_of.other["minima"]["match_atoms"]):
        same, was = stamps.unchanged_minima(old, table, made_of), stamps.used_minima(old)
        at = {label: k for k, label in enumerate(sorted(was.values()))}
        for k, label in enumerate(minimum_names(glass.keys, decimals).tolist()):
            if was.get(name := glass.files[k]) == label and file_of(name) in same:  # energies.csv may tell another
                place[k] = at[label]
        partners = np.array(result["partners"], np.int64)
        kept = pa.Table.from_batches(record_batches(table, columns, mapped=True))
    begin_of = np.cumsum(partners) - partners

    def of_pairs(first: Index, second: Index) -> tuple[Array, int]:
        geometry = np.empty((len(first), len(columns)))
        one, other = place[first], place[second]
        known = (one >= 0) & (other - one <= partners[one]) & (other > one)
        rows = (begin_of[one] + other - one - 1)[known]
        if len(rows):
            found = kept.slice(rows[0], rows[-1] + 1 - rows[0]).take(rows - rows[0])
            geometry[known] = np.column_stack([found[name].to_numpy() for name in columns])
        missing = np.flatnonzero(~known)
        if len(missing):
            missing = missing[np.lexsort((second[missing], first[missing] // TILE))]
            pairs, drifts = (first[missing], second[missing]), glass.drift > 0
            geometry[missing] = pair_geometry(glass.positions, fractions, glass.box, *pairs, particles, drifts)
        return geometry, len(missing)

    return of_pairs
