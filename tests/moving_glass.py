"""A small glass whose TLS cross the boundary of the box, with the images of their paths."""

import numpy as np
from ase import Atoms
from formulas import HBAR, double_well, profile_of_formula, record_settings

from glass.tunnelling import lowest_levels
from pipeline.formats.frames import write_frames
from pipeline.formats.keys import Pair
from pipeline.formats.lammps import write_minimum
from pipeline.formats.records import add_record, path_file
from pipeline.formats.results import add_calculation, add_splitting
from pipeline.settings import Settings
from search.calculated import update_double_wells
from search.density import update_density

HALF = 0.2
PROFILE = profile_of_formula(*double_well(0.05, HALF), (-HALF, HALF), images=41)
LEVELS = lowest_levels(PROFILE, HBAR)
SPLITTING = LEVELS[1] - LEVELS[0]
HOW = record_settings(PROFILE, LEVELS, HBAR)
IMAGES = 5


def glass_that_moves(seed=0):
    """Thirty particles, of which the first goes 0.5 across the boundary of the box, and the second 0.2 elsewhere."""
    rng = np.random.default_rng(seed)
    box = np.array([5.0, 6.0, 7.0])
    positions = rng.uniform(0, box, (30, 3))
    positions[0], positions[1] = [4.9, 3.0, 3.0], [0.3, 3.2, 3.1]
    steps = np.zeros((30, 3))
    steps[0], steps[1] = [0.4, 0.0, 0.3], [0.0, 0.2, 0.0]
    return positions, steps, box, rng.uniform(0.8, 1.2, 30)


def add_tls(at, pair, path=True):
    """A double well with its record, and the images of its path, between which all go straight."""
    positions, steps, box, diameters = glass_that_moves()
    add_record(at, pair, LEVELS, PROFILE, HOW)
    add_calculation(at, pair, {"verdict": "double well", "fidelity": "full", "images": IMAGES, "cpu_seconds": 1.5})
    add_splitting(at, pair, SPLITTING)
    frames = []
    for number, part in enumerate(np.linspace(0, 1, IMAGES)):
        frame = Atoms(["X"] * 30, np.mod(positions + part * steps, box), cell=box, pbc=True)
        frame.set_array("types", np.ones(30, np.int32))
        frame.set_array("diameters", diameters)
        frame.info |= {"image": number, "path_coordinate": 2 * HALF * part}
        frames.append(frame)
    if path:
        write_frames(path_file(at, pair), frames)


def fill_with_tls(at, count=12):
    """So many TLS, each of a glass of its own with both minima, and the density."""
    positions, steps, box, diameters = glass_that_moves()
    for conf in range(3, 3 + count):
        for energy, places in ((0.1, positions), (0.2, np.mod(positions + steps, box))):
            write_minimum(at.glass(conf) / f"{energy!r}.conf", diameters, places, box)
        add_tls(at, Pair(conf, 0.1, 0.2))
    settings = Settings(tls_threshold=2 * SPLITTING)
    update_double_wells(at, settings)
    update_density(at, settings, np.nan)
    at.workspace.settings.write_text(f"tls_threshold: {2 * SPLITTING}\n")
    return settings
