"""The exact calculation as a script: verdicts, files that survive anything, the user's own calculator."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest
import synthetic
from ase.calculators.lj import LennardJones
from ase.mep import NEB
from ase.optimize import FIRE
from synthetic import done, refused
from test_soft_spheres import make_atoms
from threadpoolctl import threadpool_limits

from glass import path as band
from glass.double_well import examine, potential_of
from glass.minimise import relax
from glass.soft_spheres import calculator
from glass.tunnelling import reduced_hbar
from pipeline.exact import Job, calculate
from pipeline.files import append_line
from pipeline.keys import Pair
from pipeline.locks import only_writer
from pipeline.minimum_files import Minimum, energy_in_name, read_minimum, write_minimum
from pipeline.neb_files import read_neb_results
from pipeline.settings import NebSettings
from pipeline.workspace import Workspace

T = "0.15"


@pytest.fixture(autouse=True)
def one_thread():
    """As in the workers: threads of small matrix products only get in each other's way."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def glass(tmp_path_factory):
    """Seventeen minima of 80 soft spheres, and a CSV of the pairs that are near each other."""
    root = tmp_path_factory.mktemp("neb")
    options = "--glasses 1 --particles 80 --sweeps 500 --quenches 150 --interval 200 --sampling-temperature 0.1"
    done("simulate_glass", root, "-T", T, *options.split())
    done("step0_collect", root)
    pairs = synthetic.read_pairs(root, T)
    pairs = pairs[(pairs["Delta_E"] < 0.15) & (pairs["total_displacement"] < 2)]
    pairs[["conf", "i", "j"]].to_csv(root / "pairs.csv", index=False)
    return root


@pytest.fixture(scope="session")
def calculated(glass, tmp_path_factory):
    """The same after one uninterrupted run."""
    root = copy(glass, tmp_path_factory.mktemp("calculated"))
    said = done("run_neb", root, "--pairs", root / "pairs.csv")
    return root, said


def copy(root, target):
    return shutil.copytree(root, target / "workspace")


def results(root):
    """All lines of the result files, sorted."""
    folder = root / f"NEB_calculations/T{T}"
    return {path.name: sorted(path.read_text().splitlines()) for path in folder.iterdir() if path.name[0] != "."}


def minima(root):
    return sorted((root / f"Configurations/minima/T{T}/Cnf-1").glob("*.conf"))


def atoms_of(path):
    minimum = read_minimum(path)
    return make_atoms(minimum.positions, minimum.diameters, minimum.box)


