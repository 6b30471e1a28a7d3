"""Traces: one from the request to the job's process, and nothing of them where they are off."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from service import recorded_traces
from service.cli import _one_line_errors
from service.recorded_traces import RecordedTraces
from service.traces import NO_TRACES, traces_from_environment
from service.worker import Worker
from tests.service.conftest import Api, fill_data_root, quick_settings, wait_for
from tests.service.receiver import Receiver
from tests.service.test_api_jobs import TRAIN

THEIRS = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADER = f"00-{THEIRS}-00f067aa0ba902b7-01"
PREPARE = {"kind": "prepare", "spec": {"name": "made", "raw": ["clicks.tsv.gz"], "preset": "criteo", "min_count": 2}}


@pytest.fixture(autouse=True)
def no_other_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(name, raising=False)


class Traced:
    """An API whose spans are kept in memory."""

    def __init__(self, home: Path) -> None:
        self.exporter = InMemorySpanExporter()
        self.api = Api(quick_settings(home), RecordedTraces("ctrfast-api", SimpleSpanProcessor(self.exporter)))
        self.client = self.api.client

    def spans(self, count: int) -> list[ReadableSpan]:
        """So many spans; a request's ends a little after its answer."""
        return list(wait_for(lambda: (s := self.exporter.get_finished_spans()) and len(s) >= count and s, "the spans"))


@pytest.fixture(scope="module")
def traced_api(tmp_path_factory: pytest.TempPathFactory, dataset: Path, raw_file: Path) -> Iterator[Traced]:
    home = tmp_path_factory.mktemp("traced") / "home"
    fill_data_root(home, dataset, raw_file)
    traced = Traced(home)
    traced.api.services.datasets.register("small", home / "data" / "prepared")
    yield traced
    traced.api.close()


@pytest.fixture
def traced(traced_api: Traced) -> Traced:
    traced_api.exporter.clear()
    return traced_api


def test_a_submission_joins_the_callers_trace(traced: Traced) -> None:
    body = {"kind": "train", "spec": TRAIN}
    job = traced.client.post("/v1/jobs?secret=1", json=body, headers={"traceparent": HEADER}).json()
    submit, request = traced.spans(2)
    assert (request.name, submit.name) == ("POST /v1/jobs", "submit")
    assert request.kind is SpanKind.SERVER
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/jobs",
        "http.response.status_code": 202,
        "ctrfast.request_id": request.attributes["ctrfast.request_id"],
    }
    assert submit.attributes == {"ctrfast.job.id": job["id"], "ctrfast.job.kind": "train"}
    assert f"{request.context.trace_id:032x}" == f"{submit.context.trace_id:032x}" == THEIRS
    assert submit.parent.span_id == request.context.span_id
    (first,) = traced.api.services.jobs.events(job["id"], 0).events
    assert first.data["traceparent"] == f"00-{THEIRS}-{submit.context.span_id:016x}-01"
    assert request.resource.attributes["service.name"] == "ctrfast-api"


def test_refused_requests(traced: Traced) -> None:
    traced.client.post("/v1/jobs", json={"kind": "train", "spec": {**TRAIN, "dataset": "secret"}})
    submit, request = traced.spans(2)
    assert submit.status.status_code is StatusCode.ERROR
    assert submit.attributes == {"error.type": "ConfigError"}
    assert request.attributes["http.response.status_code"] == 422
    assert request.status.status_code is StatusCode.UNSET  # the caller's mistake, not the service's
    assert "secret" not in f"{submit.to_json()}{request.to_json()}"


@pytest.mark.parametrize("header", ["", "x", "00-0-0-0", f"00-{'0' * 32}-{'0' * 16}-01", HEADER + "-" * 5000])
def test_a_parent_that_is_none(traced: Traced, header: str) -> None:
    traced.client.request("PROPFIND", "/secret", headers={"traceparent": header, "tracestate": header})
    (request,) = traced.spans(1)
    assert request.parent is None
    assert request.name == "_OTHER"
    assert request.attributes["http.response.status_code"] in (404, 405)
    assert "secret" not in request.to_json()
    assert "PROPFIND" not in request.to_json()


