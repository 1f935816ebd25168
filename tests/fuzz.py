"""Damaged files: what every reader makes of thousands of them.

Each file is good but for one to three mutations: bits flipped, bytes lost or doubled, lines doubled, lost or swapped,
numbers that nothing can have, text that is none. A reader may refuse it in one line, or take it if what it read is
possible. It must not end otherwise, hang, crash, or need much more memory than the file is long. The seed and the
number of an input make it again.

    python tests/fuzz.py --inputs 100000
"""

import argparse
import faulthandler
import pickle
import random
import re
import resource
import signal
import struct
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path

from fuzz_readers import READERS, ImpossibleError, make_workspace

from pipeline.errors import UserError
from pipeline.formats.configurations import MinimumError
from pipeline.workspace import Workspace

LONGEST = 60
"""s; a reader that takes longer hangs."""

MEMORY, TIMES = 200e6, 20
"""Bytes, and times the file's size, by which the memory of the process may grow."""

OUTCOMES = ("refused", "unchanged", "plausible", "fault")

TOKENS = [
    *(b"nan", b"inf", b"-inf", b"1e400", b"-0", b"-1", b"0", b"1.5", b"1e300", b"1e-300", b"5e-324", b"1_0", b"0x10"),
    *(b"0.25e3088754526", b"1e-99999999999", b"9" * 25, b"9" * 5000, b"0." + b"3" * 3000, b"true", b"null", b"None"),
    *(b"", b" ", b",", b";", b"\t", b'"', b"'", b"''", b"\n", b"\r", b"\0", b"\xff\xfe", b"\xc3", b"\xef\xbb\xbf"),
    *(b"#", b"2001-99-99", b"!!bool x", b"&a [*a]", b"[" * 3000, b'{"a":' * 3000, b"{}", b"[]", b"NaN", b"Infinity"),
]
DOUBLES = [float("nan"), float("inf"), -1.0, 1e300, -1e300, 1e-300, 1.5, 0.0]


def flip(rng, content):
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8)) if content else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(rng, content):
    return content[: rng.randrange(len(content) + 1)]


def lose_or_double(rng, content):
    start = rng.randrange(len(content) + 1)
    stop = min(len(content), start + rng.choice((1, 2, 8, 64)))
    return content[:start] + content[start:stop] * rng.choice((0, 2)) + content[stop:]


def insert(rng, content):
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(TOKENS) + content[place:]


def replace_word(rng, content):
    words = list(re.finditer(rb"[\w.+-]+", content))
    if not words:
        return insert(rng, content)
    word = rng.choice(words)
    return content[: word.start()] + rng.choice(TOKENS) + content[word.end() :]


def change_lines(rng, content):
    lines = content.splitlines(keepends=True) or [b""]
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(3)
    if what == 0:
        lines.insert(other, lines[one])
    elif what == 1:
        del lines[one]
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def set_number(rng, content):
    """Put a number of eight bytes, or a length of four, somewhere in a binary file."""
    place = 4 * rng.randrange(len(content) // 4 + 1)
    length = struct.pack("<i", rng.choice((-1, 0, 2**31 - 1, 2**20)))
    number = rng.choice((struct.pack("<d", rng.choice(DOUBLES)), length))
    return content[:place] + number + content[place + len(number) :]


TEXT = (flip, truncate, lose_or_double, insert, replace_word, replace_word, replace_word, change_lines)
BINARY = (flip, flip, truncate, lose_or_double, insert, set_number, set_number)


def mutated(content, seed):
    """The content with one to three mutations, which the seed decides."""
    rng = random.Random(seed)
    mutations = BINARY if b"\0" in content or b"\xff" in content else TEXT
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = rng.choice(mutations)(rng, content)
    return content


def judge(reader, work, good, value, seed):
    """Let a reader read one mutated file; one of OUTCOMES, and what is wrong with a fault."""
    path, content = reader.file(work), mutated(good, seed)
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.alarm(LONGEST)
    try:
        found = reader.read(work)
    except (UserError, MinimumError) as error:
        several = "\n" in str(error) or len(str(error)) > 3000
        outcome = ("fault", f"no one line: {str(error)[:60]!r}") if several else ("refused", "")
    except ImpossibleError as error:
        outcome = "fault", f"taken for good: {error}"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        line = f"{Path(where.filename).name}:{where.lineno}"
        outcome = "fault", f"{type(error).__name__} at {line}: {str(error)[:60]!r}"
    else:
        outcome = "unchanged" if pickle.dumps(found) == value else "plausible", ""
    finally:
        signal.alarm(0)
        path.write_bytes(good)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    if grown > MEMORY + TIMES * len(content):
        return "fault", f"{grown / 1e6:.0f} MB for a file of {len(content)} bytes"
    return outcome


def hang(*_):
    raise TimeoutError(f"it took longer than {LONGEST} s")


def run(readers, count, seed):
    """Try readers, so many inputs each; by the name of each how often what came out, and its faults by input."""
    signal.signal(signal.SIGALRM, hang)
    found = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work = Workspace(Path(folder))
        make_workspace(work.root)
        values = {reader.name: pickle.dumps(reader.read(work)) for reader in readers}
        for reader in readers:
            good, kinds, faults = reader.file(work).read_bytes(), Counter(), {}
            for name in (f"{seed} {reader.name} {k}" for k in range(count)):
                kind, fault = judge(reader, work, good, values[reader.name], name)
                kinds[kind] += 1
                if fault:
                    faults[name] = fault
            found[reader.name] = kinds, faults
    return found


def main():
    """Print a table: readers, how many inputs, and what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="of all readers together (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", default="", metavar="WORDS", help="only those with these words in their name")
    given = parser.parse_args()
    faulthandler.enable()
    readers = [reader for reader in READERS if given.readers in reader.name]
    each = -(-given.inputs // len(readers))
    print(f"{'reader':28}{'tried':>8}" + "".join(f"{kind:>12}" for kind in OUTCOMES))
    for reader in readers:
        for name, (kinds, faults) in run([reader], each, given.seed).items():
            print(f"{name:28}{each:8}" + "".join(f"{kinds[kind]:12}" for kind in OUTCOMES), flush=True)
            for fault, count in Counter(faults.values()).most_common(10):
                print(f"    {count:6}  {fault}; first: {next(one for one in faults if faults[one] == fault)}")


if __name__ == "__main__":
    main()
