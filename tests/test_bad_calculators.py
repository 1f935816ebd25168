"""Calculators that fail, lie, die or hang: the pair pays, not the run; and one cause of many is named early."""

import numpy as np
import pandas as pd
import pytest
from neb_glass import SETTINGS, T, minima, results
from steps import done, refused, run_process

from pipeline.formats.lammps import energy_in_name, read_minimum
from pipeline.formats.results import read_neb_results, read_unfinished
from pipeline.workspace import Workspace

pytestmark = pytest.mark.slow

BAD = """
import os, signal, time
from pathlib import Path

import numpy as np
from glass.soft_spheres import SoftSpheres

here = Path(__file__).parent
what = (here / "what.txt").read_text().strip()
marked = np.load(here / "marked.npy")


class Bad(SoftSpheres):
    def calculate(self, atoms, properties, changes):
        super().calculate(atoms, properties, changes)
        step = atoms.positions - marked
        step -= np.diag(atoms.cell.array) * np.rint(step / np.diag(atoms.cell.array))
        if np.abs(step).max() > 1e-3:
            return
        if what == "raise":
            raise RuntimeError("SCF did not\\nconverge")
        if what == "nan":
            self.results["forces"] = self.results["forces"] * np.nan
        if what == "shape":
            self.results["forces"] = self.results["forces"][:-1]
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "hang":
            time.sleep(3600)


def calculator(atoms):
    return Bad()
"""


def spoil(root, calculated, what, extra=""):
    """A calculator that does so at one of the minima; pairs with it, and double wells, whose paths pass by it."""
    pairs = read_neb_results(Workspace(calculated).at(T))
    name = pairs["i"].mode()[0]
    path = next(path for path in minima(root) if energy_in_name(path) == name)
    np.save(root / "marked.npy", read_minimum(path).positions)
    (root / "bad.py").write_text(BAD)
    (root / "what.txt").write_text(what)
    (root / "config.yaml").write_text(SETTINGS.replace("neb: {", f"neb: {{calculator: 'bad:calculator', {extra}"))
    with_it = (pairs["i"] == name) | (pairs["j"] == name)
    some = pd.concat([pairs[~with_it & (pairs["is_dw"] == 1)].head(2), pairs[with_it].head(2)])
    some[["conf", "i", "j"]].to_csv(root / "some.csv", index=False)
    return some[2:]


@pytest.mark.parametrize(
    ("what", "extra", "reason"),
    [
        ("raise", "", "the calculator failed: RuntimeError: SCF did not converge"),
        ("nan", "", "not finite"),
        ("shape", "", "forces of shape (79, 3)"),
        ("die", "", "3 worker processes died of it: SIGKILL"),
        ("hang", "time_limit: 15, ", "it took longer than 15 s"),
    ],
)
def test_the_pair_is_unfinished_with_its_reason_and_the_others_are_calculated(glass, calculated, what, extra, reason):
    bad = spoil(glass, calculated, what, extra)
    done("run_neb", glass, "--pairs", glass / "some.csv", run=run_process)
    unfinished = read_unfinished(Workspace(glass).at(T))
    assert sorted(unfinished["j"]) == sorted(bad["j"])
    assert unfinished["reason"].str.contains(reason, regex=False).all()
    assert len(read_neb_results(Workspace(glass).at(T))) == 2
    assert "no new pairs" in done("run_neb", glass, "--pairs", glass / "some.csv", run=run_process)


def test_unfinished_pairs_are_taken_up_again_when_asked(glass, calculated):
    bad = spoil(glass, calculated, "raise")
    done("run_neb", glass, "--pairs", glass / "some.csv", run=run_process)
    assert len(read_unfinished(Workspace(glass).at(T))) == len(bad)
    said = done("run_neb", glass, "--retry", run=run_process)
    assert f"{len(bad)} pairs to calculate" in said
    assert len(read_unfinished(Workspace(glass).at(T))) == len(bad)  # nothing was mended
    (glass / "what.txt").write_text("nothing")
    assert f"{len(bad)} pairs to calculate" in done("run_neb", glass, "--retry", run=run_process)
    assert read_unfinished(Workspace(glass).at(T)).empty
    alike = {line for lines in results(calculated).values() for line in lines}
    assert {line for name, lines in results(glass).items() if name.endswith("txt") for line in lines} < alike
    assert len(read_neb_results(Workspace(glass).at(T))) == 2 + len(bad)
    assert "no new pairs" in done("run_neb", glass, "--retry", run=run_process)


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
    said = refused("run_neb", glass, "--pairs", glass / "pairs.csv", run=run_process)
    assert says in said
    assert "neb.calculator = scaled:calculator" in said
    assert said.count("\n") == 1
    assert not results(glass)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise OSError('no licence')", "the calculator failed: OSError: no licence"),
        ("raise ValueError", "the calculator failed: ValueError in line 2 of {file}"),
        ("return None", "the calculator failed: TypeError: never:calculator returned no ASE calculator but None"),
    ],
)
def test_a_calculator_that_never_works_ends_the_run_with_one_diagnosis(glass, body, says):
    (glass / "never.py").write_text(f"def calculator(atoms):\n    {body}\n")
    (glass / "config.yaml").write_text(SETTINGS.replace("neb: {", "neb: {calculator: 'never:calculator', "))
    said = refused("run_neb", glass, "--pairs", glass / "pairs.csv", run=run_process)
    assert f"it failed at all 8 minima tried: {says.format(file=glass / 'never.py')}; mend it" in said
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
    loads = {}
    for shared in ("true", "false"):
        (glass / "config.yaml").write_text(
            SETTINGS.replace("neb: {", f"neb: {{calculator: 'counted:calculator', shared: {shared}, ")
        )
        done("run_neb", glass, "--pairs", glass / "some.csv", run=run_process)
        loads[shared] = len((glass / "loads.txt").read_text().splitlines())
        found = read_neb_results(Workspace(glass).at(T)).set_index(["conf", "i", "j"])
        expected = read_neb_results(Workspace(calculated).at(T)).set_index(["conf", "i", "j"]).loc[found.index]
        assert (found["is_dw"] == expected["is_dw"]).all()
        wells = found["is_dw"] == 1
        ratio = found["quantum_splitting"][wells] / expected["quantum_splitting"][wells]
        assert ratio.to_numpy() == pytest.approx(1.0, abs=1e-6)
        for path in (glass / f"NEB_calculations/T{T}").iterdir():
            path.unlink()
        (glass / "loads.txt").unlink()
    assert loads["true"] == 2  # workers
    assert loads["false"] > 6  # pairs, each with calculators of its own
