"""The estimate's closed forms, and the refusals."""

import pytest

from ctrfast.config import CPU_MICRO_BATCH_ROWS, parse_config
from ctrfast.errors import ConfigError
from ctrfast.fitted_schema import FittedSchema
from ctrfast.memory import SLOTS, check_memory, estimate
from ctrfast.optim.rules import OPTIMIZERS
from ctrfast.schema import IdField, NumericField, Schema
from ctrfast.step import choose_execution
from ctrfast.train import train
from tests.command_line import called, refused


def fitted(**sizes):
    """A schema with two numbers and id fields of so many kept values."""
    schema = Schema(
        name="tiny",
        columns=("label", "n", "m", *sizes),
        label="label",
        numeric_fields=(NumericField(name="n"), NumericField(name="m")),
        id_fields=tuple(IdField(name=name) for name in sizes),
    )
    statistics = {name: {"mean": 0.0, "std": 1.0} for name in ("n", "m")}
    return FittedSchema(schema=schema, statistics=statistics, vocabulary_sizes=sizes, vocabulary_hash="x")


def test_the_constants_are_those_of_the_parts_that_need_tensorflow():
    assert {name: len(rule.slots) for name, rule in OPTIMIZERS.items()} == SLOTS
    assert choose_execution().micro_batch_size == CPU_MICRO_BATCH_ROWS


@pytest.mark.parametrize(("optimizer", "slots"), [("adam", 2), ("lamb", 2), ("lars", 1)])
def test_each_part_is_its_closed_form(optimizer, slots):
    config = parse_config(
        {
            "batch_size": 1000,
            "micro_batch_size": 100,
            "shuffle_rows": 5000,
            "model": {"name": "wide_deep", "embedding_dim": 3, "hidden": [5, 4]},
            "optimizer": {"name": optimizer},
        }
    )
    needs = estimate(fitted(a=8, b=88), config, train_rows=4000)
    V, F, N, D, P = 10 + 90, 2, 2, 3, (8 + 1) * 5 + (5 + 1) * 4 + (4 + 1) + 3
    record = 4 * (F + N + 1)
    in_place = optimizer == "adam"
    assert needs.by_part == {
        "table": V * (D + 1) * 4 * (2 if in_place else 1),
        "moments": V * (D + 1) * 4 * slots,
        "gradient": (V * (D + 3) + 2 * V if in_place else V * (D + 8)) * 4,
        "dense": P * 4 * (2 + slots),
        "batch": 4 * ((100 if in_place else 1000) * F * (D + 1) * 4 + 100 * (F * (D + 1) + (F * D + N) + 5 + 4) * 2),
        "checkpoint": V * (D + 1) * 4,
        "input": 4000 * (record + 8) + 4000 * record + 5 * 1000 * record,
        "process": 1200 * 2**20,
    }
    assert needs.total_bytes == sum(needs.by_part.values()) == needs.host_bytes + needs.device_bytes
    assert {name: (field.rows, field.bytes) for name, field in needs.by_field.items()} == {
        "a": (10, 10 * 4 * 4 * (1 + slots)),
        "b": (90, 90 * 4 * 4 * (1 + slots)),
    }


def test_what_makes_a_part_smaller_or_larger():
    data = fitted(a=10**6)
    settings = {"batch_size": 16384, "model": {"embedding_dim": 4, "hidden": [8]}, "shuffle_rows": 10**6}

    def parts(change=None, **options):
        return estimate(data, parse_config({**settings, **(change or {})}), **options).by_part

    plain = parts()
    whole, lamb = parts(on_gpu=True), parts({"optimizer": {"name": "lamb"}})
    sparse = {"optimizer": {"update": "sparse", "clip": "field", "clip_norm": 1.0}}
    assert parts(sparse)["gradient"] == 16384 * (4 + 8) * 4 < lamb["gradient"]
    assert parts(sparse, on_gpu=True)["gradient"] == whole["gradient"] == (10**6 + 2) * (2 * 4 + 4) * 4
    assert lamb["gradient"] == (10**6 + 2) * (4 + 8) * 4
    assert whole["dense"] == plain["dense"] + 32 * 2**20
    assert plain["gradient"] == (16384 * (4 + 3) + 2 * (10**6 + 2)) * 4
    assert plain["table"] == 2 * whole["table"] == 2 * lamb["table"]
    assert plain["batch"] < lamb["batch"] < whole["batch"]
    assert parts({"micro_batch_size": 8192}, on_gpu=True)["batch"] == lamb["batch"]
    assert parts({"micro_batch_size": 8192})["batch"] == plain["batch"]
    assert parts({"micro_batch_size": 4096})["batch"] < plain["batch"]
    assert parts(train_rows=20_000)["input"] < plain["input"] < parts({"shuffle_rows": 10**7})["input"]


