"""The house: five floors that import downwards only, with few rooms each."""

import ast

import pytest
from steps import ROOT

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
