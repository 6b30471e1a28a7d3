"""What a caller is told."""

from collections.abc import Callable

from ctrfast.errors import CtrFastError


def error_of(work: Callable[[], object]) -> list[str | None] | None:
    """Kind, message and path of the error that `work` ends with; None where it ends well."""
    try:
        work()
    except CtrFastError as error:
        return [type(error).__name__, error.message, error.path]
    return None
