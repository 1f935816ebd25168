"""What the documents say is there."""

import os
import re
import shutil
import subprocess
from functools import cache

import pytest
from steps import ROOT, run

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
