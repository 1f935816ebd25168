"""The loop: pairs that were calculated leave the list, and every round is counted."""

import numpy as np
import pandas as pd
import pytest
import synthetic
from steps import done
from synthetic import write_neb

from pipeline.formats.keys import Pair
from pipeline.formats.results import add_unfinished
from pipeline.settings import Settings, read_settings
from pipeline.workspace import Workspace
from search.rounds import read_rounds, update_rounds
from search.stopping import expected, round_summary

pytestmark = pytest.mark.slow

T = "0.1"
STEPS = ("step1_train_dw", "step2_classify_dw", "step3_train_qs", "step4_predict_qs")


def new_pairs(root):
    return pd.read_csv(root / f"output_ML/T{T}/predictedQs_T{T}_newpairs.csv", float_precision="round_trip")


@pytest.fixture
def root(trained_copy):
    return trained_copy


def test_two_rounds_are_counted_each_with_its_own_models(root):
    work, settings = Workspace(root), read_settings(root / "config.yaml")
    threshold = settings.tls_threshold
    first = update_rounds(work.at(T), settings).iloc[-1]
    assert (first["round"], first["nebs"], first["tls"]) == (1, 0, 0)
    top = synthetic.with_features(root, new_pairs(root).head(30))
    is_dw, splitting = synthetic.rule(top)
    write_neb(root, top)
    one = update_rounds(work.at(T), settings)
    assert len(one) == 1
    assert one["nebs"][0] == 30
    assert one["double_wells"][0] == is_dw.sum()
    assert one["tls"][0] == (is_dw & (splitting < threshold)).sum()
    assert one["classifier_labels"][0] == 400
    for step in STEPS:
        done(step, root)
    assert not set(new_pairs(root)[["i", "j"]].itertuples(index=False)) & set(top[["i", "j"]].itertuples(index=False))
    write_neb(root, new_pairs(root).head(12))
    two = update_rounds(work.at(T), settings)
    assert two["round"].tolist() == [1, 2]
    assert two["nebs"].tolist() == [30, 12]
    assert two["classifier_labels"].tolist() == [400, 430]
    assert two["list"].nunique() == 2
    on_disk = pd.read_csv(root / f"output_ML/T{T}/rounds.csv", float_precision="round_trip", dtype={"list": str})
    pd.testing.assert_frame_equal(on_disk, two, check_dtype=False)


def test_a_round_counts_though_run_neb_does_not_see_its_end(root):
    work, settings = Workspace(root), read_settings(root / "config.yaml")
    top = new_pairs(root).head(12)
    write_neb(root, top)
    for step in STEPS:
        done(step, root)
    write_neb(root, new_pairs(root).head(5))
    table = update_rounds(work.at(T), settings)
    assert table["nebs"].tolist() == [12, 5]
    is_dw, splitting = synthetic.rule(synthetic.with_features(root, top))
    assert table["distinct_tls"][0] == table["tls"][0] == (is_dw & (splitting < settings.tls_threshold)).sum() > 0
    assert table["predictor_labels"].isna().tolist() == [True, False]
    pd.testing.assert_frame_equal(read_rounds(work.at(T)), table, check_dtype=False, check_like=True)


def test_an_unfinished_pair_leaves_the_list_and_is_counted(root):
    row = new_pairs(root).iloc[0]
    add_unfinished(Workspace(root).at(T), Pair(int(row["conf"]), row["i"], row["j"]), 'a reason, with "quotes"')
    rounds = update_rounds(Workspace(root).at(T), Settings())
    assert (rounds["nebs"].iloc[-1], rounds["unfinished"].iloc[-1]) == (1, 1)
    done("step4_predict_qs", root)
    after = new_pairs(root)
    assert not ((after["i"] == row["i"]) & (after["j"] == row["j"]) & (after["conf"] == row["conf"])).any()


def test_what_is_expected_follows_from_the_chances_of_the_lists(root):
    settings = read_settings(root / "config.yaml")
    listed = new_pairs(root)
    chances = listed["tls_probability"].to_numpy()
    write_neb(root, listed.iloc[[0, 2, 5]])
    add_unfinished(Workspace(root).at(T), Pair(int(listed["conf"][1]), listed["i"][1], listed["j"][1]), "a reason")
    row = update_rounds(Workspace(root).at(T), settings).iloc[-1]
    assert row["nebs"] == 4
    assert row["tls_expected"] == pytest.approx(chances[[0, 2, 5]].sum())
    left = np.delete(chances, [0, 1, 2, 5])
    following = row[["next_nebs", "next_tls", "next_tls_low", "next_tls_high"]].tolist()
    assert following == pytest.approx([30, *expected(left[:30])])
    remaining = row[["remaining_pairs", "remaining_tls", "remaining_low", "remaining_high"]].tolist()
    assert remaining == pytest.approx([len(left), *expected(left)])
    everything = pd.read_csv(Workspace(root).at(T).predicted("allpairs"))
    pairs, ceilings = synthetic.read_pairs(root), settings.classify
    under = (pairs["Delta_E"] <= ceilings.max_delta_E) & (pairs["total_displacement"] <= ceilings.max_distance)
    tls = everything["tls_probability"].sum()
    assert row["random_pair_rate"] == pytest.approx(tls / under.sum())
    assert row["random_double_well_rate"] == pytest.approx(tls / everything["dw_probability"].sum())


