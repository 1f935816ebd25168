"""Minima of the model glass: a liquid in equilibrium, minima that are relaxed, files that the steps accept."""

import shutil

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.cluster import Icosahedron
from formulas import make_atoms, pair_energy_by_hand
from steps import done, run_process
from synthetic import read_minimum

from glass.double_well import potential_of
from glass.relaxation import Relaxed, relax
from glass.sampling import soft_sphere_glass as liquids
from glass.sampling.soft_sphere_glass import molecular_dynamics, quench, soft_spheres
from glass.sampling.trajectories import STEPS_A_PERIOD, Minima, langevin, oddity, time_step

QUICK = ("--n-particles", 100, "--sweeps", 1000, "--quenches", 24, "--interval", 400, "--sampling-temperature", 0.06)


@pytest.fixture(scope="session")
def made(once):
    """Two glasses, made at the same time by two workers; not to be changed."""
    return once("made", lambda root: done("simulate_glass", root, "-T", "0.1", "--glasses", 2, *QUICK, run=run_process))


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def minima(root, conf=1):
    return sorted((root / f"Configurations/minima/T0.1/Cnf-{conf}").glob("*.conf"))


@pytest.mark.slow
def test_every_minimum_is_relaxed_and_has_the_energy_in_its_name_and_transitions_name_them(made):
    for path in minima(made):
        minimum = read_minimum(path)
        atoms = make_atoms(minimum.positions, minimum.diameters, minimum.box)
        assert abs(atoms.get_potential_energy() / len(atoms) - float(path.stem)) < 1e-9
        assert np.linalg.norm(atoms.get_forces()) < 1e-4  # as in the public data of the paper
    table = pd.read_csv(made / "Configurations/transitions/T0.1/Cnf-1.csv", dtype={"i": str, "j": str})
    assert len(table)
    assert set(table["i"]) | set(table["j"]) <= {path.stem for path in minima(made)}
    assert table["count"].sum() <= 24 - 1


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files_another_others_and_a_glass_that_is_there_is_not_made_again(made, tmp_path):
    root = shutil.copytree(made, tmp_path / "copy")
    assert "no new glasses made" in done("simulate_glass", root, "-T", "0.1", "--glasses", 2, *QUICK)
    assert files(root / "Configurations") == files(made / "Configurations")
    names = {name: content for name, content in files(made).items() if "Cnf-1" in str(name) and ".conf" in str(name)}
    for seed, same in ((20, True), (21, False)):
        root = tmp_path / str(seed)
        done("simulate_glass", root, "-T", "0.1", "--glasses", 1, *QUICK, "--seed", seed)
        again = {name: content for name, content in files(root).items() if name.suffix == ".conf"}
        assert (again == names) is same


def test_a_run_that_is_too_short_is_called_not_equilibrated(tmp_path):
    short = ("--glasses", 1, "--n-particles", 100, "--sweeps", 100, "--quenches", 2, "--interval", 10)
    said = done("simulate_glass", tmp_path / "new", "-T", "0.06", *short)
    first, second, third, *_ = [line for line in said.splitlines() if " passed" not in line]  # of a busy machine
    assert first == "--sweeps 100: 1000 are made, a multiple of 1000"
    assert second == ("T = 0.06: 1 glass of 100 particles: 1000 sweeps, then 2 quenches at 0.06 ε, 10 time steps apart")
    assert "NOT equilibrated" in third
    assert third.endswith("relaxation time more than 250 and more than 250 sweeps")


def test_diameters_follow_their_distribution():
    """P(σ) ∝ σ⁻³ from a = 0.73 to b = 1.62 has mean 2ab/(a + b) and <σ²> = 2 ln(b/a)/(a⁻² − b⁻²)."""
    sizes = liquids.diameters(10000)
    assert sizes.mean() == pytest.approx(2 * 0.73 * 1.62 / 2.35, rel=1e-6)
    assert np.mean(sizes**2) == pytest.approx(2 * np.log(1.62 / 0.73) / (0.73**-2 - 1.62**-2), rel=1e-6)
    assert np.all((sizes > 0.73) & (sizes < 1.62))


