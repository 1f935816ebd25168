"""report.html: what the page says, that it loads nothing, and that it stays small."""

import re
import shutil
from urllib.parse import unquote

import pandas as pd
import pytest
from moving_glass import add_tls
from steps import done, refused
from synthetic import OF_REARRANGEMENTS, ROUND

from pipeline.formats.keys import Pair
from pipeline.formats.results import add_unfinished
from pipeline.settings import Settings
from pipeline.stamps import made_from, mark_made
from pipeline.workspace import Workspace
from search.calculated import update_double_wells

T = "0.1"
HEADINGS = ["1. Result", "2. What was found", "3. What to calculate next", "4. Does going on pay?"]
HEADINGS += ["5. Can the models be believed?", "6. Observables", "7. Files and settings"]
SCRIPT = "<script>alert(1)</script>"


def fill(root, wells=3):
    """A workspace after a round of exact calculations, whose minima and models are gone."""
    at = Workspace(root).at(T)
    for k in range(wells):
        add_tls(at, Pair(3 + k, 0.1, 0.2), path=False)
    at.new_splittings.write_text((text := at.new_splittings.read_text()) + text.splitlines(keepends=True)[0])
    for k in (3, 4):
        add_unfinished(at, Pair(9, 0.1, k / 10), f"force 0.5 {SCRIPT}")
    update_double_wells(at, Settings())
    seen = pd.DataFrame({"conf": [1, pd.NA], "file": ["a.conf", SCRIPT], "reason": ["truncated", "no folder"]})
    seen.assign(status="left out").to_csv(at.seen_minima, index=False)
    listed = pd.DataFrame({"conf": 9, "i": 0.1, "j": [0.3, 0.5, 0.6], "quantum_splitting": [1e-3, 2e-3, 3e-3]})
    listed = listed.assign(tls_probability=[0.5, 0.25, 0.125], dw_probability=0.9)
    listed.to_csv(at.predicted("newpairs"), index=False)
    pd.DataFrame([{**ROUND, **OF_REARRANGEMENTS, "unfinished": 1}]).to_csv(at.rounds("csv"), index=False)


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """Such a workspace, not to be changed, and its page."""
    root = tmp_path_factory.mktemp("reported")
    fill(root)
    return root, written(root)


@pytest.fixture
def text(reported):
    return reported[1]


def values(text, name):
    return re.findall(rf'<[^<>]*\s{name}="([^"]*)"', text)


def written(root, *arguments):
    """The page, without the space between its tags."""
    done("report", root, *arguments)
    return re.sub(r">\s+<", "><", Workspace(root).report.read_text())


def test_the_sections_stand_in_their_order_each_with_its_temperature(text):
    headings = re.findall(r"<h[23][^>]*>(.*?)</h[23]>", text)
    assert headings == [text for heading in HEADINGS for text in (heading, f"T = {T}")]
    names = values(text, "id")
    assert len(set(names)) == len(names)
    assert {href[1:] for href in values(text, "href") if href.startswith("#")} <= {*names}


def test_the_page_loads_nothing_and_its_links_lead_to_files(reported):
    root, text = reported
    loads = [one for name in ("src", "srcset", "data", "action") for one in values(text, name)]
    assert not [one for one in loads if not one.startswith("data:")]
    without_names = text.replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"https?:|@import|url\((?!#)|<base|<iframe|fetch\(|import\(", without_names)
    links = [href for href in values(text, "href") if not href.startswith(("#", "data:"))]
    assert "T0.1/double_wells.csv" in links
    assert "../NEB_calculations/T0.1/unfinished.csv" in links
    assert all((Workspace(root).report.parent / unquote(href)).is_file() for href in links)


def test_what_files_say_is_text_on_the_page(text):
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert re.findall("<script[^>]*>", text) == ['<script type="application/json">', "<script>"]


def test_what_was_found_and_is_to_be_calculated_is_told_in_the_words_of_run_neb(text):
    # of chances 0.5, 0.25 and 0.125 the first is unfinished
    assert "TLS expected of the next 2 exact calculations: 0.4 (0 to 1, 68 %)" in text
    assert "1 of the list were calculated" in text
    assert "run_neb.py --top 2" in text
    assert "<td>9</td><td>0.1000000000</td><td>0.5000000000</td><td>0.002</td>" in text
    assert "Round 3: 8 TLS (7 distinct) in 33 NEBs (24 %, 1 unfinished), 7.1 expected" in text
    assert "<span>NEBs</span><b>5</b><span>2 of them unfinished</span>" in text  # a refined pair counts once


def test_where_files_are_missing_the_page_says_which_step_makes_them(tmp_path):
    assert "put minima there and run step 0" in refused("report", tmp_path)
    (tmp_path / "Configurations/minima/T0.1").mkdir(parents=True)
    text = written(tmp_path)
    for script in ("step0_collect", "step1_train_dw", "step3_train_qs", "validate_dw", "validate_qs", "run_neb"):
        assert f"{script}.py" in text


@pytest.mark.slow
def test_a_thousand_double_wells_fit_into_two_megabytes_and_settings_of_the_user_are_marked(tmp_path):
    fill(tmp_path, wells=1001)
    (tmp_path / "config.yaml").write_text("seed: 21\n")
    text = written(tmp_path)
    assert Workspace(tmp_path).report.stat().st_size < 2e6
    assert "the first 1000 of 1001 rows" in text
    assert "<td>seed</td><td>21</td><td>20</td>" in text


@pytest.mark.parametrize("script", ["report", "observables"])
def test_double_wells_in_other_units_are_not_told_in_those_of_now(reported, tmp_path, script):
    root = shutil.copytree(reported[0], tmp_path / "metal")
    (root / "output_ML/report.html").unlink()
    (root / "config.yaml").write_text("units: metal\n")
    said = refused(script, root)
    assert "double_wells.csv: made with units: reduced, but config.yaml says units: metal; put these units" in said
    assert not (root / "output_ML/report.html").exists()


def test_a_list_in_other_units_is_not_told_in_those_of_now(tmp_path):
    fill(tmp_path)
    Workspace(tmp_path).at(T).double_wells.unlink()
    mark_made([Workspace(tmp_path).at(T).predicted("newpairs")], made_from([], units="reduced"))
    (tmp_path / "config.yaml").write_text("units: metal\n")
    said = refused("report", tmp_path)
    assert "newpairs.csv: made with units: reduced, but config.yaml says units: metal; run step4_predict_qs.py" in said
