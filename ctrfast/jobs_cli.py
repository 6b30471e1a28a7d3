"""`ctrfast jobs`: submit jobs to a service, look at them and steer them (`ctrfast.client`).

The service is `--url`, CTRFAST_URL or this machine's; the API key is in CTRFAST_API_KEY or in the variable that
`--key-env` names, never among the arguments, where other users of the machine could read it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctrfast.console import console, print_aligned
from ctrfast.errors import ConfigError, unknown_name
from ctrfast.yaml_text import parse_yaml, read_yaml

if TYPE_CHECKING:  # httpx is loaded by these commands alone
    from ctrfast.client import Client, Job

jobs_app = typer.Typer(help="Submit jobs to a service, look at them and steer them.", no_args_is_help=True)

_MEMBERS = ("kind", "spec", "priority", "deadline_s", "labels")
_LOOK_S = 1.0

Url = Annotated[str | None, typer.Option(help="Of the service (default CTRFAST_URL, else this machine's).")]
KeyEnv = Annotated[
    str | None, typer.Option(metavar="NAME", help="Variable that holds the API key (default CTRFAST_API_KEY).")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, with all members.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


@jobs_app.command()
def submit(
    file: Annotated[str, typer.Argument(metavar="FILE", help="YAML or JSON with `kind` and `spec`; - reads stdin.")],
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Calls with the same key and file are one job.")
    ] = None,
    url: Url = None,
    key_env: KeyEnv = None,
    as_json: AsJson = False,
) -> None:
    """Queue a job and print its id."""
    request = _read_request(file)
    with _service(url, key_env) as service:
        job = service.submit(**request, idempotency_key=idempotency_key)
    if as_json:
        console.print_json(job.model_dump_json())
    else:
        console.print(job.id)


@jobs_app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="queued, running, paused, succeeded, failed, ...")] = None,
    kind: Annotated[str | None, typer.Option(help="train, prepare, evaluate, score or sweep.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A label that it has.")] = None,
    parent: Annotated[str | None, typer.Option(metavar="JOB", help="The sweep whose runs to show.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most jobs to show.")] = 20,
    url: Url = None,
    key_env: KeyEnv = None,
    as_json: AsJson = False,
) -> None:
    """Jobs, newest first."""
    with _service(url, key_env) as service:
        page = service.jobs(state=state, kind=kind, labels=_labels(label or []), parent=parent, limit=limit)
    if as_json:
        console.print_json(page.model_dump_json())
        return
    head = ("id", "kind", "state", "progress", "attempt", "created", "labels")
    print_aligned([head, *(_cells(job) for job in page.jobs)])
    if page.next_cursor is not None:
        console.print("there are more: see --limit")


@jobs_app.command()
def show(job_id: JobId, url: Url = None, key_env: KeyEnv = None, as_json: AsJson = False) -> None:
    """One job as it is now."""
    with _service(url, key_env) as service:
        _print(service.job(job_id), as_json)


@jobs_app.command()
def logs(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    url: Url = None,
    key_env: KeyEnv = None,
) -> None:
    """What the job's process has written."""
    with _service(url, key_env) as service:
        offset = 0
        while True:
            ended = not follow or service.job(job_id).ended  # asked before the log: what it wrote last is not missed
            part = service.log_part(job_id, offset)
            sys.stdout.buffer.write(part.content)
            sys.stdout.buffer.flush()
            offset = part.next_offset
            if ended:
                return
            time.sleep(_LOOK_S)


@jobs_app.command()
def cancel(job_id: JobId, url: Url = None, key_env: KeyEnv = None, as_json: AsJson = False) -> None:
    """Stop a job; a running one has time to save a checkpoint."""
    with _service(url, key_env) as service:
        _print(service.cancel(job_id), as_json)


@jobs_app.command()
def pause(job_id: JobId, url: Url = None, key_env: KeyEnv = None, as_json: AsJson = False) -> None:
    """Keep a job from running; a running one saves its work first."""
    with _service(url, key_env) as service:
        _print(service.pause(job_id), as_json)


@jobs_app.command()
def resume(job_id: JobId, url: Url = None, key_env: KeyEnv = None, as_json: AsJson = False) -> None:
    """Queue a paused job again."""
    with _service(url, key_env) as service:
        _print(service.resume(job_id), as_json)


@jobs_app.command()
def retry(job_id: JobId, url: Url = None, key_env: KeyEnv = None, as_json: AsJson = False) -> None:
    """Queue a failed or cancelled job again, from its last checkpoint."""
    with _service(url, key_env) as service:
        _print(service.retry(job_id), as_json)


@jobs_app.command()
def wait(job_id: JobId, url: Url = None, key_env: KeyEnv = None, as_json: AsJson = False) -> None:
    """Follow a job until it ends; the exit code is 0 where it succeeded."""
    from ctrfast.client.outcome import refuse_unless_succeeded

    with _service(url, key_env) as service:
        job = service.wait(job_id)
    _print(job, as_json)
    refuse_unless_succeeded(job)


@contextmanager
def _service(url: str | None, key_env: str | None) -> Iterator[Client]:
    from ctrfast.client import Client

    if key_env is not None and not os.environ.get(key_env):
        raise ConfigError(f"The variable {key_env} holds no API key. Set it, or name another with --key-env.")
    with Client(url, None if key_env is None else os.environ[key_env]) as client:
        yield client


def _read_request(file: str) -> dict[str, Any]:
    """The arguments of `Client.submit`. Raises ConfigError."""
    what = "Standard input" if file == "-" else f"The file {file}"
    request = parse_yaml(_read_stdin(), what) if file == "-" else read_yaml(Path(file))
    if not isinstance(request, Mapping) or not {"kind", "spec"} <= set(request):
        raise ConfigError(f"{what} must hold `kind` and `spec`, as the body of POST /v1/jobs does.")
    for name in request:
        if name not in _MEMBERS:
            raise unknown_name("setting", str(name), _MEMBERS, path=str(name))
    labels = request.get("labels")
    if not isinstance(request["spec"], Mapping) or not (labels is None or isinstance(labels, Mapping)):
        raise ConfigError(f"{what} must hold settings by name under `spec`, and under `labels` where it has them.")
    return dict(request)


def _read_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ConfigError("Standard input is not UTF-8 text.") from error


def _labels(texts: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for text, (_, equals, _value) in zip(texts, pairs, strict=True):
        if not equals:
            raise ConfigError(f"A label must read key=value. Got {text!r}.", path="label")
    return {name: value for name, _, value in pairs}


def _cells(job: Job) -> tuple[str, ...]:
    labels = " ".join(f"{name}={value}" for name, value in job.labels.items())
    state = "pausing" if job.pausing else job.state
    return (job.id, job.kind, state, f"{job.progress:.0%}", str(job.attempt), job.created_at, labels)


def _print(job: Job, as_json: bool) -> None:
    """A line per member that says something."""
    if as_json:
        console.print_json(job.model_dump_json())
        return
    members = job.model_dump().items()
    print_aligned([(name, _shown(value)) for name, value in members if value is not None and value != {}])


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(of)}" for name, of in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