def test_relaxation_finds_the_known_minimum_of_thirteen_lennard_jones_atoms_with_any_ase_calculator():
    """−44.326801 ε, Cambridge Cluster Database."""
    atoms = Icosahedron("Ar", 2, latticeconstant=1.6)
    atoms.rattle(0.05, seed=1)
    atoms.calc = LennardJones(rc=100)

    def calculate(positions):
        atoms.positions = positions
        return atoms.get_potential_energy(), atoms.get_forces()

    found = relax(calculate, atoms.positions.copy())
    assert found.energy == pytest.approx(-44.326801, abs=1e-5)
    assert found.gradient_norm == pytest.approx(np.linalg.norm(calculate(found.positions)[1]))
    assert found.gradient_norm < 1e-5


def test_relaxation_stays_in_its_valley():
    """V = −cos 20x: valleys are 0.31 σ wide, a first step of 1 σ would end anywhere."""
    for x in np.linspace(-0.13, 0.13, 14):
        found = relax(lambda r: (-np.cos(20 * r).sum(), -20 * np.sin(20 * r)), np.array([[x, 0.0, 0.0]]))
        np.testing.assert_allclose(found.positions, 0, atol=1e-6)


def test_a_quench_ends_where_steepest_descent_in_small_steps_ends(liquid):
    positions, box, sizes = (array.copy() for array in liquid)
    same = 0
    for found in range(6):
        velocities = np.random.default_rng(found).normal(0, np.sqrt(0.1), positions.shape)
        molecular_dynamics(positions, velocities, box, sizes, 0.1, 400, found)
        calculate = soft_spheres(box, sizes)
        place = positions.copy()
        for _ in range(20000):
            forces = calculate(place)[1]
            steepest = np.linalg.norm(forces, axis=1).max()
            if np.linalg.norm(forces) < 1e-2:
                break
            place += min(1e-3, 2e-3 / steepest) * forces
        step = quench(positions, box, sizes).positions - quench(place, box, sizes).positions
        same += np.linalg.norm(step - step.mean(0), axis=1).max() < 1e-3
    assert same >= 5


def test_relaxation_time_of_a_random_walk():
    """F_s(k) = exp(−k² s² t/2) for steps of s along each axis: 1/e at t = 2/(k s)²."""
    walk = np.random.default_rng(0).normal(0, 0.02, (1000, 100, 3)).cumsum(0)
    drift = np.linspace(0, 50, 1000)[:, None, None]
    assert liquids.relaxation_time(walk + drift) == pytest.approx(2 / (7 * 0.02) ** 2, rel=0.05)
    assert liquids.relaxation_time(walk[:50]) == np.inf


def test_minima_count_transitions_and_what_they_leave_out():
    rest, far = np.zeros((4, 3)), np.full((4, 3), 0.1)
    minima = Minima(np.full(3, 5.0))
    for energy, place, gradient in [
        (0.4, rest, 1e-6),
        (0.4 + 1e-10, rest + 5, 1e-6),  # the same, across the box
        (0.5, far, 1e-6),
        (0.4, rest, 1e-6),
        (0.4, far, 1e-6),  # another place with a label that is taken
        (0.6, far, 1e-3),  # not relaxed
        (0.5, far, 1e-6),
    ]:
        minima.add(Relaxed(energy, place, gradient))
    assert list(minima.positions) == ["0.1000000000", "0.1250000000"]
    assert minima.transitions == {("0.1000000000", "0.1250000000"): 1, ("0.1250000000", "0.1000000000"): 1}
    assert (minima.alike, minima.unrelaxed) == (1, 1)


@pytest.fixture(scope="module")
def liquid():
    return liquids.random_start(100, np.random.default_rng(2))


def test_monte_carlo_accounts_for_every_energy(liquid):
    positions, box, sizes = (array.copy() for array in liquid)
    for seed in range(10):
        before = make_atoms(positions, sizes, box).get_potential_energy()
        change = liquids.swap_monte_carlo(positions, box, sizes, 0.2, 200, seed)
        after = make_atoms(positions, sizes, box).get_potential_energy()
        assert change == pytest.approx(after - before, abs=1e-8)
    np.testing.assert_array_equal(np.sort(sizes), np.sort(liquid[2]))
    assert (sizes != liquid[2]).any()


