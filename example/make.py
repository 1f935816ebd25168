"""The example that ships: made anew, or its list judged against the answers that are kept apart.

python -m example.make make DIR     glasses and exact calculations in DIR, the example itself in DIR/example;
                                          hours on two cores; what is there already is not made again
python -m example.make judge DIR [--picture FILE.png]
                                          after steps 0 to 4: how many TLS the top of the list holds

Of most glasses only labelled rows ship, as pretraining sets. LOOP glasses ship with their minima; no row comes from
them, and the exact results of all their pairs under step 2's ceilings are the answers, in a workspace of
their own, answers/.
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
from pipeline.files import atomic_write, write_text
from pipeline.formats.keys import PAIR_COLUMNS, Pair, by_pair, labels_as_text
from pipeline.formats.pair_tables import TLS_PROBABILITY, read_batches, under_ceilings
from pipeline.formats.results import last_results, read_calculations, read_neb_results, read_unfinished
from pipeline.settings import Settings
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, StatePoint, Workspace
from reporting.predictions import draw_search_efficiency
from search.calculated import count_tls, read_double_wells
from search.rearrangements import REARRANGEMENT

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "example"
T = "0.12"
GLASSES = ["--n-particles", "150", "--glasses", "60", "--quenches", "2500", "--sampling-temperature", "0.08"]

NEAR = 0.8  # of glasses that ship as rows, all pairs with at least this nearest_between are calculated, …
FAR = 60  # … and so many others of each
LOOP = (17, 18, 20, 21, 22)  # glasses that ship with their minima
FOLDS = 5  # the other glasses are dealt into so many folds
SETTINGS = Settings()


def make(work: Workspace) -> None:
    """Simulate, calculate and divide."""
    run("simulate_glass.py", work, "-T", T, *GLASSES)
    run("step0_collect.py", work, "-T", T)
    calculate(work, "rows", rows_to_calculate(work))
    calculate(work, "answers", pairs_under_ceilings(work).query("conf in @LOOP"))
    ship(work, Workspace(work.root / "example"))


def run(script: str, work: Workspace, *arguments: str) -> None:
    """Run a script of the project."""
    subprocess.run([sys.executable, ROOT / script, "--workspace", work.root, *arguments], check=True)


def calculate(work: Workspace, name: str, pairs: pd.DataFrame) -> None:
    """Exact results of these pairs; those that are there already are not calculated again."""
    listed = work.root / f"{name}.csv"
    with atomic_write(listed) as part:
        pairs[PAIR_COLUMNS].to_csv(part, index=False)
    run("run_neb.py", work, "-T", T, "--pairs", str(listed))


def answers_of(work: Workspace) -> Workspace:
    """A workspace of the exact results that no model sees."""
    return Workspace(work.root / "answers")


def glasses_of(work: Workspace) -> pd.DataFrame:
    """``glasses.csv``: conf, use (rows or loop), fold of those that ship as rows, and what is known of each."""
    return pd.read_csv(work.root / "glasses.csv")


def copy_with_tables(example: Path, target: Path) -> Workspace:
    """A copy of the example with its pair tables."""
    shutil.copytree(example, target)
    run("step0_collect.py", Workspace(target), "-T", T)
    return Workspace(target)


def pairs_under_ceilings(work: Workspace) -> pd.DataFrame:
    """All pairs that step 2 would look at."""
    pairs = pd.concat([rows for table in work.at(T).pair_tables for rows in read_batches(table)], ignore_index=True)
    return pairs[under_ceilings(pairs, SETTINGS.classify)]


def rows_to_calculate(work: Workspace) -> pd.DataFrame:
    """The near pairs of every glass, and FAR others of each."""
    pairs = pairs_under_ceilings(work)
    near = pairs["nearest_between"] >= NEAR
    far = pairs[~near].sample(frac=1, random_state=SETTINGS.seed).groupby("conf").head(FAR)
    return pd.concat([pairs[near], far])


def ship(work: Workspace, example: Workspace) -> None:
    """Write the example: rows of most glasses, minima and answers of the others."""
    shutil.rmtree(example.root, ignore_errors=True)
    neb = last_results(work.at(T)).sort_values(PAIR_COLUMNS)
    in_loop = neb["conf"].isin(LOOP)
    rows = join_to_tables(work.at(T), neb.loc[~in_loop, [*PAIR_COLUMNS, DW, QS]])
    rows = rows.sort_values(PAIR_COLUMNS, ignore_index=True)
    for task, table in (
        (CLASSIFIER, rows.drop(columns=QS)),
        (PREDICTOR, rows[rows[DW] == 1].drop(columns=DW).reset_index(drop=True)),
    ):
        with atomic_write(example.at(T).pretraining(task)) as part:
            table.to_feather(part)
    answers = answers_of(example)
    for conf in LOOP:
        shutil.copytree(work.at(T).glass(conf), example.at(T).glass(conf))
        example.at(T).transitions(conf).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(work.at(T).transitions(conf), example.at(T).transitions(conf))
    write_neb_results(answers.at(T), neb[in_loop])
    for table, path in (
        (read_unfinished(work.at(T)), answers.at(T).unfinished),
        (read_calculations(work.at(T)), answers.at(T).calculations),
    ):
        with atomic_write(path) as part:
            rows = table[table["conf"].isin(LOOP)].sort_values(PAIR_COLUMNS)
            labels_as_text(rows, work.ij_decimals).to_csv(part, index=False)
    summary = summary_of(work, neb)
    with atomic_write(example.root / "glasses.csv") as part:
        summary.to_csv(part, index=False)
    wells = read_double_wells(work.at(T))
    for use, some in summary.groupby("use"):
        found = count_tls(wells[wells["conf"].isin(some["conf"])], SETTINGS.tls_threshold)
        numbers = f"{some['pairs'].sum()} pairs, {some['double_wells'].sum()} double wells, {found}"
        print(f"{use}: {len(some)} glasses, {numbers}, in {(some['tls'] > 0).sum()} of the glasses")
    size = sum(path.stat().st_size for path in example.root.rglob("*") if path.is_file())
    print(f"{example.root}: {size / 1e6:.1f} MB")


def write_neb_results(at: StatePoint, results: pd.DataFrame) -> None:
    """Write both files of results anew, from the columns of :func:`pipeline.formats.results.read_neb_results`."""
    lines: dict[int, list[str]] = {0: [], 1: []}
    for row in results.itertuples():
        name = Pair(int(row.conf), row.i, row.j).text(at.decimals)
        lines[row.is_dw].append(f"{name}{f' {row.quantum_splitting!r}' * row.is_dw}\n")
    write_text(at.non_dw, "".join(lines[0]))
    write_text(at.new_splittings, "".join(lines[1]))


def summary_of(work: Workspace, neb: pd.DataFrame) -> pd.DataFrame:
    """What ``glasses.csv`` says of each glass; the folds are dealt out in the order of the TLS."""
    wells = read_double_wells(work.at(T))
    tls = wells[wells[QS] < SETTINGS.tls_threshold]
    table = pd.DataFrame({"conf": sorted(work.at(T).glasses)}).set_index("conf")
    table["minima"] = [len(list(work.at(T).glass(conf).iterdir())) for conf in table.index]
    table["pairs"] = neb.groupby("conf").size()
    table["double_wells"] = neb.groupby("conf")[DW].sum()
    table["tls"] = tls.groupby("conf").size()
    table["distinct_tls"] = tls.groupby("conf")[REARRANGEMENT].nunique()
    table = table.fillna(0).astype(int).reset_index()
    table.insert(1, "use", np.where(table["conf"].isin(LOOP), "loop", "rows"))
    order = table[table["use"] == "rows"].sort_values(["tls", "double_wells", "conf"], ascending=False)["conf"]
    folds = dict(zip(order, np.arange(len(order)) % FOLDS + 1, strict=True))
    table.insert(2, "fold", table["conf"].map(folds).astype("Int64"))
    return table


def judge(work: Workspace, picture: Path | None) -> None:
    """Compare the order of the list with the answers."""
    listed = pd.read_csv(work.at(T).predicted("newpairs"), float_precision="round_trip")
    answers = read_neb_results(answers_of(work).at(T))
    listed = by_pair(listed, SETTINGS.ij_decimals)[[TLS_PROBABILITY]].join(answers[[DW, QS]], how="inner")
    is_dw = listed[DW] == 1
    exact = listed[QS].fillna(np.inf).to_numpy()
    chance = listed[TLS_PROBABILITY].to_numpy()
    found = tls_found(exact, -chance, SETTINGS.tls_threshold)
    tls = int((answers[QS] < SETTINGS.tls_threshold).sum())
    print(f"answers: {len(answers)} pairs, {(answers[DW] == 1).sum()} double wells, {tls} TLS")
    tls = found[-1] if len(found) else 0
    print(f"on the list: {len(listed)} of them, {is_dw.sum()} double wells, {tls} TLS ({chance.sum():.1f} expected)")
    for top in (10, 30, 100):
        if top <= len(found):
            print(f"TLS in the top {top}: {found[top - 1]}, at random {top * found[-1] / len(found):.1f}")
    if picture:
        title = f"the example: {len(listed)} pairs of the list, answers from NEB"
        written = draw_search_efficiency(exact, -chance, title, SETTINGS).save(picture, ["png"])
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
