"""What users write and what is said of it where it is wrong: one short line that names file, place and what is wrong.

A row is a file of the workspace, its content, and words that must be in the line. A new kind of file takes a line in
FILES: where it stands and who reads it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from synthetic import HUGE

from pipeline.errors import UserError
from pipeline.formats.results import read_neb_results, read_pair_list
from pipeline.formats.transitions import read_transitions
from pipeline.settings import read_settings
from pipeline.workspace import StatePoint, Workspace


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
}

NO_NUMBERS = [HUGE, "1e9999", "1_0", "infinity", "0x10", "1" * 400, "0.2e", "."]

CASES: list[tuple[str, str, list[str]]] = [
    ("config.yaml", "particels: 3", ["unknown key particels", "particles", "test_split"]),
    ("config.yaml", "classify: {max_delta: 3}", ["unknown key classify.max_delta", "max_delta_E", "max_distance"]),
    ("config.yaml", "particles: three", ["particles = 'three'", "integer"]),
    ("config.yaml", "particles: 2.5", ["particles = 2.5", "integer"]),
    ("config.yaml", "particles: 0", ["particles = 0", "greater than or equal to 1"]),
    ("config.yaml", "pairs: {max_delta_E: -1}", ["pairs.max_delta_E = -1", "greater than 0"]),
    ("config.yaml", "predictor: {train_hours: soon}", ["predictor.train_hours = 'soon'", "number"]),
    ("config.yaml", "predictor: {fast: yes}", ["predictor.fast = 'yes'", "true or false"]),
    ("config.yaml", "test_fraction: 1.0", ["test_fraction = 1.0", "less than 1"]),
    ("config.yaml", "test_fraction: .nan", ["test_fraction = nan"]),
    ("config.yaml", "test_split: energy", ["test_split = 'energy'", "'pair' or 'glass'"]),
    ("config.yaml", "classify: 3", ["classify = 3", "section"]),
    ("config.yaml", "figures: pdf", ["figures = 'pdf'", 'a list, such as ["pdf"]']),
    ("config.yaml", "figures: [pdf, jpg]", ["figures.1 = 'jpg'", "'png', 'pdf' or 'svg'"]),
    ("config.yaml", "pretraining: 0.12", ["pretraining = 0.12", 'a list, such as ["0.12"]']),
    ("config.yaml", "pretraining: '0.12'", ["pretraining = '0.12'", 'a list, such as ["0.12"]']),
    ("config.yaml", "pretraining: [0.12]", ["pretraining.0 = 0.12", 'in quotes, such as "0.12"']),
    ("config.yaml", "pretraining: [T0.5]", ["pretraining.0 = 'T0.5'", 'in quotes, such as "0.12"']),
    ("config.yaml", "pretraining:", ["pretraining = None", "a list, such as []"]),
    ("config.yaml", "pretraining: '" + "x" * 100_000 + "'", ["pretraining", "…"]),
    ("config.yaml", "processes: 0", ["processes = 0", "greater than or equal to 1"]),
    ("config.yaml", "cluster: {}", ["cluster names nothing", "scheduler_file, slurm"]),
    ("config.yaml", "cluster: {scheduler: a, slurm: {cores: 1}}", ["cluster names scheduler and slurm", "give one"]),
    ("config.yaml", "cluster: {slrum: {cores: 1}}", ["unknown key cluster.slrum", "slurm", "htcondor"]),
    ("config.yaml", "cluster: {slurm: 3}", ["cluster.slurm = 3", "section"]),
    ("config.yaml", "cluster: {slurm: {n_workers: 0}}", ["cluster.slurm.n_workers = 0", "above zero"]),
    ("config.yaml", "cluster: local", ["cluster = 'local'", "section"]),
    ("config.yaml", "classifier: {train_hours: 1e306}", ["classifier.train_hours = 1e+306", "10000"]),
    ("config.yaml", "neb: {time_limit: 1e300}", ["neb.time_limit = 1e+300"]),
    ("config.yaml", "neb: {images: 1000000000}", ["neb.images = 1000000000"]),
    ("config.yaml", "neb: {sigma: 1e-300}", ["neb.sigma = 1e-300"]),
    ("config.yaml", "seed: 2001-01-01", ["seed = ", "integer"]),
    ("config.yaml", "seed: 2001-99-99", ["not readable as YAML"]),
    ("config.yaml", "seed: " + "9" * 5000, ["not readable as YAML"]),
    ("config.yaml", "seed: 1\nseed: 2", ["line 2: found duplicate key", "seed"]),
    ("config.yaml", "seed: !!bool maybe", ["not readable as YAML"]),
    ("config.yaml", "seed: !!timestamp today", ["not readable as YAML"]),
    ("config.yaml", "seed: !!int ''", ["not readable as YAML"]),
    ("config.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nseed: [*b, *b]", ["seed", "unknown key"]),
    ("config.yaml", "[" * 5000, ["too deeply nested"]),
    ("config.yaml", "- 1", ["must hold lines 'key: value'"]),
    ("config.yaml", "a: [", ["not readable as YAML"]),
    *(("NON-DW.txt", f"Cnf-1 0.2_0.3\nCnf-1 {one}_0.26\n", ["line 2: "]) for one in NO_NUMBERS),
    *(("Qs_calculations.txt", f"Cnf-1 0.2_0.3 0.1\nCnf-1 0.2_0.26 {one}\n", ["line 2: "]) for one in NO_NUMBERS),
    *(("pairs.csv", f"conf,i,j\n{one},0.2,0.3\n", ["line 2: "]) for one in NO_NUMBERS),
    ("Cnf-1.csv", f"i,j,count\n0.2,0.3,1\n{HUGE},0.26,1\n", ["line 3: not two minima and a count"]),
]


@pytest.mark.parametrize(("name", "content", "words"), CASES, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_told_in_one_short_line_that_names_the_file(tmp_path, name, content, words):
    at = Workspace(tmp_path).at("0.1")
    path = FILES[name].folder(at) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    with pytest.raises(UserError) as error:
        FILES[name].read(at, path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1500
    for word in [name, *words]:
        assert word in str(error.value)
