"""The loop: pairs that were calculated leave the list, and every round is counted."""

import pandas as pd
import pytest
import synthetic
from steps import done
from synthetic import write_neb

from MLmodel.rounds import does_it_pay, random_rate, update_rounds
from pipeline.errors import UserError
from pipeline.keys import Pair
from pipeline.neb_files import add_unfinished
from pipeline.settings import Settings, read_settings
from pipeline.workspace import Workspace

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
    first = update_rounds(work, T, settings).iloc[-1]
    assert (first["round"], first["nebs"], first["tls"]) == (1, 0, 0)
    top = new_pairs(root).head(30)
    is_dw, splitting = synthetic.rule(top)
    write_neb(root, top)
    one = update_rounds(work, T, settings)
    assert len(one) == 1
    assert one["nebs"][0] == 30
    assert one["double_wells"][0] == is_dw.sum()
    assert one["tls"][0] == (is_dw & (splitting < threshold)).sum()
    assert one["classifier_labels"][0] == 400
    for step in STEPS:
        done(step, root)
    assert not set(new_pairs(root)[["i", "j"]].itertuples(index=False)) & set(top[["i", "j"]].itertuples(index=False))
    write_neb(root, new_pairs(root).head(12))
    two = update_rounds(work, T, settings)
    assert two["round"].tolist() == [1, 2]
    assert two["nebs"].tolist() == [30, 12]
    assert two["classifier_labels"].tolist() == [400, 430]
    on_disk = pd.read_csv(root / f"output_ML/T{T}/rounds.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(on_disk, two, check_dtype=False)


def test_an_unfinished_pair_leaves_the_list_and_is_counted(root):
    row = new_pairs(root).iloc[0]
    add_unfinished(Workspace(root), T, Pair(int(row["conf"]), row["i"], row["j"]), 'a reason, with "quotes"')
    rounds = update_rounds(Workspace(root), T, Settings())
    assert (rounds["nebs"].iloc[-1], rounds["unfinished"].iloc[-1]) == (1, 1)
    done("step4_predict_qs", root)
    after = new_pairs(root)
    assert not ((after["i"] == row["i"]) & (after["j"] == row["j"]) & (after["conf"] == row["conf"])).any()


def test_the_rate_at_random_is_the_share_of_tls_in_the_pretraining_set(root):
    assert pd.isna(random_rate(Workspace(root), T, 0.00151))
    table = synthetic.read_pairs(root).head(8).assign(quantum_splitting=[0.001, 0.0015, *[0.01] * 6])
    table.to_feather(root / "MLmodel/pretraining-predictor-T01.feather")
    assert random_rate(Workspace(root), T, 0.00151) == 0.25


@pytest.mark.parametrize("content", ["", "round,nebs\n1,2\n", "\x00\x01"])
def test_a_damaged_table_of_rounds_is_named(root, content):
    path = root / f"output_ML/T{T}/rounds.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=r"rounds\.csv: not readable"):
        update_rounds(Workspace(root), T, Settings())


@pytest.mark.parametrize(
    ("tls", "chance", "says"),
    [
        (6, 0.01, "going on pays"),  # chance of six or more in thirty: 5e-7
        (0, 0.01, "does not pay"),
        (1, 0.01, "may be luck"),  # chance of one or more: 0.26
        (3, float("nan"), "no pretraining set"),
    ],
)
def test_a_round_says_whether_going_on_pays(tls, chance, says):
    row = pd.Series({"round": 1, "tls": tls, "distinct_tls": tls, "nebs": 30, "random_tls_per_neb": chance})
    assert says in does_it_pay(row)
