"""A stream of events over connections that end in every way; no connection is made."""

import httpx
import pytest

from ctrfast.client import Patience, ProblemError, UnreachableError
from ctrfast.client.event_stream import EventStream

URL = httpx.URL("http://localhost")
PATIENCE = Patience(retries=2, first_s=0.01, longest_s=0.02)
OK = httpx.Response(200)


def lines(seq, kind, data):
    return [f"id: {seq}", f"event: {kind}", f"data: {data}", ""]


def fed(stream, *texts):
    return [event for text in texts if (event := stream.feed(text)) is not None]


@pytest.fixture
def stream():
    return EventStream("/v1/jobs/x/events", 0, PATIENCE)


def test_events_pings_and_the_end(stream):
    assert stream.begin()["Last-Event-ID"] == "0"
    state = lines(1, "state", '{"seq": 1, "state": "running"}')
    (first, second) = fed(stream, ": ping", "", *state, *lines(2, "metric", '{"loss": 0.5}'))
    assert (first.seq, first.type, first.data["state"]) == (1, "state", "running")
    assert (second.type, second.data) == ("metric", {"loss": 0.5})
    assert stream.pause_s(OK, URL) is not None  # ended before the job has
    fed(stream, *lines(3, "state", '{"state": "succeeded"}'))
    assert stream.pause_s(OK, URL) is None


def test_half_an_event_is_forgotten_and_asked_for_again(stream):
    stream.begin()
    assert len(fed(stream, *lines(1, "progress", "{}"), *lines(2, "progress", "{}")[:-1])) == 1
    assert stream.pause_s(httpx.RemoteProtocolError("cut"), URL) is not None
    assert stream.begin()["Last-Event-ID"] == "1"
    (event,) = fed(stream, *lines(2, "progress", '{"progress": 0.5}'))
    assert event.data == {"progress": 0.5}


def test_a_finished_job_without_new_events_is_the_end_at_the_second_look(stream):
    stream.begin()
    assert stream.pause_s(OK, URL) is not None  # a service that shuts down ends its streams like this
    stream.begin()
    assert stream.pause_s(OK, URL) is None


def test_a_retried_job_goes_on(stream):
    stream.begin()
    fed(stream, *lines(1, "state", '{"state": "failed"}'), *lines(2, "state", '{"state": "queued"}'))
    assert stream.pause_s(OK, URL) is not None


def test_patience_counts_failures_in_a_row(stream):
    cut = httpx.ReadError("cut")
    for seq in range(1, 6):
        stream.begin()
        fed(stream, *lines(seq, "progress", "{}"))
        assert stream.pause_s(cut, URL) is not None
    stream.begin()
    assert stream.pause_s(cut, URL) is not None
    with pytest.raises(UnreachableError, match="http://localhost"):
        stream.pause_s(cut, URL)


def test_a_refusal_is_raised(stream):
    refusal = httpx.Response(
        404,
        json={"code": "not_found", "detail": "There is no job 'x'."},
        headers={"content-type": "application/problem+json", "x-request-id": "r"},
        request=httpx.Request("GET", URL),
    )
    with pytest.raises(ProblemError, match="There is no job") as caught:
        stream.pause_s(refusal, URL)
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (404, "not_found", "r")
