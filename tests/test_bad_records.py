"""What the steps keep for themselves, damaged: rounds, records, cards, stamps; and a calculator's module."""

import json
import sys

import pandas as pd
import pytest
from synthetic import HUGE

from MLmodel.card import read_card
from pipeline.errors import UserError
from pipeline.formats.records import read_records
from pipeline.formats.results import read_calculations
from pipeline.settings import Settings
from pipeline.stamps import made_from, mark_made, up_to_date
from pipeline.workspace import CLASSIFIER, Workspace
from search.calculated import read_double_wells, update_double_wells
from search.calculator import find_calculator
from search.rounds import read_rounds

T = "0.1"

_WHOLE = "round nebs double_wells tls distinct_tls unfinished next_nebs next_tls_low next_tls_high remaining_pairs"
_REAL = "tls_per_neb cpu_seconds tls_expected tls_expected_sd tls_p_value random_double_well_rate random_pair_rate"
ROUND = dict.fromkeys(f"{_WHOLE} remaining_low remaining_high classifier_labels predictor_labels".split(), 1)
ROUND |= dict.fromkeys(f"{_REAL} next_tls remaining_tls chance_95_found".split(), 0.5)
ROUND |= {"list": "12e345678901", "classifier": "one", "predictor": "two"}


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("nebs", "", "line 3"),
        ("round", "", "line 3"),
        ("tls", "2.5", "line 3"),
        ("tls", HUGE, "line 3: tls = 0.25e3088"),
    ],
)
def test_a_round_without_its_counts_is_named(tmp_path, column, value, says):
    path = tmp_path / "rounds.csv"
    row = {**ROUND, "nebs": 30, "tls": 4}
    pd.DataFrame([row, {**row, column: value}]).to_csv(path, index=False)
    with pytest.raises(UserError, match=rf"rounds\.csv: {says}"):
        read_rounds(path)


def test_the_name_of_a_list_that_looks_like_a_number_stays_text(tmp_path):
    pd.DataFrame([ROUND]).to_csv(tmp_path / "rounds.csv", index=False)
    assert read_rounds(tmp_path / "rounds.csv")["list"].to_list() == ["12e345678901"]


@pytest.mark.parametrize("row", ["1,0.1,,0.01,1", "1.5,0.1,0.2,0.01,1", "1,0.1,0.2,-1,1", f"1,{HUGE},0.2,1,1"])
def test_a_double_well_that_none_can_be_is_named(tmp_path, row):
    work = Workspace(tmp_path)
    path = work.at(T).double_wells
    path.parent.mkdir(parents=True)
    update_double_wells(work.at(T), Settings())
    header = path.read_text()
    conf, i, j, splitting, number = row.split(",")
    good = dict.fromkeys(header.strip().split(","), "1") | {"i": "0.1", "j": "0.2"}
    bad = good | {"conf": conf, "i": i, "j": j, "quantum_splitting": splitting, "rearrangement": number}
    path.write_text(header + "".join(",".join(cells.values()) + "\n" for cells in (good, bad)))
    with pytest.raises(UserError, match=r"double_wells\.csv: line 3"):
        read_double_wells(work.at(T))


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
        find_calculator("calculator_of_a_user:calculator", tmp_path)
    assert "\n" not in str(error.value)
