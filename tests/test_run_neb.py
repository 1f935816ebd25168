"""The exact calculation as a script: a verdict for every pair asked for, files that grow, what it says and refuses."""

import shutil
from unittest import mock

import ase.io
import numpy as np
import pandas as pd
import pytest
import synthetic
from ase.mep import NEBTools
from matplotlib.image import imread
from neb_glass import SETTINGS, T, minima, pairs_of, results
from steps import done, refused
from synthetic import read_minimum

from glass import soft_spheres
from glass.double_well import Verdict, potential_of
from pipeline.formats.lammps import energy_in_name, write_minimum
from pipeline.formats.results import read_neb_results, read_unfinished
from pipeline.workspace import Workspace

pytestmark = pytest.mark.slow


def told(root, temperature=T):
    at = Workspace(root).at(temperature)
    return pairs_of(pd.concat([read(at) for read in (read_neb_results, read_unfinished)]))


def test_every_pair_gets_one_verdict_and_what_was_found_is_told_drawn_and_not_done_again(calculated):
    asked = pairs_of(pd.read_csv(calculated / "pairs.csv", float_precision="round_trip"))
    assert sorted(told(calculated)) == sorted(asked)
    neb, said = read_neb_results(Workspace(calculated).at(T)), (calculated / "said.txt").read_text()
    assert (neb["is_dw"] == 1).sum() >= 5
    assert (neb["is_dw"] == 0).sum() >= 3
    assert f"double well: {(neb['is_dw'] == 1).sum()}" in said
    assert "run_neb.py --explore 100 for more, or " in said  # step 1 needs ten of both
    assert "run_neb.py --explore 100 --workspace " in said.splitlines()[-1]
    output = calculated / f"output_ML/T{T}"
    assert imread(output / "neb_paths.png").std() > 0.01
    table, wells = pd.read_csv(output / "tls_density.csv"), double_wells(calculated)
    tls = int((wells["quantum_splitting"] < 0.00151).sum())  # config.yaml
    assert table["volume"].iloc[0] == pytest.approx(80)  # 80 particles at number density 1
    assert f"of all pairs {tls / 80 / 0.00151:.3g} ({tls})" in said
    assert f": {wells['rearrangement'].nunique()} rearrangement" in said
    assert len([*(output / "pictures").glob("Cnf-*.png")]) == tls
    before = results(calculated)
    said = done("run_neb", calculated, "--pairs", calculated / "pairs.csv")
    assert "no new pairs to calculate" in said
    assert said.endswith(f"run_neb.py --explore 100 --workspace {calculated}\n")  # as labels are few
    assert results(calculated) == before


# The list of step 4
@pytest.fixture
def every_pair_is_non_dw():
    """In place of the exact calculation, where only the choice of pairs counts."""
    with mock.patch("search.exact.examine", return_value=Verdict("non-DW", "by this test")):
        yield


@pytest.fixture
def listed(glass):
    """A glass with a list of new pairs as step 4 writes it; and these pairs."""
    work = Workspace(glass)
    pairs = pd.read_csv(glass / "pairs.csv", float_precision="round_trip").head(10)
    path = work.at(T).predicted("newpairs")
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = pairs.assign(quantum_splitting=np.geomspace(1e-4, 1e-2, 10), tls_probability=0.1, dw_probability=0.9)
    listed.assign(rearrangement=np.arange(1, 11)).to_csv(path, index=False)
    return glass, pairs_of(pairs)


@pytest.mark.usefixtures("every_pair_is_non_dw")
def test_top_n_are_the_next_n_of_the_list_that_are_not_calculated(listed):
    root, pairs = listed
    assert "6 pairs to calculate" in done("run_neb", root, "--top", 6)
    assert sorted(told(root)) == sorted(pairs[:6])
    assert "2 pairs to calculate" in done("run_neb", root, "--top", 2)
    assert sorted(told(root)) == sorted(pairs[:8])
    assert "2 pairs to calculate" in done("run_neb", root)
    assert sorted(told(root)) == sorted(pairs)
    assert "no new pairs to calculate" in done("run_neb", root, "--top", 1)


@pytest.mark.usefixtures("every_pair_is_non_dw")
def test_without_a_list_pairs_can_be_chosen_by_where_they_lie(glass):
    said = done("run_neb", glass, "--explore", 4)
    assert "4 pairs to calculate" in said
    assert "chosen by where they lie" in said
    pairs = synthetic.read_pairs(glass, T).set_index(["conf", "i", "j"])
    near = pairs.loc[told(glass), "nearest_between"]
    assert sorted(near >= 1) == [False, True, True, True]


# Screened and refined
def double_wells(root, temperature=T):
    path = Workspace(root).at(temperature).double_wells
    return pd.read_csv(path, float_precision="round_trip", keep_default_na=False)


