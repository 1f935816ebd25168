"""What is gathered before a training, and what is said of labels that can't be used."""

import numpy as np
import pandas as pd
import pytest
from formulas import HBAR, double_well, profile_of_formula, record_settings
from synthetic import put_table

from glass.tunnelling import lowest_levels
from MLmodel.labels import SOURCE, gather
from MLmodel.training import split
from pipeline.errors import UserError
from pipeline.formats.keys import Pair
from pipeline.formats.pair_tables import NEIGHBOURHOOD
from pipeline.formats.records import add_record
from pipeline.formats.results import add_calculation
from pipeline.settings import Settings
from pipeline.units import METAL, REDUCED
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, Workspace
from step3_train_qs import mixed_conventions

T, PROFILE = "0.1", profile_of_formula(*double_well(0.05, 0.2), (-0.2, 0.2))
FEATURES = ["Delta_E", "total_displacement", "mine"]


def pair_table(n=40, confs=(1, 2)):
    rng = np.random.default_rng(5)
    i = (0.2 + rng.random(n) * 1e-3).round(10)
    table = pd.DataFrame({"conf": rng.choice(confs, n), "i": i, "j": (i + 1e-4).round(10)})
    for name in FEATURES:
        table[name] = rng.random(n)
    return table


@pytest.fixture
def work(tmp_path):
    """A workspace with one pair table of 40 pairs and an empty folder for NEB results."""
    work = Workspace(tmp_path)
    work.at(T).pairs.mkdir(parents=True)
    work.at(T).neb.mkdir(parents=True)
    (tmp_path / "MLmodel").mkdir()
    put_table(pair_table(), work.at(T).pairs / "all.feather")
    return work


def line(table, row, splitting="", swap=False):
    names = [repr(float(table[name][row])) for name in ("i", "j")]
    return f"Cnf-{table['conf'][row]} {'_'.join(names[::-1] if swap else names)} {splitting}".rstrip() + "\n"


def write(path, table, splittings):
    """A line of Qs_calculations.txt for each of the first rows."""
    path.write_text("".join(line(table, row, repr(value)) for row, value in enumerate(splittings)))


def told(work, word, **settings):
    """Lines of what is said of the labels that hold a word."""
    report = gather(work.at(T), PREDICTOR, Settings(**settings)).report
    return [one for one in report if word in one]


def test_neb_results_are_joined_in_either_order_and_through_float_noise(work):
    table = pair_table()
    noisy = line(table, 2).replace(repr(float(table["i"][2])), f"{table['i'][2]:.10f}0000002")
    work.at(T).non_dw.write_text(line(table, 0) + line(table, 1, swap=True) + noisy + "\n" + "Cnf-1 0.5_0.6\n")
    (work.at(T).neb / "Qs_calcuations.txt").write_text(line(table, 3, "0.001"))
    (work.at(T).neb / "Qs_calculations.txt").write_text(line(table, 4, "2e-3") + line(table, 4, "0.002"))
    known = gather(work.at(T), CLASSIFIER, Settings())
    assert known.features == FEATURES
    assert known.table[DW].tolist() == [0, 0, 0, 1, 1]
    expected = table.loc[:4, ["conf", "i", "j", *FEATURES]]
    pd.testing.assert_frame_equal(known.table[expected.columns], expected)
    assert "NEB results: 6 pairs, 1 of them in no pair table and not used" in known.report
    assert gather(work.at(T), PREDICTOR, Settings()).table[QS].tolist() == [0.001, 0.002]


def test_repeated_rows_go_and_only_common_features_stay(work):
    table = pair_table()
    pretraining = pd.concat([table, table.iloc[:5]], ignore_index=True).assign(is_dw=1.0, Tij=3, Tji=4, T=0.1, index=7)
    pretraining.drop(columns="mine").to_feather(work.at(T).pretraining(CLASSIFIER))
    known = gather(work.at(T), CLASSIFIER, Settings())
    assert len(known.table) == 40
    assert known.features == ["Delta_E", "total_displacement"]
    assert "repeated pairs taken out: 5" in known.report
    assert "features left out, as not all tables have them: mine, Tij, Tji" in known.report


def test_a_pair_whose_first_minimum_is_the_higher_one_is_learnt_from_as_if_it_stood_the_other_way(work):
    table = pair_table().assign(Tij=range(40), Tji=7, nearest_i=0.5, nearest_j=np.linspace(0, 1, 40), is_dw=1)
    names = {"i": "j", "Tij": "Tji", "nearest_i": "nearest_j"}
    turned = table.rename(columns=names | {there: here for here, there in names.items()})[table.columns]
    turned["Delta_E"] *= -1
    known = []
    for one in (table, pd.concat([turned[:9], table[9:]])):
        one.astype({"Tij": float, "Tji": float}).to_feather(work.at(T).pretraining(CLASSIFIER))
        known.append(gather(work.at(T), CLASSIFIER, Settings()).table)
    pd.testing.assert_frame_equal(*known)


