"""Same input, same model: trains and predicts on the example twice, the second time beside busy processes.

Run with: python -m benchmarks.repeatable [--busy 2]

Prints the time of each step and whether DW_T0.12.csv and both lists are the same byte by byte.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.example import EXAMPLE, ROOT, T, copy_with_tables
from pipeline.workspace import Workspace

STEPS = ("step1_train_dw", "step2_classify_dw", "step3_train_qs", "step4_predict_qs")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--busy", type=int, default=2, metavar="N", help="processes beside the second run (2)")
    busy = options.parse_args().busy
    with tempfile.TemporaryDirectory() as folder:
        alone = copy_with_tables(EXAMPLE, Path(folder) / "alone")
        beside = Workspace(shutil.copytree(alone.root, Path(folder) / "beside"))
        train_and_predict(alone, 0)
        train_and_predict(beside, busy)
        for path in (alone.at(T).classified, alone.at(T).predicted("allpairs"), alone.at(T).predicted("newpairs")):
            name = path.relative_to(alone.root)
            same = path.read_bytes() == (beside.root / name).read_bytes()
            print(f"{name}, {path.stat().st_size} bytes: {'the same' if same else 'differs'}")


def train_and_predict(work: Workspace, busy: int) -> None:
    """Steps 1 to 4 beside so many processes that do nothing but take time."""
    with ExitStack() as beside:
        for _ in range(busy):
            process = beside.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            beside.callback(process.kill)
        for step in STEPS:
            started = time.perf_counter()
            command = [sys.executable, str(ROOT / f"{step}.py"), "--workspace", str(work.root)]
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            print(f"{step} beside {busy} busy processes: {time.perf_counter() - started:.0f} s", flush=True)
            print("".join(f"{line}\n" for line in said.splitlines() if "another run" in line), end="", flush=True)


if __name__ == "__main__":
    main()
