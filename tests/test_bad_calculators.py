"""Calculators that fail, lie, die or hang: the pair pays, not the run; and one cause of many is named early."""

import json

import numpy as np
import pandas as pd
import pytest
from neb_glass import SETTINGS, T, minima, results
from steps import done, refused, run_process

from pipeline.formats.configurations import Place
from pipeline.formats.lammps import energy_in_name, read_minimum
from pipeline.formats.results import read_neb_results, read_unfinished
from pipeline.settings import Settings
from pipeline.workspace import Workspace
from search.calculator import KnownMinimum
from search.trust import measure_noise, noise_in_words

pytestmark = pytest.mark.slow

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
    "hang": "it took longer than 15 s",
}


@pytest.mark.parametrize(
    ("more", "kinds"), [("", [*REASONS]), ("batched: true, ", ["nan", "die"])], ids=["one", "batched"]
)
def test_a_pair_at_which_it_fails_is_unfinished_with_its_reason_the_others_are_calculated_and_it_is_tried_again(
    glass, calculated, more, kinds
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
    pd.concat([wells, known.loc[[*faulty]]])[["conf", "i", "j"]].to_csv(glass / "some.csv", index=False)
    np.save(glass / "marked.npy", marked)
    (glass / "bad.py").write_text(BAD)
    (glass / "faults.json").write_text(json.dumps(kinds))
    (glass / "config.yaml").write_text(
        SETTINGS.replace("neb: {", f"neb: {{{more}calculator: 'bad:calculator', time_limit: 15, ")
    )
    done("run_neb", glass, "--pairs", glass / "some.csv", run=run_process)
    reasons = read_unfinished(at)["reason"]
    assert dict.fromkeys(faulty, True) == {index: REASONS[faulty[index]] in reason for index, reason in reasons.items()}
    assert set(read_neb_results(at).index) == set(wells.index)
    assert "no new pairs" in done("run_neb", glass, "--pairs", glass / "some.csv")

    if more:
        return
    (glass / "faults.json").write_text(json.dumps(kinds[:1]))  # the others are mended
    assert f"{len(kinds)} pairs to calculate" in done("run_neb", glass, "--retry", run=run_process)
    assert len(read_unfinished(at)) == 1
    (glass / "faults.json").write_text("[]")
    assert "1 pair to calculate" in done("run_neb", glass, "--retry")
    assert read_unfinished(at).empty
    found = read_neb_results(at)
    assert len(found) == len(wells) + len(faulty)
    expected = known.loc[found.index, ["is_dw", "quantum_splitting"]]
    pd.testing.assert_frame_equal(found[[*expected]], expected, check_exact=True)
    assert "no new pairs" in done("run_neb", glass, "--retry")


UNITS = """
from glass.soft_spheres import SoftSpheres


class Scaled(SoftSpheres):
    def calculate(self, atoms, properties, changes):
        super().calculate(atoms, properties, changes)
        for name in ("energy", "forces"):
            self.results[name] = {factor} * self.results[name]


def calculator(atoms):
    return Scaled()
"""


@pytest.mark.parametrize(
    ("factor", "tolerance", "says"),
    [
        (1 / 27.211386, 1e-3, "energies are 0.036749 times those of the minima (hartree for eV?)"),
        (1.0, 1e-9, "the energies are right, so run relax_minima.py"),
    ],
)
def test_a_unit_that_is_off_ends_the_run_with_one_diagnosis_and_writes_nothing(glass, factor, tolerance, says):
    (glass / "scaled.py").write_text(UNITS.format(factor=factor))
    settings = SETTINGS.replace("neb: {", "neb: {calculator: 'scaled:calculator', ").replace(
        "1.0e-3", f"{tolerance:.1e}"
    )
    (glass / "config.yaml").write_text(settings)
    said = refused("run_neb", glass, "--pairs", glass / "pairs.csv")
    assert says in said
    assert "neb.calculator = scaled:calculator" in said
    assert said.count("\n") == 1
    assert not results(glass)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ValueError", "the calculator failed: ValueError in line 2 of {file}"),
        ("return None", "the calculator failed: TypeError: never:calculator returned no ASE calculator but None"),
    ],
)
def test_a_calculator_that_never_works_ends_the_run_with_one_diagnosis(glass, body, says):
    (glass / "never.py").write_text(f"def calculator(atoms):\n    {body}\n")
    (glass / "config.yaml").write_text(SETTINGS.replace("neb: {", "neb: {calculator: 'never:calculator', "))
    said = refused("run_neb", glass, "--pairs", glass / "pairs.csv", run=run_process)
    assert f"it failed at all 7 minima tried: {says.format(file=glass / 'never.py')}; mend it" in said
    assert not results(glass)


SHARED = """
from pathlib import Path
from glass.soft_spheres import SoftSpheres


def calculator(atoms):
    with (Path(__file__).parent / "loads.txt").open("a") as file:
        file.write("loaded\\n")
    return SoftSpheres()
"""


