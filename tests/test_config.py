"""Settings from YAML, the command line and REST: one model, unknown keys refused with the near names."""

import pytest

from ctrfast.config import RULE_NAMES, OptimizerConfig, TrainConfig, load_config, parse_config
from ctrfast.errors import ConfigError
from ctrfast.model_config import MODEL_NAMES
from ctrfast.yaml_text import parse_yaml


def test_yaml_overrides_and_assignments_apply_in_that_order(tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text("batch_size: 64\nepochs: 2\nmodel: {name: wide_deep, hidden: [8, 4]}\n")
    config = load_config(file, ["epochs=5", "optimizer.l2=1e-5"], {"epochs": 3, "seed": 7, "model.name": None})
    assert (config.batch_size, config.epochs, config.seed) == (64, 5, 7)
    assert config.model.name == "wide_deep"
    assert config.model.hidden == (8, 4)
    assert config.optimizer.l2 == 1e-5


@pytest.mark.parametrize("text, value", [("1e-3", 1e-3), ("0.5", 0.5), ("2E-1", 0.2), ("3", 3.0), ("1e3", 1e3)])
def test_numbers_read_as_numbers(text, value):
    assert load_config(None, [f"optimizer.lr_dense={text}"]).optimizer.lr_dense == value


@pytest.mark.parametrize(
    "values, path, words",
    [
        ({"optimizer": {"lr_dens": 1}}, "optimizer.lr_dens", "Did you mean optimizer.lr_dense"),
        ({"modle": {}}, "modle", "Unknown setting"),
        ({"model": {"name": "deepfn"}}, "model.name", "Did you mean deepfm"),
        ({"model": {"name": "xyz"}}, "model.name", "Known: afm, autoint, dcn, "),
        ({"scaling": {"rule": "cowclp"}}, "scaling.rule", "Did you mean cowclip?"),
        ({"batch_size": 0}, "batch_size", "Got 0"),
        ({"batch_size": "many"}, "batch_size", "Got 'many'"),
        ({"optimizer": {"lr_dense": float("nan")}}, "optimizer.lr_dense", "finite"),
        ({"optimizer": {"clip": "hard"}}, "optimizer.clip", "Got 'hard'"),
        ({"model": 3}, "model", "Got 3"),
    ],
)
def test_a_setting_that_breaks_a_rule_is_refused_by_name(values, path, words):
    with pytest.raises(ConfigError, match=words.replace(".", r"\.").replace("?", r"\?")) as caught:
        parse_config(values)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "values, path",
    [
        ({"optimizer": {"clip": "none", "clip_ratio": 1}}, "optimizer.clip_ratio"),
        ({"scaling": {"rule": "linear"}, "optimizer": {"clip_ratio": 1}}, "optimizer.clip_ratio"),
        ({"optimizer": {"clip": "column", "clip_norm": 1, "bound": 1}}, "optimizer.bound"),
        ({"optimizer": {"clip_norm": 1}}, "optimizer.clip_norm"),
        ({"optimizer": {"clip": "adaptive_field", "clip_norm": 1}}, "optimizer.clip_norm"),
        ({"optimizer": {"clip": "global"}}, "optimizer.clip_norm"),
        ({"optimizer": {"clip": "field"}}, "optimizer.clip_norm"),
        ({"optimizer": {"plateau_patience": 2}}, "optimizer.plateau_patience"),
        ({"optimizer": {"plateau_patience": 2, "lr_decay": "cosine"}}, "optimizer.plateau_patience"),
        ({"optimizer": {"plateau_patience": 2}, "scaling": {"rule": "adaptive"}}, "optimizer.plateau_patience"),
        ({"optimizer": {"beta_1": 0.5, "name": "lamb"}}, "optimizer.beta_1"),
        ({"optimizer": {"beta_1": 0.5, "name": "lars"}}, "optimizer.beta_1"),
        ({"epochs": 2, "optimizer": {"warmup_epochs": 2.5}}, "optimizer.warmup_epochs"),
        ({"optimizer": {"update": "sparse", "name": "lamb"}}, "optimizer.update"),
        ({"optimizer": {"update": "sparse", "name": "lars"}}, "optimizer.update"),
        ({"optimizer": {"update": "sparse", "clip": "adaptive_field"}}, "optimizer.update"),
        ({"batch_size": 100, "replicas": 3}, "replicas"),
        ({"batch_size": 100, "micro_batch_size": 101}, "micro_batch_size"),
        ({"batch_size": 100, "micro_batch_size": 51, "replicas": 2}, "micro_batch_size"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, path):
    name = path.rpartition(".")[2]
    with pytest.raises(ConfigError, match=rf"^`{name}` .* Got {name}=") as caught:
        parse_config(values)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": {"clip": "adaptive_field", "clip_ratio": 1, "bound": 1}},
        {"optimizer": {"clip": "global", "clip_norm": 1}},
        {"optimizer": {"plateau_patience": 2, "lr_decay": "plateau"}},
        {"epochs": 2, "optimizer": {"warmup_epochs": 2}},
        {"optimizer": {"beta_1": 0}},
        {"optimizer": {"update": "sparse"}},
        {"optimizer": {"update": "sparse", "clip": "field", "clip_norm": 1}},
        {"batch_size": 100, "micro_batch_size": 50, "replicas": 2},
    ],
)
def test_settings_at_the_edge_of_a_refusal_are_taken(values):
    parse_config(values)


