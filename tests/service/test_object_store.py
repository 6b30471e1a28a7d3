"""API processes and workers that share a database and an object store, and no disk: each has a HOME of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ctrfast.data.shards import Dataset
from ctrfast.errors import Cancelled, StoreUnavailableError
from ctrfast.run import Run
from ctrfast.store.address import Address
from ctrfast.store.artefacts import find
from ctrfast.store.artefacts import publish as put_in_store
from ctrfast.store.objects import Objects, connect
from service.assignments import Targets
from service.backup import Extent, back_up
from service.settings import Settings
from service.states import Kind
from service.stopping import Stop
from service.work import do_work
from tests.service.conftest import Api, publish, quick_settings
from tests.service.test_work import assignment, ignore, stop  # noqa: F401 - a fixture
from tests.service.test_worker import ended, working
from tests.store.conftest import server, store  # noqa: F401 - fixtures

ROW = {"I1": 3, "C1": "68fd1e64"}
TRAIN = {"dataset": "small", "batch_size": 500, "model": {"hidden": [8], "embedding_dim": 4}, "publish_as": "ctr"}


def settings_of(home: Path, store: str, **changes: Any) -> Settings:  # noqa: F811
    return quick_settings(home, artifacts=f"{store}/service", **changes)


@pytest.fixture
def apis(tmp_path: Path, request: pytest.FixtureRequest, store: str) -> Iterator[list[Api]]:  # noqa: F811
    """Two API processes on one SQLite database."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    shared = {"database_url": url, "data_roots": (f"{store}/data",)}
    started = [Api(settings_of(tmp_path / name, store, **shared)) for name in ("one", "two")]
    yield started
    for api in started:
        api.close()


def predict(api: Api, version: int | None = None) -> tuple[int, dict[str, Any]]:
    place = "" if version is None else f"/versions/{version}"
    answer = api.client.post(f"/v1/models/ctr{place}:predict", json={"instances": [ROW]})
    return answer.status_code, answer.json()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_model_that_one_host_trains_is_scored_by_all(
    tmp_path: Path,
    database_url: str,
    store: str,  # noqa: F811
    dataset: Path,
    raw_file: Path,
) -> None:
    put_in_store(dataset, Address.parse(f"{store}/data/small"))
    (tmp_path / "raw").mkdir()
    shutil.copy(raw_file, tmp_path / "raw")
    shared = {"database_url": database_url, "data_roots": (f"{store}/data", tmp_path / "raw")}
    homes = [settings_of(tmp_path / name, store, **shared) for name in ("one", "two")]
    apis = [Api(home) for home in homes]
    try:
        one, two = apis
        refused = one.client.post("/v1/datasets", json={"name": "x", "path": f"{store}/service/x"})
        assert (refused.status_code, refused.json()["path"]) == (403, "path")
        absent = one.client.post("/v1/datasets", json={"name": "x", "path": f"{store}/data/absent"})
        assert (absent.status_code, absent.json()["code"]) == (422, "bad_artifact")
        known = one.client.post("/v1/datasets", json={"name": "small", "path": f"{store}/data/small"})
        assert known.json()["rows"]["train"] == Dataset.open(dataset).rows("train")
        plan = one.client.post("/v1/plans", json={name: TRAIN[name] for name in ("dataset", "batch_size", "model")})
        assert not [finding for finding in plan.json()["findings"] if finding["level"] == "error"]

        trained = one.client.post("/v1/jobs", json={"kind": "train", "spec": TRAIN}).json()["id"]
        with working(two.services.settings):
            job = ended(one.services, trained)
        assert job.state == "succeeded", job.message
        shutil.rmtree(homes[1].home_dir / "jobs")  # that host is gone
        assert homes[0].home_dir.joinpath("jobs").is_dir()
        answers = [predict(api) for api in apis]
        assert answers[0][0] == 200, answers[0]
        assert answers[0] == answers[1]

        scored = two.client.post(
            "/v1/jobs", json={"kind": "score", "spec": {"model": "ctr", "inputs": ["clicks.tsv.gz"]}}
        ).json()["id"]
        with working(one.services.settings):
            job = ended(one.services, scored)
        assert (job.state, job.result["version"]) == ("succeeded", 1), job.message
        output = two.client.get(f"/v1/jobs/{scored}/outputs/scores.parquet")
        assert output.content[:4] == b"PAR1"
        assert two.client.get(f"/v1/jobs/{scored}/outputs/other").status_code == 404
        report = two.client.get(f"/v1/jobs/{trained}/report").json()
        assert report["metrics"] == ended(one.services, trained).metrics
    finally:
        for api in apis:
            api.close()


def test_a_version_is_verified_listed_and_removed(apis: list[Api], bundle: Path, tmp_path: Path) -> None:
    one, two = apis
    assert [publish(api, bundle) for api in apis] == [1, 2]  # of the same content
    (place,) = {one.services.registry.place("ctr", row) for row in one.services.registry.get("ctr").versions}
    assert isinstance(place, Address)
    assert not list((one.services.settings.home_dir / "models").iterdir())
    assert predict(two, 1)[0] == 200
    assert two.client.get("/v1/models/ctr/metadata").status_code == 200
    states = [entry["state"] for entry in one.client.get("/v1/models/ctr").json()["model_version_status"]]
    assert states == ["AVAILABLE", "AVAILABLE"]
    assert one.client.delete("/v1/models/ctr/versions/1").status_code == 204
    assert find(place) is not None  # version 2 has the same files
    changed = next(iter(connect().sizes(place / "sha256")))
    connect().write(place / "sha256" / changed, b"x", new=False)
    shutil.rmtree(tmp_path / "cache")
    status, problem = predict(two, 2)
    assert status == 503
    assert "was changed in the store" in problem["detail"]
    assert "s3://" not in problem["detail"]


