"""Every reader of the pipeline with files that it reads, and what must hold of a value that it takes for good."""

from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import ase.io
import numpy as np
import pandas as pd
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from moving_glass import add_tls, glass_that_moves
from synthetic import text_minimum

from MLmodel.labels import read_pretraining
from pipeline.errors import UserError
from pipeline.formats import results as neb_files
from pipeline.formats.configurations import MinimumError
from pipeline.formats.keys import Pair, pair_index
from pipeline.formats.lammps import write_minimum
from pipeline.formats.minima import places_by_key, read_minima
from pipeline.formats.pair_tables import MAY_BE_UNKNOWN, read_batches, stored_pairs
from pipeline.formats.path_images import path_file, read_path
from pipeline.formats.ready_made import check_ready_made, check_units
from pipeline.formats.records import read_records
from pipeline.formats.relaxed import add_rows, superseded
from pipeline.formats.results import ORIGIN
from pipeline.glass_pairs import update_table
from pipeline.glasses import load_glass
from pipeline.settings import Settings, read_settings
from pipeline.table_stamps import is_ready_made
from pipeline.transitions import read_transitions, write_transitions
from pipeline.units import REDUCED
from pipeline.workers import SerialWorkers
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, Workspace, minimum_paths
from search.calculated import describe

T = "0.1"
N, MINIMA, BOX = 12, 5, np.array([4.0, 5.0, 6.0])
FEATURES = ["Delta_E", "displacement_0", "displacement_1", "0to1", "total_displacement", "PR", "Tij", "gabriel"]
COLUMNS = ["conf", "i", "j", *FEATURES]


class ImpossibleError(Exception):
    """A reader took something for good that nothing can have."""


class Reader(NamedTuple):
    """A reader, the file that it reads, and where else it looks."""

    name: str
    file: Callable[[Workspace], Path]
    """Which file is spoilt."""
    read: Callable[[Workspace], Any]
    """Reads it; raises what the reader raises, or ImpossibleError."""


def must(holds, what):
    """Raise ImpossibleError unless something holds."""
    if not np.all(holds):
        raise ImpossibleError(what)


def make_workspace(root):
    """A small workspace with one good file for each reader."""
    work, rng = Workspace(root), np.random.default_rng(0)
    folders = {name: root / name for name in ("text", "binary", "extxyz", "extxyz.gz", "traj", "json")}
    diameters, positions = rng.uniform(0.7, 1.6, N), rng.random((MINIMA, N, 3)) * BOX
    energies = 0.2 + 1e-4 * np.arange(MINIMA)
    frames = []
    for place, energy in zip(positions, energies, strict=True):
        for folder in (folders["binary"], work.at(T).glass(1), work.at(T).glass(2)):
            write_minimum(folder / f"{energy:.10f}.conf", diameters, place, BOX)
        folders["text"].mkdir(exist_ok=True)
        text = text_minimum(diameters, place, BOX, types=[1 + k % 2 for k in range(N)], masses=("1 1 # Cu", "2 4 # Zr"))
        (folders["text"] / f"{energy:.9E}.conf.txt").write_text(text)
        atoms = Atoms("Cu8Zr4", place, cell=BOX, pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=N * energy)
        frames.append(atoms)
    for name in ("extxyz", "extxyz.gz", "traj", "json"):
        folders[name].mkdir()
        ase.io.write(folders[name] / f"many.{name}", frames)
    write_transitions(work.at(T).transitions(1), {("0.2000000000", "0.2001000000"): 3, ("0.2001", "0.2002"): 1})
    pairs = [Pair(1, 0.2, 0.2001), Pair(1, 0.2, 0.2002), Pair(2, 0.2001, 0.2003), Pair(12, 0.21, 0.2200000001)]
    for k, pair in enumerate(pairs):
        add_tls(work.at(T), pair, path=k == 0)
        neb_files.add_non_dw(work.at(T), pair)
        neb_files.add_unfinished(work.at(T), pair, 'not converged, "force" 0.1')
    add_rows(root, [("0.2.conf", 0.2, 1e-3, "relaxed.extxyz#0", 0.3), ("0.3.conf", 0.3, 1e-9, "", np.nan)])
    _write_tables(work, rng)
    _collect(work)
    work.settings.write_text((Path(__file__).parent.parent / "config.yaml").read_text())


def _write_tables(work, rng):
    table = pd.DataFrame(rng.random((40, len(COLUMNS))), columns=COLUMNS).assign(conf=np.arange(40) % 3)
    table["j"] = table["i"] + 1 + rng.random(40)
    table.loc[::7, "gabriel"] = np.nan
    folder = work.at(T).pairs
    folder.mkdir(parents=True)
    table.to_feather(folder / "database.feather")
    work.at(T).pretraining(CLASSIFIER).parent.mkdir()
    table.assign(**{DW: np.arange(40) % 2}).to_feather(work.at(T).pretraining(CLASSIFIER))
    table.assign(**{QS: rng.random(40)}).to_feather(work.at(T).pretraining(PREDICTOR))


