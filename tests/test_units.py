"""Reduced units and metal ones: the same physics, symbols where numbers stand, no mixture."""

import re
import shutil

import ase.io
import numpy as np
import pandas as pd
import pytest
import synthetic
from neb_glass import SETTINGS, T, minima
from scipy import constants
from steps import LEARNING, done, refused
from synthetic import read_minimum

from pipeline.formats.configurations import MinimumError
from pipeline.settings import Settings
from pipeline.units import METAL
from search.conversion import to_glass

SIGMA, EPSILON, MASS = 2.21, 662 * constants.k / constants.e, 1.02e-25 / constants.atomic_mass
"""σ, ε and m of the paper in Å, eV and u."""

SOFT_SPHERES_IN_EV = f"""\
from ase.calculators.calculator import Calculator, all_changes
from glass.soft_spheres import calculator as soft_spheres

SIGMA, EPSILON = {SIGMA!r}, {EPSILON!r}


class InMetalUnits(Calculator):
    implemented_properties = ["energy", "forces"]
    forces_are_cheap = True  # as those of soft spheres: the same first Hessian

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        inside = atoms.copy()
        inside.set_cell(atoms.cell / SIGMA, scale_atoms=True)
        inside.set_array("diameters", atoms.arrays["diameters"] / SIGMA)
        inside.calc = soft_spheres(inside)
        energy, forces = inside.get_potential_energy(), inside.get_forces()
        self.results = {{"energy": EPSILON * energy, "forces": EPSILON / SIGMA * forces}}


def calculator(atoms):
    return InMetalUnits()
"""

METAL_SETTINGS = f"""\
units: metal
neb:
  calculator: soft_spheres_in_ev:calculator
  images: 15
  keep_paths: all
  force_tolerance: {1e-3 * EPSILON / SIGMA!r}
classify: {{max_delta_E: {0.1 * EPSILON!r}, max_distance: {2 * SIGMA!r}}}
tls_threshold: {0.00151 * EPSILON!r}
processes: 2
"""


def in_metal_units(root, target):
    """The small glass of soft spheres in Å, eV and u, with the same pairs to calculate."""
    assert "images: 15, force_tolerance: 1.0e-3" in SETTINGS  # those of METAL_SETTINGS
    folder = target / f"Configurations/minima/T{T}/Cnf-1"
    folder.mkdir(parents=True)
    names = {}
    for path in minima(root):
        minimum = read_minimum(path)
        places = SIGMA * (np.mod(minimum.positions, minimum.box) - minimum.box / 2)
        metal = SIGMA * minimum.diameters, places, SIGMA * minimum.box
        name = f"{EPSILON * minimum.energy:.10f}"
        names[round(minimum.energy, 10)] = float(name)
        (folder / f"{name}.conf.txt").write_text(synthetic.text_minimum(*metal, masses=(f"1 {MASS!r}",)))
    pairs = pd.read_csv(root / "pairs.csv").round(10).replace({"i": names, "j": names})
    pairs.to_csv(target / "pairs.csv", index=False)
    (target / "soft_spheres_in_ev.py").write_text(SOFT_SPHERES_IN_EV)
    (target / "config.yaml").write_text(METAL_SETTINGS)
    return target


@pytest.fixture(scope="module")
def metal_once(calculated_once, tmp_path_factory):
    root = in_metal_units(calculated_once, tmp_path_factory.mktemp("metal"))
    said = [done("step0_collect", root), done("run_neb", root, "--pairs", root / "pairs.csv")]
    (root / "said.txt").write_text("".join(said))
    return root


TIMES = {
    EPSILON: "quantum_splitting level_0 level_1 barrier barrier_back asymmetry tunnelling_amplitude level_asymmetry",
    SIGMA: "path_length",
    SIGMA * MASS**0.5: "mass_weighted_length",
    1.0: "level_0_in_i level_1_in_i PR rearrangement particle_0 particle_1 particle_2 images",
}
"""What the columns of double_wells.csv are in metal units; soft spheres in eV have no stress (tests/test_strain.py)."""


