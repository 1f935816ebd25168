"""What the pictures show: labels with units, every pair, legends off the data; and the files they become."""

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

TLS = 0.00151
EXACT = np.array([0.001, 0.02, 0.0005, 0.01, 0.03, 0.0014])
PREDICTED = np.array([0.002, 0.02, 0.0006, 0.001, 0.03, 0.0007])


def lines(ax):
    """Curves of a panel by their name in the legend."""
    return {line.get_label(): line for line in ax.get_lines()}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# What is drawn
def test_predictions_stand_against_exact_values_in_a_panel_per_temperature():
    panels = {"0.062": Judged(EXACT, PREDICTED, "test set"), "0.07": Judged(EXACT[:2], PREDICTED[:2], "train set")}
    figure, numbers = draw_true_against_predicted(panels, Settings())
    assert [*numbers] == ["temperature", "exact_epsilon", "predicted_epsilon"]
    for ax, (temperature, panel) in zip(figure.axes, panels.items(), strict=True):
        assert f"T = {temperature}, {panel.name}: {len(panel.exact)} pairs\nrms deviation" in ax.get_title()
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("exact quantum splitting (ε)", "predicted quantum splitting (ε)")
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        np.testing.assert_array_equal(lines(ax)["a pair"].get_xydata().T, panel[:2])
        rows = numbers[numbers["temperature"] == temperature]
        np.testing.assert_array_equal(rows[["exact_epsilon", "predicted_epsilon"]].T, panel[:2])
        assert "TLS: exact splitting < 0.00151 ε" in legend(ax)


def test_distributions_rise_to_one_and_the_search_counts_tls_between_chance_and_the_ideal():
    (ax,) = draw_splitting_cdf(EXACT, PREDICTED, "the pairs", Settings()).figure.axes
    assert (ax.get_title(), ax.get_xlabel()) == ("the pairs", "quantum splitting (ε)")
    for name, values in (("exact", EXACT), ("predicted", PREDICTED)):
        np.testing.assert_array_equal(lines(ax)[name].get_xdata()[1:], np.sort(values))
        np.testing.assert_allclose(lines(ax)[name].get_ydata(), np.arange(7) / 6)
    figure, numbers = draw_search_efficiency(EXACT, PREDICTED, "the pairs", Settings())
    (ax,) = figure.axes
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("the pairs", "NEBs run", "TLS found, of 3")
    expected = {"ideal": [1, 2, 3, 3, 3, 3], "found": [1, 2, 2, 3, 3, 3], "chance": [0.5, 1, 1.5, 2, 2.5, 3]}
    assert numbers.to_dict("list") == {"nebs": [1, 2, 3, 4, 5, 6], **expected}
    assert [line.get_ydata().tolist() for line in ax.get_lines()] == [*expected.values()]


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
    lost = "not known of {} of 5, {} of these TLS"
    titles = [lost.format(1, 0), "1 below 1e-08 ε, not drawn\n" + lost.format(2, 0), lost.format(1, 0)]
    assert [ax.get_title() for ax in picture.figure.axes[:3]] == titles
    ax = draw_statistics(wells.iloc[[0, 3]], "T = 0.1", Settings()).figure.axes[1]
    assert [text.get_text() for text in ax.texts] == [
        f"1 below 1e-08 ε, not drawn\n{lost.format(1, 0).replace('5', '2')}"
    ]


def test_splittings_of_a_rearrangement_lie_on_the_form_of_its_smallest_one():
    """E² = (z ± ΔE)² + Δ₀², as two levels of wells whose zero-point energies differ by z have it, here by −0.003 ε."""
    numbers = {"pairs": [40, 9, 2, 1], "calculated": [6, 3, 1, 0], "double_wells": [6, 2, 0, 0], "tls": [0, 1, 0, 0]}
    difference = np.array([0.001, 0.002, 0.004, 0.01, 0.02, 0.03])
    in_i = np.where(difference > 0.003, 0.9, 0.1)
    wells = pd.DataFrame({"rearrangement": 2, "asymmetry": difference, "level_0_in_i": in_i, "level_1_in_i": 1 - in_i})
    wells = wells.assign(tunnelling_amplitude=0.002, quantum_splitting=np.hypot(difference - 0.003, 0.002))
    counted = pd.DataFrame(numbers, pd.Index([2, 1, 3, 4], name="rearrangement"))
    sizes, splittings = draw_rearrangements(counted, wells, "the pairs", Settings()).figure.axes
    assert {text.rpartition(": ")[2] for text in legend(sizes)} == {"1"}
    forms = [next(one for one in splittings.get_lines() if one.get_linestyle() == style) for style in ("-", "--")]
    for form, other_end in zip(forms, (1, -1), strict=True):
        np.testing.assert_allclose(form.get_ydata(), np.hypot(other_end * form.get_xdata() - 0.003, 0.002))
    assert forms[0].get_xdata().min() <= 0.001
    assert forms[0].get_xdata().max() >= 0.03
    level = wells.assign(asymmetry=[0.0, 0.0, np.nan, *difference[3:]])
    for some, left_out in ((level, 1), (level[:2], 0)):
        ax = draw_rearrangements(counted, some, "the pairs", Settings()).figure.axes[1]
        edge = next(line for line in ax.get_lines() if line.get_marker() == "<")
        assert edge.get_label() == "ΔE = 0, at the edge: 2"
        np.testing.assert_array_equal(edge.get_ydata(), some["quantum_splitting"][:2])
        assert ax.get_title() == (f"{left_out} more without a record" if left_out else "")


