"""Each of ctrfast's errors has its answer, and the answers are RFC 9457 documents."""

import json

import pytest

import ctrfast.errors
from ctrfast.errors import (
    ArtifactError,
    Cancelled,
    ConfigError,
    CtrFastError,
    DataError,
    DependencyError,
    StorageError,
    TrainingError,
)
from service.outcomes import failure_of
from service.problem_answers import MEDIA_TYPE, STATUS_OF, library_problem, library_status, service_problem
from service.problems import ServiceError
from service.states import Reason


def all_below(kind: type) -> set[type]:
    return {kind}.union(*(all_below(below) for below in kind.__subclasses__()))


def test_the_table_names_every_error_of_the_library() -> None:
    own = {kind for kind in vars(ctrfast.errors).values() if isinstance(kind, type) and issubclass(kind, CtrFastError)}
    assert set(STATUS_OF) == own


@pytest.mark.parametrize(
    ("kind", "status"), [(ConfigError, 422), (DataError, 422), (ArtifactError, 422), (Cancelled, 409)]
)
def test_library_errors(kind: type[CtrFastError], status: int) -> None:
    error = kind("It must hold.", path="a.b")
    assert library_status(error) == status
    response = library_problem(error, error.message, "r1")
    assert response.media_type == MEDIA_TYPE
    body = json.loads(bytes(response.body))
    assert body["code"] == kind.code
    assert (body["path"], body["detail"], body["request_id"]) == ("a.b", "It must hold.", "r1")


def test_service_errors_have_codes_and_4xx_or_5xx() -> None:
    kinds = all_below(ServiceError)
    assert len({kind.code for kind in kinds if kind.code != "internal"}) >= len(kinds) - 5
    assert all(400 <= kind.status < 600 for kind in kinds)


def test_absent_members_are_left_out() -> None:
    body = json.loads(bytes(service_problem(ServiceError("x"), None).body))
    assert set(body) == {"type", "title", "status", "detail", "error", "code"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConfigError("x"), Reason.BAD_CONFIG),
        (DataError("x"), Reason.BAD_DATA),
        (ArtifactError("x"), Reason.BAD_DATA),
        (TrainingError("x"), Reason.NAN_LOSS),
        (DependencyError("x"), Reason.INTERNAL),
        (MemoryError(), Reason.OUT_OF_MEMORY),
        (StorageError("x"), Reason.STORAGE),
        (OSError(28, "No space left on device"), Reason.STORAGE),
        (OSError(13, "denied", "/srv/secret"), Reason.INTERNAL),
        (ZeroDivisionError("/srv/secret"), Reason.INTERNAL),
    ],
)
def test_reasons(error: Exception, reason: Reason) -> None:
    found, message = failure_of(error)
    assert found is reason
    assert message
    assert "/srv" not in message
