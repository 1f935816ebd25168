"""Dynamics from the minima of what was found: simulate_glass.py --from-tls."""

import shutil

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from formulas import make_atoms
from steps import done, refused

from glass.double_well import potential_of
from glass.potentials import kob_andersen
from glass.relaxation import relax
from glass.sampling.soft_sphere_glass import diameters, quench
from pipeline.formats.keys import Pair
from pipeline.formats.lammps import write_minimum
from pipeline.formats.results import add_non_dw, add_splitting
from pipeline.workspace import Workspace
from search.picks import best_known

T, CONF, SIDE = "0.1", 7, 5
BOX, SIZES = np.full(3, float(SIDE)), np.random.default_rng(2).permutation(diameters(SIDE**3))
LATTICE = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3), -1).reshape(-1, 3) + 0.5
HOW = ("-T", T, "--from-tls", 2, "--dynamics", 0.3, "--interval", 50)


@pytest.fixture(scope="module")
def glass(tmp_path_factory):
    """Four minima of 125 soft spheres, quenched from near a lattice, a transition, a TLS and a double well."""
    root, rng = tmp_path_factory.mktemp("from-tls"), np.random.default_rng(1)
    at = Workspace(root).at(T)
    place, energies = LATTICE, []
    for _ in range(4):
        found = quench(place + rng.normal(0, 0.25, place.shape), BOX, SIZES)
        place = found.positions
        energies.append(round(found.energy / len(place), 10))
        write_minimum(at.glass(CONF) / f"{energies[-1]:.10f}.conf", SIZES, place, BOX)
    i, j, k, h = sorted(energies)
    at.transitions(CONF).parent.mkdir(parents=True)
    at.transitions(CONF).write_text(f"i,j,count\n{i},{k},5\n")
    at.neb.mkdir(parents=True)
    at.workspace.settings.write_text("ij_decimals: 12\npairs: {max_delta_E: 100.0}\n")
    add_splitting(at, Pair(CONF, i, j), 0.001)
    add_splitting(at, Pair(CONF, i, k), 0.01)
    add_non_dw(at, Pair(CONF, i, h))
    return root, (i, j, k, h)


@pytest.fixture
def copied(glass, tmp_path):
    return Workspace(shutil.copytree(glass[0], tmp_path / "copy")), glass[1]


def found_from(at, name):
    path = at.sampled_from(CONF, f"{name:.12f}")
    return ase.io.read(path, ":") if path.exists() else []


def test_minima_near_a_tls_come_into_the_same_glass_with_their_transitions(copied):
    work, starts = copied
    at = work.at(T)
    done("step0_collect", work.root)
    said = done("simulate_glass", work.root, *HOW, "--quenches", 5)
    assert said.count("5 of 5 quenches") == 3  # from i, j and k
    new, counts = set(), 0
    for name in starts[:3]:
        for frame in found_from(at, name):
            atoms = make_atoms(frame.positions, SIZES, BOX)
            assert atoms.get_potential_energy() == pytest.approx(frame.get_potential_energy(), abs=1e-6)
            assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 1e-3
            new.add(round(frame.get_potential_energy() / SIDE**3, 8))
        if found_from(at, name):
            counts += pd.read_csv(at.transitions_from(CONF, f"{name:.12f}"))["count"].sum()
    assert new - {round(name, 8) for name in starts}
    assert f"\n{sum(len(found_from(at, name)) for name in starts[:3])} minim" in said  # those of the glass do not count
    said = done("step0_collect", work.root)
    assert "0 left out" in said
    assert "unknown" not in said
    table = pd.read_feather(at.glass_pairs(CONF))
    assert set(table["conf"]) == {CONF}
    assert f"{len(table) - 6} computed" in said  # not the pairs of the four that were there
    assert {*table["i"].round(8), *table["j"].round(8)} >= new
    assert table[["Tij", "Tji"]].to_numpy().sum() == 5 + counts


def test_without_transitions_of_the_glass_those_from_a_tls_do_not_count_as_all_there_are(copied):
    work, _ = copied
    work.at(T).transitions(CONF).unlink()
    done("simulate_glass", work.root, *HOW, "--quenches", 3)
    done("step0_collect", work.root)
    assert "Tij" not in pd.read_feather(work.at(T).glass_pairs(CONF))


def test_names_of_minima_may_have_few_digits(copied):
    """125 particles, of which each has a name within 5e-5 ε: 6e-3 ε."""
    work, _ = copied
    work.settings.write_text("ij_decimals: 4\n")
    assert "1 of 1 quenches" in done("simulate_glass", work.root, *HOW, "--from-tls", 1, "--quenches", 1)


def test_it_goes_on_where_it_was_and_does_nothing_twice(copied, tmp_path):
    work, (i, *_) = copied
    other = Workspace(shutil.copytree(work.root, tmp_path / "other"))
    one = (*HOW, "--from-tls", 1, "--quenches")
    for quenches in (2, 4):
        done("simulate_glass", work.root, *one, quenches)
    path = work.at(T).glass(CONF) / f".from-{i:.12f}.npz"
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert "no new quenches" in done("simulate_glass", work.root, *one, 4)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    for damaged in (before[0][:100], b"", b"no archive"):
        path.write_bytes(damaged)
        assert f"{path}: damaged" in refused("simulate_glass", work.root, *one, 4)
    done("simulate_glass", other.root, *one, 4)
    energies = [[frame.get_potential_energy() for frame in found_from(where.at(T), i)] for where in (work, other)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-7)
    assert "2 of 4" not in done("simulate_glass", other.root, *HOW, "--quenches", 4)  # k alone is new
    assert len(list(other.at(T).glass(CONF).glob(".from-*"))) == 3


