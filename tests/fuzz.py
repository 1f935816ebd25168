"""Damaged files: what every reader makes of thousands of them.

Each file is good but for one to three mutations: bits flipped, bytes lost or doubled, lines doubled, lost or swapped,
numbers that nothing can have, text that is none. A reader may refuse it in one line, or take it if what it read is
possible. It must not end otherwise, hang, crash, or need much more memory than the file is long. Each reader is called
in a process of its own with limits for time and memory; the seed and the number of an input make it again.

    python tests/fuzz.py --inputs 100000
"""

import argparse
import multiprocessing
import pickle
import random
import re
import resource
import struct
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from fuzz_readers import READERS, ImpossibleError, Reader, make_workspace

from pipeline.errors import UserError
from pipeline.formats.configurations import MinimumError
from pipeline.workspace import Workspace

LONGEST = 60.0
"""s; a reader that takes longer hangs."""

MEMORY, TIMES = 200e6, 20
"""Bytes, and times the file's size, by which the memory of the process may grow."""

OUTCOMES = ("refused", "unchanged", "plausible", "fault")

TOKENS = [
    *(b"nan", b"inf", b"-inf", b"1e400", b"-0", b"-1", b"0", b"1.5", b"1e300", b"1e-300", b"5e-324", b"1_0", b"0x10"),
    *(b"0.25e3088754526", b"1e-99999999999", b"9" * 25, b"9" * 5000, b"0." + b"3" * 3000, b"true", b"null", b"None"),
    *(
        b"",
        b" ",
        b",",
        b";",
        b"\t",
        b'"',
        b"'",
        b"''",
        b"\n",
        b"\r",
        b"\0",
        b"\xff\xfe",
        b"\xc3",
        b"\xef\xbb\xbf",
        b"#",
    ),
    *(b"2001-99-99", b"!!bool x", b"&a [*a]", b"[" * 3000, b'{"a":' * 3000, b"{}", b"[]", b"NaN", b"Infinity", b"%s"),
]
LENGTHS = [-1, 0, 2**31 - 1, 2**20]
DOUBLES = [float("nan"), float("inf"), -1.0, 1e300, -1e300, 1e-300, 1.5, 0.0]

Mutation = Callable[[random.Random, bytes], bytes]


def flip(rng: random.Random, content: bytes) -> bytes:
    """Flip a few bits."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8)) if content else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(rng: random.Random, content: bytes) -> bytes:
    """Cut off the end."""
    return content[: rng.randrange(len(content) + 1)]


def lose_or_double(rng: random.Random, content: bytes) -> bytes:
    """Take out some bytes, or write them twice."""
    start = rng.randrange(len(content) + 1)
    stop = min(len(content), start + rng.choice((1, 2, 8, 64)))
    return content[:start] + content[start:stop] * rng.choice((0, 2)) + content[stop:]


def insert(rng: random.Random, content: bytes) -> bytes:
    """Put something in somewhere."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(TOKENS) + content[place:]


def replace_word(rng: random.Random, content: bytes) -> bytes:
    """Put something in the place of a number or word."""
    words = list(re.finditer(rb"[\w.+-]+", content))
    if not words:
        return insert(rng, content)
    word = rng.choice(words)
    return content[: word.start()] + rng.choice(TOKENS) + content[word.end() :]


def change_lines(rng: random.Random, content: bytes) -> bytes:
    """Write a line twice, leave one out, or swap two."""
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


