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

from glass.features import geometry_columns
from glass.neighbourhood import pair_neighbourhood
from pipeline.collect import Collected, GlassJob
from pipeline.errors import UserError
from pipeline.files import atomic_write, spool_folder
from pipeline.formats.configurations import Minimum, Unusable
from pipeline.formats.keys import find_keys, minimum_keys, minimum_names
from pipeline.formats.minima import Glass, file_of, load_glass, read_minima, without_superseded
from pipeline.formats.pair_tables import BATCH, NEIGHBOURHOOD
from pipeline.formats.table_record import TableRecord, mark_written, new_record
from pipeline.formats.transitions import read_transitions
from pipeline.progress import progress
from pipeline.settings import Settings
from pipeline.stamps import Fingerprint
from pipeline.stored_geometry import StoredGeometry, cut_into_blocks, find_geometry
from pipeline.workers.pool import SerialWorkers, Workers
from pipeline.workspace import inputs_of

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
                print(said, end="")
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
    folder, inputs = files[0].parent, inputs_of(files)
    record = new_record(inputs, transitions, settings)
    counts = read_transitions(transitions) if transitions.exists() else None
    glass, rejected, again = _read_glass(files, settings, workers, name)
    if glass is None:
        print(f"{name}: no usable minimum" + (f"; its table is taken away: {table}" if table.exists() else ""))
        table.unlink(missing_ok=True)
        return Collected(0, 0, rejected)
    if settings.particles > glass.n_particles:
        raise UserError(
            f"config.yaml: particles = {settings.particles} is more than the {glass.n_particles} in {folder}; lower it"
        )
    record = replace(
        record,
        files=record.files | again,
        rejected=rejected,
        n_particles=glass.n_particles,
        box=tuple(glass.box.tolist()),
    )
    result = write_pairs(glass, record, counts, table, workers if settings.cluster else None)
    above = len(glass.files) * (len(glass.files) - 1) // 2 - result.pairs
    print(
        f"{name}: {len(glass.files)} minima, {result.pairs} pairs, {result.computed} computed, "
        f"{above} above pairs.max_delta_E left out: {table}"
    )
    return result


def _read_glass(
    files: list[Path], settings: Settings, workers: Workers, name: str
) -> tuple[Glass | None, dict[str, str], dict[str, Fingerprint]]:
    """The usable minima of a glass; the others with the reason; and files to read again, with no fingerprint."""
    jobs = [files[start : start + _FILES_PER_JOB] for start in range(0, len(files), _FILES_PER_JOB)]
    with progress(total=len(files), desc=f"{name}: reading", unit="file") as bar:
        read: list[Minimum | Unusable] = []
        for job, some in zip(jobs, workers.results(read_minima, jobs, in_order=True), strict=True):
            read += some
            bar.update(len(job))
    again: dict[str, Fingerprint] = {
        file_of(one.name): [] for one in read if isinstance(one, Unusable) and one.try_again
    }
    return *load_glass(without_superseded(read, files[0].parent), settings.ij_decimals), again


def write_pairs(
    glass: Glass, record: TableRecord, transitions: pd.DataFrame | None, target: Path, workers: Workers | None = None
) -> Collected:
    """Write the pair table of a glass; the geometry that an older table holds for the same minima is taken over.

    Where the other minima lie is found anew for every pair, from the distances, as each new minimum may lie between.

    Parameters
    ----------
    glass : Glass
        The usable minima.
    record : TableRecord
        Goes into the table; says which files and settings it is made from.
    transitions : DataFrame or None
        ``i, j, count`` as :func:`pipeline.formats.transitions.read_transitions` gives it; adds the columns Tij and Tji.
    target : Path
        The table; replaced whole once the new one is complete.
    workers : Workers, optional
        Compute the pairs, a block a job; default: all cores of this machine.
    """
    conf, n_minima = int(target.stem.removeprefix("Cnf-")), len(glass.keys)
    counts = None if transitions is None else _counts(transitions, glass, record.ij_decimals)
    features = geometry_columns(record.particles)
    columns = ["conf", "i", "j", "Delta_E", *features, *["Tij", "Tji"] * (counts is not None), *NEIGHBOURHOOD]
    schema = pa.schema([(name, pa.int64() if name == "conf" else pa.float64()) for name in columns], record.metadata)
    last = np.searchsorted(glass.energies, glass.energies + record.max_delta_E / glass.n_particles, side="right")
    total = int((last - np.arange(n_minima) - 1).sum())
    blocks = list(cut_into_blocks(last))
    names = minimum_names(glass.keys, record.ij_decimals)
    squares = np.full((n_minima, n_minima), np.inf, np.float32)
    computed = 0
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
    return Collected(total, computed, record.rejected)


def _counts(transitions: pd.DataFrame, glass: Glass, decimals: int) -> "pd.Series[float]":
    """Counts by i · n_minima + j, the indices of the two minima; those of other minima are left out."""
    one, other = (find_keys(glass.keys, minimum_keys(transitions[name], decimals)) for name in ("i", "j"))
    known = (one >= 0) & (other >= 0)
    code = one * len(glass.keys) + other
    return transitions["count"].astype(float)[known].groupby(code[known]).sum()
