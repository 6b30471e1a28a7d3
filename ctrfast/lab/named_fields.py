"""Which of many fields a picture names; the others are faint lines behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ctrfast.errors import unknown_name

_MOST = 5  # where none are asked for


def named_fields(asked: Sequence[str] | None, known: Sequence[str], foremost: Sequence[str]) -> list[str]:
    """Those asked for; or the first five of the foremost.

    Raises:
        ConfigError: a field is unknown.
    """
    for field in asked or ():
        if field not in known:
            raise unknown_name("id table", field, known, path="fields")
    return list(foremost[:_MOST]) if asked is None else list(asked)


def other_fields(known: Sequence[str], named: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """The fields that are not named, the first with the label of all of them."""
    others = [field for field in known if field not in named]
    label = "the other field" if len(others) == 1 else f"the other {len(others)} fields"
    for place, field in enumerate(others):
        yield field, None if place else label
