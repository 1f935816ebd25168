"""The exact calculation of a pair: against ASE's NEB, another potential, the paper's verdicts, finer settings."""

from functools import cache

import pytest
from ase.mep import NEB
from ase.optimize import FIRE
from neb_glass import T, minima
from soft_sphere_atoms import make_atoms

from glass.double_well import examine
from glass.path import straight_line
from glass.soft_spheres import calculator
from pipeline.formats.configurations import Place
from pipeline.formats.keys import Pair
from pipeline.formats.lammps import energy_in_name, read_minimum
from pipeline.formats.results import read_neb_results
from pipeline.settings import NebSettings, read_settings
from pipeline.workspace import Workspace
from search.exact import PairJob, calculate, hbar_of

pytestmark = pytest.mark.slow


def atoms_of(path):
    minimum = read_minimum(path)
    return make_atoms(minimum.positions, minimum.diameters, minimum.box)


def test_the_barrier_and_the_verdict_are_those_of_ases_neb(calculated):
    neb = read_neb_results(Workspace(calculated).at(T)).query("is_dw == 1").sort_values("quantum_splitting")
    named = {energy_in_name(path): path for path in minima(calculated)}
    start, end = (atoms_of(named[neb.iloc[0][name]]) for name in ("i", "j"))
    ours = examine(start, end, calculator, images=21, tolerance=2e-4, max_steps=500, hbar=0.01563)
    images = []
    for positions in straight_line(start.positions, end.positions, start.cell.lengths(), 9):
        image = start.copy()
        image.positions, image.calc = positions, calculator(image)
        images.append(image)
    assert FIRE(NEB(images, k=10, method="improvedtangent"), logfile=None).run(fmax=0.05, steps=2000)
    climbing = NEB(images, k=10, method="improvedtangent", climb=True)
    assert FIRE(climbing, logfile=None).run(fmax=2e-3, steps=3000)
    saddle = max(image.get_potential_energy() for image in images)
    height = saddle - start.get_potential_energy()
    assert ours.band.energies.max() - ours.band.energies[0] == pytest.approx(height, rel=0.03)
    settings = read_settings(calculated / "config.yaml")
    exact = examine(
        start,
        end,
        calculator,
        images=settings.neb.images,
        tolerance=settings.neb.force_tolerance,
        max_steps=settings.neb.max_steps,
        hbar=hbar_of(settings.neb),
        refine_below=settings.neb.refine_below * settings.tls_threshold,
    )
    assert exact.levels[1] - exact.levels[0] == pytest.approx(neb.iloc[0]["quantum_splitting"], rel=1e-12)


@pytest.fixture(scope="module")
def real_pair(real_minima):
    """The job of a pair of real minima, by their names."""
    files = {round(energy_in_name(path), 10): path for path in real_minima}
    return lambda i, j: PairJob(Pair(148750000, i, j), (Place(files[i]), Place(files[j])))


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
        verdict = calculate(job, NebSettings(), calculator).verdict
        told[i, j] = verdict.kind, verdict.reason[:23]
    assert told == {
        (0.2044810139, 0.2046749726): ("non-DW", "a third minimum on the "),
        (0.2044810139, 0.2046885293): ("non-DW", "a third minimum on the "),
        (0.2044901982, 0.204672686): ("unfinished", "the first is no minimum"),  # gradient norm 1.7 ε/σ
    }


REAL_DOUBLE_WELLS = [(0.2045373614, 0.2045442096), (0.2046289992, 0.2046388182)]
"""Of Cnf-148750000; both minima are relaxed."""


@pytest.fixture(scope="module")
def real_splitting(real_pair):
    @cache
    def splitting(pair, settings):
        low, high = calculate(real_pair(*pair), NebSettings(**dict(settings)), calculator).verdict.levels
        return high - low

    return splitting


@pytest.mark.parametrize(
    "finer", [("images", 81), ("force_tolerance", 5e-5)], ids=["twice the images", "a quarter of the tolerance"]
)
def test_splittings_of_real_double_wells_do_not_depend_on_the_settings(real_splitting, finer):
    for pair in REAL_DOUBLE_WELLS:
        assert real_splitting(pair, (finer,)) == pytest.approx(real_splitting(pair, ()), rel=0.02)
