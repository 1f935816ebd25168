"""Observables: formulas by hand, numerical integration, the standard tunnelling model; from double wells to curves."""

import numpy as np
import pandas as pd
import pytest
from neb_glass import T
from scipy import constants
from scipy.integrate import quad
from steps import ROOT, done, refused, run_drawing

from glass.response import thermal
from glass.response.thermal import Medium, one_phonon_rate
from glass.soft_spheres import calculator as soft_spheres
from pipeline.formats.lammps import write_minimum
from pipeline.settings import NebSettings, ObservableSettings, Settings
from pipeline.workspace import Workspace
from reporting.found import draw_observables
from search.thermal_properties import Tls, medium_of, observables, observables_in_words

KELVIN = 0.00151
"""ε, in the units of the paper."""
GLASS = Medium(1.0, 4.944, 1.999, 0.01563)
T0 = 7.383e-13
"""s."""


def test_the_one_phonon_rate_is_that_of_another_program():
    """E = Δ₀ = 1 K, T = 1 K, γ_l 1.686, γ_t 1.452, v_l 4.944, v_t 1.999, ρ = 1: 3.585e9 s⁻¹."""
    one = np.array([KELVIN])
    rate = one_phonon_rate(one, one, np.array([1.686]), np.array([1.452]), GLASS, one)
    assert rate[0, 0] / T0 == pytest.approx(3.585e9, rel=2e-3)


def test_the_one_phonon_rate_in_si_is_the_integral_over_phonons_of_the_golden_rule():
    """Γ = Σ_α (2π/ħ) Σ_q |M|² δ(E − ħ v q)(2n + 1), M² = γ_α² (Δ₀/E)² ħ q/(2 ρ V v): q by numbers."""
    gamma, energy, temperature = 1.6e-19, constants.k * 0.7, 0.4
    medium = Medium(2200.0, 5800.0, 3800.0, constants.hbar)

    def of_mode(velocity, branches):
        width = 0.002 * energy

        def integrand(q):
            delta = np.exp(-0.5 * ((energy - constants.hbar * velocity * q) / width) ** 2) / np.sqrt(2 * np.pi) / width
            matrix = gamma**2 * 0.25 * constants.hbar * q / (2 * medium.density * velocity)
            return q**2 / (2 * np.pi**2) * matrix * delta

        centre = energy / (constants.hbar * velocity)
        integral = quad(integrand, 0.98 * centre, 1.02 * centre, points=[centre], epsabs=0, epsrel=1e-8)[0]
        occupied = 2 / np.expm1(energy / (constants.k * temperature)) + 1
        return branches * 2 * np.pi / constants.hbar * integral * occupied

    brute = of_mode(medium.longitudinal, 1) + of_mode(medium.transverse, 2)
    rate = one_phonon_rate(
        *(np.array([value]) for value in (energy, 0.5 * energy, gamma, gamma)),
        medium,
        np.array([constants.k * temperature]),
    )
    assert rate[0, 0] == pytest.approx(brute, rel=1e-4)


def test_many_tls_of_constant_density_have_the_linear_heat_capacity_of_the_standard_model():
    """C = (π²/6) k² n T for n(E) = n, Phillips (1987)."""
    splitting = np.linspace(0, 60, 200_001)[1:]
    assert thermal.heat_capacity(splitting, np.array([1.0])).sum() * 60 / 200_000 == pytest.approx(
        np.pi**2 / 6, rel=1e-4
    )
    assert thermal.heat_capacity(splitting, np.array([1e-4])).max() < 1  # no overflow


def standard_model(medium, gamma, strength, kT):
    """TLS of P(Δ, ln Δ₀) = P̄ on a grid of E and u = Δ₀/E: P̄ dE du/(u √(1 − u²)); weights of each."""
    energy = np.geomspace(1e-3, 60, 240) * kT
    y = (np.arange(1200) + 0.5) * 16 / 1200  # u = 1/cosh y, so that du/(u √(1 − u²)) = dy
    u, weight_u, weight_e = 1 / np.cosh(y), np.full(1200, 16 / 1200), np.gradient(energy)
    splitting, ratio = (grid.ravel() for grid in np.meshgrid(energy, u, indexing="ij"))
    weights = np.outer(weight_e, weight_u).ravel() * strength * medium.density * medium.transverse**2 / gamma**2
    return splitting, splitting * ratio, weights


