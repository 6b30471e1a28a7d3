"""Which files a request may name, and texts without the server's paths.

A path is resolved first (symbolic links, `..`) and compared with the allowed folders after; the answer shows only what
the caller wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ctrfast.store.address import Address
from service.problems import PathNotAllowedError

_STORED = re.compile(r"s3://(?:[^\s'\"`,;()]*/)?([^\s/'\"`,;():]*?)(?=[.:]?(?:[\s'\"`,;()]|$))")
_ABSOLUTE = re.compile(r"(?<![\w.:/~-])/(?:[^\s/'\"`:,;()]+/)+([^\s/'\"`:,;()]*)")


def allowed_path(given: str, roots: Sequence[Path], field: str | None = None) -> Path:
    """The file or folder that a request names.

    Args:
        given: absolute, or relative to one of the roots (the first in which it exists).
        roots: the allowed folders, resolved.
        field: where the request holds the path, for the error.

    Raises:
        PathNotAllowedError: it is not under a root once links and `..` are followed, or no file system could hold it.
    """
    if not given or "\x00" in given or "\\" in given:
        raise PathNotAllowedError(given, field)
    found: Path | None = None
    for root in roots:
        try:
            resolved = (root / given).resolve()
            exists = resolved.exists()
        except (OSError, ValueError, RuntimeError) as error:  # too long, odd bytes, a loop of links
            raise PathNotAllowedError(given, field) from error
        if any(resolved == allowed or allowed in resolved.parents for allowed in roots):
            if exists:
                return resolved
            found = found or resolved
    if found is None:
        raise PathNotAllowedError(given, field)
    return found


def allowed_address(given: str, roots: Sequence[Address], field: str | None = None) -> Address:
    """The place in an object store that a request names.

    Args:
        given: its address.
        roots: the allowed places.
        field: where the request holds it, for the error.

    Raises:
        ConfigError: it is no address, or holds credentials. PathNotAllowedError: it is not under a root.
    """
    address = Address.parse(given, field)
    if not any(address.is_under(root) for root in roots):
        raise PathNotAllowedError(given, field)
    return address


def without_server_paths(text: str, given: Mapping[str, str] | None = None) -> str:
    """Rewrite a message: resolved paths read as the caller gave them, any other keeps its last part alone.

    An address in an object store is treated like a path.

    Args:
        text: the message.
        given: resolved path -> what the caller wrote.
    """
    kept: dict[str, str] = {}
    for number, (resolved, original) in enumerate(sorted((given or {}).items(), key=lambda item: -len(item[0]))):
        mark = f"\x00{number}\x00"
        text = text.replace(resolved, mark)
        kept[mark] = original
    text = _STORED.sub(lambda match: match.group(1) or "the store", text)
    text = _ABSOLUTE.sub(lambda match: match.group(1) or "a folder", text)
    for mark, original in kept.items():
        text = text.replace(mark, original)
    return text
