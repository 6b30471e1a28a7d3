"""Each request to the service, described once: `Client` and `AsyncClient` send what these functions return."""

from __future__ import annotations

import inspect
import io
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from ctrfast.client.answers import Dataset, Job, JobPage, LogPart, Model, Scores
from ctrfast.client.problems import not_ours
from ctrfast.errors import ConfigError, DataError

if TYPE_CHECKING:  # pandas takes a second to load
    import pandas as pd

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A", bound=BaseModel)
JobRef = Job | str
Row = Mapping[str, Any]
Predictions = list[float] | list[list[float]]
_PARQUET = "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and how its answer is read. repeatable: twice is the same as once."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True


def submit(
    kind: str,
    spec: Mapping[str, Any],
    *,
    priority: int = 0,
    deadline_s: float | None = None,
    labels: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
) -> Call[Job]:
    """Queue a job: `train`, `prepare`, `evaluate`, `score` or `sweep`, with its spec and options (docs/jobs.md).

    However often it is sent over a bad line, it is one job: each call has a key of its own. `idempotency_key` makes
    several calls one job, also from several processes.
    """
    options = {"priority": priority, "deadline_s": deadline_s, "labels": dict(labels or {})}
    return _submission("/v1/jobs", {"kind": kind, "spec": spec, **options}, idempotency_key)


def prepare(name: str, settings: Mapping[str, Any], *, idempotency_key: str | None = None) -> Call[Job]:
    """Queue a job that makes the dataset `name` from raw files: `{"raw": [...], "preset": "criteo", ...}`."""
    return _submission("/v1/datasets", {"name": name, "prepare": settings}, idempotency_key)


