"""Rearrangements: which displacement fields overlap, in the lists and at the top of step 4's."""

import numpy as np
import pandas as pd
import pytest
from steps import done

from glass import overlap as rearrangements
from glass.overlap import EDGES, displacement_field, find_rearrangements
from pipeline.formats.keys import by_pair
from pipeline.settings import Settings
from pipeline.workspace import Workspace
from search.calculated import count_tls
from search.rearrangements import each_once, group_pairs

T = "0.1"


def fields(rng, sizes, noise=0.2, length=90):
    """Unit vectors that lie around as many directions as there are sizes, of either sign; and which direction."""
    which = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    directions = np.linalg.qr(rng.normal(size=(length, len(sizes))))[0].T
    vectors = directions[which] + noise * rng.normal(size=(len(which), length)) / np.sqrt(length)
    vectors *= rng.choice([-1, 1], len(which))[:, None]
    return vectors / np.linalg.norm(vectors, axis=1)[:, None], which


def test_fields_of_one_direction_are_one_rearrangement_whatever_their_sign():
    vectors, which = fields(np.random.default_rng(1), (5, 1, 9, 3))
    found = find_rearrangements(vectors, 0.8)
    _, first = np.unique(which, return_index=True)
    in_order_of_first_pair = np.argsort(np.argsort(first))
    np.testing.assert_array_equal(found.labels, in_order_of_first_pair[which])


@pytest.mark.parametrize("overlap", [0.3, 0.8, 0.95])
def test_blocks_give_what_all_pairs_at_once_give(monkeypatch, overlap):
    monkeypatch.setattr(rearrangements, "BLOCK", 7)
    vectors, _ = fields(np.random.default_rng(2), (8, 8, 8, 8), noise=0.7)
    found = find_rearrangements(vectors, overlap)
    cosines = np.abs(vectors @ vectors.T)
    expected = np.arange(len(vectors))
    for _ in vectors:  # what is linked takes the smallest number among its links until nothing changes
        expected = np.array([expected[row >= overlap].min() for row in cosines])
    np.testing.assert_array_equal(found.labels[:, None] == found.labels, expected[:, None] == expected)
    counted, _ = np.histogram(cosines[np.triu_indices(len(vectors), 1)], EDGES)
    np.testing.assert_array_equal(found.overlaps, counted)


def test_a_displacement_crosses_the_box_the_short_way_and_does_not_drift():
    box = np.array([3.0, 4.0, 5.0])
    start = np.array([[0.1, 1, 1], [2, 2, 2], [1, 3, 4]])
    step = np.array([[-0.4, 0, 0], [0.1, 0.2, 0], [0, 0, 0]])
    field = displacement_field(start, np.mod(start + step + 0.3, box), box)
    expected = (step - step.mean(0)).ravel()
    np.testing.assert_allclose(field, expected / np.linalg.norm(expected), atol=1e-12)


def test_tls_are_counted_by_rearrangement_and_glass():
    table = pd.DataFrame(
        {
            "conf": [1, 1, 1, 2, 2, 2],
            "quantum_splitting": [0.1, 0.001, 0.001, 0.001, 0.2, 0.001],
            "rearrangement": [1, 1, 1, 1, 2, 0],
        }
    )
    assert count_tls(table, 0.00151) == "4 TLS, 2 distinct (1 without minima)"
    assert count_tls(table[:3], 0.00151) == "2 TLS, 1 distinct"
    assert count_tls(table[:1], 0.00151) == "0 TLS"


@pytest.mark.slow
def test_the_list_shows_each_rearrangement_once_before_any_again(trained_copy):
    path = trained_copy / f"output_ML/T{T}/predictedQs_T{T}_newpairs.csv"
    before = pd.read_csv(path, float_precision="round_trip")
    overlap = 0.5
    with (trained_copy / "config.yaml").open("a") as config:
        config.write(f"rearrangements: {{overlap: {overlap}, list_once: true}}\n")
    done("step4_predict_qs", trained_copy)
    after = pd.read_csv(path, float_precision="round_trip")
    settings = Settings(rearrangements={"overlap": overlap})
    numbers = group_pairs(Workspace(trained_copy).at(T), by_pair(after, 10), settings).numbers
    assert (numbers > 0).all()
    distinct = after.assign(number=numbers).drop_duplicates(["conf", "number"])
    assert 1 < len(distinct) < len(after)
    assert distinct.index.tolist() == list(range(len(distinct)))
    assert sorted(after["i"]) == sorted(before["i"])
    for part in (after[: len(distinct)], after[len(distinct) :]):
        assert part["tls_probability"].is_monotonic_decreasing


@pytest.mark.slow
def test_pairs_without_minima_stay_where_they_are(trained_copy):
    listed = pd.DataFrame({"conf": 99, "i": [0.1, 0.2], "j": [0.3, 0.4]})
    pd.testing.assert_frame_equal(each_once(Workspace(trained_copy).at(T), listed, Settings()), listed)
