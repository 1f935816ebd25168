"""What the pictures show: every pair, in numbers that stand beside them; what moves in a TLS; the files they become."""

import base64
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from matplotlib.image import imread
from moving_glass import HALF, HOW, IMAGES, LEVELS, PROFILE, SPLITTING, fill_with_tls, glass_that_moves
from synthetic import ROUND, some_double_wells

from MLmodel.model import Judged
from pipeline.formats.frames import write_frames
from pipeline.formats.keys import Pair
from pipeline.formats.lammps import write_minimum
from pipeline.formats.records import add_record, path_file
from pipeline.formats.results import add_non_dw, take_back_splitting
from pipeline.settings import Settings
from pipeline.workspace import Workspace
from reporting.calculations import draw_planes, draw_rearrangements, draw_rounds
from reporting.found import draw_statistics
from reporting.neb_report import report
from reporting.player import playable
from reporting.predictions import draw_search_efficiency, draw_splitting_cdf, draw_true_against_predicted
from reporting.profiles import Wells, draw_profiles
from reporting.tls_pictures import update_pictures
from search.calculated import read_double_wells, update_double_wells

EXACT = np.array([0.001, 0.02, 0.0005, 0.01, 0.03, 0.0014])
PREDICTED = np.array([0.002, 0.02, 0.0006, 0.001, 0.03, 0.0007])


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


# What is drawn
def test_predictions_stand_against_exact_values_in_a_panel_per_temperature():
    panels = {"0.062": Judged(EXACT, PREDICTED, "test set"), "0.07": Judged(EXACT[:2], PREDICTED[:2], "train set")}
    figure, numbers = draw_true_against_predicted(panels, Settings())
    assert [*numbers] == ["temperature", "exact_epsilon", "predicted_epsilon"]
    for ax, (temperature, panel) in zip(figure.axes, panels.items(), strict=True):
        assert f"T = {temperature}, {panel.name}: {len(panel.exact)} pairs\nrms deviation" in ax.get_title()
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("exact quantum splitting (ε)", "predicted quantum splitting (ε)")
        np.testing.assert_array_equal(lines(ax)["a pair"].get_xydata().T, panel[:2])
        rows = numbers[numbers["temperature"] == temperature]
        np.testing.assert_array_equal(rows[["exact_epsilon", "predicted_epsilon"]].T, panel[:2])


def test_distributions_rise_to_one_and_the_search_counts_tls_between_chance_and_the_ideal():
    numbers = draw_splitting_cdf(EXACT, PREDICTED, "the pairs", Settings()).numbers.set_index("quantity")
    for name, values in (("exact", EXACT), ("predicted", PREDICTED)):
        np.testing.assert_array_equal(numbers.loc[name, "splitting_epsilon"], np.sort(values))
        np.testing.assert_allclose(numbers.loc[name, "share"], np.arange(1, 7) / 6)
    figure, numbers = draw_search_efficiency(EXACT, PREDICTED, "the pairs", Settings())
    assert figure.axes[0].get_ylabel() == "TLS found, of 3"
    expected = {"found": [1, 2, 2, 3, 3, 3], "ideal": [1, 2, 3, 3, 3, 3], "chance": [0.5, 1, 1.5, 2, 2.5, 3]}
    assert numbers.to_dict("list") == {"nebs": [1, 2, 3, 4, 5, 6], **expected}
    without_tls = draw_search_efficiency(EXACT + 1, PREDICTED + 1, "the pairs", Settings()).figure
    assert without_tls.axes[0].get_ylabel() == "smallest tenth found, of 1"


