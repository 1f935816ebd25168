"""From the minima of one glass to its pair table, computing only the pairs that the table does not hold yet."""

import io
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa

from glass.arrays import ROUNDED, Index, shortest_period
from glass.features import geometry_columns
from glass.neighbourhood import Squares, pair_neighbourhood
from pipeline.collect import Collected, GlassJob
from pipeline.errors import UserError
from pipeline.files import atomic_write, file_named, spool_folder
from pipeline.formats.configurations import Minimum, Unusable, share_systems
from pipeline.formats.keys import minimum_keys, minimum_names
from pipeline.formats.minima import file_of, read_minima, unknown_energies
from pipeline.formats.pair_tables import MADE, NEIGHBOURHOOD
from pipeline.formats.relaxed import superseded
from pipeline.formats.table_record import AGAIN, LEFT_OUT, USED, Fate
from pipeline.formats.transitions import read_transitions, write_transitions
from pipeline.glasses import Glass, count_transitions, load_glass
from pipeline.messages import counted, note
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.stamps import Inputs, made_from, mark_made, stamp_of_unchanged, unchanged_inputs, up_to_date
from pipeline.stored_geometry import StoredGeometry, cut_into_blocks, pairs_of
from pipeline.workers import SerialWorkers, Workers
from pipeline.workspace import all_transitions, glass_of, minimum_name

_FILES_PER_JOB = 8  # a worker reads so many minima at a time
_MEMORY_A_PAIR = 12  # bytes: its squared distance, in both orders, and what the rest takes


def update_tables(jobs: list[GlassJob], settings: Settings, workers: Workers) -> Iterator[Collected]:
    """Bring the tables of several glasses up to date, in their order.

    On a cluster each is a job. Here the workers read the minima of one glass after the other, of which all cores then
    compute the pairs.
    """
    if settings.cluster is None:
        yield from (update_table(job, settings, workers) for job in jobs)
        return
    for collected, said in workers.results(partial(_update_elsewhere, settings=settings), jobs, in_order=True):
        if said:
            note(said.removesuffix("\n"))
        yield collected


def _update_elsewhere(job: GlassJob, settings: Settings) -> tuple[Collected, str]:
    """A job for a worker of a cluster; also what was printed."""
    said, alone = io.StringIO(), settings.model_copy(update={"processes": 1, "cluster": None})
    with redirect_stdout(said):
        collected = update_table(job, alone, SerialWorkers())
    return collected, said.getvalue()


def update_table(job: GlassJob, settings: Settings, workers: Workers) -> Collected:
    """Make the pair table of one glass, or bring it up to date; it goes where no minimum is usable."""
    numba.set_num_threads(min(settings.cores, numba.config.NUMBA_NUM_THREADS))
    table, files, transitions, numbers, name = job
    folder, made_of = glass_of(files[0]), job.made_of(settings)
    with spool_folder(table) as spool:
        read, again = _read_files(files, settings, workers, name, spool)
        old = stamp_of_unchanged(table)
        ceiling, gone, known = settings.pairs.max_delta_E, superseded(folder), _known_keys(old)
        glass, fates = load_glass(read, settings.ij_decimals, settings.minima, ceiling, known, gone, spool)
        fates |= {line: Fate(LEFT_OUT, None, "energies.csv names no frame") for line in unknown_energies(folder, fates)}
        if glass is None:
            note(f"{name}: no usable minimum" + (f"; its table is taken away: {table}" if table.exists() else ""))
            table.unlink(missing_ok=True)
            return Collected(0, 0, fates)
        if settings.particles > glass.n_particles:
            raise UserError(
                f"config.yaml: particles = {settings.particles}, but {folder} has {glass.n_particles}; lower it"
            )
        if others := _other_minima(old, table, made_of, fates):
            numbers.unlink(missing_ok=True)
            said = f"{counted(len(others), 'name')} of minima now name others, {others[0]} among them"
            note(f"{name}: {said}; results in NEB_calculations that name them are of the minima before: remove these")
        counts = count_transitions(read, glass, settings.minima.time_order)
        _update_transitions(transitions, counts, glass, settings, name)
        made_of.files.update({path: [] for path in again} | made_from([transitions]).files)
        counted_in = all_transitions(transitions)
        told = _read_counts(counted_in, glass, settings.ij_decimals, name) if transitions.exists() else None
        result = write_pairs(glass, made_of, told, fates, table)
    _tell(glass, result, settings, f"{name}: ")
    return result


