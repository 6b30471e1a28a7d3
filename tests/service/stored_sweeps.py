"""Sweeps in the store, and their children as a test in a worker's place sees them."""

from __future__ import annotations

from typing import Any

from service.leases import Lease
from service.states import Kind, State
from service.sweep_specs import parse_sweep_spec
from service.tables import Job
from service.wiring import Services

GRID = {"scaling.rule": ["none", "cowclip"], "seed": [1, 2]}
SPEC: dict[str, Any] = {"base": {"dataset": "d", "epochs": 2}, "grid": GRID}


def sweep(services: Services, spec: dict[str, Any] = SPEC, **options: Any) -> Job:
    children = parse_sweep_spec(spec).child_specs()
    return services.jobs.enqueue(Kind.SWEEP, spec, children=children, **options)


def children_of(services: Services, parent: Job) -> list[Job]:
    return list(services.jobs.runs_of(parent.id))


def claim(services: Services) -> Lease:
    lease = services.leases.claim("w")
    assert lease is not None
    return lease


def succeed(services: Services, lease: Lease, **metrics: float) -> State:
    return services.leases.succeed(lease, metrics, lambda _: {})


def look(services: Services, parent: Job) -> tuple[str, dict[str, int]]:
    """The sweep's state once somebody has come by, and its children by state."""
    services.leases.sweep()
    now = services.jobs.get(parent.id)
    return now.state, services.jobs.children([now])[parent.id]


def states_told(services: Services, parent: Job) -> list[str]:
    return [event.data["state"] for event in services.jobs.events(parent.id, 0).events if event.type == "state"]
