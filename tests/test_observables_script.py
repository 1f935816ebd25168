"""observables.py: from double wells to curves, in both units, with bands, warnings and ends."""

import numpy as np
import pandas as pd
import pytest
from neb_glass import T
from scipy import constants
from steps import ROOT, done, refused, run_drawing

from glass.response.thermal import Medium
from glass.soft_spheres import calculator as soft_spheres
from pipeline.formats.lammps import write_minimum
from pipeline.settings import NebSettings, ObservableSettings, Settings
from pipeline.workspace import Workspace
from search.thermal_properties import Tls, medium_of, observables

MEDIUM = Medium(2200.0, 5800.0, 3800.0, constants.hbar)
KELVIN = constants.k


def two_tls(**changed):
    """E of 0.2 and 0.5 K in a glass each."""
    values = {
        "glass": np.array([0, 1]),
        "splitting": KELVIN * np.array([0.2, 0.5]),
        "amplitude": KELVIN * np.array([0.2, 0.3]),
        "longitudinal": np.full(2, 1.6e-19),
        "transverse": np.full(2, 1.0e-19),
        "barriers": (KELVIN * np.full(2, 50.0), KELVIN * np.full(2, 50.0)),
        "attempts": (np.full(2, 1e12), np.full(2, 1e12)),
        "action": np.array([2.5, 3.5]),
    }
    return Tls(**{**values, **changed})


VOLUMES = np.array([3e-26, 1e-26])


def table_of(tls, **given):
    return observables(tls, VOLUMES, MEDIUM, Settings(**given), 1)


def curve(table, quantity):
    return table[table["quantity"] == quantity]


def test_the_heat_capacity_of_two_tls_is_schottkys_and_ends_at_a_fifth_of_what_is_complete():
    rows = curve(table_of(two_tls()), "heat capacity")
    e = np.array([0.2, 0.5]) / rows["x"].to_numpy()[:, None]
    by_hand = constants.k * (e**2 * np.exp(e) / (1 + np.exp(e)) ** 2).sum(axis=1) / VOLUMES.sum()
    np.testing.assert_allclose(rows["value"], by_hand, rtol=1e-10)
    assert rows["x"].max() == pytest.approx(3 * 0.00151 * 662 / 5)  # three thresholds
    assert (rows["unit"] == "J K⁻¹ m⁻³").all()
    in_reduced = rows["value"] / (constants.k / NebSettings().sigma ** 3)
    np.testing.assert_allclose(rows["value_workspace"], in_reduced)
    assert (rows["unit_workspace"] == "k_B σ⁻³").all()
    shorter = table_of(two_tls(), observables=ObservableSettings(complete_below=0.00151))
    assert curve(shorter, "heat capacity")["x"].max() == pytest.approx(0.00151 * 662 / 5)


def test_the_tunnelling_strength_is_that_of_the_formula():
    rows = curve(table_of(two_tls()), "tunnelling strength, transverse")
    window = 3 * 0.00151 * 662 * KELVIN
    by_hand = 1e-38 * (1 + 0.36) / window / VOLUMES.sum() / (2200 * 3800**2)
    assert rows["value"].item() == pytest.approx(by_hand, rel=1e-6)


def test_what_is_not_known_adds_nothing_and_the_heat_capacity_counts():
    unknown = two_tls(amplitude=KELVIN * np.array([0.2, np.nan]))
    alone = two_tls(longitudinal=np.array([1.6e-19, 0]), transverse=np.array([1e-19, 0]))
    for quantity in ("heat capacity", "internal friction, one phonon, transverse", "tunnelling strength, longitudinal"):
        one, other = (curve(table_of(tls), quantity)["value"] for tls in (unknown, alone))
        np.testing.assert_allclose(one, other)
    uncoupled = observables(two_tls(), VOLUMES, None, Settings(), 1)
    np.testing.assert_array_equal(*(curve(one, "heat capacity")["value"] for one in (uncoupled, table_of(two_tls()))))
    assert not uncoupled["quantity"].str.contains("friction|strength|conductivity").any()


