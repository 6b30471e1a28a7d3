"""Webhooks: events of a job, sent to its caller as Standard Webhooks 1.0 says.

    POST URL    webhook-id: msg_JOB_SEQ    webhook-timestamp: 1700000000    webhook-signature: v1,BASE64
    {"type": "job.state", "timestamp": "...", "data": {"job": "...", "kind": "train", "seq": 3, "state": "succeeded"}}

A row is written with the event (`events.append_event`), so no event is lost; here any API process takes those that are
due, sends them and notes the end. Each arrives once or more (a process may die between the two), with the same id, and
not always in order. An answer 2xx is the end; 410 too, without another try; anything else is tried again.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from service.database import Database
from service.outbound import NotSentError, Policy, post
from service.settings import Settings
from service.tables import Event, Job, WebhookRow
from service.times import iso_time
from service.webhook_checks import parsed_url
from service.webhook_secrets import secret_of, signature
from service.wiring import Services

log = logging.getLogger("service.api")

_LOOK_S = 0.5
_AT_ONCE = 20
_CLAIM_MARGIN_S = 30.0
_GROWTH = 3.0


@dataclass(frozen=True)
class Message:
    """One webhook that is due."""

    job_id: str
    seq: int
    project: str
    url: str
    body: bytes

    @property
    def id(self) -> str:
        """The same at each try."""
        return f"msg_{self.job_id}_{self.seq}"


class Outbox:
    """Webhooks that wait. `clock`: seconds since 1970."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

    def take(self) -> Sequence[Message]:
        """Some that are due; nobody else takes them until their time to be sent is well over."""
        now = self._clock()
        due = select(WebhookRow).where(WebhookRow.next_at <= now).order_by(WebhookRow.next_at).limit(_AT_ONCE)
        with self._database.read() as session:  # a look must not take SQLite's write lock
            if session.scalar(due.with_only_columns(WebhookRow.job_id).limit(1)) is None:
                return []
        with self._database.write() as session:
            rows = session.scalars(due.with_for_update(skip_locked=True)).all()
            messages = []
            for row in rows:
                row.tries += 1
                row.next_at = now + self._settings.webhook_timeout_s + _CLAIM_MARGIN_S
                job = session.get_one(Job, row.job_id)
                messages.append(_message(job, session.get_one(Event, (row.job_id, row.seq))))
            return messages

    def delivered(self, message: Message) -> None:
        """The receiver took it."""
        with self._database.write() as session:
            row = session.get(WebhookRow, (message.job_id, message.seq), with_for_update=True)
            if row is not None:
                row.delivered_at, row.next_at, row.last_error = self._clock(), None, None

    def failed(self, message: Message, error: str, *, for_good: bool) -> bool:
        """It did not arrive. Returns: whether it is tried again."""
        with self._database.write() as session:
            row = session.get(WebhookRow, (message.job_id, message.seq), with_for_update=True)
            if row is None or row.next_at is None:
                return False
            row.last_error = error
            wait_s = self._settings.webhook_retry_first_s * _GROWTH ** (row.tries - 1)
            is_over = for_good or row.tries >= self._settings.webhook_max_tries
            row.next_at = None if is_over else self._clock() + wait_s
            return not is_over


async def send_webhooks(services: Services) -> None:
    """Send what is due for ever; runs as a task beside the requests."""
    outbox = Outbox(services.database, services.settings)
    while True:
        messages: Sequence[Message] = []
        try:
            messages = await asyncio.to_thread(outbox.take)
            ends = [deliver(message, outbox, services.settings) for message in messages]
            for error in await asyncio.gather(*ends, return_exceptions=True):
                if error is not None:
                    raise error
        except SQLAlchemyError as error:
            log.warning("webhooks cannot be sent: %s", type(error).__name__)
        except Exception:  # the end of this task would end the sending for good
            log.exception("webhooks cannot be sent")
        if not messages:
            await asyncio.sleep(_LOOK_S)


async def deliver(message: Message, outbox: Outbox, settings: Settings) -> None:
    """Send one message and note how it went."""
    for_good = False
    try:
        status = await _send(message, settings)
    except NotSentError as error:
        text = str(error)
    else:
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            await asyncio.to_thread(outbox.delivered, message)
            return
        text, for_good = f"the receiver answered {status}", status == HTTPStatus.GONE
    again = await asyncio.to_thread(lambda: outbox.failed(message, text, for_good=for_good))
    log.log(logging.INFO if again else logging.WARNING, "webhook %s did not arrive: %s", message.id, text)


async def _send(message: Message, settings: Settings) -> int:
    secret = secret_of(message.project, settings.webhook_secret)
    target = parsed_url(message.url)
    if secret is None or target is None:
        raise NotSentError("the project has no secret to sign with" if secret is None else "the URL cannot be read")
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "ctrfast",
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, message.id, timestamp, message.body),
    }
    policy = Policy(settings.webhook_allow_http, settings.webhook_allow_private, settings.webhook_timeout_s)
    return await post(target, message.body, headers, policy)


def _message(job: Job, event: Event) -> Message:
    data = {"job": job.id, "kind": job.kind, "seq": event.seq, **event.data}
    body = {"type": f"job.{event.type}", "timestamp": iso_time(event.at), "data": data}
    if job.webhook is None:
        raise RuntimeError(f"the job {job.id} has a webhook that is due, and no address for it")
    return Message(job.id, event.seq, job.project, str(job.webhook["url"]), json.dumps(body).encode())