def jobs(
    *,
    state: str | None = None,
    kind: str | None = None,
    labels: Mapping[str, str] | None = None,
    parent: JobRef | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Call[JobPage]:
    """A page of jobs that match, newest first. labels: a job must have all of them. parent: the runs of a sweep."""
    filters = {"state": state, "kind": kind, "parent": None if parent is None else _id(parent), "cursor": cursor}
    params: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    params["label"] = [f"{name}={value}" for name, value in (labels or {}).items()]
    return Call("GET", "/v1/jobs", partial(_parse, JobPage), params={**params, "limit": limit})


def job(job: JobRef) -> Call[Job]:
    """One job as it is now."""
    return Call("GET", job_path(job), partial(_parse, Job))


def cancel(job: JobRef) -> Call[Job]:
    """Stop a job; a running one has time to save a checkpoint."""
    return _action(job, "cancel")


def pause(job: JobRef) -> Call[Job]:
    """Keep a job from running; a running one saves its work first."""
    return _action(job, "pause")


def resume(job: JobRef) -> Call[Job]:
    """Queue a paused job again; it goes on from where it stopped."""
    return _action(job, "resume")


def retry(job: JobRef) -> Call[Job]:
    """Queue a failed or cancelled job again, from its last checkpoint."""
    return _action(job, "retry")


def report(job: JobRef) -> Call[dict[str, Any]]:
    """What a train job, a sweep or a prepared dataset came to: settings with reasons, figures, warnings."""
    return Call("GET", f"{job_path(job)}/report", _object)


def sweep_table(job: JobRef) -> Call[pd.DataFrame]:
    """The runs of a sweep that has ended as a frame: a row each, with settings, state, figures and seconds.

    Raises:
        DataError: the job is no sweep.
    """
    return Call("GET", f"{job_path(job)}/report", _table, headers={"Accept": _PARQUET})


def comparison(job: JobRef, *others: JobRef) -> Call[dict[str, Any]]:
    """Trainings side by side with the first: settings, test figures with intervals, and which differences are real."""
    return Call("GET", f"{job_path(job)}/comparison", _object, params={"with": ",".join(map(_id, others))})


def metrics(job: JobRef, *, points: int | None = None) -> Call[pd.DataFrame]:
    """All metric records of a job as a frame, a row per record; or at most so many points of each metric.

    All of a long training are held in memory several times over while the frame is made: ask for points.
    """
    params = {} if points is None else {"points": points}
    return Call("GET", f"{job_path(job)}/metrics", _frame, params=params)


def logs(job: JobRef) -> Call[str]:
    """What the job's process has written so far."""
    return Call("GET", f"{job_path(job)}/logs", lambda answer: answer.content.decode(errors="replace"))


def log_part(job: JobRef, offset: int = 0) -> Call[LogPart]:
    """What the job's process has written from a byte offset on."""
    return Call("GET", f"{job_path(job)}/logs", _log_part, params={"offset": offset})


def output(job: JobRef, name: str) -> Call[bytes]:
    """A file that the job made, by a name from its `result["outputs"]`."""
    return Call("GET", f"{job_path(job)}/outputs/{_part(name)}", lambda answer: answer.content)


def plan(spec: Mapping[str, Any]) -> Call[dict[str, Any]]:
    """What a train spec comes to: settings with reasons, memory, time, findings; nothing is queued."""
    return Call("POST", "/v1/plans", _object, content=_encode(spec))


def datasets() -> Call[list[Dataset]]:
    """All datasets, by name."""
    return Call("GET", "/v1/datasets", partial(_parse_list, Dataset, "datasets"))


def dataset(name: str) -> Call[Dataset]:
    """One dataset."""
    return Call("GET", f"/v1/datasets/{_part(name)}", partial(_parse, Dataset))


def register(name: str, path: str) -> Call[Dataset]:
    """Register a prepared dataset by its folder on the server."""
    return Call("POST", "/v1/datasets", partial(_parse, Dataset), content=_encode({"name": name, "path": path}))


def models() -> Call[list[Model]]:
    """All models, by name."""
    return Call("GET", "/v1/models", partial(_parse_list, Model, "models"))


def model(name: str) -> Call[Model]:
    """One model with its versions and aliases."""
    return Call("GET", f"/v1/models/{_part(name)}", partial(_parse, Model))


def set_alias(model: str, alias: str, version: int) -> Call[dict[str, Any]]:
    """Promote or roll back: the alias points at the version once that is loaded and verified."""
    path = f"/v1/models/{_part(model)}/aliases/{_part(alias)}"
    return Call("PUT", path, _object, content=_encode({"version": version}))


def score(
    model: str,
    candidates: Sequence[Row],
    *,
    context: Row | None = None,
    version: int | None = None,
    alias: str | None = None,
) -> Call[Scores]:
    """Score many candidates in one context; a candidate's fields join the context's. Values are raw."""
    _refuse_both(version, alias)
    wish = {"context": context, "version": version, "alias": alias}
    body = {
        "model": model,
        "candidates": candidates,
        **{name: value for name, value in wish.items() if value is not None},
    }
    return Call("POST", "/v1/score", partial(_parse, Scores), content=_encode(body))


def predict(
    model: str, instances: Sequence[Row], *, version: int | None = None, alias: str | None = None
) -> Call[Predictions]:
    """Probabilities of impressions, in order: a number for each, or of a model of several labels a list, by label.

    Labels are in the order of the model's schema. Values are raw; an absent one is missing.
    """
    _refuse_both(version, alias)
    place = f"/versions/{version}" if version is not None else f"/labels/{_part(alias)}" if alias is not None else ""
    path = f"/v1/models/{_part(model)}{place}:predict"
    return Call("POST", path, _predictions, content=_encode({"instances": instances}))


def explain(
    model: str, instances: Sequence[Row], *, pairs: int = 5, version: int | None = None
) -> Call[dict[str, Any]]:
    """What each field of some rows adds to their scores (docs/export.md). pairs: of how many fields, the strongest."""
    wish = {} if version is None else {"version": version}
    content = _encode({"instances": instances, "pairs": pairs, **wish})
    return Call("POST", f"/v1/models/{_part(model)}:explain", _object, content=content)


def drift(model: str, *, version: int | None = None) -> Call[dict[str, Any]]:
    """How far the rows scored in the last 24 hours are from the training rows, by field."""
    params = {} if version is None else {"version": version}
    return Call("GET", f"/v1/models/{_part(model)}/drift", _object, params=params)


def calibration(model: str, version: int) -> Call[dict[str, Any]]:
    """How a version was calibrated: method, reason, and the reliability diagram of its test rows before and after."""
    return Call("GET", f"/v1/models/{_part(model)}/versions/{version}/calibration", _object)


def published_results() -> Call[dict[str, Any]]:
    """The paper's own AUC and minutes against batch size, by data set and network, to put beside one's own."""
    return Call("GET", "/v1/published-results", _object)


def set_traffic(
    model: str, *, split: Mapping[str, Any] | None = None, shadow: Mapping[str, Any] | None = None
) -> Call[dict[str, Any]]:
    """Share requests out over aliases, and have a shadow score beside them (docs/models.md); None takes it away."""
    content = _encode({"split": split, "shadow": shadow})
    return Call("PUT", f"/v1/models/{_part(model)}/traffic", _object, content=content)


def shadow(model: str) -> Call[dict[str, Any]]:
    """How the shadow's scores compare with those that were answered."""
    return Call("GET", f"/v1/models/{_part(model)}/shadow", _object)


def job_path(job: JobRef) -> str:
    """The path of a job."""
    return f"/v1/jobs/{_part(_id(job))}"


def as_method(ask: Callable[..., Any], describe: Callable[..., Any]) -> None:
    """Give a client's method name, text and arguments of the function that describes its request."""
    ask.__name__, ask.__doc__ = describe.__name__, describe.__doc__
    arguments = inspect.signature(describe)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ask.__signature__ = arguments.replace(parameters=[own, *arguments.parameters.values()])  # type: ignore[attr-defined]


def _submission(path: str, body: Mapping[str, Any], key: str | None) -> Call[Job]:
    key = secrets.token_hex(16) if key is None else key
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"An idempotency key holds ASCII characters only. Got {key!r}.", path="idempotency_key")
    return Call("POST", path, partial(_parse, Job), content=_encode(body), headers={"Idempotency-Key": key})