def test_an_amplitude_of_which_only_a_bound_is_known_lies_in_no_bin():
    amplitude = KELVIN * 662 * np.array([1e-12, 1e-6])  # ε, in its unit of 662 K
    rows = curve(table_of(two_tls(amplitude=amplitude)), "distribution of the tunnelling amplitude")
    assert (rows["value"] > 0).sum() == 1
    assert rows["x"][rows["value"] > 0].item() == pytest.approx(-6.25)


def test_sound_of_the_example_is_that_of_another_program():
    """Means over its glasses, 4.944 and 1.999 √(ε/m), and 299.3 m/s and 9450 kg/m³ as units."""
    at = Workspace(ROOT / "example").at("0.12")
    medium = medium_of(at, Settings(), soft_spheres)
    assert medium.density == pytest.approx(9450, rel=1e-3)
    assert medium.longitudinal / 299.3 == pytest.approx(4.944, rel=2e-3)
    assert medium.transverse / 299.3 == pytest.approx(1.999, rel=5e-3)


def test_a_loss_that_is_none_and_a_classical_prefactor_in_the_cold_carry_warnings():
    table = table_of(two_tls(transverse=np.full(2, 1e-17)))
    activated = curve(table, "internal friction, with activation, transverse")
    assert activated["warning"].str.contains("classical prefactor below ħω/k = 48 K").all()
    large = activated["value"] > 0.05
    assert large.any()
    assert (activated["warning"].str.contains("too large to be a loss") == large).all()
    assert (curve(table_of(two_tls()), "heat capacity")["warning"] == "").all()


@pytest.mark.parametrize(("each", "width"), [(1, 0.05), (2, 0.0707)])
def test_a_band_is_as_wide_as_the_numbers_of_double_wells_and_glasses_make_it(each, width):
    """400 TLS in 400 glasses: Poisson's 1/√400 if each has one; (2/400)^½ if half of the glasses have two."""
    n = 400
    many = Tls(
        np.arange(n) // each,
        *(np.full(n, KELVIN * value) for value in (0.3, 0.2)),
        *(np.full(n, 1e-19) for _ in range(2)),
        *((np.full(n, KELVIN), np.full(n, KELVIN)), (np.zeros(n), np.zeros(n))),
        np.ones(n),
    )
    row = curve(observables(many, np.full(n, 1e-26), MEDIUM, Settings(), 1), "heat capacity").iloc[-1]
    half = 0.5 * (row["high"] - row["low"]) / row["value"]
    assert half == pytest.approx(width, rel=0.2)


@pytest.mark.slow
def test_the_script_writes_curves_and_a_picture_and_then_has_nothing_new(calculated):
    settings = calculated / "config.yaml"
    settings.write_text(settings.read_text() + "tls_threshold: 0.03\n")
    done("run_neb", calculated, "--pairs", calculated / "pairs.csv")
    said = done("observables", calculated, run=run_drawing)
    assert "m/s" in said
    table = pd.read_csv(calculated / f"output_ML/T{T}/observables.csv")
    assert {"heat capacity", "thermal conductivity"} < {*table["quantity"]}
    assert (curve(table, "heat capacity")["value"] > 0).all()
    assert (calculated / f"output_ML/T{T}/observables.png").stat().st_size > 10_000
    assert "nothing new" in done("observables", calculated)
    glass = Workspace(calculated).at(T).glass(1)
    write_minimum(glass / "0.5.conf", np.ones(4), np.eye(4, 3), np.full(3, 5.0))  # not the lowest: nothing changes
    assert "nothing new" in done("observables", calculated)
    min(glass.glob("*.conf")).unlink()
    assert "nothing new" not in done("observables", calculated)
    settings.write_text(settings.read_text() + "observables: {density: 2200.0}\n")
    assert "give all three" in refused("observables", calculated)
