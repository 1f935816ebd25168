"""The steps in sequence, as a user runs them: on made-up glasses, on real minima, and on a ready-made table."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import synthetic
from matplotlib.image import imread
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score
from steps import LEARNING, done, refused, run_drawing
from synthetic import read_pairs, read_predicted, with_features

from example.make import write_neb_results
from MLmodel.card import read_card
from pipeline.formats.results import read_neb_results
from pipeline.workspace import CLASSIFIER, PREDICTOR, Workspace
from search.likes import TOLD

pytestmark = pytest.mark.slow


def card_of(root, task=CLASSIFIER, temperature="0.1"):
    return read_card(Workspace(root).at(temperature), task)


def keys(table):
    return list(zip(table["conf"], (table["i"] * 1e10).round(), (table["j"] * 1e10).round(), strict=True))


def snapshot(root):
    """Times of all files but the lists of minima, which are written anew, and locks."""
    files = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {path: path.stat().st_mtime_ns for path in files if path.name != "minima.csv"}


def test_predictions_are_sorted_follow_the_rule_and_new_pairs_are_those_not_in_the_neb_files(trained):
    pairs, wells = read_pairs(trained), pd.read_csv(trained / "output_ML/T0.1/DW_T0.1.csv")
    everything, new = read_predicted(trained, "allpairs"), read_predicted(trained)
    of_pair = ["Delta_E", "total_displacement", "PR", "nearest_between"]
    assert list(wells) == ["conf", "i", "j", "dw_probability", *of_pair]
    names = ["quantum_splitting", "splitting_K", "tls_probability", "dw_probability"]
    assert list(everything) == list(new) == ["conf", "i", "j", *names, *of_pair, "rearrangement"]
    assert everything["splitting_K"].to_numpy() == pytest.approx(662.0 * everything["quantum_splitting"], rel=2e-5)
    assert everything["quantum_splitting"].is_monotonic_increasing
    number = new["rearrangement"]
    answered = everything.loc[~pd.Series(keys(everything)).isin(keys(new)), "rearrangement"]
    once = ~number.duplicated() & ~number.isin(answered) | (number == 0)
    assert once.is_monotonic_decreasing
    assert once.nunique() == 2
    for some in (once, ~once):
        assert new.loc[some, "tls_probability"].is_monotonic_decreasing
    assert (everything["tls_probability"] <= everything["dw_probability"]).all()
    assert set(keys(everything)) == set(keys(wells))
    low = pairs[(pairs["Delta_E"] <= 0.1) & (pairs["total_displacement"] <= 2.0)]
    assert set(keys(wells)) < set(keys(low))
    assert (wells["dw_probability"] >= 0.1).all()
    done_already = set(keys(read_neb_results(Workspace(trained).at("0.1"))))
    assert len(done_already) == 400
    assert set(keys(new)) == set(keys(everything)) - done_already
    assert len(new) < len(everything)
    table = with_features(trained, new)  # the labels follow a formula; who mixes up rows or columns can't find it
    is_dw, splitting = synthetic.rule(table)
    assert is_dw.mean() > 0.85
    assert np.corrcoef(np.log(splitting), np.log(table["quantum_splitting"]))[0, 1] > 0.9


def test_run_again_nothing_is_done_a_table_that_is_gone_is_told_once_and_a_temperature_without_labels_skipped(
    trained_copy,
):
    before, pairs = snapshot(trained_copy), trained_copy / "Configurations/pairs"
    assert "nothing new computed" in done("step0_collect", trained_copy)
    assert snapshot(trained_copy) == before
    shutil.copytree(pairs / "T0.1", pairs / "T0.05")
    before = snapshot(trained_copy)
    for step in LEARNING:
        assert "T = 0.05: no input for this step, skipped" in (said := done(step, trained_copy))
        assert "nothing new" in said
    assert snapshot(trained_copy) == before
    table = Workspace(trained_copy).at("0.1").pair_tables[0]
    table.unlink()
    said = f"1 pair table of the last list no longer there, {table.name} among them; step0_collect.py makes"
    assert said in done("step2_classify_dw", trained_copy)
    assert "nothing new" in done("step2_classify_dw", trained_copy)
    (trained_copy / "NEB_calculations/T0.05").mkdir()
    (trained_copy / "NEB_calculations/T0.05/NON-DW.txt").write_text("")
    assert "no labels at T = 0.05" in refused("step1_train_dw", trained_copy)


def test_pairs_of_a_pretraining_set_are_not_listed_to_be_calculated_and_others_by_chance_alone_if_asked_for(
    trained_copy,
):
    work, top = Workspace(trained_copy), with_features(trained_copy, read_predicted(trained_copy).head(5))
    taught = top.assign(i=top["j"] + 1e-15, j=top["i"])  # the other way round and with float noise
    taught[:2].assign(is_dw=0).reset_index(drop=True).to_feather(work.at("0.1").pretraining(CLASSIFIER))
    taught[3:].assign(quantum_splitting=0.01).reset_index(drop=True).to_feather(work.at("0.1").pretraining(PREDICTOR))
    with (trained_copy / "config.yaml").open("a") as config:
        config.write("rearrangements: {list_once: false}\n")
    done("step4_predict_qs", trained_copy)
    assert read_predicted(trained_copy)["tls_probability"].is_monotonic_decreasing
    left = keys(read_predicted(trained_copy))
    assert keys(top)[2] in left
    assert not set(left) & set(keys(top[:2]) + keys(top[3:]))
    assert set(keys(top)) < set(keys(read_predicted(trained_copy, "allpairs")))


def test_the_validators_write_and_print_the_same_figures_and_the_page_shows_them_while_the_models_are_the_same(
    trained_copy,
):
    said = done("validate_dw", trained_copy, run=run_drawing)
    written = (trained_copy / "output_ML/dw_classifier_performances.txt").read_text()
    assert written in said
    assert written.index("training set") < written.index("test set")
    used = pd.read_feather(trained_copy / "MLmodel/dw-classification-T01/used.feather")
    of_model, _, of_likes = written.partition(TOLD)
    assert of_likes
    counted = [int(line.split()[-1]) for line in of_model.splitlines() if "called" in line or "missed" in line]
    assert sum(counted) == len(used)
    said = json.loads(done("validate_qs", trained_copy, "--json", run=run_drawing))
    figures = said["temperatures"]["0.1"]
    assert list(figures) == ["train_set", "all_labels", "out_of_fold", "likes"]
    of_all = "\n".join(said["messages"]).partition("all labels")[2]
    for what, value in figures["all_labels"].items():
        written = re.search(f"^ +{re.escape(what)} +(.+)$", of_all, re.MULTILINE)[1]
        assert written == "n/a" if value is None else float(written) == pytest.approx(value, abs=5e-5)
    pictures = sorted(path.name for path in trained_copy.rglob("output_ML/**/*.png"))
    assert pictures == [
        "TLS-search-efficiency.png",
        "qs-true_vs_AI_testset.png",
        "qs-true_vs_AI_trainingset.png",
        "reliability-dw.png",
        "reliability-tls.png",
        "splitting_cdf_T0.1.png",
    ]
    for path in trained_copy.rglob("output_ML/**/*.png"):
        assert imread(path).std() > 0.01
    page, card = Workspace(trained_copy).report, card_of(trained_copy, PREDICTOR)
    done("report", trained_copy)
    text = re.sub(r">\s+<", "><", page.read_text())
    assert "Predictor of the splitting, what to expect of a new glass: glasses kept out" in text
    assert "trained again since" not in text
    assert card.training_seconds > 0
    assert f"<td>{card.trained}</td><td>{card.training_seconds:.3g}</td>" in text
    assert text.count("<img") == 5  # two reliabilities, true against predicted, distributions, search
    path = Workspace(trained_copy).at("0.1").card(PREDICTOR)
    path.write_text(path.read_text().replace(card.trained, "2026-01-01T00:00:00+00:00"))
    done("report", trained_copy)
    assert "The predictor was trained again since validate_qs.py judged it" in page.read_text()


def test_steps_out_of_order_say_which_step_to_run_and_too_few_labels_are_refused(workspace):
    for step, before in (
        ("step1_train_dw", "step0_collect"),
        ("step2_classify_dw", "step0_collect"),
        ("step4_predict_qs", "step2_classify_dw"),
        ("validate_dw", "step1_train_dw"),
        ("validate_qs", "step3_train_qs"),
        ("interpret", "step1_train_dw"),
    ):
        for given in ((), ("-T", "0.1")):
            assert f"run {before}.py" in refused(step, workspace, *given)
    done("step0_collect", workspace)
    assert "no model yet; run step1_train_dw.py" in refused("step2_classify_dw", workspace, "-T", "0.1")
    for step, missing in (("step1_train_dw", "labels"), ("step3_train_qs", "splittings")):
        assert f"no temperature has both pair tables and {missing}" in refused(step, workspace)
        assert "no labels at T = 0.1" in refused(step, workspace, "-T", "0.1")
    pairs = read_pairs(workspace)
    is_dw, _ = synthetic.rule(pairs)
    synthetic.write_neb(workspace, pairs[is_dw].head(60))
    assert "0 non-DW pairs to train on, 10 needed" in refused("step1_train_dw", workspace)
    synthetic.write_neb(workspace, pairs[~is_dw].head(5))
    assert "non-DW pairs to train on, 10 needed" in refused("step1_train_dw", workspace)
    (workspace / "NEB_calculations/T0.1/Qs_calculations.txt").write_text("")
    assert "no labels" in refused("step3_train_qs", workspace)
    assert not list(workspace.glob("MLmodel/*"))


def test_with_few_labels_figures_and_pictures_are_of_all_of_them_out_of_fold(workspace):
    done("step0_collect", workspace)
    pairs = read_pairs(workspace)
    is_dw, splitting = synthetic.rule(pairs)
    tls = is_dw & (splitting < 0.00151)
    for some, count in ((tls, 1), (is_dw & ~tls, 9), (~is_dw, 10)):
        synthetic.write_neb(workspace, pairs[some].sample(count, random_state=0))
    needed = "few labels (double wells: 10, non-DW pairs: 10); a test set to judge on takes double wells: 100"
    assert done("step1_train_dw", workspace).count(needed) == 1
    done("step2_classify_dw", workspace)
    assert done("step3_train_qs", workspace).count("few labels (double wells: 10, TLS: 1)") == 1
    assert "nan" not in done("step4_predict_qs", workspace)
    assert read_predicted(workspace)["tls_probability"].between(0, 1, inclusive="neither").all()
    for validator, instead in (("validate_dw", 20), ("validate_qs", 10)):
        said = done(validator, workspace)
        assert said.count("few labels") == 1
        assert "test set: too few to judge (double wells: 2" in said
        figures = said[said.index("too few to judge") :]
        assert figures.splitlines()[1].startswith("  all labels, ")
        assert figures.splitlines()[2].split() == ["pairs", str(instead)]
        assert "n/a" not in said
    for name in ("qs-true_vs_AI_testset", "T0.1/splitting_cdf_T0.1", "T0.1/TLS-search-efficiency"):
        assert len(pd.read_csv(workspace / f"output_ML/{name}.csv")) in (10, 20)  # the distributions are two
    reliability = pd.read_csv(workspace / "output_ML/T0.1/reliability-dw.csv")
    assert reliability.groupby("by")["pairs"].sum().tolist() == [20, 20]


def test_limits_that_no_model_meets_are_told(trained_copy):
    before = card_of(trained_copy)
    (trained_copy / "config.yaml").write_text("classifier: {train_hours: 1e-9}\n")
    assert "no model was trained in classifier.train_hours = 1e-09" in refused("step1_train_dw", trained_copy)
    assert card_of(trained_copy) == before
    limited = synthetic.QUICK.replace("fast: true", "fast: true, max_seconds_per_pair: 1e-12")
    (trained_copy / "config.yaml").write_text(limited)
    assert "no model met max_seconds_per_pair = 1e-12: the fastest is kept" in done("step1_train_dw", trained_copy)


def test_a_model_of_another_version_or_that_does_not_fit_the_tables_is_refused(trained_copy):
    card = trained_copy / "MLmodel/dw-classification-T01/card.json"
    good = card.read_text()
    card.write_text(good.replace('"autogluon.tabular": "', '"autogluon.tabular": "0.'))
    assert "trained with autogluon.tabular 0." in refused("step2_classify_dw", trained_copy)
    card.write_text(good)
    (trained_copy / "config.yaml").write_text("particles: 2\n")
    done("step0_collect", trained_copy)
    assert "lacks displacement_2, 0to2" in (said := refused("step2_classify_dw", trained_copy))
    assert "run step1_train_dw.py" in said
    path = trained_copy / "output_ML/T0.1/DW_T0.1.feather"
    pd.read_feather(path).drop(columns="PR").to_feather(path)
    assert "changed since step2_classify_dw.py wrote it: run that step" in refused("step4_predict_qs", trained_copy)


def test_real_minima_that_come_in_cost_no_new_training_and_its_classifier_is_as_good_as_plain_boosted_trees(
    data, tmp_path
):
    """A copy of the real data at T = 0.062, ten minima aside until the models are trained."""
    work, aside = Workspace(tmp_path).at("0.062"), tmp_path / "aside"
    shutil.copytree(data / "Configurations/minima/T0.062", work.glass(148750000).parent)
    shutil.copytree(data / "NEB_calculations/T0.062", work.neb)
    for folder in (aside, tmp_path / "MLmodel"):
        folder.mkdir()
    for name in ("classifier", "predictor"):
        shutil.copy(data / f"MLmodel/pretraining-{name}-T0062.feather", tmp_path / "MLmodel")
    for path in tmp_path.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (tmp_path / "config.yaml").write_text(synthetic.QUICK)
    for k, path in enumerate(sorted(work.glass(148750000).iterdir())):
        if k % 3:  # a third is enough
            path.unlink()
        elif k % 31 == 0:
            path.rename(aside / path.name)
    for step in ("step0_collect", "step1_train_dw", "step3_train_qs", "validate_dw"):
        done(step, tmp_path)
    for path in aside.iterdir():
        path.rename(work.glass(148750000) / path.name)
    assert "nothing new computed" not in done("step0_collect", tmp_path)
    assert "nothing new since" in done("step1_train_dw", tmp_path)
    done("step2_classify_dw", tmp_path)
    done("step4_predict_qs", tmp_path)
    assert len(read_predicted(tmp_path, temperature="0.062"))
    assert card_of(tmp_path, PREDICTOR, "0.062").sources == {"pretraining": 5950}
    _, test_set = (tmp_path / "output_ML/dw_classifier_performances.txt").read_text().split("test set")
    figures = {line[:38].strip(): line[38:].strip() for line in test_set.splitlines()[1:] if line.strip()}
    train, test = (pd.read_feather(work.model_set(CLASSIFIER, which)) for which in ("train", "test"))
    features = [name for name in card_of(tmp_path, temperature="0.062").features if train[name].notna().any()]
    plain = HistGradientBoostingClassifier(class_weight="balanced", random_state=0)
    plain.fit(train[features], train["is_dw"])
    by_plain = balanced_accuracy_score(test["is_dw"], plain.predict(test[features]))
    assert float(figures["balanced accuracy"]) > by_plain - 0.01
    assert float(figures["balanced accuracy"]) > 0.97


def test_a_ready_made_table_of_real_pairs_goes_through_with_some_of_its_labels(data, tmp_path):
    """T = 0.07 without its labels is the database; 60 % of the labels stand for NEB results."""
    labelled = pd.read_feather(data / "MLmodel/pretraining-classifier-T007.feather")
    splittings = pd.read_feather(data / "MLmodel/pretraining-predictor-T007.feather")
    folder = tmp_path / "Configurations/pairs/T0.07"
    folder.mkdir(parents=True)
    labelled.drop(columns="is_dw").to_feather(folder / "database.feather")
    (tmp_path / "config.yaml").write_text(synthetic.QUICK)
    no_wells = labelled[labelled["is_dw"] == 0].sample(frac=0.6, random_state=0).astype({"is_dw": int})
    wells = splittings.sample(frac=0.6, random_state=0)
    wells = wells.assign(is_dw=1, i=wells["j"], j=wells["i"])
    write_neb_results(Workspace(tmp_path).at("0.07"), pd.concat([no_wells, wells]))
    said = done("step0_collect", tmp_path)
    assert "ready-made table: 33672 pairs" in said
    for step in LEARNING:
        done(step, tmp_path)
    # The answers that were held back: few of the double wells are TLS; at the top of the list most must be.
    assert (splittings["quantum_splitting"] < 0.00151).mean() < 0.02
    answers = dict(zip(keys(splittings), splittings["quantum_splitting"], strict=True))
    top = [answers.get(key, np.inf) < 0.00151 for key in keys(read_predicted(tmp_path, temperature="0.07").head(50))]
    assert np.mean(top) > 0.6