def start(root):
    command = [sys.executable, str(synthetic.ROOT / "run_neb.py"), "--workspace", str(root)]
    process = subprocess.Popen(
        [*command, "--pairs", str(root / "pairs.csv")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    process.stdout.readline()  # it has begun
    return process


def test_every_pair_gets_one_verdict(calculated):
    root, said = calculated
    asked = {(row.i, row.j) for row in pd.read_csv(root / "pairs.csv", float_precision="round_trip").itertuples()}
    neb = read_neb_results(Workspace(root), T)
    unfinished = root / f"NEB_calculations/T{T}/unfinished.csv"
    rest = pd.read_csv(unfinished, float_precision="round_trip") if unfinished.exists() else neb.iloc[:0]
    told = [*neb[["i", "j"]].itertuples(index=False), *rest[["i", "j"]].itertuples(index=False)]
    assert len(told) == len(asked)
    assert set(map(tuple, told)) == asked
    assert (neb["is_dw"] == 1).sum() >= 5
    assert (neb["is_dw"] == 0).sum() >= 5
    assert f"double well: {(neb['is_dw'] == 1).sum()}" in said
    assert (root / f"output_ML/T{T}/neb_paths.png").stat().st_size > 10_000


def test_the_barrier_and_the_verdict_are_those_of_ases_neb(calculated):
    root, _ = calculated
    neb = read_neb_results(Workspace(root), T).query("is_dw == 1").sort_values("quantum_splitting")
    label = {energy_in_name(path): path for path in minima(root)}
    start, end = (atoms_of(label[neb.iloc[0][name]]) for name in ("i", "j"))
    settings = NebSettings()
    ours = examine(start, end, calculator, images=21, tolerance=2e-4, max_steps=500, hbar=0.01563)
    images = []
    for positions in band.straight_line(start.positions, end.positions, start.cell.lengths(), 9):
        image = start.copy()
        image.positions, image.calc = positions, calculator(image)
        images.append(image)
    assert FIRE(NEB(images, k=10, method="improvedtangent"), logfile=None).run(fmax=0.05, steps=2000)
    climbing = NEB(images, k=10, method="improvedtangent", climb=True)
    assert FIRE(climbing, logfile=None).run(fmax=2e-3, steps=3000)
    saddle = max(image.get_potential_energy() for image in images)
    height = saddle - start.get_potential_energy()
    assert ours.band.energies.max() - ours.band.energies[0] == pytest.approx(height, rel=0.03)
    exact = examine(
        start,
        end,
        calculator,
        images=settings.images,
        tolerance=settings.force_tolerance,
        max_steps=settings.max_steps,
        hbar=reduced_hbar(settings.sigma, settings.mass, settings.epsilon),
    )
    assert exact.levels[1] - exact.levels[0] == pytest.approx(neb.iloc[0]["quantum_splitting"], rel=1e-12)


def test_a_second_run_finds_nothing_to_do(calculated, tmp_path):
    root = copy(calculated[0], tmp_path)
    before = results(root)
    assert "no new pairs" in done("run_neb", root, "--pairs", root / "pairs.csv")
    assert results(root) == before


def test_killed_ten_times_it_ends_with_the_same_files(glass, calculated, tmp_path):
    root = copy(glass, tmp_path)
    random.seed(1)
    counts = []
    for _ in range(10):
        process = start(root)
        time.sleep(random.uniform(0.0, 2.5))
        os.kill(process.pid, signal.SIGKILL)  # the workers must find out by themselves
        process.communicate(timeout=60)  # ends when the last worker has
        counts.append(sum(len(lines) for lines in results(root).values()))
    assert len(set(counts)) > 2, "never killed in the middle of the work"
    done("run_neb", root, "--pairs", root / "pairs.csv")
    assert results(root) == results(calculated[0])


def test_an_end_point_that_is_no_minimum_stops_that_pair_only(glass, tmp_path):
    root = copy(glass, tmp_path)
    spoilt = minima(root)[0]
    minimum = read_minimum(spoilt)
    shifted = minimum.positions + np.random.default_rng(0).normal(0, 0.01, minimum.positions.shape)
    write_minimum(spoilt, Minimum(minimum.diameters, shifted, minimum.box))
    pairs = pd.read_csv(root / "pairs.csv", float_precision="round_trip")
    with_it = pairs["i"] == energy_in_name(spoilt)
    assert with_it.any()
    pd.concat([pairs[with_it], pairs[~with_it].head(3)]).to_csv(root / "pairs.csv", index=False)
    said = done("run_neb", root, "--pairs", root / "pairs.csv")
    assert said.count("the first is no minimum") == with_it.sum()
    unfinished = pd.read_csv(root / f"NEB_calculations/T{T}/unfinished.csv", float_precision="round_trip")
    assert set(unfinished["i"]) == {energy_in_name(spoilt)}
    assert len(read_neb_results(Workspace(root), T)) == 3


def test_a_missing_minimum_is_named_and_the_others_are_calculated(glass, tmp_path):
    root = copy(glass, tmp_path)
    pairs = pd.read_csv(root / "pairs.csv", float_precision="round_trip").head(3)
    gone = next(path for path in minima(root) if energy_in_name(path) == pairs["j"][0])
    gone.unlink()
    pairs.to_csv(root / "pairs.csv", index=False)
    said = done("run_neb", root, "--pairs", root / "pairs.csv")
    missing = ((pairs["i"] == float(gone.stem)) | (pairs["j"] == float(gone.stem))).sum()
    assert said.count(f"no minimum {float(gone.stem)!r}") == missing
    assert len(read_neb_results(Workspace(root), T)) == 3 - missing
    pairs.assign(conf=99).to_csv(root / "pairs.csv", index=False)
    assert "Cnf-99" not in refused("run_neb", root, "--pairs", root / "pairs.csv")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("conf,i\n1,0.2\n", "no column j"),
        ("conf,i,j\n1,0.2,x\n", "line 2"),
        ("conf,i,j\n1,0.2,0.3\n1,0.2,0.2\n", "line 3: i and j are the same minimum"),
        ("", "not readable"),
    ],
)
def test_a_broken_list_of_pairs_is_named(glass, tmp_path, content, says):
    (tmp_path / "pairs.csv").write_text(content)
    said = refused("run_neb", glass, "--pairs", tmp_path / "pairs.csv")
    assert says in said
    assert "pairs.csv" in said


