"""What workers change before a run begins: settings, memory, findings; and what is said without Ray."""

import importlib.util
import json

import pytest

from ctrfast.cluster_address import is_elsewhere
from ctrfast.config import ClusterConfig, load_config, parse_config
from ctrfast.errors import ConfigError, CtrFastError, DependencyError, TrainingError, WorkerLostError
from ctrfast.memory import estimate
from ctrfast.optim.scaling import make_plan
from ctrfast.preflight import preflight, workers_findings
from ctrfast.preflight.training_time import Speed, estimate_time
from ctrfast.told_errors import told, told_error
from ctrfast.train import train
from ctrfast.workers import ALONE
from tests import tiny_clicks


@pytest.mark.parametrize(
    ("values", "path", "message"),
    [
        (
            {"batch_size": 100, "cluster": {"workers": 3}},
            "cluster.workers",
            r"must divide batch_size=100.*Got workers=3",
        ),
        (
            {"batch_size": 100, "cluster": {"workers": 2, "gpus_per_worker": 4}},
            "cluster.workers",
            "with all their GPUs",
        ),
        ({"cluster": {"gpus_per_worker": 1}}, "cluster.gpus_per_worker", "no effect without cluster.workers"),
        ({"replicas": 2, "cluster": {"workers": 2}}, "replicas", "beside cluster.workers"),
        (
            {"batch_size": 100, "micro_batch_size": 51, "cluster": {"workers": 2}},
            "micro_batch_size",
            "at most .* 50 rows",
        ),
        ({"cluster": {"worker": 2}}, "cluster.worker", "Did you mean cluster.workers"),
    ],
)
def test_settings_that_cannot_hold_are_refused(values, path, message):
    with pytest.raises(ConfigError, match=message) as refused:
        parse_config(values)
    assert refused.value.path == path


def test_the_command_line_s_name_is_a_setting():
    config = load_config(None, [], {"cluster.workers": 4})
    assert config.cluster == ClusterConfig(workers=4)
    assert (config.shares, parse_config({}).shares) == (4, 1)


def test_workers_take_a_process_and_a_table_each(dataset):
    one, two = (estimate(dataset.fitted, parse_config(values)) for values in ({}, {"cluster": {"workers": 2}}))
    assert two.by_part["process"] == 2 * one.by_part["process"]
    assert two.by_part["moments"] == 2 * one.by_part["moments"]
    assert two.by_part["checkpoint"] == one.by_part["checkpoint"]
    of_one = two.of_a_worker()
    assert of_one.total_bytes - of_one.by_part["checkpoint"] == (two.total_bytes - two.by_part["checkpoint"]) / 2
    assert one.of_a_worker().total_bytes == one.total_bytes


def test_the_pre_flight_knows_workers(tiny_dataset):
    config = tiny_clicks.settings(cluster={"workers": 2})
    findings = [each for each in preflight(tiny_dataset, config, 2**40).findings if each.path == "cluster.workers"]
    assert [finding.level for finding in findings] == ["info"] and "2 workers" in findings[0].message
    assert not list(workers_findings(tiny_dataset, tiny_clicks.settings()))
    speed = Speed(flops=1e9, bandwidth=1e9)
    one, two = (estimate_time(tiny_dataset, c, speed) for c in (tiny_clicks.settings(), config))
    assert one.seconds_per_step < two.seconds_per_step < 2 * one.seconds_per_step


def test_the_plan_says_what_each_worker_has():
    config = parse_config({"batch_size": 4096, "cluster": {"workers": 4}})
    assert make_plan(config, "criteo").reasons["batch_size"] == "set; 1,024 rows on each of 4 workers"


def test_a_cluster_is_elsewhere_where_its_address_is_set(monkeypatch):
    monkeypatch.delenv("CTRFAST_RAY_ADDRESS", raising=False)
    assert not is_elsewhere(ClusterConfig(workers=2))
    monkeypatch.setenv("CTRFAST_RAY_ADDRESS", "ray://head:10001")
    assert is_elsewhere(ClusterConfig(workers=2)) and not is_elsewhere(ClusterConfig())


def test_without_ray_the_extra_is_named_and_nothing_written(tiny_dataset, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name, *rest))
    with pytest.raises(DependencyError, match=r"`cluster.workers` needs Ray.*ctrfast\[cluster\]"):
        train(tiny_dataset, tiny_clicks.settings(cluster={"workers": 2}), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_callbacks_are_refused(tiny_dataset, tmp_path):
    from tf_keras.callbacks import History

    with pytest.raises(ConfigError, match=r"callbacks cannot be used with cluster\.workers"):
        train(tiny_dataset, tiny_clicks.settings(cluster={"workers": 2}), tmp_path / "run", callbacks=[History()])


@pytest.mark.parametrize("kind", [ConfigError, TrainingError, WorkerLostError, CtrFastError])
def test_an_error_is_told_and_raised_elsewhere(kind):
    again = told_error(json.loads(json.dumps(told(kind("It must not.", path="a.b")))))
    assert (type(again), again.message, again.path) == (kind, "It must not.", "a.b")


def test_one_alone_asks_nobody():
    assert ALONE.is_chief and ALONE.from_chief(lambda: (1, 2)) == (1, 2)
    with pytest.raises(ConfigError, match="no"):
        ALONE.from_chief(lambda: (_ for _ in ()).throw(ConfigError("no")))