def test_a_later_splitting_goes_before_an_earlier_one_and_neb_before_pretraining(work):
    table = pair_table()
    table.assign(quantum_splitting=0.5).to_feather(work.at(T).pretraining(PREDICTOR))
    work.at(T).neb.joinpath("Qs_calculations.txt").write_text(line(table, 0, "0.1") + line(table, 0, "0.2", swap=True))
    known = gather(work.at(T), PREDICTOR, Settings()).table
    assert known[QS].tolist() == [0.2] + [0.5] * 39
    assert known[SOURCE].tolist() == ["neb"] + ["pretraining"] * 39


def test_splittings_that_differ_are_told_with_their_lines_unless_the_last_is_a_refinement(work):
    table, path = pair_table(), work.at(T).neb / "Qs_calculations.txt"
    same, refined = (table.loc[row, ["conf", "i", "j"]] for row in (1, 2))
    path.write_text(line(table, 0, "0.1") + line(table, 1, "0.3") + line(table, 0, "0.2", swap=True))
    path.write_text(path.read_text() + line(table, 1, "3e-1") + line(table, 2, "0.5") + line(table, 2, "0.4"))
    for (conf, i, j), splitting in ((same, 0.3), (refined, 0.4)):
        row = {"verdict": "double well", QS: splitting, "fidelity": "full", "cpu_seconds": 1.0}
        add_calculation(work.at(T), Pair(int(conf), i, j), row)
    places = f"{path} line 1 and {path} line 3"
    words = f"1 pair has splittings that differ; the last line counts, remove the others: {places}"
    assert told(work, "differ") == [words]
    write(path, table, [0.1, 0.2, 0.3])
    assert not told(work, "differ")


@pytest.mark.parametrize("unit", [REDUCED, METAL], ids=lambda unit: unit.name)
def test_splittings_above_any_level_of_the_pair_are_named_with_their_lines(work, unit):
    # the levels of a pair are no further apart than its minima, Delta_E, and a vibration
    table = pair_table().assign(Delta_E=[-20 * unit.epsilon, *[0.0] * 39], units=unit.name)
    put_table(table, work.at(T).pairs / "all.feather")
    values = [25 * unit.epsilon, 9 * unit.epsilon, 1.5e3, 1.5e-3]
    path = work.at(T).neb / "Qs_calculations.txt"
    write(path, table, values)
    (said,) = told(work, "can't be", units=unit.name, neb={"calculator": "a:b"})
    assert said.startswith("1 splitting can't be: above |ΔE| + ")
    assert said.endswith(f": {path} line 3: 1500")


@pytest.mark.parametrize("typed", [1.5, 1.5e-6])
def test_a_splitting_mistyped_by_a_thousand_is_told_as_unlikely(work, typed):
    table, path = pair_table(), work.at(T).neb / "Qs_calculations.txt"
    splittings = (0.5e-2 * table["Delta_E"].abs()).tolist()
    put_table(table.assign(Delta_E=table["Delta_E"] * 1e-2), work.at(T).pairs / "all.feather")
    write(path, table, splittings)
    assert not told(work, "unlikely")
    write(path, table, [*splittings[:7], typed, *splittings[8:]])
    (said,) = told(work, "unlikely")
    assert said.startswith("1 splitting is unlikely: ")
    assert said.endswith(f": {path} line 8: {typed:g}")


def test_a_pair_with_two_opposite_labels_is_listed(work):
    table = pair_table()
    work.at(T).non_dw.write_text(line(table, 0) + line(table, 1))
    work.at(T).neb.joinpath("Qs_calculations.txt").write_text(line(table, 1, "0.1", swap=True))
    with pytest.raises(UserError, match=r"1 pair is.*NON-DW.txt line 2 and .*Qs_calculations.txt line 1"):
        gather(work.at(T), CLASSIFIER, Settings())
    work.at(T).non_dw.unlink()
    table.assign(is_dw=0).to_feather(work.at(T).pretraining(CLASSIFIER))
    with pytest.raises(UserError, match=r"row 1 and .*line 1|line 1 and .*row 1"):
        gather(work.at(T), CLASSIFIER, Settings())


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("Cnf-77 {i}_{j}", "no pair table holds Cnf-77;"),
        ("Cnf-{conf} {i}_0.2", "no pair of Cnf-{conf} has a minimum 0.2; name it as there, to 10 decimals"),
        ("Cnf-{conf} {other}_{i}", "the pair is not stored, though its minima are; raise pairs.max_delta_E"),
    ],
)
def test_of_labels_that_match_no_pair_the_first_line_is_named_with_what_is_wrong(work, wrong, reason):
    table = pair_table()
    first = table.iloc[0]
    other = table[(table["conf"] == first["conf"]) & (table.index > 0)].iloc[0]
    names = {"conf": int(first["conf"]), "i": first["i"], "j": first["j"], "other": other["j"]}
    work.at(T).non_dw.write_text(line(table, 1) + wrong.format(**names) + "\nCnf-88 0.5_0.6\n")
    report = gather(work.at(T), CLASSIFIER, Settings()).report
    at = report.index("NEB results: 3 pairs, 2 of them in no pair table and not used")
    assert report[at + 1].startswith(f"  the first of them: {work.at(T).non_dw} line 2: {reason.format(**names)}")


