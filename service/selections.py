"""Queries that find few jobs among very many, newest first, without a walk through all of them.

Without statistics a database takes the index over a project's jobs, which is right for what many of them have in common
and wrong for the few that have not ended; `unindexed` leads it to the index over states. Else the first label leads:
labels lie in the order of the jobs' ids, so the walk ends with the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from service.states import FINAL, Kind, State
from service.tables import Job, JobLabel


def page_of_jobs(
    project: str, state: State | None, kind: Kind | None, labels: Mapping[str, str], cursor: str | None
) -> Select[Any]:
    """Rows of a project's jobs that match in everything given, newest first; those older than `cursor`."""
    query, order = select(Job.__table__), Job.id
    is_open = state is not None and state not in FINAL
    for number, (key, value) in enumerate(labels.items()):
        label = aliased(JobLabel)
        is_it = (label.job_id == Job.id, label.key == key, label.value == value)
        if number == 0 and not is_open:
            query, order = query.join(label, is_it[0]).where(*is_it[1:]), label.job_id
        else:
            query = query.where(exists().where(*is_it))
    query = query.where((unindexed(Job.project) if is_open else Job.project) == project)
    if state is not None:
        query = query.where(Job.state == state)
    if kind is not None:
        query = query.where(Job.kind == kind)
    if cursor is not None:
        query = query.where(order < cursor)
    return query.order_by(order.desc())


def unindexed(column: InstrumentedAttribute[str]) -> ColumnElement[str]:
    """The column's value, in a form that no index serves."""
    return column.concat("")
