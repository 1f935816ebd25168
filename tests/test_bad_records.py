"""What the steps keep for themselves, damaged: rounds, records, cards, stamps; and a calculator's module."""

import json
import sys

import pytest
from synthetic import HUGE

from MLmodel.card import read_card
from pipeline.errors import UserError
from pipeline.formats.records import read_records
from pipeline.formats.results import read_calculations
from pipeline.stamps import made_from, mark_made, up_to_date
from pipeline.workspace import CLASSIFIER, Workspace
from search.calculated import read_double_wells
from search.calculator import find_calculator
from search.rounds import read_rounds

T = "0.1"


@pytest.mark.parametrize("content", ["", "round,nebs\n1,2\n", "\x00\x01", "conf,i,j\n1,2,3,4\n"])
def test_a_table_of_a_step_that_was_changed_is_named(tmp_path, content):
    at = Workspace(tmp_path).at(T)
    at.double_wells.parent.mkdir(parents=True)
    for path, read in ((at.rounds("csv"), read_rounds), (at.double_wells, read_double_wells)):
        path.write_text(content)
        with pytest.raises(UserError, match=rf"{path.name}: changed since a step wrote it"):
            read(at)


@pytest.mark.parametrize("cells", ["-1,7,1", "41,0.5,1", "41,7,-1", "many,7,1", f"41,7,{HUGE}"])
def test_a_cost_that_nothing_can_have_is_named(tmp_path, cells):
    path = Workspace(tmp_path).at(T).calculations
    path.parent.mkdir(parents=True)
    path.write_text(
        f"conf,i,j,verdict,fidelity,images,steps,cpu_seconds\n1,0.1,0.2,non-DW,,41,7,1\n1,0.1,0.3,non-DW,,{cells}\n"
    )
    with pytest.raises(UserError, match=r"calculations\.csv: line 3"):
        read_calculations(Workspace(tmp_path).at(T))


BEYOND = {"distances": [0.0, 0.1, 0.2], "energies": [0.0, 0.1, 0.2]}
RECORD = {"conf": 1, "i": 0.1, "j": 0.2, "levels": [0.01, 0.02], "hbar": 0.0156, "before": BEYOND, "after": BEYOND} | {
    name: [0.0, 0.1, 0.2] for name in ("lengths", "energies", "slopes")
}
RECORD |= {"fidelity": "full", "units": "reduced", "force": 1e-4, "path_length": 0.3, "symmetrised": [0.01, 0, 1, 0]}


@pytest.mark.parametrize(
    "change",
    [
        {"conf": 1.5},
        {"conf": "1"},
        {"i": None},
        {"j": 1e300},
        {"levels": [0.01, 1e400]},
        {"lengths": [0.0, 0.2, 0.1]},
        {"energies": [0.0, float("nan"), 0.0]},
        {"hbar": 0},
        {"force": -1},
        {"units": 4},
        {"symmetrised": {}},
        {"slopes": [0.0, 0.1]},
        {"before": None},
    ],
)
def test_a_record_that_none_can_be_is_named_by_its_line(tmp_path, change):
    path = Workspace(tmp_path).at(T).neb_paths("jsonl")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(RECORD) + "\n" + json.dumps({**RECORD, **change}) + "\n")
    with pytest.raises(UserError, match=r"neb_paths\.jsonl: line 2 "):
        list(read_records(Workspace(tmp_path).at(T)))


CARD = {"format": 4, "task": "", "temperature": T, "features": ["PR"], "training": "a", "trained": "", "settings": {}}
CARD |= {"versions": {}, "data": "", "pairs": {}, "sources": {}, "seconds_per_pair": 1.0, "files": {}, "program": "1"}
CARD |= {"training_seconds": 1.0, "units": "reduced"}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(CARD)[:80],
        "[" * 50_000,
        json.dumps({**CARD, "features": "PR"}),
        json.dumps({**CARD, "files": None}),
        json.dumps({**CARD, "pairs": {"train": "many"}}),
        json.dumps({**CARD, "seconds_per_pair": "long"}),
        json.dumps({**CARD, "format": 3}),
    ],
)
def test_a_damaged_card_is_named(tmp_path, content):
    path = Workspace(tmp_path).at(T).card(CLASSIFIER)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(CARD))
    assert read_card(Workspace(tmp_path).at(T), CLASSIFIER).features == ["PR"]
    path.write_text(content)
    with pytest.raises(UserError, match=r"card\.json: .*run step1_train_dw\.py"):
        read_card(Workspace(tmp_path).at(T), CLASSIFIER)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": [], "output": 7}', '{"files": 7}', "[" * 50_000, "\xff"])
def test_a_damaged_stamp_says_nothing_and_the_output_is_made_again(tmp_path, content):
    output = tmp_path / "output"
    output.write_text("made")
    mark_made([output], made_from([]))
    assert up_to_date([output], made_from([]))
    output.with_name(".output.made-from.json").write_bytes(content.encode("latin1"))
    assert not up_to_date([output], made_from([]))


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("raise RuntimeError('no\\nlicence')", "RuntimeError: no licence"),
        ("class Ended(BaseException):\n    pass\nraise Ended('at once')", "Ended: at once"),
        ("def calculator(", "SyntaxError"),
        ("calculator = 3", "calculator is no function"),
    ],
)
def test_a_calculator_module_that_raises_when_it_is_imported_is_named(tmp_path, monkeypatch, module, says):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "calculator_of_a_user.py").write_text(module)
    sys.modules.pop("calculator_of_a_user", None)
    with pytest.raises(UserError, match=says) as error:
        find_calculator("calculator_of_a_user:calculator", tmp_path).find()
    assert "\n" not in str(error.value)
