"""What a run of the load generator (`bench.load`) is to send, what came of it, and how to start it.

figures = measure(Plan(url, bodies, connections=8, seconds=5))
figures.requests_per_s, figures.p99_ms, figures.errors
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.turns import SystemFailedError


@dataclass(frozen=True)
class Figures:
    """requests: answered with 200. requests_per_s: of these, before the time was over. errors: by what happened.

    Latencies are in milliseconds, None without a request answered. answer_bytes: of their bodies. generator_cpu: the
    share of a core that the generator took; near 1 it was the limit, not the server.
    """

    requests: int
    requests_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    p99_9_ms: float | None
    max_ms: float | None
    errors: int
    error_kinds: dict[str, int]
    first_error: str | None
    answer_bytes: int
    seconds: float
    connections: int
    rate: float | None
    generator_cpu: float


@dataclass(frozen=True)
class Plan:
    """What to send. rate: of an open loop, per second; None for a closed loop. answers: where to keep the answers."""

    url: str
    bodies: Path
    connections: int
    seconds: float
    warm_up_s: float = 0.5
    rate: float | None = None
    headers: tuple[str, ...] = ()
    seed: int = 1
    answers: Path | None = None

    def command(self) -> list[str]:
        """The generator's program, for this plan."""
        given = {
            "url": self.url,
            "bodies": self.bodies,
            "connections": self.connections,
            "seconds": self.seconds,
            "warm-up": self.warm_up_s,
            "rate": self.rate,
            "seed": self.seed,
            "answers": self.answers,
        }
        options = [text for name, value in given.items() if value is not None for text in (f"--{name}", str(value))]
        headers = [text for header in self.headers for text in ("--header", header)]
        return [sys.executable, "-m", "bench.load", *options, *headers]


def measure(plan: Plan) -> Figures:
    """Run the generator to its end.

    Raises:
        SystemFailedError: nothing listens there, or the server answers in a way that the generator does not read.
    """
    done = subprocess.run(plan.command(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemFailedError(f"{plan.url}: " + " | ".join(done.stderr.strip().splitlines()[-2:]))
    return Figures(**json.loads(done.stdout))


def measure_answered(plan: Plan) -> Figures:
    """The same where requests must be answered in time.

    Raises:
        SystemFailedError: none was; or as `measure`.
    """
    figures = measure(plan)
    if not figures.requests_per_s:
        raise SystemFailedError(
            f"{plan.url} answered no request in {plan.seconds:g} s; errors: {figures.error_kinds}; "
            f"the first: {figures.first_error}"
        )
    return figures