@pytest.mark.parametrize("optimizer", ["adam", "lamb"])
def test_rows_of_lists_are_looked_up_one_by_one(optimizer):
    """A list of 50 values and one value: the gradients and rows of 51 slots, the activations of two fields."""
    schema = fitted(a=8, b=88).schema_
    of_lists = schema.id_fields[0].model_copy(update={"separator": "|", "max_values": 50})
    lists = fitted(a=8, b=88).model_copy(
        update={"schema_": schema.model_copy(update={"id_fields": (of_lists, schema.id_fields[1])})}
    )
    config = parse_config(
        {"batch_size": 1000, "micro_batch_size": 100, "model": {"embedding_dim": 3}, "optimizer": {"name": optimizer}}
    )
    rows = 100 if optimizer == "adam" else 1000
    plain, more = (estimate(data, config).by_part["batch"] for data in (fitted(a=8, b=88), lists))
    assert more - plain == 4 * (rows * 49 * (3 + 1) * 4 + 100 * 51 * (3 + 1) * 2)


def test_replicas_hold_a_table_each_and_share_the_batch():
    data, config = fitted(a=10**6), parse_config({"batch_size": 65536, "optimizer": {"name": "lamb"}})
    one, two = estimate(data, config), estimate(data, config, replicas=2)
    assert two.by_part["table"] == 2 * one.by_part["table"]
    assert one.by_part["batch"] < two.by_part["batch"] < 2 * one.by_part["batch"]
    assert (two.by_part["checkpoint"], two.host_bytes) == (one.by_part["checkpoint"], one.host_bytes)
    assert two.by_part["gradient"] > 2 * one.by_part["gradient"]  # beside its own sums, those of both
    on_gpus = [estimate(data, config, replicas=count, on_gpu=True).device_bytes for count in (1, 2)]
    assert on_gpus[1] < on_gpus[0]
    assert estimate(data, config.model_copy(update={"replicas": 2})) == two


@pytest.mark.parametrize(
    ("rows", "batch_size", "numbers"),
    [
        (10**6 + 2, 1_048_576, 3 * 1_048_576 * (4 + 3)),  # of two workers, 524,288 rows each
        (1002, 65536, 3 * 2 * 1002 * (4 + 2)),  # longer ones are not sent: sums of all rows are shorter
        (10**6 + 2, 65536, (10**6 + 2) * (4 + 2)),  # those of a worker's own take more
    ],
)
def test_workers_hold_lists_of_touched_rows_three_times(rows, batch_size, numbers):
    settings = {"batch_size": batch_size, "model": {"embedding_dim": 4}, "cluster": {"workers": 2}}
    gradient = estimate(fitted(a=rows - 2), parse_config(settings)).of_a_worker().by_part["gradient"]
    assert gradient == (numbers + rows * (4 + 8)) * 4


def test_a_students_teacher_is_counted_once_and_lies_where_the_student_does():
    data = fitted(a=8, b=88)
    config = parse_config({"batch_size": 1000, "model": {"name": "wide_deep", "embedding_dim": 3, "hidden": [5, 4]}})
    experts = {**config.model.model_dump(), "tower": {"name": "moe", "experts": 2, "top_k": 1}}
    teacher = parse_config({"model": experts}).model
    V, D, width, F, N = 10 + 90, 3, 2 * 3 + 2, 2, 2
    mixture = 2 * ((5 + 1) * 4 + 5)  # two experts with biases, and their gates
    P = (width + 1) * 5 + mixture + (4 + 1) + (N + 1)
    outputs = F * (D + 1) + width + 5 + 2 * (4 + 3) + 4  # rows, joined, first layer, experts with gates, mixed
    plain, taught = (estimate(data, config, teacher=network) for network in (None, teacher))
    assert taught.by_part == {**plain.by_part, "teacher": 4 * (V * (D + 1) + P + 1000 * outputs * 2)}
    assert taught.total_bytes - plain.total_bytes == taught.by_part["teacher"]
    large = config.model_copy(update={"batch_size": 10 * CPU_MICRO_BATCH_ROWS})
    at_once = estimate(data, large, teacher=teacher).by_part["teacher"]  # it predicts a batch in parts
    assert at_once == 4 * (V * (D + 1) + P + CPU_MICRO_BATCH_ROWS * outputs * 2)

    plain, taught = (estimate(data, config, replicas=2, on_gpu=True, teacher=network) for network in (None, teacher))
    assert taught.device_bytes - plain.device_bytes == taught.by_part["teacher"]  # on one of the two
    assert taught.host_bytes == plain.host_bytes


