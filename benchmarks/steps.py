"""Whole scripts from outside: how soon they begin, whether models repeat, how long the report takes.

python -m benchmarks.steps startup DIR [--before CHECKOUT]   --help of every script, and steps with nothing new in DIR,
                                          which has been through steps 0 to 4; s of CPU and wall time, least of five
python -m benchmarks.steps repeatable     steps 1 to 4 on the example twice, the second time beside two busy processes:
                                          times, and whether the lists are the same byte by byte
python -m benchmarks.steps report DIR [--wells 1000]   time and size of the report on a copy with so many double wells
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pandas as pd

from benchmarks.scale import run
from example.make import EXAMPLE, ROOT, T, copy_with_tables
from pipeline.workspace import Workspace

RUNS = 5
BUSY = 2  # processes beside the second run

LEARNING = ("step1_train_dw", "step2_classify_dw", "step3_train_qs", "step4_predict_qs")


def startup(workspace: Path, before: Path | None) -> None:
    """Time until help is shown, and until a step says that nothing is new; by turns in two checkouts."""
    checkouts = [ROOT, *([before.resolve()] if before else [])]
    cases: list[tuple[str, list[object]]] = [(path.name, ["--help"]) for path in sorted(ROOT.glob("*.py"))]
    cases += [(path.name, ["--workspace", workspace]) for path in sorted(ROOT.glob("step*.py"))]
    for script, arguments in cases:
        runs = [[run(root / script, *arguments)[:2] for root in checkouts] for _ in range(RUNS)]
        best = [[min(one) for one in zip(*(run[k] for run in runs), strict=True)] for k in range(len(checkouts))]
        said = ", before ".join(f"{processor:.2f} s of CPU, {wall:.2f} s" for wall, processor in best)
        print(f"{script:22} {arguments[0]:12} {said}", flush=True)


def repeatable() -> None:
    """Compare what two trainings on the same input give."""
    with tempfile.TemporaryDirectory() as folder:
        alone = copy_with_tables(EXAMPLE, Path(folder) / "alone")
        beside = Workspace(shutil.copytree(alone.root, Path(folder) / "beside"))
        for work, busy in ((alone, 0), (beside, BUSY)):
            with ExitStack() as others:
                for _ in range(busy):
                    process = others.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
                    others.callback(process.kill)
                for step in LEARNING:
                    seconds = run(ROOT / f"{step}.py", "--workspace", work.root).seconds
                    print(f"{step} beside {busy} busy processes: {seconds:.0f} s", flush=True)
        at = alone.at(T)
        for path in (at.classified, at.predicted("allpairs"), at.predicted("newpairs")):
            name = path.relative_to(alone.root)
            same = path.read_bytes() == (beside.root / name).read_bytes()
            print(f"{name}, {path.stat().st_size} bytes: {'the same' if same else 'differs'}")


def report(workspace: Path, wells: int) -> None:
    """Time the report on a copy with so many double wells at most."""
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(Path(folder) / "copy")
        shutil.copytree(workspace, work.root, ignore=shutil.ignore_patterns("paths", "autogluon-*"))
        for temperature in work.temperatures():
            path = work.at(temperature).double_wells
            if path.exists():
                some = pd.read_csv(path, float_precision="round_trip").head(wells)
                some.to_csv(path, index=False)
                print(f"T = {temperature}: {len(some)} double wells")
        seconds = run(ROOT / "report.py", "--workspace", work.root).seconds
        print(f"{seconds:.1f} s, {work.report.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(dest="what", required=True)
    for name in ("startup", "report"):
        ways.add_parser(name).add_argument("workspace", type=Path, metavar="DIR")
    ways.choices["startup"].add_argument("--before", type=Path, metavar="CHECKOUT")
    ways.choices["report"].add_argument("--wells", type=int, default=1000)
    ways.add_parser("repeatable")
    given = parser.parse_args()
    if given.what == "startup":
        startup(given.workspace, given.before)
    elif given.what == "report":
        report(given.workspace, given.wells)
    else:
        repeatable()


if __name__ == "__main__":
    main()
