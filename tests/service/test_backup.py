"""Backups taken while the service works, and what a restored service knows and scores."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import stat
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.folders import seal
from service.backup import Extent, Saved, back_up
from service.database import Database
from service.restore import restore
from service.settings import Settings
from service.states import Kind
from service.tables import DatasetRow
from service.wiring import Services
from tests.service.conftest import Api, publish, quick_settings
from tests.service.test_cli import refused, run

ROW = {"I1": 3, "C1": "68fd1e64"}
ALL = Extent(datasets=True, runs=True)


@pytest.fixture
def serving(api: Api, bundle: Path) -> Api:
    publish(api, bundle)
    return api


@pytest.fixture
def other(tmp_path: Path) -> Settings:
    """Settings of another HOME."""
    return quick_settings(tmp_path / "other")


def opened(settings: Settings) -> Services:
    services = Services.build(settings)
    assert services.database.unfit() is None
    return services


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def change_manifest(folder: Path, **changes: Any) -> None:
    file = folder / "manifest.json"
    manifest = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({**manifest, "seal": seal(manifest)}))


@pytest.mark.parametrize("name", ["saved", "saved.tar"])
def test_a_restored_service_scores_as_the_old_one(serving: Api, other: Settings, tmp_path: Path, name: str) -> None:
    body = {"instances": [ROW, {}]}
    before = serving.client.post("/v1/models/ctr:predict", json=body).json()
    jobs = serving.client.get("/v1/jobs").json()
    out = tmp_path / name
    assert back_up(serving.services.settings, out, Extent()) == Saved(with_database=True, versions=1)
    assert not stat.S_IMODE(out.stat().st_mode) & 0o077
    assert [file.name for file in tmp_path.glob(".partial-*")] == []
    assert restore(other, out) is None
    restored = Api(other)
    try:
        assert restored.client.get("/v1/jobs").json() == jobs
        assert restored.client.get("/v1/models/ctr").json() == serving.client.get("/v1/models/ctr").json()
        assert restored.client.post("/v1/models/ctr:predict", json=body).json() == before
    finally:
        restored.close()


def test_a_backup_under_writes_is_of_one_moment(serving: Api, bundle: Path, other: Settings, tmp_path: Path) -> None:
    services = serving.services
    first = [services.jobs.enqueue(Kind.TRAIN, {"n": n}).id for n in range(20)]
    stop, made = threading.Event(), []

    def write() -> None:
        while not stop.is_set() and len(made) < 4000:  # the backups may take long
            made.append(services.jobs.enqueue(Kind.TRAIN, {"n": len(made)}).id)

    def release() -> None:
        while not stop.is_set():
            publish(serving, bundle)

    threads = [threading.Thread(target=target) for target in (write, write, release)]
    for thread in threads:
        thread.start()
    saved = [back_up(services.settings, tmp_path / f"saved{n}", Extent()) for n in range(3)]
    stop.set()
    for thread in threads:
        thread.join()
    assert [part.left_out for part in saved] == [[], [], []]
    restore(other, tmp_path / "saved2")
    restored = opened(other)
    jobs = restored.jobs.page(state=None, kind=None, limit=10_000, cursor=None).jobs
    ours = {job.id: job.spec for job in jobs if job.spec}
    assert set(first) <= set(ours) <= set(first) | set(made)
    assert ours == {job_id: services.jobs.get(job_id).spec for job_id in ours}
    for job in jobs:  # no event is missing of any job
        seqs = [event.seq for event in restored.jobs.events(job.id, 0).events]
        assert seqs == list(range(1, restored.jobs.get(job.id).last_seq + 1))
    model = restored.registry.get("ctr")
    assert len(model.versions) == saved[2].versions >= 1
    assert model.on_disk == {row.version for row in model.versions}
    assert model.aliases["latest"] == len(model.versions)
    restored.database.dispose()


def test_datasets_and_runs(api: Api, dataset: Path, other: Settings, tmp_path: Path) -> None:
    services = api.services
    settings = services.settings
    done, at_work = (services.jobs.enqueue(Kind.TRAIN, {}).id for _ in range(2))
    target = settings.dataset_folder("default", "clicks")
    shutil.copytree(dataset, tmp_path / "made")
    with services.database.write() as session:
        services.datasets.deliver(session, "clicks", tmp_path / "made", target, done)
    services.datasets.register("elsewhere", dataset)
    for job_id in (done, at_work):
        for name in ("run/weights.bin", "run/.partial-x/half", "bundle/model.onnx", "log.txt", "lock"):
            file = settings.job_folder(job_id) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)
    with (settings.job_folder(at_work) / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        saved = back_up(settings, tmp_path / "all", ALL)
    assert saved == Saved(True, 0, 1, 1, [f"jobs/{at_work}: the job is at work."])
    assert set(files_of(tmp_path / "all" / "jobs")) == {f"{done}/run/weights.bin", f"{done}/log.txt"}

    restore(other, tmp_path / "all")
    restored = opened(other)
    row = restored.datasets.get("clicks")
    assert row.path == str(other.dataset_folder("default", "clicks"))
    assert files_of(Path(row.path)) == files_of(dataset)
    assert restored.datasets.get("elsewhere").path == str(dataset)
    assert (other.job_folder(done) / "run" / "weights.bin").read_text() == "run/weights.bin"
    restored.database.dispose()

    assert back_up(settings, tmp_path / "small", Extent()).datasets == 1
    assert set(files_of(tmp_path / "small" / "datasets")) == {"clicks/manifest.json"}


def test_what_is_damaged_is_left_out_and_named(serving: Api, bundle: Path, tmp_path: Path) -> None:
    publish(serving, bundle)
    services = serving.services
    (services.registry.folder("ctr", 1) / "model.onnx").write_bytes(b"x")
    with services.database.write() as session:
        path = str(services.settings.dataset_folder("default", "gone"))
        session.add(
            DatasetRow(name="gone", path=path, hash="h", preset="p", rows={}, label_rate={}, table_rows=1, created_at=0)
        )
    saved = back_up(services.settings, tmp_path / "saved", Extent())
    assert saved.versions == 1
    damaged, gone = saved.left_out
    assert damaged.startswith("models/ctr/1: ")
    assert "model.onnx" in damaged
    assert gone.startswith("datasets/gone: ")
    assert not (tmp_path / "saved" / "models" / "ctr" / "1").exists()


def test_a_version_that_was_removed_is_not_missed(serving: Api, bundle: Path, tmp_path: Path) -> None:
    publish(serving, bundle)
    serving.services.removal.remove("default", "ctr", 1)
    saved = back_up(serving.services.settings, tmp_path / "saved", Extent())
    assert (saved.versions, saved.left_out) == (1, [])


def test_a_full_home_is_put_aside_when_told(serving: Api, other: Settings, tmp_path: Path) -> None:
    back_up(serving.services.settings, tmp_path / "saved", Extent())
    used = opened_new(other)
    kept = used.jobs.enqueue(Kind.TRAIN, {"kept": 1}).id
    (other.home_dir / "models" / "old").mkdir()
    (other.home_dir / "models" / "old" / "file").write_text("old")
    before = files_of(other.home_dir)
    with pytest.raises(ConfigError, match=r"ctrfast\.db.*models.*--replace"):
        restore(other, tmp_path / "saved")
    with pytest.raises(ConfigError, match="Stop the service"):
        restore(other, tmp_path / "saved", replace=True)
    assert files_of(other.home_dir).keys() == before.keys()
    used.database.dispose()
    aside = restore(other, tmp_path / "saved", replace=True)
    assert aside is not None
    assert (aside / "models" / "old" / "file").read_text() == "old"
    now = opened(other)
    assert now.registry.names() == ["ctr"]
    now.database.dispose()
    old = Services.build(quick_settings(aside))
    assert old.jobs.get(kept).spec == {"kept": 1}
    old.database.dispose()


def opened_new(settings: Settings) -> Services:
    services = Services.build(settings)
    services.database.migrate()
    return services


def test_an_older_database_is_brought_to_this_version(home: Path, other: Settings, tmp_path: Path) -> None:
    services = opened_new(quick_settings(home))
    services.jobs.enqueue(Kind.TRAIN, {})
    back_up(services.settings, tmp_path / "saved", Extent())
    services.database.dispose()
    saved = tmp_path / "saved"
    database = Database(f"sqlite:///{saved / 'ctrfast.db'}")
    database.migrate("0002")
    database.dispose()
    manifest = json.loads((saved / "manifest.json").read_text())
    digest = hashlib.sha256((saved / "ctrfast.db").read_bytes()).hexdigest()
    change_manifest(saved, revision="0002", files={**manifest["files"], "ctrfast.db": {"bytes": 1, "sha256": digest}})
    restore(other, saved)
    restored = opened(other)
    assert restored.jobs.counts()["queued"] == 1
    restored.database.dispose()


def test_backups_that_are_refused(serving: Api, other: Settings, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    back_up(serving.services.settings, whole, Extent())

    def changed(change: Callable[[Path], Any]) -> Path:
        folder = tmp_path / "changed"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        change(folder)
        return folder

    def case(change: Callable[[Path], Any], error: type[Exception], words: str) -> None:
        with pytest.raises(error, match=words):
            restore(other, changed(change))

    case(lambda at: (at / "ctrfast.db").write_bytes(b"x"), ArtifactError, "sha256 of ctrfast.db")
    case(lambda at: (at / "models/ctr/1/manifest.json").write_text("{}"), ArtifactError, "models/ctr/1/manifest.json")
    case(lambda at: (at / "models/ctr/1/model.onnx").unlink(), ArtifactError, "model.onnx is missing")
    case(lambda at: (at / "models/extra").write_text("x"), ArtifactError, "models/extra")
    case(lambda at: (at / "manifest.json").write_text("{"), ArtifactError, "manifest.json")
    case(lambda at: change_manifest(at, revision="9999", ctrfast="99.0"), ArtifactError, r"ctrfast 99\.0")
    case(lambda at: change_manifest(at, with_database=False), ConfigError, "CTRFAST_DATABASE_URL")
    with pytest.raises(ArtifactError, match="no backup"):
        restore(other, tmp_path / "nothing")
    tar = tmp_path / "cut.tar"
    with tarfile.open(tar, "w") as file:
        file.add(whole, arcname="ctrfast-backup")
    tar.write_bytes(tar.read_bytes()[:50_000])
    with pytest.raises(ArtifactError):
        restore(other, tar)
    assert files_of(other.home_dir) == {}  # nothing of all that has arrived
    with pytest.raises(ConfigError, match="exists"):
        back_up(serving.services.settings, whole, Extent())


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_beside_postgresql_the_files_are_saved(
    services: Services, bundle: Path, other: Settings, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    shutil.copytree(bundle, made)
    job = services.jobs.enqueue(Kind.TRAIN, {})
    with services.database.write() as session:
        services.registry.publish(session, "ctr", made, job.id, {})
    saved = back_up(services.settings, tmp_path / "saved", Extent())
    assert (saved.with_database, saved.versions) == (False, 1)
    with pytest.raises(ConfigError, match="pg_dump"):
        restore(other, tmp_path / "saved")  # on SQLite
    fresh = quick_settings(tmp_path / "fresh", database_url=services.settings.database_url)
    restore(fresh, tmp_path / "saved")
    restored = opened(fresh)
    assert restored.registry.get("ctr").on_disk == {1}
    restored.database.dispose()


def test_the_commands(home: Path, tmp_path: Path) -> None:
    refused(run(home, "backup", str(tmp_path / "saved")), "ctrfast-service migrate")
    listed = run(home, "create-key")
    assert listed.returncode == 0, listed.stderr
    done = run(home, "backup", str(tmp_path / "saved.tar"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 model versions, 0 datasets (manifests)" in done.stdout
    refused(run(home, "backup", str(tmp_path / "saved.tar")), "exists")
    refused(run(home, "restore", str(tmp_path / "saved.tar")), "--replace")
    again = run(home, "restore", str(tmp_path / "saved.tar"), "--replace")
    assert again.returncode == 0, again.stderr
    assert "replaced-" in again.stdout
    assert "  default  " in run(home, "list-keys").stdout
