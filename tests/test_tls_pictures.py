"""Pictures of TLS: what moves is seen from where it moves most, across the boundary too; levels; files."""

import numpy as np
import pytest
from matplotlib.collections import EllipseCollection
from matplotlib.image import imread
from matplotlib.quiver import Quiver
from moving_glass import HOW, LEVELS, PROFILE, SPLITTING, glass_that_moves

from pipeline.formats.keys import Pair
from pipeline.formats.lammps import write_minimum
from pipeline.formats.records import add_record, read_records
from pipeline.formats.results import add_non_dw, add_splitting, take_back_splitting
from pipeline.settings import Settings
from pipeline.units import METAL, UNITS
from pipeline.workspace import Workspace
from reporting.motion import Motion, main_axes
from reporting.profiles import wells_of_record
from reporting.tls_pictures import draw_two_level_system, update_pictures
from search.calculated import update_double_wells

T, UNIT = "0.1", UNITS["reduced"]
HEIGHT = 0.05
SETTINGS = Settings(tls_threshold=2 * SPLITTING)
PAIR = Pair(3, 0.1, 0.2)
NAME = "Cnf-3_0.1_0.2"


def motion(species=None):
    positions, steps, box, diameters = glass_that_moves()
    return Motion(positions, steps, box, diameters, species or ["type 1"] * 30)


@pytest.fixture
def work(tmp_path):
    """A TLS with its record and its minima."""
    work = Workspace(tmp_path)
    positions, steps, box, diameters = glass_that_moves()
    for energy, places in ((0.1, positions), (0.2, np.mod(positions + steps, box))):
        write_minimum(work.minimum(work.at(T).glass(3), repr(energy)), diameters, places, box)
    add_tls(work, PAIR)
    return work


def add_tls(work, pair):
    add_record(work.at(T), pair, LEVELS, PROFILE, HOW)
    add_splitting(work.at(T), pair, SPLITTING)


def wells(work):
    return wells_of_record(next(read_records(work.at(T))))


def update(work, settings=SETTINGS):
    update_double_wells(work.at(T), settings)
    return update_pictures(work.at(T), settings)


def files(work):
    return sorted(path.name for path in work.at(T).tls_pictures.glob("[!.]*"))


# Geometry
def test_the_plane_holds_the_largest_displacement_whatever_its_direction():
    rng = np.random.default_rng(2)
    for _ in range(20):
        steps = rng.normal(size=(1, 3)) * 0.5 + rng.normal(size=(15, 3)) * 0.02
        axes = main_axes(steps)
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(axes) == pytest.approx(1)
        across = np.abs(steps @ axes.T).sum(axis=0)
        assert across[0] > across[1]
        assert ((steps @ axes.T) ** 2).sum(axis=0).argsort().tolist() == [2, 1, 0]
        np.testing.assert_allclose(main_axes(-steps)[2], axes[2], atol=1e-9)
    in_plane = np.array([[0.3, 0.4, 0.0], [0.1, -0.2, 0.0]])
    np.testing.assert_allclose(np.linalg.norm((in_plane @ main_axes(in_plane).T)[:, :2], axis=1), [0.5, 0.05**0.5])


# What is drawn
def test_arrows_show_the_motion_and_stay_together_across_the_boundary(work):
    figure, numbers = draw_two_level_system(motion(), wells(work), "the pair", UNIT)
    particles = numbers[numbers["part"] == "particle"]
    moved = particles[particles["moves"].astype(bool)]
    assert moved["particle"].tolist() == [1, 2]
    arrows = next(one for one in figure.axes[0].collections if isinstance(one, Quiver))
    # glass_that_moves; twice as long, as 0.5 σ is less than 0.3 mean spacings, (210 / 30)^⅓ σ
    np.testing.assert_allclose(np.hypot(arrows.U, arrows.V), [1.0, 0.4], rtol=1e-9)
    apart = moved[["x", "y", "z"]].diff().to_numpy()[1]
    np.testing.assert_allclose(apart, [0.4, 0.2, 0.1], atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(arrows.XY[1] - arrows.XY[0]), np.hypot(*_in_plane(apart)), rtol=1e-9)
    (left, right), (low, high) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
    for circles in (one for one in figure.axes[0].collections if isinstance(one, EllipseCollection)):
        radii = circles.get_widths()[:, None] / 2
        assert ([left, low] < circles.get_offsets() - radii).all()
        assert ([right, high] > circles.get_offsets() + radii).all()
    assert figure.axes[0].get_title().startswith("2 particles with 100 % of Σ|Δr|²\narrows: 2 times the motion;")


