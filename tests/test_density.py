"""Density of TLS: counts per volume and energy with their errors, in both units; temperatures in one picture."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from scipy import constants, stats
from synthetic import some_double_wells

from pipeline.formats.lammps import write_minimum
from pipeline.settings import Settings
from pipeline.workspace import Workspace
from reporting.found import draw_temperatures
from search.calculated import read_double_wells
from search.density import ENERGIES, densities, glass_volumes, si_density, update_density

TLS = 0.00151
VOLUMES = pd.Series({1: 100.0, 2: 300.0})


def at(table, kind, energy=TLS):
    return table[(table["kind"] == kind) & np.isclose(table["energy"], energy)].iloc[0]


def found(double_wells=None, volumes=VOLUMES):
    double_wells = some_double_wells() if double_wells is None else double_wells
    return densities(double_wells, volumes, TLS * ENERGIES)


# Numbers
def test_the_density_is_the_number_of_tls_over_volume_and_threshold():
    # some_double_wells: three TLS, all of glass 1, in two rearrangements; two of them have Δ₀/E of 0.5 and 1
    table = found()
    for kind, count in (("all", 3), ("distinct", 2), ("tunnelling", 2)):
        row = at(table, kind)
        assert row["count"] == count
        assert row["per_volume"] == pytest.approx(count / 400)
        assert row["density"] == pytest.approx(count / (400 * TLS))
    assert (row["glasses"], row["volume"]) == (2, 400)


def test_the_interval_is_the_exact_one_of_poisson():
    # its definition: at either end what was counted, or something further off, has a probability of 16 %
    of_all = found().query("kind == 'all' and count > 0")
    low, high = (of_all[f"per_volume_{end}"] * of_all["volume"] for end in ("low", "high"))
    np.testing.assert_allclose(stats.poisson.sf(of_all["count"] - 1, low), 0.16)
    np.testing.assert_allclose(stats.poisson.cdf(of_all["count"], high), 0.16)
    nothing = found().query("count == 0")
    assert (nothing["per_volume_low"] == 0).all()
    assert len(nothing)


def test_the_spread_over_glasses_of_one_size_is_the_standard_error_of_their_mean():
    rng = np.random.default_rng(3)
    conf = rng.integers(1, 9, 40)
    wells = pd.DataFrame({"conf": conf, "quantum_splitting": 1e-4, "rearrangement": 1, "tunnelling_amplitude": 1e-4})
    row = at(found(wells, pd.Series(50.0, range(1, 9))), "all")
    counts = np.bincount(conf, minlength=9)[1:]
    assert row["per_volume_sd_glasses"] == pytest.approx(stats.sem(counts) / 50)
    assert np.isnan(at(found(wells, pd.Series({1: 50.0})), "all")["per_volume_sd_glasses"])


def test_the_density_with_zero_point_energies_is_that_of_asymmetries_drawn_with_them():
    rng = np.random.default_rng(4)
    n = 300
    amplitude = 10.0 ** rng.uniform(-6, -2, n)
    asymmetry = rng.uniform(0, 0.05, n)
    wells = pd.DataFrame(
        {
            "conf": 1,
            "quantum_splitting": np.hypot(asymmetry, amplitude),
            "rearrangement": np.arange(1, n + 1),
            "tunnelling_amplitude": amplitude,
            "zero_point_difference": np.where(np.arange(n) < 40, rng.normal(0, 0.02, n), np.nan),
        }
    )
    known = wells["zero_point_difference"].dropna().to_numpy()
    drawn = asymmetry + rng.choice(known, (20_000, n)) * rng.choice([-1, 1], (20_000, n))
    rows = found(wells).query("kind == 'with zero point'")
    for energy, count in zip(rows["energy"], rows["count"], strict=True):
        assert count == pytest.approx((np.hypot(drawn, amplitude) < energy).sum() / 20_000, abs=0.15)
    assert rows["density"].iloc[-1] == pytest.approx(rows["count"].iloc[-1] / (400 * rows["energy"].iloc[-1]))
    few = wells.assign(zero_point_difference=np.where(np.arange(n) < 9, 0.01, np.nan))
    assert "with zero point" not in set(found(few)["kind"])


def test_the_unit_of_the_density_in_si_is_that_of_the_settings():
    # 1 eV⁻¹ Å⁻³ is 1e30 / 1.602e-19 J⁻¹ m⁻³; epsilon: 1 eV / k_B
    electronvolt = constants.eV / constants.k
    assert si_density(Settings(neb={"sigma": 1e-10, "epsilon": electronvolt}).neb) == pytest.approx(1e30 / constants.eV)
    # config.yaml: 2.21 Å and 662 K
    assert si_density(Settings().neb) == pytest.approx(1 / (2.21e-10**3 * 662 * 1.380649e-23))


# Files
T = "0.1"


@pytest.fixture
def work(tmp_path):
    """Three glasses, one of them without a usable minimum, and the double wells of two."""
    work = Workspace(tmp_path)
    for conf, box in ((1, [5.0, 5.0, 4.0]), (2, [10.0, 10.0, 3.0])):
        write_minimum(work.at(T).glass(conf) / "0.2.conf", np.ones(4), np.eye(4, 3), np.array(box))
    (work.at(T).glass(1) / "0.1.conf").write_text("damaged")
    work.at(T).glass(3).mkdir()
    (work.at(T).glass(3) / "README").write_text("no minimum")
    add_double_wells(work, T)
    return work


def add_double_wells(work, temperature):
    path = work.at(temperature).double_wells
    path.parent.mkdir(parents=True, exist_ok=True)
    table = some_double_wells().assign(i=0.1, j=0.2, fidelity="full")
    columns = dict.fromkeys([*table, *read_double_wells(work.at("9"))])  # all that are there of none
    table.reindex(columns=list(columns)).to_csv(path, index=False)


def test_the_table_says_how_much_of_the_list_is_found_and_so_does_the_sentence(work):
    assert glass_volumes(work.at(T)).to_dict() == pytest.approx(VOLUMES.to_dict())  # of those with a minimum
    said = "\n".join(update_density(work.at(T), Settings(), 1.0))
    table = pd.read_csv(work.at(T).tls_density)
    assert (table["found_part"] == 0.75).all()
    row = at(table, "distinct")
    assert row["density_SI"] == pytest.approx(row["density"] * si_density(Settings().neb))
    assert f"{row['density']:.3g} ε⁻¹ σ⁻³" in said
    assert f"of all pairs {at(table, 'all')['density']:.3g} (3), with Δ₀ ≥ 0.001 E" in said
    assert "glasses searched: 2" in said
    assert "about 75 % of those of the list are found" in said
    assert "about" not in "\n".join(update_density(work.at(T), Settings(), np.nan))


def test_temperatures_are_compared_where_there_are_two(work):
    assert [path.name for path in draw_temperatures(work, Settings())] == ["tls_density.png", "tls_density.csv"]
    assert imread(work.tls_densities).std() > 0.01
    for conf in (1, 2):
        write_minimum(work.at("0.12").glass(conf) / "0.2.conf", np.ones(4), np.eye(4, 3), np.full(3, 5.0))
    add_double_wells(work, "0.12")
    names = [path.name for path in draw_temperatures(work, Settings(figures=["svg"]))]
    assert names == ["tls_density.svg", "tls_density.csv", "tls_comparison.svg", "tls_comparison.csv"]
