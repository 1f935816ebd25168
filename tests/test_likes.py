"""What results say of the pairs of their glass that are like them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import multivariate_normal
from scipy.stats import t as student
from synthetic import BOX, text_minimum

from MLmodel import ranking
from pipeline.formats.keys import minimum_names, pair_index
from pipeline.formats.minima import places_by_key
from pipeline.matching import read_displacements
from pipeline.settings import Settings
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, Workspace
from search import likes
from search.likes import (
    Process,
    Results,
    add_likes,
    blended_tls,
    held_out,
    least_chances,
    likelihood,
    told_by,
    told_without,
)

T = "0.1"
PROCESS = Process(0.3, 5, 0.7, 0.05)


def some_results(rng, count=12, extra=4):
    """Results along random directions, and the cosines and places of some more pairs with them and of all."""
    fields = rng.normal(size=(count + extra, 4))
    fields /= np.linalg.norm(fields, axis=1)[:, None]
    cosines, places = fields @ fields.T, rng.normal(size=count + extra)
    known = Results(rng.normal(size=count), places[:count], np.empty(0), cosines[:count, :count])
    return known, cosines, places


def covariance_of(process, cosines, places):
    apart = (places[:, None] - places) / process.length
    return process.amplitude**2 * np.abs(cosines) ** (2 * process.power) * np.exp(-0.5 * apart**2)


def test_what_likes_tell_and_the_prior_make_the_posterior():
    known, cosines, places = some_results(np.random.default_rng(1))
    n, whole = len(known.known), covariance_of(PROCESS, cosines, places)
    inverse = np.linalg.inv(whole[:n, :n] + PROCESS.noise**2 * np.eye(n))
    mean = known.known.mean()
    expected = mean + whole[n:, :n] @ inverse @ (known.known - mean)
    variance = PROCESS.amplitude**2 + PROCESS.noise**2 - np.diag(whole[n:, :n] @ inverse @ whole[:n, n:])
    told = told_by(PROCESS, known, cosines[n:, :n], places[n:])
    np.testing.assert_allclose(told.variance, variance, atol=1e-9)
    np.testing.assert_allclose(told.mean, expected, rtol=1e-9)
    # A model that says the same as the prior, and as sure, is replaced by the posterior.
    splitting, chance = blended_tls(np.full(len(expected), 10**mean), np.zeros(4), told.prior_variance**0.5, told, 1.0)
    np.testing.assert_allclose(np.log10(splitting), expected, rtol=1e-9)
    share = 1 - variance / (PROCESS.amplitude**2 + PROCESS.noise**2)
    np.testing.assert_allclose(chance, share * student.cdf(0, 4, expected, variance**0.5), rtol=1e-9)


def test_the_likelihood_is_that_of_a_normal_distribution():
    known, cosines, places = some_results(np.random.default_rng(2))
    n, processes = len(known.known), [PROCESS, PROCESS._replace(noise=0.5), PROCESS._replace(amplitude=1.0)]
    density = [
        multivariate_normal(
            np.full(n, known.known.mean()), covariance_of(one, cosines, places)[:n, :n] + one.noise**2 * np.eye(n)
        )
        for one in processes
    ]
    expected = np.array([one.logpdf(known.known) for one in density])
    found = np.array([likelihood(one, known) for one in processes])
    np.testing.assert_allclose(found - 0.5 * n * np.log(2 * np.pi), expected)


def test_each_result_is_told_from_all_others_as_if_it_were_not_known():
    known, cosines, places = some_results(np.random.default_rng(3), extra=0)
    told = told_without(PROCESS, known)
    for k in range(len(known.known)):
        rest = np.arange(len(known.known)) != k
        fewer = Results(known.known[rest], places[rest], known.products, cosines[np.ix_(rest, rest)])
        covariance = covariance_of(PROCESS, cosines, places)[k, rest]
        centred = np.linalg.solve(
            covariance_of(PROCESS, fewer.cosines, fewer.places) + PROCESS.noise**2 * np.eye(rest.sum()),
            fewer.known - known.known.mean(),  # the mean stays that of all
        )
        np.testing.assert_allclose(told.mean[k], known.known.mean() + covariance @ centred)
        np.testing.assert_allclose(
            told.variance[k], told_by(PROCESS, fewer, cosines[[k]][:, rest], places[[k]]).variance
        )


@pytest.fixture
def motions(tmp_path, monkeypatch):
    """A glass in which two motions happen beside small others: list, kind of each pair, splitting by kind, results."""
    rng, folder = np.random.default_rng(4), tmp_path / f"Configurations/minima/T{T}/Cnf-1"
    folder.mkdir(parents=True)
    start, energies = rng.random((40, 3)) * BOX, (0.2 + 1e-6 * np.arange(24)).round(10)
    state = np.arange(24) % 4  # which of the two motions have happened
    for k, energy in enumerate(energies):
        step = 0.004 * rng.normal(size=start.shape)
        step[0] += 0.4 * (state[k] % 2)
        step[1] += 0.4 * (state[k] // 2)
        (folder / f"{energy:.9E}.conf.txt").write_text(text_minimum(np.ones(40), (start + step) % BOX - BOX / 2, BOX))
    at = Workspace(tmp_path).at(T)
    names = minimum_names(sorted(places_by_key(at.glass(1), 10)), 10)
    i, j = np.triu_indices(24, 1)
    kind = state[i] ^ state[j]
    i, j, kind = i[kind > 0], j[kind > 0], kind[kind > 0]
    exact = np.array([np.nan, 0.002, 0.02, np.nan])[kind]
    table = pd.DataFrame({"conf": 1, "i": names[i], "j": names[j]})
    known = np.zeros(len(table), bool)
    known[rng.permutation(len(table))[:40]] = True
    answers = pd.DataFrame({DW: (kind < 3).astype(int), "exact": exact}, pair_index(table, 10))[known]
    monkeypatch.setattr(likes, "known_answers", lambda _: answers)
    columns = {"quantum_splitting": 0.006, "splitting_K": 3.972, "tls_probability": 0.05, "dw_probability": 0.5}
    columns |= {"Delta_E": 0.01, "nearest_between": 1.0}
    listed = table.assign(**columns)
    at.pairs.mkdir(parents=True)
    listed[["conf", "i", "j", "Delta_E", "nearest_between"]].to_feather(at.glass_pairs(1))
    return at, pl.from_pandas(listed), kind, exact, known


def test_pairs_of_a_motion_that_was_calculated_take_its_verdict_and_splitting(motions):
    at, listed, kind, exact, known = motions
    found = add_likes(at, listed, ~known, 0.2, Settings())
    assert found.filter(pl.Series(known)).equals(listed.filter(pl.Series(known)))
    wells, splitting, tls = (
        found[name].to_numpy() for name in ("dw_probability", "quantum_splitting", "tls_probability")
    )
    np.testing.assert_allclose(found["splitting_K"].to_numpy()[~known], 662 * splitting[~known], rtol=1e-5)
    assert (wells[~known & (kind < 3)] > 0.75).all()
    assert (wells[~known & (kind == 3)] < 0.25).all()
    for which in (1, 2):
        some = ~known & (kind == which)
        np.testing.assert_allclose(splitting[some], exact[some], rtol=0.06)
    assert tls[~known & (kind == 1)].max() < 0.1  # 0.002 ε is above the threshold, and said to some %
    low = Settings(tls_threshold=0.003)
    again = add_likes(at, listed, ~known, 0.2, low)["tls_probability"].to_numpy()
    assert again[~known & (kind == 1)].min() > 0.7
    assert again[~known & (kind == 2)].max() < 0.05


def test_results_tell_as_much_where_their_pairs_are_not_on_the_list(motions):
    at, listed, _, _, known = motions
    left = listed.filter(pl.Series(~known))
    found = add_likes(at, left, np.ones(len(left), bool), 0.2, Settings())
    assert found.equals(add_likes(at, listed, ~known, 0.2, Settings()).filter(pl.Series(~known)))
    at.output.mkdir(parents=True)
    at.glass_pairs(1).rename(at.classified_features)  # pair tables are large: taken away once step 2 is done
    assert found.equals(add_likes(at, left, np.ones(len(left), bool), 0.2, Settings()))


def test_pairs_that_overlap_a_calculated_double_well_have_a_chance(motions):
    at, listed, kind, _, known = motions
    is_well = known & (kind == 1) & (np.arange(len(kind)) % 2 == 0)
    wells, others = (listed.filter(pl.Series(rows)) for rows in (is_well, ~is_well))
    every = pair_index(pl.concat([wells, others]).to_pandas(), 10)
    there = read_displacements(at, 1, *(every.get_level_values(name).to_numpy() for name in ("low", "high")))
    fields = there.displacements.fields(np.arange(len(every)))
    overlap = np.abs(fields[len(wells) :] @ fields[: len(wells)].T).max(axis=1)
    assert 0 < (overlap >= 0.95).sum() < len(others)
    labels = listed.to_pandas()[known].assign(**{DW: is_well[known].astype(int)})
    calculated = known[~is_well]
    assert (overlap[calculated] >= 0.95).any()
    least = np.where((overlap >= 0.95) & ~calculated, 0.2, 0)
    np.testing.assert_array_equal(least_chances(at, labels)(others), least)
    assert least_chances(at, labels.assign(conf=2)) is None
    assert least_chances(at, labels.assign(i=labels["i"] + 1)) is None  # the same number, another glass


def test_step_2_keeps_pairs_whose_least_chance_is_enough(tmp_path, monkeypatch):
    at, chance = Workspace(tmp_path).at(T), np.array([0.5, 0.004, 0.006, 0.05, 0.1, 0.09, 0.09999999])
    at.pairs.mkdir(parents=True)
    table = pd.DataFrame({"conf": 1, "i": np.arange(7.0), "j": 9.0, "Delta_E": 0.01, "total_displacement": chance})
    table["nearest_between"] = [1, 0.8, 0.95, 1, 0.7, 0.9, 1]
    for conf, rows in (1, table[:4]), (2, table[4:].reset_index(drop=True)):
        rows.to_feather(at.glass_pairs(conf))
    monkeypatch.setattr(ranking, "AT_ONCE", 1)
    monkeypatch.setattr(ranking, "_predict", lambda at, task, name, pairs: pairs["total_displacement"].to_numpy())

    def kept(at_least):
        card = SimpleNamespace(training="")
        looked_at, listed = ranking.classify_tables(at, card, Settings(processes=1), at.pair_tables, at_least)
        assert looked_at == 7
        with_features = pd.read_feather(at.classified_features)
        pd.testing.assert_frame_equal(with_features[listed.columns], listed.to_pandas())
        return dict(zip(listed["i"], listed["dw_probability"], strict=True))

    assert kept(None) == {0: 0.5, 4: 0.1}
    assert kept(lambda pairs: np.where(pairs["i"].is_in([0.0, 1.0, 2.0, 5.0]), 0.2, 0)) == {
        0: 0.5,
        2: 0.2,
        4: 0.1,
        5: 0.2,
    }


def test_results_that_are_known_are_told_from_the_others_as_well_as_new_ones(motions):
    at, listed, kind, exact, known = motions
    used = listed.to_pandas()[known].assign(**{DW: (kind[known] < 3).astype(int)})
    found = held_out(at, CLASSIFIER, used, np.full(known.sum(), 0.5), Settings())
    assert ((found.chance > 0.5) == (found.exact == 1)).mean() > 0.9
    wells = used[DW].to_numpy() == 1
    used = used[wells].assign(quantum_splitting=exact[known][wells])
    found = held_out(at, PREDICTOR, used, np.full(wells.sum(), 0.006), Settings(tls_threshold=0.003))
    np.testing.assert_allclose(found.predicted, found.exact, rtol=0.2)
    assert ((found.chance > 0.5) == (found.exact < 0.003)).all()
    assert held_out(at, PREDICTOR, used.assign(conf=2), np.full(wells.sum(), 0.006), Settings()) is None
