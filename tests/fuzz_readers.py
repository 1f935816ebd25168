"""Every reader of the pipeline with files that it reads, and what must hold of a value that it takes for good."""

from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

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
from pipeline.formats.minima import add_relaxed, places_by_key, read_minima, superseded
from pipeline.formats.pair_tables import MAY_BE_UNKNOWN, check_ready_made, check_units, read_batches, stored_pairs
from pipeline.formats.records import path_file, read_path, read_records
from pipeline.formats.results import ORIGIN
from pipeline.glass_pairs import update_table
from pipeline.glasses import load_glass
from pipeline.settings import Settings, read_settings
from pipeline.stamps import is_ready_made
from pipeline.transitions import read_transitions, write_transitions
from pipeline.units import REDUCED
from pipeline.workers import SerialWorkers
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, StatePoint, Workspace, minimum_paths
from search.calculated import describe

T = "0.1"
N, MINIMA, BOX = 12, 5, np.array([4.0, 5.0, 6.0])
FEATURES = ["Delta_E", "displacement_0", "displacement_1", "0to1", "total_displacement", "PR", "Tij", "gabriel"]
COLUMNS = ["conf", "i", "j", *FEATURES]


class ImpossibleError(Exception):
    """A reader took something for good that nothing can have."""


def must(holds, what):
    if not np.all(holds):
        raise ImpossibleError(what)


def make_workspace(root):
    """A small workspace with one good file for each reader."""
    at, rng = Workspace(root).at(T), np.random.default_rng(0)
    folders = {name: root / name for name in ("text", "binary", "extxyz", "extxyz.gz", "traj", "json")}
    diameters, positions = rng.uniform(0.7, 1.6, N), rng.random((MINIMA, N, 3)) * BOX
    energies = 0.2 + 1e-4 * np.arange(MINIMA)
    frames = []
    for place, energy in zip(positions, energies, strict=True):
        for folder in (folders["binary"], at.glass(1), at.glass(2)):
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
    write_transitions(at.transitions(1), {("0.2000000000", "0.2001000000"): 3, ("0.2001", "0.2002"): 1})
    pairs = [Pair(1, 0.2, 0.2001), Pair(1, 0.2, 0.2002), Pair(2, 0.2001, 0.2003), Pair(12, 0.21, 0.2200000001)]
    for k, pair in enumerate(pairs):
        add_tls(at, pair, path=k == 0)
        neb_files.add_non_dw(at, pair)
        neb_files.add_unfinished(at, pair, 'not converged, "force" 0.1')
    add_relaxed(root, [("0.2.conf", 0.2, 1e-3, "relaxed.extxyz#0", 0.3), ("0.3.conf", 0.3, 1e-9, "", np.nan)], [])
    _write_tables(at, rng)
    _collect(at)
    at.workspace.settings.write_text((Path(__file__).parent.parent / "config.yaml").read_text())


def _write_tables(at, rng):
    table = pd.DataFrame(rng.random((40, len(COLUMNS))), columns=COLUMNS).assign(conf=np.arange(40) % 3)
    table["j"] = table["i"] + 1 + rng.random(40)
    table.loc[::7, "gabriel"] = np.nan
    folder = at.pairs
    folder.mkdir(parents=True)
    table.to_feather(folder / "database.feather")
    at.pretraining(CLASSIFIER).parent.mkdir()
    table.assign(**{DW: np.arange(40) % 2}).to_feather(at.pretraining(CLASSIFIER))
    table.assign(**{QS: rng.random(40)}).to_feather(at.pretraining(PREDICTOR))


def _collect(at):
    table, settings = at.glass_pairs(2), Settings(particles=2)
    if table.exists() and is_ready_made(table):  # without its record, it is checked and kept
        check_ready_made(table, 10)
        return pd.concat(read_batches(table))
    with redirect_stdout(StringIO()):
        update_table(at, 2, settings, SerialWorkers())
    return pd.concat(read_batches(table))


