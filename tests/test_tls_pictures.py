"""Pictures of TLS: what moves is seen from where it moves most, across the boundary too; levels; files."""

import base64
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from matplotlib.image import imread
from moving_glass import HALF, HOW, IMAGES, LEVELS, PROFILE, SPLITTING, fill_with_tls, glass_that_moves

from pipeline.formats.keys import Pair
from pipeline.formats.lammps import write_minimum
from pipeline.formats.path_images import path_file, write_frames
from pipeline.formats.records import add_record
from pipeline.formats.results import add_non_dw, take_back_splitting
from pipeline.settings import Settings
from pipeline.workspace import Workspace
from reporting.neb_report import report
from reporting.player import playable
from reporting.tls_pictures import update_pictures
from search.calculated import read_double_wells, update_double_wells

T = "0.1"
SETTINGS = Settings(tls_threshold=2 * SPLITTING)
PAIR = Pair(3, 0.1, 0.2)
NAME = "Cnf-3_0.1000000000_0.2000000000"


@pytest.fixture
def work(tmp_path):
    work = Workspace(tmp_path)
    fill_with_tls(work.at(T), 1)
    return work


def update(work, settings=SETTINGS):
    update_double_wells(work.at(T), settings)
    return update_pictures(work.at(T), settings)


def test_a_tls_has_a_small_picture_in_each_format_made_anew_where_the_calculation_is_until_it_is_none(work):
    settings = SETTINGS.model_copy(update={"figures": ["png", "svg"]})
    assert update(work, settings) == (1, 1)
    folder = work.at(T).tls_pictures
    assert sorted(path.name for path in folder.glob("[!.]*")) == [f"{NAME}.csv", f"{NAME}.png", f"{NAME}.svg"]
    assert imread(folder / f"{NAME}.png").std() > 0.01
    assert (folder / f"{NAME}.svg").stat().st_size < 60_000
    numbers, (_, steps, *_) = pd.read_csv(folder / f"{NAME}.csv"), glass_that_moves()
    moved = numbers[numbers["moves"].eq(True)]
    assert moved["particle"].tolist() == [1, 2]
    np.testing.assert_allclose(moved[["dx", "dy", "dz"]], (steps - steps.mean(axis=0))[:2], atol=1e-9)
    np.testing.assert_allclose(moved[["x", "y", "z"]].diff().iloc[1], [0.4, 0.2, 0.1], atol=1e-9)  # the nearest image
    assert update(work, settings) == (0, 1)
    add_record(work.at(T), PAIR, (LEVELS[0], LEVELS[1] * (1 + 1e-9)), PROFILE, HOW)
    assert update(work, settings) == (1, 1)
    take_back_splitting(work.at(T), PAIR)
    add_non_dw(work.at(T), PAIR)
    assert update(work, settings) == (0, 0)
    assert [*folder.iterdir()] == []


def test_without_both_minima_there_is_no_picture_and_no_error(work):
    minimum = work.at(T).glass(3) / "0.2.conf"
    write_minimum(minimum, np.ones(4), np.eye(4, 3), np.full(3, 5.0))  # of another count
    assert update(work) == (0, 0)
    for spoil in (lambda: minimum.write_bytes(b"damaged"), minimum.unlink):
        spoil()
        assert update(work) == (0, 0)
    assert not work.at(T).tls_pictures.exists()


# What the page plays
@pytest.fixture
def played(work):
    (one,) = playable(work.at(T), read_double_wells(work.at(T)), SETTINGS)
    return one


def places(one):
    numbers = np.frombuffer(base64.b64decode(one["motion"]["places"]), "<i2")
    return one["motion"]["step"] * numbers.reshape(len(one["motion"]["along"]), -1, 3)


def test_particles_that_move_come_first_and_keep_their_distances_across_the_boundary(played):
    positions, steps, _, diameters = glass_that_moves()
    assert played["motion"]["moving"] == 2
    np.testing.assert_allclose(played["motion"]["radii"][:2], diameters[:2] / 2, atol=1e-3)
    apart = positions[1] - positions[0] + [5, 0, 0]  # the nearest image
    for image, part in zip(places(played), np.linspace(0, 1, IMAGES), strict=True):
        expected = np.linalg.norm(apart + part * (steps[1] - steps[0]))
        assert np.linalg.norm(image[1] - image[0]) == pytest.approx(expected, abs=2e-3)


def test_the_levels_stand_on_the_axis_of_v_where_its_ticks_say(played):
    profile = played["profile"]
    ticks = np.array([[place, float(said)] for place, said in profile["ticks"]])
    unit = ticks[1, 1] / ticks[1, 0]
    floor = PROFILE.energies.min()
    np.testing.assert_allclose(np.array(profile["levels"]) * unit, np.array(LEVELS) - floor, rtol=0.01)
    assert max(up for _, up in profile["images"]) * unit == pytest.approx(0.05, rel=0.01)
    assert all(0 < x < 1000 for x, _ in profile["images"])
    assert played["motion"]["along"] == pytest.approx(np.linspace(0, 1, IMAGES))
    assert f"{2 * HALF:.3g} σ √m" in profile["x"]
    assert f"splitting {SPLITTING:.3g} ε" in played["facts"][0]


def test_heavy_particles_take_more_of_the_mass_weighted_path_on_which_they_are_played(work):
    """First one of mass 9 goes 0.5 σ, then one of mass 1 goes 0.2 σ: 1.5 of 1.7 σ √m, where 0.5 of 0.7 σ are."""
    positions, _, box, _ = glass_that_moves()
    frames = []
    for first, second in [(0.1 * k, 0) for k in range(6)] + [(0.5, 0.02 * k) for k in range(1, 11)]:
        frame = Atoms(["X"] * 30, positions, cell=box, pbc=True)
        frame.positions[:2, 0] += first, second
        frame.set_array("masses", np.where(np.arange(30) == 0, 9.0, 1.0))
        frames.append(frame)
    write_frames(path_file(work.at(T), PAIR), frames)
    (one,) = playable(work.at(T), read_double_wells(work.at(T)), SETTINGS)
    assert one["motion"]["along"][5] == pytest.approx(1.5 / 1.7, abs=0.02)


# What run_neb.py says and draws at its end
def test_what_was_found_is_told_in_four_lines_and_couplings_that_no_double_well_has_in_one_more(work, capsys):
    at, step = work.at(T), SimpleNamespace(settings=SETTINGS)
    report(step, at, Counter({"double well": 1}), None)
    said = capsys.readouterr().out.splitlines()
    assert len(said) <= 5
    assert said[0].startswith(
        "T = 0.1: double well: 1, calculated so far: 1 double well, 0 of them only screened, 1 TLS"
    )
    assert [line for line in said if "no coupling to strain (gamma) of any double well" in line] == said[1:2]
    report(step, at, Counter(), None)
    assert capsys.readouterr().out == ""
    assert at.neb_paths("png").exists()