def _tell(glass: Glass, result: Collected, settings: Settings, name: str) -> None:
    """Print what came out, and what is odd about it."""
    n, length = len(glass.files), settings.unit.length
    again = sum(fate.status == AGAIN for fate in result.fates.values())
    seen = f", {counted(again, 'time')} seen again" if again else ""
    above = n * (n - 1) // 2 - result.pairs
    note(
        f"{name}{counted(n, 'minimum')}{seen}, {counted(result.pairs, 'pair')}, {result.computed} computed, {above} "
        "above pairs.max_delta_E left out"
    )
    if glass.drift > ROUNDED * shortest_period(glass.box):
        note(
            f"{name}the sample drifts, by up to {glass.drift:.2g} {length}; each pair's mean displacement is taken out"
        )
    if result.ambiguous:
        note(f"{name}{counted(result.ambiguous, 'pair')} with a displacement of half the box: its image is not certain")
    one_by_one = np.diff(glass.energies) * glass.n_particles
    if n > 1 and not result.pairs and one_by_one.min() <= glass.n_particles * settings.pairs.max_delta_E:
        note(f"{name}no pair is below pairs.max_delta_E; are the energies totals? In names they are per particle")


def _read_files(
    files: list[Path], settings: Settings, workers: Workers, name: str, spool: Path
) -> tuple[list[Minimum | Unusable], set[Path]]:
    """All that stands in the files of a glass, positions mapped from disk; and files to read again next time."""
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
    sizes = [one.positions.size if isinstance(one, Minimum) else 0 for one in found]
    every = np.asarray(np.memmap(spool / "read", np.float64, "c")) if sum(sizes) else np.empty(0)
    ends = np.cumsum(sizes)
    minima = [
        one._replace(positions=every[end - size : end].reshape(-1, 3)) if isinstance(one, Minimum) else one
        for one, end, size in zip(found, ends, sizes, strict=True)
    ]
    folder = glass_of(files[0])
    again = {folder / file_of(one.name) for one in found if isinstance(one, Unusable) and one.try_again}
    return share_systems(minima), again


def _known_keys(stamp: dict[str, Any]) -> set[int]:
    """Keys of the minima in a table that step 0 made, by its stamp."""
    fates = stamp["result"]["fates"].values() if "particles" in stamp else ()
    names = [minimum for _, minimum, _ in fates if minimum is not None]
    return set(minimum_keys(np.array(names, float), stamp["ij_decimals"]).tolist()) if names else set()


def _other_minima(stamp: dict[str, Any], table: Path, made_of: Inputs, fates: dict[str, Fate]) -> list[float]:
    """Names that a minimum of another file had before, though neither file changed: energies.csv did."""
    if "particles" not in stamp:
        return []
    was = {place: name for place, (status, name, _) in stamp["result"]["fates"].items() if status == USED}
    now = {fate.minimum: place for place, fate in fates.items() if fate.status == USED}
    same = {minimum_name(path) for path in unchanged_inputs(stamp, table, made_of)}
    pairs = ((name, place, now[name]) for place, name in was.items() if now.get(name, place) != place)
    return [name for name, *places in pairs if set(places) <= set(fates) and {*map(file_of, places)} <= same]


def _update_transitions(
    path: Path, counts: dict[tuple[int, int], int] | None, glass: Glass, settings: Settings, name: str
) -> None:
    """Write transitions that were counted, unless the user wrote the file; take away those that are told no more."""
    if path.exists() and not up_to_date([path], made_from([])):
        return
    if counts is None:
        path.unlink(missing_ok=True)
        return
    names = [f"{label:.{settings.ij_decimals}f}" for label in minimum_names(glass.keys, settings.ij_decimals)]
    write_transitions(path, {(names[i], names[j]): count for (i, j), count in sorted(counts.items())})
    mark_made([path], made_from([]))
    note(f"{name}: {sum(counts.values())} transitions in time order: {path}")