def test_a_shared_calculator_is_loaded_once_a_worker_and_gives_the_same_results(glass, calculated):
    pd.read_csv(glass / "pairs.csv", dtype=str).head(6).to_csv(glass / "some.csv", index=False)
    (glass / "counted.py").write_text(SHARED)
    own = "neb: {calculator: 'counted:calculator', shared: true, "
    (glass / "config.yaml").write_text(SETTINGS.replace("neb: {", own))
    done("run_neb", glass, "--pairs", glass / "some.csv", run=run_process)
    assert len((glass / "loads.txt").read_text().splitlines()) == 2  # workers; else each pair has its own
    found, expected = (
        read_neb_results(Workspace(root).at(T)).set_index(["conf", "i", "j"]) for root in (glass, calculated)
    )
    expected = expected.loc[found.index]
    assert (found["is_dw"] == expected["is_dw"]).all()
    wells = found["is_dw"] == 1
    ratio = found["quantum_splitting"][wells] / expected["quantum_splitting"][wells]
    assert ratio.to_numpy() == pytest.approx(1.0, abs=1e-6)


BY_FILES = """
import os, sys, time
from pathlib import Path

import numpy as np
from glass.soft_spheres import SoftSpheres

print("loaded")
with (Path(__file__).parent / "imports.txt").open("a") as file:
    file.write(f"{os.getpid()} {os.path.basename(sys.argv[0])} {'multiprocess' in sys.modules}\\n")


class ByFiles(SoftSpheres):
    def calculate(self, atoms, properties, changes):
        np.save("positions.npy", atoms.positions)
        time.sleep(0.001)
        atoms = atoms.copy()
        atoms.positions = np.load("positions.npy")
        super().calculate(atoms, properties, changes)
        with (Path(__file__).parent / "folders.txt").open("a") as file:
            file.write(f"{os.getcwd()}\\n")


def calculator(atoms):
    return ByFiles()
"""


def prepared(glass, module="", tolerance="1.0e-3", more="", pairs=4):
    """A calculator by a module, and few pairs."""
    (glass / "foreign.py").write_text(module)
    name = "calculator: 'foreign:calculator', " if module else ""
    (glass / "config.yaml").write_text(SETTINGS.replace("neb: {", f"neb: {{{name}{more}").replace("1.0e-3", tolerance))
    pd.read_csv(glass / "pairs.csv", dtype=str).head(pairs).to_csv(glass / "some.csv", index=False)
    return Workspace(glass).at(T), ["--pairs", glass / "some.csv"]


def test_workers_import_it_and_each_has_a_folder_of_its_own_that_is_gone_in_the_end(glass, calculated):
    _, pairs = prepared(glass, BY_FILES)
    ended = run_process("run_neb", glass, *pairs)
    assert ended.returncode == 0
    assert set(ended.stderr.splitlines()) == {"loaded"}
    assert "loaded" not in ended.stdout
    processes = (glass / "imports.txt").read_text().splitlines()
    folders = {*(glass / "folders.txt").read_text().splitlines()}
    assert len(processes) == len(folders) == 2
    assert not any(map(pd.io.common.file_exists, folders))
    known = {line for lines in results(calculated).values() for line in lines}
    mine = {line for name, lines in results(glass).items() if name.endswith("txt") for line in lines}
    assert len(mine) == 4
    assert mine < known


SINGLE = """
import numpy as np
from glass.soft_spheres import SoftSpheres


class Single(SoftSpheres):
    def calculate(self, atoms, properties, changes):
        super().calculate(atoms, properties, changes)
        energy = np.float32(self.results["energy"] - 3000) + 3000
        self.results |= {"energy": energy, "forces": self.results["forces"] + noise * np.random.normal(size=(80, 3))}


noise = 0.0


def calculator(atoms):
    return Single()
"""


@pytest.mark.parametrize(("noise", "says"), [(0.0, "single precision?"), (1e-3, "two calls at one place differ")])
def test_noise_is_told_before_anything_is_calculated_and_small_noise_is_not(glass, noise, says):
    space = {}
    exec(SINGLE, space)
    space["noise"] = noise
    path = minima(glass)[0]
    minimum, settings = KnownMinimum(1, Place(path), energy_in_name(path)), Settings(tls_threshold=1e-3)
    found = measure_noise(minimum, settings.neb, space["calculator"], 1.0)
    assert found.energy == pytest.approx(2**-12, rel=0.6)  # the step of single precision at -3000 + 20
    sentences = noise_in_words(found, settings)
    assert all(says in one for one in sentences)
    assert ["its energies come in steps" in one for one in sentences] == [False, True][-len(sentences) :]
    assert len(sentences) == (1 if noise == 0 else 2)
    if noise:
        assert found.force == pytest.approx(3 * noise, rel=0.5)
    assert noise_in_words(found, Settings(tls_threshold=1.0, neb={"force_tolerance": 0.1})) == []
