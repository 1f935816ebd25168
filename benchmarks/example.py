"""The example that ships: made anew, or its list judged against the answers that are kept apart.

python -m benchmarks.example make DIR     glasses, and the exact calculation of every pair under step 2's ceilings
                                          (ten minutes on two cores); what is there already is not made again
python -m benchmarks.example judge DIR [--picture FILE.png]
                                          after steps 0 to 4: how many TLS the top of the list holds

A random part of the exact results becomes the pretraining sets, another the NEB results of a first round; the rest are
the answers, NEB_calculations/answers/.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from MLmodel.labels import join_to_tables
from MLmodel.metrics import tls_found
from MLmodel.plots import search_efficiency
from MLmodel.tables import read_batches
from pipeline.files import atomic_write
from pipeline.keys import KEY_COLUMNS, PAIR_COLUMNS, pair_keys
from pipeline.neb_files import read_neb_results, read_unfinished, write_neb_results
from pipeline.settings import Settings
from pipeline.task import CLASSIFIER, DW, PREDICTOR, QS
from pipeline.workspace import Workspace

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "example"
T = "0.12"
GLASSES = ("--n-particles", "200", "--glasses", "10", "--quenches", "1200")
PRETRAINING, FIRST_ROUND = 0.2, 0.05
"""Parts of the exact results."""

SETTINGS = Settings()


def make(work: Workspace) -> None:
    """Simulate, calculate and divide."""
    run("simulate_glass.py", work, "-T", T, *GLASSES)
    run("step0_collect.py", work, "-T", T)
    answers = answers_of(work)
    if answers.splittings(T):
        print(f"{answers.neb(T)}: is there, not made again")
        return
    pairs = pairs_under_ceilings(work)
    listed = work.neb(T) / "all pairs.csv"
    with atomic_write(listed) as part:
        pairs[PAIR_COLUMNS].to_csv(part, index=False)
    run("run_neb.py", work, "-T", T, "--pairs", str(listed))
    divide(work, answers)
    listed.unlink()


def run(script: str, work: Workspace, *arguments: str) -> None:
    """Run a script of the project."""
    subprocess.run([sys.executable, ROOT / script, "--workspace", work.root, *arguments], check=True)


def answers_of(work: Workspace) -> Workspace:
    """Where the exact results are kept that no model sees."""
    return AnswersWorkspace(work.root)


class AnswersWorkspace(Workspace):
    """The NEB files below ``NEB_calculations/answers``."""

    def neb(self, temperature: str) -> Path:
        """Folder of one temperature."""
        return super().neb(temperature).parent / "answers" / f"T{temperature}"


def copy_with_tables(example: Path, target: Path) -> Workspace:
    """A copy of the example with its pair tables."""
    shutil.copytree(example, target)
    run("step0_collect.py", Workspace(target), "-T", T)
    return Workspace(target)


def pairs_under_ceilings(work: Workspace) -> pd.DataFrame:
    """All pairs that step 2 would look at."""
    ceilings = SETTINGS.classify
    pairs = pd.concat([rows for table in work.pair_tables(T) for rows in read_batches(table)], ignore_index=True)
    under = (pairs["Delta_E"] <= ceilings.max_delta_E) & (pairs["total_displacement"] <= ceilings.max_distance)
    return pairs[under]


def divide(work: Workspace, answers: Workspace) -> None:
    """Share out the exact results; the files of the workspace are left with those of the first round."""
    neb = read_neb_results(work, T).sort_values(PAIR_COLUMNS).sample(frac=1, random_state=SETTINGS.seed)
    first, second = (int(len(neb) * part) for part in (PRETRAINING, PRETRAINING + FIRST_ROUND))
    pretraining = join_to_tables(neb.iloc[:first][[*PAIR_COLUMNS, DW, QS]], work.pair_tables(T), SETTINGS.ij_decimals)
    pretraining = pretraining.sort_values(PAIR_COLUMNS, ignore_index=True)
    for task, table in (
        (CLASSIFIER, pretraining.drop(columns=QS)),
        (PREDICTOR, pretraining[pretraining[DW] == 1].drop(columns=DW).reset_index(drop=True)),
    ):
        with atomic_write(work.pretraining(task, T)) as part:
            table.to_feather(part)
    write_neb_results(work, T, neb.iloc[first:second].sort_values(PAIR_COLUMNS))
    write_neb_results(answers, T, neb.iloc[second:].sort_values(PAIR_COLUMNS))
    unfinished = read_unfinished(work, T).sort_values(PAIR_COLUMNS)
    with atomic_write(work.unfinished(T)) as part:
        unfinished.to_csv(part, index=False)
    for kind in ("jsonl", "png", "csv"):
        work.neb_paths(T, kind).unlink(missing_ok=True)  # they show the answers
    print(f"exact results: {len(neb)}; pretraining sets {first}, first round {second - first}, the rest answers")
    print(f"double wells: {(neb[DW] == 1).sum()}, TLS: {(neb[QS] < SETTINGS.tls_threshold).sum()}")
    print(f"unfinished: {len(unfinished)}")


def judge(work: Workspace, picture: Path | None) -> None:
    """Compare the order of the list with the answers."""
    listed = pd.read_csv(work.predicted(T, "newpairs"), float_precision="round_trip")
    answers = read_neb_results(answers_of(work), T)
    known = pair_keys(answers, SETTINGS.ij_decimals).join(answers[[DW, QS]])
    listed = (
        pair_keys(listed, SETTINGS.ij_decimals).join(listed[[QS]].add_prefix("predicted ")).merge(known, on=KEY_COLUMNS)
    )
    is_dw = listed[DW] == 1
    exact = listed[QS].fillna(np.inf).to_numpy()
    predicted = listed[f"predicted {QS}"].to_numpy()
    found = tls_found(exact, predicted, SETTINGS.tls_threshold)
    tls = int((answers[QS] < SETTINGS.tls_threshold).sum())
    print(f"answers: {len(answers)} pairs, {(answers[DW] == 1).sum()} double wells, {tls} TLS")
    print(f"on the list: {len(listed)} of them, {is_dw.sum()} double wells, {found[-1] if len(found) else 0} TLS")
    for top in (10, 30, 100):
        if top <= len(found):
            print(f"TLS in the top {top}: {found[top - 1]}, at random {top * found[-1] / len(found):.1f}")
    if picture:
        title = f"the example: {len(listed)} pairs of the list, answers from NEB"
        written = search_efficiency(exact, predicted, SETTINGS.tls_threshold, title).save(picture, ["png"])
        print(f"picture: {', '.join(map(str, written))}")


def main() -> None:
    """Make or judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "judge"))
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    work = Workspace(given.workspace)
    work.root.mkdir(parents=True, exist_ok=True)
    if given.what == "make":
        make(work)
    else:
        judge(work, given.picture)


if __name__ == "__main__":
    main()
