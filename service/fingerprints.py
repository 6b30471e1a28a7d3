"""What makes two requests the same request: one digest of kind, spec and options."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from service.options import NO_OPTIONS, JobOptions
from service.problems import BadValueError


def fingerprint(kind: str, spec: Mapping[str, Any], options: JobOptions = NO_OPTIONS) -> str:
    """sha256 of a request's meaning: neither the order of keys matters nor an option that says what is so anyway.

    Raises:
        BadValueError: a value that no database can keep (NaN, infinity, NUL, half of a surrogate pair).
    """
    given = options.given()
    meaning = [kind, spec, given] if given else [kind, spec]
    try:
        text = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        encoded = text.encode()
    except (ValueError, RecursionError) as error:
        raise BadValueError("The body must hold finite numbers and valid text only.") from error
    if "\\u0000" in text.replace("\\\\", ""):  # an escaped backslash before u0000 is no NUL
        raise BadValueError("Text must not hold the character NUL.")
    return hashlib.sha256(encoded).hexdigest()
