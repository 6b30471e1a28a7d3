"""Real parts for the service's tests: SQLite and PostgreSQL, HTTP on loopback, datasets and bundles on disk."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn

from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.data.synth import synth
from ctrfast.schema import preset
from service.api import server_config
from service.app import create_app
from service.processes import bind
from service.projects import DEFAULT_PROJECT
from service.settings import Settings
from service.states import Kind
from service.traces import NO_TRACES, Traces
from service.wiring import Services
from tests.service.made_tables import copy_on, make_tables
from tests.service.postgres_server import start_postgres
from tests.store.conftest import server, store  # noqa: F401 - fixtures

ROWS = 3000
CHILD = Path(__file__).parent / "child_program.py"

# For tests with `services` that look at artefacts, and for those with APIs or workers: where all that lies.
IN_EACH_STORE = pytest.mark.parametrize(
    ("database_url", "artifacts"), [("sqlite", "home"), ("postgresql", "home"), ("postgresql", "s3")], indirect=True
)
EMBEDDED_AND_SHARED = pytest.mark.parametrize("backing", ["home", "postgresql+s3"], indirect=True)


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 180.0) -> Any:
    """The first true value of `condition`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail(f"{what} did not happen within {timeout_s} s")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        if "XDG_RUNTIME_DIR" not in os.environ:
            patch.setenv("XDG_RUNTIME_DIR", tempfile.mkdtemp())  # pgserver's import warns without it
        server = start_postgres()
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes"):  # nobody reads it after a power cut
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind, with all tables; without any where the test is marked `empty_database`."""
    is_empty = request.node.get_closest_marker("empty_database") is not None
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'test.db'}"
        if not is_empty:
            make_tables(url)
        yield url
        return
    with new_database(request.getfixturevalue("postgres"), is_empty=is_empty) as url:
        yield url


@contextmanager
def new_database(postgres: str, *, is_empty: bool = False) -> Iterator[str]:
    """URL of a database on a PostgreSQL server, as long as the block lasts; with all tables unless it is empty."""
    name = f"t{uuid.uuid4().hex}"
    if is_empty:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
    else:
        copy_on(postgres, name)
    yield postgres.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def artifacts(request: pytest.FixtureRequest) -> str | None:
    """Where artefacts lie: None for HOME; with `IN_EACH_STORE` an object store too."""
    if getattr(request, "param", "home") == "home":
        return None
    return f"{request.getfixturevalue('store')}/service"


@pytest.fixture
def backing(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """What settings name beside HOME: nothing; with `EMBEDDED_AND_SHARED` also PostgreSQL and an object store."""
    if getattr(request, "param", "home") == "home":
        yield {}
        return
    address = request.getfixturevalue("store")
    with new_database(request.getfixturevalue("postgres")) as url:
        yield {"database_url": url, "artifacts": f"{address}/service"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def quick_settings(home: Path, **changes: Any) -> Settings:
    """Settings that make waiting short; but a machine that stalls for ten seconds shall cost no worker its lease."""
    values: dict[str, Any] = {
        "home": home,
        "lease_s": 30.0,
        "heartbeat_s": 0.1,
        "poll_s": 0.05,
        "cancel_grace_s": 5.0,
        "shutdown_grace_s": 2.0,
        "alias_refresh_s": 0.1,
        "require_key": False,
        "max_attempts": 2,
        "retry_first_s": 0.05,
    }
    settings = Settings(**{**values, **changes})
    settings.make_folders()
    return settings


@pytest.fixture
def settings(home: Path, database_url: str, artifacts: str | None) -> Settings:
    """Settings on each kind of database."""
    return quick_settings(home, database_url=database_url, artifacts=artifacts)


@pytest.fixture
def services(settings: Settings) -> Iterator[Services]:
    """The parts of an API process, on a database of each kind."""
    services = Services.build(settings)
    yield services
    services.database.dispose()


@pytest.fixture(scope="session")
def raw_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw clicks in Criteo's form."""
    file = tmp_path_factory.mktemp("raw") / "clicks.tsv.gz"
    synth(file, "criteo", ROWS, 1)
    return file