@pytest.mark.slow
def test_double_wells_are_the_same_physics_in_either_units(calculated_once, metal_once):
    """Where rounding lets the optimiser take other steps, they agree as far as force_tolerance goes, here to 1 %."""

    def both(name):
        tables = (pd.read_csv(root / name.format(T)) for root in (calculated_once, metal_once))
        return [table.sort_values(["i", "j"], ignore_index=True) for table in tables]

    ours, theirs = (table["verdict"].tolist() for table in both("NEB_calculations/T{}/calculations.csv"))
    assert theirs == ours
    assert {"double well", "non-DW"} <= {*ours}
    ours, theirs = both("output_ML/T{}/double_wells.csv")
    assert theirs["fidelity"].tolist() == ours["fidelity"].tolist()
    np.testing.assert_allclose(theirs["quantum_splitting"], EPSILON * ours["quantum_splitting"], rtol=0.01)
    same = theirs["steps"] == ours["steps"]
    assert same.mean() > 0.7
    ours, theirs = ours[same], theirs[same]
    assert len(ours) >= 5
    for times, names in TIMES.items():
        for name in names.split():
            digits = {"rtol": 2e-5, "atol": 2e-6 if times == 1 else 1e-11, "err_msg": name}
            np.testing.assert_allclose(theirs[name], times * ours[name], **digits)
    np.testing.assert_allclose(theirs["splitting_K"], ours["splitting_K"], rtol=2e-5)
    np.testing.assert_allclose(ours["splitting_K"], 662 * ours["quantum_splitting"], rtol=2e-5)
    assert (theirs["is_tls"] == ours["is_tls"]).all()
    assert (set(ours["units"]), set(theirs["units"])) == ({"reduced"}, {"metal"})


@pytest.mark.slow
def test_no_symbol_of_reduced_units_is_written_in_metal_ones(metal_once):
    said = (metal_once / "said.txt").read_text()
    assert re.search(r"(double well|TLS), \S+ K \(\S+ eV\)", said)
    written = [path for path in metal_once.rglob("*") if path.suffix in (".txt", ".csv", ".jsonl")]
    for text in [said, *(path.read_text() for path in written)]:
        assert not re.search("[εσ]", text)
    columns = pd.read_csv(metal_once / f"output_ML/T{T}/neb_paths.csv").columns
    assert {"mass_weighted_length_angstrom_sqrt_u", "V_eV", "level_0_eV", "level_1_eV"} < {*columns}


@pytest.mark.slow
def test_results_of_other_units_are_not_mixed(metal_once, tmp_path):
    metal = shutil.copytree(metal_once, tmp_path / "metal")
    text = (metal / "config.yaml").read_text()
    (metal / "config.yaml").write_text(text.replace("units: metal\n", ""))
    said = refused("run_neb", metal, "--pairs", metal / "pairs.csv")
    assert "neb_paths.jsonl: made with units: metal, but config.yaml says units: reduced" in said
    (metal / f"output_ML/T{T}/neb_paths.jsonl").unlink()
    assert "Cnf-1.feather: made with units: metal" in refused("run_neb", metal, "--explore", "3")


