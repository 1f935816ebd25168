"""config.yaml: what is allowed, and what is said of what is not."""

from ruamel.yaml import YAML
from steps import ROOT, refused

from pipeline.settings import Settings, read_settings


def test_the_shipped_file_holds_every_key_with_its_default():
    path = ROOT / "config.yaml"
    assert read_settings(path) == Settings()
    assert YAML(typ="safe", pure=True).load(path) == Settings().model_dump()


def test_keys_left_out_keep_their_defaults(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("classifier:\n  max_seconds_per_pair: 1e-4\n")
    settings = read_settings(path)
    assert settings.classifier.max_seconds_per_pair == 1e-4
    assert settings.classifier.train_hours == Settings().classifier.train_hours
    for text in ("", "pairs:\n"):
        path.write_text(text)
        assert read_settings(path) == Settings()


def test_the_workspace_goes_before_the_project_and_config_before_both(tmp_path):
    (tmp_path / "config.yaml").write_text("particles: 0\n")
    assert "particles = 0" in refused("step0_collect", tmp_path)
    other = tmp_path / "other.yaml"
    other.write_text("seed: -1\n")
    assert "seed = -1" in refused("step0_collect", tmp_path, "--config", other)
    assert "no such settings file" in refused("step0_collect", tmp_path, "--config", tmp_path / "none.yaml")