def set_double(rng: random.Random, content: bytes) -> bytes:
    """Put a number of eight bytes, or a length of four, somewhere in a binary file."""
    place = 4 * rng.randrange(len(content) // 4 + 1)
    number = rng.choice(
        (struct.pack("<d", rng.choice(DOUBLES)), struct.pack("<i", rng.choice((-1, 0, 2**31 - 1, 2**20))))
    )
    return content[:place] + number + content[place + len(number) :]


TEXT: Sequence[Mutation] = (
    flip,
    truncate,
    lose_or_double,
    insert,
    replace_word,
    replace_word,
    replace_word,
    change_lines,
)
BINARY: Sequence[Mutation] = (flip, flip, truncate, lose_or_double, insert, set_double, set_double)


def mutated(content: bytes, seed: str) -> bytes:
    """The content with one to three mutations, which the seed decides."""
    rng = random.Random(seed)
    mutations = BINARY if b"\0" in content or b"\xff" in content else TEXT
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = rng.choice(mutations)(rng, content)
    return content


class Outcome(NamedTuple):
    """What a reader made of an input."""

    kind: str
    """One of OUTCOMES."""
    fault: str = ""


def judge(reader: Reader, work: Workspace, good: bytes, value: bytes, seed: str) -> Outcome:
    """Let a reader read one mutated file."""
    path, content = reader.file(work), mutated(good, seed)
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        found = reader.read(work)
    except (UserError, MinimumError) as error:
        several = "\n" in str(error) or len(str(error)) > 3000
        outcome = Outcome("fault", f"no one line: {str(error)[:60]!r}") if several else Outcome("refused")
    except ImpossibleError as error:
        outcome = Outcome("fault", f"taken for good: {error}")
    except BaseException as error:
        where = error.__traceback__
        while where and where.tb_next:
            where = where.tb_next
        line = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
        outcome = Outcome("fault", f"{type(error).__name__} at {line}: {str(error)[:60]!r}")
    else:
        outcome = Outcome("unchanged" if pickle.dumps(found) == value else "plausible")
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    if grown > MEMORY + TIMES * len(content):
        return Outcome("fault", f"{grown / 1e6:.0f} MB for a file of {len(content)} bytes")
    return outcome


def work_for(connection: Connection, limit: float) -> None:
    """Read what is asked for until there is no more: what a worker process does."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(Path(folder))
        make_workspace(work.root)
        good = [reader.file(work).read_bytes() for reader in READERS]
        values = [pickle.dumps(reader.read(work)) for reader in READERS]
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (int(mapped + limit), int(mapped + limit)))
        connection.send(None)
        while (asked := connection.recv()) is not None:
            number, seed = asked
            connection.send(judge(READERS[number], work, good[number], values[number], seed))
            READERS[number].file(work).write_bytes(good[number])


class Found(NamedTuple):
    """What became of the inputs of one reader."""

    name: str
    kinds: Counter[str]
    faults: Counter[str]


def run(numbers: Sequence[int], count: int, seed: int, show: bool = False) -> list[Found]:
    """Try readers, so many inputs each, in a process that is replaced when it crashes, hangs or has grown."""
    process, found = None, []
    for number in numbers:
        found.append(Found(READERS[number].name, Counter(), Counter()))
        for k in range(count):
            if process is None:
                connection, other = multiprocessing.Pipe()
                spawn = multiprocessing.get_context("spawn")
                process = spawn.Process(target=work_for, args=(other, 2e9), daemon=True)
                process.start()
                other.close()
                connection.recv()
            name = f"{seed} {READERS[number].name} {k}"
            connection.send((number, name))
            try:
                outcome = connection.recv() if connection.poll(LONGEST) else Outcome("fault", "hangs")
            except EOFError:
                process.join()
                outcome = Outcome("fault", f"crashes ({process.exitcode})")
            if outcome.fault.startswith(("hangs", "crashes")) or "MB" in outcome.fault:
                process.kill()
                process.join()
                process = None
            found[-1].kinds[outcome.kind] += 1
            if outcome.fault:
                found[-1].faults[outcome.fault] += 1
                if show:
                    print(f"  {name}: {outcome.fault}", flush=True)
    if process is not None:
        connection.send(None)
        process.join()
    return found


def main() -> None:
    """Print a table: readers, how many inputs, and what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="of all readers together (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", default="", metavar="WORDS", help="only those with these words in their name")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="name each input with a fault")
    given = parser.parse_args()
    numbers = [k for k, reader in enumerate(READERS) if given.readers in reader.name]
    names = [reader.name for reader in READERS]
    each = -(-given.inputs // len(numbers))
    started = time.monotonic()
    shares = [numbers[k :: given.processes] for k in range(given.processes)]
    with ThreadPoolExecutor(given.processes) as pool:
        parts = pool.map(lambda share: run(share, each, given.seed, given.show), shares)
        found = sorted((one for part in parts for one in part), key=lambda one: names.index(one.name))
    print(f"{'reader':28}{'tried':>8}" + "".join(f"{kind:>12}" for kind in OUTCOMES))
    total = Counter[str]()
    for name, kinds, faults in found:
        total += kinds
        print(f"{name:28}{each:8}" + "".join(f"{kinds[kind]:12}" for kind in OUTCOMES))
        for fault, count in faults.most_common(10):
            print(f"    {count:6}  {fault}")
    print(f"{'all':28}{each * len(numbers):8}" + "".join(f"{total[kind]:12}" for kind in OUTCOMES))
    print(f"seed {given.seed}, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