@pytest.mark.parametrize("device", [None, "gpu"])
def test_a_teacher_that_is_too_large_is_named(device):
    experts = {"hidden": [4096, 4096], "tower": {"name": "moe", "experts": 64}}
    teacher = parse_config({"model": experts}).model
    needs = estimate(fitted(a=1000), parse_config({}), on_gpu=device is not None, teacher=teacher)
    limits = (2**30,) if device is None else (needs.host_bytes, 2**30)
    with pytest.raises(ConfigError, match=r"of which teacher takes .* Distil a run of fewer experts") as caught:
        check_memory(needs, *limits)
    assert caught.value.path == "run"


def test_a_table_that_is_too_large_is_refused_with_its_largest_field():
    needs = estimate(fitted(a=1000, big=100_000_000, c=30_000_000), parse_config({}))
    check_memory(needs, needs.total_bytes)
    with pytest.raises(ConfigError) as caught:
        check_memory(needs, needs.total_bytes - 1)
    message = caught.value.message
    assert caught.value.path == "model.embedding_dim"
    assert "that of big, 12.29 GiB for 100,000,002 rows" in message  # x 11 x 4 x 3 bytes
    assert f"Got an estimate of {needs.total_bytes / 2**30:.2f} GiB" in message
    assert "--min-count" in message
    assert "\n" not in message


def test_device_and_host_are_checked_apart():
    needs = estimate(fitted(a=100_000_000), parse_config({}), on_gpu=True)
    check_memory(needs, needs.host_bytes, needs.device_bytes)
    with pytest.raises(ConfigError, match="of device memory that are free"):
        check_memory(needs, needs.host_bytes, needs.device_bytes - 1)
    with pytest.raises(ConfigError, match="GiB of memory that are free"):
        check_memory(needs, needs.host_bytes - 1, needs.device_bytes)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"batch_size": 4_194_304, "micro_batch_size": 4_194_304}, "batch_size"),
        ({"shuffle_rows": 1_000_000_000}, "shuffle_rows"),
        ({"model": {"hidden": [65536, 65536]}}, "model.hidden"),
    ],
)
def test_another_part_that_is_larger_is_named_instead(settings, path):
    with pytest.raises(ConfigError) as caught:
        check_memory(estimate(fitted(a=1000), parse_config(settings)), 2**30)
    assert caught.value.path == path
    assert "table" not in caught.value.message


def test_training_is_refused_before_it_leaves_anything(dataset, tmp_path, monkeypatch):
    needs = estimate(dataset.fitted, parse_config({}), train_rows=dataset.rows("train"))
    monkeypatch.setattr("ctrfast.training_loop.available_memory", lambda: needs.total_bytes - 1)
    with pytest.raises(ConfigError, match="GiB of memory that are free"):
        train(dataset, parse_config({}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_command_line_shows_the_estimate_and_refuses_in_one_line(dataset, tmp_path):
    needs = estimate(dataset.fitted, parse_config({"batch_size": 512}), train_rows=dataset.rows("train"))
    text = called("plan", "--data", dataset.path, "--batch-size", 512).stdout
    assert "rule cowclip, criteo" in text
    assert f"at most about {needs.total_bytes / 2**30:,.2f} GiB" in text
    shown = dict(line.rsplit(maxsplit=1) for line in text.splitlines() if line.split(" ")[0] in needs.by_part)
    assert shown == {part: f"{size / 2**20:,.1f}" for part, size in needs.by_part.items()}
    name, field = max(needs.by_field.items(), key=lambda item: item[1].bytes)
    assert f"weights and moments: {name} {field.rows:,} rows" in text

    arguments = ("train", "--data", dataset.path, "--batch-size", 512, "--out", tmp_path / "run")
    line = refused(*arguments, "--set", f"model.hidden={[65536] * 32}")
    assert "Choose smaller model.hidden" in line
    assert not (tmp_path / "run").exists()
