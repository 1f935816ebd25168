"""Where the data are, and workspaces at the stages that many tests start from."""

import os
from pathlib import Path

import pytest
import synthetic


@pytest.fixture(scope="session")
def data():
    """Real minima and labels, read in place."""
    folder = Path(os.environ.get("TLS_DATA", synthetic.ROOT.parent / "shared" / "data"))
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
def trained(tmp_path_factory):
    """A made-up workspace taken once through all steps; tests copy it before they change it."""
    root = synthetic.make_workspace(tmp_path_factory.mktemp("trained"))
    synthetic.done("step0_collect", root)
    synthetic.write_neb(root, synthetic.read_pairs(root).sample(400, random_state=1))
    for step in ("step1_train_dw", "step2_classify_dw", "step3_train_qs", "step4_predict_qs"):
        synthetic.done(step, root)
    return root
