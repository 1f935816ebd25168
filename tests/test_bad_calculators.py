"""Calculators that fail, lie, die or hang: the pair pays, not the run; and one cause of many is named early."""

import json
import os
import re

import numpy as np
import pandas as pd
import pytest
from neb_glass import SETTINGS, T, minima, results
from steps import done, refused, run, run_process, run_workers
from synthetic import read_minimum

from glass.soft_spheres import SoftSpheres
from pipeline.formats.configurations import Place
from pipeline.formats.lammps import energy_in_name
from pipeline.formats.results import read_neb_results, read_unfinished
from pipeline.settings import Settings
from pipeline.workspace import Workspace
from search.calculator import noise_in_words

pytestmark = pytest.mark.slow


def prepared(glass, module, more="", pairs=6):
    """A glass with a calculator of this module, and the first of its pairs; the arguments that name these."""
    (glass / "foreign.py").write_text(module)
    own = f"neb: {{calculator: 'foreign:calculator', {more}"
    (glass / "config.yaml").write_text(SETTINGS.replace("neb: {", own))
    pd.read_csv(glass / "pairs.csv", dtype=str).head(pairs).to_csv(glass / "some.csv", index=False)
    return "--pairs", glass / "some.csv"


BAD = """
import json, os, signal, time
from pathlib import Path

import numpy as np
from glass.soft_spheres import SoftSpheres

here = Path(__file__).parent
faults = json.loads((here / "faults.json").read_text())
marked = np.load(here / "marked.npy")


class Bad(SoftSpheres):
    def calculate(self, atoms, properties, changes):
        super().calculate(atoms, properties, changes)
        steps = atoms.positions - marked
        steps -= np.diag(atoms.cell.array) * np.rint(steps / np.diag(atoms.cell.array))
        for fault, step in zip(faults, steps):
            if np.abs(step).max() > 1e-3:
                continue
            if fault == "raise":
                raise RuntimeError("SCF did not\\nconverge")
            if fault == "nan":
                self.results["forces"] = self.results["forces"] * np.nan
            if fault == "shape":
                self.results["forces"] = self.results["forces"][:-1]
            if fault == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == "hang":
                time.sleep(3600)


def many(atoms, images):
    found = [Bad() for _ in images]
    for one, positions in zip(found, images):
        at = atoms.copy()
        at.positions = positions
        one.calculate(at, ["energy", "forces"], ["all"])
    return np.array([one.results["energy"] for one in found]), np.array([one.results["forces"] for one in found])


def calculator(atoms):
    return many if "batched" in (here / "config.yaml").read_text() else Bad()
"""

REASONS = {
    "raise": "the calculator failed: RuntimeError: SCF did not converge",
    "nan": "not finite",
    "shape": "forces of shape (79, 3)",
    "die": "3 worker processes died of it: SIGKILL",
    "hang": "it took longer than 5 s",
}


