"""Raw inputs in an object store: the dataset is that of the same files on the disk."""

import gzip

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from ctrfast.data.prepare import prepare
from ctrfast.data.sources import find_sources
from ctrfast.errors import DataError


@pytest.fixture(scope="module")
def store():
    """Address of an S3 server on this machine, as options of an address; the bucket `clicks` is there."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = f"endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    filesystem, _ = pa.fs.FileSystem.from_uri(f"s3://key:hush@clicks?{options}&allow_bucket_creation=true")
    filesystem.create_dir("clicks")
    yield filesystem, options
    server.stop()


@pytest.fixture
def logs(tmp_path, store):
    """The same files in a folder and under `s3://clicks/logs`."""
    filesystem, _ = store
    lines = [f"{row % 2}\t{row}\ta{row % 11}\tb{row % 700}\n" for row in range(2000)]
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "one.tsv.gz").write_bytes(gzip.compress("".join(lines).encode() + b"broken\n"))
    columns = {"label": [0, 1] * 50, "n": [0.5, None] * 50, "a": ["a1", "é"] * 50, "b": [7, 8] * 50}
    pq.write_table(pa.table(columns), tmp_path / "logs" / "two.parquet")
    for path in (tmp_path / "logs").iterdir():
        with filesystem.open_output_stream(f"clicks/logs/{path.name}", compression=None) as file:
            file.write(path.read_bytes())
    return tmp_path / "logs"


@pytest.mark.parametrize("place", ["logs", "logs/*.*"])
def test_a_bucket_gives_the_dataset_of_its_files(tmp_path, tiny, store, logs, place):
    local = prepare([logs], tiny, tmp_path / "one")
    seen = []
    address = f"s3://key:hush@clicks/{place}?{store[1]}"
    assert prepare([address], tiny, tmp_path / "two", on_progress=seen.append) == local
    assert [step.share for step in seen if step.stage == "read"][-1] == pytest.approx(0.5)
    assert sum(local.rows.values()) == 2100


def test_a_source_of_a_bucket_knows_size_and_time(store, logs):
    sources = find_sources([f"s3://key:hush@clicks/logs?{store[1]}"])
    assert [(source.name, source.size) for source in sources] == [
        (path.name, path.stat().st_size) for path in sorted(logs.iterdir())
    ]
    assert str(sources[0]) == "s3://clicks/logs/one.tsv.gz"
    assert all(source.identity[2] > 0 for source in sources)
    assert all("hush" not in repr(source) for source in sources)


def test_what_is_not_in_the_bucket_is_refused(store):
    for place, message in (
        ("logs/none.tsv", "There is no file at s3://clicks/logs/none"),
        ("none/*.tsv", "at least one"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            find_sources([f"s3://key:hush@clicks/{place}?{store[1]}"])
        assert "hush" not in caught.value.message