def _read_counts(paths: list[Path], glass: Glass, decimals: int, name: str) -> "pd.Series[float]":
    """Counts by i · n_minima + j, the indices of the two minima, under whichever energy these were seen."""
    transitions = pd.concat(map(read_transitions, paths), ignore_index=True)
    places = pd.Series(glass.others | {int(key): at for at, key in enumerate(glass.keys)})
    keys = (minimum_keys(transitions[name], decimals) for name in ("i", "j"))
    one, other = (places.reindex(some, fill_value=-1).to_numpy() for some in keys)
    known = (one >= 0) & (other >= 0)
    if not known.all():
        lost = transitions["count"][~known].sum()
        said = f"{lost:g} transitions from or to unknown minima, in {(~known).sum()} rows, are left out"
        note(f"{name}: {said}: {', '.join(map(str, paths[:2]))}{', …' * (len(paths) > 2)}")
    known &= one != other
    return transitions["count"].astype(float)[known].groupby((one * len(glass.keys) + other)[known]).sum()


def write_pairs(
    glass: Glass,
    made_of: Inputs,
    counts: "pd.Series[float] | None",
    fates: dict[str, Fate],
    target: Path,
) -> Collected:
    """Write the pair table of a glass; the geometry that an older table holds for the same minima is taken over.

    Where the other minima lie is found anew for every pair, from the distances, as each new minimum may lie between.
    ``counts``: transitions by i · n_minima + j, for the columns Tij and Tji.
    """
    conf, n_minima = int(target.stem.removeprefix("Cnf-")), len(glass.keys)
    ceiling, decimals = made_of.other["max_delta_E"], made_of.other["ij_decimals"]
    features = geometry_columns(made_of.other["particles"])
    columns = ["conf", "i", "j", "Delta_E", *features, *["Tij", "Tji"] * (counts is not None), *NEIGHBOURHOOD]
    schema = pa.schema([(name, pa.int64() if name == "conf" else pa.float64()) for name in columns])
    schema = schema.with_metadata({MADE: made_of.other["units"]})
    partners = _partners(glass, ceiling)
    blocks, total = list(cut_into_blocks(partners)), int(partners.sum())
    names = minimum_names(glass.keys, decimals)
    computed = ambiguous = 0
    half = 0.5 * shortest_period(glass.box)
    with (
        atomic_write(target) as part,
        spool_folder(target) as spool,
        Progress(total=2 * total, desc=f"Cnf-{conf}", unit="pair") as bar,
    ):
        _check_room(glass, total, ceiling, 8 * (len(columns) + len(features)), target)
        stored, squares = StoredGeometry(target, glass, made_of), Squares.unknown(partners + np.arange(n_minima) + 1)
        with pa.ipc.new_file(str(spool / "geometry"), pa.schema([(name, pa.float64()) for name in features])) as kept:
            for block in blocks:
                pairs = pairs_of(partners, *block)
                geometry, missing = stored.of_pairs(*pairs)
                squares.put(*pairs, geometry[:, -2] ** 2)
                kept.write_batch(pa.record_batch([pa.array(values) for values in geometry.T], names=features))
                computed += missing
                ambiguous += int((geometry[:, 0] > 0.99 * half).sum())
                bar.update(len(geometry))
        geometry_of = pa.ipc.open_file(str(spool / "geometry"))
        with pa.ipc.new_file(str(part), schema) as writer:
            for k, block in enumerate(blocks):
                first, second = pairs_of(partners, *block)
                delta_e = glass.n_particles * (glass.energies[second] - glass.energies[first])
                values = [np.full(len(first), conf), names[first], names[second], delta_e]
                values += geometry_of.get_batch(k).columns
                if counts is not None:
                    for one, other in ((first, second), (second, first)):
                        values.append(counts.reindex(one * n_minima + other, fill_value=0.0).to_numpy())
                values += [*pair_neighbourhood(squares, *block).T]
                writer.write_batch(pa.record_batch([pa.array(column) for column in values], schema=schema))
                bar.update(len(first))
    told = {"pairs": total, "glasses": [conf], "fates": fates, "partners": partners.tolist()}
    told |= {"n_particles": glass.n_particles, "box": glass.box.tolist()}
    mark_made([target], made_of, told)
    return Collected(total, computed, fates, ambiguous)


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
