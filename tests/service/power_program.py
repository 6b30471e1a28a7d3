"""Submits jobs and moves them, and prints each submission once it is acknowledged: `power_program.py HOME`."""

from __future__ import annotations

import random
import sys
import threading
import time
from pathlib import Path

from service.states import Kind, Reason
from service.wiring import Services
from tests.service.conftest import quick_settings


def submit(services: Services) -> None:
    while True:
        job = services.jobs.enqueue(Kind.TRAIN, {"dataset": "d"})
        sys.stdout.write(f"{job.id}\n")
        sys.stdout.flush()
        time.sleep(0.005)  # for the other writer


def work(services: Services) -> None:
    chance = random.Random(1)
    while True:
        lease = services.leases.claim("w")
        if lease is None:
            continue
        services.leases.renew(lease)
        if chance.random() < 0.5:
            services.leases.succeed(lease, {"loss": 0.5}, lambda _session: {})
        else:
            services.leases.fail(lease, Reason.INTERNAL, "by chance")


if __name__ == "__main__":
    parts = Services.build(quick_settings(Path(sys.argv[1]), lease_s=600.0))
    threading.Thread(target=work, args=(parts,), daemon=True).start()
    submit(parts)
