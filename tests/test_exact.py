"""The exact calculation of a pair: against ASE's NEB, the paper's verdicts, finer settings; what it is checked by."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.mep import NEB
from ase.optimize import FIRE
from neb_glass import T, minima
from steps import done

from glass.double_well import Verdict, examine
from glass.path import Band, straight_line
from glass.response.elasticity import coupling
from glass.soft_spheres import calculator
from pipeline.errors import UserError
from pipeline.formats.configurations import Place
from pipeline.formats.keys import PAIR_COLUMNS, Pair, no_pairs
from pipeline.formats.lammps import energy_in_name
from pipeline.formats.minima import read_atoms
from pipeline.formats.results import read_neb_results
from pipeline.settings import ClassifySettings, NebSettings, Settings, read_settings
from pipeline.workspace import Workspace
from search.calculator import check_calculator
from search.exact import PairJob, calculate, hbar_of
from search.picks import by_neighbourhood
from search.well_properties import DIPOLE, GAMMA, properties_of


def by_name(paths):
    """Places of minima by their names."""
    return {round(energy_in_name(path), 10): Place(path) for path in paths}


def test_a_band_on_its_way_past_a_saddle_has_not_converged():
    """0.01025 ε with 41 images; 0.0083 at the saddle."""
    folder = Path(__file__).parents[1] / "example/Configurations/minima/T0.12/Cnf-17"
    start, end = (read_atoms(Place(folder / f"{name}.conf")) for name in ("0.2623378892", "0.2624009718"))
    found = examine(start, end, calculator, images=21, tolerance=2e-4, max_steps=2000, hbar=hbar_of(NebSettings()))
    assert found.levels[1] - found.levels[0] == pytest.approx(0.01025, rel=0.01)


@pytest.mark.slow
def test_the_barrier_and_the_verdict_are_those_of_ases_neb(calculated):
    neb = read_neb_results(Workspace(calculated).at(T)).query("is_dw == 1").sort_values("quantum_splitting")
    start, end = (read_atoms(by_name(minima(calculated))[name]) for name in neb.iloc[0][["i", "j"]])
    ours = examine(start, end, calculator, images=21, tolerance=2e-4, max_steps=500, hbar=0.01563)
    images = []
    for positions in straight_line(start.positions, end.positions, start.cell.lengths(), 9):
        image = start.copy()
        image.positions, image.calc = positions, calculator(image)
        images.append(image)
    assert FIRE(NEB(images, k=10, method="improvedtangent"), logfile=None).run(fmax=0.05, steps=2000)
    climbing = NEB(images, k=10, method="improvedtangent", climb=True)
    assert FIRE(climbing, logfile=None).run(fmax=2e-3, steps=3000)
    height = max(image.get_potential_energy() for image in images) - images[0].get_potential_energy()
    assert ours.band.energies.max() - ours.band.energies[0] == pytest.approx(height, rel=0.03)
    settings = read_settings(calculated / "config.yaml")
    how = {
        "images": settings.neb.images,
        "tolerance": settings.neb.force_tolerance,
        "max_steps": settings.neb.max_steps,
    }
    how |= {"hbar": hbar_of(settings.neb), "refine_below": settings.neb.refine_below * settings.tls_threshold}
    exact = examine(start, end, calculator, **how)
    assert exact.levels[1] - exact.levels[0] == pytest.approx(neb.iloc[0]["quantum_splitting"], rel=1e-12)


@pytest.fixture(scope="module")
def real_pair(real_minima):
    """The job of a pair of real minima, by their names."""
    places = by_name(real_minima)
    return lambda i, j: PairJob(Pair(148750000, i, j), (places[i], places[j]))


@pytest.mark.slow
def test_non_dw_pairs_of_the_paper_are_non_dw(data, real_pair):
    """All pairs of this glass in the public NON-DW.txt whose minima are both public."""
    lines = (data / "NEB_calculations/T0.062/NON-DW.txt").read_text().splitlines()
    known = [line.split()[1].split("_") for line in lines if line.startswith("Cnf-148750000 ")]
    told = {}
    for names in known:
        i, j = (round(float(name), 10) for name in names)
        try:
            job = real_pair(i, j)
        except KeyError:
            continue
        verdict = calculate(job, Settings(), calculator, refining=True).verdict
        told[i, j] = verdict.kind, verdict.reason[:23]
    assert told == {
        (0.2044810139, 0.2046749726): ("non-DW", "a third minimum on the "),
        (0.2044810139, 0.2046885293): ("non-DW", "a third minimum on the "),
        (0.2044901982, 0.204672686): ("unfinished", "the first is no minimum"),  # gradient norm 1.7 ε/σ
    }


REAL_DOUBLE_WELLS = [(0.2045373614, 0.2045442096), (0.2046289992, 0.2046388182)]
"""Of Cnf-148750000; both minima are relaxed."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pair", "finer"), zip(REAL_DOUBLE_WELLS, [{"images": 41}, {"force_tolerance": 5e-5}], strict=True)
)
def test_splittings_of_real_double_wells_do_not_depend_on_the_settings(real_pair, pair, finer):
    (low, high), (finer_low, finer_high) = (
        calculate(real_pair(*pair), Settings(neb=neb), calculator, refining=True).verdict.levels for neb in ({}, finer)
    )
    assert finer_high - finer_low == pytest.approx(high - low, rel=0.02)


