"""The exact calculation cut short: killed at any result, interrupted, without a worker, beside another run."""

import argparse
import os
import signal
from contextlib import ExitStack
from unittest import mock

import numpy as np
import pandas as pd
import psutil
import pytest
from neb_glass import SETTINGS, T, pairs_of, results
from steps import LONGEST, done, refused, run, started, stop, wait_until
from synthetic import make_workspace

import run_neb
from pipeline.files import only_writer
from pipeline.formats import results as neb_files
from pipeline.formats.keys import Pair
from pipeline.formats.results import merge_shares, merge_unless_running
from pipeline.settings import Settings
from pipeline.workspace import Workspace
from search.picks import pairs_to_calculate

PATIENT = """
import time
from pathlib import Path
from glass.soft_spheres import SoftSpheres

here = Path(__file__).parent

def calculator(atoms):
    while (here / "at_most").exists() and results() >= int((here / "at_most").read_text()):
        time.sleep(0.05)
    return SoftSpheres()

def results():
    return sum(len(path.read_text().splitlines()) for path in here.glob("NEB_calculations/T*/[!.c]*"))
"""
"""A calculator that waits once there are as many lines of results as the file ``at_most`` says, if there is one.

Those of calculations.csv do not count."""


@pytest.fixture
def patient(glass):
    (glass / "patient.py").write_text(PATIENT)
    settings = SETTINGS.replace("neb: {", "neb: {calculator: 'patient:calculator', ")
    (glass / "config.yaml").write_text(settings.replace("processes: 2", "processes: 1"))
    return glass


def lines(root):
    return sum(map(len, results(root).values()))


@pytest.mark.slow
def test_interrupted_and_then_its_workers_killed_it_ends_with_the_same_files(patient, calculated):
    known = results(calculated)
    (patient / "at_most").write_text("2")
    with started("run_neb", patient, "--pairs", patient / "pairs.csv") as process:
        wait_until(lambda: lines(patient) >= 2, process)
        ended = stop(process, signal.SIGINT)
    assert (ended.returncode, ended.stderr.count("\n")) == (130, 1)
    assert 2 <= lines(patient) < lines(calculated)
    assert all(set(kept) <= set(known[name]) for name, kept in results(patient).items())
    (patient / "at_most").write_text("4")
    with started("run_neb", patient, "--pairs", patient / "pairs.csv") as process:
        wait_until(lambda: lines(patient) >= 4, process)
        for worker in psutil.Process(process.pid).children():
            worker.kill()
        (patient / "at_most").unlink()
        assert process.wait(LONGEST) == 0
    assert results(patient) == known


@pytest.mark.slow
def test_stopped_between_a_path_and_its_splitting_it_ends_with_the_same_files(glass, calculated):
    with mock.patch("pipeline.formats.results.add_splitting", side_effect=KeyboardInterrupt):
        assert run("run_neb", glass, "--pairs", glass / "pairs.csv").returncode == 130
    assert len((glass / f"output_ML/T{T}/neb_paths.jsonl").read_text().splitlines()) == 1
    assert "Qs_calculations.txt" not in results(glass)
    done("run_neb", glass, "--pairs", glass / "pairs.csv")
    assert results(glass) == results(calculated)


# Shares
def fill(at, names):
    for number, (conf, i, j) in enumerate(names.itertuples(index=False)):
        pair = Pair(conf, i, j)
        kind = ("double well", "non-DW", "unfinished")[number % 3]
        row = {"verdict": kind, "quantum_splitting": "", "fidelity": "", "cpu_seconds": number}
        neb_files.add_calculation(at, pair, row)
        if kind == "double well":
            neb_files.add_splitting(at, pair, 0.001 + 0.001 * number)
        elif kind == "non-DW":
            neb_files.add_non_dw(at, pair)
        else:
            neb_files.add_unfinished(at, pair, "a reason")


def read(work):
    at = work.at(T)
    tables = neb_files.read_neb_results(at).iloc[:, :5], neb_files.read_unfinished(at), neb_files.read_calculations(at)
    return [table.sort_values(["conf", "i", "j"]).reset_index(drop=True) for table in tables]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_shares_of_all_pairs_take_each_pair_once_whatever_has_a_result_by_then(tmp_path):
    at = Workspace(make_workspace(tmp_path, 2, 10, T)).at(T)
    done("step0_collect", tmp_path)
    parser, settings = argparse.ArgumentParser(), Settings(classify={"max_distance": 9.0, "max_delta_E": 1.0})
    run_neb.options(parser)
    taken = []
    for number in (1, 2, 3):
        picked, _ = pairs_to_calculate(at, settings, parser.parse_args(["--all", "0.5", "--share", f"{number}/3"]))
        (some := at.of_share(f"{number}-of-3")).non_dw.parent.mkdir(parents=True, exist_ok=True)
        some.non_dw.write_text("".join(Pair(*pair).text(10) + "\n" for pair in picked.itertuples(index=False)))
        taken.append(picked)
    taken = pd.concat(taken)
    assert len(taken) == len(taken.index.unique()) > 60
    merge_shares(at)
    assert len(pairs_to_calculate(at, settings, parser.parse_args(["--all", "0.5"]))[0]) == 0
    at.non_dw.unlink()
    whole, _ = pairs_to_calculate(at, settings, parser.parse_args(["--all", "0.5"]))
    assert set(whole.index) == set(taken.index)


