"""The loads that servers are put under, and what came of them.

load = Loads(bodies, seconds=5)
figures = load.measure(target, Case("instances", 1, connections=8))
load.measure(target, Case("instances", 1, connections=None), rate=1500)          # open loop
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.load_plan import Figures, Plan, measure_answered
from bench.serve_bodies import body_file
from bench.server import Server
from bench.turns import SystemFailedError

SIZES, CONNECTIONS = (1, 100), (8, 32)
OPEN_SHARE = 0.5  # of the saturation: the rate of the open loop
_OPEN_CONNECTIONS = 64
_WARM_UP_S = 1.0


@dataclass(frozen=True)
class Case:
    """One kind of load. form, size: of its bodies. connections: None in an open loop."""

    form: str
    size: int
    connections: int | None

    @property
    def text(self) -> str:
        """As a row of a table begins."""
        return f"{self.size} x {self.form}, " + (f"{self.connections} connections" if self.connections else "open loop")


@dataclass
class Runs:
    """What came of one system, by case, in the order of the rounds.

    what: how it is run. memory_bytes: after all cases of a round. micros: per request, by case and part (of ours).
    """

    what: str
    figures: dict[Case, list[Figures]] = field(default_factory=dict)
    micros: dict[Case, list[dict[str, float]]] = field(default_factory=dict)
    memory_bytes: list[int] = field(default_factory=list)
    failure: str | None = None

    def rates(self, case: Case) -> list[float]:
        """Requests/s of each round."""
        return [figures.requests_per_s for figures in self.figures.get(case, [])]

    @property
    def errors(self) -> int:
        """Of all cases and rounds."""
        return sum(figures.errors for rounds in self.figures.values() for figures in rounds)


@dataclass(frozen=True)
class Target:
    """A server that can be measured now. urls: by form of the bodies. headers: of each request."""

    server: Server
    urls: Mapping[str, str]
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loads:
    """What all measurements share. bodies: the folder of `write_bodies`."""

    bodies: Path
    seconds: float

    def measure(self, target: Target, case: Case, rate: float | None = None) -> Figures:
        """Put a server under one load.

        Raises:
            SystemFailedError: no request was answered in time.
        """
        plan = Plan(
            url=target.urls[case.form],
            bodies=self.bodies / body_file(case.form, case.size),
            connections=case.connections or _OPEN_CONNECTIONS,
            seconds=self.seconds,
            warm_up_s=_WARM_UP_S,
            rate=rate,
            headers=target.headers,
        )
        try:
            return measure_answered(plan)
        except SystemFailedError as error:
            raise SystemFailedError(f"{target.server.name}, {case.text}: {error}") from error

    def first(self, form: str, size: int) -> bytes:
        """One body."""
        with (self.bodies / body_file(form, size)).open("rb") as file:
            return file.readline().rstrip()
