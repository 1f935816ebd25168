"""The calculator is checked at a few minima: what is wrong is named before anything is calculated."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.formats.configurations import Place
from pipeline.settings import Settings
from search.calculator import Check, KnownMinimum, check_calculator

N = 150
ENERGIES = [0.2, 0.2000001, 0.2003, 0.2005]
"""Per particle, of two minima of each of two glasses."""


def other(energy):
    return float(np.sin(1e5 * energy))


def checks(calculated, energies=ENERGIES, force=1e-5):
    found = enumerate(energies)
    return [Check(KnownMinimum(k // 2, Place(Path(f"{k}")), e), N, calculated(N * e), force) for k, e in found]


@pytest.mark.parametrize(
    ("factor", "says"),
    [
        (1 / 27.211386, r"0\.036749 times .*hartree for eV"),
        (27.211386, r"27\.211 times .*hartree for eV"),
        (1 / N, "energy per particle"),
        (-1.0, "-1 times"),
        (2, "2 times"),
    ],
)
def test_a_factor_between_energies_is_named_though_the_differences_are_small(factor, says):
    for count in (2, 3, 4):
        with pytest.raises(UserError, match=says):
            check_calculator(checks(lambda energy: factor * energy, ENERGIES[:count]), Settings())


@pytest.mark.parametrize("calculated", [lambda energy: energy, lambda energy: energy - 1234.5])
def test_energies_may_be_counted_from_elsewhere(calculated):
    check_calculator(checks(calculated), Settings())


@pytest.mark.parametrize(
    ("calculated", "says"),
    [(lambda energy: energy, "run relax_minima.py"), (other, "energies are not those")],
)
def test_minima_that_are_not_relaxed_are_named_if_all_of_several_are(calculated, says):
    with pytest.raises(UserError, match=f"none of 4 minima is one, the force .* 0.05 ε/σ .*{says}"):
        check_calculator(checks(calculated, force=0.05), Settings())
    check_calculator([*checks(lambda energy: energy, force=0.05), *checks(lambda energy: energy)], Settings())
    check_calculator(checks(lambda energy: energy, ENERGIES[:2], force=0.05), Settings())


def test_a_calculator_that_works_at_some_minima_is_not_blamed():
    failed = [Check(one.minimum, failure="the calculator failed: no") for one in checks(float)]
    with pytest.raises(UserError, match="failed at all 4 minima tried: the calculator failed: no; mend it"):
        check_calculator(failed, Settings())
    check_calculator([*failed, *checks(lambda energy: energy)[:1], None], Settings())