def _collect(work):
    """Step 0 of one glass; its table."""
    table, settings = work.at(T).glass_pairs(2), Settings(particles=2)
    if table.exists() and is_ready_made(table):  # without its record, it is checked and kept
        check_ready_made(table, 10)
        return pd.concat(read_batches(table))
    with redirect_stdout(StringIO()):
        update_table(work.at(T), 2, settings, SerialWorkers())
    return pd.concat(read_batches(table))


def _minima(work, folder):
    paths = minimum_paths(work.root / folder)
    read = read_minima(paths)
    glass, fates = load_glass(read, 10)
    rejected = {name: fate.reason for name, fate in fates.items() if fate.status == "left out"}
    must([reason and "\n" not in reason for reason in rejected.values()], "a reason of several lines")
    must(len(fates) == len({one.name for one in read}), "a minimum is lost")
    places = places_by_key(work.root / folder, 10)
    if glass is None or rejected:
        raise MinimumError(next(iter(rejected.values())))
    must(glass.box > 0, "box")
    must((glass.positions >= 0) & (glass.positions <= glass.box[:, None]), "a position outside of the box")
    must(np.isfinite(glass.energies) & (np.diff(glass.keys, prepend=glass.keys[0] - 1) > 0), "energies")
    must([int(key) in places for key in glass.keys], "a minimum that is not found again")
    return [glass.positions.tobytes(), glass.energies.tobytes()]


def _pairs(table):
    must((table["conf"] >= 0) & np.isfinite(table[["i", "j"]]).all(axis=1), "names of pairs")
    must(table["conf"].dtype.kind in "iu", "conf is no whole number")
    pair_index(table, 10)
    return table


def _table(table):
    must(np.isfinite(table.drop(columns=list(MAY_BE_UNKNOWN), errors="ignore").to_numpy(float)), "not finite")
    must(table["conf"] % 1 == 0, "conf is no whole number")
    must(table.filter(regex="displacement|PR") >= 0, "a negative length")
    must(table.filter(regex=QS) > 0, "a splitting that is not above zero")
    pair_index(table, 10)
    return table


def _ready_made(work):
    path = work.at(T).pairs / "database.feather"
    must(is_ready_made(path), "taken for a table of step 0")
    check_units(path, REDUCED)
    count = check_ready_made(path, 10)
    must(count["pairs"] == stored_pairs(path), "counted differently")
    return _table(pd.concat(read_batches(path)))


def _calculations(work):
    table = _pairs(neb_files.read_calculations(work.at(T)))
    numbers = table.reindex(columns=["images", "steps", "cpu_seconds"]).astype(float)
    must(numbers.isna() | (numbers >= 0) & np.isfinite(numbers), "what it took")
    return table


def _results(work):
    table = _pairs(neb_files.read_neb_results(work.at(T)))
    must(table.loc[table[DW] == 1, QS] > 0, "a splitting that is not above zero")
    return table


def _records(work):
    found = [describe(record) for record in read_records(work.at(T))]
    must([np.isfinite(one["barrier"]) and one["level_0"] < one["level_1"] for one in found], "levels or barrier")
    return found


def _path(work):
    positions, steps, box, _ = glass_that_moves()
    start, end = (Atoms(["X"] * 30, place, cell=box, pbc=True) for place in (positions, positions + steps))
    images = read_path(path_file(work.at(T), Pair(1, 0.2, 0.2001)), start, end)
    if images is None:
        raise UserError("not used")
    must(np.isfinite(images), "not finite")
    return images


def _first(folder):
    return lambda work: sorted((work.root / folder).iterdir())[0]


READERS = [
    *(
        Reader(f"minima: {folder}", _first(folder), partial(_minima, folder=folder))
        for folder in ("text", "binary", "extxyz", "extxyz.gz", "traj", "json")
    ),
    Reader("relaxed.csv", lambda work: work.root / "relaxed.csv", lambda work: superseded(work.root)),
    Reader(
        "transitions", lambda work: work.at(T).transitions(1), lambda work: read_transitions(work.at(T).transitions(1))
    ),
    Reader("pair table, ready-made", lambda work: work.at(T).pairs / "database.feather", _ready_made),
    Reader("pair table of step 0", lambda work: work.at(T).glass_pairs(2), lambda work: _table(_collect(work))),
    *(
        Reader(
            f"pretraining, {task.name}",
            lambda work, task=task: work.at(T).pretraining(task),
            lambda work, task=task: _table(
                read_pretraining(work.at(T).pretraining(task), task, 10).drop(columns=ORIGIN)
            ),
        )
        for task in (CLASSIFIER, PREDICTOR)
    ),
    Reader("NON-DW.txt", lambda work: work.at(T).non_dw, _results),
    Reader("Qs_calculations.txt", lambda work: work.at(T).new_splittings, _results),
    Reader(
        "unfinished.csv", lambda work: work.at(T).unfinished, lambda work: _pairs(neb_files.read_unfinished(work.at(T)))
    ),
    Reader("calculations.csv", lambda work: work.at(T).calculations, _calculations),
    Reader("neb_paths.jsonl", lambda work: work.at(T).neb_paths("jsonl"), _records),
    Reader("paths/*.extxyz", lambda work: path_file(work.at(T), Pair(1, 0.2, 0.2001)), _path),
    Reader("config.yaml", lambda work: work.settings, lambda work: read_settings(work.settings)),
]
