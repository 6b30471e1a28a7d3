"""Work that was stopped, killed or met a full disk: nothing half-made is seen, and the next call goes on with it."""

import functools
import gzip
import math
import multiprocessing
import os
import resource
import signal
import threading
from pathlib import Path

import pytest

from ctrfast.data import parsed
from ctrfast.data.prepare import prepare
from ctrfast.data.raw import chunks_of
from ctrfast.data.work_folder import WorkFolder
from ctrfast.errors import Cancelled, ConfigError, DamagedFileError, StorageError

WORK = ".out.prepare"
# Forks of one process that has imported this module: each import takes longer than the work.
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload([__name__])


def rows_of(count, start=0):
    lines = (b"%d\t%d\ta%d\tlong-value-of-%d\n" % (row % 2, row, row % 11, row) for row in range(start, start + count))
    return b"".join(lines) + b"broken\n"


@pytest.fixture
def raw(tmp_path):
    """Two files; `expected` gives the bytes of their dataset."""
    for name, start in (("a.tsv", 0), ("b.tsv", 500)):
        (tmp_path / name).write_bytes(rows_of(500, start))
    return [tmp_path / "a.tsv", tmp_path / "b.tsv"]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(parsed, "chunks_of", functools.partial(chunks_of, rows_per_block=100))


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def expected(tmp_path, raw, tiny):
    prepare(raw, tiny, tmp_path / "whole")
    return content(tmp_path / "whole")


def stopper(stage, error):
    """Raises at the third report of a stage."""
    seen = []

    def stop(progress):
        seen.append(progress.stage)
        if seen.count(stage) == 3:
            raise error

    return stop


@pytest.mark.parametrize("stage", ["read", "fit", "write"])
def test_stopped_work_is_gone_on_with(tmp_path, raw, tiny, expected, stage, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, tiny, tmp_path / "out", on_progress=stopper(stage, KeyboardInterrupt))
    assert not (tmp_path / "out").exists()
    written = []
    write = parsed.Block.write
    monkeypatch.setattr(parsed.Block, "write", lambda *given: written.append(given) or write(*given))
    prepare(raw, tiny, tmp_path / "out")
    assert content(tmp_path / "out") == expected
    assert len(written) <= (9 if stage == "read" else 0)  # of 12 chunks
    assert not (tmp_path / WORK).exists()


def test_other_settings_and_changed_files_start_afresh(tmp_path, raw, tiny):
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, tiny, tmp_path / "out", on_progress=stopper("write", KeyboardInterrupt), min_count=2)
    raw[1].write_bytes(rows_of(400, 2000))
    prepare(raw, tiny, tmp_path / "fresh", min_count=3)
    prepare(raw, tiny, tmp_path / "out", min_count=3)
    assert content(tmp_path / "out") == content(tmp_path / "fresh")


def test_cancelled_work_is_removed(tmp_path, raw, tiny):
    with pytest.raises(Cancelled):
        prepare(raw, tiny, tmp_path / "out", on_progress=stopper("fit", Cancelled("Stopped.")))
    assert not (tmp_path / WORK).exists()
    assert not (tmp_path / "out").exists()


def test_a_second_process_is_told_of_the_first(tmp_path, raw, tiny):
    with WorkFolder(tmp_path / "out", "prepare"):
        with pytest.raises(ConfigError, match=r"Another process is making .*out\. Wait for it"):
            prepare(raw, tiny, tmp_path / "out")
        assert (tmp_path / WORK).exists()
    prepare(raw, tiny, tmp_path / "out")


def test_what_a_kill_left_half_written_is_removed_at_the_next_start(tmp_path):
    with pytest.raises(KeyboardInterrupt), WorkFolder(tmp_path / "out", "prepare") as work:
        for name in ("whole", ".partial-whole-1234", "sub/whole", "sub/.partial-whole-1234"):
            (work.part("dataset", []) / name).parent.mkdir(exist_ok=True)
            (work.part("dataset", []) / name).write_bytes(b"x")
        raise KeyboardInterrupt
    with WorkFolder(tmp_path / "out", "prepare") as work:
        assert set(content(work.part("dataset", []))) == {Path("whole"), Path("sub/whole")}