def test_what_a_removal_leaves_in_the_store_goes_with_the_next_round(
    apis: list[Api], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = apis[0]
    other = bundle.parent / "other"
    publish(api, bundle)
    row = api.services.registry.get("ctr").versions[0]
    place = api.services.registry.place("ctr", row)
    assert isinstance(place, Address)
    for split in ({"by": "C1", "shares": {"latest": 1.0}}, None):  # reads the version's schema
        assert api.client.put("/v1/models/ctr/traffic", json={"split": split}).status_code == 200
    with api.services.database.write() as session:
        api.services.registry.publish(session, "ctr", _changed(bundle, other), row.job_id, {})

    def away(*_: object) -> None:
        raise StoreUnavailableError("The store is away.")

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "remove", away)
        assert api.client.delete("/v1/models/ctr/versions/1").status_code == 204
    assert connect().sizes(place)
    assert api.services.removal.remove_old() == 0
    assert not connect().sizes(place)
    second = api.services.registry.place("ctr", api.services.registry.get("ctr").versions[1])
    assert isinstance(second, Address)
    assert find(second) is not None


def _changed(bundle: Path, out: Path) -> Path:
    """A bundle of other content, which is never scored."""
    shutil.copytree(bundle, out)
    (out / "manifest.json").write_text((out / "manifest.json").read_text() + "\n")
    return out


def test_a_job_that_was_stopped_goes_on_on_another_machine(
    tmp_path: Path,
    store: str,  # noqa: F811
    tiny_dataset: Dataset,
    stop: Stop,  # noqa: F811
) -> None:
    place = Address.parse(f"{store}/tiny")
    put_in_store(tiny_dataset.path, place)
    run = Address.parse(f"{store}/jobs/j/run")
    facts = {"dataset": place, "dataset_hash": tiny_dataset.hash, "targets": Targets(run=run, outputs=run)}
    spec = {"dataset": "d", "batch_size": 250, "epochs": 3, "model": {"hidden": [8], "embedding_dim": 4}}

    def stop_at_once(message: Mapping[str, Any]) -> None:
        if message["progress"] < 1:
            os.kill(os.getpid(), 15)

    with pytest.raises(Cancelled):
        do_work(assignment(tmp_path / "one", Kind.TRAIN, spec, **facts), stop_at_once, stop)
    told: list[Mapping[str, Any]] = []
    product = do_work(assignment(tmp_path / "two", Kind.TRAIN, spec, **facts), told.append, Stop())
    assert told[0]["facts"]["step"] > 1
    silent: list[Mapping[str, Any]] = []
    again = do_work(assignment(tmp_path / "three", Kind.TRAIN, spec, **facts), silent.append, Stop())
    assert again.metrics == product.metrics == Run.open(tmp_path / "two" / "run").metrics
    assert silent == []  # it did not train again


def test_raw_files_of_the_store_become_a_dataset_of_the_store(
    apis: list[Api],
    raw_file: Path,
    store: str,  # noqa: F811
) -> None:
    api = apis[0]
    connect().upload(raw_file, Address.parse(f"{store}/data/raw/clicks.tsv.gz"))
    body: dict[str, Any] = {"name": "made", "prepare": {"raw": [f"{store}/data/none"], "preset": "criteo"}}
    for raw, status in ((f"{store}/data/none", 422), (f"{store}/other", 403), ("s3://k:hush@artefacts/data", 422)):
        body["prepare"]["raw"] = [raw]
        refused = api.client.post("/v1/datasets", json=body)
        assert (refused.status_code, refused.json()["path"]) == (status, "prepare.raw.0")
        assert "hush" not in refused.text
    body["prepare"]["raw"] = [f"{store}/data/raw"]
    job = api.client.post("/v1/datasets", json=body).json()["id"]
    with working(api.services.settings):
        assert ended(api.services, job).state == "succeeded"
    row = apis[1].services.datasets.get("made")
    stored = find(Address.parse(row.path))
    assert stored is not None
    assert stored.kind == "dataset"
    assert row.path.endswith(f"/datasets/default/made/{row.hash}")


def test_a_backup_says_that_the_store_is_not_in_it(apis: list[Api], bundle: Path, tmp_path: Path) -> None:
    publish(apis[0], bundle)
    saved = back_up(apis[0].services.settings, tmp_path / "backup", Extent())
    assert saved.versions == 0
    assert "models and datasets: they lie in s3://" in saved.left_out[0]


def test_addresses_among_the_data_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTRFAST_DATA_ROOTS", "/a@b:s3://data/clicks:/b@c:s3://more")
    settings = Settings()
    assert settings.roots == (Path("/a@b"), Path("/b@c"))
    assert [str(root) for root in settings.stored_roots] == ["s3://data/clicks", "s3://more/"]


@pytest.mark.parametrize("name", ["CTRFAST_ARTIFACTS", "CTRFAST_DATA_ROOTS"])
@pytest.mark.parametrize("given", ["s3://key:hush@bucket/a", "s3://key:hu/hush@bucket", "s3://hush@bucket/a"])
def test_an_address_with_credentials_is_refused_and_not_repeated(
    name: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, given)
    with pytest.raises(ValueError, match="neither credentials nor options") as caught:
        Settings()
    assert "hush" not in caught.value.errors()[0]["msg"]  # type: ignore[attr-defined]
