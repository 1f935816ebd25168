"""Stress, coupling to strain and sound of soft spheres: against energies and relaxations of strained glasses."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.neighborlist import neighbor_list
from soft_sphere_atoms import make_atoms, pair_energy_by_hand
from steps import ROOT

from glass.double_well import potential_of
from glass.relaxation import relax
from glass.response.bonds import VOIGT, bonds_of
from glass.response.elasticity import moduli, sound, voigt_average
from glass.response.strain import coupling, orientation_averages, virial, virial_by_differences
from glass.soft_spheres import calculator
from pipeline.formats.lammps import read_minimum

GLASS = ROOT / "tests/checked_pair"
CHECKED = (2.6085, 1.0208, -4.2609, -2.0381, 0.8533, 1.6674)
"""γ in ε of the pair below, of another program: xx, yy, zz, yz, xz, xy."""


class AnyCell(Calculator):
    """Soft spheres by hand in a cell of any shape: energy and forces, no stress."""

    implemented_properties = ("energy", "forces")
    bonds = None

    def calculate(self, atoms, properties=None, system_changes=None):
        if self.bonds is None:  # what moves here moves by less than the rest of the reach
            self.bonds = neighbor_list("ijS", atoms, 1.25 * 1.7)
        first, second, shifts = self.bonds
        vectors = atoms.positions[second] - atoms.positions[first] + shifts @ atoms.cell.array
        one, other = atoms.arrays["diameters"][first], atoms.arrays["diameters"][second]
        r, sigma = np.linalg.norm(vectors, axis=1), 0.5 * (one + other) * (1 - 0.2 * abs(one - other))
        x = r / sigma
        slope = -12 * x**-13.0 + 2 * 48 / 1.25**14 * x - 4 * 21 / 1.25**16 * x**3
        forces = np.zeros_like(atoms.positions)
        pulls = np.where(x < 1.25, slope / sigma / r, 0)[:, None] * vectors
        for axis in range(3):
            forces[:, axis] = np.bincount(first, pulls[:, axis], len(forces))
        self.results = {"energy": 0.5 * pair_energy_by_hand(r, one, other).sum(), "forces": forces}


def any_cell(_):
    return AnyCell()


def relaxed(atoms, make_calculator=any_cell):
    found = atoms.copy()
    found.positions = relax(potential_of(atoms, make_calculator), atoms.positions, 1e-5, 200).positions
    return found


def strained(atoms, k, step):
    strain = np.zeros((3, 3))
    strain[VOIGT[k]] = strain[VOIGT[k][::-1]] = step
    found = atoms.copy()
    found.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return found


@pytest.fixture(scope="module")
def pair():
    found = []
    for name in ("0.2589721001", "0.2589756530"):
        one = read_minimum(GLASS / f"{name}.conf")
        found.append(relaxed(make_atoms(one.positions, one.diameters, one.box), calculator))
    return found


def test_the_coupling_is_that_of_another_program(pair):
    gamma = coupling(*pair, calculator)
    np.testing.assert_allclose(gamma, CHECKED, atol=1e-4)
    np.testing.assert_allclose(orientation_averages(gamma), (2.353, 2.030), atol=1e-3)


@pytest.mark.parametrize("k", [pytest.param(1, marks=pytest.mark.slow), 5], ids=["yy", "xy"])
def test_the_coupling_is_the_change_of_the_energy_difference_under_strain_with_both_minima_relaxed(pair, k):
    (low_up, low_down), (high_up, high_down) = (
        [energy_of(relaxed(strained(one, k, step))) for step in (1e-4, -1e-4)] for one in pair
    )
    change = ((high_up - low_up) - (high_down - low_down)) / 2e-4 / (1 if k < 3 else 2)
    assert 0.5 * change == pytest.approx(coupling(*pair, calculator)[k], abs=2e-3)


def energy_of(atoms):
    return potential_of(atoms, any_cell)(atoms.positions)[0]


def test_the_stress_is_that_of_energies_at_finite_strain(pair):
    np.testing.assert_allclose(virial(pair[0], any_cell), virial(pair[0], calculator), rtol=1e-5, atol=1e-4)


def test_a_calculator_s_own_stress_is_taken_with_tension_positive():
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.rattle(0.05, seed=1)
    atoms.set_cell(atoms.cell.array * 1.02, scale_atoms=True)
    atoms.calc = EMT()
    found = virial(atoms, lambda _: EMT())
    assert (found[:3] > 0).all()  # it is stretched
    np.testing.assert_allclose(found, virial_by_differences(atoms), rtol=1e-4, atol=1e-3)


def test_averages_over_orientation_are_those_of_random_directions():
    rng = np.random.default_rng(2)
    gamma = rng.normal(size=6)
    tensor = np.zeros((3, 3))
    for value, (a, b) in zip(gamma, VOIGT, strict=True):
        tensor[a, b] = tensor[b, a] = value
    frames = np.linalg.qr(rng.normal(size=(200_000, 3, 3)))[0]
    along, across = frames[:, :, 0], frames[:, :, 1]
    brute = [np.sqrt(np.mean(np.einsum("na,ab,nb->n", along, tensor, other) ** 2)) for other in (along, across)]
    np.testing.assert_allclose(orientation_averages(gamma), brute, rtol=0.01)


def test_the_hessian_is_the_derivative_of_forces(pair):
    atoms, step = pair[0], 1e-5
    hessian = bonds_of(atoms, calculator(atoms)).hessian().toarray()
    potential = potential_of(atoms, any_cell)
    for column in (0, 100, 449):
        moved = np.zeros(3 * len(atoms))
        moved[column] = step
        up, down = (potential(atoms.positions + sign * moved.reshape(-1, 3))[1] for sign in (1, -1))
        np.testing.assert_allclose(hessian[:, column], (down - up).ravel() / (2 * step), atol=2e-3)


# Sound
def test_shear_moduli_are_those_of_another_program(pair):
    """Simple shear xy, xz, yz, C_abab + σ_bb, 4.819, 4.293, 3.868 ε/σ³; strained and relaxed 4.816, 4.291, 3.867."""
    atoms = pair[0]
    lagrangian = np.diag(moduli(bonds_of(atoms, calculator(atoms)), atoms.get_volume()))
    stress = virial(atoms, calculator) / atoms.get_volume()
    np.testing.assert_allclose(lagrangian[[5, 4, 3]] + stress[[1, 2, 2]], (4.819, 4.293, 3.868), atol=1e-3)


@pytest.mark.slow
def test_sound_by_formula_is_that_of_strained_relaxations(pair):
    assert sound(pair[0], any_cell, relaxed)[1:] == pytest.approx(sound(pair[0], calculator, relaxed)[1:], rel=0.005)


def test_sound_in_a_cubic_crystal_has_the_voigt_average_of_its_three_moduli():
    moduli_of_cubic = np.diag([3.0, 3, 3, 1, 1, 1])
    moduli_of_cubic[:3, :3] += 1.5 - 1.5 * np.eye(3)
    assert voigt_average(moduli_of_cubic) == pytest.approx(((3 + 2 * 1.5) / 3, (3 - 1.5 + 3 * 1) / 5))