@pytest.fixture(scope="session")
def dataset(raw_file: Path) -> Path:
    """A prepared dataset."""
    out = raw_file.parent / "dataset"
    prepare([raw_file], preset("criteo"), out, min_count=2, split="sequential")
    return out


@pytest.fixture(scope="session")
def bundle(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model."""
    from ctrfast.config import parse_config
    from ctrfast.export import export_bundle
    from ctrfast.train import train

    folder = tmp_path_factory.mktemp("model")
    config = parse_config({"batch_size": 500, "model": {"hidden": [8], "embedding_dim": 4}})
    train(Dataset.open(dataset), config, folder / "run")
    export_bundle(folder / "run", folder / "bundle")
    return folder / "bundle"


class Api:
    """A running API: its services and a client of its own."""

    def __init__(self, settings: Settings, traces: Traces = NO_TRACES, port: int = 0) -> None:
        make_tables(settings.url)
        app = create_app(settings, traces)
        self.services: Services = app.state.services
        self.app = app
        self._listener = bind("127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._server = uvicorn.Server(server_config(app))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})
        self._thread.start()
        wait_for(lambda: self._server.started, "the API's start")
        self.client = httpx.Client(base_url=self.url, timeout=120)

    def close(self) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
        self.services.database.dispose()


@pytest.fixture
def make_api(home: Path, backing: dict[str, str]) -> Iterator[Callable[..., Api]]:
    """Start APIs over real HTTP; they end with the test."""
    started: list[Api] = []

    def start(**changes: Any) -> Api:
        started.append(Api(quick_settings(home, **{**backing, **changes})))
        return started[-1]

    yield start
    for api in started:
        api.close()


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api()


@pytest.fixture
def data_root(home: Path, dataset: Path, raw_file: Path) -> Path:
    """HOME/data, with a dataset `prepared` and a raw file in it."""
    return fill_data_root(home, dataset, raw_file)


def fill_data_root(home: Path, dataset: Path, raw_file: Path) -> Path:
    root = home / "data"
    root.mkdir(parents=True, exist_ok=True)
    shutil.copytree(dataset, root / "prepared")
    shutil.copy(raw_file, root / "clicks.tsv.gz")
    return root


@pytest.fixture(scope="session")
def shared_api(tmp_path_factory: pytest.TempPathFactory, dataset: Path, raw_file: Path, bundle: Path) -> Iterator[Api]:
    """An API for requests that change nothing: it knows the dataset `small` and version 1 of the model `ctr`."""
    home = tmp_path_factory.mktemp("shared") / "home"
    fill_data_root(home, dataset, raw_file)
    api = Api(quick_settings(home))
    api.services.datasets.register("small", home / "data" / "prepared")
    publish(api, bundle)
    yield api
    api.close()


def publish(api: Api, bundle: Path, name: str = "ctr", project: str = DEFAULT_PROJECT) -> int:
    """Publish a copy of a bundle as a job would."""
    services = api.services
    jobs = services.jobs.of(project)
    job = jobs.enqueue(Kind.TRAIN, {})
    jobs.cancel(job.id)  # no worker of a test shall take it
    made = services.settings.job_folder(job.id) / "bundle"
    shutil.copytree(bundle, made)
    with services.database.write() as session:
        return services.registry.of(project).publish(session, name, made, job.id, {"test_auc": 0.7})


@pytest.fixture
def two(api: Api, bundle: Path) -> Api:
    """An API with two versions of the model `ctr`, `latest` on the second."""
    for _ in range(2):
        publish(api, bundle)
    return api


def fake_command(mode: str, *arguments: object) -> tuple[str, ...]:
    """A program that behaves in a given way in place of the runner."""
    return (sys.executable, str(CHILD), mode, *(str(argument) for argument in arguments))
