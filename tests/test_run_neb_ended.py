"""The exact calculation cut short: killed at any result, interrupted, without a worker, beside another run."""

import os
import signal
from unittest import mock

import psutil
import pytest
from neb_glass import SETTINGS, T, results
from steps import LONGEST, done, refused, run, run_process, started, stop, wait_until

from pipeline.locks import only_writer
from pipeline.workspace import Workspace

pytestmark = pytest.mark.slow

PATIENT = """
import time
from pathlib import Path
from glass.soft_spheres import SoftSpheres

here = Path(__file__).parent

def calculator(atoms):
    while (here / "at_most").exists() and results() >= int((here / "at_most").read_text()):
        time.sleep(0.01)
    return SoftSpheres()

def results():
    return sum(len(path.read_text().splitlines()) for path in here.glob("NEB_calculations/T*/[!.c]*"))
"""
"""A calculator that waits once there are as many lines of results as the file ``at_most`` says, if there is one.

Those of calculations.csv do not count."""


@pytest.fixture
def patient(glass):
    (glass / "patient.py").write_text(PATIENT)
    (glass / "config.yaml").write_text(SETTINGS.replace("neb: {", "neb: {calculator: 'patient:calculator', "))
    return glass


def lines(root):
    return sum(map(len, results(root).values()))


def test_killed_at_any_result_it_ends_with_the_same_files(patient, calculated):
    for at_most in (0, 1, 8):
        (patient / "at_most").write_text(str(at_most))
        with started("run_neb", patient, "--pairs", patient / "pairs.csv") as process:
            assert any("pairs to calculate" in line for line in process.stdout)
            wait_until(lambda: lines(patient) >= at_most, process)  # noqa: B023
            ended = stop(process, signal.SIGKILL, group=False)  # the workers must find out by themselves
        assert ended.returncode == -signal.SIGKILL
        assert at_most <= lines(patient) < lines(calculated)
    (patient / "at_most").unlink()
    done("run_neb", patient, "--pairs", patient / "pairs.csv")
    assert results(patient) == results(calculated)


def test_stopped_between_a_path_and_its_splitting_it_ends_with_the_same_files(glass, calculated):
    with mock.patch("search.exact.add_splitting", side_effect=KeyboardInterrupt):
        assert run("run_neb", glass, "--pairs", glass / "pairs.csv").returncode == 130
    assert len((glass / f"output_ML/T{T}/neb_paths.jsonl").read_text().splitlines()) == 1
    assert "Qs_calculations.txt" not in results(glass)
    done("run_neb", glass, "--pairs", glass / "pairs.csv")
    assert results(glass) == results(calculated)


@pytest.mark.parametrize(
    ("sent", "group", "status"), [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143), (signal.SIGTERM, True, 143)]
)
def test_a_run_that_is_ended_while_workers_calculate_keeps_what_it_has(patient, calculated, sent, group, status):
    (patient / "at_most").write_text("3")
    with started("run_neb", patient, "--pairs", patient / "pairs.csv") as process:
        wait_until(lambda: lines(patient) >= 3, process)
        ended = stop(process, sent, group)
    assert ended.returncode == status
    assert ended.stderr.count("\n") == (1 if sent == signal.SIGINT else 0)
    kept = results(patient)
    assert sum(map(len, kept.values())) >= 3
    assert all(set(kept[name]) <= set(results(calculated)[name]) for name in kept)


def test_a_worker_that_dies_takes_nothing_with_it(patient, calculated):
    (patient / "at_most").write_text("2")
    with started("run_neb", patient, "--pairs", patient / "pairs.csv") as process:
        wait_until(lambda: lines(patient) >= 2, process)
        for worker in psutil.Process(process.pid).children():
            worker.kill()
        (patient / "at_most").unlink()
        assert process.wait(LONGEST) == 0
    assert results(patient) == results(calculated)


def test_two_runs_do_not_write_to_the_same_files(glass):
    with only_writer(Workspace(glass).lock("run_neb", T), "run_neb"):
        said = refused("run_neb", glass, "--pairs", glass / "pairs.csv", run=run_process)
    assert said.startswith(f"error: {glass}: run_neb (process {os.getpid()} on")
    assert not results(glass)
