"""Rearrangements: which displacement fields overlap, their numbers, and the top of step 4's list."""

import numpy as np
import pandas as pd
import pytest
from steps import done
from synthetic import make_workspace, read_pairs, text_minimum

from glass import overlap as rearrangements
from glass.overlap import Displacements, find_rearrangements
from pipeline.formats.keys import by_pair, minimum_names
from pipeline.formats.minima import places_by_key
from pipeline.matching import read_displacements
from pipeline.settings import Settings
from pipeline.workspace import Workspace
from search.likes import Process
from search.rearrangements import count_rearrangements, distinct, number_rearrangements, representatives

T = "0.1"
BOX = np.array([3.0, 4.0, 5.0])


def glass(rng, minima=40, kinds=4, noise=0.05, particles=30):
    """Minima that differ by some of a few motions, at random drifts; and the fields of all their pairs."""
    motions = np.linalg.qr(rng.normal(size=(3 * particles, kinds)))[0].T.reshape(kinds, particles, 3)
    start = rng.random((particles, 3)) * BOX
    switched = rng.integers(0, 2, (minima, kinds)) * rng.uniform(0.3, 0.5, (minima, kinds))
    steps = np.einsum("mk,kpx->mpx", switched, motions) + noise / 9 * rng.normal(size=(minima, particles, 3))
    positions = [np.mod(start + step + rng.random(3), BOX) for step in steps]
    first, second = np.triu_indices(minima, 1)
    fields = steps[second] - steps[first]
    fields = (fields - fields.mean(axis=1, keepdims=True)).reshape(len(first), -1)
    return Displacements(positions, BOX, first, second), fields


def linked(cosines, overlap):
    labels = np.arange(len(cosines))
    while True:
        before = labels
        labels = np.array([labels[row >= overlap].min() for row in cosines])
        if (labels == before).all():
            return labels


def same_groups(one, other):
    return len(np.unique(one)) == len(np.unique(other)) == len(np.unique(np.column_stack([one, other]), axis=0))


@pytest.mark.parametrize("overlap", [0.4, 0.75, 0.97])
@pytest.mark.parametrize("block", [7, 2048])
def test_pairs_that_overlap_enough_also_through_others_are_one_rearrangement(monkeypatch, overlap, block):
    monkeypatch.setattr(rearrangements, "BLOCK", block)
    pairs, fields = glass(np.random.default_rng(2))
    unit = fields / np.linalg.norm(fields, axis=1)[:, None]
    np.testing.assert_allclose(pairs.lengths, np.linalg.norm(fields, axis=1), rtol=1e-4)
    found, expected = find_rearrangements(pairs, overlap), linked(np.abs(unit @ unit.T), overlap)
    assert 1 < len(np.unique(expected)) < len(expected)
    assert same_groups(found, expected)
    old, before = np.arange(len(found)) % 3 > 0, np.full(len(found), -1)
    before[old] = 7 * linked(np.abs(unit[old] @ unit[old].T), overlap)
    np.testing.assert_array_equal(find_rearrangements(pairs, overlap, before), found)
    assert np.unique(found, return_index=True)[1].tolist() == sorted(np.unique(found, return_index=True)[1])


def test_a_displacement_crosses_the_box_the_short_way_and_does_not_drift():
    start = np.array([[0.1, 1, 1], [2, 2, 2], [1, 3, 4]])
    step = np.array([[-0.4, 0, 0], [0.1, 0.2, 0], [0, 0, 0]])
    far = np.array([[1.3, 0, 0], [0, 0, 0], [0, 0, 0]])  # beyond half the box from the third
    places = [start, np.mod(start + step + 0.3, BOX), np.mod(start + far, BOX), np.mod(start - far, BOX)]
    first, second = np.array([0, 2]), np.array([1, 3])
    pairs = Displacements(places, BOX, first, second)
    for field, moved in zip(pairs.fields(np.arange(2)), (step, [[0.4, 0, 0], [0, 0, 0], [0, 0, 0]]), strict=True):
        expected = moved - np.mean(moved, axis=0)
        np.testing.assert_allclose(field, expected.ravel() / np.linalg.norm(expected), atol=1e-6)


