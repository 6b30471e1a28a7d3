"""Scores of the bundle equal the training graph's; a bundle with a changed byte is refused."""

import gzip
import json
import shutil

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from ctrfast.batch_score import score_files
from ctrfast.bundle import Bundle
from ctrfast.config import parse_config
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.data.synth import synth
from ctrfast.errors import ArtifactError, ConfigError, DataError
from ctrfast.evaluate import evaluate
from ctrfast.export import export_bundle
from ctrfast.folders import seal
from ctrfast.run import Run
from ctrfast.schema import SPLITS, UNSEEN_ID, preset
from ctrfast.score import Scorer
from ctrfast.train import train
from tests.conftest import SMALL_MODEL


def scores(path):
    table = pq.read_table(path)
    assert table.column_names == ["score"]
    return table["score"].to_numpy()


def test_run_and_bundle_score_raw_rows_alike_and_in_order(run_path, bundle_path, dataset, raw_clicks, tmp_path):
    scored = [
        score_files(model, [raw_clicks], tmp_path / f"{model.parent.name}.parquet") for model in (run_path, bundle_path)
    ]
    by_run, by_bundle = (scores(tmp_path / f"{m.parent.name}.parquet") for m in (run_path, bundle_path))
    assert [each.rows for each in scored] == [6000, 6000] == [len(by_run), len(by_bundle)]
    np.testing.assert_allclose(by_run, by_bundle, rtol=0, atol=1e-5)
    # The dataset is sequential: its rows, scored as encoded shards, are the raw file's in the same order.
    encoded = score_files(bundle_path, [dataset.path], tmp_path / "dataset.parquet")
    np.testing.assert_array_equal(scores(tmp_path / "dataset.parquet"), by_bundle)
    shards = [pq.read_table(shard) for split in SPLITS for shard in dataset.shards(split)]
    ids = pa.concat_tables(shards)
    unseen = {name: int((ids[name].to_numpy() == UNSEEN_ID).sum()) for name in dataset.fitted.schema_.id_names}
    assert scored[0].unseen == scored[1].unseen == encoded.unseen == unseen
    assert sum(unseen.values()) > 1000


def test_rows_with_unseen_ids_or_nothing_at_all_are_scored(bundle_path, tmp_path):
    lines = [
        "\t".join(["1", *["5"] * 13, *["feedbeef"] * 26]),
        "\t".join([""] * 39),
        "\t".join(["7"] * 13 + ["x"] * 26),
    ]
    with_label, without = tmp_path / "a.tsv.gz", tmp_path / "b.tsv"
    with_label.write_bytes(gzip.compress((lines[0] + "\n").encode()))
    without.write_text("\n".join(lines[1:]))
    scored = score_files(bundle_path, [with_label, without], tmp_path / "s.parquet")
    assert (scored.rows, scored.unseen["C1"], scored.unseen["C26"]) == (3, 2, 2)  # and one is missing
    got = scores(tmp_path / "s.parquet")
    assert np.all((got > 0) & (got < 1))
    scorer = Scorer.load(bundle_path)
    raw = [{f"I{i}": 5 for i in range(1, 14)} | {f"C{i}": "feedbeef" for i in range(1, 27)}, {}]
    np.testing.assert_allclose(scorer.score_rows(raw), got[:2], atol=1e-7)
    assert scorer.encoder.encode_rows(raw).unseen == {f"C{i}": 1 for i in range(1, 27)}


def test_a_bad_row_ends_scoring_and_leaves_no_file(bundle_path, tmp_path):
    file = tmp_path / "bad.tsv"
    file.write_text("\t".join(["0"] * 40) + "\n" + "\t".join(["0", "many", *["0"] * 38]) + "\n")
    with pytest.raises(DataError, match=r"bad\.tsv"):
        score_files(bundle_path, [file], tmp_path / "s.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.tsv"]


def test_an_existing_file_is_not_overwritten(bundle_path, raw_clicks, tmp_path):
    (tmp_path / "s.parquet").write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        score_files(bundle_path, [raw_clicks], tmp_path / "s.parquet")
    assert (tmp_path / "s.parquet").read_text() == "mine"