def test_only_what_could_be_a_tls_gets_all_images_and_the_rest_when_asked(glass):
    threshold, limit = 0.004, 0.012
    config = SETTINGS.replace("images: 15", "images: 31") + f"tls_threshold: {threshold}\n"
    (glass / "config.yaml").write_text(config)
    said = done("run_neb", glass, "--pairs", glass / "pairs.csv")
    first, asked = double_wells(glass), len(pd.read_csv(glass / "pairs.csv"))
    full = first["fidelity"] == "full"
    assert {*full} == {True, False}
    assert full[first["quantum_splitting"] <= limit].all()  # and those that were looked at closely
    assert said.count(", full") == full.sum()
    assert f"{(~full).sum()} of them only screened" in said
    kept = {path.stem.partition("_")[2] for path in (glass / f"output_ML/T{T}/paths").iterdir()}
    assert kept == {f"{i:.10f}_{j:.10f}" for i, j in first.loc[full, ["i", "j"]].itertuples(index=False)}
    refined = first[~full].iloc[0]
    with mock.patch("search.exact.examine", return_value=Verdict("non-DW", "refuted")):
        said = done("run_neb", glass, "--refine", 1)
    assert "1 pair to calculate" in said
    assert "non-DW: refuted" in said
    assert len(pd.read_csv(Workspace(glass).at(T).calculations)) == asked + 1
    assert pairs_of(refined.to_frame().T)[0] not in pairs_of(double_wells(glass))
    done("run_neb", glass, "--refine", 100)
    refined = double_wells(glass)
    costs = pd.read_csv(Workspace(glass).at(T).calculations, keep_default_na=False)
    again = costs[costs.duplicated(["conf", "i", "j"])]
    assert len(again) == (~full).sum()
    assert (refined["fidelity"] == "screened").sum() == (again["verdict"] == "unfinished").sum() <= 1
    refuted = pairs_of(again[again["verdict"] == "non-DW"])  # more images may show a third minimum
    assert set(pairs_of(first)) - set(pairs_of(refined)) == set(refuted)
    neb = read_neb_results(Workspace(glass).at(T))
    assert set(refuted) <= set(pairs_of(neb[neb["is_dw"] == 0]))
    both = first.merge(refined, on=["conf", "i", "j"])
    change = np.abs(np.log(both["quantum_splitting_x"] / both["quantum_splitting_y"]))
    assert (change[both["fidelity_x"] == "full"] == 0).all()
    assert change.max() < 0.15
    assert costs[costs["fidelity"] == "screened"]["images"].isin((11, 21)).all()
    assert (costs[costs["fidelity"] == "full"]["images"] == 31).all()


def test_the_images_of_what_could_be_a_tls_are_kept_as_ase_has_them_and_more_images_begin_with_them(
    calculated, tmp_path
):
    folder = calculated / f"output_ML/T{T}/paths"
    done("run_neb", calculated, "--refine", 1)
    wells = double_wells(calculated)
    row = wells[wells["fidelity"] == "full"].iloc[0]
    images = ase.io.read(folder / f"Cnf-{row['conf']}_{row['i']:.10f}_{row['j']:.10f}.extxyz", ":")
    assert len(images) == int(row["images"]) == 15
    for image in images:
        energy, forces = potential_of(image, soft_spheres.calculator)(image.positions)
        assert image.get_potential_energy() == pytest.approx(energy, abs=1e-6)
        np.testing.assert_allclose(image.get_forces(), forces, atol=1e-5)
    assert images[-1].info["path_coordinate"] == pytest.approx(float(row["path_length"]), rel=1e-5)
    assert row["mass_weighted_length"] == row["path_length"]
    barrier, asymmetry = NEBTools(images).get_barrier(fit=False)
    assert asymmetry == pytest.approx(float(row["asymmetry"]), abs=1e-6)
    assert barrier <= float(row["barrier"]) <= 1.2 * barrier
    assert float(row["force"]) <= 1e-3
    assert "no new pairs" in done("run_neb", calculated, "--pairs", calculated / "pairs.csv")
    config = (calculated / "config.yaml").read_text().replace("images: 15", "images: 25")
    (calculated / "config.yaml").write_text(config)
    anew = shutil.copytree(calculated, tmp_path / "anew")
    shutil.rmtree(anew / f"output_ML/T{T}/paths")
    rows = []
    for root in (calculated, anew):
        assert "1 pair to calculate" in done("run_neb", root, "--refine", 1)
        rows.append(pd.read_csv(Workspace(root).at(T).calculations).iloc[-1])
    continued, from_line = rows
    assert continued["images"] == from_line["images"] == 25
    assert continued["steps"] < from_line["steps"] / 2
    assert continued["quantum_splitting"] == pytest.approx(from_line["quantum_splitting"], rel=0.01)


