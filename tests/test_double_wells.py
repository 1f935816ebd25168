"""double_wells.csv: what stands in each row, also of older workspaces and of results of others; files of paths."""

import argparse

import ase.io
import numpy as np
import pytest
from ase import Atoms
from moving_glass import HALF, HOW, LEVELS, PROFILE, SPLITTING

from glass.double_well import Verdict
from glass.path import Band
from glass.two_level import TwoLevel
from pipeline.formats.configurations import Place
from pipeline.formats.keys import Pair
from pipeline.formats.lammps import write_minimum
from pipeline.formats.records import add_record, path_file, read_path, record_of, write_path
from pipeline.formats.results import add_calculation, add_splitting, add_unfinished
from pipeline.settings import Settings
from pipeline.workspace import Workspace
from search.calculated import FROM_PROFILE, count_tls, read_double_wells, update_double_wells
from search.exact import Calculation, PairJob, write_verdict
from search.picks import pairs_to_calculate

T, HEIGHT = "0.1", 0.05
PAIR = Pair(3, 0.1, 0.2)


@pytest.fixture
def work(tmp_path):
    return Workspace(tmp_path)


def calculated(work, pair=PAIR, **more):
    """Files as run_neb.py leaves them for the quartic double well."""
    add_record(work.at(T), pair, LEVELS, PROFILE, {**HOW, **more})
    row = {"verdict": "double well", "quantum_splitting": SPLITTING, "fidelity": "full", "images": 41, "steps": 77}
    add_calculation(work.at(T), pair, row | {"cpu_seconds": 1.0})
    add_splitting(work.at(T), pair, SPLITTING)


def row_of(work, pair=PAIR):
    update_double_wells(work.at(T), Settings())
    table = read_double_wells(work.at(T))
    return table[table["i"] == pair.i].iloc[0]


def test_the_row_of_a_symmetric_quartic_is_that_of_its_formula(work):
    calculated(work, force=1e-4, path_length=0.9)
    row = row_of(work)
    expected = {
        "quantum_splitting": SPLITTING,
        "level_1": row["level_0"] + SPLITTING,
        "barrier": HEIGHT,
        "barrier_back": HEIGHT,
        "tunnelling_amplitude": SPLITTING,
        "path_length": 0.9,
        "mass_weighted_length": 2 * HALF,
        "level_0_in_i": 0.5,
        "level_1_in_i": 0.5,
        "images": 41,
        "steps": 77,
        "force": 1e-4,
    }
    assert row[list(expected)].to_dict() == pytest.approx(expected, rel=0.01)
    assert row[["asymmetry", "level_asymmetry"]].abs().max() < 1e-9
    assert 0 < row["level_0"] < HEIGHT
    assert row["fidelity"] == "full"
    assert row[["PR", "particle_0"]].isna().all()


def test_a_result_without_a_record_of_its_own_keeps_empty_cells(work):
    calculated(work, Pair(3, 0.3, 0.4))
    calculated(work)
    add_splitting(work.at(T), PAIR, 0.0123)  # by another calculation than the recorded one
    add_splitting(work.at(T), Pair(3, 0.5, 0.6), 0.0123)
    for row in (row_of(work), row_of(work, Pair(3, 0.5, 0.6))):
        assert row["quantum_splitting"] == 0.0123
        assert row[FROM_PROFILE].isna().all()
    assert row_of(work, Pair(3, 0.3, 0.4))[FROM_PROFILE[:-1]].notna().all()


@pytest.mark.parametrize("ids", [None, np.arange(20) * 7 + 3], ids=["in the order of the file", "ids with gaps"])
def test_the_particles_that_move_are_those_of_the_minima(work, ids):
    rng = np.random.default_rng(5)
    box = np.array([5.0, 6.0, 7.0])
    start = rng.uniform(0, box, (20, 3))
    step = rng.normal(0, 0.01, (20, 3))
    step[[11, 4, 17]] += [[0.5, 0.1, 0], [0, -0.4, 0], [0.1, 0.1, 0.2]]
    step -= step.mean(0)
    elements = np.where(np.arange(20) < 10, "Ni", "X")
    for name, positions in ((0.1, start), (0.2, np.mod(start + step, box))):
        frame = Atoms(elements, positions, cell=box, pbc=True, info={"energy": 20 * name})
        frame.set_array("types", np.where(elements == "Ni", 1, 2))
        columns = ["symbols", "positions", "types"]
        if ids is not None:
            frame.set_array("id", ids)
            frame, columns = frame[::-1], [*columns, "id"]
        file = work.at(T).glass(3) / f"{name}.extxyz"
        file.parent.mkdir(parents=True, exist_ok=True)
        ase.io.write(file, frame, columns=columns)
    calculated(work)
    row = row_of(work)
    squares = (step**2).sum(axis=1)
    assert row["PR"] == pytest.approx(squares.sum() ** 2 / (squares**2).sum(), rel=1e-5)
    assert row[["particle_0", "particle_1", "particle_2"]].tolist() == ([12, 5, 18] if ids is None else [80, 31, 122])
    assert row[["species_0", "species_1", "species_2"]].tolist() == ["type 2", "Ni", "type 2"]
    assert row["rearrangement"] == 1


def test_the_table_is_for_people_labels_in_full_and_six_digits_of_the_rest(work):
    calculated(work, Pair(3, 0.1, 0.25), **record_of(TwoLevel(0.0, 1 / 3, (5e-15, 1.0))))
    update_double_wells(work.at(T), Settings())
    header, row = work.at(T).double_wells.read_text().splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    assert (cells["conf"], cells["i"], cells["j"]) == ("3", "0.1000000000", "0.2500000000")
    assert cells["quantum_splitting"] == f"{SPLITTING:.6g}"
    assert cells["splitting_K"] == f"{662 * SPLITTING:.6g}"  # config.yaml: epsilon
    assert cells["is_tls"] == str(int(SPLITTING < 0.00151))
    written = [cells[name] for name in ("tunnelling_amplitude", "level_asymmetry", "level_0_in_i")]
    assert written == ["1e-12", "0.333333", "0"]
    assert count_tls(read_double_wells(work.at(T)), 1.0) == "1 TLS (1 without minima)"