def _action(job: JobRef, name: str) -> Call[Job]:
    # Not repeatable: where the first try has worked, the second is refused.
    return Call("POST", f"{job_path(job)}/{name}", partial(_parse, Job), repeatable=False)


def _id(job: JobRef) -> str:
    return job if isinstance(job, str) else job.id


def _part(name: str) -> str:
    return quote(name, safe="")


def _refuse_both(version: int | None, alias: str | None) -> None:
    if version is not None and alias is not None:
        raise ConfigError("Give either `version` or `alias`.", path="version")


def _encode(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False, default=_plain).encode()
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"The request cannot be written as JSON: {error}. Use finite numbers, text, lists."
        ) from error


def _plain(value: Any) -> Any:
    """A number of numpy or pandas as Python has it."""
    if not hasattr(value, "item"):
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    return value.item()


def _parse(form: type[A], answer: httpx.Response) -> A:
    try:
        return form.model_validate_json(answer.content)
    except ValidationError as error:
        raise not_ours(answer) from error


def _parse_list(form: type[A], member: str, answer: httpx.Response) -> list[A]:
    try:
        return [form.model_validate(entry) for entry in _object(answer)[member]]
    except (KeyError, TypeError, ValidationError) as error:
        raise not_ours(answer) from error


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError as error:
        raise not_ours(answer) from error
    if not isinstance(found, dict):
        raise not_ours(answer)
    return found


def _frame(answer: httpx.Response) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame.from_records(_object(answer).get("series", []))


def _table(answer: httpx.Response) -> pd.DataFrame:
    if answer.headers.get("content-type") != _PARQUET:
        raise DataError("A sweep has a table of runs; this job is of another kind. Call `report`.", path="job")
    import pandas as pd

    return pd.read_parquet(io.BytesIO(answer.content))


def _log_part(answer: httpx.Response) -> LogPart:
    return LogPart(content=answer.content, next_offset=int(answer.headers["x-next-offset"]))


def _predictions(answer: httpx.Response) -> Predictions:
    found = _object(answer).get("predictions")
    if not isinstance(found, list):
        raise not_ours(answer)
    return found