@pytest.mark.parametrize(
    "name, preset_name", [("deepfm", "criteo"), ("dcn_mix", "criteo"), ("deepfm", "avazu"), ("dcn_v2", "avazu")]
)
def test_all_ways_of_a_model_give_the_same_scores(name, preset_name, tmp_path):
    suffix = {"criteo": "tsv", "avazu": "csv"}[preset_name]
    raw = tmp_path / f"raw.{suffix}"
    synth(raw, preset_name, 1500, 1)
    prepare([raw], preset(preset_name), tmp_path / "data")
    config = parse_config({"batch_size": 256, "model": {**SMALL_MODEL, "name": name}})
    train(Dataset.open(tmp_path / "data"), config, tmp_path / "run")
    export_bundle(tmp_path / "run", tmp_path / "bundle", saved_model=True)
    assert Scorer.load(tmp_path / "bundle").check_golden() <= 1e-5
    ids, numbers, expected = Bundle.open(tmp_path / "bundle").golden()
    serve = tf.saved_model.load(str(tmp_path / "bundle" / "saved_model")).signatures["serving_default"]
    served = serve(ids=tf.constant(ids), numbers=tf.constant(numbers))["probability"]
    np.testing.assert_allclose(served, expected, rtol=0, atol=1e-5)
    for model in ("run", "bundle"):
        score_files(tmp_path / model, [raw], tmp_path / f"{model}.parquet")
    np.testing.assert_allclose(scores(tmp_path / "run.parquet"), scores(tmp_path / "bundle.parquet"), atol=1e-5)


def test_the_graph_reads_the_table_from_the_weights(bundle_path):
    graph = onnx.load(bundle_path / "model.onnx", load_external_data=False).graph
    (table,) = [tensor for tensor in graph.initializer if tensor.name == "table"]
    assert {entry.key: entry.value for entry in table.external_data}["location"] == "weights.safetensors"
    assert not table.raw_data


@pytest.mark.parametrize(
    "name",
    [
        "weights.safetensors",
        "model.onnx",
        "schema.json",
        "vocabulary/C1.parquet",
        "golden.parquet",
        "config.json",
        "calibration.json",
    ],
)
def test_a_changed_byte_is_refused(bundle_path, tmp_path, name):
    copy = tmp_path / "bundle"
    shutil.copytree(bundle_path, copy)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        Scorer.load(copy)


def test_wrong_weights_under_right_hashes_fail_the_golden_rows(bundle_path, run_path, dataset, small_config, tmp_path):
    train(dataset, small_config(seed=2), tmp_path / "other")
    export_bundle(tmp_path / "other", tmp_path / "bundle")
    golden = tmp_path / "bundle" / "golden.parquet"
    shutil.copyfile(bundle_path / "golden.parquet", golden)
    with pytest.raises(ArtifactError, match="golden"):
        Bundle.open(tmp_path / "bundle")
    scorer = Scorer(Bundle(tmp_path / "bundle", {"files": {}}))
    with pytest.raises(ArtifactError, match="differ from the training graph"):
        scorer.check_golden()


def test_a_format_of_the_future_is_refused(bundle_path, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(bundle_path, copy)
    reseal(copy, lambda manifest: manifest.update(format=99))
    with pytest.raises(ArtifactError, match=r"must have format 1 or 2\. Got 99"):
        Bundle.open(copy)


@pytest.mark.parametrize("name", ["weights.safetensors", "golden.parquet", "schema.json"])
def test_a_manifest_that_leaves_a_file_out_is_refused(bundle_path, tmp_path, name):
    copy = tmp_path / "bundle"
    shutil.copytree(bundle_path, copy)
    reseal(copy, lambda manifest: manifest["files"].pop(name))
    with pytest.raises(ArtifactError, match=f"lacks {name}"):
        Bundle.open(copy)


def reseal(folder, change):
    """Edit a manifest as somebody would who knows how it is sealed."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps({**manifest, "seal": seal(manifest)}))


def test_evaluate_agrees_with_the_run_on_dataset_and_raw_rows(run_path, dataset, raw_clicks, tmp_path):
    metrics = Run.open(run_path).metrics
    assert evaluate(run_path, [dataset.path], "test").metrics["auc"] == metrics["test_auc"]
    with gzip.open(raw_clicks, "rt") as file:
        lines = file.readlines()
    last = tmp_path / "test.tsv"
    last.write_text("".join(lines[-dataset.rows("test") :]))
    raw = evaluate(run_path, [last]).metrics
    assert raw["auc"] == pytest.approx(metrics["test_auc"], abs=1e-6)
    assert raw["log_loss"] == pytest.approx(metrics["test_log_loss"], abs=1e-6)


def test_another_vocabulary_is_refused(run_path, bundle_path, raw_clicks, tmp_path):
    prepare([raw_clicks], preset("criteo"), tmp_path / "other", min_count=5)
    for refuse in (
        lambda: evaluate(run_path, [tmp_path / "other"]),
        lambda: score_files(bundle_path, [tmp_path / "other"], tmp_path / "s.parquet"),
    ):
        with pytest.raises(ArtifactError, match="another schema or vocabulary"):
            refuse()
