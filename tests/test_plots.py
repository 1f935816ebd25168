"""What the pictures show: labels with units, every pair, legends off the data; and the files they become."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from statsmodels.stats.proportion import proportion_confint

from benchmarks.splittings import comparison, spread_evenly
from pipeline.formats.keys import Pair
from pipeline.units import REDUCED
from pipeline.workspace import QS
from reporting.calculations import draw_rearrangements, draw_rounds
from reporting.found import draw_statistics
from reporting.predictions import (
    Panel,
    draw_search_efficiency,
    draw_splitting_cdf,
    draw_true_against_predicted,
)
from reporting.profiles import Wells, draw_profiles

TLS = 0.00151
EXACT = np.array([0.001, 0.02, 0.0005, 0.01, 0.03, 0.0014])
PREDICTED = np.array([0.002, 0.02, 0.0006, 0.001, 0.03, 0.0007])
NO_PAIRS = np.array([])


def lines(ax):
    """Curves of a panel by their name in the legend."""
    return {line.get_label(): line for line in ax.get_lines()}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def profile(one_well=False, levels=(0.001, 0.002)):
    lengths, x = np.linspace(0, 1.2, 9), np.linspace(-0.4, 1.6, 50)
    energies, pair = 0.01 * np.sin(np.pi * lengths / 1.2) ** 2, Pair(7, 0.2618182880, 0.2619687696)
    states = np.ones((50, 2))
    return Wells(pair, lengths, energies, x, 0.01 * x**2, states, levels, 0.01, 0.0, 1e-4, one_well, "full")


def some_rounds(nebs, tls, **others):
    """A table of rounds in which one TLS more was expected in each."""
    rows = {"nebs": nebs, "tls": tls, "tls_expected": np.add(tls, 1.0), "tls_expected_sd": 2.0}
    ahead = {"next_nebs": 30, "next_tls": 2.5, "next_tls_low": 1, "next_tls_high": 4}
    ahead |= {"remaining_pairs": 700, "remaining_tls": 6.5, "remaining_low": 4, "remaining_high": 9}
    at_random = {"random_double_well_rate": 0.06, "random_pair_rate": 0.001}
    names = dict.fromkeys(["list", "classifier", "predictor"], "a name")
    return pd.DataFrame({**rows, **ahead, **at_random, **names, **others})


def some_double_wells():
    """Five double wells of two glasses, three of them TLS in two rearrangements."""
    return pd.DataFrame(
        {
            "conf": [1, 1, 1, 2, 2],
            "quantum_splitting": [1e-4, 2e-4, 1e-3, 0.01, 0.02],
            "barrier": [0.02, 0.03, 0.2, 0.01, np.nan],
            "tunnelling_amplitude": [1e-30, 1e-4, 1e-3, np.nan, np.nan],
            "asymmetry": [1e-3, 1e-4, 1e-2, 0.05, np.nan],
            "rearrangement": [1, 1, 2, 3, 0],
        }
    )


def some_rearrangements():
    """Four rearrangements, and the double wells of two of them: E² = (0.7 ΔE)² + Δ₀², Δ₀ 0.003 and 0.002."""
    counted = pd.DataFrame(
        {"pairs": [40, 9, 2, 1], "calculated": [6, 3, 1, 0], "double_wells": [6, 2, 0, 0], "tls": [0, 1, 0, 0]},
        pd.Index([2, 1, 3, 4], name="rearrangement"),
    )
    difference = np.array([0.001, 0.002, 0.004, 0.01, 0.02, 0.03, 0.0015, 0.005])
    amplitude = np.repeat([0.003, 0.001], [6, 2])
    wells = pd.DataFrame(
        {
            "rearrangement": np.repeat([2, 1], [6, 2]),
            "asymmetry": difference,
            "tunnelling_amplitude": amplitude,
            "quantum_splitting": np.hypot(0.7 * difference, amplitude),
            "level_0_in_i": 0.9,
            "level_1_in_i": 0.1,
        }
    )
    return counted, wells


def every_picture(exact=EXACT, predicted=PREDICTED):
    return {
        "true_against_predicted": draw_true_against_predicted(
            {"0.1": Panel(exact, predicted, "test set")}, TLS, REDUCED
        ),
        "splitting_cdf": draw_splitting_cdf(exact, predicted, TLS, "the pairs", REDUCED),
        "search_efficiency": draw_search_efficiency(exact, predicted, TLS, "the pairs", REDUCED),
        "neb_profiles": draw_profiles([profile()], TLS, "the pairs", REDUCED),
        "rounds": draw_rounds(some_rounds([30], [5]), "the rounds"),
        "tls_statistics": draw_statistics(some_double_wells(), TLS, "the pairs", REDUCED),
        "rearrangements": draw_rearrangements(*some_rearrangements(), TLS, "the pairs", REDUCED),
    }


# What is drawn
def test_predictions_stand_against_exact_values_in_a_panel_per_temperature():
    panels = {
        "0.062": Panel(EXACT, PREDICTED, "test set"),
        "0.07": Panel(EXACT[:2], PREDICTED[:2], "all labels"),
    }
    figure, numbers = draw_true_against_predicted(panels, TLS, REDUCED)
    assert len(figure.axes) == 2
    assert [*numbers] == ["temperature", "exact_epsilon", "predicted_epsilon"]
    for temperature, panel in panels.items():
        rows = numbers[numbers["temperature"] == temperature]
        np.testing.assert_array_equal(rows[["exact_epsilon", "predicted_epsilon"]].T, panel[:2])
    for ax, (temperature, (exact, predicted, name)) in zip(figure.axes, panels.items(), strict=True):
        assert f"T = {temperature}, {name}: {len(exact)} pairs\nrms deviation" in ax.get_title()
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("exact quantum splitting (ε)", "predicted quantum splitting (ε)")
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        pairs = lines(ax)["a pair"]
        np.testing.assert_array_equal(pairs.get_xdata(), exact)
        np.testing.assert_array_equal(pairs.get_ydata(), predicted)
        assert "TLS: exact splitting < 0.00151 ε" in legend(ax)


def test_pairs_beyond_the_frame_are_drawn_at_its_edge_and_counted():
    exact = np.geomspace(0.001, 0.1, 1000)
    predicted = np.where(np.arange(1000) == 3, 1e4, exact)
    ax, _ = draw_true_against_predicted({"0.1": Panel(exact, predicted, "train set")}, TLS, REDUCED).figure.axes
    assert ax.get_ylim()[1] < 1
    assert ax.collections[-1].get_array().sum() == 999  # hexagons that count the others
    edge = lines(ax)["1 outside the frame, drawn at its edge"]
    assert edge.get_ydata() == ax.get_ylim()[1]


def test_the_cumulative_distributions_rise_to_one_at_the_largest_splitting():
    (ax,) = draw_splitting_cdf(EXACT, PREDICTED, TLS, "the pairs", REDUCED).figure.axes
    assert (ax.get_title(), ax.get_xlabel()) == ("the pairs", "quantum splitting (ε)")
    assert ax.get_ylabel() == "share of pairs up to this splitting"
    assert legend(ax) == ["TLS: splitting < 0.00151 ε", "exact", "predicted"]
    for name, values in (("exact", EXACT), ("predicted", PREDICTED)):
        curve = lines(ax)[name]
        np.testing.assert_array_equal(curve.get_xdata()[1:], np.sort(values))
        np.testing.assert_allclose(curve.get_ydata(), np.arange(7) / 6)


def test_double_wells_are_counted_by_barrier_amplitude_and_asymmetry_and_tls_by_glass_and_rearrangement():
    picture = draw_statistics(some_double_wells(), TLS, "T = 0.1", REDUCED)
    numbers = picture.numbers.set_index("quantity")
    for name, count, tls in (("barrier", 4, 3), ("tunnelling_amplitude", 2, 2), ("asymmetry", 4, 3)):
        assert numbers.loc[name, ["count", "tls"]].sum().tolist() == [count, tls]
        values = some_double_wells()[name]
        inside = [
            ((values >= low) & (values < high)).sum() for low, high in numbers.loc[name, ["from", "to"]].to_numpy()
        ]
        assert numbers.loc[name, "count"].tolist() == inside
    assert numbers.loc["tls_of_glasses", ["from", "count"]].to_numpy().tolist() == [[0, 1], [1, 0], [2, 0], [3, 1]]
    assert numbers.loc["tls_of_rearrangements", ["from", "count"]].to_numpy().tolist() == [[0, 1], [1, 1], [2, 1]]
    lost = "no value for {} double wells, {} of them TLS"
    titles = [lost.format(1, 0), "1 below 1e-08 ε, not drawn\n" + lost.format(2, 0), lost.format(1, 0)]
    assert [ax.get_title() for ax in picture.figure.axes[:3]] == titles
    said = [text.get_text() for text in picture.figure.legends[0].get_texts()]
    assert said == ["double wells: 5", "TLS (splitting < 0.00151 ε): 3"]
    assert legend(picture.figure.axes[3])[0] == "glasses with a double well: 2, with a TLS: 1"


def test_what_no_double_well_tells_is_said_in_its_panel():
    older = some_double_wells().assign(tunnelling_amplitude=np.nan, rearrangement=0)
    figure = draw_statistics(older, TLS, "T = 0.1", REDUCED).figure
    assert texts(figure.axes[1]) == ["not known of any double well"]


def test_the_search_counts_tls_between_chance_and_the_ideal():
    figure, numbers = draw_search_efficiency(EXACT, PREDICTED, TLS, "the pairs", REDUCED)
    (ax,) = figure.axes
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("the pairs", "NEBs run", "TLS found, of 3")
    assert numbers["nebs"].tolist() == [1, 2, 3, 4, 5, 6]
    ideal, found, chance = (line.get_ydata().tolist() for line in ax.get_lines())
    assert ideal == [1, 2, 3, 3, 3, 3]
    assert found == [1, 2, 2, 3, 3, 3]
    assert chance == [0.5, 1, 1.5, 2, 2.5, 3]
    assert numbers[["ideal", "found", "chance"]].T.to_numpy().tolist() == [ideal, found, chance]


def test_without_a_tls_the_search_is_for_the_smallest_tenth_and_the_title_says_so():
    exact = np.random.default_rng(0).permutation(np.arange(1, 31) / 100)
    (ax,) = draw_search_efficiency(exact, exact, TLS, "the pairs", REDUCED).figure.axes
    assert ax.get_title() == "the pairs\nno TLS (< 0.00151 ε): search for the smallest tenth (≤ 0.03 ε)"
    assert ax.get_ylabel() == "smallest tenth found, of 3"
    assert lines(ax)["in the order of the list"].get_ydata().tolist() == [1, 2] + [3] * 28


def test_equal_splittings_are_searched_for_too():
    (ax,) = draw_search_efficiency(np.full(5, 0.02), np.arange(5.0), TLS, "the pairs", REDUCED).figure.axes
    assert ax.get_ylabel() == "smallest tenth found, of 5"


def test_a_list_without_any_double_well_is_no_search():
    (ax,) = draw_search_efficiency(np.full(5, np.inf), np.arange(5.0), TLS, "the pairs", REDUCED).figure.axes
    assert texts(ax) == ["no double well among these pairs"]


@pytest.mark.parametrize("name", ["true_against_predicted", "splitting_cdf", "search_efficiency"])
def test_an_empty_set_says_that_it_has_no_pairs(name, tmp_path):
    picture = every_picture(NO_PAIRS, NO_PAIRS)[name]
    assert texts(picture.figure.axes[0]) == ["no pairs"]
    picture.save(tmp_path / "a.png", ["png"])
    assert pd.read_csv(tmp_path / "a.csv").empty


def test_a_profile_shows_images_curve_and_both_levels_side_by_side():
    one = profile()
    (ax,) = draw_profiles([one], TLS, "T = 0.1", REDUCED).figure.axes
    assert ax.get_title() == "Cnf-7\n0.261818288 – 0.2619687696\nE₁ − E₀ = 0.001 ε (TLS)"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("mass-weighted path length (σ √m)", "V − min V (ε)")
    drawn = lines(ax)
    np.testing.assert_allclose(drawn["images"].get_ydata(), one.energies)
    np.testing.assert_allclose(drawn["V along the path"].get_ydata(), one.potential)
    assert drawn["level E₀"].get_ydata()[0] == pytest.approx(0.001)
    assert drawn["level E₁"].get_ydata()[0] == pytest.approx(0.002)
    assert drawn["level E₀"].get_xdata()[-1] == drawn["level E₁"].get_xdata()[0]


def test_a_splitting_that_is_a_vibration_is_called_one_and_all_panels_have_one_scale():
    tunnelling, vibration = (profile(one_well, (0.001, 0.02)) for one_well in (False, True))
    figure = draw_profiles([tunnelling, vibration] * 2, TLS, "T = 0.1", REDUCED).figure
    assert texts(figure.axes[0]) == []
    assert texts(figure.axes[1]) == ["both levels in one well:\na vibration, no tunnelling"]
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    assert figure.get_suptitle() == "T = 0.1"
    assert [ax.get_visible() for ax in figure.axes] == [True] * 4 + [False] * 2


def test_tls_found_stand_beside_those_expected_and_lead_to_the_forecast():
    found, _ = draw_rounds(some_rounds([33, 20], [8, 3]), "T = 0.1").figure.axes
    np.testing.assert_array_equal(lines(found)["TLS found"].get_xydata(), [[0, 0], [33, 8], [53, 11]])
    promised, ahead = found.containers
    np.testing.assert_array_equal(promised.lines[0].get_xydata(), [[33, 9], [53, 13]])
    ends = [segment[:, 1] for segment in promised.lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, [[7, 11], [13 - 8**0.5, 13 + 8**0.5]])  # two variances of 2²
    np.testing.assert_array_equal(ahead.lines[0].get_xydata(), [[83, 13.5]])
    np.testing.assert_allclose(ahead.lines[2][0].get_segments()[0][:, 1], [12, 15])
    (band,) = found.patches
    assert (band.get_y(), band.get_height()) == (15, 5)
    assert "forecast: all 700 left on the list, 68 % interval" in legend(found)
    assert found.get_ylim()[1] > 20


def test_rounds_of_which_no_expectation_is_known_are_drawn_without():
    table = some_rounds([30, 30], [4, 2], tls_expected=[np.nan, 3.0], random_pair_rate=[np.nan, 0.001])
    found, _ = draw_rounds(table, "T = 0.1").figure.axes
    np.testing.assert_array_equal(found.containers[0].lines[0].get_xydata(), [[60, 7]])


def test_the_rate_of_a_round_has_binomial_error_bars_beside_both_rates_at_random():
    nebs, tls = np.array([30, 30, 0]), np.array([9, 0, 0])
    _, rates = draw_rounds(some_rounds(nebs, tls), "T = 0.1").figure.axes
    assert rates.get_ylabel() == "TLS per 100 NEBs"
    (shown,) = rates.containers
    np.testing.assert_allclose(shown.lines[0].get_xydata(), [[1, 30], [2, 0]])
    low, high = proportion_confint(tls[:2], nebs[:2], 0.32, method="beta")
    ends = [segment[:, 1] for segment in shown.lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, 100 * np.column_stack([low, high]))
    assert high[1] == pytest.approx(1 - 0.16 ** (1 / 30))  # Clopper and Pearson, none found of 30
    assert rates.get_ylim()[1] > 100 * high[0]
    at_random = ["double wells at random: 6", "pairs under the ceilings at random: 0.1"]
    assert legend(rates) == [*at_random, "NEBs of the round, with the\n68 % interval (binomial)"]


def test_rounds_without_a_neb_are_drawn(tmp_path):
    picture = draw_rounds(some_rounds([0], [0], random_pair_rate=np.nan), "T = 0.1")
    assert not picture.figure.axes[1].containers
    picture.save(tmp_path / "rounds.png", ["png"])


# The files
@pytest.mark.parametrize("formats", [["png"], ["pdf", "svg"]])
def test_a_picture_is_written_in_each_format_asked_for_and_nothing_else_is_left(formats, tmp_path):
    starts = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
    for name, picture in every_picture().items():
        written = picture.save(tmp_path / name / "splitting_T0.062.png", formats)
        suffixes = [*formats, *(["csv"] if picture.numbers is not None else [])]
        assert [path.name for path in written] == [f"splitting_T0.062.{suffix}" for suffix in suffixes]
        assert sorted((tmp_path / name).iterdir()) == sorted(written)
        for path, suffix in zip(written, formats, strict=False):
            assert path.read_bytes().startswith(starts[suffix])


@pytest.mark.parametrize("exact", [EXACT, EXACT + 1, EXACT[:1]])
def test_pictures_are_drawn_for_few_pairs_and_for_none_that_are_tls(exact, tmp_path):
    for name, picture in every_picture(exact, PREDICTED[: len(exact)]).items():
        picture.save(tmp_path / f"{name}.png", ["png"])
        pixels = imread(tmp_path / f"{name}.png")
        assert pixels.shape[1] > 700
        assert pixels.std() > 0.01


def test_the_csv_of_the_distributions_holds_what_is_drawn(tmp_path):
    picture = draw_splitting_cdf(np.array([0.03, 0.01, 0.01]), EXACT[:3], TLS, "the pairs", REDUCED)
    picture.save(tmp_path / "a.png", ["png"])
    table = pd.read_csv(tmp_path / "a.csv", float_precision="round_trip")
    assert [*table] == ["quantity", "splitting_epsilon", "share"]
    exact, predicted = (table[table["quantity"] == name] for name in ("exact", "predicted"))
    assert exact["splitting_epsilon"].tolist() == [0.01, 0.01, 0.03]
    assert exact["share"].tolist() == pytest.approx([2 / 3, 2 / 3, 1])
    assert predicted["splitting_epsilon"].tolist() == sorted(EXACT[:3])


def test_the_csv_of_profiles_names_the_pair_and_tells_images_from_the_curve(tmp_path):
    one = profile(one_well=True)
    draw_profiles([one, one], TLS, "T = 0.1", REDUCED).save(tmp_path / "a.png", ["png"])
    table = pd.read_csv(tmp_path / "a.csv", float_precision="round_trip")
    assert table[["conf", "i", "j"]].drop_duplicates().to_numpy().tolist() == [list(one.pair)]
    images, curve = (table[table["is_image"] == flag] for flag in (True, False))
    for rows, x, potential in ((images, one.lengths, one.energies), (curve, one.x, one.potential)):
        np.testing.assert_array_equal(rows["mass_weighted_length_sigma_sqrt_m"], np.tile(x, 2))
        np.testing.assert_array_equal(rows["V_epsilon"], np.tile(potential, 2))
    np.testing.assert_allclose(table["level_1_epsilon"] - table["level_0_epsilon"], 0.001)
    assert table["one_well"].all()


# The comparison with NEBs of a glass that no model saw
def calculated():
    predicted = np.geomspace(3e-4, 0.05, 12)
    kind = np.where(np.arange(12) % 4 == 1, "non-DW", "double well")
    exact = np.where(kind == "non-DW", np.nan, 0.9 * predicted)
    return pd.DataFrame({"kind": kind, "predicted_epsilon": predicted, "calculated_epsilon": exact})


def test_the_comparison_shows_double_wells_their_deviation_and_the_non_dw():
    results = calculated()
    picture = comparison(results, TLS, "the pairs")
    above, below = picture.figure.axes
    wells, others = lines(above)["double wells: 9"], lines(above)["non-DW, at their predicted splitting: 3"]
    np.testing.assert_array_equal(wells.get_xydata(), results.dropna()[["predicted_epsilon", "calculated_epsilon"]])
    assert others.get_xdata().tolist() == results["predicted_epsilon"][results["kind"] == "non-DW"].tolist()
    (deviation,) = [line for line in below.get_lines() if len(line.get_xdata()) == 9]
    np.testing.assert_allclose(deviation.get_ydata(), -np.log10(0.9))
    assert below.get_xlabel() == "predicted quantum splitting (ε)"
    assert above.get_ylabel() == "calculated quantum splitting (ε)"
    assert picture.numbers is results


@pytest.mark.parametrize(("smallest", "is_marked"), [(3e-4, True), (3e-3, False)])
def test_the_comparison_marks_tls_only_where_its_pairs_reach_them(smallest, is_marked):
    results = calculated()
    results[["predicted_epsilon", "calculated_epsilon"]] *= smallest / 3e-4
    figure = comparison(results, TLS, "the pairs").figure
    assert ("TLS: calculated < 0.00151 ε" in [text.get_text() for text in figure.legends[0].get_texts()]) == is_marked


def test_pairs_to_calculate_are_spread_over_the_whole_range_of_splittings():
    splittings = np.concatenate([np.random.default_rng(0).uniform(0.01, 0.02, 5000), np.geomspace(1e-4, 0.01, 60)])
    listed = pd.DataFrame({QS: splittings})
    first = spread_evenly(listed, 20, seed=1)
    assert len(first) == len(listed)
    decades = np.log10(first[QS].head(20))
    assert decades.is_monotonic_increasing
    assert np.diff(decades).max() < 2 * (np.log10(0.02) + 4) / 20
    assert first.equals(spread_evenly(listed, 20, seed=1))