@pytest.mark.usefixtures("every_pair_is_non_dw")
def test_all_pairs_that_could_be_double_wells_are_calculated_and_the_time_is_forecast(glass):
    (glass / "config.yaml").write_text(
        "neb: {images: 11, force_tolerance: 1.0e-2, max_steps: 40}\nclassify: {max_delta_E: 0.5, max_distance: 4.0}\n"
    )
    pairs = synthetic.read_pairs(glass, T)
    could_be = pairs[(pairs["Delta_E"] <= 0.5) & (pairs["total_displacement"] <= 4)]
    least = could_be["nearest_between"].nlargest(110).min()
    could_be = could_be[could_be["nearest_between"] >= least]
    said = done("run_neb", glass, "--all", repr(float(least)))
    assert sorted(told(glass)) == sorted(pairs_of(could_be))
    assert f"forecast for the other {len(could_be) - 24}: " in said
    assert "no new pairs" in done("run_neb", glass, "--all", repr(float(least)))


@pytest.mark.usefixtures("every_pair_is_non_dw")
def test_results_of_other_settings_are_not_mixed_without_a_word(calculated):
    path = Workspace(calculated).at(T).non_dw
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    (calculated / "config.yaml").write_text("neb: {images: 13, force_tolerance: 1.0e-3}\n")
    said = done("run_neb", calculated, "--pairs", calculated / "pairs.csv")
    assert f"T = {T}: note: earlier results were made with neb images = 15, these with 13" in said
    assert "force_tolerance" not in said


# The rounds
def test_a_round_counts_unfinished_pairs_and_does_not_send_on_to_learn_from_them(trained_copy, monkeypatch):
    """Made-up minima are no minima of the soft spheres, so that no calculation comes to a verdict."""
    monkeypatch.setattr("search.exact.check_calculator", lambda checks, settings: None)
    said = done("run_neb", trained_copy, "--top", 3, "-v")
    assert said.count("unfinished: the first is no minimum") == 3
    assert "round 1: 0 TLS in 3 NEBs" in said
    assert "no pair got a result: mend what unfinished.csv says" in said
    assert "run_neb.py --retry --workspace" in said.splitlines()[-1]
    output = trained_copy / "output_ML/T0.1"
    assert all(f"wrote {output / name}\n" in said for name in ("rounds.csv", "rounds.png"))
    first = pd.read_csv(output / "rounds.csv").iloc[0]
    assert first[["round", "nebs", "unfinished", "double_wells", "tls"]].tolist() == [1, 3, 3, 0, 0]
    done("run_neb", trained_copy, "--top", 2)
    rounds = pd.read_csv(output / "rounds.csv")
    assert rounds[["round", "nebs", "unfinished"]].to_numpy().tolist() == [[1, 5, 5]]


# What stops a pair, and what stops the run
def test_a_minimum_that_is_none_or_gone_or_another_stops_its_pairs_only(glass):
    pairs = pd.read_csv(glass / "pairs.csv", float_precision="round_trip")
    named = {energy_in_name(path): path for path in minima(glass)}
    shaken, gone, other = np.unique(pairs[["i", "j"]])[:3]

    def of(name, table):
        return (table["i"] == name) | (table["j"] == name)

    minimum = read_minimum(named[shaken])
    shifted = minimum.positions + np.random.default_rng(0).normal(0, 0.01, minimum.positions.shape)
    write_minimum(named[shaken], minimum.diameters, shifted, minimum.box)
    named[gone].unlink()
    shutil.copy(named[pairs["j"].max()], named[other])
    touched = of(shaken, pairs) | of(gone, pairs) | of(other, pairs)
    asked = pd.concat([pairs[touched & ~of(gone, pairs)], pairs[of(gone, pairs)], pairs[~touched].head(2)])
    asked.to_csv(glass / "pairs.csv", index=False)
    said = done("run_neb", glass, "--pairs", glass / "pairs.csv")
    assert said.count(f"no minimum {float(gone):.10f}") == of(gone, pairs).sum() > 0
    unfinished = read_unfinished(Workspace(glass).at(T))
    assert sorted(pairs_of(unfinished)) == sorted(pairs_of(pairs[touched & ~of(gone, pairs)]))
    for name, reason in ((shaken, "the first is no minimum"), (other, "by the minima's names")):
        assert unfinished["reason"][of(name, unfinished)].str.contains(reason).any()
    assert len(read_neb_results(Workspace(glass).at(T))) == 2
    pairs.assign(conf=99).to_csv(glass / "pairs.csv", index=False)
    assert "holds the minima of none of the pairs" in refused("run_neb", glass, "--pairs", glass / "pairs.csv")
    (glass / "pairs.csv").write_text("conf,i,j\n\n1,0.2,0.3\n1,0.2,0.2\n")
    assert "line 4: i and j are the same minimum" in refused("run_neb", glass, "--pairs", glass / "pairs.csv")
