"""Results are held back as long as all have one cause to be wrong, whatever their verdicts."""

import numpy as np
import pytest

from glass.double_well import EndPoints, Verdict
from pipeline.errors import UserError
from pipeline.formats.keys import Pair
from pipeline.settings import Settings
from search.exact import Calculation, Job
from search.one_cause import OneCause

N = 150


def calculation(difference, calculated, kind="double well", cause=""):
    ends = EndPoints(np.array([7.0, 7.0 + calculated]), np.zeros(2), difference)
    pair = Pair(1, 0.2, 0.2 + difference / N)
    return Calculation(Job(pair, ()), Verdict(kind, "", cause=cause, ends=ends), 1.0)


KINDS = [("double well", ""), ("unfinished", "energies"), ("non-DW", "")]
DIFFERENCES = [3e-4, 4e-3, 2e-5]


@pytest.mark.parametrize(
    ("factor", "says"),
    [
        (1 / 27.211386, r"0\.036749 times .*hartree for eV"),
        (1 / N, "energy per particle"),
        (-1.0, "-1 times"),
        (2, "2 times"),
    ],
)
def test_a_factor_between_energies_stops_a_run_though_small_ones_pass_for_right(factor, says):
    one_cause = OneCause(Settings())
    held = [calculation(one, factor * one, *kind) for one, kind in zip(DIFFERENCES, KINDS, strict=True)]
    assert one_cause.released(held[0]) == []
    assert one_cause.released(held[1]) == []
    with pytest.raises(UserError, match=says):
        one_cause.released(held[2])
    assert one_cause.rest() == []


def test_an_energy_that_only_looks_like_a_factor_is_held_until_another_is_right():
    one_cause = OneCause(Settings())
    results = [calculation(1e-5, 3e-5), calculation(4e-3, 4.01e-3), calculation(1e-5, 2e-5)]
    assert one_cause.released(results[0]) == []
    assert one_cause.released(results[1]) == results[:2]
    assert one_cause.released(results[2]) == results[2:]


def test_a_few_results_are_written_at_the_end():
    one_cause = OneCause(Settings())
    results = [calculation(one, 2 * one) for one in DIFFERENCES[:2]]
    assert [*one_cause.released(results[0]), *one_cause.released(results[1])] == []
    assert one_cause.rest() == results