def test_double_wells_are_counted_by_barrier_amplitude_and_asymmetry_and_tls_by_glass_and_rearrangement():
    wells = some_double_wells()
    picture = draw_statistics(wells, "T = 0.1", Settings())
    numbers = picture.numbers.set_index("quantity")
    for name, count, tls in (("barrier", 4, 3), ("tunnelling_amplitude", 2, 2), ("asymmetry", 4, 3)):
        assert numbers.loc[name, ["count", "tls"]].sum().tolist() == [count, tls]
        edges = numbers.loc[name, ["from", "to"]].to_numpy()
        assert numbers.loc[name, "count"].tolist() == [wells[name].between(*one, "left").sum() for one in edges]
    assert numbers.loc["tls_of_glasses", ["from", "count"]].to_numpy().tolist() == [[0, 1], [1, 0], [2, 0], [3, 1]]
    assert numbers.loc["tls_of_rearrangements", ["from", "count"]].to_numpy().tolist() == [[0, 1], [1, 1], [2, 1]]
    said = "1 below 1e-08 ε, not drawn\nnot known of 2 of 5, 0 of these TLS"
    assert picture.figure.axes[1].get_title() == said


def test_splittings_of_a_rearrangement_lie_on_the_form_of_its_smallest_one():
    """E² = (z ± ΔE)² + Δ₀², as two levels of wells whose zero-point energies differ by z have it, here by −0.003 ε."""
    numbers = {"pairs": [40, 9], "calculated": [6, 3], "double_wells": [6, 2], "tls": [0, 1]}
    counted = pd.DataFrame(numbers, pd.Index([2, 1], name="rearrangement"))
    difference = np.array([0.001, 0.002, 0.004, 0.01, 0.02, 0.03])
    in_i = np.where(difference > 0.003, 0.9, 0.1)
    wells = pd.DataFrame({"rearrangement": 2, "asymmetry": difference, "level_0_in_i": in_i, "level_1_in_i": 1 - in_i})
    wells = wells.assign(tunnelling_amplitude=0.002, quantum_splitting=np.hypot(difference - 0.003, 0.002))
    _, splittings = draw_rearrangements(counted, wells, "the pairs", Settings()).figure.axes
    forms = [next(one for one in splittings.get_lines() if one.get_linestyle() == style) for style in ("-", "--")]
    for form, other_end in zip(forms, (1, -1), strict=True):
        np.testing.assert_allclose(form.get_ydata(), np.hypot(other_end * form.get_xdata() - 0.003, 0.002))
    level = wells.assign(asymmetry=[0.0, 0.0, np.nan, *difference[3:]])
    ax = draw_rearrangements(counted, level, "the pairs", Settings()).figure.axes[1]
    np.testing.assert_array_equal(lines(ax)["ΔE = 0, at the edge: 2"].get_ydata(), level["quantum_splitting"][:2])
    assert ax.get_title() == "1 more without a record"


def test_tls_found_stand_beside_those_expected_and_lead_to_the_forecast():
    rounds = [{**ROUND, "nebs": nebs, "tls": tls, "tls_expected": tls + 1} for nebs, tls in ((33, 8), (20, 3))]
    found, _ = draw_rounds(pd.DataFrame(rounds), "T = 0.1").figure.axes
    np.testing.assert_array_equal(lines(found)["TLS found"].get_xydata(), [[0, 0], [33, 8], [53, 11]])
    promised, ahead = found.containers
    ends = [segment[:, 1] for segment in promised.lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, [[7, 11], [13 - 8**0.5, 13 + 8**0.5]])  # two variances of 2²
    np.testing.assert_array_equal(ahead.lines[0].get_xydata(), [[83, 13.1]])


def profiles(length, states, left_out=()):
    lengths, x = np.linspace(0, length, 9), np.linspace(-0.4, length + 0.4, 50)
    drawn = lengths, 0.01 * np.sin(np.pi * lengths / length) ** 2, x, 0.01 * x**2, states(x)
    wells = Wells(Pair(7, 0.2, 0.3), *drawn, (0.001, 0.002), 0.01, 0, 0, False, "full")
    return draw_profiles([wells], "T = 0.1", Settings(), left_out).figure


