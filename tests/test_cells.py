"""A double well in a triclinic cell and in a film has the splitting that it has in an orthogonal supercell."""

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import find_mic
from ase.io import write
from scipy.optimize import brentq
from steps import done

HEIGHT, HALF, TILT, STIFF = 0.05, 0.3, 2e-3, 5.0


class Bonds(Calculator):
    """Atoms 2n and 2n + 1 have a bond with two lengths along x: quartic and tilted, and stiff across."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        step, _ = find_mic(atoms.positions[1::2] - atoms.positions[::2] - [0, 0.5, 0], atoms.cell, atoms.pbc)
        u = step[:, 0] / HALF
        energy = HEIGHT * (u**2 - 1) ** 2 + TILT * u
        slope = (4 * HEIGHT * (u**2 - 1) * u + TILT) / HALF
        forces = np.zeros_like(atoms.positions)
        forces[::2] = np.column_stack([slope, STIFF * step[:, 1:]])
        forces[1::2] = -forces[::2]
        self.results = {"energy": (energy + 0.5 * STIFF * (step[:, 1:] ** 2).sum(1)).sum(), "forces": forces}


def bonds(atoms):
    return Bonds()


OBLIQUE = np.array([[3.0, 0, 0], [1.5, 2.6, 0], [1.5, 2.6, 3.0]])  # of the same lattice as with (0, 0, 3)
DOUBLED = np.diag([3.0, 5.2, 3.0])


def splitting(workspace, cell, pbc, copies, unit=1.0, mass=1.0):
    """By run_neb.py, of the bond that flips in each of the copies at these places, across the edge of the cell.

    ``unit`` of mass in the settings, in that of the paper; ``mass`` of each atom in the file, in this unit.
    """
    folder = workspace / "Configurations" / "minima" / "T0.1" / "Cnf-1"
    folder.mkdir(parents=True)
    neb = f"calculator: 'test_cells:bonds', refine_below: .inf, zero_point: never, mass: {unit * 1.02e-25}"
    (workspace / "config.yaml").write_text(f"neb: {{{neb}}}\nprocesses: 1\n")
    names = []
    for near in (-1, 1):
        u = brentq(lambda u: 4 * HEIGHT * (u**2 - 1) * u + TILT, 0.5 * near, 1.5 * near)
        bond = np.array([[0.1, 0.1, 0.1], [0.1 + u * HALF, 0.6, 0.1]])
        bond -= bond.mean(0)  # no motion of the centre
        atoms = Atoms("Ar" * 2 * len(copies), np.concatenate([bond + place for place in copies]), cell=cell, pbc=pbc)
        energy = len(copies) * (HEIGHT * (u**2 - 1) ** 2 + TILT * u)
        atoms.wrap()
        atoms.set_masses(np.full(len(atoms), mass))
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.zeros((len(atoms), 3)))
        names.append(energy / len(atoms))
        write(folder / f"{near}.extxyz", atoms)
    pd.DataFrame([[1, *sorted(names)]], columns=["conf", "i", "j"]).to_csv(workspace / "pairs.csv", index=False)
    done("run_neb", workspace, "--pairs", workspace / "pairs.csv")
    (line,) = (workspace / "NEB_calculations" / "T0.1" / "Qs_calculations.txt").read_text().splitlines()
    return float(line.split()[-1])


@pytest.mark.parametrize(
    ("pbc", "heavy"), [((True, True, True), {"unit": 4}), ((True, True, False), {"mass": 4})], ids=["triclinic", "film"]
)
def test_a_double_well_has_the_splitting_of_the_orthogonal_supercell_whatever_holds_its_mass(tmp_path, pbc, heavy):
    """Two bonds that flip together have twice the energy on √2 times the path: E(ħ) = 2 E₁(ħ/2), ħ ∝ mass^(−½)."""
    cell, doubled = (vectors * np.transpose([pbc]) for vectors in (OBLIQUE, DOUBLED))
    one = splitting(tmp_path / "one", cell, pbc, [np.zeros(3)], **heavy)
    both = splitting(tmp_path / "both", doubled, pbc, [np.zeros(3), [1.5, 2.6, 0]])
    assert both == pytest.approx(2 * one, rel=1e-3)
    assert 1e-4 < one < 0.02
