"""Tasks that are done elsewhere give the same dataset; what a pool is told of memory; what a lost one leaves."""

import functools
import json
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ctrfast.data import parsed
from ctrfast.data.fit_task import FitTask
from ctrfast.data.prepare import BASE_MEMORY, SMALLEST_MEMORY, prepare
from ctrfast.data.raw import chunks_of
from ctrfast.errors import ConfigError, WorkerLostError
from tests import list_clicks


class Elsewhere:
    """Does tasks one by one, each with copies of function and item, as another process would have them."""

    processes = 3
    threads = 1

    def __init__(self):
        self.sent = []
        self.shared = []

    def require_shared(self, folder):
        self.shared.append(folder)

    def in_order(self, function, items):
        for item in items:
            self.sent.append(pickle.loads(pickle.dumps(function)))
            yield pickle.loads(pickle.dumps(self.sent[-1](pickle.loads(pickle.dumps(item)))))


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(parsed, "chunks_of", functools.partial(chunks_of, rows_per_block=100))


@pytest.fixture(params=["text", "parquet"])
def clicks(tmp_path, request):
    """500 rows with lists, some of them bad."""
    rows = list_clicks.learnable(500)
    rows[7] = ("2", *rows[7][1:])
    if request.param == "text":
        return list_clicks.write_clicks(tmp_path / "clicks.tsv", rows)
    pq.write_table(
        pa.table(dict(zip(list_clicks.SCHEMA.columns, zip(*rows, strict=True), strict=True))),
        tmp_path / "clicks.parquet",
    )
    return tmp_path / "clicks.parquet"


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_bytes(clicks, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    prepare([clicks], list_clicks.SCHEMA, here)
    prepare([clicks], list_clicks.SCHEMA, there, pool=Elsewhere())
    assert content(here) == content(there)
    assert json.loads((here / "manifest.json").read_text())["rejected"]["rows"] == 1
    for name, pool in (("again", {}), ("elsewhere", {"pool": Elsewhere()})):
        prepare([clicks], list_clicks.SCHEMA, there.parent / name, vocabulary_from=here, grow=True, **pool)
    assert content(tmp_path / "again") == content(tmp_path / "elsewhere")


def test_tasks_name_no_place_that_depends_on_the_folder_of_the_process(clicks, tmp_path, monkeypatch):
    prepare([clicks], list_clicks.SCHEMA, tmp_path / "first")
    monkeypatch.chdir(tmp_path)

    class Away(Elsewhere):
        """Works in another folder, as a worker of a cluster does."""

        def in_order(self, function, items):
            items = list(items)
            monkeypatch.chdir("/")
            done = list(super().in_order(function, items))
            monkeypatch.chdir(tmp_path)
            yield from done

    pool = Away()
    prepare([clicks], list_clicks.SCHEMA, Path("away"), vocabulary_from=Path("first"), pool=pool)
    assert pool.shared == [tmp_path]
    assert [shard.name for shard in Path("away/train").iterdir()] == ["part-00000.parquet"]


@pytest.mark.parametrize(
    ("available", "limit", "expected"),
    [(12 * 2**30, None, 2 * 2**30), (2**30, None, SMALLEST_MEMORY), (12 * 2**30, 2**30, 2**30)],
)
def test_the_memory_is_that_of_a_process(clicks, tmp_path, available, limit, expected, monkeypatch):
    monkeypatch.setattr("ctrfast.data.prepare.available_memory", lambda: available)
    pool = Elsewhere()
    prepare([clicks], list_clicks.SCHEMA, tmp_path / "out", memory_limit=limit, pool=pool)
    memory = {function.memory for function in pool.sent if isinstance(function, FitTask)}
    assert memory == {expected - BASE_MEMORY}


def test_work_that_lost_its_workers_is_gone_on_with(clicks, tmp_path):
    class Lost(Elsewhere):
        def in_order(self, function, items):
            if isinstance(function, FitTask):
                raise WorkerLostError("All are gone.")
            return super().in_order(function, items)

    with pytest.raises(WorkerLostError):
        prepare([clicks], list_clicks.SCHEMA, tmp_path / "out", pool=Lost())
    kept = sorted((tmp_path / ".out.prepare").glob("parsed*/*.block"))
    assert len(kept) == 5 and not (tmp_path / "out").exists()

    class Alone(Elsewhere):
        def require_shared(self, folder):
            raise ConfigError(f"{folder} is nobody else's.")

    with pytest.raises(ConfigError, match=f"{tmp_path} is nobody else's"):
        prepare([clicks], list_clicks.SCHEMA, tmp_path / "out", pool=Alone())
    assert sorted((tmp_path / ".out.prepare").glob("parsed*/*.block")) == kept
    prepare([clicks], list_clicks.SCHEMA, tmp_path / "out")
    prepare([clicks], list_clicks.SCHEMA, tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")
