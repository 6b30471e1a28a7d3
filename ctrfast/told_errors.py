"""An error of ours as a plain value and back, for processes that tell each other what went wrong.

raise told_error(json.loads(text))                # in one
text = json.dumps(told(error))                    # in another
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctrfast import errors
from ctrfast.errors import CtrFastError


def told(error: CtrFastError) -> dict[str, Any]:
    """Class, message and path of an error."""
    return {"class": type(error).__name__, "message": error.message, "path": error.path}


def told_error(value: Mapping[str, Any]) -> CtrFastError:
    """The error that was told; of a class that `ctrfast.errors` does not know, its base."""
    kind: type[CtrFastError] = getattr(errors, value["class"], CtrFastError)
    return kind(value["message"], path=value["path"])