@pytest.fixture
def cut(tmp_path):
    """A workspace with results in its files and of two shares, and the same in its files only."""
    work, whole = Workspace(tmp_path / "cut"), Workspace(tmp_path / "whole")
    energies = np.random.default_rng(20).random((30, 2)).round(10)
    pairs = pd.DataFrame({"conf": np.arange(30) % 7, "i": energies.min(axis=1), "j": energies.max(axis=1)})
    for number in range(3):
        names = pairs[number::3]
        fill(work.at(T).of_share(f"{number}-of-2" if number else ""), names)
        fill(whole.at(T), names)
    return work, whole


@pytest.mark.parametrize("in_vain", ["pipeline.files.os.replace", "pathlib.Path.unlink"])
def test_a_merge_that_is_cut_short_anywhere_loses_and_doubles_nothing(cut, in_vain):
    work, whole = cut
    original = os.replace if in_vain.endswith("replace") else os.unlink
    for calls in range(100):
        left = calls

        def some(*given, **_):
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            original(*given)

        with mock.patch(in_vain, some):
            try:
                merge_shares(work.at(T))
            except KeyboardInterrupt:
                assert_same(read(work), read(whole))
                continue
        break
    assert calls >= 2
    assert not work.at(T).shares
    assert_same(read(work), read(whole))
    assert not neb_files.read_neb_results(work.at(T)).index.duplicated().any()


def test_step_1_refuses_a_record_of_a_share_before_the_share_is_merged(cut):
    work, _ = cut
    record = work.at(T).shares[1].neb_paths("jsonl")
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text("damaged\n")
    assert "neb_paths.jsonl: line 1 is damaged" in refused("step1_train_dw", work.root, "-T", T)
    assert len(work.at(T).shares) == 2


def test_a_share_that_is_running_keeps_its_files_and_where_run_neb_is_running_nothing_is_merged(cut):
    work, whole = cut
    with only_writer(work.lock("run_neb", T), "run_neb"):
        assert merge_unless_running(work.at(T), "step1_train_dw") == []
        assert len(work.at(T).shares) == 2
    with only_writer(work.lock("run_neb-1-of-2", T), "run_neb"):
        said = merge_unless_running(work.at(T), "step1_train_dw")
        assert "1-of-2 is running" in said[0]
        assert "2-of-2 merged" in said[1]
        assert [one.share for one in work.at(T).shares] == ["1-of-2"]
        assert_same(read(work), read(whole))
    assert len(merge_shares(work.at(T))) == 1
    assert merge_unless_running(work.at(T), "step1_train_dw") == []
    assert_same(read(work), read(whole))


@pytest.mark.slow
def test_shares_at_once_one_of_them_killed_come_to_the_files_of_one_run(patient, calculated):
    glass = patient
    of_shares = "NEB_calculations/T*/shares/[1-9]*.[!c]*"
    (glass / "patient.py").write_text(PATIENT.replace("NEB_calculations/T*/[!.c]*", of_shares))
    (glass / "at_most").write_text("2")
    arguments = [["--pairs", glass / "pairs.csv", "--share", f"{k}/2"] for k in (1, 2)]
    with ExitStack() as stack:
        one, other = (stack.enter_context(started("run_neb", glass, *given)) for given in arguments)
        wait_until(lambda: sum(len(path.read_text().splitlines()) for path in glass.glob(of_shares)) >= 2, one)
        assert "writes the same files" in refused("run_neb", glass, *arguments[0])
        assert stop(one, signal.SIGKILL).returncode == -signal.SIGKILL
        (glass / "at_most").unlink()
        assert other.wait(LONGEST) == 0
    assert not results(glass)
    said = done("run_neb", glass, *arguments[0])
    assert "once all shares have ended" in said
    assert " step1_train_dw.py --workspace" in said  # there is no list for run_neb.py --top 0
    said = done("run_neb", glass, "--pairs", glass / "pairs.csv")
    assert "results of the share 1-of-2 merged" in said
    assert "no new pairs to calculate" in said
    assert results(glass) == results(calculated)
    for name in (f"output_ML/T{T}/double_wells.csv", f"NEB_calculations/T{T}/calculations.csv"):
        one, other = ({*pairs_of(pd.read_csv(root / name))} for root in (glass, calculated))
        assert one == other  # a share that is killed before a result stands calculates that pair again
    assert not (glass / f"NEB_calculations/T{T}/shares").exists()
