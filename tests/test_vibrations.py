"""Vibrations: zero-point energies, attempt frequencies, the splitting of V + Z, against formulas and exact models."""

from functools import partial

import numpy as np
import pytest
from formulas import double_well, profile_of_formula
from oscillator_basis import HBAR
from soft_sphere_atoms import make_atoms
from steps import ROOT

from benchmarks.continuation import cases
from glass.band import find_path
from glass.double_well import potential_of, profile_of
from glass.relaxation import answered, one_by_one
from glass.response.bonds import bonds_of
from glass.response.vibrations import (
    attempt_frequency,
    find_saddle,
    hessian_by_differences,
    squared_frequencies,
    vibrational_entropy_difference,
    with_zero_point,
    zero_point_along,
    zero_point_energy,
    zero_point_of_blocks,
)
from glass.soft_spheres import calculator
from glass.tunnelling import lowest_levels
from glass.two_level import tunnelling_action
from pipeline.formats.lammps import read_minimum


@pytest.fixture(scope="module")
def pair():
    found = [read_minimum(ROOT / f"tests/checked_pair/{name}.conf") for name in ("0.2589721001", "0.2589756530")]
    return [make_atoms(one.positions, one.diameters, one.box) for one in found]


def spring(positions, stiffness=(1.0, 4.0, 9.0)):
    """One particle in three springs."""
    return 0.5 * (stiffness * positions**2).sum(), -np.asarray(stiffness) * positions


def test_the_zero_point_energy_of_a_particle_in_springs_is_half_a_quantum_each():
    hessian = hessian_by_differences(spring, np.zeros((1, 3)))
    np.testing.assert_allclose(squared_frequencies(hessian, np.array([0.25])), [4, 16, 36], rtol=1e-6)
    assert zero_point_energy(hessian, np.array([0.25]), 0.1) == pytest.approx(0.05 * (2 + 4 + 6))
    along = np.array([[0.0, 3.0, 0.0]])
    assert zero_point_energy(hessian, np.array([0.25]), 0.1, along) == pytest.approx(0.05 * (2 + 6))
    blocks = hessian.reshape(1, 3, 3)
    assert zero_point_of_blocks(blocks, np.array([0.25]), 0.1) == pytest.approx(0.05 * (2 + 4 + 6))


def test_the_hessian_of_soft_spheres_is_that_of_differences_and_blocks_are_its_own(pair):
    atoms = pair[0][:]
    bonds = bonds_of(atoms, calculator(atoms))
    by_formula = bonds.hessian().toarray()
    np.testing.assert_allclose(
        hessian_by_differences(potential_of(atoms, calculator), atoms.positions), by_formula, atol=0.05
    )
    blocks = by_formula.reshape(150, 3, 150, 3)[np.arange(150), :, np.arange(150)]
    np.testing.assert_allclose(bonds.particle_blocks(), blocks, atol=1e-9)


def valley(positions):
    """V = 0.02 (u² − 1)² + ½ k(x) y² + ½ 9 z², u = x/0.2, k = 4 at the minima and 1 on the top: all by hand."""
    x, y, z = positions[0]
    u = x / 0.2
    k, dk = 1 + 3 * u**2, 6 * u / 0.2
    energy = 0.02 * (u**2 - 1) ** 2 + 0.5 * k * y**2 + 4.5 * z**2
    return energy, -np.array([[0.08 * u * (u**2 - 1) / 0.2 + 0.5 * dk * y**2, k * y, 9 * z]])


def test_the_attempt_frequency_is_vineyards():
    """ν = (1/2π) √(8 · 0.02/0.2² · 4 · 9)/√(1 · 9) = (1/2π) 4; mass 4 halves it."""
    hessian = partial(hessian_by_differences, valley)
    saddle = find_saddle(valley, hessian, np.array([[0.013, 0.02, -0.01]]))
    np.testing.assert_allclose(saddle.positions, 0, atol=1e-6)
    minimum = hessian(np.array([[0.2, 0.0, 0.0]]))
    assert attempt_frequency(minimum, saddle.hessian, np.ones(1)) == pytest.approx(4 / (2 * np.pi), rel=1e-3)
    assert attempt_frequency(minimum, saddle.hessian, np.array([4.0])) == pytest.approx(2 / (2 * np.pi), rel=1e-3)