def test_a_mistake_of_the_service(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("service.jobs.JobStore.page_of", broken)
    traced.client.get("/v1/jobs/x")
    (request,) = traced.spans(1)
    assert request.status.status_code is StatusCode.ERROR
    assert request.attributes["error.type"] == "500"
    assert "secret" not in request.to_json()


def test_probes_leave_no_span(traced: Traced) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/v1/jobs"):
        traced.client.get(path)
    (request,) = traced.spans(1)
    assert request.name == "GET /v1/jobs"


def test_one_trace_from_the_request_to_the_jobs_process(
    home: Path, dataset: Path, raw_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_data_root(home, dataset, raw_file)
    monkeypatch.setattr(recorded_traces, "_CLOSE_S", 120.0)
    with Receiver() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        api_traces, worker_traces = traces_from_environment("ctrfast-api"), traces_from_environment("ctrfast-worker")
        api = Api(quick_settings(home), api_traces)
        worker = Worker(quick_settings(home), traces=worker_traces)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            job = api.client.post("/v1/jobs", json=PREPARE).json()
            ended = wait_for(
                lambda: (j := api.client.get(f"/v1/jobs/{job['id']}").json())["state"] in ("succeeded", "failed") and j,
                "the job's end",
            )
        finally:
            worker.stop()
            thread.join(180)
            api.close()
            api_traces.close()
            worker_traces.close()
        assert ended["state"] == "succeeded", ended
        assert {told.path for told in collector.told} == {"/v1/traces"}
        found = {}
        for told in collector.told:
            for of_process in ExportTraceServiceRequest.FromString(told.body).resource_spans:
                names = {item.key: item.value.string_value for item in of_process.resource.attributes}
                for span in (span for scope in of_process.scope_spans for span in scope.spans):
                    found[span.name] = (names["service.name"], span)
    path = ["POST /v1/jobs", "submit", "attempt", "run"]
    assert [found[name][0] for name in path] == ["ctrfast-api", "ctrfast-api", "ctrfast-worker", "ctrfast-job"]
    spans = [found[name][1] for name in path]
    assert len({span.trace_id for span in spans}) == 1
    assert [span.parent_span_id for span in spans] == [b"", *(span.span_id for span in spans[:-1])]
    facts = {item.key: item.value for item in spans[2].attributes}
    assert facts["ctrfast.job.attempt"].int_value == 1
    assert facts["ctrfast.job.state"].string_value == "succeeded"


def test_a_collector_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_traces, "_CLOSE_S", 0.1)
    with Receiver() as collector:
        collector.answers = ["silence"]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        traces = traces_from_environment("ctrfast-job")
        with traces.span("run"):
            pass
        traces.close()
        wait_for(lambda: collector.told and not collector.answers, "the request")


def test_what_switches_them_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert traces_from_environment("x") is NO_TRACES
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    for name, value in (("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")):
        with monkeypatch.context() as off:
            off.setenv(name, value)
            assert traces_from_environment("x") is NO_TRACES
    traces = traces_from_environment("x")
    assert traces.is_on
    traces.close()
    assert not NO_TRACES.is_on
    with NO_TRACES.span("x", {"a": 1}) as span:
        span.rename("y")
        span.note({"b": 2})
        span.fail("z")
        assert span.traceparent is None
    NO_TRACES.close()


def test_a_name_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    exporter = InMemorySpanExporter()
    with RecordedTraces("ctrfast-api", SimpleSpanProcessor(exporter)).span("x"):
        pass
    assert exporter.get_finished_spans()[0].resource.attributes["service.name"] == "mine"


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delitem(sys.modules, "service.recorded_traces")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SystemExit), _one_line_errors():
        traces_from_environment("x")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("Install it with `pip install 'ctrfast[otel]'`.")
