"""Calculators that are not ours: where they are imported and work, their noise, and what a verdict on them takes."""

import pandas as pd
import pytest
from neb_glass import SETTINGS, T, minima, results
from steps import done, run, run_process

from pipeline.formats.configurations import Place
from pipeline.formats.lammps import energy_in_name
from pipeline.formats.results import read_neb_results, read_unfinished
from pipeline.settings import Settings
from pipeline.workspace import Workspace
from search.calculator import KnownMinimum
from search.trust import measure_noise, noise_in_words

pytestmark = pytest.mark.slow

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


def test_a_path_that_goes_down_goes_on_after_max_steps(glass, calculated):
    _, pairs = prepared(glass, more="max_steps: 50, ", pairs=24)
    done("run_neb", glass, *pairs)
    few, many = (read_neb_results(Workspace(one).at(T)) for one in (glass, calculated))
    both = few.merge(many, on=["conf", "i", "j"])
    assert len(both) == len(many)
    assert (both["is_dw_x"] == both["is_dw_y"]).sum() >= len(many) - 1  # restarted, one path takes another way
    assert pd.read_csv(next(glass.glob("NEB_calculations/*/calculations.csv")))["steps"].max() > 50


def test_a_tolerance_above_the_forces_of_the_barrier_gives_no_double_well(glass):
    at, pairs = prepared(glass, tolerance="5.0", pairs=24)
    done("run_neb", glass, *pairs)
    assert (read_neb_results(at)["is_dw"] == 0).all()
    reasons = read_unfinished(at)["reason"]
    assert reasons.str.contains("the forces of its barrier are below 5 ε/σ themselves; lower neb.force_tolerance").any()


def test_explore_says_why_there_are_few_pairs(glass):
    with (glass / "config.yaml").open("a") as file:
        file.write("classify: {max_delta_E: 1.0, max_distance: 0.3}\n")
    ended = run("run_neb", glass, "--explore", 10000)
    assert "pairs are stored" in ended.stdout
    assert "under classify.max_distance (0.3): raise classify.max_distance" in ended.stdout