def test_newtons_method_gives_no_saddle_where_it_ends_in_a_minimum():
    assert find_saddle(valley, partial(hessian_by_differences, valley), np.array([[0.19, 0.01, 0.0]])) is None


def test_the_stiffer_well_has_the_smaller_entropy():
    one, other = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 4.0, 9.0])
    assert vibrational_entropy_difference(one, other, np.ones(1)) == pytest.approx(-np.log(2))


def test_vibrations_of_a_glass_have_three_translations_and_blocks_come_near_the_whole(pair):
    """The pair's ΔZPE; single particles give it to 0.013 ε rms in the example."""
    known = [bonds_of(atoms, calculator(atoms)) for atoms in pair]
    squared = squared_frequencies(known[0].hessian().toarray(), np.ones(150))
    assert (np.abs(squared[:3]) < 1e-7 * squared[-1]).all()
    assert squared[3] > 1e-4 * squared[-1]
    whole = [zero_point_energy(one.hessian().toarray(), np.ones(150), HBAR) for one in known]
    blocks = [zero_point_of_blocks(one.particle_blocks(), np.ones(150), HBAR) for one in known]
    assert blocks[1] - blocks[0] == pytest.approx(whole[1] - whole[0], abs=0.03)


def test_the_action_of_a_quartic_is_that_of_quadrature():
    height, half = 0.03, 0.2
    formula, slope = double_well(height, half)
    profile = profile_of_formula(formula, slope, (-half, half), images=41)
    level = np.mean(lowest_levels(profile, HBAR))
    x = np.linspace(-half, half, 200_001)
    action = np.sqrt(2 * np.maximum(formula(x) - level, 0)).sum() * (x[1] - x[0]) / HBAR
    assert tunnelling_action(profile, HBAR) == pytest.approx(action, rel=2e-3)


# V + Z
def test_a_zero_point_energy_that_does_not_change_changes_no_splitting():
    def straight(positions):
        x, y, z = positions[0]
        u = x / 0.2
        return 0.02 * (u**2 - 1) ** 2 + 2 * y**2 + 2 * z**2, -np.array([[0.08 * u * (u**2 - 1) / 0.2, 4 * y, 4 * z]])

    line = np.linspace([[-0.2, 0, 0]], [[0.2, 0, 0]], 21)
    band = find_path([straight] * 21, line, 1e-5, 500)
    profile = answered(profile_of(band, HBAR), one_by_one([straight]))
    hessian = partial(hessian_by_differences, straight)
    places, zero_point = zero_point_along(band.positions, band.energies, np.ones(1), profile, hessian, HBAR)
    np.testing.assert_allclose(zero_point, HBAR * 2, rtol=1e-5)
    added = with_zero_point(profile, places, zero_point)
    np.testing.assert_allclose(lowest_levels(added, HBAR), lowest_levels(profile, HBAR), rtol=1e-4)


def test_with_the_zero_point_energy_the_first_exact_model_splits_as_in_another_program():
    """Exact 0.00102141 ε, V 0.0009578, V + Z 0.0011496 (at 41 images)."""
    _, model, exact, bands = next(iter(cases(1, 0)))
    band = bands[1]
    profile = answered(profile_of(band, HBAR), one_by_one([model]))
    hessian = partial(hessian_by_differences, model)
    added = with_zero_point(
        profile, *zero_point_along(band.positions, band.energies, np.ones(1), profile, hessian, HBAR)
    )
    assert exact == pytest.approx(0.00102141, rel=1e-4)
    assert np.diff(lowest_levels(profile, HBAR))[0] == pytest.approx(0.0009578, rel=1e-3)
    assert np.diff(lowest_levels(added, HBAR))[0] == pytest.approx(0.0011496, rel=0.01)
