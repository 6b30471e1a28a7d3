"""The figures of the serving benchmarks, from made-up measurements."""

import dataclasses
import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Summary, generate_latest

from bench.load_plan import Figures
from bench.scoring_parts import read_parts
from bench.serve_cases import CONNECTIONS, SIZES, Case, Runs
from bench.serve_peers import PEERS
from bench.serve_report import report
from bench.serving_model import ServingModel
from bench.soak import fit
from bench.swap import judge

MADE = ServingModel(Path("home"), Path("raw"), 1000, (1, 2), 1_000_000)


def figures(requests_per_s, **changes):
    made = Figures(
        requests=100,
        requests_per_s=requests_per_s,
        p50_ms=1.0,
        p99_ms=2.0,
        p99_9_ms=3.0,
        max_ms=4.0,
        errors=0,
        error_kinds={},
        first_error=None,
        answer_bytes=10,
        seconds=1.0,
        connections=8,
        rate=None,
        generator_cpu=0.5,
    )
    return dataclasses.replace(made, **changes)


def runs(*rates):
    cases = [Case("instances", size, connections) for size in SIZES for connections in CONNECTIONS]
    return Runs("how", {case: [figures(rate) for rate in rates] for case in cases}, memory_bytes=[2**30] * len(rates))


def test_ratios_are_medians_of_the_rounds_and_failures_are_named():
    ours, peer, failed = runs(100.0, 300.0, 200.0), runs(50.0, 100.0, 50.0), Runs("how", failure="BentoML ended: why")
    few = Case("instances", 1, CONNECTIONS[0])
    peer.figures[few][1] = figures(100.0, errors=7, error_kinds={"503": 7})
    ours.figures[Case("instances", 1, None)] = [figures(90.0, rate=100.0)]
    made = report(
        {"ctrfast": ours, "Ray Serve": peer, "BentoML": failed}, "ctrfast", MADE, [PEERS["MLServer"]], 1.0, {}
    )
    one, hundred, forms = made.tables
    assert [row[0] for row in one.rows] == ["ctrfast", "Ray Serve"]
    assert one.rows[1][-1] == "3.00 / 3.00"  # of 2, 3 and 4
    assert one.rows[1][2] == "50 (50-100)"
    assert one.rows[1][-3:-1] == ["7", "1,024 (1,024-1,024)"]
    assert hundred.rows[1][-3] == "0"
    assert forms.rows[-1][2:4] == ["Poisson at 100 (100-100)/s", "90 (90-90)"]
    assert [note for note in made.notes if note.startswith(("Left", "FAILED", "No table"))] == [
        "No table of parts: the service has no metric ctrfast_scoring_seconds.",
        "Left out: MLServer; mlserver is not installed in .venv-serve-mlserver.",
        "FAILED: BentoML ended: why",
    ]
    json.dumps(made.figures)


def test_parts_are_shown_where_the_service_has_them():
    ours = runs(100.0, 100.0)
    ours.micros[Case("instances", 1, 1)] = [{"parse": 10.0, "model": 90.0}, {"parse": 12.0, "model": 90.0}]
    made = report({"ctrfast": ours}, "ctrfast", MADE, [], 1.0, {})
    assert made.tables[-1].header == ["part", "1 x instances, 1 connection"]
    assert made.tables[-1].rows == [["parse", "11"], ["model", "90"]]
    assert not any(note.startswith("No table") for note in made.notes)


def test_parts_are_read_from_summaries_and_counters_alike():
    for kind, add in ((Summary, "observe"), (Counter, "inc")):
        registry = CollectorRegistry()
        metric = kind("ctrfast_scoring_seconds", "Seconds", ["part", "route"], registry=registry)
        requests = Counter("ctrfast_http_requests", "Requests", ["route"], registry=registry)
        for route in ("predict", "score"):
            getattr(metric.labels("parse", route), add)(0.25)
            requests.labels(route).inc(3)
        assert read_parts(generate_latest(registry).decode()) == ({"parse": 0.5}, 6)


def test_an_answer_is_of_the_version_that_it_names_or_mixed():
    expected = {1: [[0.1, 0.2]], 2: [[0.3, 0.4]]}

    def line(version, scores, count=1):
        return {"body": 0, "version": version, "answer": json.dumps({"predictions": scores}), "count": count}

    good = judge([line("1", [0.1, 0.2], 5), line("2", [0.3, 0.4000001], 3)], expected)
    assert (good.of_version, good.mixed, good.example) == ({1: 5, 2: 3}, 0, None)
    for bad in (line("2", [0.1, 0.2]), line("1", [0.1, 0.4]), line("1", [0.1]), line("", [0.1, 0.2])):
        assert judge([bad], expected).mixed == 1
    assert judge([line("2", [0.1, 0.2])], expected).example == "body 0: X-Model-Version '2', scores of [1]"


def test_the_line_leaves_out_the_first_fifth():
    requests = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    sizes = [0, 500, *(1000 + 3 * count for count in requests[2:])]
    line = fit(requests, sizes)
    assert line.slope == pytest.approx(3)
    assert line.margin == pytest.approx(0, abs=1e-9)
    sizes[5] += 100
    assert fit(requests, sizes).margin > 0.5