def test_the_coupling_to_strain_is_given_in_both_energies_and_averaged_over_directions(work):
    """γ of example's Cnf-17, 0.2589721001 – 0.258975653; γ_l, γ_t and 1 ε = 0.0570467 eV of another program."""
    gamma = {"xx": 2.6085, "yy": 1.0208, "zz": -4.2609, "yz": -2.0381, "xz": 0.8533, "xy": 1.6674}
    calculated(work, properties={f"gamma_{name}": value for name, value in gamma.items()})
    row = row_of(work)
    assert row["gamma_yz"] == -2.0381
    assert (row["gamma_l"], row["gamma_t"]) == pytest.approx((2.353, 2.030), abs=1e-3)
    assert row["gamma_t_eV"] == pytest.approx(2.030 * 0.0570467, rel=1e-3)
    assert row["dE_dlnV"] == pytest.approx(0, abs=1e-6)  # of a symmetric double well


# Paths
def band_of(rng, particles=6, images=5):
    positions = rng.uniform(0, 4, (particles, 3)) + np.linspace(0, 1, images)[:, None, None] * 0.3
    forces = rng.normal(size=positions.shape)
    return Band(positions, rng.normal(size=images), forces, np.zeros(images), None, True, 1e-4, 9)


def atoms(particles=6):
    found = Atoms("X" * particles, np.zeros((particles, 3)), cell=[4, 4, 4], pbc=True)
    found.set_array("diameters", np.linspace(0.8, 1.2, particles))
    return found


def test_a_path_is_named_as_in_the_neb_lines_and_read_back_whole_for_its_own_minima_only(work):
    band = band_of(np.random.default_rng(0))
    path = path_file(work.at(T), pair := Pair(12, 0.1234567891, 1.5e-05))
    write_path(work.at(T), pair, band, atoms())
    assert path.name == "Cnf-12_0.1234567891_0.0000150000.extxyz"
    images, good = ase.io.read(path, ":"), path.read_text()
    arrays = {"positions": band.positions, "displacement": band.positions - band.positions[0]}
    for name, expected in {**arrays, "diameters": [atoms().arrays["diameters"]] * 5}.items():
        np.testing.assert_allclose([image.arrays[name] for image in images], expected, atol=1e-8)
    np.testing.assert_allclose(read_path(path, images[0], images[-1]), band.positions, atol=1e-8)
    other = images[-1].copy()
    other.positions[0] += 0.01
    assert read_path(path, images[0], other) is None
    twice = "".join(good.splitlines(keepends=True)[: len(good.splitlines()) // 5]) + good  # its first image
    for damaged in (twice, good[:-200], good.replace("forces:R:3", f"forces:R:{'9' * 25}", 1)):  # no room taken for 9…
        path.write_text(damaged)
        assert read_path(path, images[0], images[-1]) is None


@pytest.mark.parametrize(("keep", "kept"), [("full", ["full"]), ("all", ["full", "screened"]), ("none", [])])
def test_paths_are_kept_as_set_and_go_where_the_double_well_goes(work, keep, kept):
    minimum = atoms()
    file = work.at(T).glass(3) / "0.1.conf"
    write_minimum(file, minimum.arrays["diameters"], minimum.positions, np.full(3, 4.0))
    job, band = PairJob(PAIR, (Place(file), Place(file))), band_of(np.random.default_rng(0))
    settings = Settings(neb={"keep_paths": keep})
    for fidelity in ("full", "screened"):
        found = Calculation(job, Verdict("double well", "", band, PROFILE, LEVELS, fidelity), 1.0)
        write_verdict(work.at(T), found, settings, refining=False)
        assert path_file(work.at(T), PAIR).exists() == (fidelity in kept)
        refuted = Calculation(job, Verdict("non-DW", "a third minimum on the way"), 1.0)
        write_verdict(work.at(T), refuted, settings, refining=True)
        assert not path_file(work.at(T), PAIR).exists()


def test_verdicts_are_written_also_where_unfinished_csv_was_damaged_during_the_run(work):
    at = work.at(T)
    add_unfinished(at, Pair(3, 0.1, 0.3), "why")
    at.unfinished.write_text(at.unfinished.read_text() + "3,0.1,an editor's slip,why\n")
    for k, kind in enumerate(("non-DW", "unfinished")):
        job = PairJob(Pair(3, 0.1, 0.4 + 0.1 * k), (Place(at.glass(3)),) * 2)
        write_verdict(at, Calculation(job, Verdict(kind, "a reason"), 1.0), Settings(), refining=False)
    assert at.non_dw.read_text() == "Cnf-3 0.1000000000_0.4000000000\n"
    assert at.unfinished.read_text().endswith("3,0.1000000000,0.5000000000,a reason\n")


def test_a_path_whose_splitting_has_settled_is_taken_up_again_only_for_a_smaller_tolerance(work):
    calculated(work, force=2e-3, force_tolerance=2e-4)
    given = argparse.Namespace(refine=1, retry=False)
    for tolerance, count in ((2e-4, 0), (1e-4, 1)):
        settings = Settings.model_validate({"neb": {"force_tolerance": tolerance}})
        pairs, _ = pairs_to_calculate(work.at(T), settings, given)
        assert len(pairs) == count
