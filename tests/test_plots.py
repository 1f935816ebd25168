"""What the pictures show: every pair, in numbers that stand beside them; and the files they become."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from synthetic import ROUND, some_double_wells

from MLmodel.model import Judged
from pipeline.formats.keys import Pair
from pipeline.settings import Settings
from reporting.calculations import draw_planes, draw_rearrangements, draw_rounds
from reporting.found import draw_statistics
from reporting.predictions import draw_search_efficiency, draw_splitting_cdf, draw_true_against_predicted
from reporting.profiles import Wells, draw_profiles

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
