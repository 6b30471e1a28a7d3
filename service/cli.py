"""`ctrfast-service`: up, api, worker, migrate, create-key, list-keys, revoke-key, backup, restore.

Settings come from the environment (`service.settings`).

ctrfast-service up                                     everything on this machine, on SQLite and local disk
ctrfast-service create-key ci --expires-in 30d         print a new API key, once
ctrfast-service migrate; ctrfast-service api; ctrfast-service worker      the same parts as separate processes
ctrfast-service worker --check                         exit code 0 while a worker of this host is alive
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from ctrfast.command_errors import fail, run_app
from ctrfast.errors import CtrFastError
from service.access import USUAL_RIGHTS, Right, rights_of
from service.database import Database
from service.key_list import key_lines, seconds_of
from service.keys import KeyStore
from service.lifeline import die_with_parent
from service.logs import log_to_stderr
from service.processes import StartError, bind, demand_key_unless_loopback
from service.processes import up as run_all
from service.projects import DEFAULT_PROJECT, require_project_name
from service.settings import Settings
from service.worker_roll import WorkerRoll

log = logging.getLogger("service.cli")

_EXTRAS = {"jwt": "oidc", "opentelemetry": "otel"}  # of packages that may be missing

app = typer.Typer(
    help="Training jobs, model registry and online scoring over REST.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Host = Annotated[str, typer.Option(help="Address to serve on; any but loopback demands API keys.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")]
Parent = Annotated[int | None, typer.Option(hidden=True, help="Process to end with.")]
Check = Annotated[bool, typer.Option("--check", help="Run none: fail unless one of this host gives signs of life.")]
Workers = Annotated[int, typer.Option(min=0, max=64, help="Jobs that run at once.")]
Fd = Annotated[int | None, typer.Option(hidden=True, help="A bound socket to serve on.")]
KeyName = Annotated[str, typer.Argument(help="What the key is for.")]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help=f"May be given again. One of: {' '.join(Right)}. Without: all of them but admin."),
]
Project = Annotated[str, typer.Option(help="Whose jobs, datasets and models the key sees.")]
ExpiresIn = Annotated[str | None, typer.Option(help="How long the key is good: 45m, 12h, 30d. Without: until revoked.")]
KeyId = Annotated[str, typer.Argument(help="The part of the key before the dot; `list-keys` shows it.")]
BackupOut = Annotated[Path, typer.Argument(help="A folder to make, or a file if the name ends in .tar.")]
BackupIn = Annotated[Path, typer.Argument(help="What `backup` wrote.")]
WithDatasets = Annotated[bool, typer.Option("--datasets", help="Save prepared datasets whole, not as manifests.")]
WithRuns = Annotated[bool, typer.Option("--runs", help="Save checkpoints, logs and outputs of jobs too.")]
Replace = Annotated[bool, typer.Option("--replace", help="Put what CTRFAST_HOME holds aside, in a folder of it.")]


@app.command()
def up(host: Host = "127.0.0.1", port: Port = 8000, workers: Workers = 1, parent: Parent = None) -> None:
    """Start the API and its workers; Ctrl-C ends them all."""
    with _one_line_errors():
        if parent is not None:
            die_with_parent(parent, signal.SIGTERM)
        settings = _prepared_settings()
        _warn_of_missing_roots(settings)
        settings = demand_key_unless_loopback(settings, host)
        run_all(settings, host, port, workers, _announce)


@app.command()
def api(host: Host = "127.0.0.1", port: Port = 8000, fd: Fd = None, parent: Parent = None) -> None:
    """Serve the API alone."""
    with _one_line_errors():
        settings = _child_settings(parent)
        if parent is None:
            _warn_of_missing_roots(settings)
        if fd is None:
            settings = demand_key_unless_loopback(settings, host)
            listener = bind(host, port)
            bound_host, bound_port = listener.getsockname()[:2]
            typer.echo(f"ctrfast serves its API at {bound_host}:{bound_port}")
        else:
            listener = socket.socket(fileno=fd)
        from service.api import serve

        serve(settings, listener)


@app.command()
def worker(check: Check = False, parent: Parent = None) -> None:
    """Run jobs, one at a time."""
    with _one_line_errors():
        settings = _child_settings(parent)
        if check:
            _require_worker_here(settings)
            return
        if parent is None:
            _warn_of_missing_roots(settings)
        from service.worker import run_worker

        run_worker(settings)


@app.command()
def migrate() -> None:
    """Bring the database to this version."""
    with _one_line_errors():
        _prepared_settings()
        typer.echo("The database is up to date.")


@app.command("create-key")
def create_key(
    name: KeyName = "default",
    scopes: Scopes = None,
    project: Project = DEFAULT_PROJECT,
    expires_in: ExpiresIn = None,
) -> None:
    """Make an API key and print it. It cannot be shown again."""
    with _one_line_errors():
        try:
            rights = rights_of(scopes) if scopes else USUAL_RIGHTS
            expires_at = None if expires_in is None else time.time() + seconds_of(expires_in)
            require_project_name(project)
        except ValueError as error:
            raise StartError(str(error)) from error
        with _keys() as keys:
            typer.echo(keys.create(name[:64], rights=rights, project=project, expires_at=expires_at))


@app.command("list-keys")
def list_keys() -> None:
    """Show all API keys, without their secrets."""
    with _one_line_errors(), _keys() as keys:
        for line in key_lines(keys.all()):
            typer.echo(line)


@app.command("revoke-key")
def revoke_key(key_id: KeyId) -> None:
    """Refuse an API key from now on; a running service notices it within half a minute."""
    with _one_line_errors(), _keys() as keys:
        if not keys.revoke(key_id):
            raise StartError(f"There is no key {key_id[:64]!r}. `ctrfast-service list-keys` shows all.")
        typer.echo(f"The key {key_id} is revoked.")


@app.command()
def backup(out: BackupOut, datasets: WithDatasets = False, runs: WithRuns = False) -> None:
    """Save the database and the models, while the service runs or not."""
    with _one_line_errors():
        settings = _child_settings(None)
        from service.backup import Extent, back_up

        saved = back_up(settings, out, Extent(datasets=datasets, runs=runs))
        for line in saved.left_out:
            typer.echo(f"left out: {line}", err=True)
        if not saved.with_database:
            typer.echo("The database is PostgreSQL: save it with `pg_dump`, each time before this command.", err=True)
        whole = "" if datasets else " (manifests)"
        typer.echo(
            f"{out}: {saved.versions} model versions, {saved.datasets} datasets{whole}, {saved.jobs} job folders"
        )


@app.command()
def restore(backup: BackupIn, replace: Replace = False) -> None:
    """Fill CTRFAST_HOME from a backup; the service must not run."""
    with _one_line_errors():
        settings = Settings()
        log_to_stderr(settings.log_level, settings.log_format)
        from service.restore import restore as fill

        aside = fill(settings, backup, replace=replace)
        if aside is not None:
            typer.echo(f"What was there before is in {aside}.")
        typer.echo(f"{settings.home_dir} is restored from {backup}.")


def main() -> None:
    """Entry of the console script. On error: one line on stderr (`ctrfast.command_errors`)."""
    run_app(app, "ctrfast-service")


def _announce(url: str) -> None:
    typer.echo(f"ctrfast is ready at {url} (Ctrl-C ends it)")
    sys.stdout.flush()


def _prepared_settings() -> Settings:
    """Settings, with folders made and the database migrated."""
    settings = Settings()
    log_to_stderr(settings.log_level, settings.log_format)
    settings.make_folders()
    database = Database(settings.url)
    try:
        database.migrate()
    finally:
        database.dispose()
    return settings


@contextmanager
def _keys() -> Iterator[KeyStore]:
    database = Database(_prepared_settings().url)
    try:
        yield KeyStore(database)
    finally:
        database.dispose()


def _child_settings(parent: int | None) -> Settings:
    """Settings of one part; its database must be migrated already."""
    if parent is not None:
        die_with_parent(parent, signal.SIGTERM)
    settings = Settings()
    log_to_stderr(settings.log_level, settings.log_format)
    settings.make_folders()
    database = Database(settings.url)
    try:
        unfit = database.unfit()
    finally:
        database.dispose()
    if unfit is not None:
        raise StartError(unfit)
    return settings


def _warn_of_missing_roots(settings: Settings) -> None:
    """One line of the log; the folder may yet be mounted, so it is no reason not to start."""
    if settings.missing_roots:
        named = ", ".join(map(str, settings.missing_roots))
        log.warning("CTRFAST_DATA_ROOTS names what is no folder: %s. Nothing can be read there.", named)


def _require_worker_here(settings: Settings) -> None:
    """Raise StartError unless a worker of this host signed the roll within a lease."""
    database = Database(settings.url)
    try:
        if not WorkerRoll(database).present_here(settings.lease_s):
            raise StartError(
                f"No worker of the host {socket.gethostname()} gave a sign of life within {settings.lease_s:g} s."
            )
    finally:
        database.dispose()


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (StartError, CtrFastError) as error:
        text = str(error)
    except ValidationError as error:
        first = error.errors()[0]
        names = ", ".join(f"CTRFAST_{part}".upper() for part in first["loc"]) or "CTRFAST_*"
        text = f"A setting breaks a rule: {names}: {first['msg'].removeprefix('Value error, ')}."
    except SQLAlchemyError as error:
        text = f"The database cannot be used: {str(getattr(error, 'orig', None) or error).splitlines()[0]}"
    except ImportError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0], "postgres")
        text = f"The package {error.name!r} is missing. Install it with `pip install 'ctrfast[{extra}]'`."
    except OSError as error:
        text = f"The system refuses: {error.strerror or error}."
    else:
        return
    fail(text)


if __name__ == "__main__":
    main()
