"""What the page plays: the particles of each image where the path has them, and V with both levels."""

import base64

import numpy as np
import pytest
from moving_glass import HALF, IMAGES, LEVELS, PROFILE, SPLITTING, fill_with_tls, glass_that_moves

from pipeline.workspace import Workspace
from reporting.player import playable
from search.calculated import read_double_wells


@pytest.fixture
def played(tmp_path):
    at = Workspace(tmp_path).at("0.1")
    settings = fill_with_tls(at, 1)
    (one,) = playable(at, read_double_wells(at), settings)
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
    across = [x for x, _ in profile["images"]]
    assert across[0] > 0
    assert across[-1] < 1000
    assert played["motion"]["along"] == pytest.approx(np.linspace(0, 1, IMAGES))
    assert f"{2 * HALF:.3g} σ √m" in profile["x"]
    assert f"splitting {SPLITTING:.3g} ε" in played["facts"][0]


def test_without_its_images_a_tls_is_not_played(tmp_path):
    at = Workspace(tmp_path).at("0.1")
    settings = fill_with_tls(at, 2)
    next(at.path(3, "0.1", "0.2").parent.glob("Cnf-3_*")).unlink()
    assert [one["id"] for one in playable(at, read_double_wells(at), settings)] == ["Cnf-4_0.1_0.2"]
