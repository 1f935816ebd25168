"""Two minima of a small metal, the texts in which people keep them, and what step 0 must make of these."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from steps import done, run
from synthetic import left_out

N, CELL = 24, np.diag([9.0, 8.0, 7.0])
KINDS = 1 + np.arange(N) % 3 // 2
MASSES, NAMES = {1: 63.5, 2: 91.2}, {1: "Cu", 2: "Zr"}
GRID = np.array([[i, j, k] for i in range(3) for j in range(4) for k in range(2)]) / [3, 4, 2] + 0.07
LOW = GRID @ CELL + np.random.default_rng(5).normal(0, 0.1, (N, 3))
HIGH = LOW.copy()
HIGH[4] += [0.2, 0.4, 0.1]
HIGH[9] -= [0.2, 0.4, 0.1]
E_LOW, E_HIGH = -72.0, -71.976
"""In eV; two atoms change places by √0.21 each, the others stay: d = √0.42, PR = 2."""

MINIMA = (LOW, E_LOW), (HIGH, E_HIGH)
TABLE = "Configurations/pairs/T0.1/Cnf-1.feather"


def of(work, **minima_settings):
    """The folder of the only glass of a workspace in metal units."""
    folder = work / "Configurations/minima/T0.1/Cnf-1"
    folder.mkdir(parents=True, exist_ok=True)
    settings = ", ".join(f"{key}: {value}" for key, value in minima_settings.items())
    (work / "config.yaml").write_text(f"units: metal\npairs: {{max_delta_E: 1.0}}\nminima: {{{settings}}}\n")
    return folder


def is_right(work, **more):
    """Whether step 0 makes the one pair as it is."""
    said = done("step0_collect", work)
    table = pd.read_feather(work / TABLE)
    assert len(table) == 1, said + left_out(work).to_string()
    row = table.iloc[0]
    np.testing.assert_allclose(row["total_displacement"], 0.42**0.5, rtol=1e-6)
    np.testing.assert_allclose(row[["displacement_0", "PR"]].to_numpy(float), [0.21**0.5, 2.0], rtol=1e-6)
    assert row["Delta_E"] == pytest.approx(0.024, abs=1e-8)
    assert {name: row[name] for name in more} == more
    return said


def is_refused(work, *words):
    """Whether step 0 leaves a minimum out, or all, for a reason with these words."""
    ended = run("step0_collect", work)
    assert ended.returncode in (0, 2), ended.stderr
    assert not (work / TABLE).exists() or pd.read_feather(work / TABLE).empty
    reasons = " | ".join(left_out(work)["reason"])
    assert all(word in reasons for word in words), reasons
    for word in ("KeyError", "IndexError", "conversion error", "Error"):
        assert word not in reasons


def both(folder, text, name):
    """Write each minimum to a file of its own, named by its energy; or what is no function to one file."""
    for places, energy in MINIMA:
        content = text(places) if callable(text) else text
        write = Path.write_text if isinstance(content, str) else Path.write_bytes
        write(folder / name.format(f"{energy / N:.10f}"), content)


def numbers(values):
    return " ".join(map(repr, np.asarray(values).tolist()))


def data(places, style, named=True, row=None, head="", sections=(), ids=None, flags=""):
    """Text of a LAMMPS data file; ``row(k)`` gives what stands between the id and the place of an atom."""
    ids, row = 1 + np.arange(N) if ids is None else ids, row or ROWS[style]
    atoms = [f"{ids[k]} {row(k)} {numbers(places[k])}{flags}" for k in range(N)]
    box = "\n".join(f"0 {CELL[k, k]} {axis}lo {axis}hi" for k, axis in enumerate("xyz"))
    masses = ["Masses", "", *(f"{kind} {mass}  # {NAMES[kind]}" for kind, mass in MASSES.items()), ""]
    lines = ["made up", "", f"{N} atoms", "2 atom types", "", box, head, "", *sections, *masses]
    return "\n".join([*lines, f"Atoms # {style}" if named else "Atoms", "", *atoms, ""])


ROWS = {
    "atomic": lambda k: f"{KINDS[k]}",
    "charge": lambda k: f"{KINDS[k]} {1.5 if KINDS[k] == 1 else -3.0}",
    "bond": lambda k: f"{1 + k // 2} {KINDS[k]}",
    "angle": lambda k: f"7 {KINDS[k]}",
    "molecular": lambda k: f"0 {KINDS[k]}",
    "full": lambda k: f"1 {KINDS[k]} {0.5 - k % 2}",
    "sphere": lambda k: f"{KINDS[k]} 1.25 2.0",
}


def dump(places, columns="id type x y z", row=None, flags=" pp pp pp", before="", bounds=None, order=range(N)):
    row = row or (lambda k: f"{k + 1} {KINDS[k]} " + numbers(places[k]))
    bounds = bounds or "\n".join(f"0 {side}" for side in np.diag(CELL))
    head = f"{before}ITEM: TIMESTEP\n7\nITEM: NUMBER OF ATOMS\n{N}\nITEM: BOX BOUNDS{flags}\n{bounds}\n"
    return head + f"ITEM: ATOMS {columns}\n" + "".join(row(k) + "\n" for k in order)


def line(k, values):
    return f"{k + 1} {KINDS[k]} " + numbers(values)


SIDES = np.diag(CELL)


def xyz(places, energy, comment=None, row=None, order=range(N), columns="species:S:1:pos:R:3", pbc="T T T", cell=CELL):
    lattice = numbers(np.ravel(cell))
    comment = comment or f'Lattice="{lattice}" Properties={columns} energy={energy} pbc="{pbc}"'
    row = row or (lambda k: f"{NAMES[KINDS[k]]} " + numbers(places[k]))
    return "\n".join([str(len(order)), comment, *(row(k) for k in order)]) + "\n"


def frames(make):
    return make(LOW, E_LOW) + make(HIGH, E_HIGH)