@pytest.mark.slow
def test_learning_and_predicting_keep_to_the_units_of_the_workspace(tmp_path):
    """Made-up labels: what is said and written names eV, and each step refuses what the one before made in others."""
    root = synthetic.make_workspace(tmp_path)
    same = "pairs: {max_delta_E: 1.0}\nclassify: {max_delta_E: 0.1, max_distance: 2.0}\ntls_threshold: 0.00151\n"
    metal, reduced = synthetic.QUICK + same + "units: metal\n", synthetic.QUICK + same
    (root / "config.yaml").write_text(metal)
    done("step0_collect", root)
    synthetic.write_neb(root, synthetic.read_pairs(root).sample(400, random_state=1))
    said = "".join(done(script, root) for script in (*LEARNING, "validate_dw", "validate_qs", "interpret"))
    assert "TLS expected (below 0.00151 eV)" in said
    assert "log10 of the splitting in eV" in said
    assert not re.search("[εσ]", said)
    assert "units: metal" in (root / "output_ML/dw_classifier_performances.txt").read_text()
    listed = pd.read_csv(root / "output_ML/T0.1/predictedQs_T0.1_newpairs.csv")
    assert listed["splitting_K"].tolist() == pytest.approx(
        listed["quantum_splitting"] * constants.e / constants.k, rel=2e-5
    )
    assert "splitting_eV" in pd.read_csv(root / "output_ML/T0.1/splitting_cdf_T0.1.csv")
    (root / "config.yaml").write_text(reduced)
    for script in ("step1_train_dw", "step3_train_qs"):
        assert "Cnf-1.feather: made with units: metal, but config.yaml says units: reduced" in refused(script, root)
    for script in ("step4_predict_qs", "validate_dw", "validate_qs", "interpret"):
        assert re.search(r"(dw|qs)-\w+-T01: made with units: metal, .* run step[13]", refused(script, root))
    done("step0_collect", root)
    assert "made with units: metal" in refused("step2_classify_dw", root)
    (root / "config.yaml").write_text(metal)
    assert "Cnf-1.feather: made with units: reduced" in refused("step2_classify_dw", root)


def test_a_table_made_elsewhere_says_its_units_in_a_column(tmp_path):
    table = pd.DataFrame({"conf": 1, "i": [0.1, 0.2], "j": [0.3, 0.4], "Delta_E": 0.01, "total_displacement": 1.0})
    folder = tmp_path / "Configurations/pairs/T0.1"
    folder.mkdir(parents=True)
    (tmp_path / "config.yaml").write_text("units: metal\n")
    table.to_feather(folder / "mine.feather")
    said = refused("step0_collect", tmp_path)
    assert "mine.feather: made with units: reduced" in said
    assert 'a column units with "metal" in each row' in said
    table.assign(units=["metal", "reduced"]).to_feather(folder / "mine.feather")
    assert "2 different values" in refused("step0_collect", tmp_path)
    table.assign(units="metal").to_feather(folder / "mine.feather")
    done("step0_collect", tmp_path)
    (tmp_path / "config.yaml").write_text("units: reduced\n")
    assert "made with units: metal" in refused("step0_collect", tmp_path)


def test_defaults_are_the_same_quantities_in_metal_units():
    """To two figures, as they are rounded; the threshold exactly k_B · 1 K, of which 0.00151 ε is three figures."""
    reduced, metal = Settings(), Settings.model_validate({"units": "metal"})
    for section, name, times in (
        ("pairs", "max_delta_E", EPSILON),
        ("classify", "max_delta_E", EPSILON),
        ("classify", "max_distance", SIGMA),
        ("neb", "force_tolerance", EPSILON / SIGMA),
    ):
        ours, theirs = (getattr(getattr(one, section), name) for one in (reduced, metal))
        assert theirs == pytest.approx(times * ours, rel=0.05)
    assert metal.tls_threshold == pytest.approx(constants.k / constants.e, rel=1e-12)
    assert metal.neb.sigma == 1e-10
    assert metal.neb.mass == pytest.approx(constants.atomic_mass, rel=1e-8)
    assert metal.neb.epsilon == pytest.approx(constants.e / constants.k, rel=1e-12)
    assert (METAL.sigma, METAL.epsilon, METAL.m) == pytest.approx((SIGMA, EPSILON, MASS), rel=1e-8)


def test_a_minimum_that_tells_no_mass_is_none_in_metal_units():
    atoms = ase.Atoms(numbers=[0, 0], positions=np.zeros((2, 3)), masses=[1, 1], cell=[9, 9, 9], pbc=True)
    with pytest.raises(MinimumError, match="masses in u"):
        to_glass(atoms, METAL)
