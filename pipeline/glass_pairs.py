"""From the minima of one glass to its pair table, computing only the pairs that the table does not hold yet."""

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from glass.arrays import shortest_period
from glass.features import geometry_columns
from glass.neighbourhood import pair_neighbourhood
from pipeline.collect import Collected, GlassJob
from pipeline.errors import UserError
from pipeline.files import atomic_write, spool_folder
from pipeline.formats.configurations import Minimum, Unusable
from pipeline.formats.keys import minimum_keys, minimum_names
from pipeline.formats.minima import file_of, read_minima, unknown_energies
from pipeline.formats.pair_tables import BATCH, NEIGHBOURHOOD
from pipeline.formats.relaxed import superseded
from pipeline.formats.table_record import AGAIN, LEFT_OUT, Fate, TableRecord, mark_written, new_record, read_record
from pipeline.formats.transitions import read_transitions, write_transitions
from pipeline.glasses import Glass, count_transitions, load_glass
from pipeline.messages import detail, note
from pipeline.progress import progress
from pipeline.settings import Settings
from pipeline.stamps import Fingerprint, fingerprint, made_from, mark_made, up_to_date
from pipeline.stored_geometry import StoredGeometry, cut_into_blocks, find_geometry
from pipeline.workers.pool import SerialWorkers, Workers
from pipeline.workspace import glass_of, inputs_of

_FILES_PER_JOB = 8
"""A worker reads so many minima at a time."""

LARGE = 4 * BATCH
"""Of a glass with more pairs, a cluster gets them block by block."""

Index = NDArray[np.int64]


def update_tables(jobs: list[GlassJob], settings: Settings, workers: Workers) -> Iterator[Collected]:
    """Bring the tables of several glasses up to date, in their order.

    On a cluster each is a job, and of a glass with more than LARGE pairs each block of them. Here the workers read the
    minima of one glass after the other, of which all cores then compute the pairs.
    """
    for on_its_own, some in groupby(jobs, lambda job: settings.cluster is None or len(job.files) ** 2 > 2 * LARGE):
        if on_its_own:
            for job in some:
                yield update_table(job, settings, workers)
        else:
            for collected, said in workers.results(partial(_update_elsewhere, settings=settings), some, in_order=True):
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
    """Make the pair table of one glass, or bring it up to date; it goes where no minimum is usable.

    Parameters
    ----------
    job : GlassJob
        Which.
    settings : Settings
        What is stored.
    workers : Workers
        Read the files; those of a cluster also compute the pairs.

    Raises
    ------
    UserError
        If the transitions can't be read, or ``particles`` is more than there are.
    """
    numba.set_num_threads(min(settings.cores, numba.config.NUMBA_NUM_THREADS))
    table, files, transitions, name = job
    folder, inputs = glass_of(files[0]), inputs_of(files)
    record = new_record(inputs, transitions, settings)
    read, again = _read_files(files, settings, workers, name)
    glass, fates = load_glass(
        read, settings.ij_decimals, settings.minima, settings.pairs.max_delta_E, _known_keys(table), superseded(folder)
    )
    fates |= {line: Fate(LEFT_OUT, None, "energies.csv names no frame") for line in unknown_energies(folder, fates)}
    if glass is None:
        note(f"{name}: no usable minimum" + (f"; its table is taken away: {table}" if table.exists() else ""))
        table.unlink(missing_ok=True)
        return Collected(0, 0, fates)
    if settings.particles > glass.n_particles:
        raise UserError(
            f"config.yaml: particles = {settings.particles} is more than the {glass.n_particles} in {folder}; lower it"
        )
    _update_transitions(transitions, count_transitions(read, glass, settings.minima.time_order), glass, settings, name)
    record = replace(
        record,
        files=record.files | again,
        transitions=fingerprint(transitions) if transitions.exists() else None,
        fates=fates,
        n_particles=glass.n_particles,
        box=tuple(glass.box.ravel().tolist()),
    )
    counts = _read_counts(transitions, glass, settings.ij_decimals, name) if transitions.exists() else None
    result = write_pairs(glass, record, counts, table, workers if settings.cluster else None)
    _tell(glass, result, settings, f"{name}: ", table)
    return result


def _tell(glass: Glass, result: Collected, settings: Settings, name: str, table: Path) -> None:
    """Print what came out, and what is odd about it."""
    n, length = len(glass.files), settings.unit.length
    above = n * (n - 1) // 2 - result.pairs
    again = sum(fate.status == AGAIN for fate in result.fates.values())
    note(
        f"{name}{n} minima{f', {again} times seen again' if again else ''}, {result.pairs} pairs, "
        f"{result.computed} computed, {above} above pairs.max_delta_E left out"
    )
    detail(f"{name}{table}")
    if glass.drift:
        note(
            f"{name}the sample drifts, by up to {glass.drift:.2g} {length}; each pair's mean displacement is taken out"
        )
    if result.ambiguous:
        note(f"{name}{result.ambiguous} pairs have a displacement of about half the box, whose image is not certain")
    one_by_one = np.diff(glass.energies) * glass.n_particles
    if n > 1 and not result.pairs and one_by_one.min() <= glass.n_particles * settings.pairs.max_delta_E:
        note(
            f"{name}no pair is below pairs.max_delta_E; are the energies totals? In names they are per particle, of "
            f"{glass.n_particles}"
        )


