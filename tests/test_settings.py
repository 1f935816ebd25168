"""config.yaml: what is allowed, and what is said of what is not."""

import pytest
from ruamel.yaml import YAML
from steps import ROOT, refused

from pipeline.errors import UserError
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("particels: 3", ["unknown key particels", "particles", "test_split"]),
        ("classify: {max_delta: 3}", ["unknown key classify.max_delta", "max_delta_E", "max_distance"]),
        ("particles: three", ["particles = 'three'", "integer"]),
        ("particles: 2.5", ["particles = 2.5", "integer"]),
        ("particles: 0", ["particles = 0", "greater than or equal to 1"]),
        ("pairs: {max_delta_E: -1}", ["pairs.max_delta_E = -1", "greater than 0"]),
        ("predictor: {train_hours: soon}", ["predictor.train_hours = 'soon'", "number"]),
        ("predictor: {fast: 1}", ["predictor.fast = 1", "boolean"]),
        ("test_fraction: 1.0", ["test_fraction = 1.0", "less than 1"]),
        ("test_fraction: .nan", ["test_fraction = nan"]),
        ("test_split: energy", ["test_split = 'energy'", "'pair' or 'glass'"]),
        ("classify: 3", ["classify = 3", "section"]),
        ("figures: pdf", ["figures = 'pdf'", 'a list, such as ["pdf"]']),
        ("figures: [pdf, jpg]", ["figures.1 = 'jpg'", "'png', 'pdf' or 'svg'"]),
        ("pretraining: 0.12", ["pretraining = 0.12", 'a list, such as ["0.12"]']),
        ("pretraining: '0.12'", ["pretraining = '0.12'", 'a list, such as ["0.12"]']),
        ("pretraining: [0.12]", ["pretraining.0 = 0.12", 'in quotes, such as "0.12"']),
        ("pretraining: [T0.5]", ["pretraining.0 = 'T0.5'", 'in quotes, such as "0.12"']),
        ("pretraining:", ["pretraining = None", "a list, such as []"]),
        ("processes: 0", ["processes = 0", "greater than or equal to 1"]),
        ("cluster: {}", ["cluster names nothing", "scheduler_file, slurm"]),
        ("cluster: {scheduler: 'tcp://a:1', slurm: {cores: 1}}", ["cluster names scheduler and slurm", "give one"]),
        ("cluster: {slrum: {cores: 1}}", ["unknown key cluster.slrum", "slurm", "htcondor"]),
        ("cluster: {slurm: 3}", ["cluster.slurm = 3", "section"]),
        ("cluster: {slurm: {n_workers: 0}}", ["cluster.slurm.n_workers = 0", "above zero"]),
        ("cluster: local", ["cluster = 'local'", "section"]),
        ("seed: 1\nseed: 2", ["line 2: found duplicate key", "seed"]),
        ("- 1", ["must hold lines 'key: value'"]),
        ("a: [", ["not readable as YAML"]),
    ],
)
def test_what_is_not_allowed_is_named_with_its_value(tmp_path, text, words):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_settings(path)
    assert "\n" not in str(error.value)
    for word in [str(path), *words]:
        assert word in str(error.value)


def test_the_workspace_goes_before_the_project_and_config_before_both(tmp_path):
    (tmp_path / "config.yaml").write_text("particles: 0\n")
    assert "particles = 0" in refused("step0_collect", tmp_path)
    other = tmp_path / "other.yaml"
    other.write_text("seed: -1\n")
    assert "seed = -1" in refused("step0_collect", tmp_path, "--config", other)
    assert "no such settings file" in refused("step0_collect", tmp_path, "--config", tmp_path / "none.yaml")
