"""What users write and what is said of it where it is wrong: one short line that names file, place and what is wrong.

A row is a file of the workspace, its content, and words that must be in the line. A new kind of file takes a line in
FILES: where it stands and who reads it.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather
from steps import refused
from synthetic import HUGE

from MLmodel.card import FORMAT, read_card
from MLmodel.labels import read_pretraining
from pipeline.errors import UserError
from pipeline.formats.minima import superseded
from pipeline.formats.pair_lists import read_list
from pipeline.formats.pair_tables import check_ready_made
from pipeline.formats.records import read_records
from pipeline.formats.results import read_calculations, read_neb_results, read_pair_list
from pipeline.settings import NebSettings, read_settings
from pipeline.transitions import read_transitions
from pipeline.workspace import CLASSIFIER, PREDICTOR, QS, StatePoint, Workspace
from search.calculated import read_double_wells
from search.calculator import find_calculator
from search.rounds import read_rounds

T = "0.1"


class File(NamedTuple):
    """Where a file stands, and what reads it."""

    folder: Callable[[StatePoint], Path]
    read: Callable[[StatePoint, Path], object]


FILES = {
    "config.yaml": File(lambda at: at.workspace.root, lambda at, path: read_settings(path)),
    "NON-DW.txt": File(lambda at: at.neb, lambda at, path: read_neb_results(at)),
    "Qs_calculations.txt": File(lambda at: at.neb, lambda at, path: read_neb_results(at)),
    "pairs.csv": File(lambda at: at.workspace.root, lambda at, path: read_pair_list(path, 10)),
    "Cnf-1.csv": File(lambda at: at.transitions(1).parent, lambda at, path: read_transitions(path)),
    "relaxed.csv": File(lambda at: at.glass(1), lambda at, path: superseded(path.parent)),
    "calculations.csv": File(lambda at: at.neb, lambda at, path: read_calculations(at)),
    "neb_paths.jsonl": File(lambda at: at.neb_paths("jsonl").parent, lambda at, path: list(read_records(at))),
    "card.json": File(lambda at: at.card(CLASSIFIER).parent, lambda at, path: read_card(at, CLASSIFIER)),
    "rounds.csv": File(lambda at: at.rounds("csv").parent, lambda at, path: read_rounds(at)),
    "double_wells.csv": File(lambda at: at.double_wells.parent, lambda at, path: read_double_wells(at)),
    "list.csv": File(lambda at: at.workspace.root, lambda at, path: read_list(path, ["conf", "i", "PR"], "step4.py")),
    "mine.py": File(
        lambda at: at.workspace.root,
        lambda at, path: find_calculator(NebSettings(calculator="mine:calculator"), path.parent).find(),
    ),
}

NO_NUMBERS = [HUGE, "1e9999", "1_0", "infinity", "0x10", "1" * 400, "0.2e", ".", "nan", "x"]
TWICE = ["0.2_0.2", "0.20500191980000002_0.2050019198", "2e-1_0.2"]
"""One minimum, named twice."""

CALCULATIONS = "conf,i,j,verdict,fidelity,images,steps,cpu_seconds\n1,0.1,0.2,non-DW,,41,7,1\n1,0.1,0.3,non-DW,,"
METAL = "units: metal\n"

CASES: list[tuple[str, str, list[str]]] = [
    ("config.yaml", "particels: 3", ["unknown key particels", "particles", "test_split"]),
    ("config.yaml", "classify: {max_delta: 3}", ["unknown key classify.max_delta", "max_delta_E", "max_distance"]),
    ("config.yaml", "particles: three", ["particles = 'three'", "integer"]),
    ("config.yaml", "particles: 0", ["particles = 0", "greater than or equal to 1"]),
    ("config.yaml", "predictor: {train_hours: soon}", ["predictor.train_hours = 'soon'", "number"]),
    ("config.yaml", "predictor: {fast: yes}", ["predictor.fast = 'yes'", "true or false"]),
    ("config.yaml", "test_fraction: 1.0", ["test_fraction = 1.0", "less than 1"]),
    ("config.yaml", "test_fraction: .nan", ["test_fraction = nan"]),
    ("config.yaml", "test_split: energy", ["test_split = 'energy'", "'pair' or 'glass'"]),
    ("config.yaml", "classify: 3", ["classify = 3", "section"]),
    ("config.yaml", "figures: pdf", ["figures = 'pdf'", 'a list, such as ["pdf"]']),
    ("config.yaml", "figures: [pdf, jpg]", ["figures.1 = 'jpg'", "'png', 'pdf' or 'svg'"]),
    ("config.yaml", "pretraining: [0.12]", ["pretraining.0 = 0.12", 'in quotes, such as "0.12"']),
    ("config.yaml", "pretraining:", ["pretraining = None", "a list, such as []"]),
    ("config.yaml", "pretraining: '" + "x" * 100_000 + "'", ["pretraining", "…"]),
    ("config.yaml", "cluster: {}", ["cluster names nothing", "scheduler_file, slurm"]),
    ("config.yaml", "cluster: {scheduler: a, slurm: {cores: 1}}", ["cluster names scheduler and slurm", "give one"]),
    ("config.yaml", "cluster: {slrum: {cores: 1}}", ["unknown key cluster.slrum", "slurm", "htcondor"]),
    ("config.yaml", "cluster: {slurm: {n_workers: 0}}", ["cluster.slurm.n_workers = 0", "above zero"]),
    ("config.yaml", "classifier: {train_hours: 1e306}", ["classifier.train_hours = 1e+306", "10000"]),
    ("config.yaml", "neb: {sigma: 1e-300}", ["neb.sigma = 1e-300"]),
    ("config.yaml", "seed: 2001-01-01", ["seed = ", "integer"]),
    ("config.yaml", "seed: 1\nseed: 2", ["line 2: found duplicate key", "seed"]),
    *(
        ("config.yaml", f"seed: {value}", ["not readable as YAML"])
        for value in ("2001-99-99", "9" * 5000, "!!bool maybe", "!!timestamp today", "!!int ''", "[")
    ),
    ("config.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nseed: [*b, *b]", ["seed", "unknown key"]),
    ("config.yaml", "[" * 900, ["too deeply nested"]),
    ("config.yaml", "- 1", ["must hold lines 'key: value'"]),
    *(
        ("config.yaml", f"{METAL}neb: {{{name}: 1.0}}", [f"neb.{name} is not allowed", "units: metal"])
        for name in ("sigma", "mass", "epsilon")
    ),
    *(("NON-DW.txt", f"Cnf-1 0.2_0.3\nCnf-1 {one}_0.26\n", ["line 2: "]) for one in NO_NUMBERS),
    *(
        ("NON-DW.txt", f"# by hand\nCnf-1 0.2_0.3\n\n{line}\n", ["line 4: '"])
        for line in ("Cnf-1 0.2", "Cnf-1 0.2_0.3_0.4", "Cnf-one 0.2_0.3", "1 0.2_0.3", "Cnf-1 0.2_0.3 9")
    ),
    ("NON-DW.txt", "Cnf-1 0.2_0.3\nCnf-1 0.2_1000000001\n", ["line 2: ", "too large for ij_decimals = 10"]),
    ("pairs.csv", "conf,i,j\n1,0.2,1000000001\n", ["line 2: j = 1000000001", "from -9e+08 to 9e+08"]),
    *(("NON-DW.txt", f"Cnf-1 0.2_0.3\nCnf-1 {two}\n", ["line 2: ", "names one minimum twice"]) for two in TWICE),
    *(("Qs_calculations.txt", f"Cnf-1 0.2_0.3 0.1\nCnf-1 0.2_0.26 {one}\n", ["line 2: "]) for one in NO_NUMBERS),
    *(("Qs_calculations.txt", f"Cnf-1 {two} 0.01\n", ["line 1: ", "names one minimum twice"]) for two in TWICE),
    *(
        ("Qs_calculations.txt", f"Cnf-1 0.2_0.4 {one}\n", [f"line 1: the splitting '{one}' is not a number above zero"])
        for one in ("0", "-0.1", "nan", "inf", "small", "0.0")
    ),
    *(
        ("Qs_calculations.txt", f"Cnf-1 0.2_0.4 {one}\n", [f"line 1: no double well has a splitting as small as {one}"])
        for one in ("1e-30", "1e-300", "1D-17")
    ),
    ("Qs_calculations.txt", "Cnf-1 0.2_0.3\n", ["line 1"]),
    ("Qs_calculations.txt", "Cnf-1 1_2 0.1\n\ufeffCnf-1 0.2_0.5 0.01\n", ["line 2: ", "its character 1 is U+FEFF"]),
    ("Qs_calculations.txt", "Cnf\u20131 0.2_0.5 0.01\n", ["line 1: ", "its character 4 is U+2013 (en dash)"]),
    ("Qs_calculations.txt", "Cnf-1 0.2_0.5 1e\u22122\n", ["not a number above zero: its character 3 is U+2212"]),
    *(("pairs.csv", f"conf,i,j\n{one},0.2,0.3\n", ["line 2: "]) for one in [*NO_NUMBERS, "1e20"]),
    ("pairs.csv", "conf,i,j\n1,0.1,0.2\n1,0.1,0.3,7\n", ["line 3: 4 fields, but 3 columns"]),
    ("pairs.csv", "conf;i;j\n1;0,1;0,2\n", ["separated by semicolons; separate them by commas, with decimal points"]),
    ("Cnf-1.csv", f"i,j,count\n0.2,0.3,1\n{HUGE},0.26,1\n", ["line 3: i = "]),
    ("Cnf-1.csv", "i,j,count\n0.2,0.3,many\n", ["line 2"]),
    *(
        (name, f"\n{columns}\n\n1,0.2,0.3\n  \n\nx,0.2,0.3\n", ["line 7: "])  # blank lines are no rows, but lines
        for name, columns in (("pairs.csv", "conf,i,j"), ("Cnf-1.csv", "i,j,count"))
    ),
    ("Cnf-1.csv", "i,j\n1,2\n", ["no column count"]),
    ("Cnf-1.csv", "i;j;count\n1;2;3\n", ["its columns are separated by semicolons"]),
    ("Cnf-1.csv", "", ["CSV"]),
    ("relaxed.csv", "name,energy,max_force,became,displacement\n0.2.conf,x,1,,\n", ["line 2"]),
    *(
        ("calculations.csv", f"{CALCULATIONS}{cells}\n", ["line 3"])
        for cells in ("-1,7,1", "41,0.5,1", "41,7,-1", "many,7,1", f"41,7,{HUGE}")
    ),
    ("calculations.csv", "conf,i,j,verdict\n1,0.1,0.2,non-DW\n", ["no column fidelity, cpu_seconds"]),
    *(
        ("neb_paths.jsonl", line + "\n", ["line 1 ", "run run_neb.py --refine"])
        for line in ("{}", "[]", '{"levels": [1, 0]}', "half a li", "[" * 50_000, "9" * 5000, "\0")
    ),
    *(
        ("card.json", content, ["run step1_train_dw.py"])
        for content in ("[" * 50_000, '{"format": 3}', f'{{"format": {FORMAT}, "task"', f'{{"format": {FORMAT}}}')
    ),
    *(
        (name, content, ["changed since a step wrote it"])
        for name in ("rounds.csv", "double_wells.csv")
        for content in ("", "round,nebs\n1,2\n", "\x00\x01", "conf,i,j\n1,2,3,4\n")
    ),
    *(
        ("list.csv", content, ["not as step4.py writes it", "run that step"])
        for content in ("", "conf,i\n1,2\n", "conf,i,PR\n1.5,2,3\n", "conf,i,PR\n1,2,two\n", "conf,i,PR\n1,2,\n")
    ),
    ("mine.py", "raise RuntimeError('no\\nlicence')", ["RuntimeError: no licence"]),
    ("mine.py", "class Ended(BaseException):\n    pass\nraise Ended('at once')", ["Ended: at once"]),
    ("mine.py", "def calculator(", ["SyntaxError"]),
    ("mine.py", "calculator = 3", ["calculator is no function"]),
]


@pytest.mark.parametrize(("name", "content", "words"), CASES, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_told_in_one_short_line_that_names_the_file(tmp_path, monkeypatch, name, content, words):
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("mine", None)
    at = Workspace(tmp_path).at(T)
    path = FILES[name].folder(at) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    with pytest.raises(UserError) as error:
        FILES[name].read(at, path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1500
    for word in [name.removesuffix(".py"), *words]:
        assert word in str(error.value)


def table():
    """Pairs that are good."""
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame({"conf": 5, "i": np.arange(20) // 2, "j": 30 + np.arange(20), "Delta_E": rng.random(20)})
    return pairs.assign(total_displacement=rng.random(20), PR=2.0, my_feature=rng.random(20))


def put(row, column, value):
    """The same with another value in one place."""
    found = table().assign(is_dw=1, quantum_splitting=0.1).astype({column: float})
    found.loc[row, column] = value
    return found


@pytest.mark.parametrize(
    ("reader", "changed", "words"),
    [
        ("ready-made", table().drop(columns="Delta_E"), "missing column Delta_E"),
        ("ready-made", table().assign(i="a"), "column i holds"),
        (
            "ready-made",
            table().assign(j=np.float32(table()["j"] / 7)),
            "column j holds .* single precision, .* as float64",
        ),
        ("ready-made", put(3, "PR", np.nan), "row 3: PR is not a finite number"),
        ("ready-made", table().assign(PR=np.float32([*[2.0] * 19, np.inf])), "row 19: PR is not a finite"),
        ("ready-made", put(4, "conf", 1.5), "row 4: conf = 1.5 is not a whole number"),
        ("ready-made", put(0, "conf", 2.0**53), "row 0: conf = 9007199254740992.0 is not exact in a column of floats"),
        ("ready-made", table().assign(conf=True), "column conf holds bool, not numbers"),
        ("ready-made", put(2, "i", 1e9 + 1), r"row 2: i = 1000000001.0 is .* lower ij_decimals \(10\) in config"),
        (CLASSIFIER, put(2, "j", 1e9 + 1), r"row 2: j = 1000000001.0 is .* lower ij_decimals \(10\) in config"),
        ("ready-made", put(7, "i", 37.0), "row 7: .*the same minimum"),
        ("ready-made", pd.concat([table(), table()[:2].rename(columns={"i": "j", "j": "i"})]), "2 repeated pairs"),
        ("ready-made", table().iloc[:0], "no pair"),
        *(
            ("ready-made", table().assign(**{one: 1.0}), "can't be the name of a feature")
            for one in ("a,b", 'q"r', "", "a\nb", "a[0]", "a:b")
        ),
        (CLASSIFIER, table(), "missing column is_dw"),
        (CLASSIFIER, table().assign(is_dw=2), "is_dw = 2 is not 0 or 1"),
        (CLASSIFIER, put(0, "my_feature", np.nan), "row 0: my_feature is not a finite number"),
        (CLASSIFIER, table().assign(is_dw=1).iloc[:0], "no row"),
        (PREDICTOR, put(3, QS, 1e-30), "row 3: quantum_splitting = 1e-30 is not 1e-16 or more"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_a_bad_table_is_told_with_its_row(tmp_path, reader, changed, words):
    path = tmp_path / "a.feather"
    changed.reset_index(drop=True).to_feather(path)
    with pytest.raises(UserError, match=rf"a\.feather: .*{words}"):
        check_ready_made(path, 10) if reader == "ready-made" else read_pretraining(path, reader, 10)


@pytest.mark.parametrize("name", ["conf", "i", "PR"])
def test_a_column_that_stands_in_a_table_twice_is_told(tmp_path, name):
    columns = pa.Table.from_pandas(table())
    feather.write_feather(columns.append_column(name, columns[name]), tmp_path / "a.feather")
    with pytest.raises(UserError, match=rf"a\.feather: column {name} stands there twice"):
        check_ready_made(tmp_path / "a.feather", 10)


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        ("simulate_glass", "", "-T"),
        ("simulate_glass", "-T 0.1 -T 0.2", "one temperature"),
        ("simulate_glass", "-T x", "above zero"),
        ("simulate_glass", f"-T 0.1 --workspace {__file__}", "no such folder"),
        ("simulate_glass", "-T 0.1 --n-particles 66", "from 67"),  # (2 · 1.25 · 1.62)³ = 66.4
        ("simulate_glass", "-T 0.1 --sampling-temperature 1.5", "1 or less"),
        ("run_neb", "--top -1", "--top: -1 is not allowed: it is a whole number, 0 or more"),
        ("run_neb", "--refine 0", "--refine: 0 is not allowed: it is a whole number, 1 or more"),
        ("run_neb", "--pairs nope.csv", "--pairs: nope.csv: no such file"),
        ("run_neb", "--top 2 --retry", "not allowed with argument --top"),
        ("run_neb", "--share 0/3", "0/3 is not allowed: it is k/N"),
        ("run_neb", "--share 1/3 --retry", "--share goes with --top, --pairs or --all"),
        ("interpret", "--pair one 0.2 0.3", "--pair one 0.2 0.3: give the number of the glass"),
        ("interpret", "--pair 1 0.2 1e300", "--pair 1 0.2 1e300: give the number of the glass"),
        ("interpret", "--pair 1 0.2", "expected 3 arguments"),
        ("step0_collect", "-T", "expected one argument; see --help"),
        ("step0_collect", "--nonsense", "unrecognized arguments: --nonsense"),
        ("step0_collect", "", "no minima"),
    ],
)
def test_what_is_impossible_is_refused_in_one_line(tmp_path, script, arguments, words):
    (tmp_path / "Configurations").mkdir()
    assert words in refused(script, tmp_path, *arguments.split())