def _minima(folder):
    paths = minimum_paths(folder)
    read = read_minima(paths)
    glass, fates = load_glass(read, folder, Settings())
    rejected = {name: fate.reason for name, fate in fates.items() if fate.status == "left out"}
    must([reason and "\n" not in reason for reason in rejected.values()], "a reason of several lines")
    must(len(fates) == len({one.name for one in read}), "a minimum is lost")
    places = places_by_key(folder, 10)
    if glass is None or rejected:
        raise MinimumError(next(iter(rejected.values())))
    must(glass.box > 0, "box")
    must((glass.positions >= 0) & (glass.positions <= glass.box[:, None]), "a position outside of the box")
    must(np.isfinite(glass.energies) & (np.diff(glass.keys, prepend=glass.keys[0] - 1) > 0), "energies")
    must([int(key) in places for key in glass.keys], "a minimum that is not found again")


def _pairs(table, unknown=True):
    """What any table of pairs may hold; ``unknown``: also cells without a number."""
    numbers = table.drop(columns=list(MAY_BE_UNKNOWN), errors="ignore").select_dtypes("number")
    named = np.isfinite(table[["i", "j"]]).all(axis=1)
    must((table["conf"] % 1 == 0) & (table["conf"] >= 0) & named, "names of pairs")
    must(np.isfinite(numbers) | (unknown & numbers.isna()), "not finite")
    must(~(table.filter(regex="displacement|PR|images|steps|seconds") < 0), "a negative length, number or time")
    must(~(table.filter(regex=QS) <= 0), "a splitting that is not above zero")
    pair_index(table, 10)


_table = partial(_pairs, unknown=False)


def _ready_made(path):
    must(is_ready_made(path), "taken for a table of step 0")
    check_units(path, REDUCED)
    count = check_ready_made(path, 10)
    must(count["pairs"] == stored_pairs(path), "counted differently")
    _table(pd.concat(read_batches(path)))


def _records(at):
    found = [describe(record) for record in read_records(at)]
    must([np.isfinite(one["barrier"]) and one["level_0"] < one["level_1"] for one in found], "levels or barrier")


def _path(path):
    positions, steps, box, _ = glass_that_moves()
    start, end = (Atoms(["X"] * 30, place, cell=box, pbc=True) for place in (positions, positions + steps))
    images = read_path(path, start, end)
    if images is None:
        raise UserError("not used")
    must(np.isfinite(images), "not finite")


def _minima_in(folder):
    return lambda at: sorted((at.workspace.root / folder).iterdir())[0], lambda at, path: _minima(path.parent)


def _pretraining(task):
    def read(at, path):
        _table(read_pretraining(path, task, 10).drop(columns=ORIGIN))

    return lambda at: at.pretraining(task), read


READERS: dict[str, tuple[Callable[[StatePoint], Path], Callable[[StatePoint, Path], object]]] = {
    **{f"minima: {folder}": _minima_in(folder) for folder in ("text", "binary", "extxyz", "extxyz.gz", "traj", "json")},
    "relaxed.csv": (lambda at: at.workspace.root / "relaxed.csv", lambda at, path: superseded(path.parent)),
    "transitions": (lambda at: at.transitions(1), lambda at, path: read_transitions(path)),
    "pair table, ready-made": (lambda at: at.pairs / "database.feather", lambda at, path: _ready_made(path)),
    "pair table of step 0": (lambda at: at.glass_pairs(2), lambda at, path: _table(_collect(at))),
    **{f"pretraining, {task.name}": _pretraining(task) for task in (CLASSIFIER, PREDICTOR)},
    "NON-DW.txt": (lambda at: at.non_dw, lambda at, path: _pairs(neb_files.read_neb_results(at))),
    "Qs_calculations.txt": (lambda at: at.new_splittings, lambda at, path: _pairs(neb_files.read_neb_results(at))),
    "unfinished.csv": (lambda at: at.unfinished, lambda at, path: _pairs(neb_files.read_unfinished(at))),
    "calculations.csv": (lambda at: at.calculations, lambda at, path: _pairs(neb_files.read_calculations(at))),
    "neb_paths.jsonl": (lambda at: at.neb_paths("jsonl"), lambda at, path: _records(at)),
    "paths/*.extxyz": (lambda at: path_file(at, Pair(1, 0.2, 0.2001)), lambda at, path: _path(path)),
    "config.yaml": (lambda at: at.workspace.settings, lambda at, path: read_settings(path)),
}
"""The file of a reader, and what reads it; that raises what the reader raises, or ImpossibleError."""
