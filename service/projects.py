"""Projects: every job, dataset and model belongs to one, and a key sees those of its own alone.

A store of things (`JobStore`, `DatasetStore`, `Registry`) is that of one project; `store.of(project)` is another's, so
what uses a store cannot forget to ask whose things it sees.
"""

from __future__ import annotations

import re

DEFAULT_PROJECT = "default"  # of callers without a key, and of everything that is older than projects
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def require_project_name(name: str) -> str:
    """The name itself; ValueError where no project can have it."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"A project's name has 1 to 32 lower-case letters, digits, `-` or `_`, a letter or digit first. "
            f"Got {name[:64]!r}."
        )
    return name


def qualified(project: str, name: str) -> str:
    """A name as it is told outside its project: in metrics and logs."""
    return name if project == DEFAULT_PROJECT else f"{project}/{name}"