def _in_plane(vector):
    return main_axes(glass_that_moves()[1][:2])[:2] @ vector


def test_small_motion_is_magnified_and_the_factor_is_said(work):
    small = motion()._replace(displacements=0.05 * motion().displacements)
    figure = draw_two_level_system(small, wells(work), "the pair", UNIT).figure
    arrows = next(one for one in figure.axes[0].collections if isinstance(one, Quiver))
    # 0.025 σ; the first of the factors that makes it 0.3 mean spacings, (210 / 30)^⅓ σ, is 50
    assert arrows.U[0] == pytest.approx(50 * 0.025)
    assert "arrows: 50 times the motion" in figure.axes[0].get_title()


def test_the_levels_stand_in_the_wells_with_their_numbers_and_units(work):
    metal = METAL
    figure, numbers = draw_two_level_system(motion(), wells(work), "the pair", metal)
    ax = figure.axes[1]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("mass-weighted path length (Å √u)", "V − min V (eV)")
    said = ax.get_title()
    # the quartic is symmetric: Δ₀ is the splitting
    assert f"E₁ − E₀ = {SPLITTING:.3g} eV, Δ₀ = {SPLITTING:.3g} eV\nbarrier 0.05 eV" in said
    curve = numbers[numbers["part"] == "curve"]
    first, second = curve["state_0"].to_numpy(float), curve["state_1"].to_numpy(float)
    assert (np.diff(np.sign(first[np.abs(first) > 1e-3])) != 0).sum() == 0
    assert (np.diff(np.sign(second[np.abs(second) > 1e-3])) != 0).sum() == 1
    assert numbers.loc[numbers["part"] == "image", "V"].max() == pytest.approx(HEIGHT)
    assert (curve["level_1"] - curve["level_0"]).iloc[0] == pytest.approx(SPLITTING)


# Files
def test_each_tls_has_a_picture_in_the_formats_of_the_settings_and_an_svg_is_small(work):
    settings = SETTINGS.model_copy(update={"figures": ["png", "svg"]})
    assert update(work, settings) == (1, 1)
    assert files(work) == [f"{NAME}.csv", f"{NAME}.png", f"{NAME}.svg"]
    assert imread(work.at(T).tls_pictures / f"{NAME}.png").std() > 0.01
    assert (work.at(T).tls_pictures / f"{NAME}.svg").stat().st_size < 60_000


def test_pictures_are_made_anew_only_where_the_calculation_is(work):
    update(work)
    assert update(work) == (0, 1)
    add_record(work.at(T), PAIR, (LEVELS[0], LEVELS[1] * (1 + 1e-9)), PROFILE, HOW)
    assert update(work) == (1, 1)


def test_the_picture_of_what_is_no_tls_any_more_goes(work):
    update(work)
    take_back_splitting(work.at(T), PAIR)
    add_non_dw(work.at(T), PAIR)
    assert update(work) == (0, 0)
    assert [*work.at(T).tls_pictures.iterdir()] == []


@pytest.mark.parametrize("broken", ["missing", "damaged", "another count"])
def test_without_both_minima_there_is_no_picture_and_no_error(work, broken):
    minimum = work.minimum(work.at(T).glass(3), "0.2")
    if broken == "missing":
        minimum.unlink()
    elif broken == "damaged":
        minimum.write_bytes(b"damaged")
    else:
        write_minimum(minimum, np.ones(4), np.eye(4, 3), np.full(3, 5.0))
    assert update(work) == (0, 0)
    assert not work.at(T).tls_pictures.exists()
