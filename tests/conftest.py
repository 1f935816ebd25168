"""Where the data are, and workspaces at the stages that many tests start from."""

import os
import shutil
from pathlib import Path

import hypothesis
import neb_glass
import pytest
import synthetic
from steps import LEARNING, ROOT, done, run_process
from threadpoolctl import threadpool_limits

from pipeline.files import only_writer

hypothesis.settings.register_profile(
    "any machine", deadline=None, max_examples=50, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Threads of small matrix products get in each other's way where tests run side by side."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session", autouse=True)
def first_of_all(request):
    """What many tests begin with, made at once by two processes of pytest-xdist; nearly all is compiled by that."""
    made = {"gw0": "calculated_once", "gw1": "trained"}.get(os.environ.get("PYTEST_XDIST_WORKER"))
    if any(made in item.fixturenames for item in request.session.items):
        request.getfixturevalue(made)


@pytest.fixture(scope="session")
def data():
    """Real minima and labels, read in place: a part of https://github.com/SCiarella/TLS_ML_exploration."""
    folder = Path(os.environ.get("TLS_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "Configurations" / "minima").is_dir():
        pytest.skip(f"the real data are not at {folder}; name their folder in TLS_DATA")
    return folder


@pytest.fixture(scope="session")
def real_minima(data):
    return sorted((data / "Configurations/minima/T0.062/Cnf-148750000").glob("*.conf.txt"))


@pytest.fixture
def workspace(tmp_path):
    """Minima of four made-up glasses, nothing done yet."""
    return synthetic.make_workspace(tmp_path)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """``once(name, make)``: a folder that ``make(folder)`` fills, one for all processes of pytest-xdist."""
    own = tmp_path_factory.getbasetemp()
    base = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name, make):
        folder, part = base / name, base / f"{name}.part"
        with only_writer(base / f"{name}.lock", name, wait=True):
            if not folder.exists():
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                make(part)
                part.rename(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def trained(once):
    """A made-up workspace taken once through all steps; tests copy it before they change it."""

    def make(root):
        synthetic.make_workspace(root)
        done("step0_collect", root)
        synthetic.write_neb(root, synthetic.read_pairs(root).sample(400, random_state=1))
        for step in LEARNING:
            done(step, root)

    return once("trained", make)


@pytest.fixture
def trained_copy(trained, tmp_path):
    """A copy of the trained workspace; its files keep their times, so that nothing looks new."""
    return shutil.copytree(trained, tmp_path / "copy")


@pytest.fixture(scope="session")
def glass_once(once):
    return once("glass", neb_glass.make_glass)


@pytest.fixture
def glass(glass_once, tmp_path):
    """A small glass of soft spheres with a CSV of pairs to calculate."""
    return shutil.copytree(glass_once, tmp_path / "glass")


@pytest.fixture(scope="session")
def calculated_once(glass_once, once):
    def make(root):
        shutil.copytree(glass_once, root, dirs_exist_ok=True)
        alone = neb_glass.SETTINGS.replace("processes: 2", "processes: 1")  # not each compiles what all need
        (root / "config.yaml").write_text(alone)
        (root / "said.txt").write_text(done("run_neb", root, "-v", "--pairs", root / "pairs.csv", run=run_process))
        (root / "config.yaml").write_text(neb_glass.SETTINGS)

    return once("calculated", make)


@pytest.fixture
def calculated(calculated_once, tmp_path):
    """The same after one uninterrupted run, and what it said."""
    return shutil.copytree(calculated_once, tmp_path / "calculated")
