"""Online scoring beside other servers: one model, one set of raw impressions, one load generator. `make bench-serve`.

    python -m bench.serve --rounds 3 --seconds 5
    python -m bench.serve --rounds 1 --seconds 1 --systems "bare ASGI route" "LitServe"          # a look, in a minute

Every server scores the same held-out rows with the same ONNX graph on one thread (`bench.serving_model`); its answers
are compared with ours before it is measured. Each is started anew in each round, in turns, and shares the machine with
nothing but the generator (`bench.load`). Ours is the service as it is run: key, checks, counts, calibration, metrics.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np

from bench.load_plan import Figures
from bench.peer_environment import peer_versions
from bench.plots import bars
from bench.report import write
from bench.scoring_parts import parts_of
from bench.serve_bodies import write_bodies
from bench.serve_cases import CONNECTIONS, OPEN_SHARE, SIZES, Case, Loads, Runs, Target
from bench.serve_peers import PEERS, Peer
from bench.serve_report import report
from bench.server import Probe, Server, free_port
from bench.serving_model import NAME, ROWS, TEST_FRACTION, ServingModel, api, make_model
from bench.turns import SystemFailedError
from ctrfast.errors import CtrFastError

OURS = "ctrfast"
TOLERANCE = 1e-5
Expected = Mapping[int, Sequence[float]]  # our scores of the first body, by its size


class AnswersDifferError(Exception):
    """A server answers something else than ours does."""


def measure_ours(made: ServingModel, loads: Loads, runs: Runs) -> Expected:
    """One round of ours, all forms and loops.

    Raises:
        SystemFailedError: it does not start or does not answer.
    """
    with api(made) as service:
        key = service.header.partition(": ")[2]
        predict, score = f"{service.url}/v1/models/{NAME}:predict", f"{service.url}/v1/score"
        target = Target(service.server, {"instances": predict, "context": score}, (service.header,))
        for form, size in (*(("instances", size) for size in SIZES), ("context", SIZES[-1])):
            case = Case(form, size, 1)  # alone, so that no part holds a wait for other requests
            with parts_of(service.url, {"Authorization": key}) as micros:
                _keep(runs, case, loads.measure(target, case))
            runs.micros.setdefault(case, []).append(micros)
            saturation = 0.0
            for case in (Case(form, size, connections) for connections in CONNECTIONS):
                figures = loads.measure(target, case)
                _keep(runs, case, figures)
                saturation = max(saturation, figures.requests_per_s)
            case = Case(form, size, None)
            _keep(runs, case, loads.measure(target, case, rate=OPEN_SHARE * saturation))
        runs.memory_bytes.append(service.server.memory_bytes())
        return {
            size: Probe(predict, loads.first("instances", size), {"Authorization": key}).ask().json()["predictions"]
            for size in SIZES
        }


def measure_peer(peer: Peer, bundle: Path, loads: Loads, runs: Runs, expected: Expected) -> None:
    """One round of another server: closed loops.

    Raises:
        SystemFailedError: it does not start or does not answer.
        AnswersDifferError: its scores are others than ours.
    """
    with _running(peer, bundle, loads) as target:
        for size in SIZES:
            answer = Probe(target.urls[peer.form], loads.first(peer.form, size)).ask()
            _check(peer, answer, expected[size])
        for case in (Case("instances", size, connections) for size in SIZES for connections in CONNECTIONS):
            _keep(runs, case, loads.measure(target, Case(peer.form, case.size, case.connections)))
        runs.memory_bytes.append(target.server.memory_bytes())


def compare(made: ServingModel, peers: Sequence[Peer], loads: Loads, rounds: int) -> dict[str, Runs]:
    """All systems in turns. One that failed has a `failure`, and is left out of later rounds.

    Raises:
        SystemFailedError: ours failed.
        AnswersDifferError: another system scores differently.
    """
    runs = {OURS: Runs("key, checks, counts, calibration"), **{peer.name: Runs(peer.what) for peer in peers}}
    for index in range(rounds):
        _say(index, OURS)
        expected = measure_ours(made, loads, runs[OURS])
        for peer in peers:
            if runs[peer.name].failure:
                continue
            _say(index, peer.name)
            try:
                measure_peer(peer, made.bundle(made.versions[1]), loads, runs[peer.name], expected)
            except SystemFailedError as error:
                runs[peer.name].failure = str(error)
    return runs


@contextmanager
def _running(peer: Peer, bundle: Path, loads: Loads) -> Iterator[Target]:
    port = free_port()
    probe = Probe(peer.url(port), loads.first(peer.form, 1))
    with Server(peer.name, peer.command(bundle, port), probe, peer.environment(bundle)) as server:
        yield Target(server, {peer.form: peer.url(port)})


def _check(peer: Peer, answer: httpx.Response, expected: Sequence[float]) -> None:
    scores = peer.read(answer.json())
    if len(scores) != len(expected) or not np.allclose(scores, expected, rtol=0, atol=TOLERANCE):
        raise AnswersDifferError(f"{peer.name} and {OURS} do not score the same: {scores[:3]}, {list(expected[:3])}.")


def _keep(runs: Runs, case: Case, figures: Figures) -> None:
    runs.figures.setdefault(case, []).append(figures)


def _say(index: int, name: str) -> None:
    print(f"round {index + 1}: {name}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load, after a second to warm up")
    parser.add_argument(
        "--systems", nargs="*", choices=list(PEERS), metavar="NAME", help=f"of {list(PEERS)}; all if not given"
    )
    parser.add_argument("--rows", type=int, default=ROWS, help="impressions that the model is made from")
    parser.add_argument("--data", type=Path, default=Path("build/bench"), help="where the model is made and kept")
    given = parser.parse_args()
    chosen = [peer for peer in PEERS.values() if given.systems is None or peer.name in given.systems]
    versions = {peer.package: found for peer in chosen for found in peer_versions([peer.package], peer.python).values()}
    peers = [peer for peer in chosen if peer.package in versions]
    try:
        made = make_model(given.data, given.rows)
        with TemporaryDirectory(dir=given.data) as folder:
            write_bodies(made.raw, int(given.rows * TEST_FRACTION), Path(folder))
            runs = compare(made, peers, Loads(Path(folder), given.seconds), given.rounds)
    except (SystemFailedError, AnswersDifferError, CtrFastError) as error:
        raise SystemExit(str(error)) from None
    absent = [peer for peer in chosen if peer not in peers]
    shown = {name: found for name, found in runs.items() if not found.failure}
    rates = {f"{connections} connections": Case("instances", 1, connections) for connections in CONNECTIONS}
    write(
        report(runs, OURS, made, absent, given.seconds, versions),
        bars(
            list(shown),
            {name: [found.rates(case) for found in shown.values()] for name, case in rates.items()},
            "requests per second, 1 impression each",
        ),
    )


if __name__ == "__main__":
    main()