@pytest.mark.parametrize(
    ("more", "kinds", "run"),
    [("", ["raise", "nan", "shape"], run), ("", ["hang"], run_workers), ("batched: true, ", ["die"], run_workers)],
    ids=["answers", "hangs", "dies in a batch"],
)
def test_a_pair_at_which_it_fails_is_unfinished_with_its_reason_the_others_are_calculated_and_it_is_tried_again(
    glass, calculated, more, kinds, run
):
    at, known = Workspace(glass).at(T), read_neb_results(Workspace(calculated).at(T))
    used, faulty, marked = set(), {}, []
    places = {energy_in_name(path): read_minimum(path).positions for path in minima(glass)}
    for pair in known.itertuples():  # pairs without a minimum in common, one for each fault
        if not {pair.i, pair.j} & used and len(faulty) < len(kinds):
            faulty[pair.Index] = kinds[len(faulty)]
            marked.append(places[pair.i])
            used |= {pair.i, pair.j}
    assert len(faulty) == len(kinds)
    wells = known[~known["i"].isin(used) & ~known["j"].isin(used)].head(2)
    prepared(glass, BAD, f"{more}time_limit: 5, ")
    asked = pd.concat([wells[:1], known.loc[[*faulty]], wells[1:]])[["conf", "i", "j"]]  # a batch: half of them
    asked.to_csv(glass / "some.csv", index=False)
    np.save(glass / "marked.npy", marked)
    (glass / "faults.json").write_text(json.dumps(kinds))
    done("run_neb", glass, "--pairs", glass / "some.csv", run=run)
    reasons = read_unfinished(at)["reason"]
    assert dict.fromkeys(faulty, True) == {index: REASONS[faulty[index]] in reason for index, reason in reasons.items()}
    assert set(read_neb_results(at).index) == set(wells.index)
    assert "no new pairs" in done("run_neb", glass, "--pairs", glass / "some.csv")
    (glass / "faults.json").write_text(json.dumps(kinds[:-1]))  # the last is mended
    count = len(kinds)
    assert f"{count} pair{'s' * (count > 1)} to calculate" in done("run_neb", glass, "--retry")
    assert len(read_unfinished(at)) == count - 1
    found = read_neb_results(at)
    assert set(found.index) == {*wells.index, [*faulty][-1]}
    if not more:
        expected = known.loc[found.index, ["is_dw", "quantum_splitting"]]
        pd.testing.assert_frame_equal(found[[*expected]], expected, check_exact=True)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ValueError", "ValueError in line 2 of "),
        ("return None", "TypeError: foreign:calculator returned no ASE calculator but None; mend it"),
    ],
)
def test_a_calculator_that_never_works_ends_the_run_with_one_diagnosis_and_writes_nothing(glass, body, says):
    said = refused("run_neb", glass, *prepared(glass, f"def calculator(atoms):\n    {body}\n", pairs=12))
    assert "neb.calculator = foreign:calculator: it failed at all 7 minima tried: " in said
    assert f"the calculator failed: {says}" in said
    assert not results(glass)


IN_ITS_FOLDER = """
import os
from pathlib import Path
from glass.soft_spheres import SoftSpheres

here = Path(__file__).parent
print("loaded")

def note(name):
    with (here / name).open("a") as file:
        file.write(os.getcwd() + "\\n")

class InItsFolder(SoftSpheres):
    def calculate(self, *given):
        super().calculate(*given)
        note("folders")

def calculator(atoms):
    note("made")
    return InItsFolder()

note("imports")
"""


def test_workers_load_a_shared_one_once_and_each_has_a_folder_of_its_own_that_is_gone_in_the_end(glass):
    ended = run_process("run_neb", glass, *prepared(glass, IN_ITS_FOLDER, "shared: true, ", pairs=3))
    assert ended.returncode == 0, ended.stderr
    assert set(ended.stderr.splitlines()) == {"loaded"}
    assert "loaded" not in ended.stdout
    imports, made, folders = ((glass / name).read_text().splitlines() for name in ("imports", "made", "folders"))
    assert len(imports) == len(made) == len({*folders}) == 2  # workers
    assert not any(map(os.path.exists, folders))
    assert len(read_neb_results(Workspace(glass).at(T))) == 3


RNG = np.random.default_rng(0)


class Single(SoftSpheres):
    """In single precision, with noise of this size on the forces."""

    def __init__(self, noise):
        super().__init__()
        self.noise = noise

    def calculate(self, atoms, properties, changes):
        super().calculate(atoms, properties, changes)
        self.results["energy"] = np.float32(self.results["energy"] - 3000) + 3000
        self.results["forces"] = self.results["forces"] + self.noise * RNG.normal(size=(80, 3))


@pytest.mark.parametrize(("noise", "says"), [(0.0, "single precision?"), (1e-3, "two calls at one place differ")])
def test_noise_is_told_before_anything_is_calculated_and_small_noise_is_not(glass, noise, says):
    path = minima(glass)[0]
    minimum, settings = Place(path), Settings(tls_threshold=1e-3)
    *of_forces, of_energies = noise_in_words(minimum, settings, lambda _: Single(noise))
    assert says in of_energies
    step = float(re.search(r"its energies come in steps of (\S+) ε", of_energies)[1])
    assert step == pytest.approx(2**-12, rel=0.6)  # of single precision at -3000 + 20
    assert len(of_forces) == (noise > 0)
    for sentence in of_forces:
        assert says in sentence
        assert float(re.search(r"its forces scatter by (\S+) ε/σ", sentence)[1]) == pytest.approx(3 * noise, rel=0.5)
    coarse = Settings(tls_threshold=1.0, neb={"force_tolerance": 0.1})
    assert noise_in_words(minimum, coarse, lambda _: Single(noise)) == []