def last_round(**others):
    row = {
        "round": 3,
        "tls": 8,
        "distinct_tls": 7,
        "nebs": 33,
        "unfinished": 0,
        "tls_expected": 7.1,
        "tls_p_value": 0.8,
    }
    row |= {"random_double_well_rate": 0.006, "random_pair_rate": 0.0001, "chance_95_found": 0.2}
    row |= {"next_nebs": 30, "next_tls": 2.1, "next_tls_low": 1, "next_tls_high": 4}
    row |= {"remaining_pairs": 1200, "remaining_tls": 5.0, "remaining_low": 3, "remaining_high": 8}
    return pd.Series({**row, **others}, dtype=object)


def test_a_round_says_what_it_found_and_what_is_to_come():
    found, to_come, advice = round_summary(last_round())
    assert found == (
        "round 3: 8 TLS (7 distinct) in 33 NEBs (24 %), 7.1 expected; by chance: double wells 0.6 %, "
        "pairs under the ceilings of step 2 0.01 %"
    )
    assert to_come == "next 30 NEBs: 2.1 TLS expected (1 to 4); all 1200 pairs left: 5.0 (3 to 8)"
    assert advice == "going on pays: expected of as many double wells by chance: 0.2"


OF_REARRANGEMENTS = {
    **{"rearrangements": 13, "rearrangements_calculated": 11, "rearrangements_tls": 2, "rearrangement_tls_pairs": 36},
    **{"expected_calculated": 0.31, "expected_others": 0.12, "chance_95_distinct": 0.2},
}


def test_where_rearrangements_are_known_they_are_counted_and_decide_when_to_stop():
    _, said, _, advice = round_summary(last_round(**OF_REARRANGEMENTS, chance_95_found=0.99))
    assert said == (
        "13 rearrangements, 11 calculated; 2 hold TLS, in 36 pairs; expected in the other 2: 0.1, "
        "in the 9 calculated without TLS: 0.3"
    )
    assert advice.startswith("going on pays")
    advice = round_summary(last_round(**{**OF_REARRANGEMENTS, "chance_95_distinct": 0.97}))[3]
    assert advice.startswith("at least 95 % of the rearrangements that hold TLS on the list are found")


FEW = {"tls": 0, "nebs": 6, "tls_expected": 0.2, "tls_p_value": 1, "next_tls": 0.4, "remaining_tls": 0.9}


@pytest.mark.parametrize(
    "numbers",
    [
        FEW,
        {**FEW, "tls": 2, "tls_p_value": 0.03},  # two where 0.2 were expected may be luck
        {**FEW, "tls_expected": 2.9, "tls_p_value": 0.1},
        {**FEW, "random_double_well_rate": float("nan")},
        {**FEW, "nebs": 0, "tls_expected": 0},
    ],
)
def test_where_numbers_are_small_there_is_no_advice(numbers):
    assert len(round_summary(last_round(**numbers))) == 2


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        (
            {"tls": 0, "tls_expected": 4.0, "tls_p_value": 0.03},
            "fewer TLS than expected: the chances of this list are too high",
        ),
        (
            {"tls": 9, "tls_expected": 3.0, "tls_p_value": 0.01},
            "more TLS than expected: the chances of this list are too low",
        ),
        ({"tls": 0, "tls_expected": 4.0, "tls_p_value": 0.07}, "going on pays"),
        (
            {"next_tls": 1.2, "random_double_well_rate": 0.05},
            "going on does not pay: expected of as many double wells by chance: 1.5",
        ),
        (
            {"chance_95_found": 0.962},
            "at least 95 % of the TLS on the list are found, with a confidence of 96 %: you may stop",
        ),
        (
            {"chance_95_found": 0.9985},
            "at least 95 % of the TLS on the list are found, with a confidence of 99 %: you may stop",
        ),
    ],
)
def test_advice_is_given_where_the_numbers_carry_it(numbers, says):
    assert round_summary(last_round(**numbers))[2].startswith(says)
