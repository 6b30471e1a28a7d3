import json
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import prepare as bench_prepare
from bench.peers import prepare_arrow, prepare_label_encoder
from bench.peers.text_splits import cut
from bench.prepare import PEERS_OF_PREPARE, Peer, Runs, compare, grow, report
from bench.prepare_checks import ResultsDifferError, same_columns, same_kept, same_rows, same_table
from bench.prepare_work import FIRST_ID, IDS, MIN_COUNT, MISSING_ID, UNSEEN_ID, spans
from bench.raw_clicks import make_raw
from bench.turns import SystemFailedError
from ctrfast import schema
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset

ROWS = 5000
ARROW = Peer("arrow", "same table", "bench.peers.prepare_arrow", "pyarrow", same_table)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return make_raw(tmp_path_factory.mktemp("raw"), ROWS)


@pytest.fixture(scope="module")
def ours(raw, tmp_path_factory) -> Dataset:
    out = tmp_path_factory.mktemp("data") / "ours"
    prepare([raw], schema.preset("criteo"), out, min_count=MIN_COUNT, split="sequential")
    return Dataset.open(out)


@pytest.fixture
def arrow_out(raw, tmp_path) -> Path:
    prepare_arrow.prepare(raw, tmp_path)
    return tmp_path


@pytest.fixture
def peers_run_here(pytestconfig, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))
    monkeypatch.setattr(bench_prepare, "PEERS", Path(sys.executable))


def change(file: Path, name: str, row: int, value: object) -> None:
    table = pq.read_table(file)
    values = table[name].to_pylist()
    values[row] = value
    place = table.column_names.index(name)
    pq.write_table(table.set_column(place, name, pa.array(values, table[name].type)), file)


def test_the_ids_of_the_work_are_ours():
    assert (UNSEEN_ID, MISSING_ID, FIRST_ID) == (schema.UNSEEN_ID, schema.MISSING_ID, schema.FIRST_ID)
    assert [split for split, _, _ in spans(10)] == list(schema.SPLITS)


def test_arrow_prepares_the_same_table(ours, arrow_out):
    same_table(ours, arrow_out)


def test_columns_are_compared_in_any_order_of_rows(ours, arrow_out):
    for split in ("train", "valid", "test"):
        file = arrow_out / f"{split}.parquet"
        table = pq.read_table(file)
        pq.write_table(table.take(np.random.default_rng(1).permutation(len(table))), file)
    same_columns(ours, arrow_out)
    with pytest.raises(ResultsDifferError, match=r"of the train split differs in"):
        same_table(ours, arrow_out)
    change(file, "C3", 5, 10**6)
    with pytest.raises(ResultsDifferError, match=r"^C3 of the test split differs in"):
        same_columns(ours, arrow_out)
    assert ours.fitted.table_rows > ROWS / 20  # so that there is something to compare


def test_label_encoder_prepares_as_many_rows(ours, raw, tmp_path):
    prepare_label_encoder.prepare(raw, tmp_path)
    same_rows(ours, tmp_path)


@pytest.mark.parametrize(("name", "value"), [("C3", 7_000), ("label", 2), ("I2", 1e6)])
def test_one_cell_that_differs_is_found(ours, arrow_out, name, value):
    change(arrow_out / "valid.parquet", name, 7, value)
    with pytest.raises(ResultsDifferError, match=f"^{name} of the valid split differs in 1 rows: row 7 must be"):
        same_table(ours, arrow_out)


def test_a_row_that_is_missing_is_found(ours, arrow_out):
    pq.write_table(pq.read_table(arrow_out / "test.parquet").slice(1), arrow_out / "test.parquet")
    with pytest.raises(ResultsDifferError, match=r"rows of the test split must be 500, as ctrfast has it\. Got 499"):
        same_table(ours, arrow_out)


def test_a_split_that_is_missing_is_found(ours, arrow_out):
    (arrow_out / "test.parquet").unlink()
    with pytest.raises(ResultsDifferError, match=r"The test split must be one file\. Got 0"):
        same_rows(ours, arrow_out)


def test_kept_values_are_compared_with_a_feature_map(ours, tmp_path):
    folder = tmp_path / "clicks"
    folder.mkdir()
    for split, start, end in spans(ROWS):
        pq.write_table(pa.table({"label": np.zeros(end - start)}), folder / f"{split}.parquet")
    sizes = {name: ours.fitted.vocabulary_sizes[name] + 2 for name in IDS}

    def write_map() -> None:
        features = [{"I1": {"type": "numeric"}}, *({name: {"vocab_size": size}} for name, size in sizes.items())]
        (folder / "feature_map.json").write_text(json.dumps({"features": features}))

    write_map()
    same_kept(ours, tmp_path)
    sizes["C9"] += 1
    write_map()
    with pytest.raises(ResultsDifferError, match="The kept values of C9 must be"):
        same_kept(ours, tmp_path)


