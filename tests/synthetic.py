"""Made-up glasses: minima with local rearrangements, and labels from a rule instead of NEBs."""

import numpy as np
import pandas as pd

from pipeline.formats.configurations import Place, make_minimum
from pipeline.formats.frames import read_frames
from pipeline.formats.lammps import energy_in_name
from pipeline.stamps import made_from, mark_made
from pipeline.workspace import Workspace

BOX = np.array([6.0, 6.0, 6.0])
QUICK = "classifier: {train_hours: 0.01, fast: true}\npredictor: {train_hours: 0.01, fast: true}\nprocesses: 1\n"
"""Settings to train within seconds; the tests themselves run side by side."""

HUGE = "0.25e3088754526"
"""pandas' own reader of numbers crashes on so many digits in the exponent."""


ROUND = {
    **{"round": 3, "list": "0123456789ab", "classifier": "one", "predictor": "two", "cpu_seconds": 9.5},
    **{"classifier_labels": 40, "predictor_labels": 20, "nebs": 33, "unfinished": 0, "tls": 8, "distinct_tls": 7},
    **{"double_wells": 20, "tls_per_neb": 0.24, "chance_95_found": 0.2, "next_nebs": 30, "next_tls": 2.1},
    **{"tls_expected": 7.1, "tls_expected_sd": 2.0, "tls_p_value": 0.8, "next_tls_low": 1, "next_tls_high": 4},
    **{"random_double_well_rate": 0.006, "random_pair_rate": 0.0001},
    **{"remaining_pairs": 1200, "remaining_tls": 5.0, "remaining_low": 3, "remaining_high": 8},
}
"""A row of rounds.csv."""


def some_double_wells():
    """Five double wells of two glasses, three of them TLS in two rearrangements."""
    return pd.DataFrame(
        {
            "conf": [1, 1, 1, 2, 2],
            "quantum_splitting": [1e-4, 2e-4, 1e-3, 0.01, 0.02],
            "barrier": [0.02, 0.03, 0.2, 0.01, np.nan],
            "tunnelling_amplitude": [1e-30, 1e-4, 1e-3, np.nan, np.nan],
            "asymmetry": [1e-3, 1e-4, 1e-2, 0.05, np.nan],
            "rearrangement": [1, 1, 2, 3, 0],
        }
    )


OF_REARRANGEMENTS = {
    **{"rearrangements": 13, "rearrangements_calculated": 11, "rearrangements_tls": 2, "rearrangement_tls_pairs": 36},
    **{"expected_calculated": 0.31, "expected_others": 0.12, "chance_95_distinct": 0.2},
    **{"new_rearrangements": 4, "new_rearrangements_tls": 1},
}
"""Further cells of it, where rearrangements are known."""


def read_minimum(path):
    """The minimum in a file that is named by its energy; raises MinimumError where there is none."""
    (frame,) = read_frames(path)
    return make_minimum(Place(path), energy_in_name(path), **frame()[0])


def text_minimum(diameters, positions, box, order=None, types=None, masses=("1 1",)):
    """LAMMPS ``write_data`` text of one minimum, atoms in the order given; ``masses``: the lines of that section."""
    n = len(diameters)
    types = types or [1] * n
    sides = [f"{-side / 2!r} {side / 2!r} {axis}lo {axis}hi" for side, axis in zip(box.tolist(), "xyz", strict=True)]
    numbers = [" ".join(map(repr, row)) for row in np.column_stack([diameters, positions]).tolist()]
    lines = ["LAMMPS data file via write_data, version 17 Nov 2016, timestep = 0", "", f"{n} atoms"]
    lines += [f"{max(types)} atom types", "", *sides, "", "Masses", "", *masses, "", "Atoms # charge", ""]
    lines += [f"{k + 1} {types[k]} {numbers[k]} 0 0 0" for k in order or range(n)]
    return "\n".join([*lines, "", "Velocities", "", *(f"{k + 1} 0 0 0" for k in range(n)), ""])


def make_workspace(root, glasses=4, n_minima=24, temperature="0.1"):
    """A workspace with minima of a few glasses, each a structure with a few particles displaced, and quick training."""
    for conf in range(1, glasses + 1):
        rng, folder = np.random.default_rng(conf), root / f"Configurations/minima/T{temperature}/Cnf-{conf}"
        folder.mkdir(parents=True)
        base, diameters = rng.random((40, 3)) * BOX, rng.uniform(0.7, 1.6, 40)
        for energy in np.sort(0.2 + rng.random(n_minima) * 2e-3).round(10):
            positions = base + rng.normal(0, 2e-3, base.shape)
            positions[rng.choice(40, 3, replace=False)] += rng.normal(0, 0.25, (3, 3))
            text = text_minimum(diameters, positions % BOX - BOX / 2, BOX)
            (folder / f"{energy:.9E}.conf.txt").write_text(text)
    (root / "config.yaml").write_text(QUICK)
    return root


def left_out(root, temperature="0.1"):
    """Rows of minima.csv of what is no usable minimum."""
    seen = pd.read_csv(root / f"output_ML/T{temperature}/minima.csv")
    return seen[seen["status"] == "left out"].drop(columns=["status", "minimum"]).reset_index(drop=True)


def reasons(fates):
    """Reasons of what was left out of a glass, by the name of the place."""
    return {name: fate.reason for name, fate in fates.items() if fate.status == "left out"}


def rule(pairs):
    """Stand-in for the exact calculation: whether a pair is a double well, and its splitting in ε."""
    is_dw = (pairs["displacement_0"] < 0.65) & (pairs["PR"] < 6)
    splitting = np.hypot(0.2 * pairs["Delta_E"], 0.02 * np.exp(-4 * pairs["total_displacement"]))
    return is_dw, splitting


def read_pairs(root, temperature="0.1"):
    tables = sorted((root / f"Configurations/pairs/T{temperature}").glob("*.feather"))
    return pd.concat([pd.read_feather(path) for path in tables], ignore_index=True)


def read_predicted(root, which="newpairs", temperature="0.1"):
    path = Workspace(root).at(temperature).predicted(which)
    return pd.read_csv(path, float_precision="round_trip")


def put_table(table, path):
    """Write a pair table, and say that step 0 has checked it."""
    table.to_feather(path)
    mark_made([path], made_from([], units=table["units"].iloc[0] if "units" in table else "reduced"))


def with_features(root, listed, temperature="0.1"):
    """Pairs of a list with all features, as in the pair tables."""
    names = ["conf", "i", "j"]
    others = [name for name in listed if name.endswith(("probability", "splitting")) or name in names]
    return listed[others].merge(read_pairs(root, temperature), "left", names)


def write_neb(root, pairs, temperature="0.1", splittings="Qs_calculations.txt"):
    """Append what the rule says of these pairs to the NEB files."""
    folder = root / f"NEB_calculations/T{temperature}"
    folder.mkdir(parents=True, exist_ok=True)
    is_dw, splitting = rule(with_features(root, pairs, temperature))
    names = [
        f"Cnf-{conf:.0f} {i!r}_{j!r}" for conf, i, j in pairs[["conf", "i", "j"]].astype(float).to_numpy().tolist()
    ]
    with (folder / "NON-DW.txt").open("a") as non_dw, (folder / splittings).open("a") as qs:
        for name, well, value in zip(names, is_dw, splitting, strict=True):
            (qs if well else non_dw).write(f"{name} {float(value)!r}\n" if well else f"{name}\n")