def test_tls_found_stand_beside_those_expected_and_lead_to_the_forecast():
    rounds = [{**ROUND, "nebs": nebs, "tls": tls, "tls_expected": tls + 1} for nebs, tls in ((33, 8), (20, 3))]
    found, _ = draw_rounds(pd.DataFrame(rounds), "T = 0.1").figure.axes
    np.testing.assert_array_equal(lines(found)["TLS found"].get_xydata(), [[0, 0], [33, 8], [53, 11]])
    promised, ahead = found.containers
    ends = [segment[:, 1] for segment in promised.lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, [[7, 11], [13 - 8**0.5, 13 + 8**0.5]])  # two variances of 2²
    np.testing.assert_array_equal(ahead.lines[0].get_xydata(), [[83, 13.1]])
    assert "forecast: all 1200 left on the list, 68 % interval" in legend(found)


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
    panels = {"0.1": Judged(exact, predicted, "test set")}
    for number, picture in enumerate(
        (
            draw_true_against_predicted(panels, Settings()),
            draw_splitting_cdf(exact, predicted, "the pairs", Settings()),
            draw_search_efficiency(exact, predicted, "the pairs", Settings()),
        )
    ):
        written = picture.save(tmp_path / str(number) / "splitting_T0.062.png", formats)
        assert [path.name for path in written] == [f"splitting_T0.062.{suffix}" for suffix in (*formats, "csv")]
        assert sorted((tmp_path / str(number)).iterdir()) == sorted(written)
        for path, suffix in zip(written, formats, strict=False):
            assert path.read_bytes().startswith(starts[suffix])
            assert suffix != "png" or imread(path).std() > 0.01


@pytest.mark.parametrize("lower_well", [0, 1], ids=["in the first well", "in the second"])
def test_each_level_is_drawn_in_the_well_where_it_lies(lower_well):
    """The lower level may be in the well of the higher minimum, as in 13 of 21 TLS of the example."""
    lengths, x = np.linspace(0, 1, 9), np.linspace(-0.4, 1.4, 50)
    energies, places = 0.01 * np.sin(np.pi * lengths) ** 2, np.array([0.0, 1.0])[[lower_well, 1 - lower_well]]
    states = np.exp(-(((x[:, None] - places) / 0.1) ** 2))
    wells = Wells(
        Pair(7, 0.2, 0.3), lengths, energies, x, 0.01 * x**2, states, (0.001, 0.002), 0.01, 0, 0, False, "full"
    )
    (ax,) = draw_profiles([wells], "T = 0.1", Settings()).figure.axes
    for line, place in zip([lines(ax)[f"level E{k}, in its well"] for k in "₀₁"], places, strict=True):
        assert line.get_xdata().min() <= place <= line.get_xdata().max()
        assert not line.get_xdata().min() <= 1 - place <= line.get_xdata().max()


def test_a_pair_whose_v_does_not_confine_is_named_and_energies_stand_in_kelvin_too():
    lengths, x = np.linspace(0, 1.2, 9), np.linspace(-0.4, 1.6, 50)
    energies, levels = 0.01 * np.sin(np.pi * lengths / 1.2) ** 2, (0.001, 0.002)
    states, pair = np.ones((50, 2)), Pair(7, 0.2618182880, 0.2619687696)
    wells = Wells(pair, lengths, energies, x, 0.01 * x**2, states, levels, 0.01, 0.0, 1e-4, False, "full")
    figure = draw_profiles([wells], "T = 0.1", Settings(), [Pair(7, 0.26, 0.27)]).figure
    assert (
        figure.get_suptitle()
        == "T = 0.1\nnot drawn, V does not confine outside the ends: Cnf-7 0.2600000000_0.2700000000"
    )
    figure.draw_without_rendering()
    (kelvin,) = figure.axes[0].child_axes
    np.testing.assert_allclose(kelvin.get_ylim(), 662 * np.array(figure.axes[0].get_ylim()))  # config.yaml: epsilon


# Double wells as points
WELLS = pd.DataFrame(
    {
        "conf": [1, 1, 1],
        "quantum_splitting": [5e-4, 1e-3, 4e-3],
        "level_asymmetry": [3e-4, 1e-3, np.nan],
        "tunnelling_amplitude": [4e-4, 0.0, 3e-3],
        "barrier": [0.02, 0.1, 0.05],
        "PR": [3.0, 5.0, 7.0],
        "gamma_l": [1.0, 2.0, 0.5],
        "gamma_t": [0.8, 1.7, 0.4],
    }
)


def test_tls_are_told_apart_and_counted_and_what_is_below_the_edge_stands_there():
    figure = draw_planes(WELLS, pd.Series({1: 60.0, 2: 40.0}), Settings(), "T = 0.1").figure
    plane, counts, barriers, _ = figure.axes[:4]
    np.testing.assert_allclose(
        np.concatenate([points.get_offsets() for points in plane.collections]), [[3e-4, 4e-4], [1e-3, 1e-12]]
    )
    assert plane.get_title() == "not known of 1 of 3, 0 of these TLS\n1 with Δ or Δ₀ below 1e-12 ε, drawn there"
    assert sorted(len(points.get_offsets()) for points in barriers.collections) == [1, 2]
    assert "2 of 3" in figure.get_suptitle()
    x, y = counts.get_lines()[0].get_data()
    np.testing.assert_allclose(x[1:], WELLS["quantum_splitting"])
    np.testing.assert_allclose(y[1:], [0.01, 0.02, 0.03])


def test_what_lies_in_glasses_that_were_not_searched_is_not_divided_by_their_volume():
    wells = WELLS.assign(conf=[1, 3, 1])
    for volumes, said, number in (({1: 50.0}, "1 in glasses without minima left out", 2 / 50), ({}, "", 3)):
        counts = draw_planes(wells, pd.Series(volumes, dtype=float), Settings(), "T = 0.1").figure.axes[1]
        assert counts.get_title() == said
        assert counts.get_lines()[0].get_ydata().max() == pytest.approx(number)
