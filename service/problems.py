"""The service's own refusals: each has an HTTP status, a stable code, and a sentence for whoever asked.

`service.problem_answers` turns them, and the library's errors, into problem documents.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping

from service.states import Action, IllegalMoveError, State


class ServiceError(Exception):
    """Base of the service's own refusals. Subclasses fix status, code and title."""

    status = 500
    code = "internal"
    title = "Internal error"

    def __init__(self, detail: str, *, path: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.path = path
        self.headers = dict(headers or {})


class NotFoundError(ServiceError):
    """A thing that a request names does not exist. what: its kind, such as `model`."""

    status, code, title = 404, "not_found", "Not found"

    def __init__(self, what: str, name: str | int, known: Iterable[str] = (), *, of: str | None = None) -> None:
        near = difflib.get_close_matches(str(name), sorted(known), n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        start = "There is" if of is None else f"The {of} has"
        super().__init__(f"{start} no {what} {name!r}.{hint}")
        self.what = what


class IllegalStateError(ServiceError):
    """The job's state does not allow it."""

    status, code, title = 409, "illegal_state", "The job's state does not allow this"

    def __init__(self, current: State, action: Action) -> None:
        super().__init__(str(IllegalMoveError(current, action)))


class NoReportError(ServiceError):
    """A job whose kind has no report, or whose files are gone."""

    status, code, title = 404, "not_found", "Not found"


class NotReportedError(ServiceError):
    """A job that has no report yet, or will have none."""

    status, code, title = 409, "illegal_state", "The job has no report"

    def __init__(self, state: State) -> None:
        super().__init__(
            f"A job that is {state} has no report, and nothing to compare. Ask again when it has succeeded."
        )


class SweepEndedError(ServiceError):
    """A run of a sweep that has ended cannot be retried by itself: the sweep's figures would not be its own."""

    status, code, title = 409, "illegal_state", "The sweep has ended"

    def __init__(self, parent: str) -> None:
        super().__init__(f"The job is a run of the sweep {parent!r}, which has ended. Retry the sweep.")


class EventsExpiredError(ServiceError):
    """Events that were asked for were removed. `X-First-Seq` says which is the first that is left."""

    status, code, title = 410, "events_expired", "The events were removed"

    def __init__(self, first: int) -> None:
        super().__init__(
            f"Events before {first} were removed, as they were too old. Ask with `after={first - 1}`.",
            headers={"X-First-Seq": str(first)},
        )


class QueueFullError(ServiceError):
    """As many jobs wait as may."""

    status, code, title = 429, "queue_full", "The queue is full"

    def __init__(self, most: int, retry_after_s: int) -> None:
        super().__init__(
            f"{most:,} jobs wait already, and no more may. Try again in {retry_after_s} seconds.",
            headers={"Retry-After": str(retry_after_s)},
        )


class NameTakenError(ServiceError):
    """A name that is in use."""

    status, code, title = 409, "name_taken", "The name is taken"


class ModelUnavailableError(ServiceError):
    """A published version that cannot be served: its files are missing or were changed. wait_s: until the next try."""

    status, code, title = 503, "bad_artifact", "The model cannot be served"

    def __init__(self, detail: str, wait_s: float | None = None) -> None:
        super().__init__(detail, headers=None if wait_s is None else {"Retry-After": str(max(1, math.ceil(wait_s)))})


class VersionRemovedError(ServiceError):
    """A version whose files were removed, by a caller or by retention; its row stays."""

    status, code, title = 410, "version_removed", "The version was removed"

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"Version {version} of the model {name!r} was removed. Choose another one, or train it again.")


class VersionInUseError(ServiceError):
    """A version that an alias points at cannot be removed."""

    status, code, title = 409, "version_in_use", "The version is in use"

    def __init__(self, name: str, version: int, aliases: Iterable[str]) -> None:
        named = ", ".join(sorted(aliases))
        super().__init__(f"Version {version} of the model {name!r} is behind {named}. Move that first.")


class GatesRefusedError(ServiceError):
    """A version that is worse than the champion, without force."""

    status, code, title = 409, "gates_refused", "The version is worse than the champion"

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            f'Version {version} of the model {name!r} did not pass its gates. Send `"force": true` to put `latest` on '
            "it nonetheless, or choose another alias.",
            path="force",
        )


class AliasMovedError(ServiceError):
    """`If-Match` names an earlier state of the alias."""

    status, code, title = 412, "alias_moved", "The alias was moved meanwhile"

    def __init__(self, alias: str, version: int | None) -> None:
        now = "does not exist" if version is None else f"points at version {version} now"
        super().__init__(f"The alias {alias!r} {now}. Read it again, and send the ETag of that answer.")


