"""How long the report takes and how large it is, by the number of double wells.

Run with: python -m benchmarks.report DIR [--wells 1000]

DIR is a workspace with exact results; the first of them are copied, with the minima and whatever else is there.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks.example import ROOT
from pipeline.workspace import Workspace


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("workspace", type=Path, metavar="DIR")
    options.add_argument("--wells", type=int, default=1000, metavar="N", help="double wells at most (1000)")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(Path(folder) / "copy")
        shutil.copytree(given.workspace, work.root, ignore=shutil.ignore_patterns("paths", "autogluon-*"))
        for temperature in work.temperatures():
            path = work.at(temperature).double_wells
            if path.exists():
                wells = pd.read_csv(path, float_precision="round_trip").head(given.wells)
                wells.to_csv(path, index=False)
                print(f"T = {temperature}: {len(wells)} double wells")
        started = time.perf_counter()
        command = [sys.executable, str(ROOT / "report.py"), "--workspace", str(work.root)]
        subprocess.run(command, check=True, stdout=subprocess.PIPE)
        print(f"{time.perf_counter() - started:.1f} s, {work.report.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
