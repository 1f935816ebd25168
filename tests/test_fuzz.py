"""Every reader with files that are damaged at random: a sample of what ``python tests/fuzz.py`` tries."""

from collections import Counter

import pytest
from fuzz import READERS, judge, mutated, run
from fuzz_readers import ImpossibleError, Reader

from pipeline.workspace import Workspace


@pytest.mark.slow
def test_no_reader_crashes_hangs_or_takes_what_is_impossible_for_good():
    found = run(range(len(READERS)), 60, seed=0)
    assert {name: faults for name, _, faults in found if faults} == {}
    for name, kinds, _ in found:
        assert kinds.total() == 60, name
        assert kinds["refused"] or kinds["unchanged"] > 30, name


def read_as(outcome):
    def read(work):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return Reader("made up", lambda work: work.root / "file", read)


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (KeyError("i"), "KeyError at test_fuzz.py"),
        (ImpossibleError("a length below zero"), "taken for good: a length below zero"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_what_a_reader_must_not_do_counts_as_a_fault(tmp_path, outcome, fault):
    found = judge(read_as(outcome), Workspace(tmp_path), b"good", b"", "0")
    assert found.kind == "fault"
    assert fault in found.fault


def test_the_same_seed_damages_a_file_alike():
    content = b"conf,i,j\n1,0.25,0.26\n" * 20
    some = [mutated(content, f"0 {k}") for k in range(200)]
    assert some == [mutated(content, f"0 {k}") for k in range(200)]
    assert Counter(some).most_common(1)[0][1] < 20
    assert sum(one == content for one in some) < 20
