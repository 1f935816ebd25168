"""What it takes a script to show its help, and a step to say that nothing is new.

python -m benchmarks.startup WORKSPACE [--before CHECKOUT]

WORKSPACE has been through steps 0 to 4. With --before, another checkout does the same by turns. Processor time and wall
time in s, the least of five runs.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--before", type=Path)
    given = parser.parse_args()
    checkouts = [ROOT, *([given.before.resolve()] if given.before else [])]
    cases = [(path.name, ["--help"]) for path in sorted(ROOT.glob("*.py"))]
    cases += [(path.name, ["--workspace", str(given.workspace)]) for path in sorted(ROOT.glob("step*.py"))]
    for script, arguments in cases:
        best = {root: (float("inf"), float("inf")) for root in checkouts}
        for _ in range(RUNS):
            for root in checkouts:
                best[root] = min(best[root], taken([sys.executable, str(root / script), *arguments]))
        said = ", before ".join(f"{processor:.2f} s of CPU, {wall:.2f} s" for processor, wall in best.values())
        print(f"{script:22} {arguments[0]:12} {said}", flush=True)


def taken(command: list[str]) -> tuple[float, float]:
    """Processor and wall time of a command in s."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


if __name__ == "__main__":
    main()