def test_dynamics_keep_energy_and_momentum_without_a_thermostat_and_have_the_temperature_of_one(liquid):
    positions, box, sizes = (array.copy() for array in liquid)
    velocities = np.random.default_rng(0).normal(0, 0.5, positions.shape)
    velocities -= velocities.mean(0)
    total = molecular_dynamics(positions, velocities, box, sizes, 0.0, 4000, 1).sum(1)
    assert np.ptp(total) < 1e-3 * total.mean()
    assert np.abs(velocities.mean(0)).max() < 1e-12
    _, kinetic = molecular_dynamics(positions, velocities, box, sizes, 0.2, 20_000, 2)[4000:].T
    assert kinetic.mean() == pytest.approx(1.5 * 99 * 0.2, rel=0.02)


def test_two_particles_are_as_far_apart_as_boltzmann_says():
    """<V> of one pair in a box, by the integral of exp(−V/T) over a fine grid of distances and by Monte Carlo."""
    temperature, box, sizes = 1.0, np.full(3, 3.0), np.array([1.0, 1.2])
    axis = (np.arange(150) + 0.5) / 150 * 1.5
    r = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    v = pair_energy_by_hand(r, *sizes)
    expected = (v * np.exp(-v / temperature)).sum() / np.exp(-v / temperature).sum()
    positions = np.array([[0.0, 0, 0], [1.4, 0, 0]])
    energies = []
    for k in range(6000):
        liquids.swap_monte_carlo(positions, box, sizes, temperature, 100, k)
        energies.append(soft_spheres(box, sizes)(positions)[0])
    blocks = np.mean(np.reshape(energies, (20, -1)), axis=1)
    assert abs(blocks.mean() - expected) < 4 * blocks.std(ddof=1) / np.sqrt(20)


# Dynamics of any calculator
STIFF = np.linspace(1, 9, 300).reshape(100, 3)


def springs(positions):
    return 0.5 * float((STIFF * positions**2).sum()), -STIFF * positions


def test_the_time_step_is_a_part_of_the_fastest_period():
    masses = np.where(np.arange(100) == 99, 0.25, 1.0)  # ω = √(9/0.25) = 6
    step = time_step(springs, np.zeros((100, 3)), masses, np.random.default_rng(1))
    assert step * STEPS_A_PERIOD == pytest.approx(2 * np.pi / 6, rel=0.02)


def test_harmonic_springs_have_the_energy_of_equipartition():
    atoms = Atoms("H100", positions=np.zeros((100, 3)), masses=np.ones(100))
    move = langevin(atoms, springs, 0.07, np.random.default_rng(2))
    move(0.5, 600)
    energies = []
    for _ in range(60):
        move(0.5, 20)
        energies.append((springs(atoms.positions)[0], atoms.get_kinetic_energy()))
    assert np.mean(energies, axis=0) == pytest.approx([75, 75], rel=0.05)  # 300 degrees of freedom, kT/2 each


@pytest.mark.parametrize(
    ("visits", "energies", "says"),
    [
        ([0, 1, 2, 1, 0, 3, 2, 1] * 10, [0.0, 0.1, 0.2, 0.1], ""),
        ([0] * 80, [0.0], "it stays in its minimum"),
        (range(80), np.zeros(80), "its minima never come back"),
        ([0, 1, 2, 1, 0, 3] * 10 + [4, 5] * 30, [0.0, 0.1, 0.0, 0.1, -1.0, -1.0], "it crystallised"),
        ([-1] * 80, [], ""),
    ],
)
def test_a_sample_that_melts_crystallises_or_stays_is_told(visits, energies, says):
    said = oddity(list(visits), np.array(energies))
    assert said.startswith(says) if not says else says in said
    assert bool(said) == bool(says)


def test_forces_stay_where_a_calculator_writes_the_next_ones_over_them():
    """As ASE's EMT does; else differences of them are zero."""
    atoms = bulk("Al", "fcc", a=3.9) * (3, 3, 3)
    atoms.rattle(0.05, seed=1)
    potential = potential_of(atoms, lambda _: EMT())
    _, first = potential(atoms.positions)
    kept = first.copy()
    potential(1.01 * atoms.positions)
    np.testing.assert_array_equal(first, kept)