@pytest.mark.parametrize("places", [(0.0, 1.0), (1.0, 0.0)], ids=["in the first well", "in the second"])
def test_each_level_is_drawn_in_the_well_where_it_lies(places):
    """The lower level may be in the well of the higher minimum, as in 13 of 21 TLS of the example."""
    figure = profiles(1, lambda x: np.exp(-(((x[:, None] - places) / 0.1) ** 2)))
    for name, place in zip("₀₁", places, strict=True):
        line = lines(figure.axes[0])[f"level E{name}, in its well"]
        assert line.get_xdata().min() <= place <= line.get_xdata().max()
        assert not line.get_xdata().min() <= 1 - place <= line.get_xdata().max()


def test_a_pair_whose_v_does_not_confine_is_named_and_energies_stand_in_kelvin_too():
    figure = profiles(1.2, lambda x: np.ones((len(x), 2)), [Pair(7, 0.26, 0.27)])
    assert "V does not confine outside the ends: Cnf-7 0.2600000000_0.2700000000" in figure.get_suptitle()
    figure.draw_without_rendering()
    (kelvin,) = figure.axes[0].child_axes
    np.testing.assert_allclose(kelvin.get_ylim(), 662 * np.array(figure.axes[0].get_ylim()))  # config.yaml: epsilon


def test_tls_are_told_apart_in_the_plane_and_counted_per_volume_of_the_glasses_searched():
    wells = some_double_wells().assign(level_asymmetry=[3e-4, 1e-3, np.nan, 0.01, 0.02], PR=3.0, gamma_l=1, gamma_t=1)
    figure = draw_planes(wells, pd.Series({1: 60.0, 3: 40.0}), Settings(), "T = 0.1").figure
    plane, counts, barriers, _ = figure.axes[:4]
    drawn = np.concatenate([points.get_offsets() for points in plane.collections])
    np.testing.assert_allclose(drawn, [[3e-4, 1e-12], [1e-3, 1e-4]])
    said = "not known of 3 of 5, 1 of these TLS\n1 with Δ or Δ₀ below 1e-12 ε, drawn there"
    assert plane.get_title() == said
    assert sorted(len(points.get_offsets()) for points in barriers.collections) == [1, 3]
    assert "3 of 5" in figure.get_suptitle()
    assert counts.get_title() == "2 in glasses without minima left out"
    np.testing.assert_allclose(counts.get_lines()[0].get_data()[1][1:], [0.01, 0.02, 0.03])
    (counts,) = draw_planes(wells, pd.Series(dtype=float), Settings(), "T = 0.1").figure.axes[1:2]
    assert counts.get_lines()[0].get_ydata().max() == 5


# The files
@pytest.mark.parametrize(
    ("exact", "formats"),
    [(EXACT, ["pdf", "svg"]), (EXACT + 1, ["png"]), (EXACT[:1], ["png"])],
    ids=["some TLS", "none", "one pair"],
)
def test_a_picture_is_written_in_each_format_asked_for_whatever_the_pairs_and_nothing_else_is_left(
    exact, formats, tmp_path
):
    starts = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
    predicted = PREDICTED[: len(exact)]
    pictures = {
        "panels": draw_true_against_predicted({"0.1": Judged(exact, predicted, "test set")}, Settings()),
        "cdf": draw_splitting_cdf(exact, predicted, "the pairs", Settings()),
        "search": draw_search_efficiency(exact, predicted, "the pairs", Settings()),
    }
    for name, picture in pictures.items():
        written = picture.save(tmp_path / name / "T0.062.png", formats)
        assert sorted((tmp_path / name).iterdir()) == sorted(written)
        assert [path.name for path in written] == [f"T0.062.{suffix}" for suffix in (*formats, "csv")]
        for path, suffix in zip(written, formats, strict=False):
            assert path.read_bytes().startswith(starts[suffix])
            assert suffix != "png" or imread(path).std() > 0.01


# Pictures of TLS, which the page plays
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
    drawn = (folder / f"{NAME}.svg").read_text()
    assert len(drawn) < 60_000
    assert "2 particles with" in drawn
    assert "arrows: 2 times the motion" in drawn  # 0.5 σ is less than 0.3 mean spacings, (210 / 30)^⅓ σ
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