def test_without_a_list_it_says_where_one_comes_from(glass):
    assert "step4_predict_qs.py" in refused("run_neb", glass)


@pytest.mark.parametrize("name", ["nowhere:calculator", "math:nothing", "math:pi", "glass.soft_spheres:calculator:x"])
def test_a_calculator_that_is_not_there_is_named(glass, tmp_path, name):
    (tmp_path / "config.yaml").write_text(f"neb: {{calculator: '{name}'}}\n")
    said = refused("run_neb", glass, "--config", tmp_path / "config.yaml", "--pairs", glass / "pairs.csv")
    assert name in said


def test_an_empty_list_and_an_emptied_file_of_unfinished_pairs_are_nothing_to_do(glass, tmp_path):
    root = copy(glass, tmp_path)
    (root / "pairs.csv").write_text("conf,i,j\n")
    (root / f"NEB_calculations/T{T}").mkdir(parents=True, exist_ok=True)
    (root / f"NEB_calculations/T{T}/unfinished.csv").write_text("conf,i,j,reason\n")
    assert "no new pairs" in done("run_neb", root, "--pairs", root / "pairs.csv")


def test_a_file_under_the_name_of_another_minimum_is_unfinished(glass, tmp_path):
    root = copy(glass, tmp_path)
    i, j, other = minima(root)[:3]
    shutil.copy(other, j)
    (root / "pairs.csv").write_text(f"conf,i,j\n1,{i.stem},{j.stem}\n")
    assert "in the files' names" in done("run_neb", root, "--pairs", root / "pairs.csv")


def test_a_truncated_minimum_is_unfinished(glass, tmp_path):
    root = copy(glass, tmp_path)
    i, j = minima(root)[:2]
    j.write_bytes(j.read_bytes()[:-5])
    (root / "pairs.csv").write_text(f"conf,i,j\n1,{i.stem},{j.stem}\n")
    assert f"unfinished: {j.name}: the file ends" in done("run_neb", root, "--pairs", root / "pairs.csv")


def test_a_damaged_file_of_profiles_is_named(calculated, tmp_path):
    root = copy(calculated[0], tmp_path)
    profiles = root / f"output_ML/T{T}/neb_paths.jsonl"
    profiles.write_text(profiles.read_text() + "{}\n")
    assert f"line {len(profiles.read_text().splitlines())}" in refused("run_neb", root, "--pairs", root / "pairs.csv")


def test_two_runs_do_not_write_to_the_same_files(glass, tmp_path):
    root = copy(glass, tmp_path)
    with only_writer(Workspace(root).lock("run_neb", T), "run_neb"):
        assert f"run_neb (process {os.getpid()} on" in refused("run_neb", root, "--pairs", root / "pairs.csv")
    assert not results(root)


def test_a_worker_that_dies_ends_the_run_with_a_word(glass, tmp_path):
    root = copy(glass, tmp_path)
    process = start(root)
    while not any(results(root).values()):
        assert process.poll() is None
    for worker in psutil.Process(process.pid).children():
        worker.kill()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "run again" in said
    done("run_neb", root, "--pairs", root / "pairs.csv")


def test_a_line_is_added_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "results.txt"
    path.write_text("by another program, without an end of line")
    append_line(path, "one\n")
    assert path.read_text() == "by another program, without an end of line\none\n"
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:2]))
    with pytest.raises(OSError, match="No space left"):
        append_line(path, "two\n")
    assert path.read_text().endswith("\none\n")


LENNARD_JONES = """\
from ase.calculators.lj import LennardJones

def calculator(atoms):
    return LennardJones(sigma=1.0, epsilon=1.0, rc=1.9, smooth=True)
"""


