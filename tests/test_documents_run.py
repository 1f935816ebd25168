"""The commands of README's first run and of doc/your-own-glass.md, in their order, on an example made small."""

import re
import shlex
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from steps import ROOT, done, run_drawing

MINIMA, LABELS, PAIRS = 60, 1200, "2"
"""Minima of the glass, rows of each pretraining set, and exact calculations: a thousandth of the work."""

SETTINGS = "processes: 1\nneb: {images: 9, zero_point: never}\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a small example, as the current one."""
    few = tmp_path / "example/Configurations/minima/T0.12/Cnf-22"
    few.mkdir(parents=True)
    for path in sorted((ROOT / few.relative_to(tmp_path)).iterdir())[:MINIMA]:
        shutil.copy(path, few)
    (tmp_path / "example/MLmodel").mkdir()
    for path in (ROOT / "example/MLmodel").glob("*.feather"):
        rows = pd.read_feather(path).sample(LABELS, random_state=1).reset_index(drop=True)
        rows.to_feather(tmp_path / "example/MLmodel" / path.name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands(document):
    """Commands of the blocks marked as sh or console, and for the latter the command that is said to come next."""
    for kind, block in re.findall(r"```(sh|console)\n(.*?)```", (ROOT / document).read_text(), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if kind == "console" else block.splitlines():
            following = re.search(r"^next: python (.*)", part, re.MULTILINE)
            if part.strip():
                yield part.splitlines()[0], following and following[1]


def of_make(target, *variables):
    """Steps of a target of the Makefile, each once, in their order."""
    command = ["make", "-n", "-o", ".venv/installed", target, *variables]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return list(dict.fromkeys(re.findall(r"\b(\w+)\.py\b", said)))


def step(script, arguments):
    arguments = [PAIRS if before == "--top" else one for before, one in zip(["", *arguments], arguments, strict=False)]
    workspace = Path(arguments[arguments.index("--workspace") + 1])
    (workspace / "config.yaml").write_text(SETTINGS)
    return done(script, workspace, *arguments, run=run_drawing)


def test_the_first_run_of_the_readme(here, monkeypatch):
    shutil.copytree(here / "example", here / "example-run")
    ran = []
    for line, _ in commands("README.md"):
        program, *arguments = shlex.split(line, comments=True)
        scripts = of_make(*arguments) if program == "make" else [arguments[0].removesuffix(".py")]
        for script in [] if program == "source" else scripts:
            top = ["--top", PAIRS] if script == "run_neb" else []
            step(script, ["--workspace", "example-run", *top])
            ran.append(script)
    assert {"step0_collect", "step4_predict_qs", "validate_qs", "run_neb", "report"} <= {*ran}
    assert (here / "example-run/output_ML/report.html").stat().st_size > 50_000
    monkeypatch.chdir(here / "example-run")
    assert read_with_pandas() >= 15


def read_with_pandas():
    """Run the lines of doc/files.md on CSVs; the number of them whose files are there."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "doc/files.md").read_text(), re.DOTALL)
    names, ran = {}, 0
    for line in block.splitlines():
        with suppress(FileNotFoundError, StopIteration):  # such as of a second temperature, or of TLS
            exec(line, names)
            ran += "read_csv" in line
    return ran


def test_the_way_from_minima_to_the_first_tls(here):
    for line, following in commands("doc/your-own-glass.md"):
        program, *arguments = shlex.split(line)
        if program != "python":
            subprocess.run(line, shell=True, check=True)
            continue
        said = step(arguments[0].removesuffix(".py"), arguments[1:])
        if following:
            _, _, script, *rest = shlex.split(said.splitlines()[-1])
            assert [Path(script).name, *rest] == shlex.split(following)
    assert (here / "my-glass/output_ML/report.html").exists()
    assert len(pd.read_csv(here / "my-glass/NEB_calculations/T0.12/calculations.csv")) >= int(PAIRS)
