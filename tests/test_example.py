"""The example that ships: its minima are minima, its labels what run_neb.py says of them."""

import numpy as np
import pandas as pd
import pytest
from soft_sphere_atoms import make_atoms
from steps import ROOT

from benchmarks.example import T, answers_of
from glass.soft_spheres import calculator
from MLmodel.labels import read_pretraining
from pipeline.exact import calculate, jobs_of
from pipeline.keys import PAIR_COLUMNS, pair_keys
from pipeline.minimum_files import energy_in_name, read_minimum
from pipeline.neb_files import read_neb_results
from pipeline.settings import Settings
from pipeline.task import CLASSIFIER, DW, PREDICTOR, QS
from pipeline.workspace import Workspace

pytestmark = pytest.mark.slow

WORK, SETTINGS = Workspace(ROOT / "example"), Settings()


@pytest.fixture(scope="module")
def answers():
    return read_neb_results(answers_of(WORK), T)


@pytest.fixture(scope="module")
def classifier_set():
    return read_pretraining(WORK.pretraining(CLASSIFIER, T), CLASSIFIER)


def test_every_minimum_is_relaxed_and_has_the_energy_in_its_name():
    paths = [path for folder in WORK.glasses(T).values() for path in folder.iterdir()]
    assert len(paths) > 300
    for path in paths:
        minimum = read_minimum(path)
        atoms = make_atoms(minimum.positions, minimum.diameters, minimum.box)
        assert abs(atoms.get_potential_energy() / len(atoms) - energy_in_name(path)) < 1e-10
        assert np.linalg.norm(atoms.get_forces()) < 1e-4


def test_it_is_as_large_as_a_first_try_needs(answers, classifier_set):
    splittings = read_pretraining(WORK.pretraining(PREDICTOR, T), PREDICTOR)[QS]
    taught = len(classifier_set)
    all_splittings = pd.concat([splittings, answers[QS].dropna()])
    assert taught + len(answers) > 3000
    assert len(all_splittings) > 300
    assert (all_splittings < SETTINGS.tls_threshold).sum() >= 5
    assert (classifier_set[DW] == 1).sum() == len(splittings)


def test_no_answer_is_taught(answers, classifier_set):
    answered = pair_keys(answers, SETTINGS.ij_decimals)
    taught = pair_keys(classifier_set, SETTINGS.ij_decimals)
    assert answered.merge(taught).empty


@pytest.mark.parametrize("is_dw", [0, 1])
def test_a_new_calculation_gives_the_answers(answers, is_dw):
    some = answers[answers[DW] == is_dw].sample(5, random_state=0)
    jobs, missing = jobs_of(WORK, T, some[PAIR_COLUMNS], SETTINGS)
    assert not missing
    for job, exact in zip(jobs, some[QS], strict=True):
        verdict = calculate(job, SETTINGS.neb, calculator).verdict
        if is_dw:
            assert verdict.levels[1] - verdict.levels[0] == pytest.approx(exact, rel=0.02)
        else:
            assert verdict.kind == "non-DW"