def test_tls_come_first_then_the_list_then_double_wells(copied):
    work, (i, j, k, h) = copied
    at = work.at(T)
    listed = at.predicted("newpairs")
    listed.parent.mkdir(parents=True)
    listed.write_text(f"conf,i,j,tls_probability\n{CONF},{i},{h},0.9\n{CONF},{j},{k},0.5\n{CONF},{k},{h},0.4\n")
    best = best_known(at, 0.00151, 9)
    assert [*zip(best["i"], best["j"], strict=True)] == [(i, j), (j, k), (k, h), (i, k)]
    assert len(best_known(at, 0.00151, 2)) == 2


def test_what_can_not_be_is_told_in_one_line(copied):
    work, (i, *_) = copied
    both = (*HOW, "--start", work.root / "config.yaml")
    (work.root / "config.yaml").write_text("neb: {calculator: 'glass.potentials.kob_andersen:calculator'}\n")
    assert "not allowed with" in refused("simulate_glass", work.root, *both)
    assert "--dynamics T" in refused("simulate_glass", work.root, "--from-tls", 2)
    assert "--dynamics T" in refused("simulate_glass", work.root, *both[-2:])
    assert "no structure that ASE reads" in refused("simulate_glass", work.root, *both[-2:], "--dynamics", 300)
    assert "no --melt" in refused("simulate_glass", work.root, *HOW, "--melt", 1)
    assert "takes -T" in refused("simulate_glass", work.root, *HOW[2:])
    assert "another one made the minima" in refused("simulate_glass", work.root, *HOW)
    shutil.rmtree(work.at(T).neb)
    assert "the minima of no TLS" in refused("simulate_glass", work.root, *HOW)
    add_splitting(work.at(T), Pair(CONF, i, 9.0), 0.001)
    assert "the minima of no TLS" in refused("simulate_glass", work.root, *HOW)


def test_minima_that_others_made_or_of_another_structure_are_not_mixed_with_those_of_a_structure(copied, tmp_path):
    work, _ = copied
    work.at(T).glass(CONF).rename(work.at(T).glass(1))
    counts = work.at(T).transitions(CONF).rename(work.at(T).transitions(1))
    before = counts.read_text()
    one, two = (("--start", tmp_path / f"{name}.extxyz", "--dynamics", T, "--interval", 1) for name in ("one", "two"))
    for how, shift in ((one, 0.0), (two, 0.3)):
        atoms = make_atoms(LATTICE, SIZES, BOX)
        atoms.positions[0] += shift
        ase.io.write(how[1], atoms)
    assert "did not make" in refused("simulate_glass", work.root, *one)
    assert counts.read_text() == before
    done("simulate_glass", tmp_path / "new", *one, "--quenches", 1)
    assert "another structure" in refused("simulate_glass", tmp_path / "new", *two, "--quenches", 2)


def test_types_masses_charges_ids_and_a_triclinic_cell_stay_those_of_the_glass(tmp_path):
    at, rng, n = Workspace(tmp_path).at(T), np.random.default_rng(3), 4
    cell, types = 3.8 * np.array([[1.0, 0, 0], [0.3, 1, 0], [0, -0.2, 1]]), rng.permutation([2] * 12 + [1] * 52)
    place = np.stack(np.meshgrid(*[np.arange(n)] * 3), -1).reshape(-1, 3) @ cell / n
    atoms = Atoms(numbers=np.zeros(n**3, int), positions=place, cell=cell, pbc=True)
    atoms.set_array("types", types)
    at.glass(CONF).mkdir(parents=True)
    at.workspace.settings.write_text("neb: {calculator: 'glass.potentials.kob_andersen:calculator'}\n")
    box = "0 3.8 xlo xhi\n0 3.8 ylo yhi\n0 3.8 zlo zhi\n1.14 0 -0.76 xy xz yz"
    head = f"\n\n64 atoms\n{box}\n\nMasses\n\n1 1\n2 1.5\n\nAtoms # charge\n\n"
    energies = []
    for _ in range(2):
        found = relax(potential_of(atoms, kob_andersen.calculator), place + rng.normal(0, 0.2, place.shape), 1e-5)
        energies.append(round(found.energy / n**3, 10))
        charges = 0.3 - 0.1 * np.arange(n**3)  # one of them is 6e-17
        rows = [f"{3 * k + 2} {types[k]} {charges[k]} {' '.join(map(str, found.positions[k]))}" for k in range(n**3)]
        path = at.glass(CONF) / f"{energies[-1]:.10f}.data"
        path.write_text(head + "\n".join(map(str, rng.permutation(rows))) + "\n")
    at.neb.mkdir(parents=True)
    add_splitting(at, Pair(CONF, *sorted(energies)), 0.001)
    done("simulate_glass", tmp_path, *HOW, "--quenches", 4)
    assert list(at.glass(CONF).glob("from-*"))
    assert "0 left out" in done("step0_collect", tmp_path)
