"""The loop: pairs that were calculated leave the list, and every round is counted."""

import numpy as np
import pandas as pd
import pytest
import synthetic
from steps import LEARNING, done
from synthetic import OF_REARRANGEMENTS, read_predicted, write_neb

from pipeline.formats.keys import Pair
from pipeline.formats.results import add_unfinished
from pipeline.settings import read_settings
from pipeline.workspace import Workspace
from search.rounds import read_rounds, update_rounds
from search.stopping import expected, round_summary

pytestmark = pytest.mark.slow

T = "0.1"


def leave_unfinished(root, row):
    add_unfinished(Workspace(root).at(T), Pair(int(row["conf"]), row["i"], row["j"]), 'a reason, with "quotes"')


def test_two_rounds_are_counted_each_with_its_own_models_though_run_neb_did_not_see_the_end_of_one(trained_copy):
    root, work, settings = trained_copy, Workspace(trained_copy), read_settings(trained_copy / "config.yaml")
    listed = read_predicted(root)
    top = synthetic.with_features(root, listed.head(30))
    is_dw, splitting = synthetic.rule(top)
    tls = (is_dw & (splitting < settings.tls_threshold)).sum()
    write_neb(root, top, splittings="Qs_calcuations.txt")
    leave_unfinished(root, listed.iloc[30])
    assert "nothing new" in done("step2_classify_dw", root)
    said = [done(step, root) for step in LEARNING]
    assert not [one for one in said if "nothing new" in one]
    assert "run_neb.py --top 30" in said[-1].splitlines()[-1]
    splittings = [path.read_text() for path in (root / f"NEB_calculations/T{T}").glob("Qs_*.txt")]
    assert len(splittings) == 2
    assert f"{''.join(splittings).count('Cnf-')} splittings" in said[2]
    left, gone = ({*table[["i", "j"]].itertuples(index=False)} for table in (read_predicted(root), listed.head(31)))
    assert not left & gone
    write_neb(root, read_predicted(root).head(12))
    two = update_rounds(work.at(T), settings)
    assert two["round"].tolist() == [1, 2]
    assert two["nebs"].tolist() == [31, 12]
    assert two["double_wells"][0] == is_dw.sum()
    assert two["distinct_tls"][0] == two["tls"][0] == tls > 0
    assert two["classifier_labels"].tolist() == [pd.NA, 430]  # by then step 1 had trained again
    assert two["list"].nunique() == 2
    pd.testing.assert_frame_equal(read_rounds(work.at(T)), two, check_dtype=False, check_like=True)
    done("step1_train_dw", root)
    assert update_rounds(work.at(T), settings)["classifier_labels"].tolist() == [pd.NA, 430]


def test_what_is_expected_follows_from_the_chances_of_the_lists(trained_copy):
    root = trained_copy
    settings = read_settings(root / "config.yaml")
    listed = read_predicted(root)
    chances = listed["tls_probability"].to_numpy()
    first = update_rounds(Workspace(root).at(T), settings).iloc[-1]
    assert first[["round", "nebs", "tls", "classifier_labels"]].tolist() == [1, 0, 0, 400]
    write_neb(root, listed.iloc[[0, 2, 5]])
    leave_unfinished(root, listed.iloc[1])
    row = update_rounds(Workspace(root).at(T), settings).iloc[-1]
    assert (row["nebs"], row["unfinished"]) == (4, 1)
    assert row["tls_expected"] == pytest.approx(chances[[0, 2, 5]].sum())
    left = np.delete(chances, [0, 1, 2, 5])
    following = row[["next_nebs", "next_tls", "next_tls_low", "next_tls_high"]].tolist()
    assert following == pytest.approx([30, *expected(left[:30])])
    remaining = row[["remaining_pairs", "remaining_tls", "remaining_low", "remaining_high"]].tolist()
    assert remaining == pytest.approx([len(left), *expected(left)])
    pairs, ceilings = synthetic.read_pairs(root), settings.classify
    under = (pairs["Delta_E"] <= ceilings.max_delta_E) & (pairs["total_displacement"] <= ceilings.max_distance)

    def tls_and_wells():
        """Pairs that were calculated count as what they are, others, also the unfinished one, by their chances."""
        everything = pd.read_csv(Workspace(root).at(T).predicted("allpairs"))
        names = ["conf", "i", "j"]
        left = pd.MultiIndex.from_frame(listed.drop([0, 2, 5])[names])
        by_chance = pd.MultiIndex.from_frame(everything[names]).isin(left)
        is_dw, splitting = synthetic.rule(synthetic.with_features(root, everything[~by_chance][names]))
        known = (is_dw & (splitting < settings.tls_threshold)).sum(), is_dw.sum()
        return known + everything.loc[by_chance, ["tls_probability", "dw_probability"]].sum().to_numpy()

    tls, wells = tls_and_wells()
    assert row["random_pair_rate"] == pytest.approx(tls / under.sum())
    assert row["random_double_well_rate"] == pytest.approx(tls / wells)
    said = done("step4_predict_qs", root)
    assert f"{tls_and_wells()[0]:.1f} TLS expected" in said


