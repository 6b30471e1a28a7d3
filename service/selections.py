"""Queries that find few jobs among very many, newest first, without a walk through all of them.

Without statistics a database takes the index over a project's jobs, which is right for what many of them have in common
and wrong for the few that have not ended; `unindexed` leads it to the index over states. Else the first label leads:
labels lie in the order of the jobs' ids, so the walk ends with the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, String, bindparam, exists, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from service.states import FINAL, Kind, State
from service.tables import Job, JobLabel

# Columns that no list of jobs tells.
_INNER = frozenset(
    {
        *("owner", "idempotency_key", "fingerprint", "attempts_left", "lease_owner", "lease_until"),
        *("last_seq", "deadline_s", "log_events", "webhook"),
    }
)
_LISTED = tuple(column for column in Job.__table__.columns if column.name not in _INNER)


def page_of_jobs(
    project: str,
    state: State | None,
    kind: Kind | None,
    labels: Mapping[str, str],
    cursor: str | None,
    parent: str | None,
    limit: int,
) -> tuple[Select[Any], dict[str, Any]]:
    """A query for a project's jobs that match in everything given, newest first, as lists tell them; and its values.

    cursor: those older than it. limit: so many of them.
    """
    asked = {"state": state, "kind": kind, "cursor": cursor, "parent": parent}
    given = {name: value for name, value in asked.items() if value is not None}
    for number, (key, value) in enumerate(labels.items()):
        given |= {f"key_{number}": key, f"value_{number}": value}
    is_open = state is not None and state not in FINAL
    return _query(frozenset(given), len(labels), is_open), {"project": project, "most": limit, **given}


@cache
def _query(given: frozenset[str], labels: int, is_open: bool) -> Select[Any]:
    """Made once for each set of filters: to make it takes as long as to ask it, and pages ask again and again."""
    query, order = select(*_LISTED), Job.id
    for number in range(labels):
        label = aliased(JobLabel)
        key, value = bindparam(f"key_{number}", type_=String), bindparam(f"value_{number}", type_=String)
        is_it = (label.job_id == Job.id, label.key == key, label.value == value)
        if number == 0 and not is_open:
            query, order = query.join(label, is_it[0]).where(*is_it[1:]), label.job_id
        else:
            query = query.where(exists().where(*is_it))
    query = query.where((unindexed(Job.project) if is_open else Job.project) == bindparam("project", type_=String))
    for name, column in (("state", Job.state), ("kind", Job.kind), ("parent", Job.parent_id)):
        if name in given:
            query = query.where(column == bindparam(name, type_=String))
    if "cursor" in given:
        query = query.where(order < bindparam("cursor", type_=String))
    return query.order_by(order.desc()).limit(bindparam("most", type_=Integer))


def unindexed(column: InstrumentedAttribute[str]) -> ColumnElement[str]:
    """The column's value, in a form that no index serves."""
    return column.concat("")