def test_texts_are_cut_by_split(raw, tmp_path):
    files = cut(raw, tmp_path, header="a header\n")
    parts = [file.read_bytes().removeprefix(b"a header\n") for file in files.values()]
    assert [part.count(b"\n") for part in parts] == [end - start for _, start, end in spans(ROWS)]
    assert b"".join(parts) == raw.read_bytes()


def test_systems_are_timed_in_turns_and_the_failed_are_named(raw, peers_run_here):
    broken = Peer("broken", "nothing", "bench.peers.no_such_program", "pyarrow", same_rows)
    runs = compare([ARROW, broken], raw, ROWS, rounds=2, memory_limit="4GB")
    assert list(runs) == ["ctrfast", "arrow", "broken"]
    for name in ("ctrfast", "arrow"):
        assert len(runs[name].seconds) == len(runs[name].peak_bytes) == 2
        assert min(runs[name].peak_bytes) > 20 * 2**20
    assert runs["broken"].seconds == []
    assert runs["broken"].failure.startswith("broken ended (exit code 1)")
    assert [path.name for path in raw.parent.iterdir()] == [raw.name]


def test_a_system_that_prepares_something_else_stops_the_comparison(raw, peers_run_here):
    def differs(ours: Dataset, out: Path) -> None:
        raise ResultsDifferError(f"{ours.path.name}: {sorted(file.name for file in out.iterdir())}")

    other = Peer("other", "same table", "bench.peers.prepare_arrow", "pyarrow", differs)
    files = r"\['test.parquet', 'train.parquet', 'valid.parquet'\]"
    with pytest.raises(ResultsDifferError, match=rf"^ctrfast and other do not prepare the same\. ours: {files}$"):
        compare([other], raw, ROWS, rounds=1, memory_limit="4GB")


def test_without_ours_there_is_no_comparison(raw, peers_run_here):
    with pytest.raises(SystemFailedError, match=r"memory.limit"):
        compare([ARROW], raw, ROWS, rounds=1, memory_limit="1MB")


def test_ours_alone_on_more_rows(raw, ours, peers_run_here):
    (whole,) = grow([(ROWS, raw)], rounds=1, memory_limit="4GB")
    assert whole.embedding_rows == ours.fitted.table_rows
    (refused,) = grow([(ROWS, raw)], rounds=2, memory_limit="1MB")
    assert refused.seconds == []
    assert re.search(r"memory.limit", refused.failure)


def test_the_report_shows_medians_ratios_and_what_is_left_out():
    compared = {
        "ctrfast": Runs(1000, [2.0, 1.0, 4.0], [1.0, 2.0, 3.0], [2**30] * 3),
        "polars by hand": Runs(1000, [1.0, 1.0, 1.0], [1.5] * 3, [2**29] * 3),
        "FuxiCTR": Runs(1000, failure="FuxiCTR ended (exit code 1): no memory"),
    }
    grown = [Runs(4000, [4.0], [4.0], [2**30], embedding_rows=321), Runs(16_000, failure="ctrfast ended: too large")]
    made = report(compared, grown, [PEERS_OF_PREPARE[-1]], "1GB")
    systems, growth = made.tables
    assert systems.rows[0][2:] == ["2.0 (1.0-4.0)", "500 (250-1,000)", "1.00 (1.00-1.00)", "2.0", "1"]
    assert [row[0] for row in systems.rows] == ["ctrfast", "polars by hand"]
    assert systems.rows[1][-1] == "0.50"
    assert growth.rows == [
        ["4,000", "321", "4.0 (4.0-4.0)", "1,000 (1,000-1,000)", "1.00 (1.00-1.00)", "4.0"],
        ["16,000", "-", "-", "-", "-", "-"],
    ]
    assert any(note.startswith("Left out: TorchRec; torchrec is not installed") for note in made.notes)
    assert made.notes[-2:] == ["FAILED: FuxiCTR ended (exit code 1): no memory", "FAILED: ctrfast ended: too large"]
    assert json.loads(json.dumps(made.figures))["compared"]["ctrfast"]["seconds"] == [2.0, 1.0, 4.0]
    assert set(made.versions).isdisjoint({"pyarrow", "numpy"})  # those that the report lists are ours
    for table in made.tables:
        assert len(table.markdown().splitlines()) == 4 + len(table.rows)