def last_round(**others):
    return pd.Series({**synthetic.ROUND, **others}, dtype=object)


def test_a_round_says_what_it_found_and_what_is_to_come():
    found, to_come, advice = round_summary(last_round())
    assert found == (
        "round 3: 8 TLS (7 distinct) in 33 NEBs (24 %), 7.1 expected; by chance: double wells 0.6 %, "
        "pairs under the ceilings of step 2 0.01 %"
    )
    assert to_come == "next 30 NEBs: 2.1 TLS expected (1 to 4); all 1200 pairs left: 5.0 (3 to 8)"
    assert advice == "going on pays: expected of as many double wells by chance: 0.2"


def test_where_rearrangements_are_known_they_are_counted_and_decide_when_to_stop():
    _, said, _, advice = round_summary(last_round(**OF_REARRANGEMENTS, chance_95_found=0.99))
    assert said == (
        "13 rearrangements, 11 calculated; 2 hold TLS, in 36 pairs; expected in the other 2: 0.1, "
        "in the 9 calculated without TLS: 0.3"
    )
    assert advice.startswith("going on pays")
    advice = round_summary(last_round(**{**OF_REARRANGEMENTS, "chance_95_distinct": 0.97}))[3]
    assert advice.startswith("at least 95 % of the rearrangements that hold TLS on the list are found")


OFF = "than expected: the chances of this list are too"
FOUND = "at least 95 % of the TLS on the list are found, with a confidence of"
FEW = {"tls": 0, "nebs": 6, "tls_expected": 0.2, "tls_p_value": 1, "next_tls": 0.4, "remaining_tls": 0.9}


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        (FEW, None),
        ({**FEW, "tls": 2, "tls_p_value": 0.03}, None),  # two where 0.2 were expected may be luck
        ({**FEW, "tls_expected": 2.9, "tls_p_value": 0.1}, None),
        ({**FEW, "random_double_well_rate": float("nan")}, None),
        ({**FEW, "nebs": 0, "tls_expected": 0}, None),
        ({"tls": 0, "tls_expected": 4.0, "tls_p_value": 0.03}, f"fewer TLS {OFF} high"),
        ({"tls": 9, "tls_expected": 3.0, "tls_p_value": 0.01}, f"more TLS {OFF} low"),
        ({"tls": 0, "tls_expected": 4.0, "tls_p_value": 0.07}, "going on pays"),
        ({"next_tls": 1.2, "random_double_well_rate": 0.05}, "going on does not pay: expected of as many double wells"),
        ({"chance_95_found": 0.962}, f"{FOUND} 96 %: you may stop"),
        ({"chance_95_found": 0.9985}, f"{FOUND} 99 %: you may stop"),
    ],
)
def test_advice_is_given_where_the_numbers_carry_it(numbers, says):
    advice = round_summary(last_round(**numbers))[2:]
    assert not advice if says is None else advice[0].startswith(says)
