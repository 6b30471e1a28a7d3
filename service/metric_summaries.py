"""Summaries of a job's metric series: written as its events come, read for a chart in place of a million records.

A summary of level l stands for SIZES[l] events, from a number on that is 1 above a multiple of that; it is made of the
four of the level below, those of level 0 of the events. A series is read as the coarsest summaries that are fine enough
for the points that are asked for. Where there are none (the newest events; jobs from before they were written; both
ends of what is asked for) the events are read.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.events import METRIC, require_kept
from service.series import Part, is_too_coarse, summarise, thin_parts, totals
from service.tables import Event, Job, MetricSummary

CHILDREN = 4
SIZES: tuple[int, ...] = tuple(64 * CHILDREN**level for level in range(8))  # events; the last is about a million
_TOP = len(SIZES) - 1
_RAW = -1
_MOST_AT_ONCE = 64  # summaries of level 0 in one transaction: 4,096 events


@dataclass(frozen=True)
class _Node:
    """A part of a series. level: of its summary, or `_RAW`. first, last: its events."""

    level: int
    first: int
    last: int
    part: Part


def read_thinned(
    session: Session, job_id: str, after: int, names: Container[str] | None, points: int
) -> tuple[list[dict[str, Any]], int]:
    """Metric records of a job, thinned out (`service.series`), and the event up to which they go.

    Args:
        session: a transaction that reads.
        job_id: of a job that exists.
        after: the event after which they begin.
        names: of metrics; None takes all.
        points: at most so many values of each.

    Raises:
        EventsExpiredError: events after that one were removed.
    """
    is_asked_for = cache(lambda name: names is None or name in names)  # there are few names, each in many records

    def cover(first: int, last: int, level: int) -> list[_Node]:
        nodes = _cover(session, job_id, first, last, level)
        return nodes if names is None else [replace(node, part=node.part.of(is_asked_for)) for node in nodes]

    newest = session.execute(select(Job.last_seq).where(Job.id == job_id)).scalar_one()
    nodes = cover(after + 1, newest, _TOP)
    while True:
        total = totals([node.part for node in nodes])
        coarse = {node.first for node in nodes if is_too_coarse(node.part, names, points, total)}
        if not coarse:
            require_kept(session, job_id, after)
            return thin_parts([node.part for node in nodes], names, points), newest
        nodes = _refined(cover, nodes, coarse)


def write_due_summaries(session: Session, job: Job, before: int) -> None:
    """Write the summaries that the job's new events complete. The caller holds the job's row.

    Args:
        session: the transaction that wrote them.
        job: whose events they are.
        before: its `last_seq` before them.
    """
    if before // SIZES[0] == job.last_seq // SIZES[0]:
        return
    session.flush()
    start = _first_without(session, job.id)
    end = min(job.last_seq // SIZES[0] * SIZES[0], start - 1 + _MOST_AT_ONCE * SIZES[0])
    records = iter(_records(session, job.id, start, end))
    pending = next(records, None)
    for first in range(start, end, SIZES[0]):
        own: list[dict[str, Any]] = []
        while pending is not None and pending[0] < first + SIZES[0]:
            own.append(pending[1])
            pending = next(records, None)
        _write(session, job.id, 0, first, [Part(own)])


def _first_without(session: Session, job_id: str) -> int:
    """The event with which the next summary of level 0 begins: after the last one, or where the events begin."""
    last = session.scalar(
        select(func.max(MetricSummary.first_seq)).where(MetricSummary.job_id == job_id, MetricSummary.level == 0)
    )
    if last is not None:
        return last + SIZES[0]
    oldest = session.scalar(select(func.min(Event.seq)).where(Event.job_id == job_id))
    return ((oldest or 1) - 1) // SIZES[0] * SIZES[0] + 1


def _write(session: Session, job_id: str, level: int, first: int, parts: Sequence[Part]) -> None:
    """Write a summary, and the one above it where this is the last of its four and all are there."""
    summary = summarise(parts)
    session.add(
        MetricSummary(
            job_id=job_id,
            level=level,
            first_seq=first,
            records=list(summary.records),
            left_out=dict(summary.left_out),
        )
    )
    above = level + 1
    end = first + SIZES[level] - 1
    if above > _TOP or end % SIZES[above]:
        return
    session.flush()
    nodes = list(_summaries(session, job_id, end - SIZES[above] + 1, end, level))
    if len(nodes) == CHILDREN:
        _write(session, job_id, above, nodes[0].first, [node.part for node in nodes])


def _cover(session: Session, job_id: str, first: int, last: int, level: int) -> list[_Node]:
    """The events from first to last as the coarsest summaries of at most this level; records where there is none."""
    if first > last:
        return []
    if level == _RAW:
        return [_Node(_RAW, first, last, Part([record for _, record in _records(session, job_id, first, last)]))]
    nodes: list[_Node] = []
    for node in _summaries(session, job_id, first, last, level):
        nodes += [*_cover(session, job_id, first, node.first - 1, level - 1), node]
        first = node.last + 1
    return [*nodes, *_cover(session, job_id, first, last, level - 1)]


def _refined(
    cover: Callable[[int, int, int], list[_Node]], nodes: Sequence[_Node], coarse: Collection[int]
) -> list[_Node]:
    """Finer ones in place of those that begin with these events; neighbours of one level are read together."""
    found: list[_Node] = []
    for level, group in itertools.groupby(nodes, lambda node: node.level if node.first in coarse else None):
        run = list(group)
        found += run if level is None else cover(run[0].first, run[-1].last, level - 1)
    return found


def _summaries(session: Session, job_id: str, first: int, last: int, level: int) -> Iterator[_Node]:
    """Those of one level that lie between, in order."""
    query = select(MetricSummary.first_seq, MetricSummary.records, MetricSummary.left_out).where(
        MetricSummary.job_id == job_id,
        MetricSummary.level == level,
        MetricSummary.first_seq >= first,
        MetricSummary.first_seq <= last - SIZES[level] + 1,
    )
    for row in session.execute(query.order_by(MetricSummary.first_seq)).all():
        yield _Node(level, row.first_seq, row.first_seq + SIZES[level] - 1, Part(row.records, row.left_out))


def _records(session: Session, job_id: str, first: int, last: int) -> list[tuple[int, dict[str, Any]]]:
    """Numbers and data of the metric events from first to last."""
    query = select(Event.seq, Event.data).where(
        Event.job_id == job_id, Event.type == METRIC, Event.seq.between(first, last)
    )
    return [(row.seq, row.data) for row in session.execute(query.order_by(Event.seq))]