@pytest.mark.parametrize(
    "text", ["nothing", "=3", "model.name.x=3", "optimizer.l2=[1", "optimizer.l2=", "epochs=true", "seed=2020-13-45"]
)
def test_a_bad_assignment_is_refused(text):
    with pytest.raises(ConfigError):
        load_config(None, [text])


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1", "\x00", "[" * 3000])
def test_a_file_that_holds_no_settings_is_refused(tmp_path, content):
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_config(file)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "bad.yaml")


def test_yaml_and_command_line_read_numbers_alike(tmp_path):
    (tmp_path / "a.yaml").write_text("batch_size: 1e3\noptimizer: {l2: 1e-5}\n")
    config = load_config(tmp_path / "a.yaml")
    assert (config.batch_size, config.optimizer.l2) == (1000, 1e-5)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_the_names_in_the_config_are_the_ones_that_exist():
    from ctrfast.models import MODELS
    from ctrfast.optim.scaling_rules import RULES

    assert set(MODEL_NAMES) == set(MODELS)
    assert set(RULE_NAMES) == set(RULES)


def test_a_config_that_was_built_by_hand_is_checked_before_a_run(dataset, tmp_path):
    from ctrfast.train import train

    config = TrainConfig(optimizer=OptimizerConfig(name="lamb", update="sparse"))
    with pytest.raises(ConfigError, match="has no meaning with lamb"):
        train(dataset, config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "text, key, line",
    [
        ("epochs: 1\nseed: 2\nepochs: 3\n", "epochs", 3),
        ("model:\n  name: deepfm\n  'name': dcn\n", "name", 3),
        ("model: {hidden: [8], hidden: [9]}\n", "hidden", 1),
    ],
)
def test_a_key_that_is_given_twice_is_refused(tmp_path, text, key, line):
    (tmp_path / "train.yaml").write_text(text)
    problem = rf"train\.yaml must give each key of a mapping once\. Got '{key}' again on line {line}\. Keep one"
    with pytest.raises(ConfigError, match=problem):
        load_config(tmp_path / "train.yaml")


def test_a_merged_mapping_may_have_its_keys_given_anew():
    text = "a: &a {x: 1, y: 2}\nouter: {b: &b {<<: *a, x: 3}}\nc: {<<: *b, y: 4}\n"
    assert parse_yaml(text, "text")["c"] == {"x": 3, "y": 4}