def _read_files(
    files: list[Path], settings: Settings, workers: Workers, name: str
) -> tuple[list[Minimum | Unusable], dict[str, Fingerprint]]:
    """All that stands in the files of a glass; and files to read again, with no fingerprint."""
    jobs = [files[start : start + _FILES_PER_JOB] for start in range(0, len(files), _FILES_PER_JOB)]
    read = partial(read_minima, reading=settings.reading)
    with progress(total=len(files), desc=f"{name}: reading", unit="file") as bar:
        found: list[Minimum | Unusable] = []
        for job, some in zip(jobs, workers.results(read, jobs, in_order=True), strict=True):
            found += some
            bar.update(len(job))
    again: dict[str, Fingerprint] = {
        file_of(one.name): [] for one in found if isinstance(one, Unusable) and one.try_again
    }
    return found, again


def _known_keys(table: Path) -> set[int]:
    """Keys of the minima in a table that step 0 made."""
    record = read_record(table)
    names = [] if record is None else [fate.minimum for fate in record.fates.values() if fate.minimum is not None]
    return set() if record is None else set(minimum_keys(np.array(names, float), record.ij_decimals).tolist())


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
    write_transitions(path, [(names[i], names[j], count) for (i, j), count in sorted(counts.items())])
    mark_made([path], made_from([]))
    note(f"{name}: {sum(counts.values())} transitions in time order: {path}")


def _read_counts(path: Path, glass: Glass, decimals: int, name: str) -> "pd.Series[float]":
    """Counts by i · n_minima + j, the indices of the two minima, under whichever energy these were seen."""
    transitions = read_transitions(path)
    others = glass.others | {int(key): at for at, key in enumerate(glass.keys)}
    one, other = (
        np.array([others.get(int(key), -1) for key in minimum_keys(transitions[column], decimals)], np.int64)
        for column in ("i", "j")
    )
    known = (one >= 0) & (other >= 0)
    if not known.all():
        lost = transitions["count"][~known].sum()
        note(f"{name}: {lost:g} transitions from or to unknown minima, in {(~known).sum()} rows, are left out: {path}")
    known &= one != other
    return transitions["count"].astype(float)[known].groupby((one * len(glass.keys) + other)[known]).sum()


def write_pairs(
    glass: Glass, record: TableRecord, counts: "pd.Series[float] | None", target: Path, workers: Workers | None = None
) -> Collected:
    """Write the pair table of a glass; the geometry that an older table holds for the same minima is taken over.

    Where the other minima lie is found anew for every pair, from the distances, as each new minimum may lie between.

    Parameters
    ----------
    glass : Glass
        The usable minima.
    record : TableRecord
        Goes into the table; says which files and settings it is made from.
    counts : Series or None
        Transitions by i · n_minima + j; adds the columns Tij and Tji.
    target : Path
        The table; replaced whole once the new one is complete.
    workers : Workers, optional
        Compute the pairs, a block a job; default: all cores of this machine.
    """
    conf, n_minima = int(target.stem.removeprefix("Cnf-")), len(glass.keys)
    features = geometry_columns(record.particles)
    columns = ["conf", "i", "j", "Delta_E", *features, *["Tij", "Tji"] * (counts is not None), *NEIGHBOURHOOD]
    schema = pa.schema([(name, pa.int64() if name == "conf" else pa.float64()) for name in columns], record.metadata)
    last = np.searchsorted(glass.energies, glass.energies + record.max_delta_E / glass.n_particles, side="right")
    total = int((last - np.arange(n_minima) - 1).sum())
    blocks = list(cut_into_blocks(last))
    names = minimum_names(glass.keys, record.ij_decimals)
    squares = np.full((n_minima, n_minima), np.inf, np.float32)
    computed = ambiguous = 0
    half = 0.5 * shortest_period(glass.box)
    with (
        atomic_write(target) as part,
        spool_folder(target) as spool,
        progress(total=2 * total, desc=f"Cnf-{conf}", unit="pair") as bar,
    ):
        stored = StoredGeometry(target, glass, record)
        with pa.ipc.new_file(str(spool / "geometry"), pa.schema([(name, pa.float64()) for name in features])) as kept:
            found = find_geometry(glass, blocks, stored, spool, workers)
            for block, (geometry, missing) in zip(blocks, found, strict=True):
                first, second = block.pairs()
                squares[first, second] = squares[second, first] = geometry[:, -2] ** 2
                kept.write_batch(pa.record_batch([pa.array(values) for values in geometry.T], names=features))
                computed += missing
                ambiguous += int((geometry[:, 0] > 0.99 * half).sum())
                bar.update(block.size)
        geometry_of = pa.ipc.open_file(str(spool / "geometry"))
        with pa.ipc.new_file(str(part), schema) as writer:
            for k, block in enumerate(blocks):
                first, second = block.pairs()
                delta_e = glass.n_particles * (glass.energies[second] - glass.energies[first])
                values = [np.full(block.size, conf), names[first], names[second], delta_e]
                values += geometry_of.get_batch(k).columns
                if counts is not None:
                    for one, other in ((first, second), (second, first)):
                        values.append(counts.reindex(one * n_minima + other, fill_value=0.0).to_numpy())
                values += [*pair_neighbourhood(squares, block.start, block.stop, last).T]
                writer.write_batch(pa.record_batch([pa.array(column) for column in values], schema=schema))
                bar.update(block.size)
    mark_written(target)
    return Collected(total, computed, record.fates, ambiguous)
