"""Damaged files: what every reader makes of files that are good but for one to three mutations.

Bits are flipped, bytes lost or doubled, lines doubled, lost or swapped, numbers put in that nothing can have, or text
that is none. A reader may refuse it in one line, or take it if what it read is possible. It must not end otherwise,
hang, crash, or need much more memory than the file is long. ``make soak`` tries more.
"""

import os
import re
import resource
import signal
import struct
import warnings

import pytest
from fuzz_readers import READERS, ImpossibleError, T, make_workspace
from hypothesis import given, note, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.formats.configurations import MinimumError
from pipeline.workspace import Workspace

INPUTS = int(os.environ.get("INPUTS", 0))
"""Of all readers together; 0: a few of each, which are always the same."""

LONGEST = 60
"""s; a reader that takes longer hangs."""

MEMORY, TIMES = 200e6, 20
"""Bytes, and times the file's size, by which the memory of the process may grow."""

TOKENS = [
    *(b"nan", b"inf", b"-inf", b"1e400", b"-0", b"-1", b"0", b"1.5", b"1e300", b"1e-300", b"5e-324", b"1_0", b"0x10"),
    *(b"0.25e3088754526", b"1e-99999999999", b"9" * 25, b"9" * 5000, b"0." + b"3" * 3000, b"true", b"null", b"None"),
    *(b"", b" ", b",", b";", b"\t", b'"', b"'", b"''", b"\n", b"\r", b"\0", b"\xff\xfe", b"\xc3", b"\xef\xbb\xbf"),
    *(b"#", b"2001-99-99", b"!!bool x", b"&a [*a]", b"[" * 3000, b'{"a":' * 3000, b"{}", b"[]", b"NaN", b"Infinity"),
]
DOUBLES = [float("nan"), float("inf"), -1.0, 1e300, -1e300, 1e-300, 1.5, 0.0]
NUMBERS = [struct.pack("<d", one) for one in DOUBLES] + [struct.pack("<i", one) for one in (-1, 0, 2**31 - 1, 2**20)]


def mutated(draw, content):
    """The content with one mutation."""
    binary, choose = b"\0" in content or b"\xff" in content, lambda *given: draw(st.sampled_from(given))
    kind = choose("flip", "cut", "span", "insert", *(("number",) * 2 if binary else ("word",) * 3 + ("lines",)))
    place = draw(st.integers(0, len(content)))
    words, lines = list(re.finditer(rb"[\w.+-]+", content)), content.splitlines(keepends=True)
    if kind == "flip" and content:
        changed = bytearray(content)
        for _ in range(choose(1, 1, 2, 8)):
            changed[draw(st.integers(0, len(content) - 1))] ^= 1 << choose(*range(8))
        return bytes(changed)
    if kind == "cut":
        return content[:place]
    if kind == "span":  # is lost or doubled
        stop = place + choose(1, 2, 8, 64)
        return content[:place] + content[place:stop] * choose(0, 2) + content[stop:]
    if kind == "number":  # of eight bytes, or a length of four
        start, number = place - place % 4, choose(*NUMBERS)
        return content[:start] + number + content[start + len(number) :]
    if kind == "lines" and lines:
        one, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        if choose(True, False):
            lines[one], lines[other] = lines[other], lines[one]
        else:
            lines[one] *= choose(0, 2)
        return b"".join(lines)
    start, stop = choose(*words).span() if kind == "word" and words else (place, place)
    return content[:start] + choose(*TOKENS) + content[stop:]


@st.composite
def damaged(draw, content):
    for _ in range(draw(st.integers(1, 3))):
        content = mutated(draw, content)
    return content


def hang(*_):
    raise TimeoutError(f"it took longer than {LONGEST} s")


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    root = tmp_path_factory.mktemp("good")
    make_workspace(root)
    return Workspace(root).at(T)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_no_reader_crashes_hangs_or_takes_what_is_impossible_for_good(at, name):
    file, reader = READERS[name]
    path, refused = file(at), []
    good = path.read_bytes()
    reader(at, path)

    def read(content):
        try:
            reader(at, path)
        except (UserError, MinimumError) as error:
            refused.append(str(error))
        except ImpossibleError as error:
            note(f"taken for good: {error}")
            raise

    @settings(max_examples=INPUTS // len(READERS) or 20, derandomize=not INPUTS, database=None)
    @given(content=damaged(good))
    def judge(content):
        path.write_bytes(content)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        signal.alarm(LONGEST)
        try:
            read(content)
        finally:
            signal.alarm(0)
            path.write_bytes(good)
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        assert grown < MEMORY + TIMES * len(content)

    was = signal.signal(signal.SIGALRM, hang)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        judge()
    signal.signal(signal.SIGALRM, was)
    assert refused or name == "pair table of step 0"  # which is made again
    assert not [said for said in refused if "\n" in said or len(said) > 3000]