# What double_wells.csv says besides the splitting
def double_wells(root):
    return pd.read_csv(root / f"output_ML/T{T}/double_wells.csv")


def test_charges_that_move_make_a_dipole_moment():
    """½ Σ q Δr: a charge of 2 that goes by (0.3, 0, −0.1) and one of −2 that stays."""
    atoms = Atoms("Ar2", [[0, 0, 0], [1.5, 0, 0]], cell=[8, 8, 8], pbc=True)
    atoms.set_initial_charges([2.0, -2.0])
    positions = np.stack([atoms.positions, atoms.positions + np.array([[0.3, 0, -0.1], [0, 0, 0]])])
    band = Band(positions, np.zeros(2), np.zeros_like(positions), np.zeros(2), None, True, 0.0, 0)
    moved = atoms.copy()
    moved.positions = positions[1]
    found = properties_of(atoms, moved, Verdict("double well", band=band), lambda _: LennardJones(), NebSettings())
    assert [found[name] for name in DIPOLE] == pytest.approx([0.3, 0, -0.1])
    assert set(GAMMA) < set(found)


@pytest.mark.slow
def test_every_double_well_has_the_coupling_of_its_two_minima(calculated):
    table = double_wells(calculated)
    assert table[GAMMA].notna().all(axis=None)
    row = table.iloc[-1]
    expected = coupling(*(read_atoms(by_name(minima(calculated))[row[name]]) for name in ("i", "j")), calculator)
    np.testing.assert_allclose(row[GAMMA].to_numpy(float), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_published_convention_is_told_before_it_is_mixed_with_the_line(calculated):
    table = double_wells(calculated)
    settings = calculated / "config.yaml"
    settings.write_text(settings.read_text().replace("neb: {", "neb: {continuation: parabola, refine_below: .inf, "))
    pair = calculated / "one.csv"
    table[["conf", "i", "j"]].head(1).to_csv(pair, index=False)
    results = calculated / f"NEB_calculations/T{T}/Qs_calculations.txt"
    kept = [line for line in results.read_text().splitlines(True) if str(table["i"][0])[:10] not in line]
    results.write_text("".join(kept))
    said = done("run_neb", calculated, "--pairs", pair)
    assert "parabola and walls" in said
    assert "straight line" in said


@pytest.mark.slow
def test_the_smallest_splittings_get_a_second_one_with_the_zero_point_energy_and_only_once(calculated):
    settings = calculated / "config.yaml"
    settings.write_text(settings.read_text().replace("neb: {", "neb: {refine_below: .inf, keep_paths: all, "))
    done("run_neb", calculated, "--refine", 3)
    before = double_wells(calculated)
    said = done("run_neb", calculated, "--zero-point", 2)
    assert said.count("with the zero-point energy") + said.count("does not hold two states") == 2
    table = double_wells(calculated)
    pd.testing.assert_series_equal(table["quantum_splitting"], before["quantum_splitting"])
    second = table["quantum_splitting_zp"].dropna()
    assert (second > 0).all()
    assert second.index.max() < 2
    assert table["zero_point_difference"].head(2).notna().all()
    assert "have their second splitting already" in done("run_neb", calculated, "--zero-point", 2) or second.empty


# The calculator is checked at a few minima
N = 150
ENERGIES = [0.2, 0.2000001, 0.2003, 0.2005]
"""Per particle, of two minima of each of two glasses."""


def checks(calculated=float, count=4, force=1e-5):
    found = enumerate(ENERGIES[:count])
    return [
        {"conf": k // 2, "particles": N, "energy": calculated(N * e), "known": N * e, "force": force} for k, e in found
    ]


def times(factor):
    return lambda energy: factor * energy


NOT_RELAXED = "none of 4 minima is one, the force .* 0.05 ε/σ .*"
FAILED = 4 * ["the calculator failed: no"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        *((checks(times(1 / 27.211386), count), r"0\.036749 times .*hartree for eV") for count in (2, 3, 4)),
        (checks(times(27.211386)), r"27\.211 times .*hartree for eV"),
        (checks(times(1 / N)), "energy per particle"),
        (checks(times(-1.0)), "-1 times"),
        (checks(times(2), 2), "2 times"),
        (checks(), None),
        (checks(lambda energy: energy - 1234.5), None),  # counted from elsewhere
        (checks(force=0.05), f"{NOT_RELAXED}run relax_minima.py"),
        (checks(lambda energy: float(np.sin(1e5 * energy)), force=0.05), f"{NOT_RELAXED}energies are not those"),
        ([*checks(force=0.05), *checks()], None),
        (checks(count=2, force=0.05), None),
        (FAILED, "failed at all 4 minima tried: the calculator failed: no; mend it"),
        ([*FAILED, *checks(count=1), None], None),
    ],
)
def test_a_calculator_is_blamed_for_what_is_wrong_at_all_minima_though_differences_are_small(given, says):
    with nullcontext() if says is None else pytest.raises(UserError, match=says):
        check_calculator(given, Settings())


# Which pairs are calculated next
def test_without_a_label_near_pairs_of_all_glasses_and_a_quarter_far_ones_are_picked_until_all_are_done(tmp_path):
    at, limits, rng = Workspace(tmp_path).at("0.1"), ClassifySettings(), np.random.default_rng(1)
    at.pairs.mkdir(parents=True)
    for conf, n in ((1, 400), (2, 300), (3, 12)):
        table = pd.DataFrame({"conf": conf, "i": np.arange(n), "j": np.arange(n) + 0.5})
        table["Delta_E"], table["total_displacement"] = rng.random((2, n)) * [[0.2], [3.0]]
        table.assign(nearest_between=rng.uniform(0.5, 1.2, n)).to_feather(at.glass_pairs(conf))
    known = no_pairs().index
    picked = by_neighbourhood(at, limits, known, 40, (20, 0))
    rows = pd.concat([pd.read_feather(path) for path in at.pair_tables]).merge(picked, on=PAIR_COLUMNS)
    assert ((rows["nearest_between"] >= 1).sum(), (rows["nearest_between"] < 0.9).sum(), len(rows)) == (30, 10, 40)
    assert (rows["Delta_E"] <= limits.max_delta_E).all()
    assert (rows["total_displacement"] <= limits.max_distance).all()
    counts = rows["conf"].value_counts()
    assert counts.index.size == 3
    assert abs(counts[1] - counts[2]) <= 2
    while len(picked):
        known = known.append(picked.index)
        picked = by_neighbourhood(at, limits, known, 40, (20, 0))
        assert not picked.index.isin(known).any()