class DatasetUnavailableError(ServiceError):
    """A registered dataset whose folder is missing or was changed."""

    status, code, title = 409, "bad_artifact", "The dataset cannot be read"


class IdempotencyConflictError(ServiceError):
    """One key, two bodies."""

    status, code, title = 422, "idempotency_conflict", "The idempotency key was used before"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key made a job from another body. Use a new key.")


class BadValueError(ServiceError):
    """A value in the request breaks a rule."""

    status, code, title = 422, "bad_request", "The request breaks a rule"


class BadRowError(ServiceError):
    """A row to score has an unknown field or a value of the wrong type."""

    status, code, title = 422, "bad_data", "A row cannot be scored"


class NotAvailableError(ServiceError):
    """Asked for by a valid name, and not part of this version."""

    status, code, title = 422, "not_available", "Not available"


class PathNotAllowedError(ServiceError):
    """A file outside the allowed folders."""

    status, code, title = 403, "path_not_allowed", "The path is not allowed"

    def __init__(self, given: str, path: str | None = None) -> None:
        super().__init__(
            f"{given!r} is not under an allowed folder. The folders are set by CTRFAST_DATA_ROOTS on the server.",
            path=path,
        )


class MalformedBodyError(ServiceError):
    """The body is not JSON."""

    status, code, title = 400, "malformed_json", "The body is not JSON"


class TooLargeError(ServiceError):
    """The body is larger than the limit."""

    status, code, title = 413, "too_large", "The request is too large"


class UnauthorizedError(ServiceError):
    """No key, or a wrong one."""

    status, code, title = 401, "unauthorized", "An API key is needed"

    def __init__(self) -> None:
        super().__init__(
            "Send `Authorization: Bearer KEY` or `X-API-Key: KEY`. `ctrfast-service create-key` makes one.",
            headers={"WWW-Authenticate": "Bearer"},
        )


class MissingScopeError(ServiceError):
    """The key is good and lacks the scope that the route needs."""

    status, code, title = 403, "missing_scope", "The key lacks a scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This needs the scope `{scope}`, which the API key lacks. Use a key that has it.")


class TooManyRequestsError(ServiceError):
    """A caller asks faster than the limit."""

    status, code, title = 429, "too_many_requests", "Too many requests"

    def __init__(self, wait_s: float) -> None:
        seconds = max(1, math.ceil(wait_s))
        super().__init__(f"Ask again in {seconds} s.", headers={"Retry-After": str(seconds)})


class OverloadedError(ServiceError):
    """As many scoring requests, or rows of them, are under way as may."""

    status, code, title = 503, "overloaded", "Too much to score"

    def __init__(self) -> None:
        super().__init__("As much is being scored as may be. Ask again in 1 s.", headers={"Retry-After": "1"})


class MethodNotAllowedError(ServiceError):
    """The path is there, for another method."""

    status, code, title = 405, "method_not_allowed", "Method Not Allowed"

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"{method} is not possible here.", headers={"Allow": allowed})


class BodyTimeoutError(ServiceError):
    """The body took too long to arrive."""

    status, code, title = 408, "body_timeout", "The body came too slowly"

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"The body must arrive within {limit_s:g} s.", headers={"Connection": "close"})


class HeadersTooLargeError(ServiceError):
    """Request line and headers are larger than the limit."""

    status, code, title = 431, "headers_too_large", "The headers are too large"


class TooDeepError(ServiceError):
    """The body nests deeper than the limit."""

    status, code, title = 400, "too_deep", "The body nests too deep"


class ForeignCallerError(ServiceError):
    """A Host or Origin that this service does not answer to without a key."""

    status, code, title = 403, "foreign_caller", "The caller is not local"


class CsrfTokenError(ServiceError):
    """A browser's cookie came without the token that the service's own pages send with it."""

    status, code, title = 403, "csrf_token", "The CSRF token is missing"

    def __init__(self) -> None:
        super().__init__(
            "With a session's cookie, a request that may change something needs the header `X-CSRF-Token`. "
            "Load the page again; a script sends an API key instead."
        )


class NotReadyError(ServiceError):
    """A part that the service needs is missing."""

    status, code, title = 503, "not_ready", "Not ready"


def database_unavailable() -> NotReadyError:
    """The refusal of whatever needs the database while it does not answer."""
    return NotReadyError("The database does not answer. Try again in a second.", headers={"Retry-After": "1"})