def test_the_loss_of_the_standard_model_is_its_plateau():
    """Q⁻¹ = π C/2 where the symmetric TLS relax much faster than the wave; Gilroy, Phillips (1981)."""
    kT, gamma, strength = KELVIN, 1.5, 1e-3
    splitting, amplitude, weights = standard_model(GLASS, gamma, strength, kT)
    gammas = np.full(len(splitting), gamma)
    rates = one_phonon_rate(splitting, amplitude, gammas, gammas, GLASS, np.array([kT]))
    omega = 1e-13 * rates.max()  # 2e-8 of that of E = Δ₀ = kT
    modulus = GLASS.density * GLASS.transverse**2
    loss = thermal.relaxation_loss(splitting, amplitude, gammas, rates, modulus, omega, np.array([kT])) @ weights
    assert loss[0] == pytest.approx(np.pi / 2 * strength, rel=0.03)


def test_loss_of_one_tls_is_largest_where_it_relaxes_with_the_frequency():
    energy, amplitude, gamma = np.array([1.0]), np.array([0.6]), np.array([2.0])
    losses = [
        thermal.relaxation_loss(energy, amplitude, gamma, np.array([[rate]]), 5.0, 3.0, np.array([0.7]))[0, 0]
        for rate in (1.0, 3.0, 9.0)
    ]
    at_most = 4 / 0.7 * 0.64 / np.cosh(1 / 1.4) ** 2 * 0.5 / 5
    assert losses == pytest.approx([0.6 * at_most, at_most, 0.6 * at_most])
    assert thermal.resonant_loss(np.array(0.01), 3.0, 0.2, np.array([0.7]))[0] == pytest.approx(
        np.pi * 0.01 * np.tanh(0.6 / 1.4)
    )


def test_activation_adds_both_ways():
    rate = thermal.activated_rate(
        (np.array([2.0]), np.array([3.0])), (np.array([1.0]), np.array([0.5])), np.array([0.25])
    )
    assert rate[0, 0] == pytest.approx(2 * np.exp(-4) + 3 * np.exp(-2))


def test_the_tunnelling_weight_of_the_standard_model_is_its_density():
    """∫ du (u²)/(u √(1 − u²)) = 1, so that Σ (Δ₀/E)²/W is P̄."""
    splitting, amplitude, weights = standard_model(GLASS, 1.0, 1.0, 1.0)
    density = GLASS.density * GLASS.transverse**2
    found = thermal.tunnelling_weight(splitting, amplitude, 30.0) @ weights
    assert found == pytest.approx(density, rel=0.03)


def test_conductivity_is_that_of_phonons_with_their_mean_free_path():
    """κ = ⅓ Σ_α ∫ C_α(ω) v_α l_α dω, l_α⁻¹ = π P̄γ_α² ω tanh(ħω/2kT)/(ρ v_α³): by numbers, in SI."""
    medium, temperature = Medium(2200.0, 5800.0, 3800.0, constants.hbar), 0.3
    kT, strengths = constants.k * temperature, (1.2e7, 0.9e7)

    def branch(velocity, strength):
        def integrand(x):  # x = ħω/kT
            omega = x * kT / constants.hbar
            heat = constants.k * x**2 * np.exp(x) / np.expm1(x) ** 2 * omega**2 / (2 * np.pi**2 * velocity**3)
            free_path = medium.density * velocity**3 / (np.pi * strength * omega * np.tanh(x / 2))
            return heat * velocity * free_path * kT / constants.hbar

        return quad(integrand, 1e-9, 60)[0] / 3

    brute = branch(medium.longitudinal, strengths[0]) + 2 * branch(medium.transverse, strengths[1])
    formula = constants.k * thermal.thermal_conductivity(*(np.array(s) for s in strengths), medium, np.array([kT]))
    assert formula[0] == pytest.approx(brute, rel=1e-4)