def lennard_jones_minima(folder, n=32, wanted=4):
    """Neighbouring minima of a Lennard-Jones glass, by kicks from one to the next."""
    rng = np.random.default_rng(3)
    box = np.full(3, (n / 1.0) ** (1 / 3))
    atoms = make_atoms(rng.random((n, 3)) * box, np.ones(n), box)
    potentials = potential_of(atoms, lambda _: LennardJones(rc=1.9, smooth=True))
    soft = relax(potential_of(atoms, lambda _: LennardJones(sigma=0.6, rc=1.5, smooth=True)), atoms.positions)
    place = relax(potentials, soft.positions, 1e-5).positions
    energies = {}
    while len(energies) < wanted:
        kick = np.zeros((n, 3))
        kick[rng.integers(n, size=3)] = rng.normal(0, 0.35, (3, 3))
        found = relax(potentials, place + kick, 1e-5)
        if found.gradient_norm < 1e-4:
            energies[f"{found.energy / n:.10f}"] = found.positions
            place = found.positions
    for energy, positions in energies.items():
        write_minimum(folder / f"{energy}.conf", Minimum(np.ones(n), np.mod(positions, box), box))
    return sorted(energies, key=float)


def test_a_lennard_jones_glass_from_ase_through_a_calculator_of_ones_own(tmp_path):
    labels = lennard_jones_minima(tmp_path / "Configurations/minima/T0.3/Cnf-7")
    (tmp_path / "lennard_jones.py").write_text(LENNARD_JONES)
    (tmp_path / "config.yaml").write_text(
        "neb: {calculator: 'lennard_jones:calculator', images: 9, force_tolerance: 2.0e-3, max_steps: 300}\n"
    )
    pairs = [(7, labels[k], labels[k + 1]) for k in range(len(labels) - 1)]
    pd.DataFrame(pairs, columns=["conf", "i", "j"]).to_csv(tmp_path / "pairs.csv", index=False)
    said = done("run_neb", tmp_path, "--pairs", tmp_path / "pairs.csv")
    assert "no minimum" not in said  # of Lennard-Jones they are; of soft spheres none is
    neb = read_neb_results(Workspace(tmp_path), "0.3")
    assert len(neb) >= 1


def test_non_dw_pairs_of_the_paper_are_non_dw(data):
    folder = data / "Configurations/minima/T0.062/Cnf-148750000"
    files = {round(energy_in_name(path), 10): path for path in folder.iterdir()}
    lines = (data / "NEB_calculations/T0.062/NON-DW.txt").read_text().splitlines()
    known = [line.split()[1].split("_") for line in lines if line.startswith("Cnf-148750000 ")]
    known = [[round(float(label), 10) for label in pair] for pair in known]
    known = [pair for pair in known if all(label in files for label in pair)]
    assert len(known) == 3  # PHYSICS
    told = {}
    for i, j in known:
        _, verdict = calculate(Job(Pair(148750000, i, j), (files[i], files[j])), NebSettings(), calculator)
        told[i, j] = verdict.kind, verdict.reason[:23]
    assert told == {
        (0.2044810139, 0.2046749726): ("non-DW", "a third minimum on the "),
        (0.2044810139, 0.2046885293): ("non-DW", "a third minimum on the "),
        (0.2044901982, 0.204672686): ("unfinished", "the first is no minimum"),  # gradient norm 1.7 ε/σ
    }


REAL_DOUBLE_WELLS = [(0.2045373614, 0.2045442096), (0.2046289992, 0.2046388182)]


@pytest.mark.parametrize(
    "finer", [{"images": 81}, {"force_tolerance": 5e-5}], ids=["twice the images", "a quarter of the tolerance"]
)
def test_splittings_of_real_double_wells_do_not_depend_on_the_settings(data, finer):
    folder = data / "Configurations/minima/T0.062/Cnf-148750000"
    files = {round(energy_in_name(path), 10): path for path in folder.iterdir()}
    for i, j in REAL_DOUBLE_WELLS:
        job = Job(Pair(148750000, i, j), (files[i], files[j]))
        both = (NebSettings(), NebSettings(**finer))
        one, other = (calculate(job, settings, calculator)[1].levels for settings in both)
        assert other[1] - other[0] == pytest.approx(one[1] - one[0], rel=0.02)