def test_a_truncated_file_keeps_the_others_work(tmp_path, raw, tiny):
    whole = gzip.compress(rows_of(3000))
    bad = tmp_path / "c.tsv.gz"
    bad.write_bytes(whole[:-9])
    with pytest.raises(DamagedFileError, match=r"c\.tsv\.gz cannot be read to its end: Truncated"):
        prepare([*raw, bad], tiny, tmp_path / "out")
    kept = {path.name for path in (tmp_path / WORK).glob("parsed0000[01]-*/*.block")}
    assert len(kept) == 6
    bad.write_bytes(whole)
    report = prepare([*raw, bad], tiny, tmp_path / "out")
    assert sum(report.rows.values()) == 4000


class Renames:
    """Counts the renames of the work; at a given one, before it or after it, the process is killed."""

    def __init__(self, last=0, *, after=False):
        self.count, self.last, self.after = 0, last, after
        self.lock, self.rename = threading.Lock(), Path.replace

    def __enter__(self):
        Path.replace = lambda path, target: self(path, target)
        return self

    def __exit__(self, *error):
        Path.replace = self.rename

    def __call__(self, path, target):
        with self.lock:
            self.count += 1
            if self.count == self.last and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            moved = self.rename(path, target)
            if self.count == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
            return moved


def _be_killed(last, after, raw, schema, out):
    parsed.chunks_of = functools.partial(chunks_of, rows_per_block=100)
    with Renames(last, after=after):
        prepare(raw, schema, out)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.65, 0.8, 0.95, 1.0])  # blocks, columns, learned, shards, manifest, all
def test_a_killed_process_leaves_no_half_dataset(tmp_path, raw, tiny, expected, place, after):
    with Renames() as renames:
        prepare(raw, tiny, tmp_path / "counted")
    arguments = (math.ceil(place * renames.count), after, raw, tiny, tmp_path / "out")
    process = CHILDREN.Process(target=_be_killed, args=arguments)
    process.start()
    process.join(timeout=300)
    assert process.exitcode == -signal.SIGKILL
    if place == 1.0 and after:
        assert content(tmp_path / "out") == expected
        return
    assert not (tmp_path / "out").exists()
    prepare(raw, tiny, tmp_path / "out")
    assert content(tmp_path / "out") == expected
    assert not (tmp_path / WORK).exists()


def _meet_a_full_disk(raw, schema, out, size):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    parsed.chunks_of = functools.partial(chunks_of, rows_per_block=100)
    try:
        prepare(raw, schema, out)
    except StorageError as error:
        os._exit(41 if "cannot be stored: File too large. Make room" in error.message else 42)


@pytest.mark.parametrize("size", [1_000, 5_000])  # fails on a block; on a column or a shard
def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path, raw, tiny, expected, size):
    arguments = (raw, tiny, tmp_path / "out", size)
    process = CHILDREN.Process(target=_meet_a_full_disk, args=arguments)
    process.start()
    process.join(timeout=300)
    assert process.exitcode == 41
    assert not (tmp_path / "out").exists()
    prepare(raw, tiny, tmp_path / "out")
    assert content(tmp_path / "out") == expected


def test_a_delivered_folder_is_on_the_disk_with_all_its_names(tmp_path, monkeypatch):
    synced = []
    for module in ("ctrfast.folders", "ctrfast.data.work_folder"):
        monkeypatch.setattr(f"{module}.sync", synced.append)
    with WorkFolder(tmp_path / "out", "prepare") as work:
        part = work.part("dataset", [])
        (part / "train").mkdir()
        (part / "train" / "a.bin").write_bytes(b"abc")
        work.deliver(part)
    assert sorted(synced[:3]) == [part, part / "train", part / "train" / "a.bin"]
    assert synced[3:] == [tmp_path]  # after it was renamed