# From double wells to curves, in both units, with bands, warnings and ends
MEDIUM = Medium(2200.0, 5800.0, 3800.0, constants.hbar)
K_B = constants.k


def two_tls(**changed):
    """E of 0.2 and 0.5 K in a glass each."""
    values = {
        "glass": np.array([0, 1]),
        "splitting": K_B * np.array([0.2, 0.5]),
        "amplitude": K_B * np.array([0.2, 0.3]),
        "longitudinal": np.full(2, 1.6e-19),
        "transverse": np.full(2, 1.0e-19),
        "barriers": (K_B * np.full(2, 50.0), K_B * np.full(2, 50.0)),
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
    window = 3 * 0.00151 * 662 * K_B
    by_hand = 1e-38 * (1 + 0.36) / window / VOLUMES.sum() / (2200 * 3800**2)
    assert rows["value"].item() == pytest.approx(by_hand, rel=1e-6)


def test_what_is_not_known_adds_nothing_and_the_heat_capacity_counts():
    unknown = two_tls(amplitude=K_B * np.array([0.2, np.nan]))
    alone = two_tls(longitudinal=np.array([1.6e-19, 0]), transverse=np.array([1e-19, 0]))
    for quantity in ("heat capacity", "internal friction, one phonon, transverse", "tunnelling strength, longitudinal"):
        one, other = (curve(table_of(tls), quantity)["value"] for tls in (unknown, alone))
        np.testing.assert_allclose(one, other)
    uncoupled = observables(two_tls(), VOLUMES, None, Settings(), 1)
    np.testing.assert_array_equal(*(curve(one, "heat capacity")["value"] for one in (uncoupled, table_of(two_tls()))))
    assert not uncoupled["quantity"].str.contains("friction|strength|conductivity").any()


def test_an_amplitude_of_which_only_a_bound_is_known_lies_in_no_bin_which_is_told_there_and_in_the_picture():
    amplitude = K_B * 662 * np.array([1e-12, 1e-6])  # ε, in its unit of 662 K
    table = table_of(two_tls(amplitude=amplitude))
    rows = curve(table, "distribution of the tunnelling amplitude")
    said = "1 of 2 in no bin: smaller, larger or not known"
    assert (rows["warning"] == said).all()
    assert draw_observables(table, "T", Settings()).figure.axes[3].get_title() == f"distribution of Δ₀\n{said}"
    assert (rows["value"] > 0).sum() == 1
    assert rows["x"][rows["value"] > 0].item() == pytest.approx(-6.25)


def test_where_no_tls_scatters_it_is_said_that_there_is_no_conductivity():
    tls = two_tls(splitting=K_B * np.array([20.0, 30.0]))  # all above three thresholds
    table = table_of(tls)
    assert np.isinf(curve(table, "thermal conductivity")["value"]).all()
    said = "\n".join(observables_in_words(table, MEDIUM, tls, Settings()))
    assert "no TLS below 3 K with known Δ₀ and coupling: P̄ = 0 (0 to 0) J⁻¹ m⁻³, no C_t, no κ" in said
    assert not {"nan", "inf"} & {*said.replace("(", " ").split()}
    draw_observables(table, "T", Settings()).figure.draw_without_rendering()


def test_a_band_of_the_conductivity_has_no_upper_end_where_many_replicas_have_no_tls():
    """Of one TLS in one glass a replica has none with the chance 1/e."""
    one = two_tls(splitting=K_B * np.array([0.2, 20.0]))
    rows = curve(observables(one, np.full(2, 2e-26), MEDIUM, Settings(), 1), "thermal conductivity")
    assert np.isfinite(rows[["value", "low"]]).all(axis=None)
    assert np.isinf(rows["high"]).all()


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
        *(np.full(n, K_B * value) for value in (0.3, 0.2)),
        *(np.full(n, 1e-19) for _ in range(2)),
        *((np.full(n, K_B), np.full(n, K_B)), (np.zeros(n), np.zeros(n))),
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
    for folder in list(Workspace(calculated).at(T).glasses.values()):
        folder.rename(f"{folder}0")
    assert "no double well is in a glass with minima and a volume" in refused("observables", calculated)