@pytest.fixture
def numbered(tmp_path):
    """The pairs of two glasses on disk, what they should be linked to, and a function that numbers some of them."""
    at = Workspace(make_workspace(tmp_path, glasses=2, n_minima=12)).at(T)
    tables, cosines = [], np.zeros((132, 132))
    for k, conf in enumerate((1, 2)):
        keys = np.array(sorted(places_by_key(at.glass(conf), 10)))
        first, second = np.triu_indices(len(keys), 1)
        names = minimum_names(keys, 10)
        tables.append(pd.DataFrame({"conf": conf, "i": names[first], "j": names[second]}))
        fields = read_displacements(at, conf, keys[first], keys[second]).displacements.fields(np.arange(66))
        cosines[66 * k : 66 * (k + 1), 66 * k : 66 * (k + 1)] = np.abs(fields @ fields.T)
    table = pd.concat(tables, ignore_index=True)

    def number(rows, overlap=0.75):
        return number_rearrangements(at, table.iloc[rows], Settings(rearrangements={"overlap": overlap}))

    number.at = at
    return table, cosines, number


def test_numbers_stay_when_pairs_come_and_two_rearrangements_that_are_linked_take_the_lower(numbered):
    table, cosines, number = numbered
    rows = np.random.default_rng(0).permutation(len(table))
    some = rows[: len(rows) // 2]
    before = number(some)
    assert set(before) == set(range(1, before.max() + 1))
    np.testing.assert_array_equal(number(some[::-1])[::-1], before)
    after = number(rows)
    assert len(np.unique(after[: len(some)])) < len(np.unique(before))
    assert same_groups(after, linked(cosines, 0.75)[rows])
    for one in np.unique(after[: len(some)]):
        assert one == before[after[: len(some)] == one].min()


def test_double_wells_without_minima_are_no_distinct_ones():
    wells = pd.DataFrame({"conf": [3, 3, 4, 4], "rearrangement": [2, 2, 5, 0], "splitting": [1.0, 2.0, 3.0, 4.0]})
    assert distinct(wells)["splitting"].tolist() == [1.0, 3.0]


def test_rearrangements_are_not_counted_where_numbers_given_anew_lack_the_pairs_of_the_list(numbered):
    table, _, number = numbered
    at, newpairs = number.at, number.at.predicted("newpairs")
    at.neb.mkdir(parents=True, exist_ok=True)
    numbers = number(np.arange(len(table)))
    newpairs.parent.mkdir(parents=True, exist_ok=True)
    table.assign(rearrangement=numbers, tls_probability=0.1).to_csv(newpairs, index=False)
    settings = [Settings(rearrangements={"overlap": overlap}) for overlap in (0.75, 0.5)]
    assert count_rearrangements(at, settings[0])["pairs"].sum() == len(table)
    number([0, 1], overlap=0.5)  # as run_neb.py does before step 4
    assert count_rearrangements(at, settings[1]).empty


def test_each_rearrangement_is_represented_once_the_largest_first(numbered):
    table, _, number = numbered
    pairs, at = by_pair(table, 10), number.at
    numbers = number(np.arange(len(table)))
    size = np.bincount(numbers)
    none, chance = np.zeros(len(table), bool), np.ones(len(table))
    once = representatives(at, pairs, none, chance, Settings())
    assert sorted(numbers[once]) == list(range(1, numbers.max() + 1))
    assert (np.diff(size[numbers[once]]) <= 0).all()
    more = representatives(at, pairs, none, chance, Settings(), 5)
    assert more[: len(once)].tolist() == once.tolist()
    assert len(np.unique(more)) == len(more) == len(once) + 10  # 5 of each of two glasses
    done = np.isin(numbers, numbers[once[:3]])
    assert representatives(at, pairs, done, chance, Settings()).tolist() == once[3:].tolist()


def variance_left(cosines, pairs, known):
    """Of each pair, by the formula of doc/search.md with m = 3 and l = 1, after results with a variance of 0.04."""
    place = np.log(40 * 1e-10 * (pairs.index.get_level_values("high") - pairs.index.get_level_values("low")) + 0.001)
    shared = cosines**6 * np.exp(-((place.to_numpy()[:, None] - place.to_numpy()) ** 2) / 2)
    inverse = np.linalg.inv(shared[np.ix_(known, known)] + 0.04 * np.eye(len(known)))
    return 1 - np.diag(shared[:, known] @ inverse @ shared[known])


def test_the_next_representative_leaves_the_others_the_least_variance(numbered, monkeypatch):
    monkeypatch.setattr("search.rearrangements.ALIKE", Process(1.0, 3, 1.0, 0.2))
    table, cosines, number = numbered
    here = np.flatnonzero(table["conf"] == 1)
    pairs, at, chance = by_pair(table.iloc[here], 10), number.at, np.random.default_rng(5).random(len(here))
    done = np.arange(len(here)) % 3 == 0
    chosen = representatives(at, pairs, done, chance, Settings(), 2)
    first = len(representatives(at, pairs, done, chance, Settings()))
    known = [*np.flatnonzero(done), *chosen[:first]]
    for one in chosen[first:]:
        left = {}
        for new in np.setdiff1d(np.arange(len(here)), known):
            some = [*known, new]
            left[new] = variance_left(cosines[np.ix_(here, here)], pairs, some) @ np.where(done, 0, chance)
        assert left[one] == pytest.approx(min(left.values()), rel=1e-6)
        known.append(one)


def test_numbers_are_given_anew_where_energies_csv_exchanges_minima(tmp_path):
    folder = tmp_path / "Configurations/minima/T0.1/Cnf-1"
    folder.mkdir(parents=True)
    start = np.random.default_rng(2).random((30, 3)) * 6 - 3
    one, other = np.zeros((2, 30, 3))
    one[[3, 9]], other[[12, 20]] = [[0.3, 0, 0], [-0.3, 0, 0]], [[0, 0.3, 0], [0, -0.3, 0]]
    for k, places in enumerate([start, start + one, start + other, start + one + other]):
        text = text_minimum(np.full(30, 1.0), places, np.full(3, 6.0))
        (folder / f"{k}.data").write_text(text)
    at, found = Workspace(tmp_path).at("0.1"), []
    for order in ([0, 1, 2, 3], [0, 1, 3, 2]):
        rows = [f"{k}.data,{1 + 0.01 * place}" for k, place in enumerate(order)]
        (folder / "energies.csv").write_text("\n".join(["file,energy", *rows]) + "\n")
        said = done("step0_collect", tmp_path)
        found.append(number_rearrangements(at, by_pair(read_pairs(tmp_path), 10), Settings()).tolist())
    assert "2 names of minima now name others" in said
    assert "nothing new" in (said := done("step0_collect", tmp_path))
    assert "now name" not in said
    renamed = read_pairs(tmp_path)
    at.glass_pairs(1).unlink()
    done("step0_collect", tmp_path)
    pd.testing.assert_frame_equal(read_pairs(tmp_path), renamed, check_exact=True)
    of_pairs = [dict(zip(["01", "02", "03", "12", "13", "23"], numbers, strict=True)) for numbers in found]
    assert of_pairs[0]["01"] == of_pairs[0]["23"]
    assert of_pairs[0]["02"] == of_pairs[0]["13"] != of_pairs[0]["01"]
    assert of_pairs[1]["01"] == of_pairs[1]["23"]
    assert of_pairs[1]["03"] == of_pairs[1]["12"] != of_pairs[1]["02"]
