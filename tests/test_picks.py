"""Which pairs are calculated next."""

import numpy as np
import pandas as pd
import pytest

from pipeline.formats.keys import PAIR_COLUMNS, no_pairs
from pipeline.settings import ClassifySettings
from pipeline.workspace import Workspace
from search.picks import by_neighbourhood

CEILINGS = ClassifySettings()
SEED = (20, 0)


def pair_table(path, conf, n=400):
    rng = np.random.default_rng(conf)
    table = pd.DataFrame({"conf": conf, "i": np.arange(n), "j": np.arange(n) + 0.5})
    table["Delta_E"], table["total_displacement"] = rng.random((2, n)) * [[0.2], [3.0]]
    table["nearest_between"] = rng.uniform(0.5, 1.2, n)
    table.to_feather(path)
    return path


@pytest.fixture
def glasses(tmp_path):
    """Three glasses, the last of which has few pairs."""
    at = Workspace(tmp_path).at("0.1")
    at.pairs.mkdir(parents=True)
    for conf, n in ((1, 400), (2, 300), (3, 12)):
        pair_table(at.glass_pairs(conf), conf, n)
    return at


def rows_of(at, pairs):
    return pd.concat([pd.read_feather(path) for path in at.pair_tables]).merge(pairs, on=PAIR_COLUMNS)


def no_results():
    return no_pairs().index


def test_without_a_label_near_pairs_of_all_glasses_are_picked_and_a_quarter_far_ones(glasses):
    picked = by_neighbourhood(glasses, CEILINGS, no_results(), 40, SEED)
    rows = rows_of(glasses, picked)
    assert len(rows) == 40
    assert (rows["nearest_between"] >= 1).sum() == 30
    assert (rows["nearest_between"] < 0.9).sum() == 10
    assert (rows["Delta_E"] <= CEILINGS.max_delta_E).all()
    assert (rows["total_displacement"] <= CEILINGS.max_distance).all()
    assert set(rows["conf"]) == {1, 2, 3}
    assert abs((rows["conf"] == 1).sum() - (rows["conf"] == 2).sum()) <= 2


def test_pairs_with_a_result_are_not_picked_again_until_all_are_done(glasses):
    known, counts = no_results(), []
    for _ in range(30):
        picked = by_neighbourhood(glasses, CEILINGS, known, 40, SEED)
        assert not picked.index.isin(known).any()
        known, counts = known.append(picked.index), [*counts, len(picked)]
    assert counts[0] == 40
    assert counts[-1] == 0