KEYS = pd.DataFrame({"glass": np.arange(500) % 9, "low": np.arange(500), "high": np.arange(500) + 1000})
RARE = np.arange(500) % 5 == 0


def test_a_pair_stays_on_its_side_as_more_come_in_and_for_the_predictor():
    test = split(KEYS, RARE, Settings(test_fraction=0.3))
    assert test.mean() == pytest.approx(0.3, abs=0.06)
    some = KEYS.sample(300, random_state=0)
    assert (split(some, RARE[some.index], Settings(test_fraction=0.3)) == test[some.index]).all()
    assert (split(KEYS, RARE, Settings(test_fraction=0.3, seed=1)) != test).sum() > 100
    is_tls = np.arange(RARE.sum()) % 4 == 0
    assert (split(KEYS[RARE], is_tls, Settings(test_fraction=0.3)) == test[RARE]).all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rare", [2, 3, 10])
def test_both_classes_are_on_both_sides_and_have_about_their_share(rare, seed):
    is_rare = np.arange(50) < rare
    test = split(KEYS.head(50), is_rare, Settings(seed=seed))
    assert 1 <= test[is_rare].sum() <= max(1, np.ceil(0.4 * rare))
    assert 0.1 * (50 - rare) - 1 <= test[~is_rare].sum() <= 0.4 * (50 - rare) + 1


def test_whole_glasses_are_kept_out_when_asked():
    test = split(KEYS, RARE, Settings(test_split="glass"))
    confs = [set(KEYS["glass"][side]) for side in (test, ~test)]
    assert not confs[0] & confs[1]
    assert test.mean() == pytest.approx(0.2, abs=0.06)  # nine glasses of about 55 pairs
    with pytest.raises(UserError, match="two glasses"):
        split(KEYS.assign(glass=1), RARE, Settings(test_split="glass"))


def test_a_set_that_does_not_know_where_other_minima_lie_does_not_switch_that_off(work):
    table = pair_table()
    put_table(table.assign(**dict.fromkeys(NEIGHBOURHOOD, 1.5)), work.at(T).pairs / "all.feather")
    table.assign(is_dw=1).drop(index=0).reset_index(drop=True).to_feather(work.at(T).pretraining(CLASSIFIER))
    work.at(T).non_dw.write_text(line(table, 0))
    known = gather(work.at(T), CLASSIFIER, Settings())
    assert known.features == [*FEATURES, *NEIGHBOURHOOD]
    assert known.table["nearest_between"].notna().tolist() == [True] + [False] * 39
    assert f"  unknown in this set: {', '.join(NEIGHBOURHOOD)}" in known.report


def test_further_sets_of_a_temperature_and_those_of_another_that_is_named_are_read_together(work):
    first = work.at(T).pretraining(CLASSIFIER)
    table = pair_table().assign(is_dw=1)
    for path, conf in ((first, 1), (first.with_name(f"{first.stem}-example.feather"), 2)):
        table.assign(conf=conf).to_feather(path)
    table.assign(conf=3).to_feather(work.at("0.12").pretraining(CLASSIFIER))
    table.assign(conf=4).to_feather(work.at("0.1234").pretraining(CLASSIFIER))  # whose digits begin alike
    assert sorted(gather(work.at(T), CLASSIFIER, Settings()).table["conf"].unique()) == [1, 2]
    settings = Settings(pretraining=["0.12"])
    assert sorted(gather(work.at(T), CLASSIFIER, settings).table["conf"].unique()) == [1, 2, 3]
    with pytest.raises(UserError, match=r"pretraining-classifier-T05\.feather: no such file"):
        gather(work.at(T), CLASSIFIER, Settings(pretraining=["0.5"]))


def test_results_by_the_line_beside_published_splittings_are_named(work):
    levels = lowest_levels(PROFILE, HBAR)
    add_record(work.at(T), Pair(1, 0.1, 0.2), levels, PROFILE, record_settings(PROFILE, levels, HBAR))
    rows = pair_table().assign(**{QS: 0.01})
    rows.to_feather(work.at(T).pretraining(PREDICTOR))
    assert mixed_conventions(work.at(T), Settings()) is None
    rows.assign(i2=0.1, j2=0.2).to_feather(work.at(T).pretraining(PREDICTOR))  # columns of the published tables
    assert "1 result here by line, 1.6 times larger" in mixed_conventions(work.at(T), Settings())
